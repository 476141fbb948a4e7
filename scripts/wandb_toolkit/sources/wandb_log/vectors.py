"""Items of many rows at once: where each key and each value stands, as arrays.

As `items` does it for one row: the common layout only (an item's tag and size, the key's fields, value_json). Rows of
any other layout are left to the readers of one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
_Words = NDArray[np.uint64]

SLACK = 16  # bytes behind the rows: a word is read wherever a byte of a row is
_PARTS = 8  # of a nested key
_VALUE = 0x0182  # field 16, length-delimited, as a little-endian word
_MIXERS = np.random.default_rng(15).integers(1, 1 << 63, 24, dtype=np.uint64) | np.uint64(1)
_MASKS = np.array([(1 << 8 * size) - 1 for size in range(9)], dtype=np.uint64)
_LONGEST = 16 + 8 * (len(_MIXERS) - 2)  # bytes of key fields


@dataclass(frozen=True)
class Items:
    """The items of the rows that have the common layout, in no order; all arrays are (items,) but the last two."""

    row: Positions
    number: Positions  # of the item in its row
    start: Positions
    key: Positions  # where the key's fields start
    value: Positions  # where the JSON starts; the key's fields end before its tag and size
    key_size: Positions
    size: Positions  # of the JSON
    plain: NDArray[np.bool_]  # (rows,): the row's items are all here
    rest: Positions  # (rows,): where the fields behind the items start: at the row's end, or a history row's step


def find_items(buffer: bytearray, starts: Positions, ends: Positions, *, step: bool) -> Items:
    """Return the items of the rows in ``buffer[start:end]``; `step`: one field 2 may follow a row's items.

    `SLACK` bytes of the buffer are behind the last row.
    """
    words = words_of(buffer)
    plain = np.ones(len(starts), dtype=bool)
    rest = ends.copy()
    row = np.arange(len(starts))
    pos, end = starts, ends
    found: list[tuple[Positions, ...]] = []
    while True:
        live = pos < end
        if not live.all():
            row, pos, end = row[live], pos[live], end[live]
        if not len(row):
            break
        word = words[pos]
        good = word & 255 == 0x0A
        size = (word >> 8 & 255).astype(np.int64)
        long = size > 127
        key = pos + 2
        if long.any():
            more = (word >> 16 & 255).astype(np.int64)
            size = np.where(long, size & 127 | more << 7, size)
            good &= ~(long & (more > 127))
            key += long
            word = np.where(long, word >> 8, word)
        stop = key + size
        good &= (stop <= end) & _is_key(word >> 16 & 255)
        mid = np.minimum(key + 2 + (word >> 24 & 255).astype(np.int64), end)
        good &= word >> 24 & 128 == 0
        value_word = words[mid]
        for _ in range(_PARTS):
            nested = good & _is_key(value_word & 255) & (value_word & 0x8000 == 0)
            if not nested.any():
                break
            mid = np.where(nested, np.minimum(mid + 2 + (value_word >> 8 & 127).astype(np.int64), end), mid)
            value_word = words[mid]
        value_size = (value_word >> 16 & 255).astype(np.int64)
        value = mid + 3
        long = value_size > 127
        if long.any():
            more = (value_word >> 24 & 255).astype(np.int64)
            value_size = np.where(long, value_size & 127 | more << 7, value_size)
            good &= ~(long & (more > 127))
            value += long
        good &= (value_word & 0xFFFF == _VALUE) & (value + value_size == stop) & (mid - key <= _LONGEST)
        if not good.all():
            bad = ~good
            last = bad & step & _is_step(words[pos], pos, end)
            rest[row[last]] = pos[last]
            plain[row[bad & ~last]] = False
            row, pos, key, value, mid, value_size, stop, end = (
                part[good] for part in (row, pos, key, value, mid, value_size, stop, end)
            )
        found.append((row, np.full(len(row), len(found)), pos, key, value, mid - key, value_size))
        pos = stop
    if not found:
        none = np.empty(0, dtype=np.int64)
        return Items(none, none, none, none, none, none, none, plain, rest)
    columns = [np.concatenate(parts) for parts in zip(*found, strict=True)]
    kept = plain[columns[0]]
    if not kept.all():
        columns = [column[kept] for column in columns]
    row, number, pos, key, value, key_size, value_size = columns
    return Items(row, number, pos, key, value, key_size, value_size, plain, rest)


def words_of(buffer: bytearray) -> _Words:
    """Return the eight bytes from each position on as one number."""
    return np.ndarray((len(buffer) - 7,), dtype="<u8", buffer=buffer, strides=(1,))


def _is_key(byte: NDArray[Any]) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (byte == 0x0A) | (byte == 0x12)
    return found


def _is_step(word: _Words, pos: Positions, end: Positions) -> NDArray[np.bool_]:
    """Return whether a field 2 that is all the rest of its row starts at the positions."""
    size = (word >> 8 & 255).astype(np.int64)
    found: NDArray[np.bool_] = (word & 255 == 0x12) & (size < 128) & (pos + 2 + size == end)
    return found


class KeyTable:
    """Numbers for the keys, by the bytes of their fields as they stand."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self._hashes = np.empty(0, dtype=np.uint64)  # sorted
        self._numbers = np.empty(0, dtype=np.int64)
        self._words = np.empty((len(_MIXERS), 0), dtype=np.uint64)  # of each key, to be sure
        self._sizes = np.empty(0, dtype=np.int64)

    def numbers(self, buffer: bytearray, items: Items) -> Positions:
        """Return the number of each item's key, (items,); -1 for a key that cannot be told from another."""
        words = words_of(buffer)
        at, size = items.key, items.key_size
        first = words[at] & _MASKS[np.minimum(size, 8)]
        last = words[at + size - 8] >> (8 * np.maximum(8 - size, 0)).astype(np.uint64)
        hashes = first * _MIXERS[0] + last * _MIXERS[1] + size.astype(np.uint64)
        between: list[tuple[Positions, _Words]] = []
        far = np.flatnonzero(size > 16)
        for number in range(len(_MIXERS) - 2):
            if not len(far):
                break
            some = words[at[far] + 8 + 8 * number]
            hashes[far] += some * _MIXERS[2 + number]
            between.append((far, some))
            far = far[size[far] > 24 + 8 * number]
        hashes ^= hashes >> np.uint64(31)
        self._learn(buffer, items, hashes, first, last)
        place = np.minimum(np.searchsorted(self._hashes, hashes), max(len(self._hashes) - 1, 0))
        found = self._numbers[place]
        same = (self._words[0][found] == first) & (self._words[1][found] == last) & (self._sizes[found] == size)
        for number, (which, some) in enumerate(between):
            same[which] &= self._words[2 + number][found[which]] == some
        return np.where(same, found, -1)

    def _learn(self, buffer: bytearray, items: Items, hashes: _Words, first: _Words, last: _Words) -> None:
        place = np.searchsorted(self._hashes, hashes)
        if len(self._hashes):
            unknown = np.flatnonzero(self._hashes[np.minimum(place, len(self._hashes) - 1)] != hashes)
        else:
            unknown = np.arange(len(hashes))
        if not len(unknown):
            return
        new, index = np.unique(hashes[unknown], return_index=True)
        index = unknown[np.sort(index)]
        words = np.zeros((len(_MIXERS), len(new)), dtype=np.uint64)
        words[0], words[1] = first[index], last[index]
        for column, one in enumerate(index.tolist()):
            at, size = int(items.key[one]), int(items.key_size[one])
            self.keys.append(bytes(buffer[at : at + size]))
            for number in range(max(-(-(size - 16) // 8), 0)):
                start = at + 8 + 8 * number
                words[2 + number, column] = int.from_bytes(buffer[start : start + 8], "little")
        numbers = np.arange(len(self.keys) - len(new), len(self.keys))
        self._words = np.concatenate([self._words, words], axis=1)
        self._sizes = np.concatenate([self._sizes, items.key_size[index]])
        self._hashes = np.concatenate([self._hashes, hashes[index]])
        self._numbers = np.concatenate([self._numbers, numbers])
        order = np.argsort(self._hashes)
        self._hashes, self._numbers = self._hashes[order], self._numbers[order]
