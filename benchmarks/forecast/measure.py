"""Cuts of ended runs, what was forecast of each, and what came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from benchmarks.diagnoses.project import make_project
from benchmarks.diagnoses.source import MemorySource

from wandb_toolkit import roles, stats
from wandb_toolkit.forecast.forecast import final_level, forecast_of
from wandb_toolkit.forecast.plan import End, last_step
from wandb_toolkit.model import Primary
from wandb_toolkit.replay.prefix import Past
from wandb_toolkit.reports import read
from wandb_toolkit.reports.read import Reading
from wandb_toolkit.sources import RunQuery, open_source
from wandb_toolkit.sources.base import Histories

PARTS = (0.25, 0.5, 0.75)
LEAST = 8  # points of the primary metric in a whole run


@dataclass(frozen=True)
class Outcome:
    """A forecast and what came. Levels are parts of the range that the run's curve covered."""

    part: float  # of the run's steps, where it was cut
    method: str  # "siblings", "course", "alone" (the course, for a run with siblings too), "none": no forecast
    inside: bool = False
    width: float = float("nan")
    chance: float | None = None  # to end better than the best of the others
    beat: bool = False  # whether it did
    end: float | None = None  # the step foreseen to be the last, over the one that was
    time: float | None = None  # seconds foreseen to be left, over those that were


def of_generated(first: int, projects: int) -> Iterator[Outcome]:
    """Yield the outcomes of generated projects; each seed from `first` on is one."""
    for seed in range(first, first + projects):
        source = MemorySource(make_project(seed))
        yield from outcomes(*_read(source, source.all))


def of_folder(folder: Path) -> Iterator[Outcome]:
    """Yield the outcomes of the local runs below a folder, project by project."""
    source, _ = open_source(str(folder), "local")
    projects: dict[tuple[str | None, str | None], list[int]] = {}
    runs = source.runs(RunQuery())
    for at, run in enumerate(runs):
        projects.setdefault((run.entity, run.project), []).append(at)
    for places in projects.values():
        yield from outcomes(*_read(source, [runs[at] for at in places]))


def _read(source: Histories, runs: Sequence[object]) -> tuple[list[Reading], list[Primary | None]]:
    """Return the readings and what each run is judged by, as a report chooses it."""
    loaded = source.loaded(runs)  # type: ignore[arg-type]
    readings, _ = read.read_runs(source, loaded, {}, None, lambda _: None)
    chosen = roles.choose_primary([one.names for one in readings], None, None)
    if chosen:
        readings = read.fill(source, readings, chosen.metric)
    own = [
        chosen if chosen and chosen.metric in one.names else roles.choose_primary([one.names], None, None)
        for one in readings
    ]
    return readings, own


def outcomes(readings: Sequence[Reading], primaries: Sequence[Primary | None]) -> Iterator[Outcome]:
    """Yield what was forecast of each finished run at each cut, and what came of it."""
    for own, primary in zip(readings, primaries, strict=True):
        series = own.history.get(primary.metric) if primary else None
        if own.run.state != "finished" or series is None or primary is None or len(series) < LEAST:
            continue
        end = stats.edges(series.value)[1]
        kept = series.value[np.isfinite(series.value)]
        if not np.isfinite(end):
            continue
        span = float(np.ptp(kept)) or 1.0
        past, last = Past(own.run, own.history), last_step(own.history)
        for part in PARTS:
            step = part * last
            cut = replace(own, run=past.running(step), history=past.until(step))
            beside = [one if one is not own else cut for one in readings]
            found = forecast_of(cut, beside, primary)
            ends = found.end / last if found.end is not None else None
            sign = 1 if primary.direction == "max" else -1
            time = None
            if found.seconds_left is not None:
                came = past.seconds_at(last) - past.seconds_at(last_step(cut.history))
                time = found.seconds_left / came if came > 0 else None
            if found.value is None or found.low is None or found.high is None:
                yield Outcome(part, "none", end=ends, time=time)
            else:
                beat = found.best is not None and sign * (end - found.best) > 0
                inside = found.low <= end <= found.high
                yield Outcome(
                    part, found.method, inside, (found.high - found.low) / span, found.chance, beat, ends, time
                )
            prefix = cut.history.get(primary.metric)
            alone = final_level(prefix, step, End(last, ""), [], primary) if prefix is not None else ""
            if not isinstance(alone, str):
                yield Outcome(part, "alone", alone.low <= end <= alone.high, (alone.high - alone.low) / span)
