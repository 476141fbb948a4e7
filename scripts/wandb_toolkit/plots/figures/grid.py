"""Several metrics on one page: a small panel each, one legend for all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wandb_toolkit.plots.figures.alt_text import axis_name, metric_name, short
from wandb_toolkit.plots.figures.axes import bare, beyond, prepare
from wandb_toolkit.plots.figures.lines import add_curve, end_of
from wandb_toolkit.plots.figures.painter import Canvas
from wandb_toolkit.plots.figures.subtitle import BANDS
from wandb_toolkit.plots.figures.view import DPI, HEIGHT, View
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from wandb_toolkit.plots.charts import Chart, Line


_PANEL_HEIGHT = 330  # pixels at 160 dpi, with its title and ticks
_HEAD, _FOOT = 118, 40
_LEGEND_ROW = 26
_MOST_LEGEND_ROWS = 6


def page_view(view: View, panels: int) -> View:
    """Return the view of a page: as wide as asked for, as high as its panels need (unless a height was asked for)."""
    px = view.dpi / DPI
    if view.height != HEIGHT * px:
        return view
    rows = math.ceil(panels / _columns(panels))
    return replace(view, height=round((_HEAD + _FOOT + _LEGEND_ROW * 2 + rows * _PANEL_HEIGHT) * px))


def _columns(panels: int) -> int:
    return 1 if panels == 1 else 2 if panels <= 4 else 3


class GridPainter(Canvas):
    """Draws one page."""

    def draw(self, title: str, charts: Sequence[Chart]) -> list[tuple[int, ...]]:
        """Draw the charts as panels; return the points shown of each curve of each chart."""
        px, theme = self.px, self.theme
        curves = self._curves(charts)
        with self.style():
            head = self.text(self.printable(title), size=15, weight="bold", color=theme.ink, gid="title")
            self.put(head, 28 * px, self.height - 56 * px)
            self.shrink(head, self.width - 56 * px, 10)
            words = self.text(self.printable(self._words(charts)), size=9.5, color=theme.muted, gid="subtitle")
            self.put(words, 28 * px, self.height - 92 * px)
            self.shrink(words, self.width - 56 * px, 8)
            foot = self._legend(curves) if len(curves) > 1 or curves[0].band else _FOOT * px * 0.5
            columns = _columns(len(charts))
            rows = math.ceil(len(charts) / columns)
            wide = (self.width - 28 * px) / columns
            high = (self.height - _HEAD * px - foot) / rows
            drawn = []
            for at, chart in enumerate(charts):
                left = 14 * px + wide * (at % columns)
                bottom = self.height - _HEAD * px - high * (at // columns + 1)
                drawn.append(self._panel(chart, left, bottom, wide, high))
        return drawn

    def _panel(self, chart: Chart, left: float, bottom: float, wide: float, high: float) -> tuple[int, ...]:
        px, theme = self.px, self.theme
        axes = self.figure.add_axes((0.1, 0.1, 0.1, 0.1))
        bare(axes, theme, size=8)
        prepare(axes, chart.curves, chart.x_axis, self.view, ticks=(4, 4))
        crowd = len(chart.curves)
        room = (left + 78 * px, bottom + 48 * px, wide - 104 * px, high - 96 * px)
        columns, rows = max(int(room[2]), 1), max(int(room[3]), 1)
        drawn = tuple(
            add_curve(axes, c, theme, columns=columns, rows=rows, full=self.view.full, crowd=crowd, scale=0.7)
            for c in chart.curves
        )
        axes.set_position(
            (room[0] / self.width, room[1] / self.height, room[2] / self.width, max(room[3], 1) / self.height)
        )
        name = self.text(
            self.printable(metric_name(chart.metric)), size=10, color=theme.ink, gid=f"panel:{chart.metric}"
        )
        self.put(name, left + 22 * px, bottom + high - 36 * px)
        extra = self._extra(axes, chart)
        note = self.text(self.printable(extra), size=7.5, color=theme.muted, ha="right", gid=f"note:{chart.metric}")
        self.put(note, left + wide - 26 * px, bottom + high - 36 * px)
        self.shrink(note, wide * 0.5, 6.5)
        self.shrink(name, wide - 60 * px - self.width_of(note), 7)
        return drawn

    def _extra(self, axes: Axes, chart: Chart) -> str:
        """Return what a reader of the panel must know, and the last value where there is one line."""
        parts = [f"ends at {short(end_of(chart.curves[0])[1])}"] if len(chart.curves) == 1 else []
        if chart.x_axis != "_step":
            parts.append(f"by {axis_name(chart.x_axis)}")
        bad = sum(int((c.value != c.value).sum()) for c in chart.curves if c.band is None)
        parts += [f"× {bad:,} NaN"] if bad else []
        outside = sum(int(beyond(axes, c).sum()) for c in chart.curves if c.band is None)
        parts += [f"△ {outside:,} beyond the axis"] if outside else []
        return " · ".join(parts)

    def _curves(self, charts: Sequence[Chart]) -> list[Line]:
        """Return one curve for each label, in the order of the runs."""
        found: dict[int, Line] = {}
        for chart in charts:
            for curve in chart.curves:
                found.setdefault(curve.index, curve)
        return [found[index] for index in sorted(found)]

    def _words(self, charts: Sequence[Chart]) -> str:
        parts = [plural(len(charts), "metric")]
        curves = [curve for chart in charts for curve in chart.curves]
        if len(self._curves(charts)) == 1:
            parts.insert(0, curves[0].label)
        band = next((curve.band for curve in curves if curve.band), None)
        if band is not None:
            parts.append(f"mean of runs, {BANDS[band.kind]}")
        if any(curve.smooth is not None and not curve.held for curve in curves):
            parts.append(f"bold: {charts[0].smoothing.describe()}")
        axes = {chart.x_axis for chart in charts}
        if len(axes) == 1:
            parts.append(f"x: {axis_name(axes.pop())}")
        sampled = sum(c.total or 0 for c in curves)
        if sampled:
            parts.append(f"sampled, of {sampled:,} points")
        if self.view.log_y:
            parts.append("log y")
        return "  ·  ".join(parts)

    def _legend(self, curves: Sequence[Line]) -> float:
        """Write the labels below the panels, row after row; return their height in pixels."""
        px = self.px
        x, row, last = 28 * px, 0, len(curves)
        places: list[tuple[Line | None, Text, float, int]] = []
        for at, curve in enumerate(curves):
            text = self.text(self.printable(curve.label), size=9, color=self.theme.ink, va="center", gid="label")
            need = 52 * px + self.width_of(text) + 28 * px
            if x + need > self.width and x > 28 * px:
                x, row = 28 * px, row + 1
            if row == _MOST_LEGEND_ROWS:
                text.set_text(f"and {plural(last - at, 'more run')}")
                text.set_color(self.theme.muted)
                places.append((None, text, 28 * px, row))
                row += 1
                break
            places.append((curve, text, x, row))
            x += need
        rows = max(row for *_, row in places) + 1
        for known, text, left, line in places:
            y = (14 + _LEGEND_ROW * (rows - line - 0.5)) * px
            self.put(text, left + (52 * px if known else 0), y)
            if known:
                self.key(known, left, y, 44 * px)
        return (28 + _LEGEND_ROW * rows) * px
