"""How much of the result each setting goes with: bars of importance or, without a model, of rank correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FixedFormatter, FixedLocator

from wandb_toolkit.plots.figures.alt_text import metric_name
from wandb_toolkit.plots.figures.axes import bare
from wandb_toolkit.plots.figures.sweep_canvas import LABEL, SweepCanvas
from wandb_toolkit.plots.sweep_text import SURE, bars_of, how_it_goes, is_modelled, is_told
from wandb_toolkit.text import fitting_names, plural

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wandb_toolkit.plots.sweep import Sweep

MOST_BARS = 14
_IMPORTANCE = "importance: drop of the model's R² without the setting"
_NAME_LETTERS = 36


class BarsPainter(SweepCanvas):
    """Draws the settings of a sweep that the comparison judged; its `signals` must not be refused."""

    axes: Axes

    def draw(self, sweep: Sweep) -> None:
        """Draw the figure; `axes` has a bar for each setting, the longest at the top."""
        signals = sweep.signals
        assert signals is not None
        bars = bars_of(signals)
        shown, modelled = bars[:MOST_BARS], is_modelled(signals)
        with self.style():
            self.axes = axes = self.figure.add_axes((0.2, 0.1, 0.6, 0.7))
            bare(axes, self.theme, size=LABEL)
            axes.grid(axis="y", visible=False)
            axes.spines["left"].set_visible(True)
            axes.spines["left"].set_color(self.theme.base)
            longest = max((length for _, length in shown), default=0.0) or 1.0
            for at, (one, length) in enumerate(shown):
                ordered = one.kind == "order" and one.p < SURE
                color = self.theme.lines[1 if one.strength < 0 else 0] if ordered else self.theme.muted
                style: dict[str, Any] = {"edgecolor": color, "linewidth": 1.4, "zorder": 3}
                (bar,) = axes.barh([at], [length], height=0.62, facecolor=color if is_told(one) else "none", **style)
                bar.set_gid(f"bar:{one.key}")
                words = self.printable(how_it_goes(one, modelled=modelled))
                style = {"va": "center", "color": self.theme.ink, "fontsize": LABEL - 1, "parse_math": False}
                text = axes.annotate(
                    words, (length, at), xytext=(8, 0), textcoords="offset points", annotation_clip=False, **style
                )
                text.set(gid=f"value:{one.key}", family=self.fonts.families)
            axes.set_ylim(max(len(shown), 3) - 0.4, -0.6)
            axes.set_xlim(0, longest * 1.02)
            names = [" = ".join([one.key, *one.also]) for one, _ in shown]
            names = fitting_names([self.printable(name) for name in names], _NAME_LETTERS)
            axes.yaxis.set_major_locator(FixedLocator(list(range(len(shown)))))
            axes.yaxis.set_major_formatter(FixedFormatter(names))
            axes.tick_params(axis="y", labelcolor=self.theme.ink)
            self.plain(axes.yaxis.get_ticklabels())
            what = (
                "importance: drop of the model's R² without the setting"
                if modelled
                else "strength of the rank correlation"
            )
            axes.set_xlabel(what, fontsize=LABEL)
            parts = [plural(signals.count, "configuration"), "correlation, not proof"]
            parts += [f"model: {signals.model}"] if signals.model else []
            parts += [
                "blue: more is better, orange: less is better",
                f"hollow: not told from chance (p ≥ {SURE:g}, Holm)",
            ]
            if len(bars) > len(shown):
                parts.append(f"and {plural(len(bars) - len(shown), 'more setting')}, in JSON")
            self._layout(metric_name(sweep.metric), [*parts, *sweep.notes])

    def _layout(self, metric: str, parts: list[str]) -> None:
        px, axes = self.px, self.axes
        top = self.head(f"Settings that go with {metric}", parts)
        left = 48 * px + max((self.width_of(tick) for tick in axes.yaxis.get_ticklabels()), default=0.0)
        beside = max((self.width_of(text) for text in axes.texts), default=0.0) + 24 * px
        width = max(self.width - 40 * px - left - beside, self.width * 0.2)
        down = 96 * px
        high = max(top - down, self.height * 0.2)
        axes.set_position((left / self.width, down / self.height, width / self.width, high / self.height))
