"""A curve's future from its siblings': the increments that they made from the same step to the same end.

The level now plus the middle of their increments, with the quantiles of a new draw from them: with nine or more, those
of the sample that leave out a tenth on each side; with fewer, Student's t. Of many siblings the three fifths count
whose level at that step is nearest. Since who is ahead mostly gains less, increments are brought to the run's level by
the slope of the siblings' increments over their levels, shrunk because few siblings tell it badly. Quantiles of
increments assume nothing about the shape of a curve, and schedules that all runs share (a decay near the end) are in
them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.forecast.course import Increment

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray, Series

LEAST = 3  # siblings
ENOUGH = 9  # siblings, from which on a tenth lies between two of them
NEAR = 0.6  # of the siblings
WIDER = 1.4  # the nearest, about their own slope, resemble each other more than a new run resembles them
SHRUNK = 3  # siblings without any slope that are added to those that tell it

# One-sided 90% quantiles of Student's t by degrees of freedom.
_T90 = {1: 3.078, 2: 1.886, 3: 1.638, 4: 1.533, 5: 1.476, 6: 1.440, 7: 1.415, 8: 1.397}


def level_at(series: Series, step: float) -> float:
    """Return the level that a table would have said of a curve at a step; NaN where it had none."""
    there = int(np.searchsorted(series.x, step, side="right"))
    return stats.edges(series.value[:there])[1] if there else math.nan


def increments(level: float, curves: Sequence[Series], now: float, end: float) -> FloatArray:
    """Return what siblings at about this level gained from step `now` to `end`, (n,); of many the nearest."""
    there = np.array([(level_at(one, now), level_at(one, end)) for one in curves]).reshape(-1, 2)
    there = there[np.isfinite(there).all(axis=1)]
    near = np.argsort(np.abs(there[:, 0] - level), kind="stable")[: max(LEAST + 1, math.ceil(NEAR * len(there)))]
    gains = there[near, 1] - there[near, 0]
    return np.asarray(gains + _slope(there[near, 0], gains) * (_apart(level, there[near, 0]) - there[near, 0]))


def _slope(levels: FloatArray, gains: FloatArray) -> float:
    """Return how much less is gained from a higher level, -1 to 0: those behind catch up at most wholly."""
    if len(levels) < LEAST:
        return 0.0
    away = levels - stats.median(levels)
    spread = float(away @ away) * (1 + SHRUNK / len(levels))
    return min(max(float(away @ (gains - stats.median(gains))) / spread, -1.0), 0.0) if 0 < spread < np.inf else 0.0


def _apart(level: float, levels: FloatArray) -> float:
    """Return a level, no farther from those of the siblings than twice the farthest of them is from their median."""
    if not len(levels):
        return level
    middle = stats.median(levels)
    reach = 2 * float(np.max(np.abs(levels - middle)))
    return min(max(level, middle - reach), middle + reach)


def increment_of(gains: FloatArray) -> Increment | None:
    """Return what a further run will gain, None where there are fewer than three that tell."""
    n = len(gains)
    if n < LEAST:
        return None
    if n >= ENOUGH:
        middle = stats.median(gains)
        ends = np.interp([0.1 * (n + 1), 0.9 * (n + 1)], np.arange(1, n + 1), np.sort(gains))
        low, high = float(ends[0]), float(ends[1])
    else:
        middle = float(gains.mean())
        half = _T90[n - 1] * float(gains.std(ddof=1)) * math.sqrt(1 + 1 / n)
        low, high = middle - half, middle + half
    return Increment(middle, middle - WIDER * (middle - low), middle + WIDER * (high - middle))
