"""Write docs/diagnoses.md from the registry of detectors: `.venv/bin/python docs/make_diagnoses.py`."""

from __future__ import annotations

import inspect
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "scripts"))

from wandb_toolkit.detectors import DETECTORS, Detector, NotApplicable, RunView  # noqa: E402
from wandb_toolkit.detectors.folding import consequences_of  # noqa: E402
from wandb_toolkit.model import History, Run  # noqa: E402

HEAD = """\
# Diagnoses

<!-- Written by docs/make_diagnoses.py. Do not edit: run it again. -->

What `wandb_report` looks for in every run. A diagnosis fires with evidence, passes, or is skipped with the reason. Its
thresholds are relative to the run's own course, to its noise (the scatter from point to point) or to its siblings (the
other runs of the project), and stand in the finding's evidence beside the values and the confidence: high, medium or
low, by how far they were passed and by how many points say so. Thresholds marked *by definition* define the diagnosis;
the others guard against noise. *Explains* lists what is folded under a finding as its consequence. How well they do on
labelled runs: [benchmarks](../benchmarks/README.md).

"""
SEVERITIES = {
    "ugly": "Ugly: it broke the run",
    "bad": "Bad: it holds the run back",
    "note": "Note: worth knowing and no fault",
    "good": "Good",
}


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for severity, head in SEVERITIES.items():
        parts.append(f"## {head}\n\n")
        parts += [entry(each) for each in DETECTORS.values() if each.severity == severity]
    return "".join(parts).rstrip() + "\n"


def entry(each: Detector) -> str:
    """Return one diagnosis: what it claims, what it needs, its thresholds, what it explains."""
    claim = " ".join((inspect.getdoc(each.check) or "").split())
    lines = [f"### `{each.id}`", "", f"{each.title}. {claim}", "", f"- Needs: {needs(each)}."]
    found = thresholds(each)
    if found:
        lines.append("- Thresholds: " + ", ".join(f"`{name}` {value:.3g}" for name, value in found.items()) + ".")
    if effects := consequences_of(each.id):
        lines.append("- Explains: " + ", ".join(f"`{effect}`" for effect in effects) + ".")
    return "\n".join(lines) + "\n\n"


def thresholds(each: Detector) -> dict[str, float]:
    """Return the named defaults of the detector's function."""
    parameters = list(inspect.signature(each.check).parameters.values())[1:]
    return {one.name: one.default for one in parameters if isinstance(one.default, (int, float))}


def needs(each: Detector) -> str:
    """Return what the detector misses first in a run that has nothing, and the other roles that it names."""
    if each.needs:
        return each.needs
    if each.roles:
        return "the role" + ("s " if len(each.roles) > 1 else " ") + ", ".join(f"`{role}`" for role in each.roles)
    empty = RunView(Run("r", "r", None, None, "finished", datetime(2026, 1, 1, tzinfo=UTC)), History({}), {})
    try:
        each(empty)
    except NotApplicable as reason:
        return str(reason).replace("fewer than", "at least").replace("no primary metric", "a primary metric")
    return "nothing"


if __name__ == "__main__":
    (HERE / "diagnoses.md").write_text(page(), encoding="utf-8")
