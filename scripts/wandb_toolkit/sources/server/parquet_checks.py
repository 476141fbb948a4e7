"""Whether the values of a Parquet file are those that were written: against what its footer says of each column chunk.

Pages with checksums are verified by Arrow while they are read. Many writers leave checksums out; then a page that was
damaged on the way may decode to other values, which the least, the greatest and the count of nulls of its chunk tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def contradiction(table: pa.Table, metadata: Any, leaves: Mapping[int, str]) -> str:
    """Return the first column that is not as the footer says, in words; "" where all are.

    Args:
        table: what was read of the file, all its rows.
        metadata: the file's.
        leaves: place of each leaf column that was read, and its path. Those within others are not looked at.
    """
    if table.num_rows != metadata.num_rows:
        return f"{table.num_rows:,} rows came, its footer says {metadata.num_rows:,}"
    names = set(table.column_names)
    plain = {at: path for at, path in leaves.items() if path in names}
    start = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        for at, path in plain.items():
            column = table.column(path).slice(start, group.num_rows)
            if not _fits(column, _said(group.column(at), column.type)):
                return f"column {path} holds other values than its footer says"
        start += group.num_rows
    return ""


def _said(chunk: Any, kind: pa.DataType) -> dict[str, Any]:
    """Return what the statistics say: "nulls", and "least" and "greatest" of whole and floating numbers."""
    import pyarrow as pa

    found: dict[str, Any] = {}
    statistics = chunk.statistics if chunk.is_stats_set else None
    if statistics is None:
        return found
    if statistics.has_null_count:
        found["nulls"] = statistics.null_count
    if statistics.has_min_max and (pa.types.is_signed_integer(kind) or pa.types.is_floating(kind)):
        bounds = (statistics.min, statistics.max)
        if _are_numbers(bounds):
            found["least"], found["greatest"] = bounds
    return found


def _are_numbers(values: Iterable[Any]) -> bool:
    # NaN in statistics means nothing, says the format.
    return all(isinstance(value, (int, float)) and not math.isnan(value) for value in values)


def _fits(column: pa.ChunkedArray, said: Mapping[str, Any]) -> bool:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "nulls" in said and column.null_count != said["nulls"]:
        return False
    if "least" not in said:
        return True
    if pa.types.is_floating(column.type):
        column = pc.drop_null(column.filter(pc.invert(pc.is_nan(column))))
    if not len(column):
        return True
    found = pc.min_max(column).as_py()
    return found["min"] is None or (found["min"] >= said["least"] and found["max"] <= said["greatest"])
