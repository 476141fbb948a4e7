"""Reading what a report needs of each run, and no more: the metrics that play a role, the primary one, and others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from wandb_toolkit import roles, stats
from wandb_toolkit.detectors.base import COUNTERS, EPOCHS, OWN_COUNTERS
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, MetricKind, RoleMatch, Run, Series
from wandb_toolkit.plots.charts import STEP
from wandb_toolkit.reports.machine_charts import wanted
from wandb_toolkit.reports.steps import StepAxis, on_axis, step_axis
from wandb_toolkit.roles import RolePatterns
from wandb_toolkit.sources.base import Histories

_NO_METRIC = re.compile(r"(_timestamp|_runtime)$|system\.")
AXES = ("_timestamp", "_runtime")  # read beside the metrics: without a throughput metric, the rows' spacing shows it
STEPS = (*COUNTERS, *OWN_COUNTERS, *EPOCHS)  # the training's own counters
OTHERS = 40  # metrics without a role that are read too: a NaN in any of them is said, and an epoch is a clock
POINTS_HELD = 20_000_000  # over all runs (16 bytes each); beyond it histories are thinned here and read again later
POINTS_THINNED = 5_000  # a metric of a thinned history
SYSTEM_RUNS = 30  # of more runs the system metrics are not read: a request each, or twice the parsing


@dataclass(frozen=True, eq=False)
class Reading:
    """One run with the series that matter."""

    run: Run
    names: tuple[str, ...]  # all its numeric metrics
    roles: Mapping[str, RoleMatch]
    history: History
    thinned: bool = False  # the history holds every n-th point only
    axis: StepAxis | None = None  # what counts the training's steps, which the series are by; None: W&B's `_step`

    def with_series(self, history: History) -> Reading:
        """Return the reading with the series of `history`, which are by W&B's step, added."""
        both = {**self.history.series, **on_axis(history, self.axis).series}
        return replace(self, history=replace(self.history, series=both))


def read_runs(
    source: Histories,
    runs: Sequence[Run],
    overrides: Mapping[str, str],
    primary: str | None,
    on_run: Callable[[Run], object],
    points_held: int = POINTS_HELD,
    patterns: RolePatterns | None = None,
) -> tuple[list[Reading], list[dict[str, str]]]:
    """Return the readings in the order of `runs`, and the runs that could not be read, with the reason.

    `patterns` are the roles' (default: the built-in ones).
    """
    readings: list[Reading] = []
    errors: list[dict[str, str]] = []
    defined = frozenset(axis for run in runs for axis in run.step_metrics.values() if axis != STEP)
    chooser = _Chooser(overrides, primary, patterns, defined)
    held = 0
    for run, history in source.histories(runs, chooser, system=len(runs) <= SYSTEM_RUNS, full=False):
        if isinstance(history, ToolkitError):
            errors.append({"run": run.id, "name": run.name, "message": history.message})
        else:
            reading = _reading(run, history, chooser)
            points = sum(len(one) for one in reading.history.series.values())
            if held + points > points_held:
                thin = {name: _thin(one) for name, one in reading.history.series.items()}
                reading = replace(reading, history=replace(reading.history, series=thin), thinned=True)
                points = sum(len(one) for one in thin.values())
            held += points
            readings.append(reading)
        on_run(run)
    return readings, errors


# The metrics of a run → their roles, and which of them to keep: the runs of a project mostly log the same.
_Known: TypeAlias = dict[tuple[str, ...], tuple[dict[str, RoleMatch], tuple[str, ...]]]


@dataclass(frozen=True)
class _Chooser:
    """Chooses what to read of a run, once it is known what it logged."""

    overrides: Mapping[str, str]
    primary: str | None
    patterns: RolePatterns | None = None
    defined: frozenset[str] = frozenset()  # axes that runs defined
    known: _Known = field(default_factory=dict)

    def __call__(self, kinds: Mapping[str, MetricKind]) -> Sequence[str]:
        return (*self.judged(kinds)[2], *AXES, *(name for name in (*STEPS, *sorted(self.defined)) if name in kinds))

    def judged(self, kinds: Mapping[str, MetricKind]) -> tuple[tuple[str, ...], dict[str, RoleMatch], tuple[str, ...]]:
        """Return a run's numeric metrics, their roles, and the metrics to keep."""
        names = tuple(name for name, kind in kinds.items() if kind == "number" and not _NO_METRIC.match(name))
        if names not in self.known:
            found = roles.assign_roles(names, self.overrides, self.patterns)
            alone = roles.choose_primary([names], self.primary, self.patterns)
            kept = [match.metric for match in found.values()] + ([alone.metric] if alone else [])
            others = [name for name in names if not roles.NO_METRIC.match(name)]
            self.known[names] = found, tuple(dict.fromkeys((*kept, *others[:OTHERS])))
        return names, *self.known[names]


def _reading(run: Run, history: History, chooser: _Chooser) -> Reading:
    names, found, _ = chooser.judged(history.kinds)
    said = tuple(dict.fromkeys((*run.warnings, *history.warnings)))
    series = {n: _without_fillers(one) for n, one in history.series.items() if not n.startswith("system.") or wanted(n)}
    history = replace(history, series=series)
    axis = step_axis(run, history, found)
    steps = int(axis.training[-1]) if axis else run.steps
    return Reading(replace(run, warnings=said, steps=steps), names, found, on_axis(history, axis), axis=axis)


def _without_fillers(series: Series) -> Series:
    filler = stats.fillers(series.value)
    return replace(series, x=series.x[~filler], value=series.value[~filler]) if filler.any() else series


def _thin(series: Series) -> Series:
    every = -(-len(series) // POINTS_THINNED)
    if every <= 1:
        return series
    # Copies, so that the whole array is not kept alive by a view.
    return replace(series, x=series.x[::every].copy(), value=series.value[::every].copy(), total=len(series))


def fill(source: Histories, readings: Sequence[Reading], metric: str) -> list[Reading]:
    """Return the readings with `metric` in each run that logged it, reading what an earlier choice left out."""
    lacking = [one for one in readings if metric in one.names and metric not in one.history]
    if not lacking:
        return list(readings)
    found = dict(
        zip(map(id, lacking), source.histories([one.run for one in lacking], [metric], full=False), strict=True)
    )
    filled = []
    for one in readings:
        _, history = found.get(id(one), (one.run, None))
        filled.append(one.with_series(history) if isinstance(history, History) else one)
    return filled


def complete(source: Histories, readings: Sequence[Reading]) -> Iterator[Reading]:
    """Yield the readings with their whole series, reading a thinned one again."""
    for one in readings:
        if not one.thinned:
            yield one
            continue
        for _, history in source.histories([one.run], list(one.history), full=False):
            yield one if isinstance(history, ToolkitError) else one.with_series(history)
