"""Charts → PNG, with matplotlib's objects and no global state (pyplot imports slowly and keeps figures)."""

from __future__ import annotations

import io
import math
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.lines import Line2D

from wandb_toolkit import __version__
from wandb_toolkit.render import figure_marks as marks
from wandb_toolkit.render.figure_axes import INK, MUTED, add_curve, bare, beyond, end_of, prepare
from wandb_toolkit.render.figure_text import axis_name, short
from wandb_toolkit.render.text import clean, plural

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from wandb_toolkit.charts import Chart, Curve

SOFTWARE = f"wandb-toolkit {__version__}"
OWNER = "wandb-toolkit"  # PNG text key: whose picture it is

_DIRECT_LABELS = 12  # up to here a label stands at the end of its line, beyond in one list
# Fonts for scripts that matplotlib's own lacks, where installed.
_FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "WenQuanYi Zen Hei",
)
_STYLE: dict[str, Any] = {
    "path.simplify": True,
    "agg.path.chunksize": 20_000,  # else Agg gives up on very long, noisy lines
    "axes.unicode_minus": False,
    "text.usetex": False,
}


@dataclass(frozen=True)
class Raster:
    """A drawn chart, not yet a file."""

    width: int
    height: int
    dpi: int
    rgba: bytes
    title: str
    drawn: tuple[int, ...]  # points shown, for each of the chart's curves

    def png(self, description: str, owner: str = "") -> bytes:
        """Return the file; `description` becomes its alternative text. May run in another thread."""
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        words = {"Title": self.title, "Software": SOFTWARE, "Description": description, OWNER: owner}
        for key, text in words.items():
            info.add_text(key, text.encode("utf-8", "replace").decode())
        picture = Image.frombuffer("RGBA", (self.width, self.height), self.rgba, "raw", "RGBA", 0, 1)
        out = io.BytesIO()
        picture.convert("RGB").save(out, "png", pnginfo=info, dpi=(self.dpi, self.dpi), compress_level=4)
        return out.getvalue()


def owner_of(path: Path) -> str | None:
    """Return whose picture a file is, None where this tool did not draw it."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            owner = getattr(picture, "text", {}).get(OWNER)
    except (OSError, SyntaxError, ValueError):
        return None
    return str(owner) if owner is not None else None


class Painter:
    """Draws one chart after the other on the same figure."""

    def __init__(self, width: int = 1600, height: int = 900, dpi: int = 160) -> None:
        self.width, self.height, self.dpi = width, height, dpi
        self._px = dpi / 160  # one pixel of the layout below, which is written for 1600 x 900
        families = {font.name for font in fontManager.ttflist}
        self._fonts = ["DejaVu Sans", *(name for name in _FALLBACKS if name in families)]
        files = (findfont(FontProperties(family=name)) for name in self._fonts)
        self._known = {code for file in files for code in get_font(file).get_charmap()}
        with self._style():
            self.figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi, facecolor="white")
            self.canvas = FigureCanvasAgg(self.figure)
            self.axes = self.figure.add_axes((0.1, 0.1, 0.8, 0.75))  # setting it up costs more than drawing it
            bare(self.axes)

    def draw(self, chart: Chart, *, full: bool = False) -> tuple[int, ...]:
        """Draw the chart on `figure` in place of the last one; return the points shown of each curve.

        `full` draws every point; else long series are thinned to what the picture's columns can show.
        """
        with self._style():
            axes, figure = self.axes, self.figure
            for artist in (*axes.lines, *axes.texts, *figure.texts, *figure.lines, *figure.artists):
                artist.remove()
            prepare(axes, chart.curves, chart.x_axis)
            crowd, columns = len(chart.curves), round(self.width * 0.85)
            drawn = tuple(add_curve(axes, c, columns=columns, full=full, crowd=crowd) for c in chart.curves)
            axes.set_xlabel(self.printable(axis_name(chart.x_axis)))
            self._layout(axes, chart, drawn)
        return drawn

    def paint(self, chart: Chart, *, full: bool = False) -> Raster:
        """Return the chart as pixels."""
        drawn = self.draw(chart, full=full)
        with self._style():
            self.canvas.draw()  # type: ignore[no-untyped-call]
        pixels = bytes(self.canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        width, height = self.canvas.get_width_height()
        return Raster(width, height, self.dpi, pixels, clean(chart.metric), drawn)

    def printable(self, text: str, limit: int | None = None) -> str:
        """Return a stranger's text on one line, "□" for what no font at hand can draw."""
        return "".join(char if ord(char) in self._known else "□" for char in clean(text, limit))

    def _style(self) -> AbstractContextManager[None]:
        style: Any = {**_STYLE, "font.family": self._fonts}
        return rc_context(style)

    def _text(self, words: str, *, size: float, gid: str, **style: Any) -> Text:
        text = self.figure.text(0, 0, words, fontsize=size, parse_math=False, **style)
        text.set_gid(gid)
        return text

    def _width(self, text: Text) -> float:
        return float(text.get_window_extent(self.canvas.get_renderer()).width)  # type: ignore[no-untyped-call]

    def _put(self, artist: Text, x: float, y: float) -> None:
        artist.set_position((x / self.width, y / self.height))

    def _layout(self, axes: Axes, chart: Chart, drawn: tuple[int, ...]) -> None:
        """Fit the axes between the tick labels, the title above and the run labels at the right (all in pixels)."""
        px = self._px
        top, bottom = self.height - 118 * px, 96 * px
        words = (
            (self._text(self.printable(chart.metric), size=15, weight="bold", color=INK, gid="title"), 56, 10),
            (self._text(self.printable(_subtitle(axes, chart, drawn)), size=9.5, color=MUTED, gid="subtitle"), 92, 8),
        )
        for text, down, smallest in words:
            self._put(text, 28 * px, self.height - down * px)
            self._shrink(text, self.width - 56 * px, smallest)
        if not any(np.isfinite(c.value).any() for c in chart.curves):
            style: dict[str, Any] = {"color": MUTED, "ha": "center", "va": "center", "gid": "empty"}
            axes.text(0.5, 0.5, "no finite value", transform=axes.transAxes, fontsize=12, **style)
        labels = self._run_labels(chart) if len(chart.curves) > 1 else []
        axes.set_position((0.1, bottom / self.height, 0.8, (top - bottom) / self.height))
        left = 40 * px + max((self._width(tick) for tick in axes.yaxis.get_ticklabels()), default=0.0)
        right = self.width - 56 * px
        if labels:
            right -= 48 * px + max(self._width(text) for _, text in labels)
        width, height = (right - left) / self.width, (top - bottom) / self.height
        axes.set_position((left / self.width, bottom / self.height, width, height))
        self._place_labels(axes, labels)

    def _shrink(self, text: Text, room: float, smallest: float) -> None:
        """Make a line of text fit: smaller first, then cut."""
        width = self._width(text)
        if width <= room:
            return
        size = float(text.get_fontsize())
        text.set_fontsize(max(size * room / width, smallest))
        words = text.get_text()
        while len(words) > 1 and self._width(text) > room:
            words = words[: min(len(words) - 1, int(len(words) * room / self._width(text)) + 1)]
            text.set_text(f"{words}…")

    def _run_labels(self, chart: Chart) -> list[tuple[Curve, Text]]:
        """Make the label texts, the line that ends highest first."""
        curves = sorted(chart.curves, key=lambda c: -end_of(c)[1])
        rows = max(2, math.floor(self.height * 0.74 / (21 * self._px)))
        size = 10.0 if len(curves) <= _DIRECT_LABELS else 9.0
        shown = curves if len(curves) <= rows else curves[: rows - 1]
        labels = []
        for curve in shown:
            end = end_of(curve)[1]
            value = short(end) if math.isfinite(end) else "no finite value"
            words = f"{self.printable(curve.label)}  {value}"
            labels.append((curve, self._text(words, size=size, color=INK, va="center", gid=f"label:{curve.label}")))
        if len(shown) < len(curves):
            rest = f"and {plural(len(curves) - len(shown), 'more run')}"
            labels.append((curves[-1], self._text(rest, size=size, color=MUTED, va="center", gid="more")))
        return labels

    def _place_labels(self, axes: Axes, labels: list[tuple[Curve, Text]]) -> None:
        if not labels:
            return
        px, box, direct = self._px, axes.get_window_extent(), len(labels) <= _DIRECT_LABELS
        ends = [axes.transData.transform(end_of(curve)) for curve, _ in labels]
        heights = [box.y1 - 21 * px * i for i in range(len(labels))]
        if direct:
            wanted = [min(max(float(y), box.y0), box.y1) if math.isfinite(y) else box.y0 for _, y in ends]
            heights = marks.spread(wanted[::-1], 30 * px, box.y0, box.y1)[::-1]
        for (curve, text), height, (x, y) in zip(labels, heights, ends, strict=True):
            self._put(text, box.x1 + 70 * px, height)
            if text.get_gid() == "more":
                continue
            dash, style = marks.dashes(curve.index), {"color": marks.color(curve.index)}
            key = self._line([box.x1 + 14 * px, box.x1 + 58 * px], [height] * 2, linewidth=2.2, **style)
            key.set_gid(f"key:{curve.label}")
            if dash:
                key.set_dashes(dash)
            if direct and math.isfinite(y):  # a hair line from the end of the data to the label
                level = min(max(float(y), box.y0), box.y1)
                xs = [float(x), box.x1, box.x1 + 14 * px]
                self._line(xs, [level, level, height], linewidth=0.8, alpha=0.5, linestyle=":", **style)

    def _line(self, xs: list[float], ys: list[float], **style: Any) -> Line2D:
        line = Line2D([x / self.width for x in xs], [y / self.height for y in ys], **style)
        self.figure.add_artist(line)
        return line


def _subtitle(axes: Axes, chart: Chart, drawn: tuple[int, ...]) -> str:
    """One line on what is drawn and how."""
    parts = [chart.curves[0].label] if len(chart.curves) == 1 else []
    if any(curve.smooth is not None for curve in chart.curves):
        parts.append(f"bold: {chart.smoothing.describe()}, faint: as logged")
    points, shown = sum(len(c.x) for c in chart.curves), sum(drawn)
    logged = sum(c.total or len(c.x) for c in chart.curves)
    if logged > points:
        parts.append(f"sampled: {points:,} of {_points(logged)}")
    elif shown < points:
        parts.append(f"{_points(points)}, thinned to {shown:,} that keep every extreme")
    else:
        parts.append(_points(points))
    for sign, what, test in (("×", "NaN", np.isnan), ("▲", "+∞", np.isposinf), ("▼", "−∞", np.isneginf)):
        count = sum(int(test(c.value).sum()) for c in chart.curves)
        if count:
            parts.append(f"{sign} {count:,} {what}")
    outside = np.concatenate([c.value[beyond(axes, c)] for c in chart.curves]) if chart.curves else np.zeros(0)
    if len(outside):
        farthest = float(outside[np.argmax(np.abs(outside))])
        parts.append(f"△ {_points(len(outside))} beyond the axis, as far as {short(farthest)}")
    return "  ·  ".join([*parts, *chart.notes])


def _points(count: int) -> str:
    return "1 point" if count == 1 else f"{count:,} points"
