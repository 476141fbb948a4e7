"""A whole report: what changed since a baseline, what stopping runs would have saved, where they are heading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from wandb_toolkit.model.comparison import Comparison
from wandb_toolkit.model.findings import Experiment, Primary, RunReport
from wandb_toolkit.model.runs import Direction, State


@dataclass(frozen=True)
class Difference:
    """An entry of the runs' records that is not the same in the good runs and the others."""

    part: str  # "config", "command", "code", "artifact", "package", "machine", "seed", "place"
    key: str
    good: tuple[Any, ...]  # the values in the good runs, each once; None: not recorded
    bad: tuple[Any, ...]


@dataclass(frozen=True)
class Suspect:
    """Entries of the runs' records that tell the others from the good ones."""

    keys: tuple[str, ...]  # "config learning_rate"
    how: Literal["alone", "both", "either"]  # of two: where both are so, or where either is
    holds: tuple[str, ...]  # in the runs that went wrong, of each key: "= 0.1"
    chance: float  # at most so likely that chance alone would leave such a suspect


@dataclass(frozen=True)
class Parting:
    """Where a metric of a run leaves those of the good runs."""

    run: str  # id
    name: str
    metric: str
    step: int  # on the training's own axis
    value: float  # its course where the comparison ends
    good: float  # the good runs' there
    times: float  # how many times their spread, or with one good run the scatter, it is away from then on
    runs: int  # good runs


@dataclass(frozen=True)
class Changes:
    """What could have made runs go wrong, beside runs that went well."""

    runs: tuple[str, ...]  # ids
    baseline: tuple[str, ...]
    differences: tuple[Difference, ...]  # what can explain it first
    suspects: tuple[Suspect, ...]  # the surest first; those as sure as the first belong together
    verdict: str  # one sentence
    deciding: str  # the one run that would tell; "": none would
    partings: tuple[Parting, ...]
    unrecorded: tuple[str, ...]  # sentences: what the records do not say
    worse: tuple[str, ...]  # sentences: how the runs' results compare with the baseline's


@dataclass(frozen=True)
class Policy:
    """What a way of stopping runs would have done."""

    name: str  # "ugly", "bad": as --fail-on; "median": Vizier's median stopping rule
    stopped: int  # runs
    steps_saved: int
    share_saved: float  # of all steps of all runs
    hours_saved: float  # of the runs' time
    gpu_hours_saved: float | None  # None: no stopped run recorded GPUs
    gpu_runs: int  # stopped runs that did; only these count
    wrongly: tuple[str, ...]  # names of those stopped that ended among the best third
    best_third: int  # runs


@dataclass(frozen=True)
class ReplayedRun:
    """When each policy would have stopped a run."""

    run: str  # id
    name: str
    steps: int
    stopped: Mapping[str, int | None]  # policy → step; None: not stopped
    best: bool = False  # it ended among the best third


@dataclass(frozen=True)
class FalseAlarm:
    """How often a diagnosis was made before a run's end, and how often it did not hold."""

    id: str
    fired: int  # runs
    gone: int  # of these, at whose end it was not found


@dataclass(frozen=True)
class Replay:
    """Ended runs as a watcher would have seen them."""

    policies: tuple[Policy, ...]
    runs: tuple[ReplayedRun, ...]
    changed: tuple[FalseAlarm, ...]
    prefixes: int  # looks at a run
    note: str
    figure: str | None = None  # the PNG that shows when runs would have been stopped (--figures)


@dataclass(frozen=True)
class RunForecast:
    """Where a running run is heading; levels are None where `why_not` says why."""

    run: str  # id
    name: str
    metric: str | None  # what it is judged by
    step: int  # where it is, on the training's own axis
    end: int | None  # the step at which it will stop; None: nothing says so
    end_from: str  # what says so
    silent: bool  # it has logged nothing for so long that it may have died: the forecast is what was to come
    level: float | None = None  # of the metric, where the run is
    value: float | None = None  # the final level that is as likely too high as too low
    low: float | None = None  # the ends of the band
    high: float | None = None
    method: str = ""  # "siblings": quantiles of their increments; "course": the run's own, bootstrapped power laws
    siblings: int = 0  # finished runs whose increments were taken
    seconds_left: float | None = None  # from its last row to its end; None: no clock, or no end
    finish: datetime | None = None  # when it will end, at that pace
    best: float | None = None  # the best final level of the finished runs of its task
    best_run: str | None = None  # that run's name
    chance: float | None = None  # that it will end better than that, 0.02 to 0.98
    why_not: str = ""


@dataclass(frozen=True)
class Forecast:
    """Where the running runs are heading."""

    runs: tuple[RunForecast, ...]
    coverage: float  # share of such bands that are to hold the final level
    note: str  # "": there is nothing to add


@dataclass(frozen=True)
class RunSpent:
    """What one run cost."""

    run: str  # id
    name: str
    state: State
    hours: float | None  # of run time; None: not known
    gpus: int | None  # that it had memory on, where samples tell, else those of its machine; None: nothing says it
    machine_gpus: int | None  # of its machine
    gpu: str  # what they are called; "": not known
    gpu_hours: float | None


@dataclass(frozen=True)
class ConfigurationSpent:
    """What all runs of one configuration cost, whatever their seeds and however they ended."""

    runs: tuple[str, ...]  # ids
    names: tuple[str, ...]
    hours: float
    gpu_hours: float | None
    share: float | None  # of all GPU hours


@dataclass(frozen=True)
class Spent:
    """What the runs cost."""

    runs: tuple[RunSpent, ...]
    configurations: tuple[ConfigurationSpent, ...]  # the dearest first
    gpu_hours: float | None  # in all; None: no run's are known
    hours: float  # of run time
    note: str  # what is not counted; "": nothing


@dataclass(frozen=True)
class Lens:
    """One line on a role of reinforcement learning: where it started, where it ended, and what to think of it."""

    role: str
    metric: str
    start: float | None  # of the best run; the median over all where that one does not log it
    end: float | None
    text: str  # what else there is to say
    run: str | None = None  # display name of the run that start and end are of; None: the only one, or the median


@dataclass(frozen=True)
class SummaryRank:
    """A run's place by its summary's value."""

    id: str
    name: str
    value: float


@dataclass(frozen=True)
class SummaryRanking:
    """All runs that match, ranked by a value of their summaries, where not all of them were read."""

    metric: str
    direction: Direction
    ranked: int  # runs whose summary has the metric
    best: tuple[SummaryRank, ...]  # the first few, the best first
    read_as_best: int  # of the runs that were read, how many because they lead this ranking; the others are the newest


@dataclass(frozen=True)
class Report:
    """All that `wandb_report` says; the renderers only write it down."""

    verdict: Literal["good", "bad", "ugly", "unknown"]
    source: str  # where the runs were read: "local" or "api"
    target: str
    primary: Primary | None
    roles: Mapping[str, str]  # role → the metric most runs use for it
    runs: tuple[RunReport, ...]
    good: tuple[str, ...]  # sentences
    bad: tuple[str, ...]
    ugly: tuple[str, ...]
    comparison: Comparison | None
    next_experiments: tuple[Experiment, ...]
    errors: tuple[Mapping[str, str], ...]  # runs that could not be read: {"run" (id), "name", "message"}
    generated_at: datetime
    tool_version: str
    notes: tuple[str, ...] = ()  # sentences: what is worth knowing and no fault
    lens: tuple[Lens, ...] = ()
    left_out: int = 0  # runs of the target that were not read, because of --max-runs
    by_summary: SummaryRanking | None = None  # of all runs of the target, where some were left out
    command: str = ""  # what makes this report again
    metrics: tuple[str, ...] = ()  # numeric metrics that the runs logged, the most common first, at most 100
    window: int | None = None  # only the last so many rows of each run were looked at
    as_of: bool = False  # `generated_at` is not when the report was made but what was taken for now
    changes: Changes | None = None  # beside runs that went well (--baseline)
    replay: Replay | None = None  # when its runs could have been stopped (--replay)
    forecast: Forecast | None = None  # where its running runs are heading (--forecast)
    spent: Spent | None = None  # None: was not looked at
