"""Labelled runs as a source of runs, straight from memory: what a report reads of them, without a file between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, MetricInfo, Project, Run, RunFile, Series

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft, Floats
    from benchmarks.diagnoses.project import LabelledProject, LabelledRun
    from numpy.typing import NDArray

    from wandb_toolkit.sources.base import RunQuery

NOW = datetime(2026, 6, 1, tzinfo=UTC)
AXES = ("_timestamp", "_runtime")


def logged(draft: Draft) -> Iterator[tuple[str, NDArray[np.int64], Floats]]:
    """Yield (key, rows, values) of every metric that the run logs."""
    for role in draft.clean:
        key = draft.family.keys.get(role)
        if key:
            sign = -1.0 if role in draft.family.negative else 1.0
            yield key, draft.at(role), sign * _averaged(draft, role)
    for key, values in draft.extra.items():
        yield key, np.arange(draft.n), values


def _averaged(draft: Draft, role: str) -> Floats:
    if role != "throughput" or not draft.family.averaged:
        return draft.values(role)
    steps = np.cumsum(np.full(draft.n, draft.stride))
    return np.asarray(np.floor(steps / np.cumsum(draft.seconds)), dtype=np.float64)[draft.at(role)]


def seconds_since_start(draft: Draft) -> Floats:
    """Return when each row was logged, in seconds."""
    return np.asarray(np.cumsum(draft.seconds), dtype=np.float64)


def started(draft: Draft) -> datetime:
    """Return when the run began, so that the report's time comes as long after its last row as the draft says."""
    return NOW - timedelta(seconds=float(draft.seconds.sum()) + draft.silent_for)


def as_run(labelled: LabelledRun, project: str) -> Run:
    """Return the run as a source knows it."""
    draft, start = labelled.draft, started(labelled.draft)
    lasted = float(draft.seconds.sum())
    return Run(
        labelled.id, labelled.id, None, project, draft.state, start,  # type: ignore[arg-type]
        last_activity=start + timedelta(seconds=lasted), config=draft.config, duration=lasted,
        steps=int(draft.steps[-1]), rows=draft.n, exit_code=draft.exit_code,
    )  # fmt: skip


def as_history(draft: Draft) -> History:
    """Return the whole history."""
    steps = draft.steps.astype(np.float64)
    series = {key: Series(key, steps[rows], values) for key, rows, values in logged(draft)}
    when = seconds_since_start(draft)
    series["_runtime"] = Series("_runtime", steps, when)
    series["_timestamp"] = Series("_timestamp", steps, when + started(draft).timestamp())
    return History(series, dict.fromkeys(series, "number"), rows=draft.n)


class MemorySource:
    """One project of labelled runs."""

    kind = "local"
    warnings: tuple[str, ...] = ()

    def __init__(self, project: LabelledProject) -> None:
        self.description = project.name
        self.drafts = {one.id: one.draft for one in project.runs}
        self.all = [as_run(one, project.name) for one in project.runs]

    def projects(self, entity: str | None = None) -> list[Project]:
        return [Project(self.description, entity)]

    def runs(self, query: RunQuery) -> list[Run]:
        return self.all

    def count(self, query: RunQuery) -> int:
        return len(self.all)

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        return list(runs)

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        return []

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        return [{} for _ in runs]

    def histories(
        self, runs: Sequence[Run], keys: Any = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History]]:
        for run in runs:
            whole = as_history(self.drafts[run.id])
            kinds = {name: kind for name, kind in whole.kinds.items() if name not in AXES}
            chosen = keys(kinds) if callable(keys) else keys
            series = {n: one for n, one in whole.series.items() if chosen is None or n in chosen}
            yield run, History(series, kinds, rows=whole.rows)

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        return {}

    def files(self, run: Run) -> list[RunFile]:
        return []

    def fetch(self, file: RunFile, destination: Path) -> None:
        raise NotImplementedError

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        return (list(self.drafts[run.id].log[-lines:]) for run in runs)
