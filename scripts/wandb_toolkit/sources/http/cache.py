"""What cannot change any more, kept on disk: histories of ended runs, and files by their digest.

An entry's name is the digest of its key, and the key holds all that would change with the content: a run that was
resumed or rewound has another key, so nothing is ever invalidated. Entries are written whole and moved into place, so
that several processes may share the folder; one that cannot be read is a miss.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from wandb_toolkit.resolve import expanded

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

MAX_BYTES = 2_000_000_000
_LARGEST = 10  # of such parts of the whole may one entry take one
_EVERY = 20  # parts of the whole are written between two looks at the size
_VERSION = 2  # of the entries' form
_ABANDONED = 3600.0  # seconds after which a file that was never moved into place is somebody's who died


def cache_folder() -> Path | None:
    """Return the platform's cache folder for this toolkit, or ``WANDB_TOOLKIT_CACHE``; None without a home."""
    given = os.environ.get("WANDB_TOOLKIT_CACHE")
    if given:
        return expanded(given)
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "wandb-toolkit"
        base = os.environ.get("XDG_CACHE_HOME") or ""
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "wandb-toolkit"
    except RuntimeError:
        return None


class Cache:
    """Arrays, texts and files by key. `folder` None keeps nothing; so does a folder that cannot be written."""

    def __init__(self, folder: Path | None, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._unseen: float = max_bytes  # bytes written since the last look at the size; the first writing looks
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process needs to use the same folder: everything but the lock among threads."""
        return {name: value for name, value in vars(self).items() if name != "_lock"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the state over."""
        vars(self).update(state, _lock=threading.Lock())

    def _path(self, key: Sequence[Any], suffix: str) -> Path | None:
        if self._folder is None:
            return None
        text = json.dumps([_VERSION, *key], sort_keys=True, default=str)
        name = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        return self._folder / name[:2] / f"{name}{suffix}"

    def get(self, key: Sequence[Any]) -> dict[str, FloatArray] | None:
        """Return the arrays kept under `key`, None where there are none."""
        import numpy as np

        path = self._path(key, ".npz")
        if path is None:
            return None
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                arrays = {name: np.asarray(found[name], dtype=np.float64) for name in found.files}
            os.utime(path)  # last used: what is unused longest goes first
        except Exception:  # absent, half a disk failure, another version's: whatever it is, read the run again
            return None
        return arrays

    def put(self, key: Sequence[Any], arrays: Mapping[str, FloatArray]) -> None:
        """Keep the arrays; a full or read-only disk is no error."""
        import numpy as np

        def write(file: IO[bytes]) -> None:
            np.savez(file, **dict(arrays))  # type: ignore[arg-type]

        self._write(self._path(key, ".npz"), write, sum(array.nbytes for array in arrays.values()))

    def get_text(self, key: Sequence[Any]) -> str | None:
        """Return the text kept under `key`, None where there is none."""
        path = self._path(key, ".json")
        if path is None:
            return None
        try:
            digest, _, text = path.read_text(encoding="utf-8").partition("\n")
            os.utime(path)
        except (OSError, ValueError):
            return None
        return text if digest == _digest(text) else None

    def put_text(self, key: Sequence[Any], text: str) -> None:
        """Keep a text."""
        data = f"{_digest(text)}\n{text}".encode("utf-8", "replace")
        self._write(self._path(key, ".json"), lambda file: file.write(data), len(data))

    def get_file(self, key: Sequence[Any], destination: Path, md5_b64: str) -> bool:
        """Copy the file kept under `key` to `destination`; False where there is none, or it is not what it was."""
        path = self._path(key, ".file")
        try:
            if path is None or not path.is_file():
                return False
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "md5").digest()
            if base64.b64encode(digest).decode() != md5_b64:
                return False
            os.utime(path)
            shutil.copyfile(path, destination)
        except OSError:
            return False
        return True

    def put_file(self, key: Sequence[Any], source: Path) -> None:
        """Keep a copy of a file."""
        path = self._path(key, ".file")
        if path is None:
            return
        with contextlib.suppress(OSError), source.open("rb") as file:
            self._write(path, lambda target: shutil.copyfileobj(file, target), source.stat().st_size)

    def opened(self, key: Sequence[Any]) -> IO[bytes] | None:
        """Open the bytes kept under `key`, None where there are none."""
        path = self._path(key, ".bytes")
        try:
            if path is None:
                return None
            file = path.open("rb")
        except OSError:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return file

    def put_pieces(self, key: Sequence[Any], pieces: Sequence[bytes | memoryview]) -> None:
        """Keep pieces of bytes, one behind the other."""
        path = self._path(key, ".bytes")
        self._write(path, lambda file: file.writelines(pieces), sum(map(len, pieces)))

    def _write(self, path: Path | None, write: Callable[[IO[bytes]], object], size: int) -> None:
        if path is None or self._folder is None or size > self._max_bytes / _LARGEST:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.mkdir(exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    write(file)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            with self._lock:
                self._unseen += size
                if self._unseen > self._max_bytes / _EVERY:
                    self._unseen = 0
                    self._trim(self._folder)

    def _trim(self, folder: Path) -> None:
        """Remove what was unused longest once the entries take more than is allowed."""
        entries = []
        for path in folder.glob("??/*"):
            with contextlib.suppress(OSError):  # another process may remove it meanwhile
                status = path.stat()
                if path.suffix != ".tmp":
                    entries.append((status.st_mtime, status.st_size, path))
                elif time.time() - status.st_mtime > _ABANDONED:
                    path.unlink()
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._max_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
