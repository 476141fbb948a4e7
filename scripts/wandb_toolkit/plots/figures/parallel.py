"""Parallel coordinates: an axis for each setting, the last one for the result, and a line for each run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matplotlib.collections import LineCollection

from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.alt_text import metric_name, short
from wandb_toolkit.plots.figures.axes import bare, is_flattened
from wandb_toolkit.plots.figures.sweep_canvas import SweepCanvas
from wandb_toolkit.plots.scales import Scale, scale_of, side_by_side
from wandb_toolkit.plots.sweep_text import words_of_states
from wandb_toolkit.text import fitting_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wandb_toolkit.plots.sweep import Sweep

NO_RESULT = "no result"
_CROWD, _MANY = 40, 400
_RIBBON = 0.025  # of an axis on either side: lines of one value lie side by side, the better results higher
_NAMED = 3  # settings up to which the title names them
_TICK, _NAME = 10.0, 11.0  # points


class ParallelPainter(SweepCanvas):
    """Draws one sweep over all of its keys."""

    axes: Axes

    def draw(self, sweep: Sweep) -> None:
        """Draw the figure; `axes` has its lines by state, the axes at x = 0, 1, 2, ..."""
        import numpy as np

        results = np.array([one.result for one in sweep.trials])
        finite = results[np.isfinite(results)]
        auto = bool(len(finite)) and is_flattened(finite) and bool((finite > 0).all())
        log = self.view.log_y or auto
        told = [one.result if math.isfinite(one.result) else None for one in sweep.trials]
        scales = [scale_of(key, sweep.settings[key]) for key in sweep.keys]
        scales.append(scale_of(sweep.metric, told, log=log, missing=NO_RESULT, below=True))
        with self.style():
            self.axes = axes = self.figure.add_axes((0.05, 0.1, 0.9, 0.7))
            bare(axes, self.theme)
            axes.grid(visible=False)
            axes.spines["bottom"].set_visible(False)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_xlim(0, len(scales) - 1)
            axes.set_ylim(-0.03, 1.03)
            self._lines(sweep, scales)
            better = "higher" if sweep.direction == "max" else "lower"
            parts = words_of_states(sweep)
            if sweep.coloring is None and not sweep.groups:
                parts.append(f"color: rank by {metric_name(sweep.metric)}, {better} is better, the best stands out")
            if sweep.best is not None:
                parts.append(f"thick: best finished, {sweep.best.label}, {short(sweep.best.result)}")
            if any(scale.kind == "log" for scale in scales):
                parts.append("log: " + ", ".join(_short(scale.name) for scale in scales if scale.kind == "log"))
            self._layout(sweep, scales, [*parts, *sweep.notes])

    def _lines(self, sweep: Sweep, scales: list[Scale]) -> None:
        count = len(sweep.trials)
        width, alpha = (1.8, 0.9) if count <= _CROWD else (1.2, 0.6) if count <= _MANY else (0.7, 0.3)
        last = scales[-1].places
        ranks = {place: at for at, place in enumerate(sorted(range(count), key=lambda at: last[at]))}
        spread = [side_by_side(scale, [ranks[at] for at in range(count)], _RIBBON) for scale in scales[:-1]]
        paths = [[(float(at), one[place]) for at, one in enumerate([*spread, last])] for place in range(count)]
        colors = self._colors(sweep)
        sign = 1 if sweep.direction == "max" else -1
        order = sorted(range(count), key=lambda at: (sweep.trials[at].counts, _finite(sign * sweep.trials[at].result)))
        styles: tuple[tuple[str, Any], ...] = (("failed", (0, (3, 2))), ("running", (0, (1, 1.2))), ("finished", "-"))
        for zorder, (state, dashes) in enumerate(styles, 2):
            own = [at for at in order if sweep.trials[at].state == state]
            if own:
                lines = LineCollection(
                    [paths[at] for at in own], colors=[colors[at] for at in own], linewidths=width, alpha=alpha,
                    linestyles=[dashes], zorder=zorder,
                )  # fmt: skip
                lines.set_gid(f"lines:{state}")
                self.axes.add_collection(lines, autolim=False)
        failed = [at for at in order if sweep.trials[at].state == "failed"]
        if failed:
            x = [len(scales) - 1] * len(failed)
            y = [scales[-1].places[at] for at in failed]
            few = count <= _CROWD * 2
            style: dict[str, Any] = {"linestyle": "none", "clip_on": False, "alpha": 1.0 if few else 0.6}
            style |= {"markeredgewidth": 1.8, "markersize": 8} if few else {"markersize": 4}
            (crosses,) = self.axes.plot(x, y, "x", color=self.theme.mark, zorder=6, **style)
            crosses.set_gid("failed")
        best = sweep.best
        if best is not None:
            at = sweep.trials.index(best)
            x_best, y_best = zip(*paths[at], strict=True)
            (line,) = self.axes.plot(x_best, y_best, color=colors[at], linewidth=4, zorder=7, clip_on=False)
            line.set_gid("best")

    def _colors(self, sweep: Sweep) -> list[str]:
        if sweep.coloring is not None or sweep.groups:
            return [self.color(one, sweep) for one in sweep.trials]
        sign = 1 if sweep.direction == "max" else -1
        ranked = sorted({sign * one.result for one in sweep.trials if one.counts})
        share = {value: (at / (len(ranked) - 1) if len(ranked) > 1 else 1.0) for at, value in enumerate(ranked)}
        dark = self.theme.scale[0] > 0  # on dark paper the light end of the scale stands out
        return [
            marks.scale_color(share[sign * one.result] if dark else 1 - share[sign * one.result], self.theme)
            if one.counts
            else self.theme.faded
            for one in sweep.trials
        ]

    def _layout(self, sweep: Sweep, scales: list[Scale], parts: list[str]) -> None:
        px, axes = self.px, self.axes
        top = self.head(f"{metric_name(sweep.metric)} by {_keys(sweep)}", parts) - 44 * px
        room = self.list_right(self.listed(sweep), top)
        column = (self.width - 56 * px - room) / (len(scales) + 0.35)
        widest = max(self._ticks_width(scales[0], column), 40 * px)
        beside = max(self._ticks_width(scales[-1], column), 40 * px)
        left, bottom = 34 * px + widest, 56 * px
        right = self.width - 34 * px - beside - room
        axes.set_position(
            (left / self.width, bottom / self.height, (right - left) / self.width, (top - bottom) / self.height)
        )
        step = (right - left) / max(len(scales) - 1, 1)
        names = fitting_names([_short(self.printable(scale.name)) for scale in scales], 40)
        for at, (scale, name) in enumerate(zip(scales, names, strict=True)):
            x, last = left + step * at, at == len(scales) - 1
            rule = axes.axvline(at, color=self.theme.base, linewidth=1.2, zorder=1, clip_on=False)
            rule.set_gid(f"axis:{scale.name}")
            text = self.text(name, size=_NAME, color=self.theme.ink, ha="center", gid=f"name:{scale.name}")
            text.set_fontweight("bold" if last else "normal")
            self.shrink(text, step * 0.94, 8)
            half = self.width_of(text) / 2
            self.put(text, min(max(x, half + 12 * px), self.width - room - half - 12 * px), top + 14 * px)
            for place, words in scale.ticks:
                tick = self.text(self.printable(words), size=_TICK, color=self.theme.ink, gid=f"tick:{scale.name}")
                tick.set(ha="left" if last else "right", va="center")
                tick.set_bbox({"facecolor": self.theme.paper, "edgecolor": "none", "alpha": 0.8, "pad": 0.8})
                self.shrink(tick, beside if last else widest if not at else max(step * 0.62, 40 * px), 7)
                self.put(tick, x + (12 if last else -8) * px, bottom + (top - bottom) * (place + 0.03) / 1.06)

    def _ticks_width(self, scale: Scale, column: float) -> float:
        widest = 0.0
        for _, words in scale.ticks:
            text = self.text(self.printable(words), size=_TICK, gid="probe")
            widest = max(widest, self.width_of(text))
            text.remove()
        return min(widest, column * 0.8)


def _short(name: str) -> str:
    """Return a key's last part: "config.optimizer.lr" is "lr"."""
    return name.removeprefix("config.").removeprefix("summary.")


def _keys(sweep: Sweep) -> str:
    names = [_short(key) for key in sweep.keys]
    if len(names) > _NAMED:
        return f"{len(names)} settings"
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else names[0]


def _finite(value: float) -> float:
    return value if math.isfinite(value) else -math.inf
