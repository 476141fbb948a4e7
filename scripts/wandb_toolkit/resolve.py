"""What the user typed → which project, path or runs is meant. No network, no file is read.

A target is where to look: a W&B URL, ``entity/project``, ``project``, or a local path. A selector says which of the
runs there: a run id, a display name, a glob, ``latest``, ``latest:N``, ``tag:x``, ``group:x``, ``sweep:x``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import unquote, urlsplit

from wandb_toolkit.errors import NotFoundError, UsageError, did_you_mean
from wandb_toolkit.model import Run

_COMMA = re.compile(r"(?<!\\),")
_ODD = re.compile(r"[*?\[\](){}\s,]")
_EPOCH = datetime.fromtimestamp(0, UTC)
_PREFIXED = ("forge.coreweave.com",)  # there the pages' paths start with /wandb
_URL_PARTS = {"runs": "run", "sweeps": "sweep", "groups": "group"}


@dataclass(frozen=True)
class Target:
    """Where to look. Either `path` is set, or the names of something on a server or among local runs."""

    text: str
    path: Path | None = None
    host: str | None = None  # of a URL
    entity: str | None = None
    project: str | None = None
    selector: str | None = None  # a run, sweep or group that the target itself names


def parse_target(text: str) -> Target:
    """Return what a positional target means.

    Raises:
        UsageError: it has none of the forms that a target can have.
        NotFoundError: it can only be a path, and there is none.
    """
    stripped = text.strip()
    if not stripped:
        raise UsageError(
            "The target is blank.", "Give entity/project, a W&B URL, or the path of a wandb folder or .wandb file."
        )
    if "://" in stripped:
        return _parse_url(stripped)
    path = expanded(stripped)
    if _exists(path):
        return Target(text=stripped, path=path)
    if stripped.startswith((".", "/", "~")) or stripped.endswith(".wandb") or stripped.count("/") > 2:
        raise NotFoundError(f"There is no {stripped}.", nearest_path(path))
    parts = stripped.split("/")
    if any(not part.strip() for part in parts):
        raise UsageError(f"{stripped!r} is neither entity/project nor a path that exists.")
    if len(parts) == 1:
        return Target(text=stripped, project=parts[0])
    return Target(text=stripped, entity=parts[0], project=parts[1], selector=parts[2] if len(parts) == 3 else None)


def home() -> Path:
    """Return the user's home folder; one that nothing can be in for a user who has none."""
    try:
        return Path.home()
    except RuntimeError:
        return Path("/nonexistent")


def expanded(text: str) -> Path:
    """Return the path that a text names, `~` being the home folder; of a user who has none it is a name like any."""
    try:
        return Path(text).expanduser()
    except (RuntimeError, ValueError):  # ~nobody, a NUL byte behind it
        return Path(text)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, a NUL byte
        return False


def nearest_path(path: Path) -> str:
    """Return a hint on what there is instead of `path`."""
    folder = path.parent
    try:
        names = [p.name for p in folder.iterdir()]
    except (OSError, ValueError):
        return f"The folder {folder} does not exist either."
    near = did_you_mean(path.name, sorted(names), "file")
    return f"In {folder}: {near}" if names else f"The folder {folder} is empty."


def _parse_url(text: str) -> Target:
    try:
        url = urlsplit(text)
        host = url.netloc.rpartition("@")[2]
    except ValueError as error:
        raise UsageError(f"{text!r} is no URL: {error}") from error
    parts = [unquote(part) for part in url.path.split("/") if part]
    if host in _PREFIXED and parts[:1] == ["wandb"]:
        parts = parts[1:]
    if url.scheme not in ("http", "https") or not host or len(parts) < 2:
        raise UsageError(f"{text!r} is no W&B URL.", "Expected https://wandb.ai/<entity>/<project>[/runs/<run id>].")
    selector = None
    if len(parts) >= 4 and parts[2] in _URL_PARTS:
        kind = _URL_PARTS[parts[2]]
        selector = parts[3] if kind == "run" else f"{kind}:{parts[3]}"
    return Target(text=text, host=f"{url.scheme}://{host}", entity=parts[0], project=parts[1], selector=selector)


def split_names(text: str) -> list[str]:
    """Return the parts of a comma-separated list as they stand; ``\\,`` is a comma that belongs to a name.

    Blanks around a part are kept: they may belong to a name, too. `settle_names` decides once the names are known.
    """
    return [part.replace("\\,", ",") for part in _COMMA.split(text)]


def settle_names(parts: Sequence[str], known: Collection[str]) -> list[str]:
    """Return what the parts of a list mean where these names are known, names and globs, without repeats.

    An exact name wins over everything: over a split (``f1(micro,macro)``), over stripped blanks (``loss ``).
    """
    settled: dict[str, None] = {}
    at = 0
    while at < len(parts):
        longest = next((to for to in range(len(parts), at, -1) if ",".join(parts[at:to]) in known), None)
        if longest is not None:
            settled[",".join(parts[at:longest])] = None
            at = longest
            continue
        settled[parts[at].strip()] = None
        at += 1
    return list(settled)


def means(patterns: Iterable[str], name: str) -> bool:
    """Tell whether a name is one of those asked for, or matches a glob among them."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def plain_names(parts: Sequence[str]) -> bool:
    """Tell whether a list means the same whatever names there are: no glob, no blank, no bracket in it."""
    return not any(_ODD.search(part) for part in parts)


def select_runs(selectors: Iterable[str], runs: Sequence[Run]) -> list[Run]:
    """Return the runs that the selectors mean, in the order of the selectors and without repeats.

    An exact id wins over an exact display name, that over a comma-separated list, that over a glob.

    Raises:
        NotFoundError: a selector matches nothing.
        UsageError: a selector is blank, or a display name that several runs share.
    """
    chosen: dict[int, Run] = {}
    for selector in selectors:
        for run in _select(selector.strip(), runs):
            chosen.setdefault(id(run), run)
    return list(chosen.values())


def newest_first(runs: Iterable[Run]) -> list[Run]:
    """Return the runs by start, the most recent first (``latest`` is the first of these)."""
    return sorted(runs, key=lambda run: (run.created_at or _EPOCH, run.id), reverse=True)


def _select(selector: str, runs: Sequence[Run]) -> list[Run]:
    if not selector:
        raise UsageError(
            "A run selector is blank.", "Give a run id, a display name, latest, latest:N, tag:x, group:x or sweep:x."
        )
    exact = _by_name(selector, runs)
    if exact:
        return exact
    if "," in selector:
        return select_runs(selector.split(","), runs)
    word, colon, rest = selector.partition(":")
    if word == "latest" and (not colon or rest):
        return _latest(rest if colon else "1", runs)
    if colon and word in _ATTRIBUTES:
        matching = [run for run in runs if rest in _attribute(run, word)]
        if not matching:
            present = sorted({value for run in runs for value in _attribute(run, word)})
            raise NotFoundError(f"No run has the {word} {rest!r}.", did_you_mean(rest, present, word))
        return newest_first(matching)
    if any(char in selector for char in "*?["):
        matching = [run for run in runs if fnmatchcase(run.name, selector) or fnmatchcase(run.id, selector)]
        if matching:
            return newest_first(matching)
    names = [run.name for run in newest_first(runs)]
    hint = did_you_mean(selector, names, "run", also=[run.id for run in runs])
    raise NotFoundError(f"No run is called {selector!r}.", hint)


_ATTRIBUTES = ("tag", "group", "sweep")


def _attribute(run: Run, word: str) -> tuple[str, ...]:
    if word == "tag":
        return run.tags
    value = run.group if word == "group" else run.sweep
    return (value,) if value else ()


def _by_name(name: str, runs: Sequence[Run]) -> list[Run]:
    by_id = [run for run in runs if run.id == name]
    found = by_id or [run for run in runs if run.name == name]
    if len(found) > 1:
        where = {(run.entity, run.project) for run in found}
        lines = [
            f"  {'/'.join(filter(None, (run.project, run.id))) if by_id else run.id}  {run.state}  "
            f"{run.created_at:%Y-%m-%d %H:%M} UTC"
            if run.created_at
            else f"  {run.id}  {run.state}"
            for run in newest_first(found)
        ]
        what = "run ids" if by_id else "display names"
        advice = "Name a narrower path or project." if by_id and len(where) > 1 else "Give the run id instead."
        raise UsageError(
            f"{len(found)} runs share the {what[:-1]} {name!r}.", f"{advice} Candidates:\n" + "\n".join(lines)
        )
    return found


def _latest(count: str, runs: Sequence[Run]) -> list[Run]:
    if not count.isdecimal() or int(count) == 0:
        raise UsageError(
            f"latest:{count} asks for no number of runs.", "Write latest, or latest:N with N of 1 or more."
        )
    if not runs:
        raise NotFoundError("There is no run here, so there is no latest one.")
    return newest_first(runs)[: int(count)]
