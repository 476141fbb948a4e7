"""System metrics (CPU, GPU, memory, ...) of runs on a server, where they are a stream of events beside the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.model import Run, Series
from wandb_toolkit.sources.history import SYSTEM, in_order
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import Place
from wandb_toolkit.sources.server.rows import RowColumns

EVENT_SAMPLES = 5_000  # of one run; an event may hold a hundred metrics
FEW_SAMPLES = 1_000
RUNS_A_REQUEST = 5  # with few samples


def system_series(place: Place, runs: Sequence[Run], *, full: bool = True) -> list[dict[str, Series] | ToolkitError]:
    """Return each run's system metrics against seconds since its start, or why they could not be read.

    `full` False: fewer samples, of several runs in a request.
    """
    size, samples = (1, EVENT_SAMPLES) if full else (RUNS_A_REQUEST, FEW_SAMPLES)
    calls = [partial(_events, place, part, samples) for part in q.chunks(runs, size)]
    parts = zip(q.chunks(runs, size), place.connection.gather(calls), strict=True)
    return [one for part, got in parts for one in (got if isinstance(got, list) else [got] * len(part))]


def _events(place: Place, runs: Sequence[Run], samples: int) -> list[dict[str, Series] | ToolkitError]:
    def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
        fields = {"events": f"events(samples: {samples})", "eventsLineCount": "eventsLineCount"}
        asked = f"name {q.fields_text(fields, missing)}"
        return q.each_run_document([asked] * len(runs), []), {f"n{at}": run.id for at, run in enumerate(runs)}

    label = runs[0].label if len(runs) == 1 else f"{len(runs)} runs"
    try:
        tries = None if len(runs) == 1 else 2
        project, errors = place.ask_parts(document, f"the system metrics of {label}", tries=tries)
        if errors:
            raise errors[0].error
    except ServerError as error:
        if len(runs) == 1:
            return [error]
        alone = place.connection.gather([partial(_events, place, [run], samples) for run in runs])
        return [one for got in alone for one in (got if isinstance(got, list) else [got])]
    return [_series(project.get(f"r{at}") or {}, run) for at, run in enumerate(runs)]


def _series(node: Mapping[str, Any], run: Run) -> dict[str, Series]:
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
