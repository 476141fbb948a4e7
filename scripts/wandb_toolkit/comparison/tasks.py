"""What each ranked run learns: runs of different tasks have no common scale, and none of them is the best of all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from wandb_toolkit import configs
from wandb_toolkit.model import RunReport

PROJECT = "project"  # stands for the keys of a config where these do not tell programs apart
ALIKE = 0.8  # of the keys that either of two projects' configs has: below it, their runs are of other programs
_STRONG = re.compile(r"env|gym|task|game|data|file|corpus", re.IGNORECASE)  # the loss alone makes no common task


def tasks_of(reports: Sequence[RunReport]) -> list[dict[str, str]]:
    """Return the entries of each run's config that say what it learns.

    Runs of several projects are of one task where a key says so, or where their configs are of one program; else the
    project is such an entry, too.
    """
    tasks = [configs.task_of(report.run.config) for report in reports]
    places = [(report.run.entity, report.run.project) for report in reports]
    members = {place: [at for at, own in enumerate(places) if own == place] for place in dict.fromkeys(places)}
    keys = {place: {key for at in all_ for key in _keys(reports[at])} for place, all_ in members.items()}
    named = {place: {key for at in all_ for key in tasks[at] if _STRONG.search(key)} for place, all_ in members.items()}
    first = next(iter(members), None)
    if first is None or all(named[first] & named[other] or _alike(keys[first], keys[other]) for other in members):
        return tasks
    return [{**task, PROJECT: configs.token(place[1])} for task, place in zip(tasks, places, strict=True)]


def telling_keys(tasks: Sequence[Mapping[str, str]]) -> tuple[str, ...]:
    """Return the keys by which tasks differ, () where all are one."""
    keys = dict.fromkeys(key for task in tasks for key in task)
    return tuple(key for key in keys if len({task[key] for task in tasks if key in task}) > 1)


def called(task: Mapping[str, str], keys: Sequence[str]) -> str:
    """Return what a task is called: its values of the telling keys."""
    return ", ".join(task.get(key, "not set").strip('"') for key in keys)


def _keys(report: RunReport) -> set[str]:
    return {key for key in configs.flatten(report.run.config) if not key.startswith("_")}


def _alike(one: set[str], other: set[str]) -> bool:
    """Return whether two configs are of one program; an empty one says nothing against it."""
    return not one or not other or len(one & other) >= ALIKE * len(one | other)
