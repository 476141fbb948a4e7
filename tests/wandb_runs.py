"""`.wandb` logs written record by record, with any framing and any version's habits; run directories around them."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

BLOCK = 32768
HEADER = b":W&B" + struct.pack("<HB", 0xBEE1, 0)
START = 1_700_000_000  # Unix seconds: 2023-11-14 22:13:20 UTC


def varint(value: int) -> bytes:
    """Return a protobuf varint; a negative number as int64."""
    value &= (1 << 64) - 1
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def field(number: int, value: int | float | str | bytes) -> bytes:
    """Return a field: a varint, a double, or text and bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def key(name: str | Sequence[str], *, flat: bool = False) -> bytes:
    """Return an item's key: `nested_key` as the Go core writes it, or the Python backend's `key`."""
    if flat:
        return field(1, name if isinstance(name, str) else ".".join(name))
    return b"".join(field(2, part) for part in ([name] if isinstance(name, str) else name))


def item(name: str | Sequence[str], value: Any, *, flat: bool = False) -> bytes:
    """Return an item with a JSON value (bytes: as they stand)."""
    return key(name, flat=flat) + field(16, value if isinstance(value, bytes) else json.dumps(value))


Row = Mapping[Any, Any]  # name, or path of a nested key → value


def record(kind: int, body: bytes, num: int = 1) -> bytes:
    """Return a Record. `num` 0 is left out, as protobuf does."""
    return (field(1, num) if num else b"") + field(kind, body)


def history(row: Row, step: int | None = None, *, flat: bool = False, num: int = 1) -> bytes:
    """Return a history record; `step` sets its `history.step` field."""
    body = b"".join(field(1, item(name, value, flat=flat)) for name, value in row.items())
    return record(2, body + (b"" if step is None else field(2, field(1, step) if step else b"")), num)


def rows(count: int, name: Any = "loss", *, first: int = 0, flat: bool = False) -> list[bytes]:
    """Return history records of one metric whose value is half its step."""
    return [
        history({"_step": step, name: step / 2, "_timestamp": START + step}, step, flat=flat, num=step + 2)
        for step in range(first, first + count)
    ]


def summary(update: Row, remove: Iterable[Any] = (), *, flat: bool = False) -> bytes:
    """Return a summary record."""
    body = b"".join(field(1, item(name, value, flat=flat)) for name, value in update.items())
    return record(3, body + b"".join(field(2, key(name, flat=flat)) for name in remove))


def config(update: Row, remove: Iterable[Any] = (), *, flat: bool = False) -> bytes:
    """Return a config record."""
    return record(5, config_body(update, remove, flat=flat))


def config_body(update: Row, remove: Iterable[Any] = (), *, flat: bool = False) -> bytes:
    """Return the inside of a config record, which a run record holds, too."""
    body = b"".join(field(1, item(name, value, flat=flat)) for name, value in update.items())
    return body + b"".join(field(2, key(name, flat=flat)) for name in remove)


def timestamp(seconds: float) -> bytes:
    """Return a google.protobuf.Timestamp."""
    whole = int(seconds // 1)
    return field(1, whole) + field(2, round((seconds - whole) * 1e9))


_RUN = {"id": 1, "entity": 2, "project": 3, "group": 6, "job_type": 7, "name": 8, "notes": 9, "sweep": 12}


def run(
    run_id: str = "abcd1234",
    *,
    start: float = START,
    tags: Sequence[str] = (),
    config: Row | None = None,
    summary: Row | None = None,
    branch: tuple[str, float] | None = None,
    **text: str,
) -> bytes:
    """Return a run record; `text` are entity, project, group, job_type, name, notes, sweep."""
    body = b"".join(field(_RUN[name], value) for name, value in {"id": run_id, **text}.items())
    body += b"".join(field(10, tag) for tag in tags)
    body += field(17, timestamp(start)) if start else b""
    body += field(4, config_body(config)) if config else b""
    if branch:
        body += field(23, field(1, branch[0]) + field(2, branch[1]) + field(3, "_step"))
    if summary:
        body += field(5, b"".join(field(1, item(name, value)) for name, value in summary.items()))
    return record(17, body)


def exit_(code: int = 0, runtime: int | None = None) -> bytes:
    """Return an exit record."""
    return record(18, (field(1, code) if code else b"") + (b"" if runtime is None else field(2, runtime)))


def use_artifact(kind: str, name: str) -> bytes:
    """Return the record of an artifact that the run used, `name` with its version."""
    return record(25, field(1, "QXJ0aWZhY3Q6MQ==") + field(2, kind) + field(3, name))


def stats(seconds: float, values: Mapping[str, Any]) -> bytes:
    """Return a record of system metrics."""
    body = field(2, timestamp(seconds)) + b"".join(field(3, item(n, v, flat=True)) for n, v in values.items())
    return record(7, body)


def output(line: str, seconds: float = START, *, raw: bool = True) -> bytes:
    """Return a record of console output."""
    return record(13 if raw else 4, field(2, timestamp(seconds)) + field(3, line))


def metric(name: str, step_metric: str = "", *, glob: bool = False) -> bytes:
    """Return a `define_metric` record."""
    return record(12, field(2 if glob else 1, name) + (field(4, step_metric) if step_metric else b""))


FINAL, FOOTER, HEADER_RECORD = record(20, b""), record(22, b""), record(21, b"")


def framed(payloads: Iterable[bytes], *, version: int = 0, base: int = 0) -> bytearray:
    """Return the file's bytes: its header, then each payload in as many chunks as the blocks ask for.

    `base` is where blocks are counted from: 7 as SDK 0.17.0 to 0.17.5 did.
    """
    data = bytearray(HEADER[:6] + bytes([version]))
    for payload in payloads:
        left, first = payload, True
        while first or left:
            room = BLOCK - (len(data) - base) % BLOCK
            if room < 7:
                data += bytes(room)
                continue
            part, left = left[: room - 7], left[room - 7 :]
            kind = (1 if first else 4) if not left else (2 if first else 3)
            data += struct.pack("<IHB", crc32(bytes([kind]) + part), len(part), kind) + part
            first = False
    return data


def write_log(path: Path, payloads: Iterable[bytes], *, version: int = 0) -> Path:
    """Write a log and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(framed(payloads, version=version))
    return path


def write_run(
    folder: Path,
    payloads: Sequence[bytes] | None,
    run_id: str = "abcd1234",
    *,
    at: str = "20231114_221320",
    offline: bool = False,
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Write a run directory below `folder` and return it. `payloads` None leaves the log out."""
    place = folder / f"{'offline-' if offline else ''}run-{at}-{run_id}"
    (place / "files").mkdir(parents=True)
    if payloads is not None:
        write_log(place / f"run-{run_id}.wandb", payloads)
    for name, content in (files or {}).items():
        path = place / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return place
