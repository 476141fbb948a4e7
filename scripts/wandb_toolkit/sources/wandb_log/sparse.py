"""The records of a large log without those of frequent kinds, which are only counted: at the speed of memory.

Blocks are independent, so the chunks of hundreds of them are found in step with each other, as arrays. Their checksums
are not looked at one by one: together they say what the checksum of all the blocks must be (`checksums`), and that one
is computed while the next blocks are read. Blocks where anything is amiss are read chunk by chunk, as `blocks` does it:
what is read, counted and lost is the same.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zlib import crc32

from wandb_toolkit.sources.wandb_log.blocks import (
    BLOCK,
    FIRST,
    HEAD,
    KNOWN_VERSION,
    LAST,
    MIDDLE,
    Damage,
    Joiner,
    first_block,
    opened,
    read_records,
)
from wandb_toolkit.sources.wandb_log.records import SUMMARY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Positions = NDArray[np.int64]

BATCH = 512  # blocks: 16 MB, two of which are in memory
_CROSSING = 8  # a part of a batch's size is kept for records that lie in several chunks
_SUMMARY = SUMMARY << 3 | 2
SLACK = 16  # bytes behind a batch: vectors' words
_MOST_HEAD = 12  # bytes: of a record's number (6), its tag and its size (4), and one more


def read_sparsely(
    path: Path, damage: Damage, passed: Collection[int], blocks: int | None = None, *, condensed: bool = False
) -> Iterator[tuple[bytes, int]]:
    """Yield (record, how many of its kind before it were passed over) in order, as `read_records` reads them.

    Of the kinds `passed` (record types below 16) only some are yielded, the last one always. `condensed`: one summary
    record may stand for many, with the last value of each key.

    Raises:
        NotFoundError: there is no such file.
        ToolkitError: it cannot be opened, is empty, or is no `.wandb` log.
    """
    with opened(path, damage) as file:
        if damage.version == KNOWN_VERSION:
            yield from _Reader(file, damage, passed, blocks or BATCH, condensed).read()
            return
    yield from ((record, 0) for record in read_records(path, damage))


class _Reader:
    def __init__(self, file: BinaryIO, damage: Damage, passed: Collection[int], blocks: int, condensed: bool) -> None:
        self.file = file
        self.joiner = Joiner(damage)
        self.tags = [kind << 3 | 2 for kind in passed]
        self.size = blocks * BLOCK
        self.condenser = None
        if condensed:
            from wandb_toolkit.sources.wandb_log.condense import Condenser

            self.condenser = Condenser()

    def read(self) -> Iterator[tuple[bytes, int]]:
        base = first_block(self.file)
        self.file.seek(base)
        pos = HEAD - base
        buffers = [bytearray(self.size + self.size // _CROSSING + SLACK) for _ in range(2)]
        turn = 0
        with ThreadPoolExecutor(1) as reader:
            coming = reader.submit(_read, self.file, buffers[0], self.size, pos)
            while True:
                size, crc = coming.result()
                buffer = buffers[turn]
                if size == self.size:
                    turn = 1 - turn
                    coming = reader.submit(_read, self.file, buffers[turn], self.size, 0)
                whole = size - size % BLOCK
                if whole:
                    yield from self._batch(buffer, whole, pos, crc)
                    pos = 0
                if size % BLOCK:
                    rest = bytes(memoryview(buffer)[whole:size])
                    yield from ((record, 0) for record in self.joiner.records(rest, pos))
                if size < self.size:
                    break
        self.joiner.finish()

    def _batch(self, buffer: bytearray, size: int, first: int, crc: int) -> Iterator[tuple[bytes, int]]:
        """Yield what is wanted of the whole blocks in ``buffer[:size]``, whose first chunk is at `first`."""
        import numpy as np

        joiner = self.joiner
        data = np.frombuffer(buffer, dtype=np.uint8, count=size)
        found = None if joiner.zeros else _intact_chunks(data, first, crc, joiner.parts is not None)
        if found is None:
            yield from ((record, 0) for record in joiner.records(bytes(memoryview(buffer)[:size]), first))
            return
        at, length, kind = found
        starts = np.flatnonzero(kind <= FIRST)
        if joiner.parts is not None:  # the rest of the record that is open
            stop = int(starts[0]) if len(starts) else len(at)
            joiner.parts.append(_joined(buffer, at, length, 0, stop))
            if kind[stop - 1] == LAST:
                yield b"".join(joiner.parts), 0
                joiner.parts = None
        if not len(starts):
            return
        ends = np.append(starts[1:], len(at))
        is_open = kind[-1] in (FIRST, MIDDLE)
        tag, body, held = _bodies(data, at[starts] + HEAD, length[starts], np.add.reduceat(length, starts))
        if is_open:
            tag[-1] = 0
        wanted = ~np.isin(tag, self.tags)
        instead: dict[int, bytes] = {}
        if self.condenser is not None:
            from wandb_toolkit.sources.wandb_log.condense import Bodies

            numbers = np.flatnonzero(tag == _SUMMARY)
            place = _in_one_piece(buffer, self.size, found, starts[numbers], ends[numbers])
            numbers, begin = numbers[place >= 0], place[place >= 0]
            begin = begin + body[numbers]
            instead = self.condenser.add(buffer, Bodies(numbers, begin, begin + held[numbers]), wanted)
        passed = {}
        for one in self.tags:
            places = np.flatnonzero(tag == one)
            if len(places):
                wanted[places[-1]] = True
                passed[int(places[-1])] = len(places) - 1
        for number in np.flatnonzero(wanted).tolist():
            record = instead.get(number) or _joined(buffer, at, length, int(starts[number]), int(ends[number]))
            if is_open and number == len(starts) - 1:
                joiner.parts = [record]
            else:
                yield record, passed.get(number, 0)


def _in_one_piece(
    buffer: bytearray, free: int, chunks: tuple[Positions, Positions, Any], starts: Positions, ends: Positions
) -> Positions:
    """Return where the records of chunks `starts` to `ends` stand, those of several chunks copied behind `free`.

    -1 where there is no room for one.
    """
    at, length, _ = chunks
    place: Positions = at[starts] + HEAD
    for one in (ends - starts > 1).nonzero()[0].tolist():
        record = _joined(buffer, at, length, int(starts[one]), int(ends[one]))
        if free + len(record) + SLACK > len(buffer):
            place[one] = -1
            continue
        buffer[free : free + len(record)] = record
        place[one] = free
        free += len(record)
    return place


def _joined(buffer: bytearray, at: Positions, length: Positions, one: int, stop: int) -> bytes:
    """Return what chunks `one` to `stop` hold together."""
    return b"".join(buffer[at[n] + HEAD : at[n] + HEAD + length[n]] for n in range(one, stop))


def _read(file: BinaryIO, buffer: bytearray, wanted: int, first: int) -> tuple[int, int]:
    """Fill the buffer; return how many bytes came, and the checksum of the whole blocks' among them from `first` on."""
    view = memoryview(buffer)
    size = 0
    while size < wanted:
        more = file.readinto(view[size:wanted])  # type: ignore[attr-defined]
        if not more:
            break
        size += more
    return size, crc32(view[first : max(size - size % BLOCK, first)])


def _intact_chunks(
    data: NDArray[np.uint8], first: int, crc: int, is_open: bool
) -> tuple[Positions, Positions, NDArray[np.uint8]] | None:
    """Return position, length and kind of all chunks in their order; None where anything is amiss with any of them."""
    import numpy as np

    from wandb_toolkit.sources.wandb_log.checksums import moved, of_blocks, of_columns

    block = np.arange(len(data) // BLOCK)
    pos = block * BLOCK
    pos[0] += first
    behind = pos.copy()  # each block's last chunk
    found: list[tuple[Positions, Positions, NDArray[np.uint8]]] = []
    while True:
        room = (block + 1) * BLOCK - pos
        live = room >= HEAD
        if not live.all():
            behind[block] = pos
            block, pos, room = block[live], pos[live], room[live]
            if not len(block):
                break
        length = data[pos + 4].astype(np.int64) | data[pos + 5].astype(np.int64) << 8
        kind = data[pos + 6]
        if ((kind == 0) | (kind > LAST) | (length > room - HEAD)).any():
            return None
        found.append((pos, length, kind))
        pos = pos + (HEAD + length)
    at, length, kind = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(at, kind="stable")
    at, length, kind = at[order], length[order], kind[order]
    opened_before = np.concatenate([[is_open], ((kind == FIRST) | (kind == MIDDLE))[:-1]])
    if (opened_before != (kind >= MIDDLE)).any():
        return None
    header = np.stack([data[at + byte] for byte in range(6)])
    words = header.astype(np.uint32)
    said = words[0] | words[1] << 8 | words[2] << 16 | words[3] << 24
    block = at // BLOCK
    together = moved(of_columns(header), length + 1) ^ said
    together = moved(together, behind[block] - (at + HEAD + length))
    crcs = np.bitwise_xor.reduceat(together, np.flatnonzero(np.diff(block, prepend=-1)))
    padding = (np.arange(len(behind)) + 1) * BLOCK - behind
    crcs = moved(crcs, padding)
    for number in np.flatnonzero(padding).tolist():
        crcs[number] ^= np.uint32(crc32(data[behind[number] : (number + 1) * BLOCK].tobytes()))
    return (at, length, kind) if of_blocks(crcs, BLOCK) == crc else None


def _bodies(
    data: NDArray[np.uint8], at: Positions, together: Positions, size: Positions
) -> tuple[NDArray[np.uint8], Positions, Positions]:
    """Return of each record its own message's tag byte, start in it and size; tag 0: look closer.

    Args:
        data: the blocks.
        at: where the records start.
        together: bytes of each that lie there together.
        size: bytes of each in all.
    """
    import numpy as np

    tag = np.zeros(len(at), dtype=np.uint8)
    body, held = np.zeros(len(at), dtype=np.int64), np.zeros(len(at), dtype=np.int64)
    places = np.flatnonzero(together >= _MOST_HEAD)
    start = at[places]
    numbered = data[start] == 8  # Record.num
    pos = start + numbered
    more = numbered
    for _ in range(5):
        more = more & (data[pos] > 127)
        pos = pos + more
    plain = ~more
    pos = pos + numbered
    found = data[pos]
    pos = pos + 1
    length = np.zeros(len(places), dtype=np.int64)
    more = np.ones(len(places), dtype=bool)
    for shift in range(0, 28, 7):
        byte = data[pos].astype(np.int64)
        length |= np.where(more, (byte & 127) << shift, 0)
        pos = pos + more
        more = more & (byte > 127)
    plain &= ~more & (pos - start + length <= size[places])
    tag[places] = np.where(plain, found, 0)
    body[places], held[places] = pos - start, length
    return tag, body, held
