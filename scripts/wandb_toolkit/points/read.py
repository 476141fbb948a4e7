"""The rows of several runs, read from their source: which metrics, on which axis, which rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TypeAlias

from wandb_toolkit import roles
from wandb_toolkit.errors import NotFoundError, ToolkitError, UsageError, did_you_mean
from wandb_toolkit.model import History, MetricKind, RoleMatch, Run
from wandb_toolkit.plots.charts import AXIS_NAMES
from wandb_toolkit.plots.smoothing import Smoothing
from wandb_toolkit.points import rows as pick
from wandb_toolkit.points.rows import Rows, joined
from wandb_toolkit.reports.read import STEPS
from wandb_toolkit.reports.steps import step_axis
from wandb_toolkit.resolve import means, settle_names
from wandb_toolkit.sources.base import Source

AROUND = 20  # rows nearest to a step, where nobody says how many
SMOOTHED = " (smoothed)"
TIMES = ("_runtime", "_timestamp")

Found: TypeAlias = "Iterable[tuple[Run, History | ToolkitError]]"


@dataclass(frozen=True)
class Place:
    """A place in a run: a step on its axis, seconds since the start, or a time."""

    by: str  # "x", "runtime", "timestamp"
    value: float


@dataclass(frozen=True)
class Wanted:
    """Which points, and which rows of each run; None leaves a choice open."""

    metrics: tuple[str, ...] | None = None  # names and globs; None: every number but system.*
    x_axis: str | None = None  # step, runtime, wall, or a metric; None: what counts the training's steps
    samples: int | None = None  # about so many rows a run; None: every row
    smoothed: bool = False
    first: int | None = None
    last: int | None = None
    every: int | None = None
    around: float | None = None
    rows: int | None = None  # with `around`
    at_best: str | None = None
    since: Place | None = None
    until: Place | None = None

    @property
    def axis(self) -> str | None:
        """The metric to count steps by, None for the run's own."""
        return AXIS_NAMES.get(self.x_axis, self.x_axis) if self.x_axis is not None else None


@dataclass(frozen=True, eq=False)
class Points:
    """The rows of each run that could be read, in the order of the runs, and why others could not."""

    rows: tuple[Rows, ...]
    errors: tuple[tuple[Run, ToolkitError], ...] = ()
    warnings: tuple[str, ...] = ()


def read_points(source: Source, runs: Sequence[Run], wanted: Wanted, shown: Callable[[Found], Found] = iter) -> Points:
    """Return what is wanted of the runs; `shown` passes on the histories and may show how far reading is.

    Raises:
        NotFoundError: a name or glob means no numeric metric of any run; the hint has the nearest.
        UsageError: what is asked for is not a number, or mixes system metrics with others.
        ToolkitError: no run could be read.
    """
    histories, errors = _read(source, runs, wanted, shown)
    metrics = _chosen(wanted, histories)
    found = [_rows(runs[at], history, metrics, wanted) for at, history in histories.items()]
    found = _smoothed(found, metrics) if wanted.smoothed else found
    warnings = [
        f"{runs[at].label}: {text}" for at, h in histories.items() for text in (*runs[at].warnings, *h.warnings)
    ]
    warnings += _not_numbers(runs, histories, metrics)
    if wanted.at_best and roles.direction_of(wanted.at_best)[1].startswith("assumed"):
        warnings.append(f"nothing says which way is better in {wanted.at_best}: the highest is taken")
    selected = tuple(_selected(rows, wanted) for rows in found)
    if (wanted.since or wanted.until) and not any(map(len, selected)) and any(map(len, found)):
        warnings.append(f"no row is between these places; {_reach(found)}")
    return Points(selected, tuple(errors), tuple(warnings))


def _not_numbers(runs: Sequence[Run], histories: Mapping[int, History], metrics: Sequence[str]) -> list[str]:
    """Return what to say of metrics that are numbers in some runs and something else in others."""
    return [
        f"{runs[at].label}: {name} is of the kind {history.kinds[name]} there, not a number, and left out"
        for at, history in histories.items()
        for name in metrics
        if name not in history and history.kinds.get(name, "number") != "number"
    ]


def _reach(found: Sequence[Rows]) -> str:
    """Return from where to where the rows go on their axis."""
    import numpy as np

    xs = np.concatenate([rows.x[np.isfinite(rows.x)] for rows in found])
    return f"{found[0].axis} goes from {xs.min():g} to {xs.max():g}" if len(xs) else f"{found[0].axis} was not logged"


def _read(
    source: Source, runs: Sequence[Run], wanted: Wanted, shown: Callable[[Found], Found]
) -> tuple[dict[int, History], list[tuple[Run, ToolkitError]]]:
    defined = {axis for run in runs for axis in run.step_metrics.values()}
    axes = tuple(sorted({*defined, *STEPS, *([wanted.axis] if wanted.axis else [])} - {pick.STEP, *TIMES}))
    asked = (*wanted.metrics, *([wanted.at_best] if wanted.at_best else [])) if wanted.metrics is not None else None
    system = any(pattern.startswith("system.") for pattern in asked or ())
    found = source.histories(runs, partial(keys_of, asked, axes), system=system, full=wanted.samples is None)
    histories: dict[int, History] = {}
    errors: list[tuple[Run, ToolkitError]] = []
    for at, (run, history) in enumerate(shown(found)):
        if isinstance(history, ToolkitError):
            errors.append((run, history))
        else:
            histories[at] = _completed(source, run, history, asked or (), wanted)
    if not histories and errors:
        raise errors[0][1]
    return histories, errors


def _completed(source: Source, run: Run, history: History, asked: Sequence[str], wanted: Wanted) -> History:
    """Return the history with what was asked for by name of a run that logged more metrics than are listed."""
    lacking = [name for name in asked if name not in history.kinds and not any(sign in name for sign in "*?[")]
    if not history.beyond or not lacking:
        return history
    for _, more in source.histories([run], lacking, full=wanted.samples is None):
        if isinstance(more, History):
            kinds, series = {**history.kinds, **more.kinds}, {**history.series, **more.series}
            return replace(history, kinds=kinds, series=series)
    return history


def keys_of(patterns: tuple[str, ...] | None, axes: tuple[str, ...], kinds: Mapping[str, MetricKind]) -> list[str]:
    """Return what to read of a run, once it is known what it logged: the numbers that are meant, the axes, the times.

    Without patterns all numbers are meant.
    """
    names = [name for name, kind in kinds.items() if kind == "number"]
    if patterns is not None:
        settled = settle_names(patterns, names)
        names = [name for name in names if means(settled, name)]
    return [*dict.fromkeys([*names, *(axis for axis in axes if axis in kinds), *TIMES])]


def _chosen(wanted: Wanted, histories: Mapping[int, History]) -> list[str]:
    """Return the metrics that names and globs mean, in the order asked for."""
    kinds = {name: kind for history in histories.values() for name, kind in history.kinds.items()}
    read = [name for history in histories.values() for name in history if name not in TIMES]
    known = dict.fromkeys([*read, *(name for name, kind in kinds.items() if kind == "number")])
    chosen: dict[str, None] = {}
    for pattern in settle_names(wanted.metrics, known) if wanted.metrics is not None else ["*"]:
        chosen |= dict.fromkeys(_matching(pattern, known, kinds, everything=wanted.metrics is None))
    if not chosen:
        raise NotFoundError("There is no numeric metric.", "list_metrics shows what was logged.")
    for name, what in ((wanted.at_best, "--at-best"), (wanted.axis, "--x-axis")):
        if name and name not in known and name not in (*TIMES, pick.STEP):
            raise NotFoundError(f"{what}: no metric called {name!r}.", did_you_mean(name, known, "metric"))
    if wanted.at_best:
        chosen.setdefault(wanted.at_best, None)
    if len({name.startswith("system.") for name in chosen}) > 1:
        raise UsageError(
            "System metrics are sampled by time, apart from the rows of the others.",
            "Ask for them in a call of their own.",
        )
    return list(chosen)


def _matching(
    pattern: str, known: Mapping[str, None], kinds: Mapping[str, MetricKind], *, everything: bool
) -> list[str]:
    if pattern in known:
        return [pattern]
    matching = [name for name in known if fnmatchcase(name, pattern)]
    if everything:
        return [name for name in matching if not name.startswith(("system.", "_"))]
    if matching:
        return matching
    kind = kinds.get(pattern)
    if kind is not None and kind != "number":
        raise UsageError(
            f"{pattern} is of the kind {kind}, not a number.", "show_run shows what a run has besides its curves."
        )
    raise NotFoundError(f"No metric called {pattern!r}.", did_you_mean(pattern.strip("*?[]"), known, "metric"))


def _rows(run: Run, history: History, metrics: Sequence[str], wanted: Wanted) -> Rows:
    """Return the run's rows on the axis asked for, else on that of the training."""
    if metrics and metrics[0].startswith("system."):
        made = joined(run, history, metrics)
        return replace(made, axis="_runtime", x=made.step, runtime=made.step, by_time=True)
    axis = wanted.axis
    if axis is None:
        judged = {name: RoleMatch(name, name, "") for name in metrics if name not in STEPS}
        own = step_axis(run, history, judged)
        axis = own.metric if own else pick.STEP
    return joined(run, history, metrics, axis)


def _smoothed(found: Sequence[Rows], metrics: Sequence[str]) -> list[Rows]:
    """Return the rows with each metric's smoothed values, over the range of all runs, as figures have them."""
    import numpy as np

    done = list(found)
    for name in metrics:
        xs = [rows.x[rows.there[name] & np.isfinite(rows.x)] for rows in found]
        ends = [(float(x.min()), float(x.max())) for x in xs if len(x)]
        span = max((high for _, high in ends), default=0.0) - min((low for low, _ in ends), default=0.0)
        for at, rows in enumerate(done):
            mask = rows.there[name] & np.isfinite(rows.x)
            smooth = np.full(len(rows), np.nan)
            made = Smoothing().apply(rows.x[mask], rows.values[name][mask], span)
            if made is not None:
                smooth[mask] = made
            done[at] = rows.with_column(name + SMOOTHED, smooth, mask & np.isfinite(smooth))
    return done


def _selected(rows: Rows, wanted: Wanted) -> Rows:
    """Return the rows that are wanted."""
    import numpy as np

    if wanted.since:
        rows = pick.between(rows, wanted.since.value, None, wanted.since.by)
    if wanted.until:
        rows = pick.between(rows, None, wanted.until.value, wanted.until.by)
    if wanted.at_best:
        rows = pick.at_best(rows, wanted.at_best, highest=roles.direction_of(wanted.at_best)[0] == "max")
    if wanted.around is not None:
        rows = pick.around(rows, wanted.around, wanted.rows or AROUND)
    if wanted.every:
        rows = pick.every(rows, wanted.every)
    if wanted.samples:
        rows = pick.evenly(rows, wanted.samples)
    if wanted.first or wanted.last:
        places = np.arange(len(rows))
        rows = rows.select(places[: wanted.first] if wanted.first else places[-(wanted.last or 0) :])
    return rows


def lines_of(rows: Rows) -> Iterator[tuple[int, dict[str, float]]]:
    """Yield (row, metric → value) of each row."""
    for at in range(len(rows)):
        yield at, {name: float(rows.values[name][at]) for name, mask in rows.there.items() if mask[at]}
