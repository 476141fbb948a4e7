"""Limits, ticks and grid of a figure's axes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import Formatter, Locator, LogLocator, MaxNLocator, MultipleLocator, NullFormatter, NullLocator

from wandb_toolkit.plots.figures.alt_text import moment, position, tick_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.plots.charts import Line
    from wandb_toolkit.plots.figures.view import Theme, View

LARGEST = 1e300  # matplotlib cannot lay out more

_PRESSED = 1000  # the y axis leaves points out only where all others would share about one row of pixels ...
_RARE = 2.5  # ... and where they are this few, in percent, on either side
_MOST, _FLAT, _ENOUGH = 0.9, 0.05, 10
_OUTLIERS = 5.0  # percent on either side that --ignore-outliers leaves out
_MOST_DECADES = 15  # of a log axis; what is smaller is marked as beyond it
_TIME_STEPS = (0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_ROUND = [1, 2, 2.5, 5, 10]


def bare(axes: Axes, theme: Theme, size: float = 10.5) -> None:
    """Give the axes their look: a thin grid behind the data, and the base line as the only frame."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(theme.base)
    axes.set_facecolor(theme.paper)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=theme.grid, linewidth=0.8)
    axes.grid(axis="x", color=theme.grid, linewidth=0.4)
    axes.tick_params(which="both", length=0, labelsize=size, labelcolor=theme.muted, pad=7 * size / 10.5)
    axes.yaxis.set_major_formatter(_Numbers())
    axes.xaxis.label.set(color=theme.muted, fontsize=size)
    axes.xaxis.label.set_parse_math(False)
    axes.xaxis.labelpad = 6


def prepare(axes: Axes, curves: Sequence[Line], x_axis: str, view: View, *, ticks: tuple[int, int] = (8, 7)) -> None:
    """Set scale, limits and ticks for the curves. A log axis needs a value above 0, else it stays linear."""
    left = min((float(c.x[0]) for c in curves), default=0.0)
    right = max((float(c.x[-1]) for c in curves), default=1.0)
    axes.set_xlim(*_padded(left, right, 0.012))
    value = shown_values(curves)
    log = bool((value > 0).any()) if view.log_y else view.log_auto and is_flattened(value) and bool((value > 0).all())
    scale = "log" if log else "linear"
    if axes.get_yscale() != scale:
        axes.set_yscale(scale)
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(_Numbers())
    axes.set_ylim(*_y_limits(value, view, log=log))
    _x_ticks(axes, x_axis, ticks[0])
    if log:
        axes.yaxis.set_major_locator(_log_ticks(*axes.get_ylim()))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=ticks[1], steps=_ROUND) if len(value) else NullLocator())


def is_flattened(value: FloatArray) -> bool:
    """Whether nine in ten of the finite values would share a twentieth of a linear axis, as after a start of 300."""
    if len(value) < _ENOUGH:
        return False
    scaled = np.clip(value, -LARGEST, LARGEST) / LARGEST if np.abs(value).max() > 1e150 else value
    span = float(scaled.max() - scaled.min())
    most = np.sort(scaled)
    inside = most[int(_MOST * (len(most) - 1)) :] - most[: len(most) - int(_MOST * (len(most) - 1))]
    return span > 0 and float(inside.min()) < _FLAT * span


def shown_values(curves: Sequence[Line]) -> FloatArray:
    """Return the finite values that the y axis is for: those logged, and the edges of bands."""
    parts = [c.value for c in curves]
    parts += [edge for c in curves if c.band is not None for edge in (c.band.low, c.band.high)]
    value = np.concatenate(parts) if parts else np.zeros(0)
    return value[np.isfinite(value)]


def _log_ticks(low: float, high: float) -> Locator:
    decades = math.log10(high / low)
    if decades < 0.7:
        return MaxNLocator(nbins=7, steps=_ROUND)
    return LogLocator(base=10, subs=(1.0, 2.0, 5.0) if decades < 3 else (1.0,), numticks=9)


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    """The range with a little air; for one value, air in proportion to it."""
    size = max(abs(low), abs(high))
    air = (high - low) * share if high - low > 1e-12 * size else 0.1 * size or 1.0
    return low - air, high + air


def _y_limits(value: FloatArray, view: View, *, log: bool) -> tuple[float, float]:
    """The range of the values as the flags say; without the few that would press all the others into one row."""
    value = np.clip(value[value > 0] if log else value, -LARGEST, LARGEST)
    low, high = (0.0, 1.0) if not len(value) else usual_range(value, view, log=log)
    if view.y_limits is None:
        return low, high
    wanted_low, wanted_high = view.y_limits
    if wanted_low is not None and not (log and wanted_low <= 0):
        low, high = wanted_low, high if high > wanted_low else wanted_low + max(abs(wanted_low), 1.0)
    if wanted_high is not None and not (log and wanted_high <= 0):
        low, high = low if low < wanted_high else wanted_high - max(abs(wanted_high), 1.0), wanted_high
    if log and low <= 0:
        low = high / 1e3
    return low, high


def usual_range(value: FloatArray, view: View, *, log: bool) -> tuple[float, float]:
    """Return the range of an axis for these values, with a little air."""
    low, high = float(value.min()), float(value.max())
    if view.ignore_outliers:
        low, high = (float(v) for v in np.percentile(value, [_OUTLIERS, 100 - _OUTLIERS]))
    elif not log:
        usual = [float(v) for v in np.percentile(value, [_RARE, 100 - _RARE])]
        span = usual[1] - usual[0]
        if span > 0 and high - low > _PRESSED * span:
            inside = value[(value >= usual[0] - 2 * span) & (value <= usual[1] + 2 * span)]
            low, high = float(inside.min()), float(inside.max())
    if not log:
        return _padded(low, high, 0.06)
    low = max(low, high / 10.0**_MOST_DECADES, 1e-300)
    air = (high / low) ** 0.06 if high / low > 1 + 1e-9 else 1.25
    return low / air, min(high * air, LARGEST)


def beyond(axes: Axes, curve: Line) -> NDArray[np.bool_]:
    """Return which finite points lie outside the y axis."""
    low, high = axes.get_ylim()
    clipped = np.clip(curve.value, -LARGEST, LARGEST)
    outside: NDArray[np.bool_] = np.isfinite(curve.value) & ((clipped < low) | (clipped > high))
    return outside


def _x_ticks(axes: Axes, x_axis: str, most: int) -> None:
    low, high = axes.get_xlim()
    locator: Locator = MaxNLocator(nbins=most, steps=_ROUND, integer=x_axis == "_step")
    formatter: Formatter = _Numbers()
    if x_axis in ("_runtime", "_timestamp"):
        days = 86400.0 * math.ceil((high - low) / 86400 / most)
        locator = MultipleLocator(next((s for s in _TIME_STEPS if (high - low) / s <= most + 1), days))
        formatter = _Times(x_axis, high - low)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)


class _Numbers(Formatter):
    def __call__(self, x: float, pos: int | None = None) -> str:
        del pos
        return tick_labels([x])[0]

    def format_ticks(self, values: Any) -> list[str]:
        ticks = [float(v) for v in values]
        inside = [t for t in ticks if t > 0]
        if len(inside) == len(ticks) > 1 and max(ticks) / min(ticks) >= 50:  # a log axis: each by itself
            return [tick_labels([t])[0] for t in ticks]
        return tick_labels(ticks)


class _Times(Formatter):
    """Durations, or times of day."""

    def __init__(self, kind: str, span: float) -> None:
        self.kind = kind
        days = "%b %d" if span > 4 * 86400 else "%d %H:%M"
        self.shape = days if span > 86400 else "%H:%M" if span > 600 else "%H:%M:%S"

    def __call__(self, x: float, pos: int | None = None) -> str:
        del pos
        if self.kind == "_timestamp":
            return moment(x, self.shape)
        return "0" if abs(x) < 1e-9 else position(x, self.kind)
