"""Charts in the terminal: a few rows of braille dots, drawn by plotille."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from wandb_toolkit.plots.figures.alt_text import axis_name, metric_name, position, short
from wandb_toolkit.plots.figures.axes import LARGEST, usual_range
from wandb_toolkit.text import clean

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.plots.charts import Chart, Line
    from wandb_toolkit.plots.figures.view import View

ROWS = 12
_WIDEST, _NARROWEST = 100, 40
_MOST_LINES = 6
_COLORS = ("bright_blue", "bright_red", "bright_green", "bright_magenta", "bright_yellow", "bright_cyan")
_DOTS = 4  # points a column of characters: braille has two, and a spike must not fall between


def terminal_plot(chart: Chart, view: View) -> str:
    """Return the plot of the smoothed lines (as logged where nothing is smoothed), a legend below."""
    import numpy as np
    import plotille

    columns = min(max(shutil.get_terminal_size().columns - 24, _NARROWEST), _WIDEST)
    colours = _colours()
    lines = []
    for curve in chart.curves[:_MOST_LINES]:
        x, y = _shown(curve, columns * _DOTS)
        keep = np.isfinite(y) & ((y > 0) | (not view.log_y))
        y = np.clip(y, -LARGEST, LARGEST)
        if keep.any():
            lines.append((curve, x[keep], np.log10(y[keep]) if view.log_y else y[keep]))
    if not lines:
        return f"{metric_name(chart.metric)}: nothing to draw"
    figure = plotille.Figure()
    figure.width, figure.height, figure.color_mode = columns, ROWS, "names"
    figure.with_colors = colours
    figure.origin = False
    low, high = _limits([y for *_, y in lines], view)
    left, right = min(float(x[0]) for _, x, _ in lines), max(float(x[-1]) for _, x, _ in lines)
    figure.set_y_limits(min_=low, max_=high)
    figure.set_x_limits(min_=left, max_=right if right > left else left + 1)
    figure.x_label, figure.y_label = "", ""
    figure.register_label_formatter(float, lambda value, chars, **_: _tick(float(value), chars, log=False))
    figure.y_ticks_fkt = lambda value, _: f"{_tick(float(value), 9, log=view.log_y):>9}"
    figure.x_ticks_fkt = lambda value, _: _place(float(value), chart.x_axis)
    for at, (_, x, y) in enumerate(lines):
        shown = _within(y, low, high)
        figure.plot(x.tolist(), shown.tolist(), lc=_COLORS[at % len(_COLORS)] if colours else None)
        if len(lines) > 1 and not colours:  # its number, somewhere on the line
            place = (len(x) - 1) * (at + 1) // (len(lines) + 1)
            figure.text([float(x[place])], [min(max(float(y[place]), low), high)], [str(at + 1)])
    title = f"{metric_name(chart.metric)}  by {axis_name(chart.x_axis)}{', log y' if view.log_y else ''}"
    legend = [_legend(curve, at, colours=colours, alone=len(lines) == 1) for at, (curve, _, _) in enumerate(lines)]
    if len(chart.curves) > _MOST_LINES:
        legend.append(f"  and {len(chart.curves) - _MOST_LINES} more in the picture")
    drawn = figure.show().replace("()", "").split("\n")
    rows = [row.rstrip("⠀ ") for row in drawn if row.strip(" ^")]  # without the empty top
    return "\n".join([title, *rows, *legend])


def _colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def _shown(curve: Line, most: int) -> tuple[FloatArray, FloatArray]:
    from wandb_toolkit.plots.figures.marks import thin

    y = curve.value if curve.smooth is None or curve.held else curve.smooth
    kept = thin(curve.x, y, max(most // 4, 1))
    return curve.x[kept], y[kept]


def _within(y: FloatArray, low: float, high: float) -> FloatArray:
    """Return the line cut to a little more than the axis: what lies beyond is walked dot by dot, and never seen."""
    import numpy as np

    room = high - low
    return np.clip(y, low - room, high + room)


def _limits(values: list[FloatArray], view: View) -> tuple[float, float]:
    import numpy as np

    low, high = usual_range(np.concatenate(values), replace(view, log_y=False), log=False)
    if view.y_limits:
        wanted = [None if v is None else float(np.log10(v)) if view.log_y else v for v in view.y_limits]
        low, high = low if wanted[0] is None else wanted[0], high if wanted[1] is None else wanted[1]
    return (low, high) if high > low else (low - (abs(low) * 0.1 or 1), low + (abs(low) * 0.1 or 1))


def _place(value: float, axis: str) -> str:
    return position(float(round(value)) if axis == "_step" else value, axis)[:9]


def _tick(value: float, chars: int, *, log: bool) -> str:
    return short(10.0 ** min(value, 308.0) if log else value)[:chars]


def _legend(curve: Line, at: int, *, colours: bool, alone: bool) -> str:
    import numpy as np
    import plotille

    known = curve.value[np.isfinite(curve.value)]
    end = f"  ends at {short(float(known[-1]))}" if len(known) else ""
    mark = "⣿" if alone else f"{at + 1}"
    mark = plotille.color(mark, fg=_COLORS[at % len(_COLORS)], mode="names") if colours else mark
    return f"  {mark} {clean(curve.label)}{end}"
