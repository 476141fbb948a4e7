"""Robust statistics of one curve: arrays in, arrays or numbers out.

Every function takes finite values in the order of their x and has a defined answer for a short input (NaN, False, or
an empty array). `finite` makes such arrays out of a logged series. All is vectorised, and shapes are judged on at
most 400 block medians, so that a series of 100,000 points takes milliseconds.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wandb_toolkit.model import FloatArray

_MAD_TO_SIGMA = 1.4826  # a normal sample's standard deviation over its median absolute deviation
_MEDIAN_ERROR = 1.2533  # a median's standard error over a mean's
_BARS = "▁▂▃▄▅▆▇█"


def finite(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the points whose two coordinates are finite."""
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def fillers(y: FloatArray) -> NDArray[np.bool_]:
    """Return which zeros only fill the rows between values logged in a fixed rhythm; none where there is no rhythm.

    More than half of the rows are exactly 0, the others lie equally far apart (nine in ten of the gaps), and there are
    five of them at least.
    """
    none = np.zeros(len(y), dtype=bool)
    zero = y == 0.0
    if len(y) < 10 or zero.mean() <= 0.5:
        return none
    gaps = np.diff(np.flatnonzero(~zero))
    if len(gaps) < 4:
        return none
    usual = int(np.median(gaps))
    return zero if usual > 1 and float(np.mean(gaps == usual)) >= 0.9 else none


def median(values: FloatArray) -> float:
    """Return the median, NaN of nothing; much faster than numpy's if short."""
    n = len(values)
    if n == 0:
        return float("nan")
    ordered = np.sort(values)
    return float(ordered[n // 2]) if n % 2 else float(ordered[n // 2 - 1]) / 2 + float(ordered[n // 2]) / 2


def quantile(values: FloatArray, part: float) -> float:
    """Return a quantile, linear between neighbours, NaN of nothing; much faster than numpy's if short."""
    n = len(values)
    if n == 0:
        return float("nan")
    ordered = np.sort(values)
    place = part * (n - 1)
    low = int(place)
    below, above = float(ordered[low]), float(ordered[min(low + 1, n - 1)])
    return below + (place - low) * (above - below)


TAIL_SHARE = 0.1  # of the points, for a level at the end
HEAD_SHARE = 0.02  # for where a curve starts: most change fastest there
EDGE_MOST = 20  # points


def edges(values: FloatArray) -> tuple[float, float, int]:
    """Return where a curve starts and ends, as medians of its first and last points, and how many the last ones are.

    Points that are not finite are left out; NaN where nothing is left. These are the levels that tables, figures and
    sentences say.
    """
    tail = min(max(round(len(values) * TAIL_SHARE), 1), EDGE_MOST)
    head = min(max(round(len(values) * HEAD_SHARE), 1), EDGE_MOST)
    finite, last = values[np.isfinite(values)], values[-tail:]
    end = median(last[np.isfinite(last)])
    return _start(finite, head, end), end, tail


def _start(values: FloatArray, head: int, end: float, steep: float = 4.0) -> float:
    """Return where finite values start: the median of the first ones, the very first where they change steeply.

    A loss that falls to half within the first 2% of the points starts at its first value, not half way down: where all
    of a head's first third lie on one side of all of its last third, by `steep` times the scatter about there, or the
    first value alone lies as far above all others of the head.
    """
    first = values[:head]
    if len(first) < 2:
        return median(first)
    third = max(1, len(first) // 3)
    early, late = first[:third], first[-third:]
    apart = max(float(early.min() - late.max()), float(late.min() - early.max()))
    begin, rest = float(first[0]), first[1:]
    way = median(first) - begin
    if (end - begin) * way <= 0.5 * way * way:
        return median(first)  # it comes back there: what was logged first is the beginning of a running mean
    if abs(begin - median(first)) < abs(median(early) - median(first)):
        return median(first)
    off = begin - float(rest.max())  # a running mean may begin far below by its first value alone
    apart = apart if off <= float(np.ptp(rest)) or len(rest) < 2 else max(apart, off)
    return begin if apart > 0 and apart > steep * noise(values[head : 4 * head + 8]) else median(first)


def spread(values: FloatArray) -> float:
    """Return a robust standard deviation; where most values are equal, one from the mean absolute deviation."""
    apart = np.abs(values - median(values))
    robust = median(apart) * _MAD_TO_SIGMA
    return robust if robust > 0 else float(np.mean(apart)) * 1.2533


def noise(y: FloatArray) -> float:
    """Return the standard deviation of the point-to-point scatter, blind to trends and outliers; NaN below 4 points.

    From differences of neighbours, and from second differences, which a bent curve does not disturb: the smaller.
    A constant has the noise 0.
    """
    if len(y) < 4:
        return float("nan")
    if len(y) > 20_000:  # ten stretches of 2,000 points tell it as well
        starts = np.linspace(0, len(y) - 2000, 10).astype(int)
        y = y[starts[:, None] + np.arange(2000)]
    return min(spread(np.diff(y).ravel()) / 2**0.5, spread(np.diff(y, n=2).ravel()) / 6**0.5)


def running_median(y: FloatArray, window: int) -> FloatArray:
    """Return the centred running median; the window shrinks symmetrically towards both ends."""
    half = min(window // 2, (len(y) - 1) // 2)
    if half < 1:
        return y
    out = y.copy()
    out[half : len(y) - half] = np.median(sliding_window_view(y, 2 * half + 1), axis=1)
    out[:half] = _growing_medians(y, half)
    out[len(y) - half :] = _growing_medians(y[::-1], half)[::-1]
    edge = half // 2 + 1  # a single end point is as noisy as the raw curve: the median of the nearest few instead
    if half > 1:
        out[0], out[-1] = median(y[:edge]), median(y[-edge:])
    return out


def _growing_medians(y: FloatArray, count: int) -> list[float]:
    """Return the medians of the first 1, 3, 5, ... points."""
    before: list[float] = []
    out = []
    for i, value in enumerate(y[: 2 * count - 1].tolist()):
        insort(before, value)
        if i % 2 == 0:
            out.append(before[i // 2])
    return out


def running_mean(y: FloatArray, window: int) -> FloatArray:
    """Return the centred running mean; the window shrinks at both ends."""
    half = min(window // 2, (len(y) - 1) // 2)
    if half < 1:
        return y
    total = np.concatenate([[0.0], np.cumsum(y)])
    at = np.arange(len(y))
    reach = np.minimum(half, np.minimum(at, len(y) - 1 - at))  # symmetric, so that a slope does not bias the ends
    return np.asarray((total[at + reach + 1] - total[at - reach]) / (2 * reach + 1))


def trailing_median(y: FloatArray, window: int) -> FloatArray:
    """Return, for every point, the median of the `window` points before it; NaN while there are fewer than 3."""
    return trailing_quantile(y, window, 0.5)


def trailing_quantile(y: FloatArray, window: int, part: float) -> FloatArray:
    """Return, for every point, a quantile of the `window` points before it; NaN while there are fewer than 3."""
    out = np.full(len(y), np.nan)
    if len(y) < 4:
        return out
    window = max(3, min(window, len(y) - 1))
    blocks = sliding_window_view(y[:-1], window)
    out[window:] = np.median(blocks, axis=1) if part == 0.5 else np.quantile(blocks, part, axis=1)
    before: list[float] = []  # in order
    for i, value in enumerate(y[:window].tolist()):
        if i >= 3:
            place = part * (i - 1)
            low = int(place)
            out[i] = before[low] + (place - low) * (before[min(low + 1, i - 1)] - before[low])
        insort(before, value)
    return out


def condense(x: FloatArray, y: FloatArray, most: int = 400) -> tuple[FloatArray, FloatArray]:
    """Return at most `most` points: the middle x and the median y of equally long blocks."""
    n = len(y)
    if n <= most:
        return x, y
    size = -(-n // most)
    whole = n // size * size
    xs = (x[:whole:size] + x[size - 1 : whole : size]) / 2
    ys = np.median(y[:whole].reshape(-1, size), axis=1)
    if whole < n and n - whole > size // 2:
        xs, ys = np.append(xs, (x[whole] + x[-1]) / 2), np.append(ys, np.median(y[whole:]))
    return xs, ys


@dataclass(frozen=True, eq=False)
class Trend:
    """A curve without its scatter, on at most 400 points."""

    x: FloatArray
    y: FloatArray  # smoothed
    raw: FloatArray  # the block medians that were smoothed
    window: int  # points of `raw` that a point of `y` stands for
    error: float  # standard error of a point of `y`
    low: float  # the run's x range, which the ends of a condensed curve do not quite reach
    high: float

    @cached_property
    def part(self) -> FloatArray:
        """How far into the run each point lies, 0 to 1."""
        width = self.high - self.low
        return (self.x - self.low) / width if width > 0 else np.zeros(len(self.x))

    @property
    def start(self) -> float:
        """The level at the start."""
        return float(self.y[0])

    @property
    def end(self) -> float:
        """The level at the end."""
        return float(self.y[-1])

    def level(self, since: float, until: float = 1.0) -> float:
        """Return the median of the raw points in a part of the run, or of the nearest where it holds none."""
        inside = (self.part >= since) & (self.part <= until)
        if not inside.any():
            inside = np.abs(self.part - (since + until) / 2) == np.abs(self.part - (since + until) / 2).min()
        return median(self.raw[inside])


def trend(x: FloatArray, y: FloatArray, detail: float = 0.02) -> Trend:
    """Return the curve's course. The window is as wide as the noise asks for: an error of `detail` of the range.

    It is between 3 points and a tenth of the curve; below 8 points nothing is smoothed.
    """
    if len(y) == 0:
        empty = np.empty(0)
        return Trend(empty, empty, empty, 1, float("nan"), float("nan"), float("nan"))
    xs, ys = condense(x, y)
    scatter = noise(ys)
    window = 1
    if len(ys) >= 8 and scatter > 0:
        rough = running_median(ys, 5)
        reach = float(np.ptp(rough))
        wanted = min(scatter / (detail * reach), 1e6) ** 2 if 0 < detail * reach < np.inf else np.inf
        window = int(min(max(wanted, 3), max(3, len(ys) // 10))) | 1
    smoothed = running_mean(running_median(ys, window), window)
    error = scatter * _MEDIAN_ERROR / window**0.5
    return Trend(xs, smoothed, ys, window, error, float(x[0]), float(x[-1]))


def first_beyond(x: FloatArray, beyond: NDArray[np.bool_], low: float, high: float, least: int = 5) -> float | None:
    """Return the x of the first point in [low, high] from which most of the next `least` points are `beyond`.

    What was found on a condensed curve is placed on the whole one; None where the whole one does not show it.
    """
    for at in np.flatnonzero(beyond & (x >= low) & (x <= high)):
        if float(np.mean(beyond[at : at + least])) > 0.5:
            return float(x[at])
    return None


def rising(y: FloatArray, most: int = 200) -> float:
    """Return how surely a curve rises, as Mann-Kendall's normal deviate; negative where it falls, 0 if too short."""
    if len(y) > most:
        y = condense(np.arange(len(y), dtype=np.float64), y, most)[1]
    n = len(y)
    if n < 4:
        return 0.0
    score = float(np.sign(y[None, :] - y[:, None])[np.triu_indices(n, 1)].sum())
    variance = n * (n - 1) * (2 * n + 5) / 18
    return float((score - np.sign(score)) / variance**0.5)


def rank_trend(y: FloatArray, most: int = 200) -> float:
    """Return Kendall's tau of a curve against its order, -1 to 1; 0 below 3 points."""
    if len(y) > most:
        y = condense(np.arange(len(y), dtype=np.float64), y, most)[1]
    n = len(y)
    if n < 3:
        return 0.0
    return float(np.sign(y[None, :] - y[:, None])[np.triu_indices(n, 1)].sum()) / (n * (n - 1) / 2)


def stretches(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs of True as (first, one past the last) pairs."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def lasting(mask: NDArray[np.bool_]) -> int | None:
    """Return the index from which the mask is True to the end; None when it ends False."""
    if len(mask) == 0 or not mask[-1]:
        return None
    false = np.flatnonzero(~mask)
    return int(false[-1]) + 1 if len(false) else 0


def bend(x: FloatArray, y: FloatArray) -> tuple[int, float, float]:
    """Return where a curve bends: the best fit by two joined straight lines.

    (index of the joint, value of the first line there, its slope). A curve without a bend bends at its start. The
    first line is what the curve's course had been. Below 6 points, or beyond what a fit bears: (0, first value, 0).
    """
    n = len(y)
    if n < 6 or not _fitted(y):
        return 0, float(y[0]) if n else float("nan"), 0.0
    scale = float(x[-1] - x[0]) or 1.0
    t = (x - x[0]) / scale
    best: tuple[float, int, float, float] | None = None
    for joint in np.unique(np.linspace(0, n - 3, min(n - 2, 80)).astype(int)):
        past = np.maximum(t - t[joint], 0)
        columns = [np.ones(n), past] if joint < 3 else [np.ones(n), t - t[joint], past]
        design = np.stack(columns, axis=1)
        solution, *_ = np.linalg.lstsq(design, y, rcond=None)
        residual = float(np.sum(np.abs(y - design @ solution)))
        if best is None or residual < best[0] * (1 - 1e-9):
            best = (residual, int(joint), float(solution[0]), 0.0 if joint < 3 else float(solution[1]) / scale)
    assert best is not None
    return best[1], best[2], best[3]


def _fitted(y: FloatArray) -> bool:
    """Whether a least-squares fit, which squares the values, has an answer."""
    return bool(np.all(np.abs(y) < 1e100))


def last_fifth(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Return what the last fifth of the x range brought, and the standard error of that.

    NaN below 8 points and beyond 1e100. From a parabola through the last 60% of the range, which follows a
    curve that levels off.
    """
    if len(y) < 8 or not _fitted(y):
        return float("nan"), float("nan")
    t = (x - x[0]) / (float(x[-1] - x[0]) or 1.0)
    late = t >= 0.4
    if late.sum() < 5:
        late = np.arange(len(t)) >= len(t) - 5
    t, y = t[late], np.asarray(y[late], dtype=np.float64)
    design = np.stack([np.ones(len(t)), t, t**2], axis=1)
    weight = np.ones(len(t))
    solution = np.zeros(3)
    for _ in range(4):  # reweighted: outliers do not turn the parabola
        fit = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
        solution = np.asarray(fit, dtype=np.float64)
        apart = np.abs(y - design @ solution)
        limit = 2 * float(np.median(apart)) * _MAD_TO_SIGMA
        weight = np.sqrt(np.minimum(1.0, limit / np.maximum(apart, 1e-300))) if limit > 0 else weight
    residual = y - design @ solution
    variance = float(np.sum((weight * residual) ** 2)) / max(len(t) - 3, 1)
    # Neighbouring errors that resemble each other are fewer errors than they seem.
    power = float(residual @ residual)
    alike = min(max(float(residual[1:] @ residual[:-1]) / power, 0.0), 0.95) if power > 0 else 0.0
    variance *= (1 + alike) / (1 - alike)
    contrast = np.array([0.0, 0.2, 1.0 - 0.8**2])
    covariance = np.linalg.pinv((design * weight[:, None]).T @ (design * weight[:, None])) * variance
    return float(contrast @ solution), float(np.sqrt(max(contrast @ covariance @ contrast, 0.0)))


def restarts(values: FloatArray, few: int = 5, most: float = 0.7, little: float = 0.3) -> bool:
    """Return whether a curve, more being better, falls back to its start from one point to the next and rises again."""
    if len(values) < 4 * few:
        return False
    low, high = quantile(values, 0.02), quantile(values, 0.98)
    if high <= low:
        return False
    part = (values - low) / (high - low)
    for at in np.flatnonzero((part[:-1] > most) & (part[1:] < little)):
        before, after = part[max(0, at - few + 1) : at + 1], part[at + 1 : at + 4]
        if median(before) > most and bool((after < most).all()) and float(np.max(part[at + 1 :])) > most:
            return True
    return False


def sparkline(y: FloatArray, width: int = 40) -> str:
    """Return a curve as at most `width` block characters; what is not finite is shown as "·"."""
    values = np.asarray(y, dtype=np.float64)
    if len(values) == 0:
        return ""
    edges = np.linspace(0, len(values), min(width, len(values)) + 1).astype(int)
    points = np.array([_middle(values[a:b]) for a, b in pairwise(edges)])
    good = np.isfinite(points)
    if not good.any():
        return "·" * len(points)
    points[good] /= max(float(np.abs(points[good]).max()), 1.0)  # so that no difference overflows
    low, high = float(points[good].min()), float(points[good].max())
    span, top = high - low or 1.0, len(_BARS) - 1
    return "".join(_BARS[round((p - low) / span * top)] if np.isfinite(p) else "·" for p in points)


def _middle(values: FloatArray) -> float:
    good = values[np.isfinite(values)]
    return median(good) if len(good) * 2 > len(values) else float("nan")
