"""Summary records of a log → the run's summary: the newest value of each key, decoded once, at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log.items import key_size, plain_items
from wandb_toolkit.sources.wandb_log.wire import WireError, varint

UPDATE, REMOVE = 0x0A, 0x12  # tags of a SummaryRecord's items


class Latest:
    """Collects summary records, which hold what changed."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        self._newest: dict[bytes, bytes] = {}  # key fields → JSON, of keys whose order of writing does not count
        self._keys = _Keys(self._settle)

    def add(self, data: bytes, pos: int, end: int) -> None:
        """Apply the SummaryRecord in ``data[pos:end]``.

        Raises:
            WireError, IndexError: the bytes are none; what came before the fault is kept.
        """
        found, left = plain_items(data, pos, end)
        if not left:
            newest, keys = self._newest, self._keys
            before = len(newest)
            newest.update(found)
            if len(newest) > before:
                for spelling, key in keys.twins.items():
                    if spelling in newest:
                        newest[key] = newest.pop(spelling)
            if len(newest) == before:
                return
            others = [(key, raw) for key, raw in found if keys.get(key) != key]
            for key, _ in others:
                newest.pop(key, None)
            if all(key in keys for key, _ in others):
                for key, raw in others:
                    self._put(key, raw)
                return
        self._walk(data, pos, end)

    def _put(self, spelling: bytes, raw: bytes) -> None:
        key = self._keys[spelling]
        if key is not None:
            self._newest[key] = raw
        else:  # the order of writing counts
            rec.put(self._tree, rec.item(spelling)[0], rec.parse_json(raw))

    def _walk(self, data: bytes, pos: int, end: int) -> None:
        while pos < end:
            tag, pos = data[pos], pos + 1
            size, pos = varint(data, pos)
            stop = pos + size
            if stop > end:
                raise WireError("item runs past the end of its record")
            if tag == UPDATE:
                self._put(data[pos : pos + key_size(data, pos, stop)], rec.item(data[pos:stop])[1])
            elif tag == REMOVE:
                self._settle()
                rec.drop(self._tree, rec.item(data[pos:stop])[0])
            pos = stop

    def tree(self) -> dict[str, Any]:
        """Return the summary so far, nested."""
        self._settle()
        return self._tree

    def _settle(self) -> None:
        for key, raw in self._newest.items():
            rec.put(self._tree, rec.item(key)[0], rec.parse_json(raw))
        self._newest.clear()


class _Keys(dict[bytes, "bytes | None"]):
    """Key fields → those of the key's first spelling; None for a dict written as a whole and in parts, too."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__()
        self._settle = settle  # called before a key turns None
        self._paths: dict[tuple[str, ...], bytes] = {}
        self._parents: set[tuple[str, ...]] = set()
        self.twins: dict[bytes, bytes] = {}  # later spelling → first, where the order of writing does not count

    def __missing__(self, key: bytes) -> bytes | None:
        path, _ = rec.item(key)
        first = self._paths.get(path)
        if first is not None:
            same = self[key] = self[first]
            if same is not None:
                self.twins[key] = same
            return same
        self._paths[path] = key
        self[key] = key
        parents = {path[:count] for count in range(1, len(path))}
        self._parents |= parents
        if path in self._parents or not parents.isdisjoint(self._paths):
            self._settle()
            related = {p for p in self._paths if p[: len(path)] == path[: len(p)]}
            for known in [known for known in self if rec.item(known)[0] in related]:
                self[known] = None
                self.twins.pop(known, None)
        return self[key]
