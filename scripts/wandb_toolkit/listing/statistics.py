"""What lists of runs read of whole histories: statistics of metrics, an order by one, sparklines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from wandb_toolkit.errors import NotFoundError, ToolkitError, did_you_mean
from wandb_toolkit.resolve import means, settle_names

if TYPE_CHECKING:
    from wandb_toolkit.model import History, MetricKind, Run, Series
    from wandb_toolkit.sources.base import Source

Statistic = Literal["best", "last", "min", "max", "mean"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
SPARK_WIDTH = 20
_ORDER = re.compile(rf"([+-]?)(({'|'.join(STATISTICS)})\.(.+))", re.DOTALL)


@dataclass(frozen=True)
class Ordering:
    """--order best.METRIC, min.METRIC, ..."""

    title: str  # "best.eval/accuracy"
    statistic: Statistic
    metric: str
    minus: bool


@dataclass(frozen=True, eq=False)
class Statistics:
    """What was read, for each run in its place."""

    values: tuple[dict[str, float], ...]  # "best.eval/accuracy" → value; a run without a value lacks it
    titles: tuple[str, ...]  # those that --stat asks for
    curves: tuple[str, ...]  # sparklines
    failed: tuple[tuple[Run, ToolkitError], ...]
    unsure: tuple[str, ...] = ()  # of which the best was asked for, and nothing says which way is better

    def places(self, ordering: Ordering) -> list[int]:
        """Return the places of the runs in order, those without a value last.

        ``best.`` has the best run first, and with a minus last; the others ascend, and with a minus descend.
        """
        from wandb_toolkit.roles import direction_of

        down = ordering.minus
        if ordering.statistic == "best":
            down = (direction_of(ordering.metric)[0] == "max") != ordering.minus
        values = [row.get(ordering.title) for row in self.values]
        known = [(value, at) for at, value in enumerate(values) if value is not None and value == value]
        known.sort(key=lambda pair: -pair[0] if down else pair[0])
        placed = {at for _, at in known}
        return [at for _, at in known] + [at for at in range(len(values)) if at not in placed]

    def take(self, places: Sequence[int]) -> Statistics:
        """Return the statistics of some of the runs."""
        curves = tuple(self.curves[at] for at in places) if self.curves else ()
        return replace(self, values=tuple(self.values[at] for at in places), curves=curves)


def ordering_of(text: str) -> Ordering | None:
    """Return what --order means where it orders by a statistic of a history, else None."""
    match = _ORDER.fullmatch(text)
    return Ordering(match[2], cast("Statistic", match[3]), match[4], match[1] == "-") if match else None


def read_statistics(
    source: Source,
    runs: Sequence[Run],
    patterns: Sequence[str] = (),
    statistic: Statistic = "last",
    ordering: Ordering | None = None,
    spark: str | None = None,
    shown: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> Statistics:
    """Read the runs' histories once for all that is asked for; every point counts, but for a sparkline alone.

    Args:
        source: where they are.
        runs: which.
        patterns: names and globs of the metrics whose `statistic` is asked for.
        statistic: which one.
        ordering: what the runs are to be ordered by.
        spark: the metric of the sparklines.
        shown: passes the histories on, to show progress.

    Raises:
        NotFoundError: a name or glob means no numeric metric of any run; the hint has the nearest.
        ToolkitError: no run could be read.
    """
    exact = [name for name in (ordering.metric if ordering else None, spark) if name is not None]

    def keys(kinds: Mapping[str, MetricKind]) -> list[str]:
        names = [name for name, kind in kinds.items() if kind == "number"]
        return [name for name in names if name in exact or means(settle_names(patterns, names), name)]

    known: dict[str, None] = {}
    wanted: dict[str, None] = {}
    rows: list[dict[str, float]] = []
    curves: list[str] = []
    failed: list[tuple[Run, ToolkitError]] = []
    found = source.histories(runs, keys, full=bool(patterns or ordering))
    for run, history in shown(found):
        if isinstance(history, ToolkitError):
            failed.append((run, history))
            rows.append({})
            curves.append("")
            continue
        known |= dict.fromkeys(name for name, kind in history.kinds.items() if kind == "number")
        known |= dict.fromkeys(history)
        chosen = [name for name in history if means(settle_names(patterns, list(history)), name)]
        wanted |= dict.fromkeys(chosen)
        pairs = [(statistic, name) for name in chosen] + ([(ordering.statistic, ordering.metric)] if ordering else [])
        rows.append(_row(history, pairs))
        curves.append(_curve(history.get(spark)) if spark else "")
    if failed and len(failed) == len(runs):
        raise failed[0][1]
    for pattern in [*settle_names(patterns, known), *([ordering.metric] if ordering else [])]:
        if not any(means([pattern], name) for name in (known if pattern in known else wanted)):
            raise NotFoundError(
                f"No run has the numeric metric {pattern!r}.", did_you_mean(pattern.strip("*?[]"), known, "metric")
            )
    names = _in_order(patterns, wanted)
    unsure = _unsure([*(names if statistic == "best" else []), *_best_of(ordering)])
    titles = tuple(f"{statistic}.{name}" for name in names)
    return Statistics(tuple(rows), titles, tuple(curves) if spark else (), tuple(failed), unsure)


def _in_order(patterns: Sequence[str], names: Mapping[str, None]) -> list[str]:
    """Return the names in the order in which they were asked for."""
    settled = settle_names(patterns, names)
    return list(dict.fromkeys(name for pattern in settled for name in names if means([pattern], name)))


def _best_of(ordering: Ordering | None) -> list[str]:
    return [ordering.metric] if ordering and ordering.statistic == "best" else []


def _unsure(names: Sequence[str]) -> tuple[str, ...]:
    from wandb_toolkit.roles import direction_of

    return tuple(name for name in dict.fromkeys(names) if direction_of(name)[1].startswith("assumed"))


def _row(history: History, pairs: Sequence[tuple[Statistic, str]]) -> dict[str, float]:
    values = {f"{statistic}.{name}": statistic_of(history.get(name), statistic) for statistic, name in pairs}
    return {title: value for title, value in values.items() if value is not None}


def statistic_of(series: Series | None, statistic: Statistic) -> float | None:
    """Return a statistic over the finite points of a metric, the last one as logged; None without such a point."""
    import numpy as np

    from wandb_toolkit.roles import direction_of

    if series is None or not len(series):
        return None
    if statistic == "last":
        return float(series.value[-1])
    finite = series.value[np.isfinite(series.value)]
    if not len(finite):
        return None
    if statistic == "best":
        statistic = direction_of(series.name)[0]
    if statistic == "mean":
        return float(finite.mean())
    return float(finite.max() if statistic == "max" else finite.min())


def _curve(series: Series | None) -> str:
    from wandb_toolkit.stats import sparkline

    return sparkline(series.value, SPARK_WIDTH) if series is not None else ""
