"""Columns of one or several logs of a run → `History` and `MetricInfo`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from wandb_toolkit import limits
from wandb_toolkit.model import History, MetricInfo, MetricKind, Series
from wandb_toolkit.sources.columns import INTERNAL, Column, Columns
from wandb_toolkit.sources.wandb_log.scan import LogScan

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

_DIGITS = re.compile(r"(\d{1,18})")
SYSTEM = "system."  # what system metrics' names start with, as in the API's events


@dataclass(frozen=True, eq=False)
class Merged:
    """A run's points by metric, of all its logs; a step logged twice keeps its last value."""

    series: Mapping[str, Series]
    kinds: Mapping[str, MetricKind]
    non_null: Mapping[str, int]
    rows: int
    warnings: tuple[str, ...] = ()  # each starts with its metric
    notes: tuple[str, ...] = ()  # on the whole


def merge_history(scans: Sequence[LogScan]) -> Merged:
    """Return the history of the scans, which are in the order of their start."""
    places = zip(scans, placed(scans), strict=True)
    kept = [(scan.history, place) for scan, place in places if scan.history is not None]
    return merge_columns([columns for columns, _ in kept], [place for _, place in kept])


@dataclass(frozen=True)
class Place:
    """Where a log's rows stand in the run's history."""

    offset: int = 0  # added to its steps
    until: float = inf  # the first step that a later log has made void


def placed(scans: Sequence[LogScan]) -> list[Place]:
    """Return where the rows of each of a run's logs stand; the logs are in the order of their start.

    A log that counts its own rows from 0, written after the earlier ones ended, goes on behind them: offline, the SDK
    restarts the counter of a requeued job whatever `resume` says. Steps that the training gave itself stay as they are.
    A rewind makes void what was logged from the branch point on.
    """
    places: list[Place] = []
    end, newest = -1, 0.0
    for scan in scans:
        offset = 0
        last = scan.last_step if scan.rows else None
        if scan.run.branch is not None and scan.run.branch[0] in ("", scan.run.id):
            cut = scan.run.branch[1] + 1
            places = [replace(place, until=min(place.until, cut)) for place in places]
            end = min(end, int(cut) - 1)
        elif last is not None and end >= 0 and last == scan.rows - 1 and scan.run.started >= newest:
            offset = end + 1
        places.append(Place(offset))
        if last is not None:
            end = max(end, last + offset)
        newest = max(newest, scan.newest)
    return places


def merge_columns(parts: Sequence[Columns], places: Sequence[Place] | None = None) -> Merged:
    """Return the points of all parts; where two have a point of one metric at one step, the later part's counts."""
    import numpy as np

    pieces: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    columns: dict[str, list[Column]] = {}
    all_steps: list[FloatArray] = []
    turned: dict[str, float] = {}
    for part, place in zip(parts, places or [Place()] * len(parts), strict=True):
        steps = part.steps() + place.offset if place.offset else part.steps()
        valid = steps < place.until if place.until < inf else None
        all_steps.append(steps if valid is None else steps[valid])
        for name, column in part.folded().items():
            columns.setdefault(name, []).append(column)
            if column.turned >= 0:
                turned.setdefault(name, float(steps[column.turned]))
            if column.values:
                rows = np.frombuffer(column.rows, dtype=np.int64)
                values = np.frombuffer(column.values)
                if valid is not None:
                    rows, values = rows[valid[rows]], values[valid[rows]]
                pieces.setdefault(name, []).append((steps[rows], values))
    kinds = {name: max(found, key=lambda column: column.non_null).kind for name, found in columns.items()}
    series = {name: Series(name, *in_order(found)) for name, found in pieces.items() if kinds[name] == "number"}
    non_null = {
        name: len(series[name]) if name in series else sum(column.non_null for column in found)
        for name, found in columns.items()
    }
    said = [
        f"{name}: {sum(column.strings for column in columns[name])} values are text, the first at step {step:,.0f}; "
        "only its numbers are read"
        for name, step in turned.items()
        if name in series
    ]
    return Merged(series, kinds, non_null, _distinct(all_steps), tuple(said), _notes(parts))


def _notes(parts: Sequence[Columns]) -> tuple[str, ...]:
    return (beyond("metrics"),) if any(part.beyond for part in parts) else ()


def beyond(what: str) -> str:
    """Return the words for a log with more metrics, or summary keys, than are read."""
    most, how = limits.most("metrics"), limits.raised_by("metrics")
    return f"more than {most:,} {what}: those that came later are left out ({how})"


def in_order(parts: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Return (x, value) with x strictly increasing; of equal x the last one written stays."""
    import numpy as np

    x, value = parts[0] if len(parts) == 1 else (np.concatenate(found) for found in zip(*parts, strict=True))
    if len(x) < 2 or bool((np.diff(x) > 0).all()):
        return x, value
    order = np.argsort(x, kind="stable")
    x, value = x[order], value[order]
    keep = np.append(x[1:] != x[:-1], True)
    return x[keep], value[keep]


def _distinct(all_steps: Sequence[FloatArray]) -> int:
    import numpy as np

    if len(all_steps) == 1:
        return len(all_steps[0])
    return len(np.unique(np.concatenate(all_steps))) if all_steps else 0


def merge_system(scans: Sequence[LogScan]) -> dict[str, Series]:
    """Return the system metrics against seconds since the run's start."""
    import numpy as np

    start = next((scan.run.started for scan in scans if scan.run.started), 0.0)
    pieces: dict[str, list[tuple[FloatArray, FloatArray]]] = {}
    for scan in scans:
        times = np.asarray(scan.system_times) - (start or (scan.system_times[0] if scan.system_times else 0.0))
        for name, column in scan.system.items():
            if column.values:
                rows = np.frombuffer(column.rows, dtype=np.int64)
                pieces.setdefault(SYSTEM + name, []).append((times[rows], np.frombuffer(column.values)))
    return {name: Series(name, *in_order(parts), axis="_runtime") for name, parts in sorted(pieces.items())}


def as_history(merged: Merged, system: Mapping[str, Series], keys: Sequence[str] | None) -> History:
    """Return what was asked for; without keys, W&B's own axes are left out."""
    names = [name for name in merged.kinds if (name not in INTERNAL if keys is None else name in keys)]
    series = {name: merged.series[name] for name in names if name in merged.series}
    kinds = {name: merged.kinds[name] for name in names}
    kinds |= dict.fromkeys(system, "number")
    said = tuple(line for line in merged.warnings if line.partition(": ")[0] in names)
    return History(
        series={**series, **system},
        kinds=kinds,
        rows=merged.rows,
        warnings=(*merged.notes, *said),
        beyond=bool(merged.notes),
    )


def metric_infos(merged: Merged, system: Mapping[str, Series]) -> dict[str, MetricInfo]:
    """Return the statistics of every metric."""
    infos = {
        name: _info(name, kind, merged.rows, merged.non_null[name], merged.series.get(name), system=False)
        # Rows of the Go core hold their keys in no order.
        for name, kind in sorted(merged.kinds.items(), key=lambda pair: natural(pair[0]))
        if name not in INTERNAL
    }
    rows = max((len(one) for one in system.values()), default=0)
    for name, one in system.items():
        infos[name] = _info(name, "number", rows, len(one), one, system=True)
    return infos


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts layer.2 before layer.10."""
    return [(0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in _DIGITS.split(name)]


def _info(name: str, kind: MetricKind, count: int, non_null: int, series: Series | None, *, system: bool) -> MetricInfo:
    import numpy as np

    if series is None or not len(series):
        return MetricInfo(name=name, kind=kind, count=count, non_null_count=non_null, system=system)
    finite = np.isfinite(series.value)
    value, x = series.value[finite], series.x[finite]
    some = len(value) > 0
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (int(value.argmin()), int(value.argmax())) if some else (0, 0)
        return MetricInfo(
            name=name,
            kind=kind,
            count=count,
            non_null_count=non_null,
            system=system,
            nonfinite_count=int(len(series) - finite.sum()),
            min=float(value[low]) if some else None,
            max=float(value[high]) if some else None,
            mean=float(value.mean()) if some else None,
            std=float(value.std()) if some else None,
            first=float(series.value[0]),
            last=float(series.value[-1]),
            min_step=int(x[low]) if some and not system else None,
            max_step=int(x[high]) if some and not system else None,
        )
