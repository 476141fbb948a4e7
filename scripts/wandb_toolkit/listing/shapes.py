"""The JSON documents of the list commands and of errors, as types; docs/schemas/ is made from these.

`docs/make_schemas.py` reads names, types and the comment behind each field. Times become UTC texts, non-finite numbers
the texts of `Real`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from wandb_toolkit.model import MetricKind, State

Real: TypeAlias = float | Literal["NaN", "Infinity", "-Infinity"]


class ProjectJson(TypedDict):
    """An element of list_projects: projects, the most recently active first."""

    name: str
    entity: str | None  # null: local runs that name no entity
    description: str | None
    created_at: datetime | None  # UTC, ISO 8601 with Z; local: start of the oldest run
    url: str | None
    run_count: int | None
    last_activity: datetime | None  # UTC; newest sign of life of any run


class RunJson(TypedDict):
    """An element of list_runs: runs in the order asked for, by default the newest first."""

    id: str
    name: str  # display name; the id where the run has none
    state: State
    created_at: datetime | None  # UTC, ISO 8601 with Z
    last_activity: datetime | None  # UTC; newest sign of life
    entity: str | None  # null: the run names none
    project: str | None
    tags: list[str]
    group: str | None
    job_type: str | None
    sweep: str | None
    duration: float | None  # seconds
    steps: int | None  # last _step logged; null: nothing logged
    exit_code: int | None  # null: no exit record
    forked_from: Mapping[str, Any] | None  # the run id and step that it was forked from; null: it was not
    url: str | None
    paths: list[str]  # local run directories, oldest first (several: resumed); empty on a server
    summary_metrics: Mapping[str, Any]  # flat, nested keys joined with "."; media as an object with _type
    warnings: list[str]  # what could not be read
    stat_metrics: NotRequired[
        Mapping[str, Any]
    ]  # with --stat or --order best.METRIC: by "best.METRIC", over the whole history; a run without one lacks it


class GroupJson(TypedDict):
    """An element of list_runs with --group-by: runs that share settings."""

    label: str
    values: Mapping[str, Any]  # what its runs share, by group key; null: they have no such value
    count: int  # runs
    run_ids: list[str]
    means: Mapping[str, Any]  # metric → mean, standard_error (null for one run) and n, over runs with a finite value


class MetricJson(TypedDict):
    """A value of list_metrics: metrics by name."""

    type: MetricKind
    count: int  # rows of the run
    non_null_count: int  # rows that hold the metric
    nonfinite_count: int | None  # NaN and infinities; null for metrics that are not numeric
    min: Real | None  # over finite values
    max: Real | None  # over finite values
    mean: Real | None  # over finite values
    std: Real | None  # population, over finite values
    first: Real | None  # as logged
    last: Real | None  # as logged
    min_step: int | None  # _step of the first minimum
    max_step: int | None  # _step of the first maximum
    best: Real | None  # null where nobody's best is defined (KL, entropy) or the direction is unknown
    best_step: int | None
    direction: Literal["max", "min"] | None  # which way is better
    system: bool  # CPU, GPU, memory, ...
    exact: bool  # false: from a sample


class PointsJson(TypedDict):
    """An element of get_history: rows of one run after the other, each at which one of the metrics was logged."""

    run: str  # id
    name: str
    step: float | None  # on `step_metric`; null: not known at this row
    step_metric: str  # what counts the training's steps; _step: W&B's own; _runtime for system metrics
    log_step: int | None  # W&B's _step; null for system metrics, which are samples in time
    runtime: float | None  # seconds since the start
    timestamp: float | None  # Unix seconds
    values: Mapping[
        str, Any
    ]  # by metric, those that were logged in the row; with --long one; numbers, or the texts NaN, Infinity, -Infinity


class ErrorJson(TypedDict):
    """The object on stderr when a command fails and JSON was asked for."""

    type: Literal["failed", "usage", "auth", "not_found", "server", "partial", "interrupted"]  # as the exit code
    message: str  # what was wrong
    hint: str  # what there is instead, or what to do; may be empty


# What `--fields` may begin with, by command: known before anything is read. Tests hold it to the schemas.
FIELDS: dict[str, tuple[str, ...]] = {
    "list_projects": tuple(ProjectJson.__annotations__),
    "list_runs": tuple(RunJson.__annotations__),
    "list_runs --group-by": tuple(GroupJson.__annotations__),
    "list_metrics": tuple(MetricJson.__annotations__),
    "show_run": ("runs", "differences"),
    "get_history": tuple(PointsJson.__annotations__),
    "export_runs": ("output_dir", "format", "written", "unchanged", "failed", "runs", "schema", "manifest", "warnings"),
    "download_plots": (
        "run",
        "source",
        "pattern",
        "output_dir",
        "downloaded",
        "skipped",
        "failed",
        "files_of_run",
        "warnings",
        "metadata",
        "sheets",
        "tables",
    ),
    "generate_plots": (
        "output_dir",
        "source",
        "runs",
        "group_by",
        "color_by",
        "view",
        "plots",
        "skipped",
        "errors",
        "warnings",
        "metadata",
    ),
    "check_claims": (
        "file",
        "target",
        "source",
        "verdict",
        "counts",
        "claims",
        "failed",
        "marks_written",
        "warnings",
        "tool_version",
    ),
    "wandb_report": (
        "verdict",
        "source",
        "target",
        "primary",
        "roles",
        "role_reasons",
        "runs",
        "good",
        "bad",
        "ugly",
        "notes",
        "lens",
        "comparison",
        "next_experiments",
        "errors",
        "left_out",
        "by_summary",
        "command",
        "metrics",
        "generated_at",
        "tool_version",
        "path",
        "window",
        "as_of",
        "changes",
        "replay",
        "forecast",
        "cost",
        "html",
    ),
}
