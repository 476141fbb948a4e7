"""Errors that a command may end with: what was wrong, what there is instead, and the exit code."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from enum import IntEnum


class Exit(IntEnum):
    """Exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    AUTH = 3
    NOT_FOUND = 4
    SERVER = 5
    PARTIAL = 6
    UNJUDGED = 7
    INTERRUPTED = 130


class ToolkitError(Exception):
    """An expected failure. `message` says what was wrong, `hint` what to do or what there is instead."""

    exit_code: Exit = Exit.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    @property
    def type(self) -> str:
        """The name that `--json` errors carry, e.g. "not_found"."""
        return self.exit_code.name.lower()


class UsageError(ToolkitError):
    """The command line asks for something that cannot be meant."""

    exit_code = Exit.USAGE


class AuthError(ToolkitError):
    """No usable credentials for the server that was asked for."""

    exit_code = Exit.AUTH


class NotFoundError(ToolkitError):
    """A path, project, run or metric that does not exist."""

    exit_code = Exit.NOT_FOUND


class ServerError(ToolkitError):
    """The server or the network failed for good."""

    exit_code = Exit.SERVER


def one_line(name: str) -> str:
    """Return a stranger's name with its control characters visible, so that it stays within its line."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in name)


def nearest(wanted: str, available: Iterable[str], limit: int = 5) -> list[str]:
    """Return up to `limit` names most like `wanted`, the closest first.

    Names that contain `wanted` as a part (``loss`` in ``train/loss``) come before those that are merely spelt alike.
    """
    names = list(dict.fromkeys(available))
    needle = wanted.lower()
    inside = sorted((n for n in names if needle and needle in n.lower()), key=lambda n: (len(n), n))
    lowered = {n.lower(): n for n in names}
    tails = {n.rsplit("/", 1)[-1].lower(): n for n in reversed(names)}
    alike = [lowered[m] for m in get_close_matches(needle, lowered, n=limit, cutoff=0.6)]
    alike += [tails[m] for m in get_close_matches(needle.rsplit("/", 1)[-1], tails, n=limit, cutoff=0.7)]
    return list(dict.fromkeys([*inside, *alike]))[:limit]


def did_you_mean(wanted: str, available: Iterable[str], noun: str, also: Iterable[str] = ()) -> str:
    """Return a hint that names the nearest of what there is, or the first few when nothing is near.

    `also`: other names of the same things, which may be near but are not counted.
    """
    names = [one_line(name) for name in dict.fromkeys(available)]
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
    if not names:
        return f"There are no {plural} here."
    close = nearest(wanted, [*names, *map(one_line, also)])
    if close:
        return f"Nearest {plural}: {', '.join(close)}"
    shown = ", ".join(names[:8])
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"Available {plural}: {shown}{more}"
