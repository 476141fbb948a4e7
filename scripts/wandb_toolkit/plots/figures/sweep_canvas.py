"""What the figures of many runs' results have in common: title, words, colours, the list at the right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.painter import Canvas
from wandb_toolkit.plots.figures.view import LIGHT
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Text

    from wandb_toolkit.plots.scales import Scale
    from wandb_toolkit.plots.sweep import Sweep, Trial

MARKERS = "os^Dv"  # of groups whose colours repeat
_MOST_LISTED = 12  # groups or categories in the list
_SCALE_SHOWN = 5  # values of a colour scale in it
_LIST_SHARE = 0.25  # of the width
MARGIN = 0.08  # left and right of a scale
LABEL = 11.0  # points; the width of a phone takes the figure to a third


class SweepCanvas(Canvas):
    """A figure of trials."""

    def color(self, trial: Trial, sweep: Sweep) -> str:
        """Return a trial's colour: that of its group, its place on the colour scale, or the first one."""
        coloring = sweep.coloring
        if coloring is not None and coloring.shades is not None:
            shade = coloring.shades[trial.index]
            return self.theme.faded if math.isnan(shade) else marks.scale_color(shade, self.theme)
        return marks.color(self.category(trial, sweep), self.theme)

    def category(self, trial: Trial, sweep: Sweep) -> int:
        """Return which group or category a trial is of; 0 where there are none."""
        if sweep.coloring is not None:
            return sweep.coloring.groups[trial.index]
        return trial.group or 0

    def listed(self, sweep: Sweep) -> list[tuple[str, str, str]]:
        """Return words, colour and marker of what the colours mean."""
        coloring = sweep.coloring
        if coloring is None:
            told = [(label, marks.color(at, self.theme), marker(at)) for at, label in enumerate(sweep.groups)]
        else:
            first: dict[str, Trial] = {}
            for trial in sweep.trials:
                first.setdefault(coloring.texts[trial.index], trial)
            order = list(first)
            if coloring.shades is not None:
                shades = {text: coloring.shades[trial.index] for text, trial in first.items()}
                order.sort(key=lambda text: math.inf if math.isnan(shades[text]) else shades[text])
                if len(order) > _SCALE_SHOWN:
                    order = [order[round(at * (len(order) - 1) / (_SCALE_SHOWN - 1))] for at in range(_SCALE_SHOWN)]
            told = []
            for text in order:
                trial = first[text]
                shape = MARKERS[0] if coloring.shades is not None else marker(coloring.groups[trial.index])
                told.append((f"{coloring.name} = {text}", self.color(trial, sweep), shape))
        if len(told) > _MOST_LISTED:
            more = len(told) - _MOST_LISTED + 1
            told = [*told[: _MOST_LISTED - 1], (f"and {plural(more, 'more value')}", "", "")]
        return told

    def head(self, title: str, parts: Sequence[str]) -> float:
        """Write title and the words under it; return the height in pixels that is left below them."""
        px = self.px
        text = self.text(self.printable(title), size=15, weight="bold", color=self.theme.ink, gid="title")
        self.put(text, 28 * px, self.height - 56 * px)
        self.shrink(text, self.width - 56 * px, 10)
        lacking = self.fonts.words()
        rows = self.rows_of_text("  ·  ".join([*parts, *([lacking] if lacking else [])]), 92)
        return self.height - (100 + 26 * rows) * px

    def list_right(self, entries: Sequence[tuple[str, str, str]], top: float) -> float:
        """Write the list of colours at the right edge, from `top` down; return its width in pixels."""
        if not entries:
            return 0.0
        px = self.px
        texts: list[Text] = []
        for words, color, _ in entries:
            ink = self.theme.ink if color else self.theme.muted
            text = self.text(self.printable(words), size=10, color=ink, va="center", gid="label")
            self.shrink(text, _LIST_SHARE * self.width - 40 * px, 7.5)
            texts.append(text)
        width = max(map(self.width_of, texts)) + 40 * px
        left = self.width - 28 * px - width
        for at, (text, (_, color, shape)) in enumerate(zip(texts, entries, strict=True)):
            y = top - (14 + 27 * at) * px
            self.put(text, left + 34 * px, y)
            if color:
                key = self.line([left + 14 * px], [y], color=color, marker=shape, markersize=7, linestyle="none")
                key.set_gid(f"key:{text.get_text()}")
        return width + 20 * px

    def ticks_below(self, axes: Axes, scale: Scale) -> None:
        """Give the x axis the ticks of a scale, cut and turned to fit under the axes."""
        axes.set_xlim(-MARGIN, 1 + MARGIN)
        axes.xaxis.set_major_locator(FixedLocator([place for place, _ in scale.ticks]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FixedFormatter([self.printable(word) for _, word in scale.ticks]))
        self.plain(axes.xaxis.get_ticklabels())

    def plain(self, labels: Sequence[Text]) -> None:
        """Let strangers' words be drawn as they are: no formulas, and in fonts that have their characters."""
        for label in labels:
            label.set(parse_math=False, family=self.fonts.families)

    def turned(self, axes: Axes, scale: Scale, width: float) -> bool:
        """Turn the labels under an axes of `width` pixels where they would run into each other; return whether."""
        places = [place * width / (1 + 2 * MARGIN) for place, _ in scale.ticks]
        wide = [self.width_of(label) for label in axes.xaxis.get_ticklabels()]
        pairs = zip(zip(places, wide, strict=False), zip(places[1:], wide[1:], strict=False), strict=False)
        if all(b - a > (left + right) / 2 + 10 * self.px for (a, left), (b, right) in pairs):
            return False
        style: dict[str, Any] = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"}
        for label in axes.xaxis.get_ticklabels():
            label.set(**style)
        return True


def marker(at: int) -> str:
    """Return the marker of the n-th group: another one each time that the colours repeat."""
    return MARKERS[at // len(LIGHT.lines) % len(MARKERS)]
