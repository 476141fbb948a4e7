"""Framing of a `.wandb` transaction log: bytes on disk → records, damage skipped and counted.

The format is LevelDB's log with a file header of W&B's own::

    file    := ":W&B" magic(u16 = 0xBEE1) version(u8)  block*      the header is part of the first block
    block   := 32768 bytes, counted from the start of the file: chunk* padding(fewer than 7 bytes)
    chunk   := crc(u32) length(u16) type(u8) payload[length]       little endian; crc = CRC-32 of type and payload
    record  := FULL(1) | FIRST(2) MIDDLE(3)* LAST(4)               payloads joined

The Go core of SDK 0.17.0 to 0.17.5 put the header before the first block: its blocks lie 7 bytes later. A block starts
with a chunk, so the checksums at the blocks' starts tell the two apart.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

from wandb_toolkit.errors import NotFoundError, ToolkitError

BLOCK = 32768
_LOOKED_AT = 9  # blocks, whose starts tell how blocks are counted
_READ = 32  # blocks a read: the reader's memory, whatever the size of the file
HEAD = 7  # bytes of the file header, and of each chunk's
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
# Bytes of a block that are checksummed in search of a chunk: noise needs about 2 MB.
_MOST_CHECKED = 8 * 1024 * 1024
_ZEROS = bytes(BLOCK)
_CHUNK = struct.Struct("<IHB")
_IDENT = b":W&B"
_MAGIC = 0xBEE1
KNOWN_VERSION = 0


@dataclass
class Damage:
    """What could not be read of one log. `records` counts those known to be lost; a damaged stretch may hold more."""

    stretches: int = 0  # runs of bytes that are no valid chunks
    lost_bytes: int = 0
    records: int = 0
    cut_off: bool = False  # the file ends inside a record: still being written, or killed
    version: int = KNOWN_VERSION

    def warnings(self, name: str) -> list[str]:
        """Return the damage in plain words, [] when there is none worth a warning."""
        lines = []
        if self.version != KNOWN_VERSION:
            lines.append(
                f"{name}: log format version {self.version} is newer than this reader knows; read what was readable"
            )
        if self.stretches or self.records:
            stretches = f"{self.stretches} damaged stretch{'' if self.stretches == 1 else 'es'}"
            lost = f"at least {self.records} record{'' if self.records == 1 else 's'}"
            lines.append(f"{name}: skipped {stretches} ({self.lost_bytes} bytes, {lost} lost); the rest was read")
        return lines


def read_records(path: Path, damage: Damage, blocks: int = _READ) -> Iterator[bytes]:
    """Yield the payload of each whole record, in order; `damage` is filled in on the way. `blocks` are read at a time.

    Raises:
        NotFoundError: there is no such file.
        ToolkitError: it cannot be opened, is empty, or is no `.wandb` log.
    """
    with opened(path, damage) as file:
        if damage.version == KNOWN_VERSION:
            yield from _records(file, damage, blocks)
            return
        yield from _records_of_unknown_version(path, file, damage)


@contextmanager
def opened(path: Path, damage: Damage) -> Iterator[BinaryIO]:
    """Open a log, at its start, and note its version.

    Raises:
        NotFoundError: there is no such file.
        ToolkitError: it cannot be opened or read, is empty, or is no `.wandb` log.
    """
    try:
        with path.open("rb", buffering=0) as file:
            _check_header(path, file, damage)
            yield file
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no {path}") from error
    except OSError as error:
        raise ToolkitError(
            f"{path} cannot be read: {error.strerror or error}", "Check the file's permissions."
        ) from error


def read_end(path: Path, blocks: int) -> Iterator[bytes]:
    """Yield the whole records of the last blocks of a log, in order; damage there is passed over without a word.

    Raises:
        NotFoundError: there is no such file.
        ToolkitError: it cannot be opened, is empty, or is no `.wandb` log of a known version.
    """
    damage = Damage()
    with opened(path, damage) as file:
        if damage.version != KNOWN_VERSION:
            raise ToolkitError(f"{path} has log format version {damage.version}")
        base = first_block(file)
        number = max((file.seek(0, os.SEEK_END) - base) // BLOCK - blocks + 1, 0)
        file.seek(base + number * BLOCK)
        pos = 0 if number else HEAD - base
        yield from Joiner(damage).records(read_blocks(file, blocks * BLOCK), pos)


def _check_header(path: Path, file: BinaryIO, damage: Damage) -> None:
    head = file.read(64)
    if not head:
        raise ToolkitError(f"{path} is empty (0 bytes): the run wrote nothing to it.")
    if head.startswith(b"version https://git-lfs"):
        raise ToolkitError(f"{path} is a Git LFS pointer, not the log itself.", "Run `git lfs pull` in its repository.")
    if _IDENT.startswith(head[:4]) and len(head) < HEAD:
        raise ToolkitError(f"{path} is cut off inside its header ({len(head)} bytes): it holds no record.")
    if not head.startswith(_IDENT) or struct.unpack_from("<H", head, 4)[0] != _MAGIC:
        raise ToolkitError(f"{path} is not a .wandb log (it does not start with {_IDENT.decode()!r}).")
    damage.version = head[6]
    file.seek(0)


def _records_of_unknown_version(path: Path, file: BinaryIO, damage: Damage) -> Iterator[bytes]:
    empty = True
    for record in _records(file, damage, _READ):
        empty = False
        yield record
    if empty:
        raise ToolkitError(
            f"{path} has log format version {damage.version}; this reader knows version {KNOWN_VERSION}.",
            "A newer wandb wrote it: update wandb-toolkit.",
        )


def _records(file: BinaryIO, damage: Damage, blocks: int) -> Iterator[bytes]:
    base = first_block(file)
    file.seek(base)
    joiner = Joiner(damage)
    pos = HEAD - base  # inside the block
    while buffer := read_blocks(file, blocks * BLOCK):
        yield from joiner.records(buffer, pos)
        pos = 0
        if len(buffer) % BLOCK:
            break  # the end: what a writer has added since would not be read from the start of a block
    joiner.finish()


class Joiner:
    """Chunks of one block after another → whole records. Between two calls a record may be open."""

    def __init__(self, damage: Damage) -> None:
        self.damage = damage
        self.parts: list[bytes] | None = None  # of the record that is open
        # Zero-filled bytes so far: space laid out ahead when the file ends there, damage when records follow.
        self.zeros = 0

    def records(self, buffer: bytes, pos: int) -> Iterator[bytes]:  # noqa: C901 the hot loop, in one piece
        """Yield the records that end in `buffer`: whole blocks, the file's last may be shorter.

        `pos` is where the first block's first chunk starts.
        """
        damage = self.damage
        unpack = _CHUNK.unpack_from
        view = memoryview(buffer)
        size = len(buffer)
        if not pos and not size % BLOCK and all(buffer.startswith(_ZEROS, at) for at in range(0, size, BLOCK)):
            self.zeros += size  # a hole, or space laid out ahead
            return
        for start in range(0, size, BLOCK):
            end = min(start + BLOCK, size)
            unfinished = end - start < BLOCK  # only the file's last block can be
            left = _MOST_CHECKED
            pos += start
            while pos + HEAD <= end:
                crc, length, kind = unpack(buffer, pos)
                body = pos + HEAD
                stop = body + length
                if not (stop <= end and 0 < kind <= LAST and crc32(view[pos + 6 : stop]) == crc):
                    if buffer.startswith(_ZEROS[: end - pos], pos):
                        self.zeros += end - pos
                        pos = end
                        break
                    found, left = _resynchronise(buffer, view, pos + 1, end, left)
                    if found == end and unfinished and stop > end and 0 < kind <= LAST:
                        damage.cut_off = True  # the file ends inside this chunk
                    else:
                        damage.stretches += 1
                        damage.lost_bytes += found - pos
                        damage.records += 1
                    self.parts = None
                    pos = found
                    continue
                if self.zeros:
                    damage.stretches, damage.lost_bytes = damage.stretches + 1, damage.lost_bytes + self.zeros
                    damage.records += self.parts is not None
                    self.parts, self.zeros = None, 0
                if kind <= FIRST:
                    if self.parts is not None:
                        damage.records += 1
                    self.parts = None
                    if kind == FULL:
                        yield buffer[body:stop]
                    else:
                        self.parts = [buffer[body:stop]]
                elif self.parts is None:  # the rest of a record whose start was lost
                    damage.lost_bytes += stop - pos
                else:
                    self.parts.append(buffer[body:stop])
                    if kind == LAST:
                        yield b"".join(self.parts)
                        self.parts = None
                pos = stop
            if unfinished and pos < end:
                damage.cut_off = True  # inside a chunk's header
            pos = 0

    def finish(self) -> None:
        """Say that the file ends here."""
        if self.parts is not None:
            self.damage.cut_off = True


def first_block(file: BinaryIO) -> int:
    """Return where the blocks are counted from: 0, or 7 where more of them start with a valid chunk there."""
    file.seek(0)
    data = read_blocks(file, _LOOKED_AT * BLOCK + 2 * BLOCK)
    view = memoryview(data)
    valid = {0: 0, HEAD: 0}
    for base in valid:
        for start in range(base + BLOCK, min(len(data), _LOOKED_AT * BLOCK), BLOCK):
            valid[base] += _is_chunk(data, view, start)
    return HEAD if valid[HEAD] > valid[0] else 0


def _is_chunk(data: bytes, view: memoryview, at: int) -> bool:
    if at + HEAD > len(data):
        return False
    crc, length, kind = _CHUNK.unpack_from(data, at)
    stop = at + HEAD + length
    return bool(0 < kind <= LAST and stop <= len(data) and crc32(view[at + 6 : stop]) == crc)


def read_blocks(file: BinaryIO, wanted: int) -> bytes:
    """Return the next `wanted` bytes, fewer only at the end of the file: blocks must stay aligned."""
    data = file.read(wanted) or b""
    while 0 < len(data) < wanted:
        more = file.read(wanted - len(data))
        if not more:
            break
        data += more
    return data


def _resynchronise(buffer: bytes, view: memoryview, pos: int, end: int, left: int) -> tuple[int, int]:
    """Return where the next valid chunk of this block starts, `end` when there is none, and what is left of `left`.

    `left` bounds the bytes that are checksummed: a block made for it would have each byte start a long chunk.

    LevelDB drops the rest of the block; trying every byte keeps the records behind the damage. A chunk of garbage
    passes the checksum with probability 2**-32.
    """
    for at in range(pos, end - HEAD + 1):
        kind = buffer[at + 6]
        if 0 < kind <= LAST:
            crc, length, _ = _CHUNK.unpack_from(buffer, at)
            stop = at + HEAD + length
            if stop <= end:
                left -= length
                if crc32(view[at + 6 : stop]) == crc:
                    return at, left
                if left < 0:
                    break
    return end, left
