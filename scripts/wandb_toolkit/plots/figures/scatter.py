"""A setting against the result, a point for each run."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import LineCollection

from wandb_toolkit.plots.charts import Line
from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.alt_text import metric_name, short
from wandb_toolkit.plots.figures.axes import LARGEST, bare, beyond, prepare
from wandb_toolkit.plots.figures.subtitle import axis_words
from wandb_toolkit.plots.figures.sweep_canvas import LABEL, SweepCanvas, marker
from wandb_toolkit.plots.scales import Scale, scale_of, side_by_side
from wandb_toolkit.plots.sweep_text import words_of_states

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wandb_toolkit.plots.sweep import Sweep, Trial

_COLUMN = 0.06  # of the axes' width on either side: runs of one value stand side by side
_MOST_MEANS = 60
_STRIP = 0.03  # of the axes' height, where runs without a finite result stand
_CROWD, _MANY = 60, 500  # points from which on they are smaller, and see-through


class ScatterPainter(SweepCanvas):
    """Draws one sweep against its first key."""

    axes: Axes

    def draw(self, sweep: Sweep) -> None:
        """Draw the figure; `axes` has its points by state, its means and the best run."""
        (key,) = sweep.keys
        scale = scale_of(key, sweep.settings[key])
        scale = replace(scale, places=side_by_side(scale, columns_of(sweep), _COLUMN))
        with self.style():
            self.axes = axes = self.figure.add_axes((0.1, 0.1, 0.8, 0.7))
            bare(axes, self.theme, size=LABEL)
            known = [at for at, one in enumerate(sweep.trials) if math.isfinite(one.result)]
            order = sorted(known, key=lambda at: scale.places[at])
            line = _line(sweep, [scale.places[at] for at in order], [sweep.trials[at].result for at in order])
            prepare(axes, [line] if order else [], "", self.view)
            if not order:
                style: dict[str, Any] = {"color": self.theme.muted, "ha": "center", "va": "center", "gid": "empty"}
                axes.text(0.5, 0.5, "no finite result", transform=axes.transAxes, fontsize=12, **style)
            self.ticks_below(axes, scale)
            self._points(sweep, scale)
            clusters = clusters_of(sweep, scale)
            if len(clusters) <= _MOST_MEANS:
                self._means(sweep, scale, clusters)
            best = self._best(sweep, scale)
            axes.set_xlabel(self.printable(key if scale.kind != "log" else f"{key} (log scale)"), fontsize=LABEL)
            what = [*words_of_states(sweep, below="▽ "), *self._words(sweep, clusters, best)]
            what += axis_words(axes, (line,), self.view) if order else []
            if scale.distinct < 2:
                what.append(f"{key} has one value")
            self._layout(sweep, scale, key, [*what, *sweep.notes])

    def _points(self, sweep: Sweep, scale: Scale) -> None:
        axes, theme, count = self.axes, self.theme, len(sweep.trials)
        size, alpha = (8.0, 0.9) if count <= _CROWD else (5.5, 0.75) if count <= _MANY else (3.5, 0.45)
        parts: dict[tuple[str, str, str, bool], list[int]] = defaultdict(list)
        for at, trial in enumerate(sweep.trials):
            shape = {"failed": "x", "running": "D"}.get(trial.state, "o")
            if sweep.coloring is None or sweep.coloring.shades is None:
                shape = marker(self.category(trial, sweep)) if shape == "o" else shape
            parts[trial.state, self.color(trial, sweep), shape, math.isfinite(trial.result)].append(at)
        high = axes.get_ylim()[1]
        for (state, color, shape, finite), places in parts.items():
            style: dict[str, Any] = {"linestyle": "none", "markersize": size, "alpha": alpha, "zorder": 3}
            if state == "failed":
                style |= {"markeredgecolor": color if sweep.groups or sweep.coloring else theme.mark}
                style |= {"markeredgewidth": 1.8, "zorder": 4}
            else:
                style |= {"markeredgecolor": color if state == "running" else theme.paper}
                style |= {"markeredgewidth": 1.6 if state == "running" else 0.7}
                style |= {"markerfacecolor": theme.paper if state == "running" else color}
            x = np.array([scale.places[at] for at in places])
            if not finite:
                mark = "x" if state == "failed" else "v"
                style |= {"markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": 1.4, "alpha": 0.9}
                heights = np.full(len(x), _STRIP)
                (drawn,) = axes.plot(x, heights, marker=mark, transform=axes.get_xaxis_transform(), **style)
                drawn.set_gid(f"none:{state}")
                continue
            y = np.clip([sweep.trials[at].result for at in places], -LARGEST, LARGEST)
            (drawn,) = axes.plot(x, y, marker=shape, scalex=False, scaley=False, **style)
            drawn.set_gid(f"points:{state}")
            outside = beyond(axes, _line(sweep, x.tolist(), y.tolist()))
            if outside.any():
                edge = np.where(y[outside] > high, 0.985, 0.015)
                style |= {"markerfacecolor": "none", "markeredgecolor": color, "markeredgewidth": 1.4}
                style |= {"markersize": 7, "alpha": 0.9}
                (far,) = axes.plot(x[outside], edge, marker="^", transform=axes.get_xaxis_transform(), **style)
                far.set_gid("beyond")

    def _means(self, sweep: Sweep, scale: Scale, clusters: list[tuple[int, float, list[float]]]) -> None:
        axes = self.axes
        by_group: dict[int, list[tuple[float, list[float]]]] = defaultdict(list)
        for group, place, results in clusters:
            by_group[group].append((place, results))
        for group, own in by_group.items():
            own.sort()
            color = marks.color(group, self.theme) if sweep.groups else self.theme.ink
            x = [place for place, _ in own]
            mean = [math.fsum(one / len(results) for one in results) for _, results in own]
            joined = "-" if sweep.groups and scale.kind != "category" and len(own) > 1 else "none"
            style: dict[str, Any] = {"linestyle": joined, "linewidth": 1.4, "markeredgewidth": 2.6, "markersize": 17}
            (line,) = axes.plot(x, mean, marker="_", color=color, zorder=5, scalex=False, scaley=False, **style)
            line.set_gid(f"means:{sweep.groups[group] if sweep.groups else 'seeds'}")
            ranges = [[(place, min(results)), (place, max(results))] for place, results in own]
            whiskers = LineCollection(ranges, colors=color, linewidths=1.0, alpha=0.7, zorder=2)
            whiskers.set_gid("ranges")
            axes.add_collection(whiskers, autolim=False)

    def _best(self, sweep: Sweep, scale: Scale) -> Trial | None:
        best = sweep.best
        if best is None or sum(one.counts for one in sweep.trials) < 2:
            return None
        at = sweep.trials.index(best)
        style: dict[str, Any] = {"markerfacecolor": "none", "markeredgewidth": 1.6, "markersize": 15, "zorder": 6}
        (ring,) = self.axes.plot(
            [scale.places[at]], [best.result], "o", markeredgecolor=self.theme.ink, scalex=False, scaley=False, **style
        )
        ring.set_gid("best")
        return best

    def _words(self, sweep: Sweep, clusters: list[tuple[int, float, list[float]]], best: Trial | None) -> list[str]:
        parts = []
        if len(clusters) > _MOST_MEANS:
            parts.append(f"{len(clusters):,} means are too many to draw")
        elif clusters:
            whose = f"the runs of a group ({sweep.group_by})" if sweep.groups else "runs that differ in seeds only"
            parts.append(f"━ mean of {whose}, line: lowest to highest")
        if best is not None:
            parts.append(f"ring: best finished run, {best.label}, {short(best.result)}")
        return parts

    def _layout(self, sweep: Sweep, scale: Scale, key: str, parts: list[str]) -> None:
        px, axes = self.px, self.axes
        top = self.head(f"{metric_name(sweep.metric)} against {key}", parts)
        room = self.list_right(self.listed(sweep), top)
        axes.set_position((0.1, 0.2, 0.8, 0.6))
        left = 44 * px + max((self.width_of(tick) for tick in axes.yaxis.get_ticklabels()), default=0.0)
        width = max(self.width - 56 * px - room - left, self.width * 0.2)
        down = 96 * px
        if self.turned(axes, scale, width):
            tall = max(label.get_window_extent().height for label in axes.xaxis.get_ticklabels())
            down += max(tall - 20 * px, 0.0)
        high = max(top - down, self.height * 0.2)
        axes.set_position((left / self.width, down / self.height, width / self.width, high / self.height))


def columns_of(sweep: Sweep) -> list[int]:
    """Return a number for each trial, the same for those that have a mean together."""
    if sweep.groups:
        return [one.group or 0 for one in sweep.trials]
    together = {at: number for number, places in enumerate(sweep.seeds) for at in places}
    return [together.get(at, len(sweep.seeds) + at) for at in range(len(sweep.trials))]


def clusters_of(sweep: Sweep, scale: Scale) -> list[tuple[int, float, list[float]]]:
    """Return group, place on the scale and results of the finished runs that have a mean: two or more of each.

    Without groups they are the runs that differ in seeds only.
    """
    found: dict[tuple[int, object, float], list[float]] = defaultdict(list)
    if sweep.groups:
        for at, trial in enumerate(sweep.trials):
            if trial.counts and trial.group is not None:
                found[trial.group, None, scale.places[at]].append(trial.result)
    else:
        for number, places in enumerate(sweep.seeds):
            for at in places:
                if sweep.trials[at].counts:
                    found[0, number, scale.places[at]].append(sweep.trials[at].result)
    return [(group, place, results) for (group, _, place), results in found.items() if len(results) > 1]


def _line(sweep: Sweep, x: list[float], y: list[float]) -> Line:
    """Return the points as a line, which is what axes are made for."""
    return Line(sweep.trials[0].run, "", 0, np.array(x), np.array(y))
