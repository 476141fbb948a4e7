"""Write docs/diagnoses.md from the registry of detectors: `.venv/bin/python docs/make_diagnoses.py`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
EARLY = HERE.parent / "benchmarks" / "diagnoses" / "early.json"
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

*Early* says how far a diagnosis can be trusted before a run has ended. {runs} labelled runs, {healthy} of them healthy,
were looked at after each twelfth of their steps, as [`wandb_report --replay`](replay.md) does, knowing nothing of what
came later. Counted are the runs in which it was made before the end, those of them in which it no longer held at the
end, and those in which nothing is wrong. Where it is often taken back, look instead of stopping the run. The line is
missing where no run had the diagnosis before its end. Measured by `{command}`.

"""
SEVERITIES = {
    "ugly": "Ugly: it broke the run",
    "bad": "Bad: it holds the run back",
    "note": "Note: worth knowing and no fault",
    "good": "Good",
}


def page() -> str:
    """Return the whole page."""
    measured = json.loads(EARLY.read_text(encoding="utf-8"))
    parts = [HEAD.format_map(measured)]
    for severity, head in SEVERITIES.items():
        parts.append(f"## {head}\n\n")
        parts += [entry(each, measured) for each in DETECTORS.values() if each.severity == severity]
    return "".join(parts).rstrip() + "\n"


def entry(each: Detector, measured: Mapping[str, Any]) -> str:
    """Return one diagnosis: what it claims and needs, its thresholds, what it explains, how often it is taken back."""
    claim = " ".join((inspect.getdoc(each.check) or "").split())
    lines = [f"### `{each.id}`", "", f"{each.title}. {claim}", "", f"- Needs: {needs(each)}."]
    found = thresholds(each)
    if found:
        lines.append("- Thresholds: " + ", ".join(f"`{name}` {value:.3g}" for name, value in found.items()) + ".")
    if effects := consequences_of(each.id):
        lines.append("- Explains: " + ", ".join(f"`{effect}`" for effect in effects) + ".")
    if early := measured["diagnoses"].get(each.id):
        gone = f"taken back by the end in {early['gone']} ({early['gone'] / early['fired']:.0%})"
        healthy = f"; {early['healthy']} of the {early['fired']} were healthy" if early["healthy"] else ""
        runs = f"{early['fired']} run{'' if early['fired'] == 1 else 's'}"
        lines.append(f"- Early: made before the end in {runs}, {gone}{healthy}.")
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
