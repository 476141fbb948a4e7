"""The files beside the logs of a run, with what the log says of the media among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import RunFile
from wandb_toolkit.sources.local.run_dirs import RunDir
from wandb_toolkit.sources.wandb_log.scan import Media, scan_log


def list_files(dirs: Sequence[RunDir]) -> list[RunFile]:
    """Return the files of the run's directories by name; of a name in several, the newest directory's.

    Links that lead out of the run's own folder are left out: a stranger's run directory must not pass on other files.
    """
    files: dict[str, RunFile] = {}
    for found in dirs:
        if found.files is None:
            continue
        media = _media_by_path(found)
        for name, path, size in _walk(found.files):
            key, step, caption, digest = media.get(name, (None, None, None, None))
            files[name] = RunFile(name, size, str(path), key=key, step=step, caption=caption, sha256=digest)
    return [files[name] for name in sorted(files)]


def _walk(root: Path) -> list[tuple[str, Path, int]]:
    found = []
    inside = root.parent.resolve()
    if not root.resolve().is_relative_to(inside):
        return []
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            try:
                if not path.is_file() or (path.is_symlink() and not path.resolve().is_relative_to(inside)):
                    continue  # a pipe, or a link that leads out
                found.append((path.relative_to(root).as_posix(), path, path.stat().st_size))
            except OSError:
                continue
    return found


_Facts = tuple[str, int | None, str | None, str | None]  # key, step, caption, sha256


def _media_by_path(found: RunDir) -> dict[str, _Facts]:
    if found.log is None or found.files is None or not (found.files / "media").is_dir():
        return {}
    try:
        media = scan_log(found.log, card=False, media=True).media
    except ToolkitError:
        return {}
    facts: dict[str, _Facts] = {}
    for one in media:
        for path, fact in _paths(one):
            facts.setdefault(path, fact)  # the first time it was logged
    return facts


def _paths(one: Media) -> list[tuple[str, _Facts]]:
    value = one.value
    if isinstance(value.get("path"), str):
        return [(value["path"], (one.key, one.step, _string(value.get("caption")), _string(value.get("sha256"))))]
    names = value.get("filenames")
    if not isinstance(names, list):
        return []
    captions = value.get("captions")
    texts: list[Any] = captions if isinstance(captions, list) else []
    return [
        (name, (one.key, one.step, _string(texts[at]) if at < len(texts) else None, None))
        for at, name in enumerate(names)
        if isinstance(name, str)
    ]


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None
