"""Other tools from PyPI that judge the log of a training, each through its own command on a CSV file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

SECONDS = 120.0  # that one file may take

Said: TypeAlias = tuple[str, bool, "int | None"]  # a check, whether it warns or only informs, the step that it names


class NotInstalledError(Exception):
    """The interpreter that was named does not have the tool."""


def _runmedic(document: Any) -> Iterator[Said]:
    for run in document:
        for finding in run["findings"]:
            yield finding["check"], finding["severity"] != "info", _step(finding["step"])


def _trainproof(document: Any) -> Iterator[Said]:
    for report in document["reports"]:
        for finding in report["findings"]:
            if finding["level"] in ("FAIL", "WARN"):
                yield finding["id"], True, None  # steps stand in its sentences only


def _trainspotter(document: Any) -> Iterator[Said]:
    for finding in document["findings"]:
        yield finding["detector"], finding["severity"] != "info", _step(finding["step_start"])


def _step(value: float | None) -> int | None:
    return None if value is None else int(value)


# Tool → its command after ``python -m`` (FILE: the history), and what its JSON says.
PEERS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], Iterator[Said]]]] = {
    "runmedic": (("runmedic", "diagnose", "FILE", "--json"), _runmedic),
    "trainproof": (("trainproof", "epoch", "FILE", "--format", "csv", "--json"), _trainproof),
    "trainspotter": (("trainspotter.cli", "analyze", "FILE", "--format", "csv", "--output", "json"), _trainspotter),
}


def ask(name: str, python: str, file: Path) -> list[Said]:
    """Return what a tool that is installed for `python` says of a history.

    Raises:
        NotInstalledError: the tool is not installed there.
        ValueError: it did not judge this history; the message has the end of what it printed.
    """
    words, read = PEERS[name]
    command = [python, "-m", *(str(file) if word == "FILE" else word for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    if "No module named" in done.stderr:
        raise NotInstalledError(f"{name} is not installed for {python}: {done.stderr.strip().splitlines()[-1]}")
    try:
        return list(read(json.loads(done.stdout)))
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: {(done.stderr or done.stdout).strip()[-160:]}") from error
