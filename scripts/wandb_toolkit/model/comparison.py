"""Several runs side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from wandb_toolkit.model.runs import Cost, State


@dataclass(frozen=True)
class RankedRun:
    """A line of the comparison."""

    id: str
    name: str
    state: State
    verdict: str
    value: float | None  # the primary metric's final level
    best: float | None
    best_step: int | None
    steps: int | None
    duration: float | None
    config: Mapping[str, Any] = field(default_factory=dict)  # only the keys that differ between the runs
    marks: tuple[str, ...] = ()  # why it is never called best: "crashed", "NaN", ...
    at: int = -1  # place in Report.runs: two projects may hold the same run id
    project: str | None = None
    same: Mapping[Cost, float] = field(default_factory=dict)  # the level at Comparison.common
    reached: Mapping[Cost, float] = field(default_factory=dict)  # what it took to reach the target; {}: not reached
    tokens: float | None = None  # seen by the end
    task: str | None = None  # what it learns, where the runs learn different tasks: it is ranked within that


@dataclass(frozen=True)
class SeedGroup:
    """Sound runs of one configuration: their configs differ in nothing but a seed."""

    runs: tuple[str, ...]  # run ids, the best first
    names: tuple[str, ...]
    mean: float  # of the primary metric's final levels
    std: float  # sample standard deviation


@dataclass(frozen=True)
class Standing:
    """A configuration in the comparison: its sound runs that ended, whatever their seed. The intervals are 95%."""

    runs: tuple[str, ...]  # run ids, the best first
    names: tuple[str, ...]
    at: tuple[int, ...]  # places in Report.runs
    value: float  # of the primary metric's final levels: their IQM, their mean, or the only one
    low: float | None  # None: no configuration has two seeds to judge by
    high: float | None
    how: str  # "IQM, bootstrap", "mean, Student's t", "one run, Student's t", "one run"
    gap: float | None = None  # how much better the first configuration is; None: this is the first
    gap_low: float | None = None
    gap_high: float | None = None
    apart: bool | None = None  # whether that is more than chance; None: this is the first, or nobody can tell
    seconds: float | None = None  # mean duration
    tokens: float | None = None
    steps: float | None = None
    front: tuple[Cost, ...] = ()  # no other configuration is as good for less of these
    task: str | None = None  # what it learns, where the runs learn different tasks: it stands beside those of its task


@dataclass(frozen=True)
class CommonPoint:
    """Where all compared runs have spent the same."""

    cost: Cost
    amount: float  # steps, seconds or tokens
    left_out: tuple[int, ...] = ()  # places in Report.runs of the sound runs that ended far sooner
    note: str = ""  # who leads there, and what that proves
    telling: bool = False  # another one leads there than in the end, or the runs went on for very unequal lengths


@dataclass(frozen=True)
class Goal:
    """A level of the primary metric, and what it took to get there (RankedRun.reached)."""

    value: float
    why: str  # "given by you", or how it was chosen
    note: str = ""  # who was there first


@dataclass(frozen=True)
class Signal:
    """How a setting goes with the result, over configurations: attribution, not proof."""

    key: str
    strength: float  # Spearman's rho with the quality (positive: more is better); for categories eta, 0 to 1
    p: float  # by permutation, corrected for the number of settings looked at (Holm)
    count: int  # configurations that have the setting
    values: int  # different values among them
    kind: Literal["order", "category"]
    also: tuple[str, ...] = ()  # settings that took the same course, so that nothing tells them apart
    importance: float | None = None  # drop of the model's R² when the setting is shuffled; None: no model
    best: str = ""  # of categories: the value with the best median


@dataclass(frozen=True)
class Signals:
    """What goes with the result over many runs."""

    signals: tuple[Signal, ...] = ()  # the surest first
    refused: str = ""  # why there are none
    count: int = 0  # configurations looked at
    model: str = ""  # what the importances rest on, or why there are none


@dataclass(frozen=True)
class TaskScale:
    """A task, and the levels of the primary metric that count as 0 and 1 on it."""

    task: str  # values of the config keys that tell tasks apart
    zero: float  # where its runs start (median), or the worst configuration's median, whichever is worse
    one: float  # the best configuration's median


@dataclass(frozen=True)
class Aggregate:
    """A configuration over all tasks, in normalised levels. The intervals are 95%, None with a single seed."""

    label: str  # the settings that tell it apart
    runs: tuple[str, ...]
    at: tuple[int, ...]  # places in Report.runs
    seeds: tuple[int, ...]  # of each task
    iqm: float
    low: float | None
    high: float | None
    gap: float | None  # how much higher the first one's IQM is; None: this is the first
    gap_low: float | None
    gap_high: float | None
    apart: bool | None  # whether that is more than chance; None: this is the first, or too few seeds
    beaten: float | None  # probability that a run of the first beats one of these on the same task
    beaten_low: float | None
    beaten_high: float | None
    profile: tuple[float, ...]  # share of runs above each of AcrossTasks.levels


@dataclass(frozen=True)
class AcrossTasks:
    """Configurations over the tasks that they share, the best first."""

    keys: tuple[str, ...]  # config keys that tell the tasks apart
    tasks: tuple[TaskScale, ...]
    configurations: tuple[Aggregate, ...]
    levels: tuple[float, ...]  # of the performance profiles
    note: str  # the lead in one sentence


@dataclass(frozen=True)
class Comparison:
    """Several runs by the primary metric, the best first; runs without it come last."""

    runs: tuple[RankedRun, ...]
    config_keys: tuple[str, ...] = ()  # config keys that differ
    best: str | None = None  # run id
    note: str = ""  # what the ranking does not tell (seeds, crashed runs, too few points)
    seed_groups: tuple[SeedGroup, ...] = ()
    lead: Literal["real", "unproven", "single"] | None = None  # of the best configuration; single: one seed of each
    best_at: int | None = None  # the best run's place in Report.runs; None where runs learn different tasks
    leaders: tuple[int, ...] = ()  # the places of the best run of each task, of the best one where there is one task
    configurations: tuple[Standing, ...] = ()  # the best first
    common: tuple[CommonPoint, ...] = ()
    target: Goal | None = None
    signals: Signals | None = None
    lead_text: str = ""  # the lead in one sentence
    across: AcrossTasks | None = None  # where configurations share several tasks
