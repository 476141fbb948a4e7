"""What history rows say of media files: which key logged a file, at which step, and its place in a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from wandb_toolkit.model import RunFile


@dataclass(frozen=True)
class MediaFact:
    """What one logged file is."""

    key: str
    step: int | None
    index: int | None = None  # place in the list that was logged together; None: logged alone
    caption: str | None = None
    sha256: str | None = None


def facts_by_path(media: Iterable[tuple[str, int | None, Mapping[str, Any]]]) -> dict[str, list[MediaFact]]:
    """Return path inside the run's files → what was logged of it, given (key, step, W&B's dict) of each value.

    The step in a file's name is the one at which the SDK began to write it, which with `log(..., step=N)` is an
    earlier one; the row has the right one. Images of equal content in one list, or under one counter, are one file.
    """
    found: dict[str, list[MediaFact]] = {}
    for key, step, value in media:
        for path, fact in _facts(key, step, value):
            found.setdefault(path, []).append(fact)
    return found


def _facts(key: str, step: int | None, value: Mapping[str, Any]) -> Iterator[tuple[str, MediaFact]]:
    path = value.get("path")
    if isinstance(path, str):
        yield path, MediaFact(key, step, None, _text(value.get("caption")), _text(value.get("sha256")))
        return
    names, captions = value.get("filenames"), value.get("captions")
    if isinstance(names, list):
        texts = captions if isinstance(captions, list) else []
        for at, name in enumerate(names):
            if isinstance(name, str):
                yield name, MediaFact(key, step, at, _text(texts[at]) if at < len(texts) else None)
        return
    for listed in value.values():  # lists of audio clips, videos, ...: a dict each
        if isinstance(listed, list):
            for at, one in enumerate(listed):
                if isinstance(one, Mapping) and isinstance(one.get("path"), str):
                    fact = MediaFact(key, step, at, _text(one.get("caption")), _text(one.get("sha256")))
                    yield one["path"], fact


def as_logged(file: RunFile, facts: Sequence[MediaFact]) -> list[RunFile]:
    """Return the file once for each time that it was logged, with what its row says; as it is where no row does."""
    return [
        replace(file, key=fact.key, step=fact.step, index=fact.index, caption=fact.caption, sha256=fact.sha256)
        for fact in facts
    ] or [file]


def in_logged_order(files: Iterable[RunFile]) -> list[RunFile]:
    """Return the files as they were logged: each key's by step and place in the list; the others by name."""
    return sorted(files, key=lambda f: (f.key or f.name, f.step if f.step is not None else -1, f.index or 0, f.name))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
