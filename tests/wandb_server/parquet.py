"""A run's exported history: Parquet files as W&B writes them, made when first asked for."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .history import Column, History, Rows, jsonable
from .store import Export, Run


def export_of(run: Run) -> list[bytes]:
    """Return the files of the run's export, in the order in which their URLs are given."""
    made_of = (run.rows, replace(run.export))
    if run.parquet is None or run.parquet[0] != made_of:
        rows = np.arange(run.exported_rows, dtype=np.int64)
        parts = [part for part in np.array_split(rows, run.export.files) if len(part)]
        files = [_file(run.rows, part, run.export) for part in parts]
        if run.export.shuffled:
            files.sort(key=lambda data: hashlib.sha256(data).digest())
        run.parquet = (made_of, files)
    return run.parquet[1]


def _file(history: History, rows: Rows, export: Export) -> bytes:
    by_top: dict[str, list[Column]] = {}
    for column in history.columns.values():
        by_top.setdefault(column.name if export.flat else column.path[0], []).append(column)
    arrays = {}
    for top, columns in by_top.items():
        if export.padded or any(_within(column, rows)[0].size for column in columns):
            plain = export.flat or len(columns[0].path) == 1
            arrays[top] = _flat(columns[0], rows) if plain else _nested(columns, rows)
    buffer = io.BytesIO()
    pq.write_table(pa.table(arrays), buffer, row_group_size=export.row_group, compression="snappy")
    return buffer.getvalue()


def _within(column: Column, rows: Rows) -> tuple[Rows, Any]:
    """Return (places in `rows`, values) of the column; `rows` is a range."""
    low, high = np.searchsorted(column.rows, [rows[0], rows[-1] + 1])
    return column.rows[low:high] - rows[0], column.values[low:high]


def _flat(column: Column, rows: Rows) -> pa.Array:
    places, values = _within(column, rows)
    if values.dtype != object:
        whole = np.zeros(len(rows), dtype=values.dtype)
        absent = np.ones(len(rows), dtype=bool)
        whole[places] = values
        absent[places] = False
        return pa.array(whole, mask=absent)
    spread: list[Any] = [None] * len(rows)
    for place, value in zip(places.tolist(), values, strict=True):
        spread[place] = value
    return _of_objects(spread)


def _nested(columns: list[Column], rows: Rows) -> pa.Array:
    """Return a struct column of the dicts that several keys came from."""
    spread: list[Any] = [None] * len(rows)
    for column in columns:
        places, values = _within(column, rows)
        for place, value in zip(places.tolist(), values.tolist(), strict=True):
            node = spread[place] = spread[place] or {}
            for part in column.path[1:-1]:
                node = node.setdefault(part, {})
            node[column.path[-1]] = value
    return _of_objects(spread)


def _of_objects(values: list[Any]) -> pa.Array:
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several types: as JSON text
        return pa.array([None if value is None else json.dumps(jsonable(value)) for value in values])
