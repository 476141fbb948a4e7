"""Bytes of a row's items (one key, one value), as nearly every writer lays them out: key first, value_json last."""

from __future__ import annotations

import json
import re
from itertools import chain

from wandb_toolkit.sources.wandb_log.records import item
from wandb_toolkit.sources.wandb_log.wire import varint

VALUE_TAG = b"\x82\x01"  # field 16, length-delimited
# An item: tag and length, key fields up to the first value tag, that and a length, JSON (which has no control
# characters). Bounded and without backtracking, so that no bytes make it slow.
_ITEM = re.compile(
    rb"\n[\x00-\x7f]([\n\x12][\x00-\x7f][^\x82]{0,124}+(?:\x82(?!\x01)[^\x82]{0,124}+){0,9}+)"
    rb"\x82\x01[\x00-\x7f]([^\x00-\x1f]*+)",
    re.DOTALL,
)


def tails(name: str) -> tuple[bytes, ...]:
    """Return the name's last part as text and as JSON: a row that holds `name` holds one of them."""
    tail = name.rpartition(".")[2]
    if any(char == "\ufffd" or "\ud800" <= char <= "\udfff" for char in tail):
        return (b"",)  # stands for bytes that are no UTF-8
    escaped = json.dumps(tail)[1:-1], json.dumps(tail, ensure_ascii=False)[1:-1]
    return tuple(dict.fromkeys(text.encode() for text in (tail, *escaped)))


def plain_items(data: bytes, pos: int, end: int) -> tuple[list[tuple[bytes, bytes]], int]:
    """Return (key fields, JSON) of each item of the common layout in a row, and how many bytes they do not fill.

    Where the rest is 0, or the field behind the items, they are the row: only names with control characters, or values
    that are not JSON, could make the search see other items than there are, and then they would not fill it.
    """
    found: list[tuple[bytes, bytes]] = _ITEM.findall(data, pos, end)
    return found, end - pos - 5 * len(found) - sum(map(len, chain.from_iterable(found)))


def key_size(data: bytes, pos: int, end: int) -> int:
    """Return the length of the key fields, which come first, of the item in ``data[pos:end]``."""
    at = pos
    while at < end and data[at] in (0x0A, 0x12):
        size, at = data[at + 1], at + 2
        if size > 127:
            size, at = varint(data, at - 1)
        at += size
    return at - pos


def split_item(data: bytes) -> tuple[bytes, bytes]:
    """Return (key fields as they stand, JSON value) of an item of any layout."""
    size = key_size(data, 0, len(data))
    if data[size : size + 2] == VALUE_TAG:
        length, start = varint(data, size + 2)
        if start + length == len(data):
            return data[:size], data[start:]
    return data[:size], item(data)[1]
