"""The whole history of a run from a W&B server, each point once.

First the Parquet files that W&B exports in the background, only the columns asked for, by byte ranges; behind them the
live tail that is not exported yet, in windows of steps, each small enough to come whole. Without exports the windows
are all there is. Where the server says how many rows hold a metric, that is what must have come in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.http.connection import Connection
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.exports import Exports, exports_of
from wandb_toolkit.sources.server.parquet import read_columns
from wandb_toolkit.sources.server.project import Place
from wandb_toolkit.sources.server.rows import RowColumns
from wandb_toolkit.sources.server.sampled_history import Keys, Want, sample

T = TypeVar("T")

WINDOW_ROWS = 10_000  # rows that one window of steps may hold
ROUNDS = 24  # how often windows that did not come whole are divided
SUSPICIOUS = 50  # points from which on a window may be a sample of more, cut by a server's own limit
PAGE_STEPS = 1_000  # steps of a page of whole rows: what the SDK asks for
MOST_PAGES = 5_000


def read_full(
    place: Place, run: Run, metrics: Sequence[str] | None, keys: Keys, exports: Exports | None = None
) -> list[RowColumns]:
    """Return all rows of `metrics` (None: all) as columns, in the order of steps except where files overlap.

    `exports`: where they are, for who has just asked; None: asked for now.

    Raises:
        ToolkitError: the server failed for good.
    """
    exports = exports or exports_of(place, run)
    if not exports.urls:
        return _behind(place, run, metrics, keys, None, {})
    if metrics is None and keys.known:
        metrics = list(keys.kinds)
    boundary = min(exports.live, default=None)
    columns, last = _read_files(place, exports.urls, metrics, boundary)
    if boundary is None and ((run.rows or 0) > columns.count or (keys.last_step or -1) > last):
        boundary = last + 1  # a tail that the server has not announced
    parts = [columns]
    if boundary is not None:
        parts += _behind(place, run, metrics, keys, int(boundary), points(columns))
    # A key that held numbers and other things is text in an export, and may be missing there altogether.
    there = {name: (column.kind, column.non_null) for name, column in columns.folded().items()}
    numbers = [name for name in metrics or () if keys.kinds.get(name) == "number" and keys.counts.get(name)]
    odd = [name for name in numbers if name not in there or there[name][0] != "number"]
    if boundary is not None:
        odd = [name for name in odd if name in there and there[name][1]]  # the others may be in the tail only
    if not odd:
        return parts
    for name in odd:
        columns.columns.pop(name, None)
    return [*parts, *_windows(place, run, odd, None, keys.counts)]


def points(columns: RowColumns) -> dict[str, int]:
    """Return how many rows hold each metric."""
    return {name: column.non_null for name, column in columns.folded().items()}


def _behind(
    place: Place, run: Run, metrics: Sequence[str] | None, keys: Keys, low: int | None, before: Mapping[str, int]
) -> list[RowColumns]:
    """Return the rows with steps from `low` on; `before`: the points that are already there."""
    if metrics is None and keys.known:
        metrics = list(keys.kinds)
    if metrics is None:
        return [_pages(place, run, low or 0, last_step(place, run, keys) + 1)]
    expected = {name: keys.counts[name] - before.get(name, 0) for name in metrics if name in keys.counts}
    return _windows(place, run, metrics, low, expected)


def _read_files(
    place: Place, urls: Sequence[str], metrics: Sequence[str] | None, below: float | None
) -> tuple[RowColumns, int]:
    """Return the exported rows with steps less than `below`, and the last step exported."""
    import pyarrow as pa
    import pyarrow.compute as pc

    connection = place.connection
    wanted = None if metrics is None else {*metrics, "_step"}

    def choose(paths: Sequence[str]) -> Collection[str]:
        if wanted is None:
            return paths
        return [p for p in paths if p in wanted or any(p[:at] in wanted for at, char in enumerate(p) if char == ".")]

    def read(url: str) -> pa.Table:
        fetch = partial(connection.read_range, url, what="an exported history")
        head = partial(connection.read_start, url, what="an exported history")
        return read_columns(head, fetch, choose, partial(all_of, connection))

    tables = [table for table in all_of(connection, [partial(read, url) for url in urls]) if table.num_rows]
    if any("_step" not in table.column_names for table in tables):
        raise ServerError("The exported history has no steps.")
    columns = RowColumns(metrics)
    # The order of the URLs is not promised; `_step` rises over the files.
    ends = [pc.min_max(table.column("_step")).as_py() for table in tables]
    for at in sorted(range(len(tables)), key=lambda at: ends[at]["min"] or 0):
        columns.add_table(tables[at], below)
    return columns, max((int(end["max"]) for end in ends if end["max"] is not None), default=-1)


def all_of(connection: Connection, calls: Sequence[Callable[[], T]]) -> list[T]:
    """Return what all calls return, several of them made at once.

    Raises:
        ToolkitError: the first that a call raised.
    """
    if len(calls) == 1:
        return [calls[0]()]
    results: list[T] = []
    for found in connection.gather(calls):
        if isinstance(found, ToolkitError):
            raise found
        results.append(found)
    return results


# ---- windows of steps, metric by metric -----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Window:
    metric: str
    low: int | None  # inclusive, as `high` is; None: open
    high: int | None
    rows: int  # asked for; fewer that come are all there are


def _windows(
    place: Place, run: Run, metrics: Sequence[str], low: int | None, expected: Mapping[str, int]
) -> list[RowColumns]:
    """Return all points of the metrics with steps from `low` on.

    A window that comes back full may lack points; it is divided where its own points say that its parts are.
    """
    parts: list[RowColumns] = []
    short: list[tuple[_Window, RowColumns]] = []
    pending = [_Window(metric, low, None, _enough(expected.get(metric))) for metric in metrics]
    for round_ in range(ROUNDS):
        divided: list[_Window] = []
        for window, columns in _ask_windows(place, run, pending):
            if columns.count < window.rows or columns.count < 2 or (window.low == window.high and window.low):
                if round_ == 0 and columns.count >= SUSPICIOUS and columns.count != expected.get(window.metric):
                    short.append((window, columns))
                else:
                    parts.append(columns)
            else:
                divided += _divide(window, columns, expected.get(window.metric), window.rows)
        if round_ == 0 and short:
            more, whole = _uncapped(place, run, short, expected)
            divided += more
            parts += whole
        pending = divided
        if not pending:
            return parts
    raise ServerError(f"The history of {run.label} does not come whole, however small the pieces asked for.")


def _enough(expected: int | None) -> int:
    """Return the rows to ask for, a few more than there should be: a live run goes on."""
    return WINDOW_ROWS if expected is None else max(100, min(WINDOW_ROWS, expected + expected // 10 + 50))


def _ask_windows(place: Place, run: Run, windows: Sequence[_Window]) -> list[tuple[_Window, RowColumns]]:
    """Return the points of each window; those of the same steps are asked for together.

    Raises:
        ToolkitError: one could not be read.
    """
    together: dict[tuple[int | None, int | None, int], list[str]] = {}
    for window in windows:
        together.setdefault((window.low, window.high, window.rows), []).append(window.metric)
    wants = [Want(run, tuple(metrics), rows, low, high) for (low, high, rows), metrics in together.items()]
    answers: list[tuple[_Window, RowColumns]] = []
    for want, found in zip(wants, sample(place, wants, keys=False), strict=True):
        if found.error is not None:
            raise found.error
        answers += [
            (_Window(metric, want.min_step, want.max_step, want.samples), columns)
            for metric, columns in found.columns.items()
        ]
    return answers


def _divide(window: _Window, columns: RowColumns, total: int | None, rows: int) -> list[_Window]:
    """Return parts of a window that together are the whole, each with about a third of the rows it may have."""
    steps = _steps(columns)
    known = max(total or 0, len(steps))
    count = max(2, min(-(-3 * known // rows) if total else 8, len(steps), 500))
    edges = sorted({steps[len(steps) * at // count] for at in range(1, count)} - {steps[0]})
    lows = [window.low, *edges]
    highs = [*(edge - 1 for edge in edges), window.high]
    return [_Window(window.metric, low, high, rows) for low, high in zip(lows, highs, strict=True)]


def _uncapped(
    place: Place, run: Run, short: Sequence[tuple[_Window, RowColumns]], expected: Mapping[str, int]
) -> tuple[list[_Window], list[RowColumns]]:
    """Return windows to ask for where a server sends fewer points than asked for, and what is whole after all.

    Where nobody says how many there are, the first half is asked for alone: it then holds more than it did before.
    """
    halves = [
        _Window(window.metric, window.low, _steps(columns)[(columns.count - 1) // 2], window.rows)
        for window, columns in short
        if window.metric not in expected
    ]
    probed = {window.metric: columns.count for window, columns in _ask_windows(place, run, halves)}
    more: list[_Window] = []
    whole: list[RowColumns] = []
    for window, columns in short:
        total = expected.get(window.metric)
        half = (columns.count - 1) // 2 + 1
        if columns.count < total if total is not None else probed[window.metric] > half:
            more += _divide(window, columns, total, columns.count)
        else:
            whole.append(columns)
    return more, whole


def _steps(columns: RowColumns) -> list[int]:
    return sorted(int(step) for step in columns.steps().tolist())


# ---- whole rows, where nobody knows the metrics ---------------------------------------------------------------------


def last_step(place: Place, run: Run, keys: Keys) -> int:
    """Return the run's last step, -1 where it logged nothing."""
    if keys.last_step is not None:
        return keys.last_step
    [found] = sample(place, [Want(run, ("_step",), 2)], keys=False)
    if found.error is not None:
        raise found.error
    steps = [step for columns in found.columns.values() for step in _steps(columns)]
    return max([*steps, run.steps if run.steps is not None else -1])


def _pages(place: Place, run: Run, low: int, high: int) -> RowColumns:
    """Return whole rows with steps from `low` up to, not including, `high`."""
    starts = range(low, high, PAGE_STEPS)
    if len(starts) > MOST_PAGES:
        raise ServerError(
            f"{run.label} has steps up to {high}, too far apart to page through.", "Name the metrics that are wanted."
        )

    def page(start: int) -> list[Any]:
        stop = min(start + PAGE_STEPS, high)
        project = place.ask(
            q.HISTORY_PAGE, f"the history of {run.label}", run=run.id, min=start, max=stop, samples=stop - start
        )
        return list((project.get("run") or {}).get("history") or ())

    columns = RowColumns()
    for answer in place.connection.gather(partial(page, start) for start in starts):
        if isinstance(answer, ToolkitError):
            raise answer
        columns.add_rows(answer)
    return columns
