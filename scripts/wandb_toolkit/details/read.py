"""One run's details, read from its source."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb_toolkit.details.secrets import mask_text, masked, masked_args
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run, RunFile
from wandb_toolkit.sources.base import Source, console_of

REQUIREMENTS, DIFF = "requirements.txt", "diff.patch"
MOST_BYTES = 2_000_000  # of a list of packages
_PERSONAL = ("email", "username")  # nobody asked who it was
_PACKAGE = re.compile(r"^([A-Za-z0-9][\w.-]*)\s*(?:===?|@)\s*(\S+)")


@dataclass(frozen=True)
class Details:
    """What there is to know of a run besides its points."""

    run: Run
    environment: Mapping[str, Any]  # as in wandb-metadata.json
    packages: Mapping[str, str]  # name → version
    files: tuple[RunFile, ...]
    console: tuple[str, ...]  # its last lines
    notes: tuple[str, ...] = field(default=())  # what could not be read

    @property
    def config(self) -> dict[str, Any]:
        """The run's config, keys and passwords in it masked."""
        return {key: masked(value, key) for key, value in self.run.config.items()}

    @property
    def summary(self) -> dict[str, Any]:
        """The run's summary, what looks like a key or a password in it masked."""
        return {key: masked(value, key) for key, value in self.run.summary.items()}

    @property
    def notes_of_run(self) -> str | None:
        """What somebody wrote of the run, keys in it masked."""
        return mask_text(self.run.notes) if self.run.notes else self.run.notes

    @property
    def git(self) -> Mapping[str, Any]:
        """Remote and commit, {} where the run was not in a repository."""
        found = self.environment.get("git")
        return found if isinstance(found, Mapping) else {}

    @property
    def dirty(self) -> bool | None:
        """Whether the working tree differed from the commit, as a saved patch shows; None where nothing was saved."""
        if any(file.name == DIFF for file in self.files):
            return True
        return False if self.git.get("commit") and any(file.name == REQUIREMENTS for file in self.files) else None

    @property
    def command(self) -> str:
        """The program and its arguments, "" where they were not recorded."""
        args = self.environment.get("args")
        program = self.environment.get("codePath") or self.environment.get("program")
        words = [program, *(args if isinstance(args, list) else [])]
        return " ".join(str(word) for word in words if word)


def details_of(source: Source, run: Run, console_lines: int) -> Details:
    """Return the run's details; what fails is left out, with a note."""
    notes: list[str] = []
    environment: Mapping[str, Any] = {}
    files: list[RunFile] = []
    console: list[str] = []
    try:
        environment = source.environment(run)
    except ToolkitError as error:
        notes.append(f"what it ran on could not be read: {error.message}")
    try:
        files = source.files(run)
    except ToolkitError as error:
        notes.append(f"its files could not be listed: {error.message}")
    if console_lines:
        try:
            console = console_of(source, run, console_lines)
        except ToolkitError as error:
            notes.append(f"its console could not be read: {error.message}")
    listed = next((file for file in files if file.name == REQUIREMENTS and file.size <= MOST_BYTES), None)
    packages = _packages(source, listed, notes) if listed else {}
    unique = {file.name: file for file in files}
    lines = tuple(map(mask_text, console))
    return Details(run, _safe(environment), packages, tuple(unique.values()), lines, tuple(notes))


def _safe(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a run recorded of its machine and command without who ran it, and without keys and passwords."""
    known = {key: masked(value, key) for key, value in environment.items() if key not in _PERSONAL}
    args = environment.get("args")
    if isinstance(args, list):
        known["args"] = masked_args([str(word) for word in args])
    return known


def _packages(source: Source, file: RunFile, notes: list[str]) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "packages")
        try:
            source.fetch(file, place)
            lines = place.read_text(encoding="utf-8", errors="replace").splitlines()
        except (ToolkitError, OSError) as error:
            notes.append(f"its packages could not be read: {error}")
            return {}
    found = (_PACKAGE.match(line.strip()) for line in lines)
    return {match[1]: match[2] for match in found if match}
