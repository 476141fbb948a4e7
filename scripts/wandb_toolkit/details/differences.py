"""How two runs differ, their curves aside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wandb_toolkit import configs
from wandb_toolkit.details.read import Details

_MACHINE = ("os", "python", "host", "cpu_count", "gpu", "gpu_count", "cudaVersion", "memory")


def differences(first: Details, second: Details) -> dict[str, dict[str, list[Any]]]:
    """Return part → key → [first's value, second's]; None where one has none. Parts without a difference are empty."""
    return {
        "config": configs.differences([first.config, second.config]),
        "code": _apart(_code(first), _code(second)),
        "packages": _apart(first.packages, second.packages) if first.packages and second.packages else {},
        "machine": _apart(_machine(first), _machine(second)),
        "run": _apart(_run(first), _run(second)),
    }


def _code(one: Details) -> dict[str, Any]:
    return {
        "command": one.command or None,
        "git commit": one.git.get("commit"),
        "git remote": one.git.get("remote"),
        "uncommitted changes": one.dirty,
    }


def _machine(one: Details) -> dict[str, Any]:
    return {key: one.environment.get(key) for key in _MACHINE}


def _run(one: Details) -> dict[str, Any]:
    run = one.run
    return {
        "state": run.state,
        "exit code": run.exit_code,
        "group": run.group,
        "job type": run.job_type,
        "sweep": run.sweep,
        "tags": sorted(run.tags),
        "last step": run.steps,
    }


def _apart(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, list[Any]]:
    keys = dict.fromkeys([*first, *second])
    return {key: [first.get(key), second.get(key)] for key in keys if first.get(key) != second.get(key)}
