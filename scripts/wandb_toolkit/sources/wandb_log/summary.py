"""Summary records of a log → the run's summary: the newest value of each key, decoded once, at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wandb_toolkit import limits
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log.items import key_size, plain_items
from wandb_toolkit.sources.wandb_log.wire import WireError, varint

_Path = tuple[str, ...]
UPDATE, REMOVE = 0x0A, 0x12  # tags of a SummaryRecord's items


class Latest:
    """Collects summary records, which hold what changed."""

    def __init__(self) -> None:
        self._tree: dict[str, Any] = {}
        self._newest: dict[bytes, bytes] = {}  # key fields → JSON, of keys whose order of writing does not count
        self._keys = _Keys(self._settle)
        self._most = limits.most("metrics")
        self.beyond = False  # more keys came than that; none of them was kept

    def add(self, data: bytes, pos: int, end: int) -> None:
        """Apply the SummaryRecord in ``data[pos:end]``.

        Raises:
            WireError, IndexError: the bytes are none; what came before the fault is kept.
        """
        found, left = plain_items(data, pos, end)
        if len(self._keys) + len(found) > self._most:
            found = self._within(found)
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

    def _within(self, found: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Return the items whose keys are known, and as many others as there is room for."""
        room, kept = self._most - len(self._keys), []
        for key, raw in found:
            if key not in self._keys:
                room -= 1
                if room < 0:
                    self.beyond = True
                    continue
            kept.append((key, raw))
        return kept

    def _put(self, spelling: bytes, raw: bytes) -> None:
        if not self._within([(spelling, raw)]):
            return
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
        self._paths: dict[_Path, bytes] = {}
        self._spellings: dict[_Path, list[bytes]] = {}
        self._below: dict[_Path, list[_Path]] = {}  # path → the longer ones that start with it
        self.twins: dict[bytes, bytes] = {}  # later spelling → first, where the order of writing does not count

    def __missing__(self, key: bytes) -> bytes | None:
        path, _ = rec.item(key)
        self._spellings.setdefault(path, []).append(key)
        first = self._paths.get(path)
        if first is not None:
            same = self[key] = self[first]
            if same is not None:
                self.twins[key] = same
            return same
        self._paths[path] = key
        self[key] = key
        above = [path[:count] for count in range(1, len(path))]
        for parent in above:
            self._below.setdefault(parent, []).append(path)
        related = [one for one in (*above, *self._below.get(path, ())) if one in self._paths]
        if related:
            self._settle()
            for spelling in [spelling for one in (path, *related) for spelling in self._spellings[one]]:
                self[spelling] = None
                self.twins.pop(spelling, None)
        return self[key]
