"""The figure of a replay as a picture."""

from __future__ import annotations

from dataclasses import replace

from matplotlib.ticker import FixedFormatter, FixedLocator

from wandb_toolkit.plots.evidence import ticks
from wandb_toolkit.plots.figures.alt_text import tick_labels
from wandb_toolkit.plots.figures.axes import bare
from wandb_toolkit.plots.figures.painter import Canvas
from wandb_toolkit.plots.figures.view import DPI, View
from wandb_toolkit.plots.stops import BEST, Stops

_WIDTH, _LEFT, _RIGHT, _HEAD, _ROW, _FOOT = 1400, 380, 50, 150, 46, 100  # pixels at 160 dpi
_MARKS = ("o", "^", "s")
_NAME = 30  # letters


class StopsPainter(Canvas):
    """Draws when runs would have been stopped."""

    def __init__(self, figure: Stops, view: View | None = None) -> None:
        view = view or View()
        px = view.dpi / DPI
        height = _HEAD + _ROW * len(figure.rows) + _FOOT
        super().__init__(replace(view, width=round(_WIDTH * px), height=round(height * px)))

    def draw(self, figure: Stops) -> None:
        """Draw the figure."""
        px, theme, count = self.px, self.theme, len(figure.rows)
        with self.style():
            head = self.text(self.printable(figure.sentence), size=11, color=theme.ink, gid="sentence")
            self.put(head, 28 * px, self.height - 44 * px)
            self.shrink(head, self.width - 56 * px, 8)
            box = (_LEFT * px, _FOOT * px, self.width - (_LEFT + _RIGHT) * px, _ROW * count * px)
            sizes = (self.width, self.height, self.width, self.height)
            axes = self.figure.add_axes(tuple(part / size for part, size in zip(box, sizes, strict=True)))  # type: ignore[arg-type]
            bare(axes, theme, size=9)
            axes.grid(axis="y", visible=False)
            most = max(row.steps for row in figure.rows) or 1
            axes.set_xlim(0, most * 1.01)
            axes.set_ylim(count - 0.5, -0.5)
            marked = [tick for tick in ticks(0.0, float(most), 6) if 0 <= tick <= most]
            axes.xaxis.set_major_locator(FixedLocator(marked))
            axes.xaxis.set_major_formatter(FixedFormatter(tick_labels(marked)))
            axes.set_xlabel("step")
            axes.set_yticks([])
            for at, row in enumerate(figure.rows):
                (bar,) = axes.plot([0, row.steps], [at, at], color=theme.grid, linewidth=5, solid_capstyle="butt")
                bar.set_gid(f"run:{row.name}")
                weight = "bold" if row.best else "normal"
                words = self.printable(row.name, _NAME)
                name = self.text(words, size=9, color=theme.ink, ha="right", va="center", weight=weight, gid="name")
                self.put(name, (_LEFT - 14) * px, (_FOOT + _ROW * (count - at - 0.5)) * px)
            for at, policy in enumerate(figure.policies):
                lane = 0.28 * (at - (len(figure.policies) - 1) / 2)
                places = [(row.stops[at], place + lane) for place, row in enumerate(figure.rows)]
                drawn = [(float(step), y) for step, y in places if step is not None]
                (points,) = axes.plot(
                    [x for x, _ in drawn], [y for _, y in drawn], _MARKS[at % 3], color=theme.lines[at]
                )
                points.set(gid=f"stops:{policy}", markersize=5.5, label=policy, clip_on=False)
            axes.legend(
                loc="lower left", bbox_to_anchor=(0, 1), ncols=len(figure.policies), frameon=False, fontsize=9,
                labelcolor=theme.ink,
            )  # fmt: skip
            note = self.text(
                self.printable(" · ".join(filter(None, (BEST, figure.note)))), size=8.5, color=theme.muted, gid="note"
            )
            self.put(note, 28 * px, 24 * px)


def stops_png(figure: Stops, owner: str = "", view: View | None = None) -> bytes:
    """Return the figure as a PNG with its sentence as the alternative text."""
    painter = StopsPainter(figure, view)
    painter.draw(figure)
    return painter.raster("When runs would have been stopped", ()).png(figure.sentence, owner)
