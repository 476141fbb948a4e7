"""Runs in an object store or on another host, through fsspec: copied below the cache, then read as local runs.

What a run needs to be judged is copied (its log, the small files beside it); its media are copied when somebody asks
for the run's files. A file is copied again when the size, time or checksum that the store gives has changed.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from wandb_toolkit.errors import NotFoundError
from wandb_toolkit.model import Run, RunFile
from wandb_toolkit.sources.local.source import LocalSource
from wandb_toolkit.sources.stores import explained, open_store, without_secrets
from wandb_toolkit.text import clean

_TOGETHER = 8  # files copied at once
_NOTES = "copied.json"
_BESIDE = frozenset(
    {"wandb-summary.json", "config.yaml", "wandb-metadata.json", "output.log", "requirements.txt", "diff.patch"}
)
_LARGEST_BESIDE = 50_000_000  # bytes; a larger one is no summary or config
_TOLD = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created", "size")


class RemoteSource(LocalSource):
    """The runs below a URL that fsspec can read: ``s3://``, ``gs://``, ``az://``, ``sftp://``, ``memory://``, ..."""

    def __init__(self, url: str, folder: Path | None) -> None:
        """Copy what is below `url`.

        Args:
            url: what the user named.
            folder: where copies are kept; None: in a temporary folder, for this process only.

        Raises:
            UsageError: fsspec, or the package that it needs for this protocol, is not installed.
            NotFoundError: there is nothing below the URL.
            AuthError: the store refuses access.
            ServerError: the store failed.
        """
        self._shown = without_secrets(url)
        self._files, self._root = open_store(url, self._shown)
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="wandb-toolkit-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
        self._folder = folder / "remote" / hashlib.sha256(url.encode()).hexdigest()[:24]
        self._copy(_judged)
        super().__init__(self._folder / "runs")
        self.description = self._shown

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, which are copied now, sorted by name."""
        folders = {str(Path(path).relative_to(self.path)) for path in run.paths if Path(path).is_relative_to(self.path)}
        self._copy(lambda name, _: any(name.startswith(f"{folder}/") or folder == "." for folder in folders), folders)
        return super().files(run)

    def _copy(self, wanted: Callable[[str, Mapping[str, Any]], bool], within: set[str] | None = None) -> None:
        """Bring the copies of the wanted files up to date; without `within`, remove those that are gone."""
        listed = {name: info for name, info in self._listed().items() if wanted(name, info)}
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        notes = self._notes()
        stale = [
            name for name, info in listed.items() if notes.get(name) != _told(info) or not self._at(name).is_file()
        ]
        with ThreadPoolExecutor(_TOGETHER) as pool:
            for name in pool.map(lambda name: self._fetch_one(name, listed[name]), stale):
                notes[name] = _told(listed[name])
        if within is None:
            for name in set(notes) - set(self._listed()):
                self._at(name).unlink(missing_ok=True)
                del notes[name]
                with contextlib.suppress(OSError):  # a folder that still holds something stays
                    for folder in self._at(name).relative_to(self._folder).parents[:-2]:
                        (self._folder / folder).rmdir()
        temporary = self._folder / f"{_NOTES}.{os.getpid()}"
        temporary.write_text(json.dumps(notes))
        temporary.replace(self._folder / _NOTES)

    def _listed(self) -> dict[str, Mapping[str, Any]]:
        """Return the files below the URL by their path there."""
        if not hasattr(self, "_listing"):
            with explained(self._shown):
                found: dict[str, Mapping[str, Any]]
                if self._files.isfile(self._root):
                    found = {self._root: self._files.info(self._root)}
                    base = self._root.rpartition("/")[0]
                else:
                    found = self._files.find(self._root, detail=True)
                    base = self._root
            names = {path.removeprefix(base).lstrip("/"): {**info, "path": path} for path, info in found.items()}
            self._listing: dict[str, Mapping[str, Any]] = {
                name: info for name, info in names.items() if _stays_inside(name)
            }
            if not self._listing:
                raise NotFoundError(f"There are no files at or below {self._shown}.")
        return self._listing

    def _fetch_one(self, name: str, info: Mapping[str, Any]) -> str:
        target = self._at(name)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = target.with_name(f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.{os.getpid()}")
        try:
            with explained(f"{self._shown}: {clean(name)}"):
                self._files.get_file(str(info["path"]), str(temporary))
            moment = _modified(info)
            if moment is not None:  # the state of a run without an exit record follows from its file's time
                os.utime(temporary, (moment, moment))
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
        return name

    def _at(self, name: str) -> Path:
        return self._folder / "runs" / name

    def _notes(self) -> dict[str, str]:
        try:
            found = json.loads((self._folder / _NOTES).read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _judged(name: str, info: Mapping[str, Any]) -> bool:
    """Tell whether a file is read of every run."""
    path = PurePosixPath(name)
    if path.suffix == ".wandb":
        return True
    return path.parent.name == "files" and path.name in _BESIDE and int(info.get("size") or 0) <= _LARGEST_BESIDE


def _stays_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and clean(name) == name


def _told(info: Mapping[str, Any]) -> str:
    """Return what the store says of a file that changes when its content does."""
    return json.dumps({key: str(info[key]) for key in _TOLD if info.get(key) is not None}, sort_keys=True)


def _modified(info: Mapping[str, Any]) -> float | None:
    """Return the time of the last change in Unix seconds, None where the store does not say."""
    for key in ("mtime", "LastModified", "last_modified", "updated", "created"):
        value = info.get(key)
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, (int, float)):
            return float(value)
    return None
