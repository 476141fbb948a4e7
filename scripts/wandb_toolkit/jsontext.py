"""Strict JSON: non-finite numbers as the strings W&B uses, times in UTC, dataclasses as objects."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wandb_toolkit import limits


def jsonable(value: Any) -> Any:
    """Return `value` built of None, bool, int, float, str, list and dict only; NaN is "NaN", ∞ is "Infinity"."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return float(value)
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, Path):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: jsonable(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted(jsonable(item) for item in value)
    if hasattr(value, "tolist"):  # numpy scalars and arrays
        return jsonable(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form")


_SMALL = 1000  # bytes, which hold few values whatever the limit
DEEPEST = 200  # levels of a stranger's tree: what reads it further on may call itself for each
_MANY_DIGITS = b"0" * 300
_DIGITS = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def parse(text: str | bytes, *, strict: bool = True) -> Any:
    """Return what a stranger's JSON holds; a whole number that no float can hold is infinite, as 1e400 is.

    `strict` False allows control characters inside texts.

    Raises:
        ValueError: it is not JSON, is nested deeper than `DEEPEST`, or may hold more than the limit of json-values.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    most = limits.most("json-values") if len(data) > _SMALL else _SMALL  # each value may take a hundred times its bytes
    if len(data) > most and data.count(b",") + data.count(b"[") + data.count(b"{") > most:
        raise ValueError(f"it holds more than {most:,} values ({limits.raised_by('json-values')})")
    huge = len(data) > 300 and _MANY_DIGITS in data.translate(_DIGITS)
    try:
        value = json.loads(text, strict=strict, parse_int=_whole if huge else None)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels") from None
    if _may_be_deep(data) and depth(value) > DEEPEST:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")
    return value


def _whole(digits: str) -> int | float:
    # Python refuses to make an int of more than 4300 digits: a ValueError, as for any text that is no JSON.
    return float(digits) if 308 < len(digits) <= 4300 else int(digits)


def in_float_range(value: Any) -> Any:
    """Return a parsed tree of at most `DEEPEST` levels with whole numbers that no float can hold made infinite."""
    if isinstance(value, int) and abs(value) >= 10**308:
        return math.inf if value > 0 else -math.inf
    if isinstance(value, dict):
        return {key: in_float_range(item) for key, item in value.items()}
    return [in_float_range(item) for item in value] if isinstance(value, list) else value


def _may_be_deep(data: bytes) -> bool:
    """Whether brackets may be nested deeper than `DEEPEST`, those inside texts counted: megabytes in milliseconds."""
    brackets = data.translate(None, _NO_BRACKETS)
    for passes in range(DEEPEST):
        inner = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(inner) in (0, len(brackets)):
            return passes + len(inner) > DEEPEST
        brackets = inner
    return True


def depth(value: Any) -> int:
    """Return how many levels of lists and dicts a tree has."""
    levels, here = 0, [value]
    while here := [node for node in here if isinstance(node, (dict, list))]:
        levels += 1
        here = [item for node in here for item in (node.values() if isinstance(node, dict) else node)]
    return levels


def dumps(value: Any) -> str:
    """Return one strict JSON document, readable, without a final newline."""
    return _encodable(json.dumps(jsonable(value), indent=2, ensure_ascii=False, allow_nan=False))


def line(value: Any) -> str:
    """Return one strict JSON document on one line."""
    return _encodable(json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False))


def rows(value: Any) -> str:
    """Return one strict JSON document with one line for each element of it, and of the lists of objects below.

    A third shorter than an indented one, and still readable and fit for grep: what a program or an agent gets.
    """
    document = jsonable(value)
    if isinstance(document, list) and document:
        return "[\n" + ",\n".join(line(item) for item in document) + "\n]"
    if isinstance(document, dict) and document:
        return "{\n" + ",\n".join(f"{line(key)}: {_member(item)}" for key, item in document.items()) + "\n}"
    return line(document)


def _member(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "[\n  " + ",\n  ".join(line(item) for item in value) + "\n]"
    return line(value)


# What a terminal obeys or nobody sees, and JSON need not escape: DEL, C1, zero-width, bidirectional and tag characters.
_UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def _encodable(text: str) -> str:
    # A lone surrogate (a name that was not valid UTF-8) could not be written to a stream.
    plain = text.encode("utf-8", "replace").decode("utf-8")
    return plain if plain.isascii() else _UNSEEN.sub(lambda match: json.dumps(match[0])[1:-1], plain)
