"""The artists of one run's line, or of a group's mean with its band."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.lines import Line2D

from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.axes import LARGEST, beyond

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.plots.charts import Line
    from wandb_toolkit.plots.figures.view import Theme

_FEW_POINTS = 40  # up to here every point gets a dot
_SPARSE = 200  # up to here what was logged needs less fading behind its smoothed line
MANY_CURVES = 8  # beyond, what was logged fades further behind the smoothed lines
CROWD = 16  # beyond, it is not drawn: fifty faint lines are a fog
_STACK = 6  # rows of marks for non-finite points, so that runs do not hide each other's
_MOST_COUNTS = 4  # notes on how many runs are left, a group
_BAND = 0.18  # opacity
_GREY: dict[str, Any] = {"linewidth": 0.9, "zorder": 1.5}
_FRONT: dict[str, Any] = {"linewidth": 2.0, "alpha": 1.0}


def add_curve(
    axes: Axes,
    curve: Line,
    theme: Theme,
    *,
    columns: int,
    rows: int,
    full: bool,
    crowd: int,
    scale: float = 1.0,
    some_grey: bool = False,
) -> int:
    """Add the artists of one run's line; return how many of its points they show.

    Args:
        axes: with their limits set.
        curve: the line.
        theme: its colours.
        columns: pixel columns that the axes may have.
        rows: pixel rows of the axes.
        full: draw every point, whatever the columns can show.
        crowd: lines in the figure.
        scale: of line widths and marks.
        some_grey: the figure has grey lines, in front of which the others stand.
    """
    x, finite = curve.x, np.isfinite(curve.value)
    value = np.where(finite, np.clip(curve.value, -LARGEST, LARGEST), np.nan)
    style = _style(curve, theme)
    smooth = None if curve.held else curve.smooth  # what the bold line is
    main = value if smooth is None else np.clip(smooth, -LARGEST, LARGEST)
    drawn = 0
    if curve.band is not None:
        _add_band(axes, curve, style["color"])
    elif smooth is not None and crowd <= CROWD:
        drawn = _add_faint(axes, curve, value, style, columns=columns, rows=rows, full=full, crowd=crowd)
    kept = np.arange(len(x)) if full else marks.thin(x, main, columns)
    thick = (2.0 if crowd <= MANY_CURVES else 1.4) if smooth is not None else 1.8 if crowd <= MANY_CURVES else 1.3
    line = Line2D([], [], **style, linewidth=thick * scale, zorder=4 if smooth is not None else 3)
    if crowd > CROWD:
        line.set(linewidth=1.1 * scale, alpha=0.8)
    if some_grey:
        line.set(**_GREY if is_grey(curve) else _FRONT)
    if dash := marks.dashes_of(curve):
        line.set_dashes(dash)
    line.set_data(x[kept], main[kept])
    if curve.band is not None:
        _split_by_support(axes, line, curve, main, kept)
    add(axes, line, "raw" if smooth is None else "smooth", curve)
    if curve.held and curve.smooth is not None and crowd <= CROWD:
        average = Line2D(x, curve.smooth, **style, linewidth=1.0 * scale, alpha=0.45, zorder=2)
        add(axes, average, "smooth", curve)
    if smooth is None or crowd > CROWD or curve.band is not None:
        drawn = len(kept)
    dots = finite if finite.sum() <= _FEW_POINTS else marks.lonely(value)
    if dots.any() and curve.band is None:
        dot = Line2D(x[dots], value[dots], color=style["color"], linestyle="none", marker="o", zorder=3)
        single = finite.sum() == 1
        dot.set(markeredgewidth=0, markersize=(8 if single else 4.5) * scale, alpha=1 if smooth is None else 0.6)
        add(axes, dot, "dots", curve)
        drawn = min(len(x), drawn + int(dots.sum())) if drawn < len(x) else drawn
    if curve.band is None:
        _add_marks(axes, curve, theme, scale)
    return drawn


def _style(curve: Line, theme: Theme) -> dict[str, Any]:
    color = marks.color_of(curve, theme)
    return {"color": color, "solid_joinstyle": "round", "solid_capstyle": "round"}


def add(axes: Axes, line: Line2D, kind: str, curve: Line) -> None:
    """Add a line to the axes, named by what it is and whose."""
    line.set_gid(f"{kind}:{curve.label}")
    axes.add_line(line)


def _add_faint(
    axes: Axes,
    curve: Line,
    value: FloatArray,
    style: dict[str, Any],
    *,
    columns: int,
    rows: int,
    full: bool,
    crowd: int,
) -> int:
    """Add what was logged, behind its smoothed line; return how many points of it."""
    x = curve.x
    dense = len(x) > 4 * columns  # a filled area rather than a line
    faint = (0.16 if dense else 0.3 if len(x) > _SPARSE else 0.5) / (1 if crowd <= MANY_CURVES else 3)
    if beyond(axes, curve).any():  # a spike may carry the smoothed line away for long
        faint = 0.8
    area = None if full or axes.get_yscale() == "log" else marks.envelope(x, value, columns)
    if area is not None:
        low, high = axes.get_ylim()
        half = (high - low) / max(rows, 1)  # the line's own thickness
        middle, bottom, top = area
        _fill(axes, middle, bottom - half, top + half, style["color"], faint, 2, f"raw:{curve.label}")
        return len(marks.thin(x, value, columns))
    picked = np.arange(len(x)) if full else marks.thin(x, value, columns)
    raw = Line2D(x[picked], value[picked], **style, linewidth=0.9, alpha=faint, zorder=2)
    if full and dense:  # drawn in pieces, whose ends would show through each other
        raw.set(alpha=None, color=marks.blended(style["color"], axes.get_facecolor(), faint))
    add(axes, raw, "raw", curve)
    return len(picked)


def _fill(
    axes: Axes, x: FloatArray, low: FloatArray, high: FloatArray, color: str, alpha: float, zorder: int, gid: str
) -> None:
    corners = np.concatenate([np.column_stack([x, high]), np.column_stack([x, low])[::-1]])
    area = PolyCollection([corners], facecolors=color, edgecolors="none", alpha=alpha, zorder=zorder)
    area.set_gid(gid)
    axes.add_collection(area, autolim=False)


def _add_band(axes: Axes, curve: Line, color: str) -> None:
    assert curve.band is not None
    low, high = axes.get_ylim()
    floor = low if axes.get_yscale() == "log" else -LARGEST
    known = np.isfinite(curve.band.low) & np.isfinite(curve.band.high)
    edges = np.flatnonzero(np.diff(np.concatenate(([False], known, [False])).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        part = slice(begin, end)
        bottom = np.clip(curve.band.low[part], floor, LARGEST)
        top = np.clip(curve.band.high[part], floor, LARGEST)
        _fill(axes, curve.x[part], bottom, top, color, _BAND, 1, f"band:{curve.label}")
    del high


def _split_by_support(axes: Axes, line: Line2D, curve: Line, main: FloatArray, kept: Any) -> None:
    """Leave the solid line where all runs of the group are; dot it, with the number left, where they are fewer."""
    band = curve.band
    assert band is not None
    fewer = band.count < len(band.runs)
    if not fewer.any():
        return
    solid = np.where(fewer, np.nan, main)
    touching = fewer | np.append(fewer[1:], False) | np.append(False, fewer[:-1])
    rest = Line2D(curve.x[kept], np.where(touching, main, np.nan)[kept], color=line.get_color(), zorder=4)
    rest.set(linewidth=line.get_linewidth(), linestyle=(0, (1, 1.6)))
    add(axes, rest, "fewer", curve)
    line.set_ydata(solid[kept])
    drops = np.flatnonzero(np.diff(band.count) != 0) + 1
    for at in drops[:_MOST_COUNTS]:
        text = axes.annotate(
            f"n={int(band.count[at])}",
            (float(curve.x[at]), float(main[at])),
            xytext=(5, -13) if main[min(at + 2, len(main) - 1)] > main[at] else (5, 5),  # off the line
            textcoords="offset points",
            fontsize=8.5,
            color=line.get_color(),
            annotation_clip=True,
        )
        text.set_gid(f"count:{curve.label}")


def _add_marks(axes: Axes, curve: Line, theme: Theme, scale: float) -> None:
    """Mark what the line cannot show where it occurs: NaN, ±∞ (filled), values beyond the axis (hollow)."""
    low, high = axes.get_xlim()
    bottom, top = axes.get_ylim()
    middle = math.sqrt(bottom * top) if axes.get_yscale() == "log" else bottom / 2 + top / 2
    outside = beyond(axes, curve)
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
            line.set(markersize=6.5 * scale, markeredgewidth=1.7 * scale, zorder=5)
            line.set_color(marks.color_of(curve, theme))
            if name in ("above", "below"):
                line.set_markerfacecolor(theme.paper)
            line.set_transform(axes.get_xaxis_transform())
            add(axes, line, name, curve)


def is_grey(curve: Line) -> bool:
    """Whether a line is there for comparison only."""
    return curve.shade is not None and math.isnan(curve.shade)


def end_of(curve: Line) -> tuple[float, float]:
    """Where the last finite value was logged, and that value, never a smoothed one; −∞ where there is none."""
    finite = np.flatnonzero(np.isfinite(curve.value))
    if not len(finite):
        return float(curve.x[-1]), -math.inf
    return float(curve.x[finite[-1]]), float(curve.value[finite[-1]])
