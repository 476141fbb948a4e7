"""What a command reads at most: bounds against harm and mistakes, each with the setting that moves it.

Each is read where it applies, so that workers and Python users have it from the environment, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from wandb_toolkit.errors import UsageError, did_you_mean

_SUFFIXES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3}


@dataclass(frozen=True)
class Limit:
    """One bound: its name in `--max NAME=N`, its default, and what it counts."""

    name: str
    default: int
    counts: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return f"WANDB_TOOLKIT_MAX_{self.name.upper().replace('-', '_')}"


LIMITS = {
    limit.name: limit
    for limit in (
        Limit("metrics", 100_000, "metrics and summary keys of one log or run; those that come later are left out"),
        Limit("json-values", 4_000_000, "values of one JSON document, commas in its texts counted"),
        Limit("answer-bytes", 256 * 1024**2, "bytes of one answer of a server, decompressed"),
        Limit("export-values", 250_000_000, "values of one exported history, eight bytes each"),
        Limit("unknown-bytes", 100_000_000, "bytes of a file whose size the server does not list"),
        Limit("download-bytes", 20_000_000_000, "bytes of all files that one `download_plots` fetches"),
        Limit("image-pixels", 400_000_000, "pixels that a downloaded image may claim"),
        Limit("sheet-pixels", 40_000_000, "pixels of one image on a contact sheet, four bytes each"),
    )
}


def most(name: str) -> int:
    """Return a limit as it is set now.

    Raises:
        UsageError: its variable holds no number.
    """
    limit = LIMITS[name]
    text = os.environ.get(limit.variable, "")
    return number(text, limit.variable) if text.strip() else limit.default


def number(text: str, what: str) -> int:
    """Return what "250000", "250k", "40M" or "2G" means.

    Raises:
        UsageError: it is no whole number of 1 or more.
    """
    match = re.fullmatch(r"\s*(\d{1,15})([kmg]?)\s*", text.lower(), re.ASCII)
    value = int(match[1]) * _SUFFIXES[match[2]] if match else 0
    if value < 1:
        raise UsageError(f"{what} is {text!r}, not a whole number of 1 or more.", "Write 250000, 250k, 40M or 2G.")
    return value


def raised_by(name: str) -> str:
    """Return how to raise a limit, for a message."""
    return f"--max {name}=N or {LIMITS[name].variable} raises the limit"


@contextmanager
def chosen(settings: Sequence[str]) -> Iterator[None]:
    """Set limits from ``NAME=N`` texts while the block runs.

    Raises:
        UsageError: there is no such limit, or no number.
    """
    before: dict[str, str | None] = {}
    try:
        for setting in settings:
            name, equals, text = setting.partition("=")
            if name not in LIMITS:
                raise UsageError(f"There is no limit {name!r}.", did_you_mean(name, LIMITS, "limit"))
            if not equals:
                raise UsageError(f"--max {name} has no number.", f"For example: --max {name}={LIMITS[name].default}")
            variable = LIMITS[name].variable
            before.setdefault(variable, os.environ.get(variable))
            os.environ[variable] = str(number(text, f"--max {name}"))
        yield
    finally:
        for variable, old in before.items():
            if old is None:
                os.environ.pop(variable, None)
            else:
                os.environ[variable] = old
