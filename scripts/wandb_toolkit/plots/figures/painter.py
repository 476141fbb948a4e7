"""Charts → figures, with matplotlib's objects and no global state (pyplot imports slowly and keeps figures)."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from wandb_toolkit.plots.coloring import LABELLED, highlighted
from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.alt_text import axis_name, metric_name, short
from wandb_toolkit.plots.figures.axes import bare, prepare
from wandb_toolkit.plots.figures.file import Raster, vector
from wandb_toolkit.plots.figures.fonts import Fonts
from wandb_toolkit.plots.figures.lines import add_curve, end_of, is_grey
from wandb_toolkit.plots.figures.subtitle import subtitle
from wandb_toolkit.plots.figures.view import DPI, View
from wandb_toolkit.text import clean, fitting_names, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from wandb_toolkit.plots.charts import Chart, Line

_DIRECT_LABELS = LABELLED  # up to here a label stands at the end of its line, beyond in one list
_LEGEND_SHARE = 0.25  # of the width, at most
_KEY_WIDTH = 70  # pixels at 160 dpi: a piece of the line, with the air around it
_SHORTEST_NAME = 8
_STYLE: dict[str, Any] = {
    "path.simplify": True,
    "agg.path.chunksize": 20_000,  # else Agg gives up on very long, noisy lines
    "axes.unicode_minus": False,
    "text.usetex": False,
    "svg.hashsalt": "wandb-toolkit",  # the same figure gives the same ids
}


def _end_word(curve: Line) -> str:
    end = end_of(curve)[1]
    return short(end) if math.isfinite(end) else "no finite value"


class Canvas:
    """A figure with the view's size and colours, and the fonts at hand."""

    def __init__(self, view: View) -> None:
        self.view, self.theme = view, view.theme
        self.width, self.height, self.dpi = view.width, view.height, view.dpi
        self.px = view.dpi / DPI  # one pixel of the layouts, which are written for 160 dpi
        self.fonts = Fonts()
        with self.style():
            size = (self.width / self.dpi, self.height / self.dpi)
            self.figure = Figure(figsize=size, dpi=self.dpi, facecolor=self.theme.paper)
            self.canvas = FigureCanvasAgg(self.figure)

    def style(self) -> AbstractContextManager[None]:
        """Return the context in which everything is drawn."""
        style: Any = {**_STYLE, "font.family": self.fonts.families}
        return rc_context(style)

    def printable(self, text: str, limit: int | None = None) -> str:
        """Return a stranger's text on one line, "□" for what no font at hand can draw."""
        return self.fonts.printable(clean(text, limit))

    def text(self, words: str, *, size: float, gid: str, **style: Any) -> Text:
        """Add text to the figure; `put` places it."""
        text = self.figure.text(0, 0, words, fontsize=size, parse_math=False, family=self.fonts.families, **style)
        text.set_gid(gid)
        return text

    def width_of(self, text: Text) -> float:
        """Return a text's width in pixels."""
        return float(text.get_window_extent(self.canvas.get_renderer()).width)  # type: ignore[no-untyped-call]

    def put(self, artist: Text, x: float, y: float) -> None:
        """Place a text, in pixels from the lower left."""
        artist.set_position((x / self.width, y / self.height))

    def line(self, xs: list[float], ys: list[float], **style: Any) -> Line2D:
        """Add a line outside of the axes, in pixels."""
        line = Line2D([x / self.width for x in xs], [y / self.height for y in ys], **style)
        self.figure.add_artist(line)
        return line

    def key(self, curve: Line, x: float, y: float, length: float) -> None:
        """Add a short piece of a curve's line, as legends have it."""
        style = {"color": marks.color_of(curve, self.theme), "linewidth": 2.2}
        piece = self.line([x, x + length], [y, y], **style)
        piece.set_gid(f"key:{curve.label}")
        if dash := marks.dashes_of(curve):
            piece.set_dashes(dash)

    def shrink(self, text: Text, room: float, smallest: float) -> None:
        """Make a line of text fit: smaller first, then cut."""
        width = self.width_of(text)
        if width <= room:
            return
        size = float(text.get_fontsize())
        text.set_fontsize(max(size * room / width, smallest))
        words = text.get_text()
        while len(words) > 1 and self.width_of(text) > room:
            words = words[: min(len(words) - 1, int(len(words) * room / self.width_of(text)) + 1)]
            text.set_text(f"{words}…")

    def rows_of_text(self, words: str, down: float) -> int:
        """Write what stands under a title, in at most three rows broken at its dots; return how many they are."""
        left, rows = words.split("  ·  "), 0
        while left:
            count = len(left)
            text = self.text(self.printable("  ·  ".join(left)), size=9.5, color=self.theme.muted, gid="subtitle")
            while rows < 2 and count > 1 and self.width_of(text) > self.width - 56 * self.px:
                count -= 1
                text.set_text(self.printable("  ·  ".join(left[:count])))
            self.put(text, 28 * self.px, self.height - (down + 26 * rows) * self.px)
            self.shrink(text, self.width - 56 * self.px, 8)
            left, rows = left[count:], rows + 1
        return rows

    def clear(self) -> None:
        """Remove everything but the axes."""
        figure = self.figure
        for artist in (*figure.texts, *figure.lines, *figure.artists):
            artist.remove()

    def raster(self, title: str, drawn: tuple[int, ...]) -> Raster:
        """Return the figure as pixels."""
        with self.style():
            self.canvas.draw()  # type: ignore[no-untyped-call]
        pixels = bytes(self.canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        width, height = self.canvas.get_width_height()
        return Raster(width, height, self.dpi, pixels, clean(title), drawn)

    def content(self, title: str, description: str, owner: str, drawn: tuple[int, ...]) -> bytes:
        """Return the figure as a file of the view's format."""
        if self.view.format == "png":
            return self.raster(title, drawn).png(description, owner)
        with self.style():
            return vector(self.figure, self.view.format, self.printable(title), description, owner)


class Painter(Canvas):
    """Draws one chart after the other on the same figure."""

    def __init__(self, view: View | None = None) -> None:
        super().__init__(view or View())
        with self.style():
            self.axes = self.figure.add_axes((0.1, 0.1, 0.8, 0.75))  # setting it up costs more than drawing it
            bare(self.axes, self.theme)

    def draw(self, chart: Chart) -> tuple[int, ...]:
        """Draw the chart on `figure` in place of the last one; return the points shown of each curve."""
        if len(chart.curves) > marks.DISTINCT and not chart.legend:
            chart = highlighted(chart)
        with self.style():
            axes = self.axes
            self.clear()
            for artist in (*axes.lines, *axes.collections, *axes.texts):
                artist.remove()
            prepare(axes, chart.curves, chart.x_axis, self.view)
            columns, rows = round(self.width * 0.85), round(self.height * 0.76)
            crowd, grey = len(chart.curves), any(map(is_grey, chart.curves))
            drawn = tuple(
                add_curve(
                    axes, c, self.theme, columns=columns, rows=rows, full=self.view.full, crowd=crowd, some_grey=grey
                )
                for c in chart.curves
            )
            axes.set_xlabel(self.printable(axis_name(chart.x_axis)))
            self._layout(axes, chart, drawn)
        return drawn

    def paint(self, chart: Chart) -> Raster:
        """Return the chart as pixels."""
        drawn = self.draw(chart)
        return self.raster(chart.metric, drawn)

    def _layout(self, axes: Axes, chart: Chart, drawn: tuple[int, ...]) -> None:
        """Fit the axes between the tick labels, the title above and the run labels at the right (all in pixels)."""
        px, theme = self.px, self.theme
        title = self.text(
            self.printable(metric_name(chart.metric)), size=15, weight="bold", color=theme.ink, gid="title"
        )
        self.put(title, 28 * px, self.height - 56 * px)
        self.shrink(title, self.width - 56 * px, 10)
        several = len(chart.curves) > 1 or any(curve.band for curve in chart.curves)
        labels = [] if not several else self._legend(chart) if chart.legend else self._run_labels(chart)
        lacking = self.fonts.words()
        rows = self.rows_of_text(subtitle(axes, chart, self.view, drawn) + (f"  ·  {lacking}" if lacking else ""), 92)
        top, bottom = self.height - (92 + 26 * rows) * px, 96 * px
        if not any(np.isfinite(c.value).any() for c in chart.curves):
            style: dict[str, Any] = {"color": theme.muted, "ha": "center", "va": "center", "gid": "empty"}
            axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, fontsize=12, **style)
        axes.set_position((0.1, bottom / self.height, 0.8, (top - bottom) / self.height))
        left = 40 * px + max((self.width_of(tick) for tick in axes.yaxis.get_ticklabels()), default=0.0)
        right = self.width - 56 * px
        if labels:
            right -= (_KEY_WIDTH - 22) * px + max(self.width_of(text) for _, text in labels)
        width, height = max(right - left, self.width * 0.2) / self.width, (top - bottom) / self.height
        axes.set_position((left / self.width, bottom / self.height, width, height))
        self._place_labels(axes, labels, direct=len(labels) <= _DIRECT_LABELS and not chart.legend)

    def _run_labels(self, chart: Chart) -> list[tuple[Line | None, Text]]:
        """Make the label texts, the line that ends highest first; None for the line that counts those left out."""
        curves = sorted(chart.curves, key=lambda c: -end_of(c)[1])
        rows = max(3, math.floor((self.height - 214 * self.px) / (21 * self.px)))
        size = 10.0 if len(curves) <= _DIRECT_LABELS else 9.0
        shown: list[Line | None] = list(curves)
        left_out = len(curves) - (rows - 1)
        if len(curves) > rows:
            below = (rows - 1) // 3
            shown = [*curves[: rows - 1 - below], None, *curves[len(curves) - below :]]
        names = self._names([curve for curve in curves if curve in shown], size)
        labels: list[tuple[Line | None, Text]] = []
        for curve in shown:
            if curve is None:
                rest = f"… {plural(left_out, 'more run')} between"
                labels.append((None, self.text(rest, size=size, color=self.theme.muted, va="center", gid="more")))
                continue
            words = f"{names[curve.label]}  {_end_word(curve)}"
            text = self.text(words, size=size, color=self.theme.ink, va="center", gid=f"label:{curve.label}")
            labels.append((curve, text))
        return labels

    def _names(self, curves: Sequence[Line], size: float) -> dict[str, str]:
        """Return label → the name shown: cut, and still told apart, where it would take more than its share."""
        room = (_LEGEND_SHARE * self.width) - _KEY_WIDTH * self.px
        names = [self.printable(curve.label) for curve in curves]
        ends = [_end_word(curve) for curve in curves]
        probe = self.text("", size=size, gid="probe")
        limit = max(map(len, names), default=0)
        shown = names
        while limit > _SHORTEST_NAME:
            widest = 0.0
            for name, end in sorted(zip(shown, ends, strict=True), key=lambda pair: -len("  ".join(pair)))[:6]:
                probe.set_text(f"{name}  {end}")
                widest = max(widest, self.width_of(probe))
            if widest <= room:
                break
            limit = max(_SHORTEST_NAME, min(limit - 1, int(limit * room / widest)))
            shown = fitting_names(names, limit)
        probe.remove()
        return {curve.label: name for curve, name in zip(curves, shown, strict=True)}

    def _legend(self, chart: Chart) -> list[tuple[Line | None, Text]]:
        """Make the texts of the chart's own legend."""
        labels: list[tuple[Line | None, Text]] = []
        for words, curve in chart.legend:
            color, gid = (self.theme.ink, "label") if curve else (self.theme.muted, "more")
            text = self.text(self.printable(words), size=10.0, color=color, va="center", gid=gid)
            self.shrink(text, _LEGEND_SHARE * self.width - _KEY_WIDTH * self.px, 7.5)
            labels.append((curve, text))
        return labels

    def _place_labels(self, axes: Axes, labels: list[tuple[Line | None, Text]], *, direct: bool) -> None:
        if not labels:
            return
        px, box = self.px, axes.get_window_extent()
        ends = [axes.transData.transform(end_of(curve)) if curve else (0.0, 0.0) for curve, _ in labels]
        row = 21 if len(labels) > _DIRECT_LABELS else 27
        heights = [box.y1 - row * px * i for i in range(len(labels))]
        if direct:
            wanted = [min(max(float(y), box.y0), box.y1) if math.isfinite(y) else box.y0 for _, y in ends]
            heights = marks.spread(wanted[::-1], 30 * px, box.y0, box.y1)[::-1]
        for (curve, text), height, (x, y) in zip(labels, heights, ends, strict=True):
            self.put(text, box.x1 + _KEY_WIDTH * px, height)
            if curve is None:
                continue
            self.key(curve, box.x1 + 14 * px, height, 44 * px)
            if direct and math.isfinite(y):  # a hair line from the end of the data to the label
                level = min(max(float(y), box.y0), box.y1)
                xs = [float(x), box.x1, box.x1 + 14 * px]
                style: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.5, "linestyle": ":"}
                self.line(xs, [level, level, height], color=marks.color_of(curve, self.theme), **style)
