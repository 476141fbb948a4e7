"""Just enough of protobuf's wire format to read W&B's records without importing wandb or protobuf.

https://protobuf.dev/programming-guides/encoding/ : a message is a list of fields, each a tag (number << 3 | wire type)
and a value. The field numbers are W&B's (wandb_internal.proto); the tests hold them against the installed wandb.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class WireError(ValueError):
    """The bytes are no protobuf message."""


def varint(data: bytes, pos: int) -> tuple[int, int]:
    """Return the unsigned varint at `pos`, and the position behind it.

    Raises:
        WireError: it does not end within the data or within ten bytes.
    """
    value = shift = 0
    for at in range(pos, min(pos + 10, len(data))):
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise WireError("unending varint")


def encoded(value: int) -> bytes:
    """Return an unsigned varint's bytes."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def fields(data: bytes, pos: int = 0, end: int | None = None) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) in order: int for varints, raw bytes for the other types.

    Raises:
        WireError: a field runs past the end, or has a type that protobuf does not have.
    """
    end = len(data) if end is None else end
    while pos < end:
        tag, pos = varint(data, pos)
        kind = tag & 7
        if kind == VARINT:
            value, pos = varint(data, pos)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            size, pos = varint(data, pos)
        elif kind == FIXED64:
            size = 8
        elif kind == FIXED32:
            size = 4
        else:
            raise WireError(f"wire type {kind}")
        if pos + size > end:
            raise WireError("field runs past the end")
        yield tag >> 3, data[pos : pos + size]
        pos += size


def signed(value: int) -> int:
    """Return an int32/int64 field's value from its unsigned varint."""
    return value - (1 << 64) if value >= 1 << 63 else value


def zigzag(value: int) -> int:
    """Return a sint64 field's value."""
    return (value >> 1) ^ -(value & 1)


def double(data: bytes) -> float:
    """Return a double field's value.

    Raises:
        WireError: it is not eight bytes long.
    """
    if len(data) != 8:
        raise WireError("a double of another length")
    result: float = struct.unpack("<d", data)[0]
    return result
