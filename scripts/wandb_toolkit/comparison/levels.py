"""Where a curve stands: at its start, at its end, at its best, and by how much its points scatter.

A level is the median of several points, because one point alone is mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.model import Direction, Series

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

SETTLED_POINTS = 20  # fewest, to say when a curve has settled
SETTLED_WINDOW = 5
SETTLED_ERRORS = 3.0  # of a median of neighbours, within which the curve is at its end
SETTLED_EXACT = 1e-3  # of the end, for curves without noise
SETTLED_TREND = 2.6  # normal deviates, beyond which the rest still moves (1%)

_SE_OF_MEDIAN = 1.2533  # times that of a mean, for normal scatter


@dataclass(frozen=True)
class Level:
    """Where a metric stands in one run."""

    start: float  # median of the first points
    end: float  # median of the last points; NaN where none of them is finite
    best: float | None
    best_step: int | None
    noise: float  # scatter of a point about the curve's second half; NaN: too few points
    tail: int  # points that `end` is the median of
    last_step: int
    settled_step: int | None = None  # from here on the curve stays at its end; None: too few points, no gain
    restarts: bool = False  # falls back to where it started at once, and gains the same again: folds, phases

    @property
    def error(self) -> float:
        """The standard error of `end`, its points taken as independent; NaN where too few points tell."""
        return _SE_OF_MEDIAN * self.noise / math.sqrt(self.tail)


def gains(levels: Sequence[Level], direction: Direction) -> list[float]:
    """Return how far each curve ends from the common start, positive where it got better.

    The common start is the median of theirs: a curve that starts far off gains much and may still end behind.
    """
    starts = [level.start for level in levels if math.isfinite(level.start)]
    start = stats.median(np.asarray(starts, dtype=float)) if starts else math.nan
    return [level.end - start if direction == "max" else start - level.end for level in levels]


def level_of(series: Series | None, direction: Direction = "max", *, settled: bool = True) -> Level | None:
    """Return the levels of one curve, None where it has no point; `settled` asks for the step, which takes longest."""
    if series is None or not len(series):
        return None
    values = np.asarray(series.value, dtype=float)
    finite = np.isfinite(values)
    best = best_step = None
    if finite.any():
        at = int(
            np.where(finite, values, -np.inf).argmax()
            if direction == "max"
            else np.where(finite, values, np.inf).argmin()
        )
        best, best_step = float(values[at]), int(series.x[at])
    kept = values[finite]
    start, end, tail = stats.edges(values)
    return Level(
        start=start,
        end=end,
        best=best,
        best_step=best_step,
        noise=stats.noise(kept[len(kept) // 2 :]),
        tail=tail,
        last_step=int(series.x[-1]),
        settled_step=_settled(series.x[finite], kept, start, end) if settled else None,
        restarts=stats.restarts(kept if direction == "max" else -kept) if settled else False,
    )


def _settled(x: FloatArray, values: FloatArray, start: float, end: float) -> int | None:
    """Return the first step from which the curve, in medians of neighbours, stays at its end within its own noise.

    A curve that still creeps towards its end by less than the noise has not settled. A share of the gain would be a
    poor measure where the first value alone makes the gain.
    """
    if len(values) < SETTLED_POINTS or math.isnan(end) or start == end:
        return None
    noise = stats.noise(values[len(values) // 2 :])
    around = np.median(np.lib.stride_tricks.sliding_window_view(values, SETTLED_WINDOW), axis=1)
    within = SETTLED_ERRORS * _SE_OF_MEDIAN * noise / SETTLED_WINDOW**0.5
    away = np.abs(around - end) > max(within, SETTLED_EXACT * abs(end))
    after = int(np.flatnonzero(away)[-1]) + 1 if away.any() else 0
    if after >= len(away) - SETTLED_WINDOW:
        return None
    rest = values[after + SETTLED_WINDOW // 2 :]
    if abs(stats.rising(rest)) > SETTLED_TREND:
        return None
    return int(x[after + SETTLED_WINDOW // 2])
