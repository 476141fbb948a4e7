"""A curve's future from its own course: bootstrapped power laws, and what a random walk adds.

For runs without enough siblings. The curve so far, on at most 60 points, is fitted by constants, power laws, a
logarithm and exponentials; which of them fits is chosen anew for each resample of its residuals (in blocks, because
neighbours resemble each other). Around the increment that the fit gives, the band takes in how much the resamples
differ, how wrong the same was when the present lay as far ahead as the end does now, how the residuals wander, how
uncertain the level is, and that a course may turn: by a part of what the curve has covered so far, the more the longer
is left, and more towards the better.

The constants were calibrated on generated runs; `python -m benchmarks.forecast` measures them on others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

LEAST = 4  # points
POINTS = 60
RESAMPLES = 100
SEED = 0
SIDE = 1.2816  # normal deviates that leave out a tenth
POWERS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
RATES = (1.0, 2.0, 4.0, 8.0)
SOON = 0.02  # of the run so far, added to the steps: a power law has no value at 0
ROUNDING = 1e-12  # of a value, below which no law fits better than another
OF_RESAMPLES = 0.5  # times how much the resamples differ
OF_PAST = 1.0  # times how wrong the same was before
OF_WALK = 0.4  # times how the residuals wander
OF_LEVEL = 1.0  # times the standard error of the level
BETTER, WORSE = 1.5, 0.5  # of the range so far, times the logarithm of end / now squared
_OF_A_MEDIAN = 1.2533  # a median's standard error over a mean's


@dataclass(frozen=True)
class Increment:
    """How far a level will move, with the ends of an 80% band."""

    middle: float
    low: float
    high: float


def extrapolated(x: FloatArray, y: FloatArray, now: float, end: float, sign: int) -> Increment | None:
    """Return how a curve's level will move from step `now` to `end`; None below 4 points or without a scale.

    `x` and `y` are finite and up to `now`; `sign` is 1 where more is better, else -1.
    """
    if (
        len(y) < LEAST
        or not x[-1] > x[0]
        or not now > max(float(x[0]), 0.0)
        or end < now
        or not bool((np.abs(y) < 1e100).all())
    ):
        return None
    xs, ys = stats.condense(x, y, POINTS)
    fits = _Fits.of((xs - x[0]) / (now - x[0]), (end - x[0]) / (now - x[0]))
    gain, fitted = fits.best(ys[:, None])
    middle = float(gain[0])
    rest = ys - fitted[:, 0]
    gains, _ = fits.best(fitted + _resampled(rest, np.random.default_rng(SEED)))
    low, high = np.quantile(gains, [0.1, 0.9])
    past = OF_PAST * _past_error(x, y, now, end)
    sure = np.sqrt((SIDE * OF_WALK * _walk(rest, fits.ahead)) ** 2 + (SIDE * OF_LEVEL * _level_error(y)) ** 2 + past**2)
    covered = float(np.quantile(ys, 0.95) - np.quantile(ys, 0.05)) * float(np.log(end / now)) ** 2
    above, below = (BETTER, WORSE) if sign > 0 else (WORSE, BETTER)
    down = np.sqrt((OF_RESAMPLES * (middle - min(low, middle))) ** 2 + sure**2 + (below * covered) ** 2)
    up = np.sqrt((OF_RESAMPLES * (max(high, middle) - middle)) ** 2 + sure**2 + (above * covered) ** 2)
    return Increment(middle, middle - float(down), middle + float(up))


@dataclass(frozen=True)
class _Fits:
    """The candidate laws on n points: their values there and at the end, and what solves each for its two numbers."""

    designs: list[FloatArray]  # (n, 1) the constant, (n, 2) the others
    solvers: list[FloatArray]  # (1 or 2, n)
    ends: list[float]  # the law's value at the end
    weight: FloatArray  # (n,) later points count more
    ahead: float  # points until the end, at the spacing so far

    @classmethod
    def of(cls, part: FloatArray, end: float) -> _Fits:
        """Return the laws for points at `part` (0 to 1, now) of the run so far, followed to `end` (1 and more)."""
        far = np.append(part, end) + SOON
        laws = [far**-power for power in POWERS] + [np.log(far)] + [np.exp(-rate * far) for rate in RATES]
        weight = np.sqrt(0.1 + part)
        ones = np.ones(len(part))
        designs = [ones[:, None], *(np.stack([ones, law[:-1]], axis=1) for law in laws)]
        solvers = [np.linalg.pinv(design * weight[:, None]) for design in designs]
        return cls(designs, solvers, [0.0, *(float(law[-1]) for law in laws)], weight, (end - 1) * len(part))

    def best(self, curves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return for curves (n, m) the increments (m,) by the law that fits each, and its values (n, m).

        The smallest AIC, corrected for few points (Hurvich and Tsai 1989), tells which fits.
        """
        n = len(self.weight)
        weighted = curves * self.weight[:, None]
        rounding = n * (ROUNDING * np.abs(curves).max(axis=0)) ** 2 + 1e-300
        least = np.full(curves.shape[1], np.inf)
        gain, fitted = np.zeros(curves.shape[1]), np.zeros_like(curves)
        for design, solver, end in zip(self.designs, self.solvers, self.ends, strict=True):
            numbers = solver @ weighted
            values = design @ numbers
            error = (((curves - values) * self.weight[:, None]) ** 2).sum(axis=0)
            free = 1 if design.shape[1] == 1 else 3  # the exponent is chosen too
            score = n * np.log(np.maximum(error, rounding) / n) + 2 * free * n / max(n - free - 1, 1)
            better = score < least
            least = np.where(better, score, least)
            if free > 1:
                gain = np.where(better, numbers[1] * (end - design[-1, 1]), gain)
            else:
                gain = np.where(better, 0.0, gain)
            fitted = np.where(better, values, fitted)
        return gain, fitted


def _resampled(rest: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return resamples (n, RESAMPLES) of residuals, in blocks of a sixth of them."""
    n = len(rest)
    block = max(1, n // 6)
    starts = rng.integers(0, n - block + 1, (RESAMPLES, -(-n // block)))
    places = (starts[:, :, None] + np.arange(block)).reshape(RESAMPLES, -1)[:, :n]
    return np.asarray(rest[places].T)


def _walk(rest: FloatArray, ahead: float) -> float:
    """Return how far residuals wander within `ahead` points: how much more far neighbours differ than near."""
    n = len(rest)
    lag = max(2, n // 5)
    if n <= lag + 3:
        return 0.0
    near, far = stats.spread(np.diff(rest)), stats.spread(rest[lag:] - rest[:-lag])
    return float(np.sqrt(max(0.0, (far**2 - near**2) / (lag - 1)) * max(ahead, 0.0)))


def _past_error(x: FloatArray, y: FloatArray, now: float, end: float) -> float:
    """Return how wrong the same was when now was as far ahead, in proportion, as the end is now; 0 if too short."""
    then = now * now / end
    there = int(np.searchsorted(x, then, side="right"))
    if there < LEAST or not x[there - 1] > x[0]:
        return 0.0
    xs, ys = stats.condense(x[:there], y[:there], POINTS)
    gain, _ = _Fits.of((xs - x[0]) / (then - x[0]), (now - x[0]) / (then - x[0])).best(ys[:, None])
    came = stats.edges(y)[1] - stats.edges(y[:there])[1]
    return abs(came - float(gain[0]))


def _level_error(y: FloatArray) -> float:
    """Return the standard error of the level at the end of a curve."""
    scatter = stats.noise(y[len(y) // 2 :]) if len(y) >= 8 else float(np.std(np.diff(y))) / 2**0.5
    return float(_OF_A_MEDIAN * scatter / stats.edges(y)[2] ** 0.5)
