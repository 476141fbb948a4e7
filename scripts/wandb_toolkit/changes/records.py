"""What a run recorded of itself that could have changed: config, command, code, artifacts, packages, machine."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from wandb_toolkit.configs import flatten, is_seed, tells_nothing
from wandb_toolkit.details.read import DIFF, Details, details_of
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.base import Source
from wandb_toolkit.sources.threads import gather

CONFIG, COMMAND, CODE, ARTIFACTS, PACKAGES, MACHINE, SEED, PLACE = PARTS = (
    "config", "command", "code", "artifact", "package", "machine", "seed", "place",
)  # fmt: skip
_MACHINE = {
    "os": "operating system", "python": "Python", "host": "host", "gpu": "GPU", "gpu_count": "GPUs",
    "cudaVersion": "CUDA", "driver": "driver", "cpu_count": "CPU cores",
}  # fmt: skip
_MOST_PATCH = 2_000_000  # bytes of uncommitted changes that are compared
_AT_ONCE = 8


@dataclass(frozen=True)
class Entries:
    """A run's record: (part, key) → value, keys and passwords masked; and what it does not say."""

    run: Run
    values: Mapping[tuple[str, str], Any]
    lacks: tuple[str, ...]


def read_records(source: Source, runs: Sequence[Run]) -> list[Entries]:
    """Return each run's record; what cannot be read counts as not recorded."""
    calls = [partial(_read, source, run) for run in runs]
    found = gather(calls, _AT_ONCE if source.kind == "api" else 1)
    return [
        Entries(run, {}, ("its record could not be read",)) if isinstance(one, ToolkitError) else one
        for run, one in zip(runs, found, strict=True)
    ]


def _read(source: Source, run: Run) -> Entries:
    details = details_of(source, run, 0)
    values: dict[tuple[str, str], Any] = {}
    for key, value in flatten(details.config).items():
        if value is not None:
            part = SEED if is_seed(key) else PLACE if tells_nothing(key, value) else CONFIG
            values[part, key] = value
    values |= {(PACKAGES, name): version for name, version in details.packages.items()}
    found = details.environment
    values |= {(MACHINE, said): found[key] for key, said in _MACHINE.items() if found.get(key) is not None}
    if details.command:
        values[COMMAND, "command line"] = details.command
    if details.git.get("commit"):
        values[CODE, "git commit"] = details.git["commit"]
    patch = _patch(source, details)
    if patch:
        values[CODE, "uncommitted changes"] = patch
    used = _used(source, run)
    values |= used
    lacks = [
        what
        for what, there in {
            "a config": bool(details.config),
            "a command line": bool(details.command),
            "a git commit": bool(details.git.get("commit")),
            "the artifacts it used": bool(used),
            "packages": bool(details.packages),
            "the machine": any(found.get(key) is not None for key in _MACHINE),
        }.items()
        if not there
    ]
    return Entries(run, values, tuple(lacks))


def _used(source: Source, run: Run) -> dict[tuple[str, str], Any]:
    """Return the versions of the datasets, models and other artifacts that a run used."""
    try:
        found = source.used_artifacts(run)
    except ToolkitError:
        return {}
    versions: dict[tuple[str, str], Any] = {}
    for one in found:
        name, _, version = one.name.rpartition(":")
        versions[ARTIFACTS, f"{one.kind} {name or one.name}".strip()] = version if name else "used"
    return versions


def _patch(source: Source, details: Details) -> str:
    """Return what tells a patch apart, "none" where the run was in a repository without one, "" where nobody knows."""
    saved = next((file for file in details.files if file.name == DIFF or file.name.endswith(f"/{DIFF}")), None)
    if saved is None:
        return "none" if details.dirty is False else ""
    if saved.size > _MOST_PATCH:
        return f"{saved.size:,} bytes"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "patch")
        try:
            source.fetch(saved, place)
        except ToolkitError:
            return ""
        content = place.read_bytes()
    lines = content.count(b"\n")
    return f"{lines} lines of a patch ({hashlib.sha256(content).hexdigest()[:8]})"
