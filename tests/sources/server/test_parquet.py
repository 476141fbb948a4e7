"""Columns of a Parquet file by byte ranges: files of every size around that of the first fetch."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wandb_toolkit.errors import ServerError
from wandb_toolkit.sources.server.parquet import read_columns


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
