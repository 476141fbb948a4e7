"""The line under a figure's title: what is drawn and how, and all that a reader might otherwise miss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.plots.figures.alt_text import short
from wandb_toolkit.plots.figures.axes import beyond, is_flattened, shown_values
from wandb_toolkit.plots.figures.lines import CROWD
from wandb_toolkit.plots.grouping import CONFIDENCE
from wandb_toolkit.plots.steadiness import FEW

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wandb_toolkit.plots.charts import Chart, Line
    from wandb_toolkit.plots.figures.view import View

BANDS = {
    "std": "± 1 standard deviation",
    "minmax": "lowest to highest run",
    "ci": f"{CONFIDENCE:.0%} confidence interval of the mean (bootstrap)",
}


def subtitle(axes: Axes, chart: Chart, view: View, drawn: tuple[int, ...]) -> str:
    """Return one line on what is drawn and how."""
    single = len(chart.curves) == 1 and chart.curves[0].band is None
    parts = [chart.curves[0].label] if single else []
    band = next((curve.band for curve in chart.curves if curve.band), None)
    smooth = any(curve.smooth is not None and not curve.held for curve in chart.curves)
    held = [curve for curve in chart.curves if curve.held]
    if band is not None:
        parts.append(f"mean of runs, {BANDS[band.kind]}" + (f", {chart.smoothing.describe()}" if smooth else ""))
        if any(c.band is not None and (c.band.count < len(c.band.runs)).any() for c in chart.curves):
            parts.append("dotted: fewer runs")
    elif smooth:
        faint = ", faint: as logged" if len(chart.curves) <= CROWD else ""
        parts.append(f"bold: {chart.smoothing.describe()}{faint}")
    if held:
        whose = "curves of fewer than" if smooth else "fewer than"
        average = f"; faint: {chart.smoothing.describe()}, held to neighbouring points"
        parts.append(f"{whose} {FEW} points: as logged{average if len(chart.curves) <= CROWD else ''}")
    parts.append(_points_shown(chart.curves, drawn))
    for sign, what, test in (("×", "NaN", np.isnan), ("▲", "+∞", np.isposinf), ("▼", "−∞", np.isneginf)):
        count = sum(int(test(c.value).sum()) for c in chart.curves if c.band is None)
        if count:
            parts.append(f"{sign} {count:,} {what}")
    parts += axis_words(axes, chart.curves, view)
    return "  ·  ".join([*parts, *chart.notes])


def _points_shown(curves: tuple[Line, ...], drawn: tuple[int, ...]) -> str:
    points = sum(c.band.points if c.band else len(c.x) for c in curves)
    logged = sum(c.total or (c.band.points if c.band else len(c.x)) for c in curves)
    shown = sum(drawn)
    if logged > points:
        return f"sampled: {points:,} of {points_of(logged)}"
    if shown < points and not any(c.band for c in curves):
        return f"{points_of(points)}, thinned to {shown:,} that keep every extreme"
    return points_of(points)


def axis_words(axes: Axes, curves: tuple[Line, ...], view: View) -> list[str]:
    """Return what is unusual about the y axis."""
    parts = []
    if view.log_y or axes.get_yscale() == "log":
        parts.append("log y" if axes.get_yscale() == "log" else "no value above 0 for a log axis")
    if view.y_limits:
        low, high = (short(v) if v is not None else "" for v in view.y_limits)
        parts.append(f"y limited to {low}…{high}")
    elif view.ignore_outliers:
        parts.append("y: 5th to 95th percentile")
    elif axes.get_yscale() == "linear" and is_flattened(shown_values(curves)):
        log = bool((shown_values(curves) > 0).all())
        parts.append(f"a few points flatten the rest: {'--log-y or ' if log else ''}--ignore-outliers")
    found = [c.value[beyond(axes, c)] for c in curves if c.band is None]
    outside = np.concatenate(found) if found else np.zeros(0)
    if len(outside):
        farthest = float(outside[np.argmax(np.abs(outside))])
        parts.append(f"△ {points_of(len(outside))} beyond the axis, as far as {short(farthest)}")
    return parts


def points_of(count: int) -> str:
    """Return "1 point", "1,200 points"."""
    return "1 point" if count == 1 else f"{count:,} points"
