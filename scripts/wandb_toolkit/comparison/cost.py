"""The same metric after the same steps, time and tokens, and what it took each run to reach a target.

Arrays in, numbers out. Time is the run's clock, tokens the metric with that role; a run that was resumed goes on where
it stopped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.comparison.levels import Level, gains, level_of
from wandb_toolkit.model import Cost, Direction, History, Series

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

COSTS: tuple[Cost, ...] = ("step", "time", "tokens")
TOO_SHORT = 0.25  # of the median length: a shorter run does not set the common point
INTERLEAVED_LEAST, INTERLEAVED_SHARE = 3, 0.01  # backward jumps of the clock that resuming does not explain
BURST_ROWS = 40  # with fewer rows, long gaps are normal
PAUSE, BURST_SHARE = 0.05, 0.5  # of the total time: one pause at least, and all pauses together
EARNEST = 0.5  # of the top improvement: a run that improved less does not set the target
SMOOTHED = 0.05  # of the points, for the curve that has to reach the target
SMOOTHED_MOST = 9
_RUNNING_TOTAL = 0.95  # of the differences are positive: the metric counts up; else it is an amount per row


@dataclass(frozen=True, eq=False)
class Track:
    """One run's curve of the primary metric with what had been spent at each of its points."""

    series: Series
    spent: Mapping[Cost, FloatArray]  # as long as the series; NaN where unknown

    def total(self, cost: Cost) -> float | None:
        """Return what had been spent at the last point, None where it is not known."""
        spent = self.spent.get(cost)
        return float(spent[-1]) if spent is not None and len(spent) and np.isfinite(spent[-1]) else None

    def level_at(self, cost: Cost, amount: float, direction: Direction) -> Level | None:
        """Return the level after `amount` was spent, of the curve up to there; None where it has none."""
        spent = self.spent.get(cost)
        if spent is None:
            return None
        upto = int(np.searchsorted(np.nan_to_num(spent, nan=np.inf), amount * (1 + 1e-9), side="right"))
        cut = replace(self.series, x=self.series.x[:upto], value=self.series.value[:upto])
        level = level_of(cut, direction, settled=False)
        return level if level and not math.isnan(level.end) else None

    def reaching(self, target: float, direction: Direction) -> dict[Cost, float]:
        """Return what was spent when the curve, without its scatter, first was at `target` or better; {} if never."""
        finite = np.flatnonzero(np.isfinite(self.series.value))
        values = self.series.value[finite]
        if not len(values):
            return {}
        window = min(max(round(SMOOTHED * len(values)), 1), SMOOTHED_MOST) | 1
        course = stats.running_median(np.asarray(values, dtype=float), window)
        there = course >= target if direction == "max" else course <= target
        if not there.any():
            return {}
        at = finite[int(there.argmax())]
        return {cost: float(spent[at]) for cost, spent in self.spent.items() if np.isfinite(spent[at])}


def track_of(series: Series | None, history: History, tokens: str | None) -> Track | None:
    """Return the curve with its costs, None where there is none; `tokens` names the metric that counts them."""
    if series is None or not len(series):
        return None
    spent: dict[Cost, FloatArray] = {}
    if series.axis == "_runtime":
        spent["time"] = np.asarray(series.x, dtype=float)
        return Track(series, spent)
    spent["step"] = np.asarray(series.x, dtype=float)
    for cost, found in (("time", _clock(history)), ("tokens", _total(history.get(tokens or ""), by_row=True))):
        if found is not None:
            x, total = found
            # Before the first count nothing is known; after the last, the last holds.
            spent["time" if cost == "time" else "tokens"] = np.interp(series.x, x, total, left=math.nan)
    return Track(series, spent)


def _clock(history: History) -> tuple[FloatArray, FloatArray] | None:
    """Return x and the seconds spent: `_runtime`, which goes on after a resumption; None where it cannot be known.

    Where the time stamps fall with it, or it falls all the time, no resumption made it fall: rows of several writers
    (TensorBoard folders that are synced) interleave. Then the time stamps count, each row at the latest so far. Rows
    that arrive in bursts (a folder read every few seconds) do not tell when they were made.
    """
    runtime, stamps = history.get("_runtime"), history.get("_timestamp")
    total = _total(runtime, by_row=False)
    if stamps is not None and len(stamps):
        x, seconds = stats.finite(stamps.x, stamps.value)
        falls = int((np.diff(runtime.value) < 0).sum()) if runtime is not None else 0
        often = falls > max(INTERLEAVED_LEAST, INTERLEAVED_SHARE * len(x))
        if len(x) and (often or bool((np.diff(seconds) < 0).any())):
            total = x, np.maximum.accumulate(seconds) - float(seconds.min())
    return None if total is None or _in_bursts(total[1]) else total


def _in_bursts(seconds: FloatArray) -> bool:
    """Return whether most of the time passes in a few pauses between rows."""
    gaps = np.diff(seconds)
    spent = float(gaps.sum())
    if len(gaps) < BURST_ROWS or spent <= 0:
        return False
    return float(gaps[gaps > PAUSE * spent].sum()) > BURST_SHARE * spent


def _total(series: Series | None, *, by_row: bool) -> tuple[FloatArray, FloatArray] | None:
    """Return x and the running total of a count, None where it cannot be known."""
    if series is None or series.axis != "_step":
        return None
    x, y = stats.finite(series.x, series.value)
    if not len(x) or (y < 0).any():
        return None
    grown = np.diff(y)
    if by_row and len(grown) and float(np.mean(grown >= 0)) < _RUNNING_TOTAL:
        return None if series.sampled else (x, np.cumsum(y))
    # A count that restarts when the run is resumed continues from its last value.
    return x, y[0] + np.concatenate([[0.0], np.cumsum(np.where(grown < 0, y[1:], grown))])


def common_amount(tracks: Mapping[int, Track], cost: Cost) -> tuple[float, tuple[int, ...]] | None:
    """Return the largest amount that all have spent, and who was left out for ending far sooner than the others.

    None where fewer than two know what they spent.
    """
    totals = {at: total for at, track in tracks.items() if (total := track.total(cost)) is not None}
    if len(totals) < 2:
        return None
    middle = float(np.median(list(totals.values())))
    short = tuple(at for at, total in totals.items() if total < TOO_SHORT * middle and len(totals) > 2)
    amount = min(total for at, total in totals.items() if at not in short)
    return (amount, short) if amount > 0 and len(totals) - len(short) > 1 else None


def best_common_level(levels: Sequence[Level], direction: Direction) -> float | None:
    """Return the best final level that all runs with at least half of the top improvement share.

    None where fewer than two runs improved.
    """
    gained = gains(levels, direction)
    most = max((gain for gain in gained if not math.isnan(gain)), default=0.0)
    if not most > 0:
        return None
    ends = [level.end for level, gain in zip(levels, gained, strict=True) if gain >= EARNEST * most]
    if len(ends) < 2:
        return None
    return min(ends) if direction == "max" else max(ends)
