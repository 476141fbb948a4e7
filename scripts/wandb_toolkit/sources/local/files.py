"""The files beside the logs of a run, with what the log says of the media among them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import RunFile
from wandb_toolkit.sources.local.run_dirs import RunDir
from wandb_toolkit.sources.media import MediaFact, as_logged, facts_by_path, in_logged_order
from wandb_toolkit.sources.wandb_log.scan import scan_log


def list_files(dirs: Sequence[RunDir]) -> list[RunFile]:
    """Return the files of the run's directories in logged order; of a name in several, the newest directory's.

    A file of media stands there once for each time that it was logged.

    Links that lead out of the run's own folder are left out: a stranger's run directory must not pass on other files.
    """
    files: dict[str, list[RunFile]] = {}
    for found in dirs:
        if found.files is None:
            continue
        media = _media_by_path(found)
        for name, path, size in _walk(found.files):
            files[name] = as_logged(RunFile(name, size, str(path)), media.get(name, ()))
    return in_logged_order(file for each in files.values() for file in each)


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


def _media_by_path(found: RunDir) -> dict[str, list[MediaFact]]:
    if found.log is None or found.files is None or not (found.files / "media").is_dir():
        return {}
    try:
        media = scan_log(found.log, card=False, media=True).media
    except ToolkitError:
        return {}
    return facts_by_path((one.key, one.step, one.value) for one in media)
