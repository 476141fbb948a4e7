"""An evidence figure of every diagnosis that the labelled runs of benchmarks/ are in: diagnoses.md and its pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wandb_toolkit.plots.evidence import Evidence

SEEDS = 200  # projects looked at, at most
FOLDER = "diagnoses"
HEAD = """\
# A figure of each diagnosis

Each was found by the report in a labelled run of [benchmarks/](../../benchmarks/README.md) that is indeed in that
trouble: synthetic runs, whose faults are known. `wandb_report PATH --figures DIR` draws the same of your runs. The
red line is where the finding begins, dashed lines are the levels that the rule compared with, shaded the other runs
of the project; the strips below belong to it. [diagnoses.md](../diagnoses.md) has the rules.
"""


@dataclass(frozen=True)
class Shown:
    """A finding with its figure."""

    title: str
    alt: str
    figure: Evidence


def write_diagnoses(target: Path, keep: Callable[[Path, Path], None]) -> None:
    """Write the page and its pictures below `target`; `keep` makes a small file of a picture."""
    import tempfile

    from wandb_toolkit.detectors import DETECTORS
    from wandb_toolkit.plots.figures.evidence import evidence_png

    found = _found()
    (target / FOLDER).mkdir(parents=True, exist_ok=True)
    parts = [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        for id_ in (one for one in DETECTORS if one in found):
            shown = found[id_]
            drawn = Path(folder, f"{id_}.png")
            drawn.write_bytes(evidence_png(shown.figure, shown.alt))
            keep(drawn, target / FOLDER / drawn.name)
            parts.append(f"## {shown.title}\n\n`{id_}`\n\n![{_plain(shown.alt)}]({FOLDER}/{drawn.name})\n")
    (target / "diagnoses.md").write_text("\n".join(parts), encoding="utf-8")


def _found() -> dict[str, Shown]:
    """Return diagnosis → the first labelled run that it is found in, with its figure."""
    from benchmarks.diagnoses.project import make_project
    from benchmarks.diagnoses.source import NOW, MemorySource
    from benchmarks.diagnoses.troubles import TROUBLES

    from wandb_toolkit.detectors import DETECTORS
    from wandb_toolkit.reports.build import ReportOptions, build_report
    from wandb_toolkit.reports.evidence import figures_of, words_of

    found: dict[str, Shown] = {}
    for seed in range(SEEDS):
        if set(TROUBLES) <= set(found):
            break
        project = make_project(seed)
        source = MemorySource(project)
        built = build_report(source, source.all, ReportOptions(now=NOW))
        labels = {one.id: one.truth.labels for one in project.runs}
        for at, place, figure in figures_of(built.report, [one.history for one in built.readings]):
            run = built.report.runs[at]
            finding = run.findings[place]
            if finding.id in labels[run.run.id] and not finding.consequence_of:
                alt = f"{figure.sentence} ({words_of(figure)})"
                found.setdefault(finding.id, Shown(DETECTORS[finding.id].title, alt, figure))
    return found


def _plain(text: str) -> str:
    return text.replace("[", "(").replace("]", ")").replace("`", "").replace("\n", " ")
