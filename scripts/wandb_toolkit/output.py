"""What the commands leave on disk: where it goes, safe names, whole files, and metadata.json.

Names come from strangers. Nothing here writes outside its folder, and no half-written file takes the place of
a good one.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wandb_toolkit import __version__, jsontext
from wandb_toolkit.errors import ToolkitError, UsageError
from wandb_toolkit.model import Run

ROOT = "wandb_plots"
_PREFIX = ".wandb-toolkit-"  # of temporary files; tempfile adds eight letters and digits
_TEMPORARY = re.compile(rf"{re.escape(_PREFIX)}[a-z0-9_]{{8}}(\.|$)")
_ABANDONED = 6 * 3600.0  # seconds after which nobody can be writing one any more
METADATA = "metadata.json"
TOOL = "wandb-toolkit"

_UMASK = threading.Lock()
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$", re.IGNORECASE)
_MAX_BYTES = 120  # of a stem; leaves room for a suffix, a hash and a temporary name within 255


def slug(text: str) -> str:
    """Return `text` as one harmless part of a file name. Different texts may give the same."""
    plain = unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())
    kept = "".join(char if char.isalnum() or char in "_-.=+@" else "_" for char in plain)
    kept = re.sub(r"\.{2,}", "_", kept).strip(". ")
    kept = re.sub(r"^-+", "_", kept)
    while len(kept.encode()) > _MAX_BYTES:
        kept = kept[:-1]
    return f"_{kept}" if not kept or _RESERVED.match(kept) else kept


def digest(text: str, length: int = 6) -> str:
    """Return a short stable hash of a name."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def safe_stem(name: str) -> str:
    """Return a file name (no suffix) that no other name has, but for upper and lower case.

    ``/`` becomes ``__``; whatever else had to change costs a hash suffix: ``train/loss`` → ``train__loss``,
    ``a b`` → ``a_b-c8687a``.
    """
    readable = name.replace("/", "__")
    changed = "__" in name or name.startswith("/") or name.endswith("/") or slug(readable) != readable
    # "x-123abc" as a name of its own could be another name's hashed form.
    return f"{slug(readable)}-{digest(name)}" if changed or re.search(r"-[0-9a-f]{6}$", name) else readable


def run_folder(run: Run) -> Path:
    """Return where one run's files go by default: ``wandb_plots/<entity>_<project>/<run name>_<run id>``."""
    return Path(ROOT, _project_part([run]), f"{slug(run.name)[:80]}_{safe_stem(run.id)}")


def output_folder(runs: Sequence[Run]) -> Path:
    """Return where files on these runs go by default; several runs share a folder named after their ids."""
    if len(runs) == 1:
        return run_folder(runs[0])
    name = digest("\n".join(sorted(f"{run.entity}/{run.project}/{run.id}" for run in runs)), 8)
    return Path(ROOT, _project_part(runs), f"compare_{name}")


def _project_part(runs: Sequence[Run]) -> str:
    entities = {run.entity or "local" for run in runs}
    projects = {run.project or "uncategorized" for run in runs}
    entity = entities.pop() if len(entities) == 1 else "several"
    project = projects.pop() if len(projects) == 1 else "several"
    return f"{slug(entity)}_{slug(project)}"


def check_folder(folder: Path) -> None:
    """Fail early where nothing could be written to `folder`, without creating it.

    Raises:
        UsageError: it, or a folder above it, is a file.
        ToolkitError: it is not writable.
    """
    try:
        above = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
        if not above.is_dir():
            what = "a broken link" if above.is_symlink() and not above.exists() else "a file, not a folder"
            raise UsageError(f"The output path {above} is {what}.", "Give --output a folder, existing or new.")
        with contextlib.suppress(FileNotFoundError):
            folder.lstat()  # a name that is too long
        writable = os.access(above, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The output path {folder} cannot be used: {_why(error)}.", "Give --output another folder."
        ) from error
    if not writable:
        raise ToolkitError(f"The folder {above} is not writable.", "Give --output a folder that you may write to.")


def _why(error: BaseException) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


class Folder:
    """An output folder: every file that goes there goes through here."""

    def __init__(self, path: Path) -> None:
        check_folder(path)
        self.path = path
        self._owners: dict[str, str] = {}  # folded relative file name → who it belongs to

    def claim(self, owner: str, stem: str, suffix: str, ours: Callable[[Path], bool] = os.path.lexists) -> str:
        """Return the relative name of `owner`'s file: `stem` + `suffix`, with a hash where that is taken.

        Names that differ in case only count as the same, as they are on many file systems. `ours` says whether
        a file that is there already may be written again by this owner.
        """
        for name in (stem + suffix, f"{stem}-{digest(owner)}{suffix}", f"{stem}-{digest(owner, 16)}{suffix}"):
            if self._owners.setdefault(_folded(name), owner) != owner:
                continue
            if not os.path.lexists(self.path / name) or ours(self.path / name):
                return name
        raise ToolkitError(f"No free file name is left for {owner!r} in {self.path}.", "Give --output a new folder.")

    def reserve(self, section: str) -> None:
        """Learn from metadata.json which names are taken, by this section's own files and by the others'."""
        remove_abandoned(self.path)
        self._owners[_folded(METADATA)] = METADATA
        known, _ = _read_metadata(self.path / METADATA)
        for name, content in known.items():
            for file, facts in _mapping(_mapping(content).get("files")).items():
                owner = _mapping(facts).get("owner") if name == section else None
                self._owners[_folded(file)] = owner if isinstance(owner, str) else f"{name}:{file}"

    def place(self, owner: str, stem: str, suffix: str, content: bytes, ours: Callable[[Path], bool]) -> dict[str, Any]:
        """Write `content` under the name that `claim` gives; return name, size and sha256.

        The folder is locked from the claim to the finished file: of two commands that want one new name at the same
        moment, the second finds the first one's file.

        Raises:
            ToolkitError: it could not be written. An earlier file of that name is intact.
        """
        try:
            self._make_folder(self.path)
            with _locked(self.path):
                name = self.claim(owner, stem, suffix, ours)
                return self.write(name, lambda temporary: temporary.write_bytes(content))
        except OSError as error:
            raise ToolkitError(f"{self.path} cannot be used: {_why(error)}.", _write_hint(error)) from error

    def write(
        self, name: str, produce: Callable[[Path], object], check: Callable[[Path], object] | None = None
    ) -> dict[str, Any]:
        """Let `produce` write a temporary file, put it in place of `name`; return name, size and sha256.

        `check` is called with the place just before, with the folder locked; what it raises leaves all as it was.

        Raises:
            ToolkitError: it could not be written. An earlier file of that name is intact.
        """
        target = self.path / name
        try:
            self._make_folder(target.parent)
            with _temporary(target) as temporary:
                produce(temporary)
                facts = describe(temporary, name)
                if check is None:
                    temporary.replace(target)
                else:
                    with _locked(self.path):
                        check(target)
                        temporary.replace(target)
            return facts
        except OSError as error:
            raise ToolkitError(f"{target} could not be written: {_why(error)}.", _write_hint(error)) from error

    def _make_folder(self, folder: Path) -> None:
        if not folder.resolve().is_relative_to(self.path.resolve()):
            raise ToolkitError(
                f"{folder} is a link that leads out of the output folder.",
                "Remove the link, or give another --output.",
            )
        folder.mkdir(parents=True, exist_ok=True)

    def record(
        self, section: str, files: Mapping[str, Any], runs: Sequence[Run], source: str, **facts: Any
    ) -> list[str]:
        """Add to a section of metadata.json, leave everything else in it, and return warnings.

        Args:
            section: "plots", "downloads", ...: entries of its files stay as long as the file is there.
            files: relative file name → facts, JSON-ready; "owner" is who `claim` gave the name to.
            runs: what the files are about.
            source: what the user named.
            facts: more about the section, JSON-ready.

        Raises:
            ToolkitError: it could not be written; the earlier one is intact.
        """
        target, warnings = self.path / METADATA, []
        try:
            self._make_folder(self.path)
            with _locked(self.path):
                known, problem = _read_metadata(target)
                if problem:
                    aside = _free_name(target)
                    target.replace(aside)
                    warnings.append(f"{target} {problem}; it is now {aside.name}")
                merged = self._merge(known, section, files, facts)
                about = {run_key(run): _run_facts(run, source) for run in runs}
                merged["runs"] = {**_mapping(known.get("runs")), **about}
                text = jsontext.dumps(merged) + "\n"
                self.write(METADATA, lambda temporary: temporary.write_bytes(text.encode()))
        except OSError as error:
            raise ToolkitError(f"{target} could not be written: {_why(error)}.", _write_hint(error)) from error
        return warnings

    def _merge(
        self, known: Mapping[str, Any], section: str, files: Mapping[str, Any], facts: Mapping[str, Any]
    ) -> dict[str, Any]:
        now = utc(datetime.now(UTC))
        old = _mapping(known.get(section))
        kept = {name: info for name, info in _mapping(old.get("files")).items() if (self.path / name).is_file()}
        return {
            "tool": TOOL,
            "created_at": now,
            **known,
            "tool_version": __version__,
            "updated_at": now,
            section: {**old, **facts, "updated_at": now, "files": {**kept, **files}},
        }


def utc(when: datetime | None) -> str | None:
    """Return a time as metadata.json holds it."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if when else None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def run_key(run: Run) -> str:
    """Return entity, project and id of a run as one text."""
    return "/".join((run.entity or "local", run.project or "uncategorized", run.id))


def _run_facts(run: Run, source: str) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "entity": run.entity,
        "project": run.project,
        "state": run.state,
        "created_at": utc(run.created_at),
        "source": source,
        "url": run.url,
        "paths": list(run.paths),
    }


def describe(path: Path, name: str | None = None) -> dict[str, Any]:
    """Return the file's name, size and sha256."""
    with path.open("rb") as stream:
        checksum = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"file": name or path.name, "size": path.stat().st_size, "sha256": checksum}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _write_hint(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "Free some disk space, then run again."
    return "Check the folder, or give another --output."


def _umask() -> int:
    with _UMASK:  # it can only be read by setting it, and it is the whole process's
        umask = os.umask(0o077)
        os.umask(umask)
    return umask


def remove_abandoned(folder: Path) -> None:
    """Remove the temporary files that killed commands left in a folder: ours by name, and hours old."""
    before = time.time() - _ABANDONED
    with contextlib.suppress(OSError):
        for place in folder.iterdir():
            if _TEMPORARY.match(place.name) and not place.is_symlink() and place.is_file():
                with contextlib.suppress(OSError):
                    if place.stat().st_mtime < before:
                        place.unlink()


@contextlib.contextmanager
def _temporary(target: Path) -> Iterator[Path]:
    handle, name = tempfile.mkstemp(prefix=_PREFIX, suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        temporary.chmod(0o666 & ~_umask())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary(target: Path) -> Iterator[Path]:
    """Yield a place beside a file, whose folder is made; when all went well, it becomes the file.

    Raises:
        ToolkitError: it cannot be written. What was there before stays.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(target) as place:
            yield place
            place.replace(target)
    except OSError as error:
        raise ToolkitError(f"{target} cannot be written: {_why(error)}.", _write_hint(error)) from error


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which is made where it is not there: one export at a time writes to it."""
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder):
        for place in (folder, *(below for below in folder.rglob("*") if below.is_dir())):
            remove_abandoned(place)
        yield


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's own lock, so that two commands at once do not lose each other's entries."""
    import fcntl

    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _read_metadata(path: Path) -> tuple[dict[str, Any], str]:
    """Return what our metadata.json holds, and what is wrong with one that is not ours or not whole."""
    if not os.path.lexists(path):
        return {}, ""
    if not path.is_file():  # a pipe would never end
        return {}, "is no file"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}, "is damaged"
    if not isinstance(content, dict) or content.get("tool") != TOOL:
        return {}, "was not written by this tool"
    return content, ""


def _free_name(path: Path) -> Path:
    count = 1
    while os.path.lexists(aside := path.with_name(f"{path.stem}.old-{count}{path.suffix}")):
        count += 1
    return aside
