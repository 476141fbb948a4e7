"""Limits, ticks and grid of a figure's axes, and the artists of one run's line."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter, Locator, MaxNLocator, MultipleLocator, NullLocator

from wandb_toolkit.render import figure_marks as marks
from wandb_toolkit.render.figure_text import moment, position, tick_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from wandb_toolkit.charts import Curve
    from wandb_toolkit.model import FloatArray

INK, MUTED, GRID, BASE = "#1F2328", "#5B636C", "#E4E7EB", "#A0A7AF"
LARGEST = 1e300  # matplotlib cannot lay out more

_FEW_POINTS = 25  # up to here every point gets a dot
_SPARSE = 200  # up to here what was logged needs less fading behind its smoothed line
_MANY_CURVES = 8  # beyond, what was logged fades further behind the smoothed lines
_PRESSED = 1000  # the y axis leaves points out only where all others would share about one row of pixels ...
_RARE = 2.5  # ... and where they are this few, in percent, on either side
_STACK = 6  # rows of marks for non-finite points, so that runs do not hide each other's
_TIME_STEPS = (0.1, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)
_ROUND = [1, 2, 2.5, 5, 10]


def bare(axes: Axes) -> None:
    """Give the axes their look: a thin grid behind the data, and the base line as the only frame."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(BASE)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.grid(axis="x", color=GRID, linewidth=0.4)
    axes.tick_params(length=0, labelsize=10.5, labelcolor=MUTED, pad=7)
    axes.yaxis.set_major_formatter(_Numbers())
    axes.xaxis.label.set(color=MUTED, fontsize=10.5)
    axes.xaxis.label.set_parse_math(False)
    axes.xaxis.labelpad = 6


def prepare(axes: Axes, curves: Sequence[Curve], x_axis: str) -> None:
    """Set limits and ticks for the curves."""
    left = min((float(c.x[0]) for c in curves), default=0.0)
    right = max((float(c.x[-1]) for c in curves), default=1.0)
    axes.set_xlim(*_padded(left, right, 0.012))
    value = np.concatenate([c.value[np.isfinite(c.value)] for c in curves]) if curves else np.zeros(0)
    axes.set_ylim(*_y_limits(value))
    _x_ticks(axes, x_axis)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=7, steps=_ROUND) if len(value) else NullLocator())


def _padded(low: float, high: float, share: float) -> tuple[float, float]:
    """The range with a little air; for one value, air in proportion to it."""
    size = max(abs(low), abs(high))
    air = (high - low) * share if high - low > 1e-12 * size else 0.1 * size or 1.0
    return low - air, high + air


def _y_limits(value: FloatArray) -> tuple[float, float]:
    """The range of the finite values; without the few that would press all the others into one row of pixels."""
    if not len(value):
        return 0.0, 1.0
    value = np.clip(value, -LARGEST, LARGEST)
    low, high = float(value.min()), float(value.max())
    usual = [float(v) for v in np.percentile(value, [_RARE, 100 - _RARE])]
    span = usual[1] - usual[0]
    if span > 0 and high - low > _PRESSED * span:
        inside = value[(value >= usual[0] - 2 * span) & (value <= usual[1] + 2 * span)]
        low, high = float(inside.min()), float(inside.max())
    return _padded(low, high, 0.06)


def beyond(axes: Axes, curve: Curve) -> NDArray[np.bool_]:
    """Return which finite points lie outside the y axis."""
    low, high = axes.get_ylim()
    clipped = np.clip(curve.value, -LARGEST, LARGEST)
    outside: NDArray[np.bool_] = np.isfinite(curve.value) & ((clipped < low) | (clipped > high))
    return outside


def _x_ticks(axes: Axes, x_axis: str) -> None:
    low, high = axes.get_xlim()
    locator: Locator = MaxNLocator(nbins=8, steps=_ROUND, integer=x_axis == "_step")
    formatter: Formatter = _Numbers()
    if x_axis in ("_runtime", "_timestamp"):
        days = 86400.0 * math.ceil((high - low) / 86400 / 8)
        locator = MultipleLocator(next((s for s in _TIME_STEPS if (high - low) / s <= 9), days))
        formatter = _Times(x_axis, high - low)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(formatter)


class _Numbers(Formatter):
    def __call__(self, x: float, pos: int | None = None) -> str:
        del pos
        return tick_labels([x])[0]

    def format_ticks(self, values: Any) -> list[str]:
        return tick_labels([float(v) for v in values])


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


def add_curve(axes: Axes, curve: Curve, *, columns: int, full: bool, crowd: int) -> int:
    """Add the artists of one run's line; return how many of its points they show.

    Args:
        axes: with their limits set.
        curve: the line.
        columns: pixel columns that the axes may have.
        full: draw every point, whatever the columns can show.
        crowd: lines in the figure.
    """
    x, finite = curve.x, np.isfinite(curve.value)
    value = np.where(finite, np.clip(curve.value, -LARGEST, LARGEST), np.nan)
    style: dict[str, Any] = {"color": marks.color(curve.index), "solid_joinstyle": "round", "solid_capstyle": "round"}
    raw = Line2D([], [], **style, linewidth=1.8 if crowd <= _MANY_CURVES else 1.3, zorder=3)
    if curve.smooth is not None:
        kept = np.arange(len(x)) if full else marks.thin(x, curve.smooth, columns)
        bold = Line2D(x[kept], np.clip(curve.smooth[kept], -LARGEST, LARGEST), **style, zorder=4)
        bold.set_linewidth(2.0 if crowd <= _MANY_CURVES else 1.4)
        _add(axes, bold, "smooth", curve)
        faint = (0.3 if len(x) > _SPARSE else 0.5) / (1 if crowd <= _MANY_CURVES else 3)
        if beyond(axes, curve).any():  # a spike may carry the smoothed line away for long
            faint = 0.8
        raw.set(linewidth=0.9, alpha=faint, zorder=2)
    picked = np.arange(len(x)) if full else marks.thin(x, value, columns)
    raw.set_data(x[picked], value[picked])
    _add(axes, raw, "raw", curve)
    if dash := marks.dashes(curve.index):
        (raw if curve.smooth is None else bold).set_dashes(dash)
    dots = finite if finite.sum() <= _FEW_POINTS else marks.lonely(value)
    if dots.any():
        dot = Line2D(x[dots], value[dots], color=style["color"], linestyle="none", marker="o", zorder=3)
        single = finite.sum() == 1
        dot.set(markeredgewidth=0, markersize=8 if single else 4.5, alpha=1 if curve.smooth is None else 0.6)
        _add(axes, dot, "dots", curve)
    _add_marks(axes, curve)
    return len(np.union1d(picked, np.flatnonzero(dots)))


def _add(axes: Axes, line: Line2D, kind: str, curve: Curve) -> None:
    line.set_gid(f"{kind}:{curve.label}")
    axes.add_line(line)


def _add_marks(axes: Axes, curve: Curve) -> None:
    """Mark what the line cannot show where it occurs: NaN, ±∞ (filled), values beyond the axis (hollow)."""
    low, high = axes.get_xlim()
    outside, middle = beyond(axes, curve), sum(axes.get_ylim()) / 2
    lift = 0.026 * (curve.index % _STACK)
    kinds = (
        ("nan", np.isnan(curve.value), "x", 0.02 + lift),
        ("+inf", np.isposinf(curve.value), "^", 0.98 - lift),
        ("-inf", np.isneginf(curve.value), "v", 0.02 + lift),
        ("above", outside & (curve.value > middle), "^", 0.98 - lift),
        ("below", outside & (curve.value < middle), "v", 0.02 + lift),
    )
    for name, where, marker, height in kinds:
        if where.any():
            places = marks.spaced(curve.x[where], (high - low) / 90)
            line = Line2D(places, np.full(len(places), height), linestyle="none", marker=marker)
            line.set(markersize=6.5, markeredgewidth=1.7, color=marks.color(curve.index), zorder=5)
            if name in ("above", "below"):
                line.set_markerfacecolor("white")
            line.set_transform(axes.get_xaxis_transform())
            _add(axes, line, name, curve)


def end_of(curve: Curve) -> tuple[float, float]:
    """Where the (smoothed) line of a run ends; −∞ where it has no finite point."""
    line = curve.value if curve.smooth is None else curve.smooth
    finite = np.flatnonzero(np.isfinite(line))
    if not len(finite):
        return float(curve.x[-1]), -math.inf
    return float(curve.x[finite[-1]]), float(line[finite[-1]])
