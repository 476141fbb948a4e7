"""The artifact records of a log: what a run logged as artifacts, and where the SDK keeps it until it is uploaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wandb_toolkit.sources.wandb_log.blocks import Damage, read_records
from wandb_toolkit.sources.wandb_log.records import ARTIFACT, USE_ARTIFACT, record_body, text
from wandb_toolkit.sources.wandb_log.wire import WireError, fields


@dataclass(frozen=True)
class Entry:
    """A file of an artifact."""

    path: str  # in the artifact
    digest: str  # base64 MD5
    size: int  # bytes
    staged: str  # where the SDK copied it; "" for a reference


@dataclass(frozen=True)
class LoggedArtifact:
    """An artifact as the run logged it. What it says was written by whoever wrote the log."""

    kind: str
    name: str
    entries: tuple[Entry, ...]


def read_artifacts(path: Path) -> Iterator[LoggedArtifact]:
    """Yield the artifacts of a log, in their order.

    Raises:
        ToolkitError: the file is no readable log.
    """
    for record in read_records(path, Damage()):
        try:
            kind, start, end = record_body(record)
            if kind == ARTIFACT:
                yield _artifact(record, start, end)
        except WireError:
            continue


def read_used(path: Path) -> Iterator[tuple[str, str]]:
    """Yield kind and name of the artifacts that the run of a log used, in their order; a name ends with its version.

    Raises:
        ToolkitError: the file is no readable log.
    """
    for record in read_records(path, Damage()):
        try:
            number, start, end = record_body(record)
            if number == USE_ARTIFACT:
                found = dict(fields(record, start, end))
                yield text(found.get(2, b"")), text(found.get(3, b""))
        except WireError:
            continue


def _artifact(data: bytes, start: int, end: int) -> LoggedArtifact:
    kind = name = ""
    entries: list[Entry] = []
    for number, value in fields(data, start, end):
        if number == 4:
            kind = text(value)
        elif number == 5:
            name = text(value)
        elif number == 12 and isinstance(value, bytes):
            entries += [_entry(part) for field, part in fields(value) if field == 4 and isinstance(part, bytes)]
    return LoggedArtifact(kind, name, tuple(entries))


def _entry(data: bytes) -> Entry:
    found = dict(fields(data))
    size = found.get(4, 0)
    path, digest, staged = (text(found.get(number, b"")) for number in (1, 2, 6))
    return Entry(path, digest, size if isinstance(size, int) else 0, staged)
