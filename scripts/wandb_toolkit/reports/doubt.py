"""Runs that did well by themselves with a setting far out of all range: not called good without others beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from wandb_toolkit.configs import same_task, task_of
from wandb_toolkit.experiments.usual import doubted
from wandb_toolkit.model import RunReport
from wandb_toolkit.text import number

ENOUGH = 3  # runs of one task, this one among them: the others tell whether it did well


def without_doubtful(reports: Sequence[RunReport]) -> list[RunReport]:
    """Return the reports, a good one of them "unknown" where its config raises a doubt and too few others settle it."""
    judged = []
    for report in reports:
        doubt = doubted(report) if report.verdict == "good" else None
        if doubt is None or _alike(report, reports) >= ENOUGH:
            judged.append(report)
            continue
        why = f"{doubt.why}, here {number(doubt.setting.value)}: whether it could have done better is not known"
        judged.append(replace(report, verdict="unknown", unjudged=why))
    return judged


def _alike(report: RunReport, reports: Sequence[RunReport]) -> int:
    """Return how many runs of one project and task there are, up to `ENOUGH`."""
    task, place = task_of(report.run.config), (report.run.entity, report.run.project)
    alike = (
        other
        for other in reports
        if (other.run.entity, other.run.project) == place and same_task(task, task_of(other.run.config))
    )
    return sum(1 for _ in islice(alike, ENOUGH))
