"""A dataset in an object store or on another host: each file is written here, then put there whole."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wandb_toolkit.errors import NotFoundError
from wandb_toolkit.sources.stores import explained, open_store, without_secrets
from wandb_toolkit.text import clean

_TOGETHER = 8  # files put at once
_PLAIN = frozenset(
    {"file", "local", "sftp", "ssh", "ftp", "smb"}
)  # where a file grows under its name while it is written


class Store:
    """What is below a URL that fsspec can write to: ``s3://``, ``gs://``, ``az://``, ``sftp://``, ``memory://``, ..."""

    def __init__(self, url: str) -> None:
        """List what is there.

        Raises:
            UsageError: fsspec, or the package that it needs for this protocol, is not installed.
            ToolkitError: the store refuses access or fails.
        """
        self.shown = without_secrets(url).rstrip("/")
        self._files, self._root = open_store(url, self.shown)
        protocols = self._files.protocol
        self._grows = bool(_PLAIN & ({protocols} if isinstance(protocols, str) else set(protocols)))
        self.sizes = self._list()  # bytes, by the path below the URL

    def _list(self) -> dict[str, int]:
        try:
            with explained(self.shown):
                found = self._files.find(self._root, detail=True)
        except NotFoundError:
            return {}
        return {
            path.removeprefix(self._root).lstrip("/"): int(info.get("size") or 0)
            for path, info in found.items()
            if path != self._root
        }

    def fetch(self, name: str, place: Path) -> None:
        """Copy a file from there.

        Raises:
            ToolkitError: the store refuses or fails.
        """
        with explained(f"{self.shown}/{clean(name)}"):
            self._files.get_file(self._at(name), str(place))

    def put(self, files: Sequence[tuple[Path, str]]) -> None:
        """Copy files to their names there. A file that is there already is replaced by a whole one or not at all.

        Raises:
            ToolkitError: the store refuses or fails.
        """
        with ThreadPoolExecutor(_TOGETHER) as pool:
            for _ in pool.map(lambda each: self._put(*each), files):
                pass

    def _put(self, path: Path, name: str) -> None:
        with explained(f"{self.shown}/{clean(name)}", "write"):
            target = self._at(name)
            if self._grows:  # folders; in an object store this would make buckets
                self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
                self._files.put_file(str(path), f"{target}.part")
                self._files.mv(f"{target}.part", target)
            else:
                self._files.put_file(str(path), target)
        self.sizes[name] = path.stat().st_size

    def remove(self, name: str) -> None:
        """Remove a file, which may be gone already.

        Raises:
            ToolkitError: the store refuses or fails.
        """
        if self.sizes.pop(name, None) is not None:
            with explained(f"{self.shown}/{clean(name)}", "write"):
                self._files.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"
