"""What passes between the layers: projects, runs, metrics, histories, findings and reports.

All are frozen. numpy is imported for types only, so that a listing starts without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[np.float64]

State = Literal["running", "finished", "crashed", "failed", "killed", "preempted", "pending"]
Severity = Literal["ugly", "bad", "note", "good"]  # a note is worth knowing and no fault
Direction = Literal["max", "min"]

Cost = Literal["step", "time", "tokens"]  # what a run spends: steps, seconds, tokens

MetricKind = Literal["number", "string", "image", "table", "histogram", "media", "object", "list", "null"]


@dataclass(frozen=True)
class Project:
    """A project as a source knows it."""

    name: str
    entity: str | None  # None: local runs that name no entity
    description: str | None = None
    created_at: datetime | None = None  # UTC; local: start of the oldest run
    url: str | None = None
    run_count: int | None = None
    last_activity: datetime | None = None  # UTC


@dataclass(frozen=True)
class Run:
    """One run, without its history.

    `config` and `summary` are nested as logged (media as their dicts); non-finite numbers are floats. A source may
    fetch `config`, `summary` and `step_metrics` when they are first looked at: `Source.loaded` and `Source.summaries`
    fetch them for many runs at a time.
    """

    id: str
    name: str  # display name; the id where the run has none
    entity: str | None
    project: str | None
    state: State
    created_at: datetime | None  # UTC start
    last_activity: datetime | None = None  # UTC: newest sign of life
    tags: tuple[str, ...] = ()
    group: str | None = None
    job_type: str | None = None
    sweep: str | None = None
    notes: str | None = None
    url: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] = field(default_factory=dict)
    step_metrics: Mapping[str, str] = field(default_factory=dict)  # metric or glob → the x axis that it defined
    duration: float | None = None  # seconds
    steps: int | None = None  # last `_step` logged; None: nothing logged
    rows: int | None = None  # history rows; None: unknown without reading it all
    exit_code: int | None = None
    forked_from: tuple[str, int] | None = None  # run id and step that the run was forked from
    paths: tuple[str, ...] = ()  # local run directories or bare logs, oldest first; () on a server
    warnings: tuple[str, ...] = ()  # what could not be read, in plain words

    @property
    def label(self) -> str:
        """Name and id together, as messages show them."""
        return self.name if self.name == self.id else f"{self.name} ({self.id})"


@dataclass(frozen=True, eq=False)
class Series:
    """The numeric points of one metric of one run, in the order of their x.

    A logged NaN or ±Inf is a value here; a row without the metric is no point at all.
    """

    name: str
    x: FloatArray  # (n,) `axis` units; strictly increasing on `_step`
    value: FloatArray  # (n,) booleans are 0/1
    axis: str = "_step"  # "_runtime" (seconds since the start) for system metrics
    total: int | None = None  # points logged, where `x` is a sample of them; None: complete

    def __len__(self) -> int:
        return len(self.x)

    @property
    def sampled(self) -> bool:
        """Whether points were left out."""
        return self.total is not None and self.total > len(self.x)


@dataclass(frozen=True, eq=False)
class History:
    """The series of one run by metric name. `kinds` names every requested key that exists, numeric or not."""

    series: Mapping[str, Series]
    kinds: Mapping[str, MetricKind] = field(default_factory=dict)
    rows: int = 0  # history rows of the run
    warnings: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Series:
        return self.series[name]

    def __contains__(self, name: object) -> bool:
        return name in self.series

    def __iter__(self) -> Iterator[str]:
        return iter(self.series)

    def get(self, name: str) -> Series | None:
        """Return the series of `name`, None where the run has no numeric point of it."""
        return self.series.get(name)


@dataclass(frozen=True)
class MetricInfo:
    """What `list_metrics` says of one metric. The statistics are None for metrics that are not numeric.

    min, max, mean and std (population) are over the finite values; first and last are as logged.
    """

    name: str
    kind: MetricKind
    count: int  # rows of the run
    non_null_count: int  # rows that hold the metric
    system: bool = False
    nonfinite_count: int | None = None  # NaN and ±Inf
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    first: float | None = None
    last: float | None = None
    min_step: int | None = None  # `_step` of the (first) minimum
    max_step: int | None = None
    exact: bool = True  # False: from a sample


@dataclass(frozen=True)
class RunFile:
    """A file of a run. `name` is its path inside the run's files, with "/"."""

    name: str
    size: int  # bytes
    location: str  # local path, or signed URL
    key: str | None = None  # the metric that logged it, for media
    step: int | None = None
    index: int | None = None  # place in the list of media that was logged together; None: logged alone, or unknown
    caption: str | None = None
    sha256: str | None = None  # as declared by the logger; None: undeclared
    md5: str | None = None  # base64, as a server declares it


@dataclass(frozen=True)
class Artifact:
    """An artifact that a run logged; the names of its files are paths inside it."""

    name: str  # with its version, where a server gave it one
    kind: str  # W&B's type of artifact: "run_table", "dataset", "model", ...
    files: tuple[RunFile, ...]


@dataclass(frozen=True)
class LeadUp:
    """Something that moved before a finding's onset. It came first; that does not make it the cause."""

    metric: str
    what: str  # "rose", "fell", "epoch ended", "began"
    step: int  # on the training's own axis
    lag: int  # steps before the onset
    before: float | None = None  # its level, and where it went
    after: float | None = None
    log_step: int | None = None  # W&B's `_step` at `step`


@dataclass(frozen=True)
class Finding:
    """A detector's claim about one run, with the evidence for it."""

    id: str  # stable: "loss_divergence"
    severity: Severity
    title: str  # one plain sentence with the numbers in it
    metrics: tuple[str, ...] = ()
    step: int | None = None  # onset; None where the diagnosis has none
    evidence: Mapping[str, Any] = field(default_factory=dict)  # values and thresholds, JSON-ready
    advice: str = ""
    consequence_of: str | None = None  # the id of the finding that explains this one
    log_step: int | None = None  # W&B's `_step` at `step`, which is on the training's own axis
    leading_up: tuple[LeadUp, ...] = ()  # what moved before it, the nearest first
    figure: str | None = None  # the file that shows it; None: none was asked for, or it has no curve
    curves: tuple[Series, ...] = field(default=(), compare=False, repr=False)  # what it rests on, the main one first


@dataclass(frozen=True)
class Skipped:
    """A detector that could not judge the run."""

    id: str
    reason: str


@dataclass(frozen=True)
class RoleMatch:
    """Which metric plays a role in a run, and why."""

    role: str  # "loss", "reward", "kl", ...
    metric: str
    why: str
    sign: int = 1  # -1: the framework logs the negative (Stable-Baselines3's entropy_loss)
    kind: str = ""  # "policy": an objective that does not fall as training goes well; "average": since the start


@dataclass(frozen=True)
class Primary:
    """The metric that runs are ranked by, or one is judged by."""

    metric: str
    direction: Direction
    why: str


@dataclass(frozen=True)
class RunReport:
    """One run's verdict."""

    run: Run
    verdict: Literal["good", "bad", "ugly", "unknown"]  # unknown: nothing shows that the run learned
    findings: tuple[Finding, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    passed: tuple[str, ...] = ()  # ids of detectors that looked and found nothing
    roles: tuple[RoleMatch, ...] = ()
    sampled: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # metric → points read, points logged
    unjudged: str = ""  # why no progress could be confirmed, in plain words
    step_metric: str = "_step"  # what counts its steps
    primary: Primary | None = None  # what it was judged by: its own where it lacks the one that runs are ranked by


@dataclass(frozen=True)
class Experiment:
    """A next experiment that follows from a finding."""

    title: str
    why: str  # the finding or comparison it follows from
    change: str  # what, from what, to what
    expect: str  # which metric should do what
    refute: str  # what would show it wrong
    finding: str | None = None  # finding id
    runs: tuple[str, ...] = ()  # run ids it follows from


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


@dataclass(frozen=True)
class Difference:
    """An entry of the runs' records that is not the same in the good runs and the others."""

    part: str  # "config", "command", "code", "package", "machine", "seed", "place"
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
    wrongly: tuple[str, ...]  # names of those stopped that ended among the best third
    best_third: int  # runs


@dataclass(frozen=True)
class ReplayedRun:
    """When each policy would have stopped a run."""

    run: str  # id
    name: str
    steps: int
    stopped: Mapping[str, int | None]  # policy → step; None: not stopped


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
