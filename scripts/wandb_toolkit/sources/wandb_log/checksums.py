"""CRC-32 of many pieces at once: what the checksum of a whole must be, from the checksums of its parts.

One checksum over megabytes runs at the speed of memory; one for each of its thousands of chunks does not. So the
chunks' own checksums are folded into the one that their whole must have, as zlib's crc32_combine does it for two.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Words = NDArray[np.uint32]
    Counts = NDArray[np.int64]

_POLYNOMIAL = 0xEDB88320
_FAR = 129  # times 256 bytes: farthest a checksum is moved, one block of 32,768 bytes and less


@cache
def _byte_table() -> Words:
    """Return CRC-32's table, (256,)."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, table >> 1 ^ np.uint32(_POLYNOMIAL), table >> 1)
    return table


@cache
def _shift_tables() -> tuple[Words, Words]:
    """Return what 0..255 zero bytes, and 0..128 times 256 of them, make of each byte of a checksum, both flat."""
    bytes_ = _byte_table()
    near = np.empty((256, 4, 256), dtype=np.uint32)
    near[0] = np.arange(256, dtype=np.uint32) << (8 * np.arange(4, dtype=np.uint32))[:, None]
    for count in range(1, 256):
        near[count] = bytes_[near[count - 1] & 255] ^ near[count - 1] >> 8
    far = np.empty((_FAR, 4, 256), dtype=np.uint32)
    far[0] = near[0]
    far[1] = bytes_[near[255] & 255] ^ near[255] >> 8
    for count in range(2, _FAR):
        far[count] = _looked_up(far[1].reshape(-1), far[count - 1], 0)
    return near.reshape(-1), far.reshape(-1)


def _looked_up(table: Words, crcs: Words, first: Counts | int) -> Words:
    found: Words = table[first + (crcs & 255)]
    for byte in (1, 2, 3):
        found = found ^ table[first + (byte * 256) + (crcs >> np.uint32(8 * byte) & 255)]
    return found


def moved(crcs: Words, counts: Counts) -> Words:
    """Return each checksum with so many bytes behind it: exclusive-or that with theirs to have both together's."""
    near, far = _shift_tables()
    return _looked_up(far, _looked_up(near, crcs, (counts & 255) << 10), counts >> 8 << 10)


def of_columns(columns: NDArray[np.uint8]) -> Words:
    """Return the CRC-32 of each column's bytes, (bytes, pieces) → (pieces,)."""
    table = _byte_table()
    crcs = np.full(columns.shape[1], 0xFFFFFFFF, dtype=np.uint32)
    for row in columns:
        crcs = table[(crcs ^ row) & 255] ^ crcs >> 8
    return ~crcs


@cache
def _block_tables(size: int) -> tuple[list[int], ...]:
    far = _shift_tables()[1].reshape(_FAR, 4, 256)
    return tuple(far[size >> 8, byte].tolist() for byte in range(4))


def of_blocks(crcs: Words, size: int) -> int:
    """Return the checksum of consecutive blocks from theirs; all but the first are `size` bytes, a multiple of 256."""
    one, two, three, four = _block_tables(size)
    total = 0
    for crc in crcs.tolist():
        total = one[total & 255] ^ two[total >> 8 & 255] ^ three[total >> 16 & 255] ^ four[total >> 24] ^ crc
    return total
