"""Runs that did well by themselves with a setting far out of all range: not called good without others beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wandb_toolkit.configs import same_task, task_of
from wandb_toolkit.experiments.usual import doubted
from wandb_toolkit.model import RunReport
from wandb_toolkit.text import number

ENOUGH = 3  # runs of one task, this one among them: the others tell whether it did well


def without_doubtful(reports: Sequence[RunReport]) -> list[RunReport]:
    """Return the reports, a good one of them "unknown" where its config raises a doubt and too few others settle it."""
    tasks = [task_of(report.run.config) for report in reports]
    judged = []
    for report, task in zip(reports, tasks, strict=True):
        alike = [
            other
            for other, theirs in zip(reports, tasks, strict=True)
            if (other.run.entity, other.run.project) == (report.run.entity, report.run.project)
            and same_task(task, theirs)
        ]
        doubt = doubted(report) if report.verdict == "good" and len(alike) < ENOUGH else None
        if doubt is None:
            judged.append(report)
            continue
        why = f"{doubt.why}, here {number(doubt.setting.value)}: whether it could have done better is not known"
        judged.append(replace(report, verdict="unknown", unjudged=why))
    return judged
