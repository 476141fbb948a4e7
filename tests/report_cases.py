"""Hand-made runs, curves and a ten-line source for the tests of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from fake_source import FakeSource
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.experiments.propose import propose
from wandb_toolkit.model import (
    Experiment,
    Finding,
    History,
    Primary,
    RoleMatch,
    Run,
    RunReport,
    Series,
)

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


def proposed(
    *reports: RunReport, ends: Any = None, primary: Primary | None = ACCURACY, curves: Any = None
) -> tuple[Experiment, ...]:
    """What is proposed for runs whose primary metric has the given ends or curves."""
    series: list[Series | None] = list(curves or [curve(np.full(50, v)) for v in ends or [0.5] * len(reports)])
    return propose(reports, compare(reports, series, primary), primary, series)


def rising(end: float, points: int = 100, start: float = 0.0) -> Any:
    """A smooth way from start to end with a little seeded noise."""
    noise = np.random.default_rng(7).normal(0, 0.002, points)
    return start + (end - start) * (1 - np.exp(-np.arange(points) / (points / 6))) + noise


def memory_source(content: Sequence[tuple[Run, Mapping[str, Any] | ToolkitError]]) -> FakeSource:
    """Return a source of runs with the given values of each metric; a run whose values are an error cannot be read."""
    return FakeSource([(run, _history(values)) for run, values in content], kind="local", description="memory")


def _history(values: Mapping[str, Any] | ToolkitError) -> History | ToolkitError:
    if isinstance(values, ToolkitError):
        return values
    return History({name: curve(y, name) for name, y in values.items()}, dict.fromkeys(values, "number"), rows=100)
