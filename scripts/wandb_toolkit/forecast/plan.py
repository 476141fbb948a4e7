"""At which training step a running run will end, and when: from its config, its epochs, or runs that have ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import EPOCHS
from wandb_toolkit.detectors.schedule import planned_epochs, planned_steps, planned_timesteps
from wandb_toolkit.model import History, Run
from wandb_toolkit.plots.charts import STEP
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

ALIKE = 0.1  # ends of runs within a tenth of their median agree
_CLOCKS = ("_timestamp", "_runtime")


@dataclass(frozen=True)
class End:
    """Where a run is going to stop."""

    step: float
    why: str  # what says so


def last_step(history: History) -> float:
    """Return the last training step at which anything was logged, 0 where nothing was."""
    return max((float(s.x[-1]) for s in history.series.values() if len(s) and s.axis == STEP), default=0.0)


def end_of(run: Run, history: History, ended: Sequence[tuple[Run, float]]) -> End | None:
    """Return where a run will stop; None where neither its config nor runs that have finished say so.

    `ended` are the finished runs of its task with their last steps. Where runs with a plan of their own have ended at
    another number of steps than they planned (a plan in updates, steps that count calls of log()), so will this one.
    """
    here = last_step(history)
    planned = _planned(run)
    if planned is not None:
        share = _steps_of_one(_planned, ended) or 1.0
        share = 1.0 if abs(share - 1) <= ALIKE else share
        if planned * share >= here > 0:
            said = "its config" if share == 1 else "its config, in the steps that finished runs took for theirs"
            return End(planned * share, said)
    of_epochs = _by_epochs(run, history)
    epochs = planned_epochs(run.config)
    if of_epochs is None and epochs and (each := _steps_of_one(lambda other: planned_epochs(other.config), ended)):
        of_epochs = epochs * each
    if of_epochs is not None and of_epochs >= here > 0:
        return End(of_epochs, "the epochs of its config")
    lasts = np.array([last for _, last in ended if last > 0])
    if len(lasts) and _agree(lasts) and stats.median(lasts) >= here > 0:
        return End(stats.median(lasts), f"{plural(len(lasts), 'finished run')}")
    return None


def _planned(run: Run) -> float | None:
    return planned_steps(run.config) or planned_timesteps(run.config)


def _steps_of_one(plan: Callable[[Run], float | None], ended: Sequence[tuple[Run, float]]) -> float | None:
    """Return how many steps finished runs took for one of what they planned; None where they do not agree."""
    ratios = np.array([last / own for other, last in ended if (own := plan(other))])
    return stats.median(ratios) if len(ratios) and _agree(ratios) else None


def _agree(values: FloatArray) -> bool:
    middle = stats.median(values)
    return middle > 0 and bool(float(np.mean(np.abs(values - middle) <= ALIKE * middle)) > 0.5)


def _by_epochs(run: Run, history: History) -> float | None:
    """Return the step at which the planned epochs end, at the pace so far; None before a counted one ended."""
    epochs = planned_epochs(run.config)
    series = next((s for name in EPOCHS if (s := history.get(name)) is not None and len(s) > 1), None)
    if not epochs or series is None:
        return None
    x, y = stats.finite(series.x, series.value)
    if len(y) < 2 or not y[-1] > y[0]:
        return None
    if bool((y == np.rint(y)).all()):  # counted from 0 or from 1: only how long one takes is sure
        begins = x[np.append(True, y[1:] > y[:-1])]
        return float(begins[0] + epochs * (begins[-1] - begins[0]) / (len(begins) - 1))
    return float(x[-1] * epochs / y[-1])


def time_left(run: Run, history: History, end: float) -> tuple[float, datetime | None] | None:
    """Return the seconds from a run's last row to its end, and when that is; None without a clock.

    At the pace of the later half of its steps.
    """
    for name in _CLOCKS:
        series = history.get(name)
        if series is None or len(series) < 3:
            continue
        x, y = stats.finite(series.x, series.value)
        middle = int(np.searchsorted(x, (x[0] + x[-1]) / 2)) if len(x) > 2 else 0
        if len(x) < 3 or not x[-1] > x[middle] or not y[-1] > y[middle]:
            continue
        left = (end - float(x[-1])) * float(y[-1] - y[middle]) / float(x[-1] - x[middle])
        started = 0.0 if name == "_timestamp" else run.created_at.timestamp() if run.created_at else None
        return left, _when(None if started is None else started + float(y[-1]) + left)
    return None


def _when(seconds: float | None) -> datetime | None:
    """Return a moment; None where there is none, or none that a calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None
