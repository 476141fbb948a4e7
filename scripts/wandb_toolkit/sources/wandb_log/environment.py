"""The EnvironmentRecord and the git part of run records: the names that wandb-metadata.json gives the same facts."""

from __future__ import annotations

from typing import Any

from wandb_toolkit.sources.wandb_log.records import text
from wandb_toolkit.sources.wandb_log.wire import WireError, fields

_TEXT = {1: "os", 2: "python", 4: "docker", 6: "program", 7: "codePath", 11: "root", 12: "host", 14: "executable",
         18: "gpu", 25: "cudaVersion"}  # fmt: skip
_NUMBER = {16: "cpu_count", 17: "cpu_count_logical", 19: "gpu_count"}
_GPU = {1: "name", 4: "architecture"}


def environment_of(data: bytes, start: int, end: int) -> dict[str, Any]:
    """Return what an EnvironmentRecord says of program, code and machine; {} where it is damaged."""
    found: dict[str, Any] = {}
    try:
        for number, value in fields(data, start, end):
            if number in _TEXT and isinstance(value, bytes):
                found[_TEXT[number]] = text(value)
            elif number in _NUMBER and isinstance(value, int):
                found[_NUMBER[number]] = value
            elif number == 5 and isinstance(value, bytes):
                found.setdefault("args", []).append(text(value))
            elif number == 9 and isinstance(value, bytes):
                found["git"] = git_of(value)
            elif number == 21 and isinstance(value, bytes):
                total = dict(fields(value)).get(1)
                found["memory"] = {"total": total} if isinstance(total, int) else {}
            elif number == 24 and isinstance(value, bytes):
                found.setdefault("gpu_nvidia", []).append(_gpu(value))
    except WireError:
        return {}
    return found


def git_of(data: bytes) -> dict[str, str]:
    """Return remote and commit of a GitRepoRecord."""
    parts = {number: text(value) for number, value in fields(data) if isinstance(value, bytes)}
    return {name: parts[number] for number, name in ((1, "remote"), (2, "commit")) if parts.get(number)}


def _gpu(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for number, value in fields(data):
        if number in _GPU and isinstance(value, bytes):
            found[_GPU[number]] = text(value)
        elif number == 2 and isinstance(value, int):
            found["memoryTotal"] = value
    return found
