"""History rows of a log → one column a metric, read at the speed that plain Python allows.

A row is a HistoryRecord: ``item`` (field 1) for each key, then ``step`` (field 2). Nearly every item has the same
layout, key first and value_json last, and the same few keys come in every row; so the bytes of the key are looked up
as they stand, and only a key or a layout not seen before is decoded.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from wandb_toolkit import limits
from wandb_toolkit.model import MetricKind
from wandb_toolkit.sources.wandb_log.items import VALUE_TAG, key_size, plain_items, split_item, tails
from wandb_toolkit.sources.wandb_log.records import MEDIA_KINDS, item, leaves, parse_json
from wandb_toolkit.sources.wandb_log.wire import WireError, fields, varint

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

INTERNAL = frozenset({"_step", "_runtime", "_timestamp", "_wandb"})  # axes and W&B's own; not metrics
_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
_MOST_SPELLINGS = 250_000  # of keys, unwanted ones among them, that are known by their bytes
_DIRECT_MOST = 8  # wanted keys; for more, walking over all items is as quick as searching


@dataclass
class Column:
    """One key's values. `rows` are row numbers of the log; other than numeric values are only counted."""

    name: str
    rows: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    strings: int = 0
    lists: int = 0
    objects: int = 0
    media_type: str = ""  # W&B's `_type` where the values are media
    sample: str = ""  # the first string
    turned: int = -1  # the row from which on texts follow numbers, or numbers texts; -1: never

    @property
    def non_null(self) -> int:
        """Rows that hold the key with a value."""
        return len(self.values) + self.strings + self.lists + self.objects

    @property
    def kind(self) -> MetricKind:
        """What the values are; a key with both numbers and others is what most of them are."""
        if self.media_type:
            return MEDIA_KINDS.get(self.media_type, "media")
        counts: list[tuple[int, MetricKind]] = [
            (len(self.values), "number"),
            (self.strings, "string"),
            (self.lists, "list"),
            (self.objects, "object"),
        ]
        most, kind_of_most = max(counts, key=lambda pair: pair[0])
        return kind_of_most if most else "null"


class _Keys(dict[bytes, "Column | None"]):
    """Key bytes → column; None for a key that nobody asked for."""

    def __init__(self, column_of: Callable[[str], Column | None]) -> None:
        super().__init__()
        self._column_of = column_of

    def __missing__(self, key: bytes) -> Column | None:
        if key_size(key, 0, len(key)) != len(key):
            raise WireError("more than a key")
        path, _ = item(key)
        column = self._column_of(".".join(path))
        if column is not None or len(self) < _MOST_SPELLINGS:  # of keys without end, none more is remembered
            self[key] = column
        return column


class Columns:
    """Collects history rows. `wanted` None keeps every key; else only those keys, and what tells their kind.

    Rows without a wanted key are passed over, unless `every_row`: only then is the step of each row known.
    """

    def __init__(self, wanted: Collection[str] | None = None, *, every_row: bool = False) -> None:
        self.wanted = None if wanted is None else frozenset(wanted)
        self.count = 0  # rows so far
        self.columns: dict[str, Column] = {}
        self._most = limits.most("metrics")
        self.beyond = False  # more metrics came than that; none of them was kept
        self._keys = _Keys(self._column_of)
        self._steps = self._column("_step")
        self._direct: list[tuple[Column, bytes, tuple[bytes, ...]]] = []  # column, its item's first bytes, tails
        self._explicit: dict[int, int] = {}  # row → HistoryStep.num, where the row has no `_step`
        self._passed = 0  # rows that hold no wanted key
        # A row that holds none of these bytes holds no wanted key, however its keys are written.
        self._needles = None if self.wanted is None or every_row else tuple({t for k in self.wanted for t in tails(k)})

    @classmethod
    def restored(cls, count: int, columns: dict[str, Column], explicit: dict[int, int], *, beyond: bool) -> Columns:
        """Return the columns of `count` rows that were collected before."""
        found = cls()
        found.count, found.beyond = count, beyond
        found.columns = columns
        found._steps = found._column("_step")
        found._explicit = explicit
        return found

    @property
    def explicit(self) -> dict[int, int]:
        """Row → step, of the rows whose step is not among their keys."""
        return self._explicit

    def _column(self, name: str) -> Column:
        column = self.columns.get(name)
        if column is None:
            column = self.columns[name] = Column(name)
        return column

    def _column_of(self, name: str) -> Column | None:
        if self.wanted is None or name == "_step" or self.is_wanted(name):
            return self._column_within(name)
        return None

    def _column_within(self, name: str) -> Column | None:
        """Return the column of a name, None where there are as many as may be."""
        if len(self.columns) >= self._most and name not in self.columns and name not in INTERNAL:
            self.beyond = True
            return None
        return self._column(name)

    def is_wanted(self, name: str) -> bool:
        """Return whether a key is asked for, or tells of one that is."""
        wanted = self.wanted
        return (
            wanted is None
            or name in wanted
            or (name.endswith("._type") and name[: -len("._type")] in wanted)
            or any(key.startswith(name + ".") for key in wanted)  # an old log keeps the dict as one value
        )

    def add(self, data: bytes, pos: int, end: int) -> None:  # noqa: C901 the hot loop, in one piece
        """Add the row in ``data[pos:end]``.

        Raises:
            WireError: the bytes are no history row; what came before the fault is kept.
        """
        row = self.count
        self.count += 1
        needles = self._needles
        if needles is not None and not any(data.find(needle, pos, end) >= 0 for needle in needles):
            self._passed += 1
            return
        if self._found_directly(row, data, pos, end) or self._found_plain(row, data, pos, end):
            return
        keys = self._keys
        explicit = None
        try:
            while pos < end:
                if data[pos] != 0x0A:  # not an item
                    explicit, pos = self._other_field(data, pos, end, explicit)
                    continue
                size = data[pos + 1]
                pos += 2
                if size > 127:
                    size, pos = varint(data, pos - 1)
                stop = pos + size
                if stop > end:
                    raise WireError("item runs past the end of its row")
                mid = pos + 2 + data[pos + 1]  # behind a key of one part shorter than 128 bytes
                if data[mid : mid + 2] == VALUE_TAG and data[pos + 1] < 128:
                    start = mid + 3 if data[mid + 2] < 128 else varint(data, mid + 2)[1]
                    key, raw = data[pos:mid], data[start:stop]
                else:
                    key, raw = split_item(data[pos:stop])
                column = keys[key]
                if column is not None:
                    try:
                        column.values.append(float(raw))
                        column.rows.append(row)
                    except ValueError:
                        self._add_other(column, row, parse_json(raw))
                pos = stop
        except IndexError as error:
            raise WireError("row ends inside a field") from error
        if explicit is not None and not (self._steps.rows and self._steps.rows[-1] == row):
            self._explicit[row] = explicit
        if needles is not None and not self._direct:
            self._learn()

    def _found_plain(self, row: int, data: bytes, pos: int, end: int) -> bool:
        """Take a row whose items are all of the common layout; False where it must be walked."""
        found, left = plain_items(data, pos, end)
        if left and (left == 1 or data[end - left] != 0x12 or data[end - left + 1] != left - 2):  # the rest is no step
            return False
        keys = self._keys
        try:
            columns = [keys[key] for key, _ in found]
        except (WireError, IndexError):
            return False
        for column, (_, raw) in zip(columns, found, strict=True):
            if column is not None:
                try:
                    column.values.append(float(raw))
                    column.rows.append(row)
                except ValueError:
                    self._add_other(column, row, parse_json(raw))
        if left and not (self._steps.rows and self._steps.rows[-1] == row):
            self._explicit[row] = self._other_field(data, end - left, end, None)[0] or 0
        if self._needles is not None and not self._direct:
            self._learn()
        return True

    def _learn(self) -> None:
        """Note the bytes that the wanted keys' items start with, once all of them have come as plain numbers."""
        named = {column.name: key for key, column in self._keys.items() if column is not None}
        wanted = self.wanted or frozenset()
        if len(wanted) <= _DIRECT_MOST and set(named) == wanted | {"_step"}:
            self._direct = [(self.columns[name], key + VALUE_TAG, tails(name)) for name, key in named.items()]

    def _found_directly(self, row: int, data: bytes, pos: int, end: int) -> bool:
        """Take the wanted items by searching for their bytes; False where the row must be walked.

        The bytes are a key's tag, length and text and the value's tag, behind an item's tag and length. Inside a text
        they could stand only if it had control characters, and were no UTF-8 there, so what is found is the item.
        """
        found = []
        for column, needle, spellings in self._direct:
            at = data.find(needle, pos, end)
            if at < 0:
                if column is self._steps or any(data.find(tail, pos, end) >= 0 for tail in spellings):
                    return False
                continue  # not in this row
            if data[at - 2] != 0x0A or data[at - 1] > 127 or at + data[at - 1] > end:
                return False
            start = at + len(needle) + 1
            try:
                found.append((column, float(data[start : at + data[at - 1]])))
            except ValueError:
                return False
        for column, value in found:
            column.values.append(value)
            column.rows.append(row)
        return bool(found)

    def _other_field(self, data: bytes, pos: int, end: int, explicit: int | None) -> tuple[int | None, int]:
        tag, after = varint(data, pos)
        if tag & 7 != 2:
            raise WireError(f"wire type {tag & 7} in a history row")
        size, start = varint(data, after)
        if start + size > end:
            raise WireError("field runs past the end of its row")
        if tag >> 3 == 2:  # HistoryStep; proto3 leaves a 0 out
            explicit = next((v for n, v in fields(data, start, start + size) if n == 1 and isinstance(v, int)), 0)
        return explicit, start + size

    def _add_other(self, column: Column, row: int, value: Any) -> None:
        """Add a value that is no plain JSON number."""
        if isinstance(value, bool):
            self._add_number(column, row, float(value))
        elif isinstance(value, str) and value in _NONFINITE:
            self._add_number(column, row, _NONFINITE[value])
        elif value is None:
            return  # a key without a value is no point; its column tells that it was there
        elif isinstance(value, str):
            if column.values and column.turned < 0:
                column.turned = row
            column.strings += 1
            column.sample = column.sample or value[:64]
        elif isinstance(value, list):
            column.lists += 1
        elif isinstance(value, dict):
            self._add_dict(column, row, value)
        else:  # an int too large for a float
            self._add_number(column, row, float("inf") if value > 0 else float("-inf"))

    def _add_dict(self, column: Column, row: int, value: dict[str, Any]) -> None:
        if "_type" in value or not value:
            column.objects += 1
            column.media_type = column.media_type or str(value.get("_type", ""))
            return
        for name, leaf in leaves(value, f"{column.name}."):
            if self.wanted is None or self.is_wanted(name):
                inner = self._column_within(name)
                if inner is None:
                    continue
                if isinstance(leaf, (int, float)) and not isinstance(leaf, bool):
                    try:
                        self._add_number(inner, row, float(leaf))
                    except OverflowError:
                        self._add_other(inner, row, "Infinity" if leaf > 0 else "-Infinity")
                elif isinstance(leaf, dict):
                    inner.objects += 1
                    inner.media_type = inner.media_type or str(leaf.get("_type", ""))
                else:
                    self._add_other(inner, row, leaf)

    @staticmethod
    def _add_number(column: Column, row: int, value: float) -> None:
        column.values.append(value)
        column.rows.append(row)

    @property
    def lacks_steps(self) -> bool:
        """Whether a kept row names no step, which only a reader of every row can number."""
        known = sum(map(isfinite, self._steps.values)) + len(self._explicit)
        return self._needles is not None and self._passed + known < self.count

    def steps(self) -> FloatArray:
        """Return the `_step` of each row, (rows,); NaN for rows that were passed over."""
        import numpy as np

        steps = np.full(self.count, np.nan)
        rows = np.frombuffer(self._steps.rows, dtype=np.int64) if self._steps.rows else np.empty(0, dtype=np.int64)
        steps[rows] = np.frombuffer(self._steps.values) if self._steps.values else np.empty(0)
        for row, step in self._explicit.items():
            steps[row] = step
        steps[~np.isfinite(steps)] = np.nan
        if self._needles is None and np.isnan(steps).any():  # rows without any step: the one after the last
            known = -1.0
            for row in range(self.count):
                known = known + 1 if np.isnan(steps[row]) else steps[row]
                steps[row] = known
        return steps

    def folded(self) -> dict[str, Column]:
        """Return the columns by name, the keys of a flattened media value as one column; `_step` and the like stay."""
        media = {
            name[: -len("._type")]: column
            for name, column in self.columns.items()
            if name.endswith("._type") and column.strings and not column.values
        }
        if not media:
            return dict(self.columns)
        result: dict[str, Column] = {}
        for name, column in self.columns.items():
            owner = next((part for part in _prefixes(name) if part in media), None)
            if owner is None:
                result[name] = column
            elif name == f"{owner}._type":
                plain = self.columns.get(owner, Column(owner))  # the rows where it was no media: None at first, ...
                total = plain.objects + column.strings
                result[owner] = replace(plain, objects=total, media_type=plain.media_type or column.sample)
            else:
                result.setdefault(owner, Column(owner))  # its place in the order
        return result


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
