"""Chosen columns of a Parquet file on a web server, fetched by byte ranges: the footer, then just those columns."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from wandb_toolkit import limits
from wandb_toolkit.errors import ServerError
from wandb_toolkit.sources.server.parquet_checks import contradiction

if TYPE_CHECKING:
    import pyarrow as pa

FetchStart = Callable[[int], tuple[bytes, int]]  # length → bytes from the start, size of the file
FetchRange = Callable[[int, int], bytes]  # (start, length) → bytes

_HEAD = 128 * 1024  # fetched first, with the size; a file no larger is whole then
_TAIL = 64 * 1024  # most footers fit
_GAP = 64 * 1024  # ranges closer than this are fetched as one


class _Pieces(io.RawIOBase):
    """A read-only file of which only some stretches are there."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._at = 0
        self._starts: list[int] = []
        self._data: list[bytes] = []

    def add(self, start: int, data: bytes) -> None:
        place = bisect_right(self._starts, start)
        self._starts.insert(place, start)
        self._data.insert(place, data)

    def has(self, start: int, stop: int) -> bool:
        return self._find(start, stop) is not None

    def part(self, start: int, stop: int) -> bytes:
        return self._find(start, stop) or b""

    def _find(self, start: int, stop: int) -> bytes | None:
        """Return the bytes from `start` to `stop`, None where some are missing; several pieces may hold them."""
        found = bytearray()
        at = start
        while at < stop:
            here = [
                (first + len(data), data[at - first : stop - first])
                for first, data in zip(self._starts, self._data, strict=True)
                if first <= at < first + len(data)
            ]
            if not here:
                return None
            end, part = max(here, key=lambda pair: pair[0])
            found += part
            at = min(end, stop)
        return bytes(found)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0 if whence == 0 else self._at if whence == 1 else self._size)
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._size

    def read(self, count: int = -1) -> bytes:
        stop = self._size if count < 0 else min(self._at + count, self._size)
        found = self._find(self._at, stop)
        if found is None:
            raise OSError(f"bytes {self._at} to {stop} of the Parquet file were not fetched")
        self._at = stop
        return found


def read_columns(
    head: FetchStart,
    fetch: FetchRange,
    wanted: Callable[[Sequence[str]], Iterable[str]],
    together: Callable[[list[Any]], Any],
) -> pa.Table:
    """Return a table of the wanted columns.

    Args:
        head: returns the first bytes and the size of the file.
        fetch: returns `length` bytes from `start`.
        wanted: chooses among the file's leaf columns (dotted paths).
        together: runs a list of calls at once and returns their results in order.

    Raises:
        ServerError: it is not a Parquet file, is damaged, or the wanted columns have more values than are read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    beginning, size = head(_HEAD)
    pieces = _Pieces(size)
    pieces.add(0, beginning)
    first = min(size - len(beginning), _TAIL)
    if first:
        pieces.add(size - first, fetch(size - first, first))
    else:
        first = size
    tail = pieces.part(max(size - 8, 0), size)
    if size < 12 or len(tail) != 8 or tail[-4:] != b"PAR1":
        raise ServerError("The exported history is no Parquet file.")
    footer = int.from_bytes(tail[:4], "little") + 8
    if footer > size:
        raise ServerError("The exported history's footer is damaged.")
    if footer > first:
        pieces.add(size - footer, fetch(size - footer, footer))
    try:
        file = pq.ParquetFile(pa.PythonFile(pieces, mode="r"), page_checksum_verification=True)
        metadata = file.metadata
        paths = [metadata.schema.column(at).path for at in range(metadata.num_columns)] if metadata.num_columns else []
        columns = list(dict.fromkeys(wanted(paths)))
        if metadata.num_rows * len(columns) > limits.most("export-values"):
            raise ServerError(
                f"The exported history has {metadata.num_rows:,} rows of {len(columns):,} columns, more than are read "
                "at once.",
                f"Ask for fewer metrics, or for a sample; {limits.raised_by('export-values')}.",
            )
        chosen = {at for at, path in enumerate(paths) if path in set(columns)}
        ranges = [range_ for range_ in _ranges(metadata, chosen) if not pieces.has(range_[0], range_[1])]
        fetched = together([partial(fetch, start, stop - start) for start, stop in ranges])
        for (place, _), data in zip(ranges, fetched, strict=True):
            pieces.add(place, data)
        table = file.read(columns=columns, use_threads=False)
        wrong = contradiction(table, metadata, {at: paths[at] for at in chosen})
    except (pa.ArrowException, OSError, OverflowError, UnicodeError) as error:
        raise ServerError(f"The exported history cannot be read: {error}") from error
    if wrong:
        raise ServerError(f"The exported history is damaged: {wrong}.", "Try again, or ask for a sample.")
    return table


def _ranges(metadata: Any, chosen: set[int]) -> list[tuple[int, int]]:
    """Return the byte ranges of the chosen columns, near ones joined."""
    found = []
    for group in range(metadata.num_row_groups):
        for at in chosen:
            chunk = metadata.row_group(group).column(at)
            start = chunk.data_page_offset
            if chunk.dictionary_page_offset is not None and chunk.has_dictionary_page:
                start = min(start, chunk.dictionary_page_offset)
            found.append((start, start + chunk.total_compressed_size))
    joined: list[tuple[int, int]] = []
    for start, stop in sorted(found):
        if joined and start - joined[-1][1] <= _GAP:
            joined[-1] = (joined[-1][0], max(joined[-1][1], stop))
        else:
            joined.append((start, stop))
    return joined
