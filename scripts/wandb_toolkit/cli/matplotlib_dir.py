"""Where libraries may keep their files when the home folder cannot be written, as in an agent's sandbox."""

from __future__ import annotations

import os
from pathlib import Path


def settle_matplotlib() -> None:
    """Give matplotlib a folder of this user below the temporary one, where it would find none and complain.

    Without this it makes a new folder for each process, says so on stderr, and builds its list of fonts each time.
    """
    if os.environ.get("MPLCONFIGDIR") or all(_can_hold(place) for place in _usual()):
        return
    import tempfile  # a tenth of `--help` otherwise

    folder = Path(tempfile.gettempdir(), f"wandb-toolkit-matplotlib-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        about = folder.lstat()
    except OSError:
        return
    if folder.is_dir() and not folder.is_symlink() and about.st_uid == os.getuid() and not about.st_mode & 0o022:
        os.environ["MPLCONFIGDIR"] = str(folder)


def _usual() -> list[Path]:
    home = Path(os.environ.get("HOME") or "/nonexistent")
    bases = (("XDG_CONFIG_HOME", ".config"), ("XDG_CACHE_HOME", ".cache"))
    return [Path(os.environ.get(name) or home / below, "matplotlib") for name, below in bases]


def _can_hold(place: Path) -> bool:
    """Whether the folder is there or can be made."""
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)
