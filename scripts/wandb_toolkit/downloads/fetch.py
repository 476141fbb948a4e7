"""The files of a run, several at a time, into one folder: checked, under safe names, whole or not at all."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wandb_toolkit import limits
from wandb_toolkit.downloads.images import is_image_name, problem_with
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.output import Folder, describe, digest, run_key, safe_stem, slug
from wandb_toolkit.text import clean, size

if TYPE_CHECKING:
    from wandb_toolkit.model import Run, RunFile
    from wandb_toolkit.sources.base import Source

IMAGES = "media/images/"  # where the SDK puts logged images; says nothing in a name
_CONTENT = re.compile(r"_([0-9a-f]{20})$")  # the start of the content's SHA-256, as the SDK names media files
LARGEST_IMAGE, LARGEST_FILE = 100, 2000  # MB
_THERE = "already there"


@dataclass
class Fetched:
    """What became of each file."""

    downloaded: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)  # for metadata.json
    there: dict[RunFile, Path] = field(default_factory=dict)  # where a file now is, fetched or already there


@dataclass(frozen=True)
class _Outcome:
    file: RunFile
    name: str
    kind: str  # "downloaded", "skipped", "failed"
    reason: str = ""
    written: Mapping[str, Any] | None = None


class _RefusedError(ToolkitError):
    """A file that is not what its name says."""


class _KeptError(ToolkitError):
    """A file that stays as it is."""


def owner(run: Run, file: RunFile) -> str:
    """Return whose file it is: the run's file of this name, as it was logged at this place."""
    logged = f"\n{file.step}\n{file.index}" if file.key else ""
    return digest(f"{run_key(run)}\n{file.name}{logged}", 16)


def claim(folder: Folder, run: Run, file: RunFile) -> str:
    """Return the flat name of a run's file: its path without the folder that all images have.

    Of an image that a metric logged: the key, the step, the place in its list, and what told its content apart.
    """
    path = PurePosixPath(file.name.removeprefix(IMAGES))
    suffix = path.suffix if path.suffix and slug(path.suffix) == path.suffix.lstrip(".") else ""
    stem = str(path)[: len(str(path)) - len(suffix)]
    if file.key and file.step is not None and file.name.startswith(IMAGES):
        content = _CONTENT.search(stem)
        parts = (file.key, str(file.step), "" if file.index is None else str(file.index), content[1] if content else "")
        stem = "_".join(part for part in parts if part)
    return folder.claim(owner(run, file), safe_stem(stem), f".{slug(suffix)}" if suffix else "")


def hostile(name: str) -> str:
    """Return why nobody means well by a file's name, "" where nothing speaks against it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if name.startswith(("/", "\\")) or ".." in parts:
        return "its name leads out of the folder"
    if clean(name) != name.strip():
        return "its name holds control characters"
    return ""


@dataclass(frozen=True)
class FetchOptions:
    """How files are fetched: `jobs` threads, none above `max_mb` MB (None: the kind's own limit), `force` anew."""

    jobs: int
    max_mb: int | None
    force: bool


def fetch_all(
    source: Source,
    files: Sequence[RunFile],
    names: Mapping[RunFile, str],
    folder: Folder,
    run: Run,
    done: Fetched,
    options: FetchOptions,
    shown: Callable[[list[Future[_Outcome]]], Iterable[Future[_Outcome]]] = iter,
) -> None:
    """Fetch the files in `options.jobs` threads and note in `done` what became of each, in their order.

    `shown` passes on what it is given and may show how far it is.
    Interrupted, it waits for those under way, notes them, and leaves the rest.
    """
    allowance = _Allowance(limits.most("download-bytes"))
    pool = ThreadPoolExecutor(options.jobs)
    futures = [pool.submit(_fetch, source, file, names.get(file, ""), folder, options, allowance) for file in files]
    noted = 0
    try:
        for future in shown(futures):
            _note(future.result(), folder, run, done)
            noted += 1
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for future in futures[noted:]:
            if future.done() and not future.cancelled() and future.exception() is None:
                _note(future.result(), folder, run, done)


class _Allowance:
    """The bytes that a command may fetch in all, shared by its threads."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most
        self._lock = threading.Lock()

    def take(self, count: int) -> str:
        """Take `count` bytes; return why not where they are more than is left, "" where they are not."""
        with self._lock:
            if count > self._left:
                return f"all files together have more than {size(self._most)}; {limits.raised_by('download-bytes')}"
            self._left -= count
            return ""

    def settle(self, listed: int, came: int) -> None:
        """Correct what was taken for a file by its listed size."""
        with self._lock:
            self._left -= came - listed


def _fetch(
    source: Source, file: RunFile, name: str, folder: Folder, options: FetchOptions, allowance: _Allowance
) -> _Outcome:
    """Fetch one file. One bad file leaves the rest."""
    refused = hostile(file.name) or _too_large(file, options.max_mb)
    if refused:
        return _Outcome(file, name, "failed", f"refused: {refused}")
    target = folder.path / name
    if _known_to_be_there(target, file):
        return _Outcome(file, name, "skipped", _THERE, describe(target))
    if refused := allowance.take(file.size):
        return _Outcome(file, name, "failed", f"refused: {refused}")
    got: dict[str, Any] = {}

    def produce(temporary: Path) -> None:
        source.fetch(file, temporary)
        got.update(describe(temporary))
        allowance.settle(file.size, got["size"])
        if reason := _refusal(temporary, file, got):
            raise _RefusedError(reason)

    def check(place: Path) -> None:
        if not place.is_file():
            return
        if describe(place)["sha256"] == got["sha256"]:
            raise _KeptError(_THERE)
        if not options.force:
            raise _KeptError("a file with other content is there; --force replaces it")

    try:
        return _Outcome(file, name, "downloaded", written=folder.write(name, produce, check))
    except _KeptError as kept:
        return _Outcome(file, name, "skipped", kept.message, got if kept.message == _THERE else None)
    except ToolkitError as error:
        return _Outcome(file, name, "failed", error.message)


def _note(outcome: _Outcome, folder: Folder, run: Run, done: Fetched) -> None:
    file, target = outcome.file, folder.path / outcome.name
    about = {"source": file.name, "key": file.key, "step": file.step, "index": file.index, "caption": file.caption}
    facts = {key: outcome.written[key] for key in ("size", "sha256")} if outcome.written else {}
    if outcome.kind == "failed":
        done.failed.append({**about, "reason": outcome.reason})
    elif outcome.kind == "skipped":
        done.skipped.append({"file": str(target), **about, "reason": outcome.reason})
    else:
        done.downloaded.append({"file": str(target), **about, **facts})
    if outcome.written:
        done.recorded[outcome.name] = {"owner": owner(run, file), **about, **facts, "run": run_key(run)}
        done.there[file] = target


def _too_large(file: RunFile, most: int | None) -> str:
    limit = most or (LARGEST_IMAGE if is_image_name(file.name) else LARGEST_FILE)
    if file.size <= limit * 1_000_000:
        return ""
    return f"{size(file.size)} is more than {limit} MB; --max-mb raises the limit"


def _known_to_be_there(target: Path, file: RunFile) -> bool:
    """Whether the declared digest says that the file need not be fetched again."""
    if not (file.sha256 or file.md5) or not target.is_file() or target.stat().st_size != file.size:
        return False
    with target.open("rb") as stream:
        if file.sha256:
            return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
        return _base64(hashlib.file_digest(stream, "md5").digest()) == file.md5


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _refusal(path: Path, file: RunFile, got: Mapping[str, Any]) -> str:
    # A log that is still being written may have grown since it was listed.
    if file.size and (got["size"] < file.size or (got["size"] > file.size and is_image_name(file.name))):
        return f"{got['size']:,} bytes came, the run has {file.size:,}"
    if file.sha256 and file.sha256 != got["sha256"]:
        return "the content does not match the sha256 that the run logged"
    if file.md5:
        with path.open("rb") as stream:
            if _base64(hashlib.file_digest(stream, "md5").digest()) != file.md5:
                return "the content does not match the md5 that the server names"
    return problem_with(path, file.name)


def with_caption(file: RunFile, caption: str | None) -> RunFile:
    """Return the file with a caption, where it has none."""
    return file if file.caption or not caption else replace(file, caption=caption)
