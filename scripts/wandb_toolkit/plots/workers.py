"""Metrics → finished pictures, in this process or in several; only the parent writes files.

A worker gets the points of one figure and returns the file's bytes with the facts about it. Whatever happens to a
worker, or to the parent, no file is half written, and what was written is known to the parent.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, Run
from wandb_toolkit.output import digest, run_key
from wandb_toolkit.plots.charts import Chart, build_chart
from wandb_toolkit.plots.coloring import Coloring, colored
from wandb_toolkit.plots.figures.view import View
from wandb_toolkit.plots.grouping import Grouping, grouped
from wandb_toolkit.plots.kinds import KINDS, Drawn
from wandb_toolkit.plots.smoothing import Smoothing

if TYPE_CHECKING:
    from concurrent.futures import Future
    from types import FrameType

    from wandb_toolkit.plots.figures.painter import Painter

WORTH_A_POOL = 10  # figures; a worker takes about as long to start as three of them to draw
_AHEAD = 2  # figures a worker that may wait for it: what bounds the memory


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
    kind: str = "lines"  # of `kinds.KINDS`
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
        drawn = KINDS[self.settings.kind].draw(self, one.title, charts)
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
    if jobs < 2:
        artist = Artist(settings)
        yield from map(artist.draw, tasks)
        return
    from concurrent.futures import ProcessPoolExecutor
    from concurrent.futures.process import BrokenProcessPool

    # Spawned, not forked: the parent may have threads that read from a server.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(settings,))
    waiting: deque[Future[Drawn]] = deque()
    try:
        for one in tasks:
            waiting.append(pool.submit(_draw, one))
            while len(waiting) > _AHEAD * jobs:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ToolkitError(
            "A process that draws was killed, perhaps for want of memory.", "Try again with --jobs 1."
        ) from error
    finally:  # interrupted, too: figures under way are finished and dropped, so that no process stays behind
        pool.shutdown(wait=True, cancel_futures=True)


_artist: Artist | None = None  # of a worker process


def _start(settings: Settings) -> None:
    """Prepare a worker: Ctrl-C is the parent's to handle, and no worker outlives the parent."""
    global _artist  # noqa: PLW0603 a worker has one
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()
    _artist = Artist(settings)


def _end_with(sentinel: int) -> None:
    from multiprocessing.connection import wait

    wait([sentinel])
    os._exit(1)


def _draw(one: Task) -> Drawn:
    assert _artist is not None
    return _artist.draw(one)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that what is finished gets recorded."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def held() -> Iterator[None]:
    """Hold Ctrl-C and SIGTERM back while the block runs; they act at its end. For a file and the word of it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        caught.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        raise KeyboardInterrupt
