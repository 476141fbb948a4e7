"""The records of a `.wandb` log → plain Python: field numbers of wandb_internal.proto, decoders of the rare records.

The frequent ones have faster decoders (`columns`). Keys come flat (``key``, Python backend) or as a path
(``nested_key``, Go core); a path shows as its parts joined with ".".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from wandb_toolkit import jsontext
from wandb_toolkit.model import MetricKind
from wandb_toolkit.sources.wandb_log.wire import WireError, double, fields, signed, varint, zigzag

# Record.record_type
HISTORY, SUMMARY, OUTPUT, CONFIG, FILES, STATS, METRIC, OUTPUT_RAW = 2, 3, 4, 5, 6, 7, 12, 13
ARTIFACT, USE_ARTIFACT = 8, 25
RUN, EXIT, HEADER, PREEMPTING, ENVIRONMENT = 17, 18, 21, 23, 26
_ENVELOPE = frozenset({1, 16, 19, 200})  # num, control, uuid, _info: not the record itself

# *Item messages: one key in one of two spellings, one value in one of several
KEY, NESTED_KEY, VALUE_JSON = 1, 2, 16
_NONE, _BOOLEAN, _INTEGER, _NUMBER, _TEXT, _JSON = 3, 4, 5, 6, 7, 8

MEDIA_KINDS: dict[str, MetricKind] = {
    "image-file": "image",
    "images/separated": "image",
    "images": "image",
    "table-file": "table",
    "joined-table": "table",
    "partitioned-table": "table",
    "histogram": "histogram",
}


def record_body(record: bytes) -> tuple[int, int, int]:
    """Return (record type, start, end) of the record's own message; type 0 when it holds none.

    Raises:
        WireError: the bytes are no record.
    """
    pos = 0
    size = len(record)
    while pos < size:
        tag, pos = varint(record, pos)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            _, pos = varint(record, pos)
            continue
        if kind != 2:
            raise WireError(f"wire type {kind} in a record")
        length, pos = varint(record, pos)
        if pos + length > size:
            raise WireError("record runs past its end")
        if number not in _ENVELOPE:
            return number, pos, pos + length
        pos += length
    return 0, size, size


def text(value: int | bytes) -> str:
    """Return a string field; a log with invalid UTF-8 is read all the same."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def timestamp(value: int | bytes) -> float:
    """Return a google.protobuf.Timestamp as Unix seconds."""
    seconds = nanos = 0
    if isinstance(value, bytes):
        for number, part in fields(value):
            if isinstance(part, int):
                seconds, nanos = (signed(part), nanos) if number == 1 else (seconds, part)
    return seconds + nanos / 1e9


def utc(seconds: float | None) -> datetime | None:
    """Return Unix seconds as a UTC time, None where they are none (0, absent, or beyond the calendar)."""
    if not seconds or seconds < 0:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


def parse_json(raw: bytes) -> Any:
    """Return a value_json; bare NaN and Infinity tokens become floats, text that is no JSON stays text."""
    try:
        return jsontext.parse(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def item(data: bytes) -> tuple[tuple[str, ...], bytes]:
    """Return (key path, JSON value) of a History-, Summary-, Config- or StatsItem; typed values are written as JSON.

    Raises:
        WireError: the bytes are no item.
    """
    flat = ""
    path: list[str] = []
    raw = b"null"
    for number, value in fields(data):
        if number == KEY:
            flat = text(value)
        elif number == NESTED_KEY:
            path.append(text(value))
        elif number in (VALUE_JSON, _JSON) and isinstance(value, bytes):
            raw = value
        elif number == _TEXT:
            raw = json.dumps(text(value)).encode()
        elif number == _NUMBER and isinstance(value, bytes):
            raw = json.dumps(double(value)).encode()
        elif number == _INTEGER and isinstance(value, int):
            raw = str(zigzag(value)).encode()
        elif number == _BOOLEAN:
            raw = b"true" if value else b"false"
        elif number == _NONE:
            raw = b"null"
    return tuple(path) or (flat,), raw


def items(data: bytes, start: int, end: int, number: int = 1) -> Iterator[tuple[tuple[str, ...], bytes]]:
    """Yield (key path, JSON value) of each item in a message whose items are field `number`."""
    for found, value in fields(data, start, end):
        if found == number and isinstance(value, bytes):
            yield item(value)


def put(target: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set a nested key, making the dicts on the way."""
    for part in path[:-1]:
        inner = target.get(part)
        if not isinstance(inner, dict):
            inner = target[part] = {}
        target = inner
    target[path[-1]] = value


def drop(target: dict[str, Any], path: tuple[str, ...]) -> None:
    """Remove a nested key, if it is there."""
    for part in path[:-1]:
        inner = target.get(part)
        if not isinstance(inner, dict):
            return
        target = inner
    target.pop(path[-1], None)


def apply_config(target: dict[str, Any], data: bytes, start: int, end: int) -> None:
    """Apply a ConfigRecord's updates and removals."""
    for number, value in fields(data, start, end):
        if isinstance(value, bytes) and number in (1, 2):
            path, raw = item(value)
            if number == 1:
                put(target, path, parse_json(raw))
            else:
                drop(target, path)


_RUN_TEXT = {1: "id", 2: "entity", 3: "project", 6: "group", 7: "job_type", 8: "name", 9: "notes", 12: "sweep"}


@dataclass
class RunFields:
    """What the run records say; a later record's fields win where it has them."""

    id: str = ""
    entity: str = ""
    project: str = ""
    group: str = ""
    job_type: str = ""
    name: str = ""
    notes: str = ""
    sweep: str = ""
    tags: tuple[str, ...] = ()
    started: float = 0.0  # Unix seconds
    resumed: bool = False
    branch: tuple[str, float] | None = None  # the run and the step that this one goes on from: a fork, or a rewind
    config: dict[str, Any] = field(default_factory=dict)
    git: bytes = b""  # its GitRepoRecord

    def update(self, data: bytes, start: int, end: int) -> None:
        """Apply one RunRecord."""
        tags: list[str] = []
        for number, value in fields(data, start, end):
            if number in _RUN_TEXT:
                setattr(self, _RUN_TEXT[number], text(value) or getattr(self, _RUN_TEXT[number]))
            elif number == 10:
                tags.append(text(value))
            elif number == 17:
                self.started = timestamp(value)
            elif number in (18, 24):
                self.resumed = self.resumed or bool(value)
            elif number == 4 and isinstance(value, bytes):
                apply_config(self.config, value, 0, len(value))
            elif number == 21 and isinstance(value, bytes):
                self.git = value
            elif number == 23 and isinstance(value, bytes):
                point = dict(fields(value, 0, len(value)))
                at = point.get(2)
                self.branch = (text(point.get(1, b"")), double(at) if isinstance(at, bytes) else 0.0)
        if tags:
            self.tags = tuple(dict.fromkeys(tags))


def metric_definition(data: bytes, start: int, end: int) -> tuple[str, str] | None:
    """Return (metric or glob, its step metric) of a MetricRecord, None where it defines no x axis.

    A metric that is defined by its name without one keeps W&B's own step: globs reach undefined names only.
    """
    found = {number: text(value) for number, value in fields(data, start, end) if number in (1, 2, 4)}
    if found.get(1):
        return found[1], found.get(4) or "_step"
    return (found[2], found[4]) if found.get(2) and found.get(4) else None


def telling_axes(defined: Mapping[str, str]) -> dict[str, str]:
    """Return the definitions without names that keep `_step` anyway: they matter where a glob would reach them."""
    globs = [name for name in defined if any(character in name for character in "*?[")]
    return {
        name: axis
        for name, axis in defined.items()
        if axis != "_step" or any(glob != name and fnmatchcase(name, glob) for glob in globs)
    }


def output_line(data: bytes, start: int, end: int) -> tuple[float, str]:
    """Return (Unix seconds, text) of an OutputRecord or OutputRawRecord."""
    found = dict(fields(data, start, end))
    return timestamp(found.get(2, b"")), text(found.get(3, b""))


def stats_row(data: bytes, start: int, end: int) -> tuple[float, Iterator[tuple[tuple[str, ...], bytes]]]:
    """Return (Unix seconds, items) of a StatsRecord."""
    when = next((timestamp(value) for number, value in fields(data, start, end) if number == 2), 0.0)
    return when, items(data, start, end, number=3)


_DEEPEST = 100  # a stranger's dict nested deeper stays a value


def leaves(value: Mapping[str, Any], prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, leaf); a media dict (with ``_type``) is a leaf, and so is an empty dict."""
    for key, inner in value.items():
        if isinstance(inner, dict) and inner and "_type" not in inner and depth < _DEEPEST:
            yield from leaves(inner, f"{prefix}{key}.", depth + 1)
        else:
            yield f"{prefix}{key}", inner
