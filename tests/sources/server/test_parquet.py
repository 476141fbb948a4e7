"""Columns of a Parquet file by byte ranges: files of every size around that of the first fetch."""

from __future__ import annotations

import decimal
import io
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wandb_toolkit.errors import ServerError
from wandb_toolkit.sources.server.parquet import read_columns
from wandb_toolkit.sources.server.rows import RowColumns


def written(rows: int) -> tuple[pa.Table, bytes]:
    rng = np.random.default_rng(rows)
    table = pa.table({"_step": np.arange(rows), "a": rng.normal(size=rows), "b": rng.normal(size=rows)})
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=max(3000, rows // 2))
    return table, out.getvalue()


# 128 KiB are fetched first: below, just above (the rest is shorter than a footer's read), and far above.
@pytest.mark.parametrize("rows", [1, 3000, 4800, 5000, 5200, 5400, 5600, 7000, 9000, 80_000])
def test_any_size_is_read_whole(rows: int) -> None:
    table, data = written(rows)
    fetched = 0

    def fetch(start: int, length: int) -> bytes:
        nonlocal fetched
        fetched += length
        return data[start : start + length]

    found = read_columns(
        lambda length: (data[:length], len(data)),
        fetch,
        lambda _: ["_step", "b"],
        lambda calls: [call() for call in calls],
    )
    assert found.column_names == ["_step", "b"]
    assert found.column("b").equals(table.column("b"))
    if rows == 80_000:
        assert fetched < 0.75 * len(data)  # not column a


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all, but long enough to be one", b"PAR1" * 400])
def test_what_is_no_parquet_file_is_said(data: bytes) -> None:
    with pytest.raises(ServerError):
        read_columns(
            lambda length: (data[:length], len(data)),
            lambda start, length: data[start : start + length],
            lambda paths: paths,
            lambda calls: [call() for call in calls],
        )


def all_of(data: bytes) -> pa.Table:
    return read_columns(
        lambda length: (data[:length], len(data)),
        lambda start, length: data[start : start + length],
        lambda paths: paths,
        lambda calls: [call() for call in calls],
    )


def test_values_of_any_type_are_numbers_or_texts() -> None:
    table = pa.table(
        {
            "_step": [0, 1],
            "bytes": pa.array([b"\xff\xfe", b"x"]),
            "time": pa.array([datetime(2026, 1, 1, tzinfo=UTC)] * 2),
            "far": pa.array([2**62, 1], pa.timestamp("us")),
            "span": pa.array([1, 2], pa.duration("us")),
            "exact": pa.array([decimal.Decimal("1e30"), decimal.Decimal("0.5")], pa.decimal256(76, 2)),
            "large": pa.array([2**64 - 1, 2], pa.uint64()),
        }
    )
    out = io.BytesIO()
    pq.write_table(table, out)
    columns = RowColumns()
    columns.add_table(all_of(out.getvalue()))
    kinds = {name: column.kind for name, column in columns.columns.items()}
    assert kinds == {
        "_step": "number", "bytes": "string", "time": "string", "far": "string", "span": "string", "exact": "number",
        "large": "number",
    }  # fmt: skip
    assert columns.columns["exact"].values.tolist() == [1e30, 0.5]


def test_a_name_that_is_no_text_and_more_rows_than_fit_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.BytesIO()
    pq.write_table(pa.table({"_step": np.zeros(1000, dtype=np.int64), "abcdefgh": np.zeros(1000)}), out)
    with pytest.raises(ServerError, match="cannot be read"):
        all_of(out.getvalue().replace(b"abcdefgh", b"abc\xff\xfefgh"))
    monkeypatch.setenv("WANDB_TOOLKIT_MAX_EXPORT_VALUES", "1999")
    with pytest.raises(ServerError, match="1,000 rows of 2 columns"):
        all_of(out.getvalue())
