"""Hand-made runs, curves and a ten-line source for the tests of the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import (
    Finding,
    History,
    MetricInfo,
    Primary,
    Project,
    RoleMatch,
    Run,
    RunFile,
    RunReport,
    Series,
)
from wandb_toolkit.resolve import select_runs
from wandb_toolkit.sources.base import RunQuery

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
ACCURACY = Primary("eval/accuracy", "max", "evaluation metric of the task")
LOSS = Primary("train/loss", "min", "training loss")


def a_run(name: str = "one", **facts: Any) -> Run:
    """A finished run of one project, its id derived from its name."""
    given: dict[str, Any] = {
        "id": f"id-{name}",
        "entity": None,
        "project": "demo",
        "state": "finished",
        "created_at": datetime(2025, 2, 1, tzinfo=UTC),
        "last_activity": datetime(2025, 2, 1, 1, tzinfo=UTC),
        "steps": 99,
        "duration": 60.0,
    }
    return Run(name=name, **{**given, **facts})


def judged(
    name: str = "one",
    *findings: Finding,
    verdict: Any = "good",
    roles: Mapping[str, str] | None = None,
    passed: tuple[str, ...] = ("nan_or_inf",),
    **facts: Any,
) -> RunReport:
    """A run with a verdict and findings."""
    matches = tuple(RoleMatch(role, metric, "by name") for role, metric in (roles or {}).items())
    return RunReport(a_run(name, **facts), verdict, findings, passed=passed, roles=matches)


def a_finding(id_: str, severity: Any = "bad", title: str = "", **facts: Any) -> Finding:
    """A finding with a title of its own."""
    return Finding(id_, severity, title or f"{id_} was seen", **facts)


def curve(values: Any, name: str = "eval/accuracy") -> Series:
    """A series at steps 0, 1, 2, ..."""
    y = np.asarray(values, dtype=float)
    return Series(name, np.arange(len(y), dtype=float), y)


def rising(end: float, points: int = 100, start: float = 0.0) -> Any:
    """A smooth way from start to end with a little seeded noise."""
    noise = np.random.default_rng(7).normal(0, 0.002, points)
    return start + (end - start) * (1 - np.exp(-np.arange(points) / (points / 6))) + noise


class FakeSource:
    """Runs and histories from memory; a run whose history is an error cannot be read."""

    kind = "local"
    description = "memory"
    warnings: tuple[str, ...] = ()

    def __init__(self, content: Sequence[tuple[Run, Mapping[str, Any] | ToolkitError]]) -> None:
        self.content = {id(run): history for run, history in content}
        self.all = [run for run, _ in content]
        self.asked: list[tuple[str, Sequence[str] | None]] = []

    def projects(self, entity: str | None = None) -> list[Project]:
        return [Project("demo", entity)]

    def runs(self, query: RunQuery) -> list[Run]:
        chosen = select_runs(query.selectors, self.all) if query.selectors else self.all
        return [r for r in chosen if not query.states or r.state in query.states]

    def count(self, query: RunQuery) -> int:
        return len(self.runs(query))

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        return []

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        return [{} for _ in runs]

    def histories(
        self, runs: Sequence[Run], keys: Any = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        for run in runs:
            found = next(h for r, h in zip(self.all, self.content.values(), strict=True) if r.id == run.id)
            self.asked.append((run.id, None if callable(keys) else keys))
            if isinstance(found, ToolkitError):
                yield run, found
            else:
                chosen = keys(dict.fromkeys(found, "number")) if callable(keys) else keys
                series = {k: curve(v, k) for k, v in found.items() if chosen is None or k in chosen}
                yield run, History(series, dict.fromkeys(found if callable(keys) else series, "number"), rows=100)

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        return {}

    def files(self, run: Run) -> list[RunFile]:
        return []

    def fetch(self, file: RunFile, destination: Path) -> None:
        raise NotImplementedError

    def console(self, run: Run, lines: int = 50) -> list[str]:
        self.asked.append((run.id, ["console"]))
        return ["Traceback (most recent call last):", "ValueError: no such column"]
