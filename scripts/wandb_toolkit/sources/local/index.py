"""What logs said of their runs when they were last read, kept in the cache: for many logs, and for large ones.

A log counts as unchanged while its size, its times of change (nanoseconds), its inode and its device are the same. What
was changed shortly before it was read is not kept: a clock that ticks slowly could hide a later change.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from wandb_toolkit import limits
from wandb_toolkit.sources.wandb_log import scan as logs
from wandb_toolkit.sources.wandb_log.blocks import Damage
from wandb_toolkit.sources.wandb_log.records import RunFields
from wandb_toolkit.sources.wandb_log.scan import LogScan, read_head, scan_log

MANY = 200  # logs, from which on an index is worth its file
_FORM = 1  # of the entries; to be counted up when they, or what readers make of a log, change
_SETTLED = 3_000_000_000  # ns: no file system's clock ticks more slowly
_PLAIN = ("step_metrics", "rows", "last_step", "newest", "has_exit", "exit_code", "runtime", "preempting")
_Summary = tuple[dict[str, Any], bool]
Stamp = list[int]


class Texts(Protocol):
    """A cache of texts."""

    def get_text(self, key: Sequence[Any]) -> str | None:
        """Return the text kept under `key`, None where there is none, or it is damaged."""
        ...

    def put_text(self, key: Sequence[Any], text: str) -> None:
        """Keep a text, whole or not at all; a full or read-only disk is no error."""
        ...


class Logs:
    """Reads logs of one folder, or remembers what they held."""

    def __init__(self, cache: Texts | None = None, folder: Path | None = None) -> None:
        self._cache = cache
        self._folder = folder
        self._known: dict[str, dict[str, Any]] = {}  # by path; "stamp", and "head", "card", "summary" where read
        self._stamps: dict[str, Stamp | None] = {}
        self._active = False
        self._changed = False

    def expect(self, paths: Sequence[Path]) -> None:
        """Say which logs there are: where they are many, or one is large, what is known of them is fetched."""
        if self._cache is None:
            return
        sizes = [stamp[0] for path in paths if (stamp := stamp_of(path)) is not None]
        self._active = len(paths) >= MANY or max(sizes, default=0) >= logs.LARGE
        text = self._cache.get_text(self._key()) if self._active else None
        if text is None:
            return
        with suppress(ValueError, TypeError, AttributeError, RecursionError):
            there = set(map(str, paths))
            self._known = {path: dict(entry) for path, entry in json.loads(text).items() if path in there}

    def head(self, path: Path) -> RunFields:
        """Return what the first records say.

        Raises:
            ToolkitError: the file is no readable log.
        """
        found: RunFields = self._kept(path, "head", lambda: read_head(path).run, _run_to_json, _run_of_json)
        return found

    def card(self, path: Path) -> LogScan:
        """Return the scan that describes the run.

        Raises:
            ToolkitError: the file is no readable log.
        """
        found: LogScan = self._kept(
            path, "card", lambda: scan_log(path), card_to_json, lambda entry: card_of_json(path, entry)
        )
        return found

    def summary(self, path: Path) -> _Summary:
        """Return the summary, and whether it has more keys than are read.

        Raises:
            ToolkitError: the file is no readable log.
        """

        def read() -> _Summary:
            found = scan_log(path, card=False, summary=True)
            return found.summary, found.summary_beyond

        result: _Summary = self._kept(path, "summary", read, list, lambda entry: (dict(entry[0]), bool(entry[1])))
        return result

    def save(self) -> None:
        """Keep what was read since the last time."""
        if self._changed and self._cache is not None:
            self._changed = False
            with suppress(ValueError, TypeError, RecursionError):
                self._cache.put_text(self._key(), json.dumps(self._known))

    def _kept(
        self,
        path: Path,
        what: str,
        read: Callable[[], Any],
        to_json: Callable[[Any], Any],
        of_json: Callable[[Any], Any],
    ) -> Any:
        if not self._active:
            return read()
        name, stamp = str(path), stamp_of(path)
        entry = self._known.get(name)
        if entry is not None and entry.get("stamp") == stamp:
            with suppress(KeyError, ValueError, TypeError, AttributeError, IndexError):
                return of_json(entry[what])
        settled = stamp is not None and is_settled(stamp)
        found = read()
        if settled and stamp_of(path) == stamp:
            if entry is None or entry.get("stamp") != stamp:
                entry = self._known[name] = {"stamp": stamp}
            entry[what] = to_json(found)
            self._changed = True
        return found

    def _key(self) -> list[Any]:
        return ["local runs", _FORM, str(self._folder and self._folder.absolute()), limits.most("metrics")]


def stamp_of(path: Path) -> Stamp | None:
    """Return size, times of change, inode and device; None where the file cannot be looked at."""
    try:
        status = path.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _run_to_json(run: RunFields) -> dict[str, Any]:
    return asdict(run) | {"git": run.git.decode("latin-1")}


def _run_of_json(entry: dict[str, Any]) -> RunFields:
    branch = entry["branch"]
    changed = {
        "tags": tuple(entry["tags"]),
        "branch": (str(branch[0]), float(branch[1])) if branch else None,
        "git": entry["git"].encode("latin-1"),
    }
    return RunFields(**(entry | changed))


def is_settled(stamp: Stamp) -> bool:
    """Return whether a log that is read now and has this stamp still then is the one that is read."""
    return time.time_ns() - max(stamp[1:3]) > _SETTLED


def card_to_json(scan: LogScan) -> dict[str, Any]:
    """Return what describes a log's run, and the log's damage, as a JSON object."""
    plain = {name: getattr(scan, name) for name in _PLAIN}
    return {"run": _run_to_json(scan.run), "config": scan.config, "damage": vars(scan.damage).copy(), "plain": plain}


def card_of_json(path: Path, entry: dict[str, Any]) -> LogScan:
    """Return the scan that `card_to_json` made an object of.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it is no such object.
    """
    return LogScan(
        path,
        damage=Damage(**entry["damage"]),
        run=_run_of_json(entry["run"]),
        config=dict(entry["config"]),
        **{name: entry["plain"][name] for name in _PLAIN},
    )
