"""Finding W&B run directories below a folder, and what their `files/` hold beside the log."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb_toolkit import jsontext
from wandb_toolkit.errors import NotFoundError, ToolkitError

_RUN_DIR = re.compile(r"(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)$")
_LOG = re.compile(r"run-(?P<id>.+)\.wandb$")
_SKIPPED = frozenset({".git", "node_modules", "__pycache__", ".venv", "site-packages"})
_YAML_BYTES = 5_000_000
_YAML_NODES = 500_000  # after aliases: a file of anchors on anchors must not fill the memory


@dataclass(frozen=True)
class RunDir:
    """One run directory, or a bare log. A run that was resumed has several."""

    folder: Path  # of the run; for a bare log, where it lies
    log: Path | None  # None: a run directory whose log is missing
    run_id: str  # by its name; the log's own word counts more
    files: Path | None  # the `files` folder
    sweep: str | None = None

    @property
    def shown(self) -> Path:
        """The path that stands for it in messages and in `Run.paths`."""
        return self.folder if self.files is not None or self.log is None else self.log


@dataclass
class Found:
    """The result of a search."""

    dirs: list[RunDir] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    logs: set[tuple[int, int]] = field(default_factory=set)  # device and inode: a linked log counts once


def find_run_dirs(path: Path) -> Found:
    """Return the run directories at or below `path`, sorted by path.

    Links to folders are not followed, so that `latest-run` is not counted twice and a stranger's link leads nowhere;
    two exceptions: `path` itself, and a link called `wandb` (a common way to keep runs on another disk).

    Raises:
        NotFoundError: there is no such path.
        ToolkitError: it cannot be read.
    """
    found = Found()
    if path.is_file():
        found.dirs.append(_bare_log(path))
        return found
    if not path.exists():
        raise NotFoundError(f"There is no {path}")
    seen: set[tuple[int, int]] = set()
    pending = [path]
    while pending:
        folder = pending.pop()
        try:
            status = folder.stat()
            with os.scandir(folder) as entries:
                listing = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if folder == path:
                raise ToolkitError(
                    f"{path} cannot be read: {error.strerror}", "Check the folder's permissions."
                ) from error
            found.warnings.append(f"{folder} cannot be read: {error.strerror}")
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        pending += _take(folder, listing, found)
    found.dirs.sort(key=lambda run: (str(run.folder), str(run.log)))
    sweeps = _sweeps(path, found)
    if sweeps:
        found.dirs = [RunDir(run.folder, run.log, run.run_id, run.files, sweeps.get(run.run_id)) for run in found.dirs]
    return found


def _take(folder: Path, listing: list[os.DirEntry[str]], found: Found) -> list[Path]:
    """Add the runs that `folder` itself is or holds; return the folders to look into."""
    logs = [entry.name for entry in listing if entry.name.endswith(".wandb") and _holds(entry.is_file)]
    named = _RUN_DIR.match(folder.resolve().name if folder.name in ("", ".", "..", "latest-run") else folder.name)
    has_files = any(entry.name == "files" and _holds(entry.is_dir) for entry in listing)
    files = folder / "files" if has_files else None
    for name in logs:
        if _seen_log(folder / name, found):
            continue
        found.dirs.append(RunDir(folder, folder / name, _log_id(name), files if named or len(logs) == 1 else None))
    if not logs and named and files is not None:
        found.dirs.append(RunDir(folder, None, named["id"], files))
    if named:
        return []
    return [
        folder / entry.name
        for entry in listing
        if entry.name not in _SKIPPED
        and not (logs and entry.name == "files")
        and (entry.is_dir(follow_symlinks=False) or (entry.name == "wandb" and _holds(entry.is_dir)))
    ]


def _holds(test: Callable[[], bool]) -> bool:
    """Return what a test of an entry says, False where it cannot be made: a link that leads to itself."""
    try:
        return test()
    except OSError:
        return False


def _seen_log(log: Path, found: Found) -> bool:
    try:
        status = log.stat()
    except OSError:
        return False
    before = len(found.logs)
    found.logs.add((status.st_dev, status.st_ino))
    return len(found.logs) == before


def _bare_log(path: Path) -> RunDir:
    files = path.parent / "files"
    return RunDir(path.parent, path, _log_id(path.name), files if files.is_dir() else None)


def _log_id(name: str) -> str:
    match = _LOG.match(name)
    return match["id"] if match else name.removesuffix(".wandb")


def _sweeps(path: Path, found: Found) -> dict[str, str]:
    """Return run id → sweep id, from the `sweep-<id>/config-<run id>.yaml` beside the run directories."""
    result: dict[str, str] = {}
    for parent in {run.folder.parent for run in found.dirs}:
        for folder in _globbed(parent, "sweep-*"):
            for config in _globbed(folder, "config-*.yaml"):
                result[config.stem.removeprefix("config-")] = folder.name.removeprefix("sweep-")
    return result


def _globbed(folder: Path, pattern: str) -> Iterator[Path]:
    try:
        yield from folder.glob(pattern)
    except OSError:
        return


def own_file(path: Path) -> bool:
    """Return whether a file below a run's `files` is a plain file of that run: no pipe, no link out of it."""
    try:
        return path.is_file() and path.resolve().is_relative_to(path.parent.parent.resolve())
    except (OSError, RuntimeError):
        return False


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object beside the log (bare NaN tokens allowed), {} where it is absent or unreadable."""
    try:
        found = jsontext.parse(path.read_bytes()) if own_file(path) else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def read_config(path: Path) -> dict[str, Any]:
    """Return `files/config.yaml` with each value's ``value:`` wrapping undone, {} where absent or unreadable."""
    try:
        if not own_file(path) or path.stat().st_size > _YAML_BYTES:
            return {}
        raw = path.read_bytes()
    except OSError:
        return {}
    import yaml

    try:
        found = yaml.load(raw, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 both are safe
        if not isinstance(found, dict) or not _fits(found) or jsontext.depth(found) > jsontext.DEEPEST:
            return {}
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError, OverflowError, RecursionError):
        return {}
    found = jsontext.in_float_range(found)
    return {
        str(key): value["value"]
        if isinstance(value, dict) and "value" in value and set(value) <= {"value", "desc"}
        else value
        for key, value in found.items()
        if key != "wandb_version"
    }


def _fits(tree: Any) -> bool:
    pending = [tree]
    for _ in range(_YAML_NODES):
        if not pending:
            return True
        node = pending.pop()
        if isinstance(node, dict):
            pending.extend(node.values())
        elif isinstance(node, (list, tuple, set)):
            pending.extend(node)
    return False
