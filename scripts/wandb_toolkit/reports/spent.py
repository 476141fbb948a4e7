"""What runs cost: GPU hours, from the hardware that they logged and the time that they ran."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wandb_toolkit import configs
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import ConfigurationSpent, History, Run, RunSpent, Spent
from wandb_toolkit.reports.build import Built
from wandb_toolkit.sources.base import Source
from wandb_toolkit.text import clean, plural, short_names

_USE = re.compile(r"system\.gpu\.(\d+)\.gpu$")
_LOADED = 1.0  # percent of a GPU's memory: below, the run has nothing on it
_HOUR = 3600.0


def with_spent(source: Source, built: Built) -> Built:
    """Return the report with what its runs cost. From a server no more is read for it than the report has."""
    runs = [one.run for one in built.report.runs]
    histories = [one.history for one in built.readings]
    return replace(built, report=replace(built.report, spent=spent_of(runs, histories, _environments(source, runs))))


def _environments(source: Source, runs: Sequence[Run]) -> list[Mapping[str, Any]]:
    if source.kind != "local":  # on a server it would be two requests for each run
        return [{} for _ in runs]
    found: list[Mapping[str, Any]] = []
    for run in runs:
        try:
            found.append(source.environment(run))
        except ToolkitError:
            found.append({})
    return found


def spent_of(runs: Sequence[Run], histories: Sequence[History], environments: Sequence[Mapping[str, Any]]) -> Spent:
    """Return what the runs cost; `environments` are named as in wandb-metadata.json, {} where unknown."""
    names = short_names(runs)
    parts = zip(runs, names, histories, environments, strict=True)
    costs = [_run(run, name, history, environment) for run, name, history, environment in parts]
    together: dict[object, list[int]] = {}
    same = configs.configurations_of([(run.config, run.name) for run in runs])
    for at, (run, name) in enumerate(zip(runs, same, strict=True)):
        together.setdefault((run.entity, run.project, name) if name is not None else at, []).append(at)
    known = [one.gpu_hours for one in costs if one.gpu_hours is not None]
    whole = math.fsum(known) if known else None
    made = [_configuration([costs[at] for at in places], whole) for places in together.values()]
    made.sort(key=lambda one: (-(one.gpu_hours or 0.0), -one.hours))
    return Spent(tuple(costs), tuple(made), whole, math.fsum(one.hours or 0.0 for one in costs), _note(costs))


def _run(run: Run, name: str, history: History, environment: Mapping[str, Any]) -> RunSpent:
    duration = run.duration
    hours = duration / _HOUR if duration is not None and math.isfinite(duration) and duration >= 0 else None
    machine, gpu = _machine(history, environment)
    used = _used(history, machine) if machine else machine
    spent = None if hours is None or used is None else hours * used
    return RunSpent(run.id, name, run.state, hours, used, machine, gpu, spent)


def _machine(history: History, environment: Mapping[str, Any]) -> tuple[int | None, str]:
    """Return how many GPUs the run's machine has (None: nothing says it) and what they are called."""
    gpu, count, listed = (environment.get(key) for key in ("gpu", "gpu_count", "gpu_nvidia"))
    name = clean(gpu, 60) if isinstance(gpu, str) else ""
    if isinstance(count, int) and not isinstance(count, bool) and count > 0:
        return count, name
    if isinstance(listed, list) and listed:
        return len(listed), name
    if name:
        return 1, name
    sampled = {match[1] for key in history if (match := _USE.match(key))}
    if sampled:
        return len(sampled), name
    # Metadata without a GPU says that there is none; so do samples of the machine without one.
    none = bool(environment) or any(key.startswith("system.") for key in history)
    return (0 if none else None), name


def _used(history: History, machine: int) -> int:
    """Return how many of the machine's GPUs the run had memory on, all of them where the samples do not tell."""
    numbers = sorted({match[1] for key in history if (match := _USE.match(key))})
    memory = [history.get(f"system.gpu.{number}.memoryAllocated") for number in numbers]
    if len(numbers) < machine or any(series is None or not len(series) for series in memory):
        return machine
    peaks = [max((v for v in s.value.tolist() if math.isfinite(v)), default=0.0) for s in memory if s is not None]
    loaded = sum(peak >= _LOADED for peak in peaks)
    return loaded if 0 < loaded <= machine else machine


def _configuration(costs: Sequence[RunSpent], whole: float | None) -> ConfigurationSpent:
    known = [one.gpu_hours for one in costs if one.gpu_hours is not None]
    gpu_hours = math.fsum(known) if known else None
    share = gpu_hours / whole if gpu_hours is not None and whole else None
    return ConfigurationSpent(
        tuple(one.run for one in costs),
        tuple(one.name for one in costs),
        math.fsum(one.hours or 0.0 for one in costs),
        gpu_hours,
        share,
    )


def _note(costs: Sequence[RunSpent]) -> str:
    """Return what the sum leaves out."""
    unknown = sum(one.gpus is None for one in costs)
    timeless = sum(one.hours is None for one in costs)
    parts = [f"nothing says which GPUs {plural(unknown, 'run')} had"] if unknown else []
    parts += [f"{plural(timeless, 'run')} logged no run time"] if timeless else []
    return "; ".join(parts)
