"""Many summary records of a log → few that say the same: the last value of each key is what counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wandb_toolkit.sources.wandb_log.records import SUMMARY
from wandb_toolkit.sources.wandb_log.vectors import KeyTable, Positions, find_items
from wandb_toolkit.sources.wandb_log.wire import encoded

_TAG = SUMMARY << 3 | 2
_MOST_KEYS = 20_000  # of a log with more each record is read, in its order
_FEW = 8  # records, which are read as they are
_TOGETHER = 2048  # records: what they take fits into a processor's cache


class Bodies(NamedTuple):
    """Where the messages of some records are in a buffer; all arrays are (records,)."""

    number: Positions  # of the record, ascending
    start: Positions
    end: Positions


class Condenser:
    """Takes summary records batch by batch."""

    def __init__(self) -> None:
        self._keys: KeyTable | None = None

    def add(self, buffer: bytearray, bodies: Bodies, wanted: NDArray[np.bool_]) -> dict[int, bytes]:
        """Return records by number that stand for the summary records of the common layout; {} where none do.

        `wanted`, for records of all kinds, says which are to be read; of those stood for, only the former stay. The
        order counts between records: what stands for many has none on its way that is read.
        """
        if self._keys is None:  # the first records are read as they are: they give the keys their order
            self._keys = KeyTable()
            return {}
        if len(bodies.number) < _FEW or len(self._keys.keys) > _MOST_KEYS:
            return {}
        found, plain = self._last_items(buffer, bodies, wanted)
        wanted[plain] &= not found
        result = {}
        for number, parts in found.items():
            text = b"".join(parts)
            result[number] = bytes([_TAG]) + encoded(len(text)) + text
            wanted[number] = True
        return result

    def _last_items(
        self, buffer: bytearray, bodies: Bodies, wanted: NDArray[np.bool_]
    ) -> tuple[dict[int, list[bytes]], Positions]:
        """Return the last item of each key in each stretch of records, by its last record; and all records seen."""
        assert self._keys is not None
        groups = []
        plain = np.ones(len(bodies.number), dtype=bool)
        for first in range(0, len(plain), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            items = find_items(buffer, bodies.start[part], bodies.end[part], step=False)
            plain[part] = items.plain
            keys = self._keys.numbers(buffer, items)
            if (keys < 0).any():
                return {}, bodies.number
            groups.append((keys, items.row + first, items.number, items.start, items.value + items.size))
        keys, row, number, start, end = (np.concatenate(parts) for parts in zip(*groups, strict=True))
        count = len(self._keys.keys)
        seen = bodies.number[plain]
        apart = wanted.copy()
        apart[seen] = False
        borders = np.flatnonzero(apart)
        if not len(keys) or (len(borders) + 1) * count > len(keys):
            return {}, seen
        stretch = np.searchsorted(borders, bodies.number)
        order = row * (int(number.max()) + 1) + number
        each = stretch[row] * count + keys
        last = np.full((len(borders) + 1) * count, -1)
        np.maximum.at(last, each, order)
        kept = np.flatnonzero(last[each] == order)
        kept = kept[np.argsort(order[kept])]
        behind = np.searchsorted(stretch[plain], np.arange(len(borders) + 1), side="right") - 1
        found: dict[int, list[bytes]] = {}
        for one in kept.tolist():
            owner = int(seen[behind[stretch[row[one]]]])
            found.setdefault(owner, []).append(bytes(buffer[start[one] : end[one]]))
        return found, seen
