"""W&B's smoothers: arrays in, an array of the same shape out.

The formulas are those of W&B's line plots,
https://docs.wandb.ai/models/app/features/panels/line-plot/smoothing. A NaN or ±Inf value is NaN in the
output at that point and weighs nothing at any other. Empty input gives empty output.
"""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

VIEWPORT_SCALE = 1000.0  # W&B: the chart's x range counts as this many steps of the plain average
MAX_SLIDER_WEIGHT = 0.999

Method = Literal["twema", "ema", "gaussian", "running_mean", "none"]
METHODS: tuple[Method, ...] = get_args(Method)
GAUSSIAN_REACH = 4.0  # standard deviations; farther points weigh less than 0.04 % of the nearest

# Pairs of points that the Gaussian adds up exactly; above, points are gathered on a grid first.
_MOST_PAIRS = 100_000_000
_GRID = 16  # cells a standard deviation
# Decay that one block of the vectorised recurrence may span: exp(30) costs no precision and cannot overflow.
_BLOCK_DECAY = 30.0
# Fewer points a block than this, and the plain loop is the faster one.
_SHORT_BLOCK = 16
# Above this, sums of values could overflow: they are scaled first.
_HUGE = 1e250


@dataclass(frozen=True)
class Smoothing:
    """Which smoother to draw, with its parameters."""

    method: Method = "twema"
    weight: float = 0.99  # twema, ema: w, in [0, 1)
    viewport_scale: float = VIEWPORT_SCALE  # twema
    window: int = 1  # centered_mean: points
    sigma: float = 1.0  # gaussian: standard deviation, in mean distances between the line's points
    exact: bool = False  # asked for: applied to every curve as it is

    def apply(self, x: FloatArray, value: FloatArray, range_x: float) -> FloatArray | None:
        """Return the smoothed values, None for the method none. `range_x` is the whole chart's."""
        if self.method == "twema":
            return time_weighted_ema(x, value, self.weight, range_x, self.viewport_scale)
        if self.method == "ema":
            return exponential_average(value, self.weight)
        if self.method == "gaussian":
            return gaussian(x, value, self.sigma)
        if self.method == "running_mean":
            return centered_mean(value, self.window)
        return None

    def describe(self) -> str:
        """Return the words that a figure carries, "" where nothing is smoothed."""
        if self.method == "twema":
            usual = self.viewport_scale == VIEWPORT_SCALE
            scale = "" if usual else f", viewport scale {self.viewport_scale:g}"
            return f"time-weighted EMA {self.weight:.4g}{scale}"
        if self.method == "ema":
            return f"EMA {self.weight:.4g}"
        if self.method == "gaussian":
            return f"Gaussian, σ {self.sigma:g} points"
        if self.method == "running_mean":
            return f"running mean of {self.window} points"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """Return the method and the parameters that count for it, for JSON."""
        counts = {
            "twema": ("weight", "viewport_scale"),
            "ema": ("weight",),
            "gaussian": ("sigma",),
            "running_mean": ("window",),
            "none": (),
        }
        return {"method": self.method, **{name: getattr(self, name) for name in counts[self.method]}}


def slider_weight(value: float) -> float:
    """Return the weight that a position (0 to 1) of the web page's smoothing slider stands for."""
    return min(math.sqrt(max(value, 0.0)), MAX_SLIDER_WEIGHT)


def time_weighted_ema(
    x: FloatArray,
    value: FloatArray,
    weight: float,
    range_x: float | None = None,
    viewport_scale: float = VIEWPORT_SCALE,
) -> FloatArray:
    """Return the debiased, time-weighted exponential moving average that W&B draws by default.

    With ``w_i = weight ** ((x_i - x_{i-1}) / range_x * viewport_scale)``, from zero::

        y_i = y_{i-1} * w_i + value_i
        d_i = d_{i-1} * w_i + 1
        output_i = y_i / d_i

    Args:
        x: ascending; where it falls back, no distance counts until it has passed its maximum again.
        value: the values at `x`.
        weight: in [0, 1); larger is smoother, 0 leaves the values as they are.
        range_x: the x range of the whole chart (all its runs); never taken smaller than that of `x`.
        viewport_scale: larger is less smooth.
    """
    import numpy as np

    x = np.asarray(x, dtype=np.float64)
    value = np.asarray(value, dtype=np.float64)
    out = np.full(len(value), np.nan)
    good = np.isfinite(value) & np.isfinite(x)
    if not good.any():
        return out
    place = np.maximum.accumulate(x[good])
    span = max(float(range_x or 0.0), float(place[-1] - place[0]))
    rate = _rate(weight) * viewport_scale / span if span > 0 else 0.0
    with np.errstate(over="ignore"):  # an infinite decay is a weight of 0
        out[good] = _decayed_mean(place, min(rate, sys.float_info.max), value[good])
    return out


def exponential_average(value: FloatArray, weight: float) -> FloatArray:
    """Return the plain debiased EMA: every finite point is one step from the last."""
    import numpy as np

    value = np.asarray(value, dtype=np.float64)
    out = np.full(len(value), np.nan)
    good = np.isfinite(value)
    if good.any():
        out[good] = _decayed_mean(np.arange(good.sum(), dtype=np.float64), _rate(weight), value[good])
    return out


def _rate(weight: float) -> float:
    return -math.log(weight) if weight > 0 else 1e9  # nothing is left after the smallest step


def gaussian(x: FloatArray, value: FloatArray, sigma: float) -> FloatArray:
    """Return the mean of all points, each weighed by a normal distribution around the point's x.

    Args:
        x: ascending.
        value: the values at `x`.
        sigma: the standard deviation, in mean distances between neighbouring finite points: where they are evenly
            spaced, in points. Points beyond `GAUSSIAN_REACH` of them weigh nothing.
    """
    import numpy as np

    x = np.asarray(x, dtype=np.float64)
    value = np.asarray(value, dtype=np.float64)
    out = np.full(len(value), np.nan)
    good = np.isfinite(value) & np.isfinite(x)
    if not good.any():
        return out
    place, known = np.maximum.accumulate(x[good]), value[good]
    width = sigma * float(place[-1] - place[0]) / max(len(place) - 1, 1)
    if not width > 0:
        out[good] = known
        return out
    largest = max(float(np.abs(known).max()), 1e-300)
    scaled = known / largest if largest > _HUGE else known
    place = (place - place[0]) / width
    last = np.searchsorted(place, place + GAUSSIAN_REACH, "right")
    reach = int((last - np.arange(len(place))).max())
    if reach * len(place) > _MOST_PAIRS:
        smooth = _gaussian_on_grid(place, scaled)
    else:
        tops, bottoms = scaled.copy(), np.ones(len(place))
        for ahead in range(1, reach):
            gap = place[ahead:] - place[:-ahead]
            weight = np.where(gap <= GAUSSIAN_REACH, np.exp(-0.5 * gap * gap), 0.0)
            tops[:-ahead] += weight * scaled[ahead:]
            tops[ahead:] += weight * scaled[:-ahead]
            bottoms[:-ahead] += weight
            bottoms[ahead:] += weight
        smooth = tops / bottoms
    out[good] = smooth * largest if largest > _HUGE else smooth
    return out


def _gaussian_on_grid(place: FloatArray, value: FloatArray) -> FloatArray:
    """Approximate the above for very many points: those of one cell, a 16th of a deviation wide, count as one place."""
    import numpy as np

    cell = np.floor(place * _GRID).astype(np.int64)
    cells, at = np.unique(cell, return_inverse=True)
    counts, sums = np.bincount(at).astype(np.float64), np.bincount(at, weights=value)
    centre = cells / _GRID
    tops, bottoms = sums.copy(), counts.copy()
    for ahead in range(1, min(len(cells), int(GAUSSIAN_REACH * _GRID) + 1)):
        gap = centre[ahead:] - centre[:-ahead]
        weight = np.where(gap <= GAUSSIAN_REACH, np.exp(-0.5 * gap * gap), 0.0)
        tops[:-ahead] += weight * sums[ahead:]
        tops[ahead:] += weight * sums[:-ahead]
        bottoms[:-ahead] += weight * counts[ahead:]
        bottoms[ahead:] += weight * counts[:-ahead]
    smooth: FloatArray = (tops / bottoms)[at]
    return smooth


def centered_mean(value: FloatArray, window: int) -> FloatArray:
    """Return the mean of the `window` points around each point, itself in the middle (W&B's running average).

    An even window looks one point further back than ahead. At the ends, and where points are not finite, the
    mean is over the points that are there.
    """
    import numpy as np

    value = np.asarray(value, dtype=np.float64)
    good = np.isfinite(value)
    out = np.full(len(value), np.nan)
    if not good.any():
        return out
    window = min(window, 2 * len(value))
    ahead = (window - 1) // 2
    padded = np.pad(np.where(good, value, 0.0), (window - 1 - ahead, ahead))
    counted = np.pad(good.astype(np.float64), (window - 1 - ahead, ahead))
    out[good] = (_window_sums(padded, window) / np.maximum(_window_sums(counted, window), 1.0))[good]
    return out


def _window_sums(padded: FloatArray, window: int) -> FloatArray:
    """Sums of `window` neighbours, from sums within aligned blocks: a huge value spoils only its own."""
    import numpy as np

    count = len(padded) - window + 1
    blocks = np.zeros((-(-len(padded) // window) + 1, window))
    blocks.ravel()[: len(padded)] = padded
    left = np.cumsum(blocks, axis=1)  # from the start of a block
    right = np.cumsum(blocks[:, ::-1], axis=1)[:, ::-1]  # to the end of a block
    start = np.arange(count)
    last = start + window - 1
    sums: FloatArray = right.ravel()[start] + left.ravel()[last]
    whole = start % window == 0  # one block exactly: counted twice above
    sums[whole] = right.ravel()[start[whole]]
    return sums


def _decayed_mean(place: FloatArray, rate: float, value: FloatArray) -> FloatArray:
    """Solve the recurrence with ``w_i = exp(-rate * (place_i - place_{i-1}))``; `place` ascends.

    Within a block, ``y_i = exp(-L_i) * cumsum(value_j * exp(L_j))`` where L is the decay since the block's
    start. The terms grow with j, so that rounding errors fade as they do in the plain recurrence.
    """
    import numpy as np

    largest = float(np.abs(value).max())
    if largest > _HUGE:
        return _decayed_mean(place, rate, value / largest) * largest
    total = rate * (place[-1] - place[0])
    blocks = int(total / _BLOCK_DECAY) + 1 if math.isfinite(total) else len(value)
    if blocks > 1 and blocks * _SHORT_BLOCK > len(value):
        return _plain_recurrence(place, rate, value)
    starts = np.searchsorted((place - place[0]) * rate, np.arange(blocks) * _BLOCK_DECAY)
    edges = np.unique([*starts, len(value)]).tolist()
    out = np.empty(len(value))
    y = d = 0.0
    reached = place[0]
    for begin, end in itertools.pairwise(edges):
        growth = np.exp((place[begin:end] - place[begin]) * rate)
        carried = math.exp((reached - place[begin]) * rate)
        tops = (np.cumsum(value[begin:end] * growth) + y * carried) / growth
        bottoms = (np.cumsum(growth) + d * carried) / growth
        out[begin:end] = tops / bottoms
        y, d, reached = float(tops[-1]), float(bottoms[-1]), place[end - 1]
    return out


def _plain_recurrence(place: FloatArray, rate: float, value: FloatArray) -> FloatArray:
    import numpy as np

    y = d = 0.0
    out = []
    weights = np.exp(-rate * np.diff(place, prepend=place[0]))
    for w, v in zip(weights.tolist(), value.tolist(), strict=True):
        y, d = y * w + v, d * w + 1.0
        out.append(y / d)
    return np.array(out)
