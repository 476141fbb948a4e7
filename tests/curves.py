"""Seeded synthetic runs with known answers, for the detectors' tests."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from wandb_toolkit.detectors import RunView, examine, sibling_of
from wandb_toolkit.model import Finding, History, Run, Series
from wandb_toolkit.roles import assign_roles, choose_primary

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray, State

N = 300
NOW = datetime(2026, 1, 2, tzinfo=UTC)
PART = np.linspace(0, 1, N)  # how far into the run each point is


def noise(scale: float, seed: int = 0, n: int = N) -> FloatArray:
    """Return white noise."""
    return np.random.default_rng(seed).normal(0, scale, n)


def falling(start: float = 4.0, end: float = 1.0, scale: float = 0.02, n: int = N, seed: int = 0) -> FloatArray:
    """Return a loss that falls and levels off."""
    return end + (start - end) * np.exp(-6 * np.linspace(0, 1, n)) + noise(scale, seed, n)


def growing(start: float = 0.0, end: float = 1.0, scale: float = 0.02, n: int = N, seed: int = 1) -> FloatArray:
    """Return a reward or accuracy that rises early and levels off."""
    part = np.linspace(0, 1, n)
    shape = 1 / (1 + np.exp(-(part - 0.25) / 0.05))
    return start + (end - start) * shape + noise(scale, seed, n)


def step(part: float, n: int = N) -> FloatArray:
    """Return 0 before a part of the run and 1 from there on."""
    return np.asarray(np.linspace(0, 1, n) >= part, dtype=np.float64)


def history(metrics: Mapping[str, FloatArray | list[float]], last: float = N - 1) -> History:
    """Return metrics as a history; shorter ones are logged at fewer steps of the same run."""
    series = {}
    for name, values in metrics.items():
        y = np.asarray(values, dtype=np.float64)
        x = (
            np.round(np.linspace(last / max(len(y), 1), last, len(y)))
            if len(y) < N
            else np.arange(len(y), dtype=np.float64)
        )
        series[name] = Series(name, x, y)
    return History(series, rows=max(map(len, series.values()), default=0))


def run(state: State = "finished", name: str = "r", **changes: Any) -> Run:
    """Return a run; one that finished has the exit code 0 unless told otherwise."""
    changes.setdefault("exit_code", 0 if state == "finished" else None)
    return Run(name, name, None, "p", state, NOW, **changes)


def view(
    metrics: Mapping[str, FloatArray | list[float]],
    siblings: tuple[Mapping[str, FloatArray | list[float]], ...] = (),
    state: State = "finished",
    log_tail: tuple[str, ...] = (),
    now: datetime | None = NOW,
    **changes: Any,
) -> RunView:
    """Return a run with its roles and siblings, as a report hands it to the detectors."""
    own, others = history(metrics), [history(other) for other in siblings]
    primary = choose_primary([list(each) for each in (own, *others)])
    relatives = tuple(
        sibling_of(run(name=f"s{i}"), other, assign_roles(other), primary) for i, other in enumerate(others)
    )
    return RunView(run(state, **changes), own, assign_roles(own), relatives, log_tail, primary, now)


def found(of: RunView) -> dict[str, Finding]:
    """Return the findings by id; a failing detector fails the test."""
    return {finding.id: finding for finding in examine(of, strict=True).findings}


def troubles(of: RunView) -> set[str]:
    """Return the ids of the findings that are not praise."""
    return {id_ for id_, finding in found(of).items() if finding.severity != "good"}


def skipped(of: RunView) -> dict[str, str]:
    """Return the reasons of the detectors that could not judge."""
    return {each.id: each.reason for each in examine(of, strict=True).skipped}
