"""One run to be ranked, and why it may not be called best."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wandb_toolkit.comparison.cost import Track
from wandb_toolkit.comparison.levels import Level
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.model import Cost, RunReport

BROKEN_STATES = ("crashed", "failed", "killed", "preempted")


def lost(report: RunReport) -> bool:
    """Return whether a run ended by what happened to its process, not by its training."""
    ended = [(f, known) for f in report.findings if (known := DETECTORS.get(f.id)) and known.about == "state"]
    if any(finding.consequence_of for finding, known in ended if known.mark):
        return False
    excused = any(known.severity == "note" for _, known in ended)
    return (report.run.state in BROKEN_STATES and not excused) or any(known.mark for _, known in ended)


def marks_of(report: RunReport, level: Level | None, metric: str = "") -> tuple[str, ...]:
    """Return why a run may not be called best by a metric: it broke, or the metric did, or the metric misleads."""
    roles = {match.role for match in report.roles if match.metric == metric}
    ended = [known for f in report.findings if (known := DETECTORS.get(f.id)) and known.about == "state"]
    excused = any(known.severity == "note" for known in ended)  # stopped by the user, or complete
    marks: list[str] = [report.run.state] if report.run.state in BROKEN_STATES and not excused else []
    for finding in report.findings:
        known = DETECTORS.get(finding.id)
        ranked = known is not None and (not known.mark_on or known.mark_on in roles)
        if known and known.mark and ranked and not (known.about == "state" and marks):
            marks.append(known.mark)
    if level and math.isnan(level.end) and "NaN" not in marks:
        marks.append("NaN")
    return tuple(marks)


@dataclass(frozen=True, eq=False)
class Entry:
    """One run to be ranked."""

    at: int  # place in the list of reports
    report: RunReport
    name: str
    level: Level | None
    marks: tuple[str, ...]
    configuration: str | None  # the same for all seeds of one configuration
    config: Mapping[str, Any]  # the keys that differ
    track: Track | None = None
    task: Mapping[str, str] = field(default_factory=dict)  # what it learns, as far as its config says
    same: Mapping[Cost, Level] = field(default_factory=dict)

    @property
    def end(self) -> float:
        """The final level, NaN where there is none."""
        return self.level.end if self.level else math.nan

    @property
    def sound(self) -> bool:
        """Whether the run has a final level and nothing broke on the way to it."""
        return not math.isnan(self.end) and not self.marks

    @property
    def counted(self) -> bool:
        """Whether the run is evidence about its configuration: its training worked, or failed by itself."""
        return self.level is not None and (self.sound or not lost(self.report))

    @property
    def over(self) -> bool:
        """Whether the run has ended, so that its final level is final."""
        return self.report.run.state not in ("running", "pending")
