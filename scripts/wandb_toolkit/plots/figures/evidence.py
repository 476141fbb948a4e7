"""The figure of a finding as a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from wandb_toolkit.plots.evidence import Evidence, Panel, share, ticks, time_ticks
from wandb_toolkit.plots.figures.alt_text import axis_name, metric_name, position, tick_labels
from wandb_toolkit.plots.figures.axes import bare
from wandb_toolkit.plots.figures.marks import spread
from wandb_toolkit.plots.figures.painter import Canvas
from wandb_toolkit.plots.figures.view import DPI, View
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wandb_toolkit.model import FloatArray

_WIDTH, _MAIN, _STRIP = 1200, 480, 150  # pixels at 160 dpi
_LEFT, _RIGHT, _FOOT, _GAP, _NAME = 130, 40, 90, 62, 44
_LINE = 27  # of the sentence
_MOST_LINES, _LETTERS = 4, 88
_DOTTED = 30


class EvidencePainter(Canvas):
    """Draws one finding's figure."""

    def __init__(self, figure: Evidence, view: View | None = None) -> None:
        self.lines = _wrapped(f"{figure.run}: {figure.sentence}")
        strips = len(figure.panels) - 1
        head = 30 + _LINE * len(self.lines) + _NAME
        height = head + _MAIN + strips * (_STRIP + _GAP) + _FOOT
        view = view or View()
        px = view.dpi / DPI
        super().__init__(replace(view, width=round(_WIDTH * px), height=round(height * px)))
        self._head = head

    def draw(self, figure: Evidence) -> None:
        """Draw the figure."""
        px = self.px
        with self.style():
            for at, line in enumerate(self.lines):
                text = self.text(self.printable(line), size=10.5, color=self.theme.ink, gid="sentence")
                self.put(text, 28 * px, self.height - (38 + _LINE * at) * px)
            top = self.height - self._head * px
            for at, panel in enumerate(figure.panels):
                tall = (_STRIP if at else _MAIN) * px
                axes = self._panel(figure, panel, top - tall, tall, main=not at, last=at == len(figure.panels) - 1)
                self._onset(axes, figure, None if at else top)
                top -= tall + _GAP * px

    def _panel(self, figure: Evidence, panel: Panel, bottom: float, tall: float, *, main: bool, last: bool) -> Axes:
        px, theme = self.px, self.theme
        width = self.width - (_LEFT + _RIGHT) * px
        box = (_LEFT * px / self.width, bottom / self.height, width / self.width, tall / self.height)
        axes = self.figure.add_axes(box)
        bare(axes, theme, size=8.5)
        axes.set_gid(f"panel:{panel.metric}")
        if panel.log:
            axes.set_yscale("log")
            axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(panel.low, panel.high)
        left, right = (figure.left, figure.right) if figure.right > figure.left else (figure.left - 1, figure.left + 1)
        axes.set_xlim(left, right)
        marked = ticks(panel.low, panel.high, 5 if main else 2, log=panel.log)
        axes.yaxis.set_major_locator(FixedLocator(marked))
        axes.yaxis.set_major_formatter(FixedFormatter(_words(marked, log=panel.log)))
        timed = figure.x_axis in ("_runtime", "_timestamp")
        places = time_ticks(left, right, 6) if timed else ticks(left, right, 6)
        labels = [position(place, figure.x_axis) for place in places] if timed else tick_labels(places)
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.xaxis.set_major_formatter(FixedFormatter(labels if last else [""] * len(labels)))
        if last:
            axes.set_xlabel(self.printable(axis_name(figure.x_axis)))
        if panel.band is not None:
            x, low, high = panel.band
            corners = np.concatenate([np.column_stack([x, high]), np.column_stack([x, low])[::-1]])
            area = PolyCollection([corners], facecolors=theme.muted, edgecolors="none", alpha=0.2, zorder=1)
            area.set_gid("band")
            axes.add_collection(area, autolim=False)
        (line,) = axes.plot(panel.x, panel.value, color=theme.lines[0], linewidth=1.5, zorder=3)
        line.set_gid(f"curve:{panel.metric}")
        if len(panel.x) <= _DOTTED:
            line.set(marker="o", markersize=3.5)
        else:
            line.set(marker="o", markersize=2.5, markevery=_alone(panel.value))
        if len(panel.bad):
            heights = np.full(len(panel.bad), 0.05)
            (bad,) = axes.plot(panel.bad, heights, "x", color=theme.mark, transform=axes.get_xaxis_transform())
            bad.set(gid=f"nan:{panel.metric}", markersize=4.5)
        self._levels(axes, panel, bottom, tall)
        self._title(panel, bottom + tall, main=main)
        return axes

    def _title(self, panel: Panel, top: float, *, main: bool) -> None:
        notes = ["log scale"] if panel.log else []
        notes += [f"× {plural(len(panel.bad), 'NaN or infinite value')}"] if len(panel.bad) else []
        notes += [f"shaded: {plural(panel.band_runs, 'other run')}"] if panel.band is not None else []
        notes += [f"{name}: {tick_labels([level])[0]}" for name, level in panel.far]
        words = "  ·  ".join([self.printable(metric_name(panel.metric)), *notes])
        text = self.text(words, size=9.5, color=self.theme.muted, gid="name")
        self.put(text, 28 * self.px, top + (22 if main else 14) * self.px)
        self.shrink(text, self.width * 0.62, 7)

    def _levels(self, axes: Axes, panel: Panel, bottom: float, tall: float) -> None:
        px = self.px
        drawn = sorted((bottom + tall * share(panel, level), name, level) for name, level in panel.levels)
        places = spread([y + 12 * px for y, *_ in drawn], 24 * px, bottom, bottom + tall)
        for (_, name, level), place in zip(drawn, places, strict=True):
            style: dict[str, Any] = {"color": self.theme.limit, "linewidth": 1.1, "dashes": (4, 3), "zorder": 2}
            axes.axhline(level, **style).set_gid(f"level:{name}")
            words = f"{name}: {tick_labels([level])[0]}"
            text = self.text(
                self.printable(words), size=8.5, color=self.theme.limit, ha="right", va="center", gid=words
            )
            text.set_bbox({"facecolor": self.theme.paper, "edgecolor": "none", "alpha": 0.75, "pad": 0.8})
            self.put(text, self.width - (_RIGHT + 6) * px, place)

    def _onset(self, axes: Axes, figure: Evidence, top: float | None) -> None:
        """Mark where the finding begins, and what happened before; `top` of the panel that says the step."""
        theme, px = self.theme, self.px
        for place, words in figure.events:
            axes.axvline(place, color=theme.muted, linewidth=1, linestyle=":").set_gid(f"event:{words}")
        if figure.onset is None:
            return
        axes.axvline(figure.onset, color=theme.mark, linewidth=1.4, zorder=4).set_gid("onset")
        if top is None:
            return
        words = f"{axis_name(figure.x_axis)} {position(figure.onset, figure.x_axis)}"
        text = self.text(self.printable(words), size=9, color=theme.mark, va="center", gid="onset")
        text.set_bbox({"facecolor": theme.paper, "edgecolor": "none", "alpha": 0.75, "pad": 0.8})
        x, wide = float(axes.transData.transform((figure.onset, panel_middle(axes)))[0]), self.width_of(text)
        left = x + 10 * px if x + 10 * px + wide < self.width - _RIGHT * px else x - 10 * px - wide
        self.put(text, left, top - 16 * px)


def _alone(value: FloatArray) -> list[int]:
    """Return the places of finite points with no finite neighbour: a line does not show them."""
    finite = np.concatenate([[False], np.isfinite(value), [False]])
    return np.flatnonzero(finite[1:-1] & ~finite[:-2] & ~finite[2:]).tolist()


def panel_middle(axes: Axes) -> float:
    """Return a value inside the y axis, whatever its scale."""
    low, high = axes.get_ylim()
    return float((low * high) ** 0.5) if axes.get_yscale() == "log" else low / 2 + high / 2


def evidence_png(figure: Evidence, alt: str, owner: str = "", view: View | None = None) -> bytes:
    """Return the figure of a finding as a PNG whose alternative text is `alt`."""
    painter = EvidencePainter(figure, view)
    painter.draw(figure)
    return painter.raster(figure.panels[0].metric, ()).png(alt, owner)


def _words(values: list[float], *, log: bool) -> list[str]:
    return [tick_labels([value])[0] for value in values] if log else tick_labels(values)


def _wrapped(text: str) -> list[str]:
    import textwrap

    lines = textwrap.wrap(text, _LETTERS)
    return lines if len(lines) <= _MOST_LINES else [*lines[: _MOST_LINES - 1], f"{lines[_MOST_LINES - 1]}…"]
