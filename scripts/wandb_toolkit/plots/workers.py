"""Metrics → finished pictures, in this process or in several; only the parent writes files.

A worker gets the points of one figure and returns the file's bytes with the facts about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wandb_toolkit.model import History, Run
from wandb_toolkit.output import digest, run_key
from wandb_toolkit.plots.charts import Chart, build_chart
from wandb_toolkit.plots.coloring import Coloring, colored
from wandb_toolkit.plots.figures.view import View
from wandb_toolkit.plots.grouping import Grouping, grouped
from wandb_toolkit.plots.kinds import Drawn, curve_kind
from wandb_toolkit.plots.smoothing import Smoothing
from wandb_toolkit.workers import spread

if TYPE_CHECKING:
    from wandb_toolkit.plots.figures.painter import Painter

WORTH_A_POOL = 10  # figures; a worker takes about as long to start as three of them to draw


@dataclass(frozen=True)
class Settings:
    """What all figures of a call have in common. Goes to the workers once."""

    runs: tuple[Run, ...]
    labels: tuple[str, ...]
    smoothing: Smoothing
    view: View
    x_axis: str | None = None
    grouping: Grouping | None = None
    groups: Mapping[str, Sequence[int]] = field(default_factory=dict)
    kind: str = "lines"  # a `CurveKind` of `kinds.KINDS`
    term: bool = False
    coloring: Coloring | None = None


@dataclass(frozen=True)
class Task:
    """One figure: a metric, or a page of them, with the points that it needs."""

    title: str
    metrics: tuple[str, ...]
    histories: Mapping[int, History]


def task(title: str, metrics: Sequence[str], histories: Mapping[int, History], axes: Iterable[str]) -> Task:
    """Return a task with only the series that it needs."""
    names = {*metrics, *axes}
    needed = {
        i: History({name: one for name, one in history.series.items() if name in names})
        for i, history in histories.items()
    }
    return Task(title, tuple(metrics), needed)


def light(run: Run) -> Run:
    """Return the run as plain data, without what no figure shows: it goes to other processes."""
    axes = dict(run.step_metrics)
    return replace(run, config={}, summary={}, step_metrics=axes, notes=None, tags=(), paths=(), warnings=())


class Artist:
    """Draws tasks one after the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.painter: Painter | None = None  # of single figures, kept: an axes costs as much as a figure to draw

    def draw(self, one: Task) -> Drawn:
        """Return the picture of a task."""
        charts, skipped = [], []
        for metric in one.metrics:
            chart = self._chart(metric, one)
            if chart.curves:
                charts.append(chart)
            else:
                skipped.append({"metric": metric, "reason": "; ".join(chart.notes) or "has no point"})
        if not charts:
            return Drawn(one.title, b"", "", {}, tuple(skipped))
        drawn = curve_kind(self.settings.kind).draw(self, one.title, charts)
        return replace(drawn, skipped=tuple(skipped), term=self._term(charts) if self.settings.term else "")

    def _chart(self, metric: str, one: Task) -> Chart:
        known = self.settings
        chart = build_chart(metric, known.runs, one.histories, known.smoothing, known.x_axis, known.labels)
        if known.coloring:
            return colored(chart, known.coloring)
        return grouped(chart, known.groups, known.grouping) if known.grouping else chart

    def owner(self, title: str, charts: Sequence[Chart]) -> str:
        """Return what makes a figure the same one when it is drawn again: what it is of, not how it looks."""
        runs = {run_key(run) for c in charts for curve in c.curves for run in (curve.band or _Alone(curve.run)).runs}
        kind = [self.settings.kind] if self.settings.kind != "lines" else []
        kind += [f"by {self.settings.grouping.key}"] if self.settings.grouping else []
        kind += [f"colored by {self.settings.coloring.key}"] if self.settings.coloring else []
        return digest("\n".join((title, *kind, *sorted(runs))), 16)

    def _term(self, charts: Sequence[Chart]) -> str:
        from wandb_toolkit.plots.figures.terminal import terminal_plot

        return "\n\n".join(terminal_plot(chart, self.settings.view) for chart in charts)


@dataclass(frozen=True)
class _Alone:
    run: Run

    @property
    def runs(self) -> tuple[Run, ...]:
        return (self.run,)


def draw_all(tasks: Iterator[Task], settings: Settings, jobs: int) -> Iterator[Drawn]:
    """Yield the pictures in the order of the tasks, drawn by `jobs` processes (1: this one)."""
    return spread(Artist, settings, Artist.draw, tasks, jobs, "draws")
