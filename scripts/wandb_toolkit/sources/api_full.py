"""The whole history of a run from a W&B server, each point once.

First the Parquet files that W&B exports in the background, only the columns asked for, by byte ranges; behind them the
live tail that is not exported yet. A run without exports is read in windows of steps, each small enough to come whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from wandb_toolkit.errors import NotFoundError, ServerError, ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.api_history import Keys, Place, Want, sample
from wandb_toolkit.sources.api_rows import RowColumns
from wandb_toolkit.sources.parquet import read_columns
from wandb_toolkit.sources.transport import Connection, SchemaError

T = TypeVar("T")

WINDOW_ROWS = 10_000  # rows that one window of steps may hold
SPLITS = 24  # how often a window that did not come whole is divided
PAGE_STEPS = 5_000  # steps of a page of whole rows
MOST_PAGES = 2_000


def read_full(place: Place, run: Run, metrics: Sequence[str] | None, keys: Keys) -> list[RowColumns]:
    """Return all rows of `metrics` (None: all) as columns, in the order of steps except where files overlap.

    Raises:
        ToolkitError: the server failed for good.
    """
    urls, live = _exports(place, run)
    if not urls:
        return _without_exports(place, run, metrics, keys)
    boundary = min(live, default=None)
    parts = [_read_files(place, urls, metrics, boundary)]
    if boundary is not None:
        last = max(live)
        if metrics is None:
            parts.append(_pages(place, run, int(boundary), int(last) + 1))
        else:
            parts += _windows(place, run, metrics, int(boundary), None, len(live) + 1)
    return parts


def _exports(place: Place, run: Run) -> tuple[list[str], list[float]]:
    """Return the exported files' URLs, and the steps that are in none of them yet."""
    try:
        project = place.ask(q.PARQUET, f"the exports of {run.label}", run=run.id, liveKeys=["_step"])
    except SchemaError:
        return [], []  # an older server
    node = project.get("run")
    if node is None:
        raise NotFoundError(f"The run {run.label} is not there any more.")
    history = node.get("parquetHistory") or {}
    live = [row.get("_step") for row in history.get("liveData") or () if isinstance(row, Mapping)]
    return [str(url) for url in history.get("parquetUrls") or ()], [s for s in live if isinstance(s, (int, float))]


def _read_files(place: Place, urls: Sequence[str], metrics: Sequence[str] | None, below: float | None) -> RowColumns:
    import pyarrow as pa
    import pyarrow.compute as pc

    connection = place.connection
    wanted = None if metrics is None else set(metrics)

    def choose(paths: Sequence[str]) -> Collection[str]:
        if wanted is None:
            return paths
        return [p for p in paths if p == "_step" or p in wanted or any(p.startswith(f"{name}.") for name in wanted)]

    def read(url: str) -> pa.Table:
        size = connection.content_length(url)
        return read_columns(size, partial(connection.read_range, url), choose, partial(all_of, connection))

    tables = all_of(connection, [partial(read, url) for url in urls])
    columns = RowColumns(metrics)
    # The order of the URLs is not promised; `_step` rises over the files.
    firsts = [(pc.min(table.column("_step")).as_py() if table.num_rows else 0, at) for at, table in enumerate(tables)]
    for _, at in sorted(firsts):
        columns.add_table(tables[at], below)
    return columns


def all_of(connection: Connection, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return what all calls return, several of them made at once.

    Raises:
        ToolkitError: the first that a call raised.
    """
    results: list[T] = []
    for found in connection.gather(calls):
        if isinstance(found, ToolkitError):
            raise found
        results.append(found)
    return results


def _without_exports(place: Place, run: Run, metrics: Sequence[str] | None, keys: Keys) -> list[RowColumns]:
    last = keys.last_step if keys.last_step is not None else run.steps
    if metrics is None and keys.known:
        metrics = list(keys.kinds)
    if metrics is None:
        return [_pages(place, run, 0, (last if last is not None else 0) + 1)]
    parts = _windows(place, run, metrics, None, None, WINDOW_ROWS)
    got = {name: sum(len(part.columns[name].rows) for part in parts if name in part.columns) for name in metrics}
    short = [name for name in metrics if got[name] < keys.counts.get(name, 0) and keys.kinds.get(name) == "number"]
    if short and last is not None and last < PAGE_STEPS * MOST_PAGES:
        # The server sends fewer samples than it was asked for: whole rows then, page by page.
        parts = [part for part in parts if not set(short) & set(part.wanted or ())]
        parts.append(_pages(place, run, 0, last + 1, short))
    return parts


def _windows(
    place: Place, run: Run, metrics: Sequence[str], low: int | None, high: int | None, rows: int, depth: int = 0
) -> list[RowColumns]:
    """Return the points of the metrics with steps from `low` to `high` (inclusive), all of them.

    A window that comes back full may lack points; it is then divided where its own points say that the middle is.
    """
    wants = [Want(run, tuple(part), rows, low, high) for part in q.chunks(metrics, 20)]
    parts: list[RowColumns] = []
    for found in sample(place, wants, keys=False):
        if found.error is not None:
            raise found.error
        for metric, got in found.rows.items():
            steps = sorted(row["_step"] for row in got if isinstance(row, Mapping) and "_step" in row)
            if len(got) < rows or len(steps) < 2 or depth >= SPLITS:
                columns = RowColumns([metric])
                columns.add_rows(got)
                parts.append(columns)
                continue
            middle = int(steps[len(steps) // 2])
            parts += _windows(place, run, [metric], low, middle - 1, WINDOW_ROWS, depth + 1)
            parts += _windows(place, run, [metric], middle, high, WINDOW_ROWS, depth + 1)
    return parts


def _pages(place: Place, run: Run, low: int, high: int, metrics: Sequence[str] | None = None) -> RowColumns:
    """Return whole rows with steps from `low` up to, not including, `high`."""
    starts = range(low, high, PAGE_STEPS)
    if len(starts) > MOST_PAGES:
        raise ServerError(
            f"{run.label} has steps up to {high}, too far apart to page through.", "Name the metrics that are wanted."
        )

    def page(start: int) -> list[Any]:
        stop = min(start + PAGE_STEPS, high)
        project = place.ask(
            q.HISTORY_PAGE, f"history of {run.label}", run=run.id, min=start, max=stop, samples=stop - start
        )
        return list((project.get("run") or {}).get("history") or ())

    columns = RowColumns(metrics)
    for answer in place.connection.gather([partial(page, start) for start in starts]):
        if isinstance(answer, ToolkitError):
            raise answer
        columns.add_rows(answer)
    return columns
