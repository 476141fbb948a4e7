"""Summary records of a log → the run's summary: the newest value of each key, decoded once, at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wandb_toolkit.sources import records as rec
from wandb_toolkit.sources.columns import VALUE_TAG, key_size
from wandb_toolkit.sources.wire import WireError, varint

UPDATE, REMOVE = 0x0A, 0x12  # tags of a SummaryRecord's items


class Latest:
    """Collects summary records, which hold what changed."""

    def __init__(self) -> None:
        self.broken = 0  # items that could not be decoded
        self._tree: dict[str, Any] = {}
        self._newest: dict[bytes, bytes] = {}  # key fields → value field
        self._keys = _Keys(self._settle)

    def add(self, data: bytes, pos: int, end: int) -> None:
        """Apply the SummaryRecord in ``data[pos:end]``.

        Raises:
            WireError, IndexError: the bytes are none; what came before the fault is kept.
        """
        newest, keys = self._newest, self._keys
        while pos < end:
            tag = data[pos]
            size = data[pos + 1]
            pos += 2
            if size > 127:
                size, pos = varint(data, pos - 1)
            stop = pos + size
            if stop > end:
                raise WireError("item runs past the end of its record")
            if tag == UPDATE:
                mid = pos + 2 + data[pos + 1]  # behind a key of one part shorter than 128 bytes
                if data[mid : mid + 2] != VALUE_TAG or data[pos + 1] > 127:
                    mid = pos + key_size(data, pos, stop)
                key = keys[data[pos:mid]]
                if key is not None:
                    newest[key] = data[mid:stop]
                else:  # the order of writing counts
                    path, raw = rec.item(data[pos:stop])
                    rec.put(self._tree, path, rec.parse_json(raw))
            elif tag == REMOVE:
                self._settle()
                rec.drop(self._tree, rec.item(data[pos:stop])[0])
            pos = stop

    def tree(self) -> dict[str, Any]:
        """Return the summary so far, nested."""
        self._settle()
        return self._tree

    def _settle(self) -> None:
        for key, value in self._newest.items():
            try:
                path, raw = rec.item(key + value)
            except WireError:
                self.broken += 1
                continue
            rec.put(self._tree, path, rec.parse_json(raw))
        self._newest.clear()


class _Keys(dict[bytes, "bytes | None"]):
    """Key fields → those of the key's first spelling; None for a dict written as a whole and in parts, too."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self._settle = settle  # called before a key turns None
        self._paths: dict[tuple[str, ...], bytes] = {}
        self._parents: set[tuple[str, ...]] = set()

    def __missing__(self, key: bytes) -> bytes | None:
        path, _ = rec.item(key)
        first = self._paths.get(path)
        if first is not None:
            self[key] = self[first]
            return self[key]
        self._paths[path] = key
        self[key] = key
        parents = {path[:count] for count in range(1, len(path))}
        self._parents |= parents
        if path in self._parents or not parents.isdisjoint(self._paths):
            self._settle()
            related = {p for p in self._paths if p[: len(path)] == path[: len(p)]}
            self.update([(known, None) for known in self if rec.item(known)[0] in related])
        return self[key]
