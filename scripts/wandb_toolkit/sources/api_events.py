"""System metrics (CPU, GPU, memory, ...) of runs on a server, where they are a stream of events beside the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run, Series
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.api_place import Place
from wandb_toolkit.sources.api_rows import RowColumns
from wandb_toolkit.sources.local_history import SYSTEM, in_order

EVENT_SAMPLES = 5_000


def system_series(place: Place, runs: Sequence[Run]) -> list[dict[str, Series] | ToolkitError]:
    """Return each run's system metrics against seconds since its start, or why they could not be read."""
    return list(place.connection.gather([partial(_events, place, run) for run in runs]))


def _events(place: Place, run: Run) -> dict[str, Series]:
    def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
        fields = q.fields_text(q.EVENT_FIELDS, missing)
        return q.events_document(fields), {"run": run.id, "samples": EVENT_SAMPLES}

    project, errors = place.ask_parts(document, f"the system metrics of {run.label}")
    if errors:
        raise errors[0].error
    node = project.get("run") or {}
    columns = RowColumns()
    columns.add_rows(node.get("events") or ())
    found = as_series(columns, run)
    logged = node.get("eventsLineCount")
    if isinstance(logged, int) and logged > columns.count > 0:  # a sample: all metrics come in about every event
        share = logged / columns.count
        found = {name: replace(one, total=round(len(one) * share)) for name, one in found.items()}
    return found


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
