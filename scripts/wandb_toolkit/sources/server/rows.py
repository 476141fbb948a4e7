"""Rows and tables that the server sends → columns, the same as a local log gives."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from wandb_toolkit import jsontext
from wandb_toolkit.sources.columns import Columns
from wandb_toolkit.sources.wandb_log.records import leaves

if TYPE_CHECKING:
    import pyarrow as pa

_WIDTHS = {32: "int32", 64: "int64"}
_ALIKE_LEAST = 8  # rows with the same keys from which on a key at a time is the quicker way


class RowColumns(Columns):
    """Columns of rows that come as dicts or as Arrow tables."""

    def __init__(self, wanted: Collection[str] | None = None) -> None:
        super().__init__(wanted)
        self._needles = None  # every row is read, so each may be numbered

    def add_rows(self, rows: Iterable[Any]) -> int:
        """Add rows that are dicts or JSON texts of such; return how many there were."""
        before = self.count
        parsed = (_parsed(row) if isinstance(row, str) else row for row in rows)
        for keys, alike in groupby((row for row in parsed if isinstance(row, dict)), key=tuple):
            together = list(alike)
            if len(together) < _ALIKE_LEAST:
                for row in together:
                    self._add_row(row)
            else:
                self._add_alike(keys, together)
        return self.count - before

    def _add_row(self, row: dict[str, Any]) -> None:
        at = self.count
        self.count += 1
        nested = any(isinstance(value, dict) for value in row.values())
        self._add_items(at, leaves(row) if nested else row.items())

    def _add_items(self, at: int, items: Iterable[tuple[str, Any]]) -> None:
        for key, value in items:
            column = self._column_of(key)
            if column is not None:
                self._add_value(column, at, value)

    def _add_alike(self, keys: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
        """Add rows that hold the same keys, a key at a time: a twentieth of the time where all values are numbers."""
        base = self.count
        self.count += len(rows)
        for key in keys:
            values = list(map(itemgetter(key), rows))
            types = set(map(type, values))
            if dict in types:
                for at, value in enumerate(values, base):
                    self._add_items(at, leaves({key: value}))
                continue
            column = self._column_of(key)
            if column is None:
                continue
            if types <= {float, int}:
                try:
                    numbers = array("d", values)
                except OverflowError:  # an int too large for a float
                    pass
                else:
                    column.values.extend(numbers)
                    column.rows.extend(range(base, self.count))
                    continue
            for at, value in enumerate(values, base):
                self._add_value(column, at, value)

    def _add_value(self, column: Any, row: int, value: Any) -> None:
        if type(value) is float or (type(value) is int and abs(value) < 2**1000):
            self._add_number(column, row, float(value))
        else:
            self._add_other(column, row, value)

    def add_table(self, table: pa.Table, below: float | None = None) -> None:
        """Add an Arrow table's rows; with `below`, only those of lesser `_step`.

        A null is an absent value: W&B's exports pad with nulls what a row does not hold.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        while any(pa.types.is_struct(field.type) for field in table.schema):
            table = table.flatten()  # one level
        if below is not None:
            table = table.filter(pc.less(table.column("_step"), below))
        base = self.count
        self.count += table.num_rows
        for at, name in enumerate(table.column_names):  # by place: "a.b" may be a key, and a dict's
            column = self._column_of(name)
            if column is None:
                continue
            values = _one_array(table.column(at))
            kind = values.type
            if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind):
                self._add_numbers(column, values, base)
                continue
            if pa.types.is_decimal(kind):
                self._add_numbers(column, values, base)
                continue
            for row, value in enumerate(_python(values), base):
                if value is not None:
                    self._add_value(column, row, value)

    @staticmethod
    def _add_numbers(column: Any, values: Any, base: int) -> None:
        import numpy as np
        import pyarrow as pa

        there = np.flatnonzero(np.asarray(values.is_valid()))
        kept = values.drop_null().cast(pa.float64(), safe=False)
        column.rows.frombytes((there + base).astype(np.int64).tobytes())
        column.values.frombytes(np.asarray(kept, dtype=np.float64).tobytes())


def _parsed(text: str) -> Any:
    try:
        return jsontext.parse(text, strict=False)
    except ValueError:
        return None


def _python(values: pa.Array) -> list[Any]:
    """Return values as Python has them; bytes and times as text, whatever is in them."""
    import pyarrow as pa

    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return [None if one is None else one.decode("utf-8", "replace") for one in values.to_pylist()]
    if pa.types.is_temporal(kind):
        try:
            return list(values.cast(pa.string()).to_pylist())
        except pa.ArrowException:  # beyond what a calendar has, or a kind that has no text
            return [None if one is None else str(one) for one in values.view(_WIDTHS[kind.bit_width]).to_pylist()]
    return list(values.to_pylist())


def _one_array(column: pa.ChunkedArray) -> Any:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.combine_chunks()
