"""A run's history in columns, as the server keeps it: what rows hold which keys, and their values."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Path: TypeAlias = tuple[str, ...]
Rows: TypeAlias = NDArray[np.int64]

_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


@dataclass(frozen=True)
class Column:
    """One key's values. `path` has several parts where the logger nested dicts; queries join them with "."."""

    path: Path
    rows: Rows  # (n,) row numbers, increasing
    values: NDArray[Any]  # (n,) bool, int64, float64, or objects; a None is a logged null

    @property
    def name(self) -> str:
        """The key in queries."""
        return ".".join(self.path)

    @property
    def type(self) -> str:
        """W&B's word for the values: "number", "string", a media `_type`, ..."""
        if self.values.dtype.kind in "if":
            only_words = self.values.dtype.kind == "f" and not np.isfinite(self.values).any()
            return "string" if only_words else "number"  # NaN is a string in its JSON
        if self.values.dtype.kind == "b":
            return "boolean"
        first = next((value for value in self.values if value is not None), None)
        if isinstance(first, dict):
            return str(first.get("_type", "map"))
        return {str: "string", list: "list", bool: "boolean", type(None): "nil"}.get(type(first), "number")

    def at(self, wanted: Rows) -> list[Any]:
        """Return the JSON values at `wanted` rows, each of which holds the key."""
        values = self.values[np.searchsorted(self.rows, wanted)]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return [jsonable(value) for value in values.tolist()]
        if values.dtype == object:
            return [jsonable(value) for value in values]
        result: list[Any] = values.tolist()
        return result


class History:
    """The rows of one run. `steps` are the rows' `_step`, strictly increasing."""

    def __init__(self, columns: Iterable[Column], steps: Rows) -> None:
        self.steps = steps
        self.columns = {column.name: column for column in columns}

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def from_rows(cls, rows: Iterable[Mapping[str, Any]]) -> History:
        """Take rows as logged; a row without `_step` has the one after the row before."""
        found: dict[Path, tuple[list[int], list[Any]]] = {}
        steps: list[int] = []
        for number, row in enumerate(rows):
            steps.append(int(row.get("_step", steps[-1] + 1 if steps else 0)))
            for path, value in _flatten(row, ()):
                where, values = found.setdefault(path, ([], []))
                where.append(number)
                values.append(value)
        found[("_step",)] = (list(range(len(steps))), steps)
        return cls(
            [Column(path, np.array(where, dtype=np.int64), _typed(values)) for path, (where, values) in found.items()],
            np.array(steps, dtype=np.int64),
        )

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], every: Mapping[str, int] | None = None) -> History:
        """Take dense columns; with ``every={"eval/acc": 50}`` that key stands in each 50th row only."""
        length = max(len(array) * (every or {}).get(name, 1) for name, array in arrays.items())
        steps = np.asarray(arrays.get("_step", np.arange(length)), dtype=np.int64)
        columns = [Column(("_step",), np.arange(len(steps)), steps)]
        for name, array in arrays.items():
            if name != "_step":
                where = np.arange(len(array), dtype=np.int64) * (every or {}).get(name, 1)
                columns.append(Column((name,), where, np.asarray(array)))
        return cls(columns, steps)

    def between(self, low: int | None, high: int | None) -> Rows:
        """Return the row numbers with low <= `_step` < high."""
        start = 0 if low is None else int(np.searchsorted(self.steps, low))
        stop = len(self.steps) if high is None else int(np.searchsorted(self.steps, high))
        return np.arange(start, max(start, stop), dtype=np.int64)

    def holding(self, keys: Sequence[str], low: int | None = None, high: int | None = None) -> Rows:
        """Return the rows in the step range that hold a value of every key."""
        rows = self.between(low, high)
        for key in keys:
            column = self.columns.get(key)
            if column is None:
                return np.empty(0, dtype=np.int64)
            there = column.rows
            if column.values.dtype == object:
                there = there[np.array([value is not None for value in column.values], dtype=bool)]
            if len(there) != len(self.steps):
                rows = np.intersect1d(rows, there, assume_unique=True)
        return rows

    def select(self, keys: Sequence[str], rows: Rows) -> list[dict[str, Any]]:
        """Return the keys at rows that hold them all, as JSON objects."""
        names = list(dict.fromkeys(keys))
        values = [self.columns[name].at(rows) for name in names]
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]

    def rows(self, wanted: Rows) -> list[dict[str, Any]]:
        """Return whole rows as logged, nested dicts and nulls included."""
        result: list[dict[str, Any]] = [{} for _ in wanted]
        if not result:
            return result
        for column in self.columns.values():
            here = np.intersect1d(column.rows, wanted, assume_unique=True)
            for place, value in zip(np.searchsorted(wanted, here).tolist(), column.at(here), strict=True):
                node = result[place]
                for part in column.path[:-1]:
                    node = node.setdefault(part, {})
                node[column.path[-1]] = value
        return result

    @cached_property
    def last_values(self) -> dict[str, Any]:
        """Return the newest value of every key: the summary that a plain run has."""
        summary: dict[str, Any] = {}
        for column in self.columns.values():
            node = summary
            for part in column.path[:-1]:
                node = node.setdefault(part, {})
            if len(column.rows):
                node[column.path[-1]] = column.values[-1:].tolist()[0]
        return summary

    @cached_property
    def keys_info(self) -> dict[str, Any]:
        """Return W&B's `historyKeys`."""
        keys = {
            name: {
                "typeCounts": [{"type": column.type, "count": len(column.rows)}],
                "monotonic": name == "_step",
                "previousValue": jsonable(column.values[-1:].tolist()[0]) if len(column.rows) else None,
            }
            for name, column in self.columns.items()
        }
        last = int(self.steps[-1]) if len(self.steps) else -1
        return {"sets": [], "keys": keys if len(self.steps) else {}, "lastStep": last}


def sample(rows: Rows, count: int) -> Rows:
    """Return at most `count` rows: the first, the last, and one from each of equal parts between.

    The same question gets the same answer. W&B does not promise even that.
    """
    if count <= 0:
        return rows[:0]
    if len(rows) <= count:
        return rows
    if count <= 2:
        return rows[[0, -1][-count:]]
    edges = np.linspace(1, len(rows) - 1, count - 1)
    spread = np.random.default_rng(len(rows) * 1009 + count).random(count - 2)
    low = np.ceil(edges[:-1])
    inner = np.minimum(low + np.floor(spread * np.maximum(np.ceil(edges[1:]) - low, 1)), len(rows) - 2)
    return rows[np.concatenate(([0], inner.astype(np.int64), [len(rows) - 1]))]


def jsonable(value: Any) -> Any:
    """Return the value as W&B's JSON has it: the non-finite numbers are strings."""
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): jsonable(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(inner) for inner in value]
    return value.item() if isinstance(value, np.generic) else value


def dumps(value: Any) -> str:
    """Return W&B's JSON text of a config, a summary or a row."""
    return json.dumps(jsonable(value), separators=(",", ":"))


def _flatten(row: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for key, value in row.items():
        if isinstance(value, Mapping) and value and "_type" not in value:
            yield from _flatten(value, (*path, key))
        else:
            yield (*path, key), value


def _typed(values: list[Any]) -> NDArray[Any]:
    kinds = {type(value) for value in values}
    if kinds == {bool}:
        return np.array(values, dtype=bool)
    if kinds == {int} and all(abs(value) < 2**63 for value in values):
        return np.array(values, dtype=np.int64)
    numbers = [_NUMBERS.get(value, value) if isinstance(value, str) else value for value in values]
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in numbers):
        return np.array(numbers, dtype=np.float64)
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects
