"""The columns of large logs, kept in the cache: the second read of such a log takes what it wants from there.

An entry is a header (JSON: what the log is, and each column's counts, place and checksum) and the columns' bytes behind
it. Only what was asked for is read. As in the index, a log that changed in any way is read anew.
"""

from __future__ import annotations

import json
import sys
from array import array
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol
from zlib import crc32

from wandb_toolkit import limits
from wandb_toolkit.sources.columns import Column, Columns
from wandb_toolkit.sources.local.index import Stamp, card_of_json, card_to_json, is_settled, stamp_of
from wandb_toolkit.sources.wandb_log import scan as logs
from wandb_toolkit.sources.wandb_log.scan import LogScan, scan_log

_FORM = 1  # of the entries; to be counted up when they, or what readers make of a log, change
_MOST_HEADER = 100_000_000  # bytes
_COUNTS = ("strings", "lists", "objects", "media_type", "sample", "turned")


class Pieces(Protocol):
    """A cache of bytes."""

    def opened(self, key: Sequence[object]) -> IO[bytes] | None:
        """Open what is kept under `key`, None where there is none."""
        ...

    def put_pieces(self, key: Sequence[object], pieces: Sequence[bytes | memoryview]) -> None:
        """Keep pieces of bytes, whole or not at all; a full or read-only disk is no error."""
        ...


class ColumnStore:
    """Reads logs' histories, or what is kept of them."""

    def __init__(self, cache: Pieces | None) -> None:
        self._cache = cache

    def scan(self, path: Path, keys: Sequence[str] | None, system: Collection[str] | None) -> LogScan:
        """Return what `scan_log` does for these history and system metrics, without the card.

        Raises:
            ToolkitError: the file is no readable log.
        """
        stamp = stamp_of(path)
        if self._cache is None or stamp is None or stamp[0] < logs.LARGE or not (keys is None or keys):
            return scan_log(path, keys=keys, system=system, card=False)
        found = self._kept(path, stamp, keys)
        if found is None:
            settled = is_settled(stamp)
            found = scan_log(path, keys=keys, system=system, card=False)
            if settled and stamp_of(path) == stamp:
                self._keep(path, stamp, keys, found)
        elif system is None or system:
            beside = scan_log(path, system=system, card=False)
            found.system, found.system_times = beside.system, beside.system_times
            found.newest = max(found.newest, beside.newest)
        return found

    def _kept(self, path: Path, stamp: Stamp, keys: Sequence[str] | None) -> LogScan | None:
        assert self._cache is not None
        for which in dict.fromkeys((None, None if keys is None else tuple(sorted(set(keys))))):
            file = self._cache.opened(_key(path, which))
            if file is None:
                continue
            with file, suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
                return _restored(path, file, stamp, keys)
        return None

    def _keep(self, path: Path, stamp: Stamp, keys: Sequence[str] | None, found: LogScan) -> None:
        assert self._cache is not None
        if found.history is not None and not found.history.lacks_steps:
            key = _key(path, None if keys is None else tuple(sorted(set(keys))))
            with suppress(ValueError, TypeError, RecursionError):
                self._cache.put_pieces(key, list(_pieces(found, stamp)))


def _key(path: Path, keys: tuple[str, ...] | None) -> list[object]:
    return ["local columns", _FORM, sys.byteorder, str(path.absolute()), limits.most("metrics"), keys]


def _pieces(scan: LogScan, stamp: Stamp) -> Iterator[bytes | memoryview]:
    """Yield the header and the columns' bytes; rows that are all rows of the log are not written."""
    history = scan.history
    assert history is not None
    parts: list[memoryview] = []
    place = 0

    def placed(numbers: array[int] | array[float]) -> list[int]:
        nonlocal place
        view = memoryview(numbers).cast("B")
        parts.append(view)
        place += len(view)
        return [place - len(view), len(view), crc32(view)]

    every = memoryview(array("q", range(history.count))).cast("B")
    columns = []
    for column in history.columns.values():
        counts = {name: getattr(column, name) for name in _COUNTS}
        rows = None if memoryview(column.rows).cast("B") == every else placed(column.rows)
        columns.append({"name": column.name, "counts": counts, "rows": rows, "values": placed(column.values)})
    explicit = history.explicit
    header = {
        "stamp": stamp,
        "card": card_to_json(scan),
        "count": history.count,
        "beyond": history.beyond,
        "columns": columns,
        "explicit": [placed(array("q", explicit.keys())), placed(array("q", explicit.values()))],
    }
    text = json.dumps(header).encode()
    yield len(text).to_bytes(8, "little") + text + crc32(text).to_bytes(4, "little")
    yield from parts


def _restored(path: Path, file: IO[bytes], stamp: Stamp, keys: Sequence[str] | None) -> LogScan | None:
    """Return the scan that an entry holds, of its columns those wanted; None where the log is another by now.

    Raises:
        ValueError: the entry is damaged.
    """
    size = int.from_bytes(file.read(8), "little")
    if size > _MOST_HEADER:
        raise ValueError("no header")
    text = file.read(size)
    if int.from_bytes(file.read(4), "little") != crc32(text):
        raise ValueError("damaged header")
    header = json.loads(text)
    if header["stamp"] != stamp:
        return None
    start = size + 12

    def numbers(kind: str, place: Sequence[int]) -> Any:
        file.seek(start + place[0])
        data = file.read(place[1])
        if len(data) != place[1] or crc32(data) != place[2]:
            raise ValueError("damaged column")
        found: array[Any] = array(kind)
        found.frombytes(data)
        return found

    wanted = Columns(keys)
    every = array("q", range(header["count"]))
    columns: dict[str, Column] = {}
    for entry in header["columns"]:
        name = entry["name"]
        if keys is None or name == "_step" or wanted.is_wanted(name):
            rows = every if entry["rows"] is None else numbers("q", entry["rows"])
            values = numbers("d", entry["values"])
            if len(rows) != len(values):
                raise ValueError("damaged column")
            columns[name] = Column(name, rows, values, **entry["counts"])
    explicit = dict(zip(*(numbers("q", place) for place in header["explicit"]), strict=True))
    scan = card_of_json(path, header["card"])
    scan.history = Columns.restored(header["count"], columns, explicit, beyond=header["beyond"])
    return scan
