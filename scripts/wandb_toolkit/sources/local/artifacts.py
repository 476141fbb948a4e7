"""Artifacts of local runs: the copies that the SDK made on this machine, until it uploads them or for offline runs."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Artifact, RunFile
from wandb_toolkit.resolve import home
from wandb_toolkit.sources.wandb_log.artifacts import Entry, read_artifacts, read_used


def list_artifacts(logs: Sequence[Path], kind: str | None = None) -> list[Artifact]:
    """Return the artifacts, of one type or all, with the files that are still there."""
    staging = staging_folder()
    listed: list[Artifact] = []
    for log in logs:
        try:
            mine = [artifact for artifact in read_artifacts(log) if kind in (None, artifact.kind)]
        except ToolkitError:
            continue
        for artifact in mine:
            files = (_file(entry, staging) for entry in artifact.entries)
            listed.append(Artifact(artifact.name, artifact.kind, tuple(file for file in files if file is not None)))
    return listed


def list_used(logs: Sequence[Path]) -> list[Artifact]:
    """Return the artifacts that a run used, each once, without files."""
    used: dict[tuple[str, str], None] = {}
    for log in logs:
        try:
            used |= dict.fromkeys(read_used(log))
        except ToolkitError:
            continue
    return [Artifact(name, kind, ()) for kind, name in used]


def staging_folder() -> Path:
    """Return where the SDK keeps copies of artifacts' files, as its `env.get_data_dir` does."""
    given = os.environ.get("WANDB_DATA_DIR")
    if given:
        data = Path(given)
    elif sys.platform == "darwin":
        data = home() / "Library" / "Application Support" / "wandb"
    else:
        data = Path(os.environ.get("XDG_DATA_HOME") or home() / ".local" / "share") / "wandb"
    return data / "artifacts" / "staging"


def _file(entry: Entry, staging: Path) -> RunFile | None:
    """Return the staged copy of an entry, None where it is not there.

    The log names any path it likes: only a plain file that lies directly in the SDK's own folder is taken.
    """
    try:
        place = staging / Path(entry.staged).name
        if not entry.digest or Path(entry.staged) != place or not stat.S_ISREG(place.lstat().st_mode):
            return None
    except (OSError, ValueError):
        return None
    return RunFile(entry.path, entry.size, str(place), md5=entry.digest)
