"""What cannot change any more, kept on disk: full histories of ended runs, by everything that would change with them.

An entry's name is the digest of its key, and the key holds the run's heartbeat and row count; a run that was resumed or
rewound has another key, so nothing is ever invalidated. Entries are written whole and moved into place, so that several
processes may share the folder; one that cannot be read is a miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

MAX_BYTES = 2_000_000_000
_VERSION = 1  # of the entries' form
_SUFFIX = ".npz"


def cache_folder() -> Path:
    """Return the platform's cache folder for this toolkit; ``WANDB_TOOLKIT_CACHE`` overrides it."""
    given = os.environ.get("WANDB_TOOLKIT_CACHE")
    if given:
        return Path(given)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "wandb-toolkit"
    base = os.environ.get("XDG_CACHE_HOME") or ""
    return (Path(base) if os.path.isabs(base) else Path.home() / ".cache") / "wandb-toolkit"  # noqa: PTH117


class Cache:
    """Arrays by key. `folder` None keeps nothing; so does a folder that cannot be written."""

    def __init__(self, folder: Path | None, max_bytes: int = MAX_BYTES) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def _path(self, key: Sequence[Any]) -> Path | None:
        if self._folder is None:
            return None
        text = json.dumps([_VERSION, *key], sort_keys=True, default=str)
        name = hashlib.sha256(text.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}{_SUFFIX}"

    def get(self, key: Sequence[Any]) -> dict[str, FloatArray] | None:
        """Return the arrays kept under `key`, None where there are none."""
        import numpy as np

        path = self._path(key)
        if path is None:
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
            os.utime(path)  # last used: what is unused longest goes first
        except Exception:  # absent, half a disk failure, another version's: whatever it is, read the run again
            return None
        return arrays

    def put(self, key: Sequence[Any], arrays: Mapping[str, FloatArray]) -> None:
        """Keep the arrays; a full or read-only disk is no error."""
        import numpy as np

        path = self._path(key)
        if path is None:
            return
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    np.savez(file, allow_pickle=False, **dict(arrays))
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._trim()

    def _trim(self) -> None:
        """Remove what was unused longest once the entries take more than is allowed."""
        if self._folder is None:
            return
        entries = []
        for path in self._folder.glob(f"*/*{_SUFFIX}"):
            with contextlib.suppress(OSError):  # another process may remove it meanwhile
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._max_bytes:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            total -= size
