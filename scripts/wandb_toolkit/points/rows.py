"""Several metrics of one run, row by row, and which of the rows are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias

from wandb_toolkit.model import History, Run, Series

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wandb_toolkit.model import FloatArray

    Mask: TypeAlias = NDArray[np.bool_]

STEP = "_step"


@dataclass(frozen=True, eq=False)
class Rows:
    """One row for each step at which one of the metrics was logged. All arrays have a row's length, ascending in step.

    A row without a metric is absent in `there`; what `values` holds at it is NaN and means nothing.
    """

    run: Run
    step: FloatArray  # (n,) W&B's `_step`; for system metrics, seconds since the start
    axis: str  # what `x` counts; "_step" where that is W&B's own
    x: FloatArray  # (n,) NaN where it is not known
    values: Mapping[str, FloatArray]  # by metric
    there: Mapping[str, Mask]
    runtime: FloatArray  # (n,) seconds since the start; NaN where unknown
    timestamp: FloatArray  # (n,) Unix seconds; NaN where unknown
    by_time: bool = False  # samples of system metrics: `step` and `x` are seconds since the start

    def __len__(self) -> int:
        return len(self.step)

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> Rows:
        """Return the rows of a mask or of places."""
        return replace(
            self,
            step=self.step[keep],
            x=self.x[keep],
            values={name: value[keep] for name, value in self.values.items()},
            there={name: mask[keep] for name, mask in self.there.items()},
            runtime=self.runtime[keep],
            timestamp=self.timestamp[keep],
        )

    def with_column(self, name: str, values: FloatArray, there: Mask) -> Rows:
        """Return the rows with one more column."""
        return replace(self, values={**self.values, name: values}, there={**self.there, name: there})


def joined(run: Run, history: History, metrics: Sequence[str], axis: str = STEP) -> Rows:
    """Return the metrics that the run has, joined on W&B's step: an outer join, since a row may hold only some of them.

    Args:
        run: whose.
        history: with the metrics, `axis`, and `_runtime` and `_timestamp` where times are wanted.
        metrics: their names, in the order of the columns; those that the run lacks have no point.
        axis: a metric that counts the training's steps.
    """
    import numpy as np

    found = {name: series for name in metrics if (series := history.get(name)) is not None and len(series)}
    steps = np.unique(np.concatenate([series.x for series in found.values()])) if found else np.empty(0)
    values: dict[str, FloatArray] = {}
    there: dict[str, Mask] = {}
    for name in metrics:
        values[name], there[name] = _placed(found.get(name), steps)
    return Rows(
        run, steps, axis, steps if axis == STEP else along(history.get(axis), steps), values, there,
        along(history.get("_runtime"), steps), along(history.get("_timestamp"), steps),
    )  # fmt: skip


def _placed(series: Series | None, steps: FloatArray) -> tuple[FloatArray, Mask]:
    import numpy as np

    value, mask = np.full(len(steps), np.nan), np.zeros(len(steps), dtype=bool)
    if series is not None:
        at = np.searchsorted(steps, series.x)
        value[at], mask[at] = series.value, True
    return value, mask


def along(series: Series | None, steps: FloatArray) -> FloatArray:
    """Return what an axis was at steps: as logged, between two rows in proportion where it never falls, else NaN."""
    import numpy as np

    found = np.full(len(steps), np.nan)
    if series is None:
        return found
    known = np.isfinite(series.value)
    x, value = series.x[known], series.value[known]
    if len(x) > 1 and not bool((np.diff(value) < 0).any()):
        inside = (steps >= x[0]) & (steps <= x[-1])
        found[inside] = np.interp(steps[inside], x, value)
        return found
    at = np.searchsorted(x, steps)
    at[at == len(x)] = 0
    if len(x):
        exact = x[at] == steps
        found[exact] = value[at[exact]]
    return found


def between(rows: Rows, low: float | None, high: float | None, by: str = "x") -> Rows:
    """Return the rows with low <= x <= high (None: no limit); `by`: "x", "runtime" or "timestamp"."""
    import numpy as np

    at = {"x": rows.x, "runtime": rows.runtime, "timestamp": rows.timestamp}[by]
    keep = np.isfinite(at)
    if low is not None:
        keep &= at >= low
    if high is not None:
        keep &= at <= high
    return rows.select(keep)


def around(rows: Rows, x: float, count: int) -> Rows:
    """Return the `count` rows nearest to a place on the axis, in order."""
    import numpy as np

    known = np.flatnonzero(np.isfinite(rows.x))
    nearest = known[np.argsort(np.abs(rows.x[known] - x), kind="stable")[:count]]
    return rows.select(np.sort(nearest))


def every(rows: Rows, n: int) -> Rows:
    """Return each n-th row, the first among them."""
    import numpy as np

    return rows.select(np.arange(0, len(rows), n))


def evenly(rows: Rows, most: int) -> Rows:
    """Return at most `most` rows, evenly spaced, the first and the last among them."""
    import numpy as np

    if len(rows) <= most:
        return rows
    return rows.select(np.unique(np.linspace(0, len(rows) - 1, most).round().astype(np.int64)))


def at_best(rows: Rows, metric: str, *, highest: bool) -> Rows:
    """Return the one row at which a metric is best, each other metric as last logged until then; () without a point."""
    import numpy as np

    usable = rows.there[metric] & np.isfinite(rows.values[metric])
    if not usable.any():
        return rows.select(np.zeros(len(rows), dtype=bool))
    places = np.flatnonzero(usable)
    value = rows.values[metric][places]
    at = int(places[int(value.argmax() if highest else value.argmin())])
    filled, there = {}, {}
    for name, mask in rows.there.items():
        before = np.flatnonzero(mask[: at + 1])
        there[name] = np.zeros(len(rows), dtype=bool)
        filled[name] = np.full(len(rows), np.nan)
        if len(before):
            there[name][at], filled[name][at] = True, rows.values[name][before[-1]]
    return replace(rows, values=filled, there=there).select(np.array([at]))


def long_form(rows: Rows) -> Iterator[tuple[int, str, float]]:
    """Yield (row, metric, value) of each point, metric after metric."""
    import numpy as np

    for name, mask in rows.there.items():
        for at in np.flatnonzero(mask).tolist():
            yield at, name, float(rows.values[name][at])
