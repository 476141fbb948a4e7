"""System metrics (CPU, GPU, memory, ...) of runs on a server, where they are a stream of events beside the history."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run, Series
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.api_history import Place
from wandb_toolkit.sources.api_rows import RowColumns
from wandb_toolkit.sources.local_history import SYSTEM, in_order

EVENT_SAMPLES = 2_000


def system_series(place: Place, runs: Sequence[Run]) -> list[dict[str, Series]]:
    """Return each run's system metrics against seconds since its start; {} where they cannot be had."""
    calls = [partial(_events, place, run) for run in runs]
    return [{} if isinstance(found, ToolkitError) else found for found in place.connection.gather(calls)]


def _events(place: Place, run: Run) -> dict[str, Series]:
    project = place.ask(q.EVENTS, f"the system metrics of {run.label}", run=run.id, samples=EVENT_SAMPLES)
    columns = RowColumns()
    columns.add_rows((project.get("run") or {}).get("events") or ())
    return as_series(columns, run)


def as_series(columns: RowColumns, run: Run) -> dict[str, Series]:
    """Return the columns of event rows as series."""
    import numpy as np

    found = columns.folded()
    times = np.full(columns.count, np.nan)
    started = run.created_at.timestamp() if run.created_at else 0.0
    for axis, offset in (("_timestamp", started), ("_runtime", 0.0)):
        if axis in found:
            rows = np.frombuffer(found[axis].rows, dtype=np.int64)
            times[rows] = np.frombuffer(found[axis].values) - offset
    series: dict[str, Series] = {}
    for name, column in sorted(found.items()):
        if name.startswith(SYSTEM) and column.values:
            x = times[np.frombuffer(column.rows, dtype=np.int64)]
            value = np.frombuffer(column.values)
            known = np.isfinite(x)
            series[name] = Series(name, *in_order([(x[known], value[known])]), axis="_runtime")
    return series
