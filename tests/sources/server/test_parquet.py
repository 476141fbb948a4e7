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


@pytest.mark.parametrize("checksums", [True, False])
def test_pages_that_were_damaged_on_the_way_are_errors_and_no_values(checksums: bool) -> None:
    """With checksums any damaged page is an error; without, values beyond what the footer says are one."""
    rng = np.random.default_rng(3)
    holes = np.ma.masked_array(rng.uniform(1, 2, 500), mask=rng.random(500) < 0.2)
    table = pa.table(
        {"_step": np.arange(500), "a": rng.uniform(1, 2, 500), "b": pa.array(holes.filled(0), mask=holes.mask)}
    )
    out = io.BytesIO()
    pq.write_table(
        table, out, compression="none", use_dictionary=False, write_page_checksum=checksums, row_group_size=200
    )
    data = out.getvalue()
    assert all_of(data).equals(table)
    pages = int(len(data) - int.from_bytes(data[-8:-4], "little") - 8)
    wrong = far = refused = 0
    for at in rng.integers(4, pages, 150).tolist():
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(8))
        try:
            found = all_of(bytes(damaged))
        except ServerError:
            refused += 1
            continue
        wrong += not found.equals(table)
        for name in ("a", "b"):
            values = found.column(name).drop_null().to_numpy()
            far += bool(((values < 1) | (values > 2)).any())
    assert far == 0
    assert refused > (120 if checksums else 20)
    if checksums:
        assert wrong == 0


def test_statistics_that_mean_nothing_refuse_nothing() -> None:
    values = pa.array([float("nan"), 1.0, None, float("inf"), -0.0])
    columns = {"nan": values, "none": pa.nulls(5, pa.float64()), "text": ["a"] * 5, "flag": [True] * 5}
    columns |= {"large": pa.array([2**64 - 1, 0, 1, 2, 3], pa.uint64()), "deep": [{"x": 1.0}] * 5, "list": [[1, 2]] * 5}
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    assert all_of(out.getvalue()).num_rows == 5
