"""Strict JSON: non-finite numbers as the strings W&B uses, times in UTC, dataclasses as objects."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


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


def _encodable(text: str) -> str:
    # A lone surrogate (a name that was not valid UTF-8) could not be written to a stream.
    return text.encode("utf-8", "replace").decode("utf-8")
