"""What is known of projects and runs: facts, points, files."""

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
    beyond: bool = False  # the run logged more metrics than are listed

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
