"""What passes between the layers: projects, runs, metrics, histories, findings and reports.

All are frozen. numpy is imported for types only, so that a listing starts without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wandb_toolkit.model.comparison import (
    AcrossTasks,
    Aggregate,
    CommonPoint,
    Comparison,
    Goal,
    RankedRun,
    SeedGroup,
    Signal,
    Signals,
    Standing,
    TaskScale,
)
from wandb_toolkit.model.findings import Experiment, Finding, LeadUp, Primary, RoleMatch, RunReport, Skipped
from wandb_toolkit.model.report import (
    Changes,
    ConfigurationSpent,
    Difference,
    FalseAlarm,
    Forecast,
    Lens,
    Parting,
    Policy,
    Replay,
    ReplayedRun,
    Report,
    RunForecast,
    RunSpent,
    Spent,
    SummaryRank,
    SummaryRanking,
    Suspect,
)
from wandb_toolkit.model.runs import (
    Artifact,
    Cost,
    Direction,
    History,
    MetricInfo,
    MetricKind,
    Project,
    Run,
    RunFile,
    Series,
    Severity,
    State,
)

if TYPE_CHECKING:
    from wandb_toolkit.model.runs import FloatArray

__all__ = [
    "AcrossTasks",
    "Aggregate",
    "Artifact",
    "Changes",
    "CommonPoint",
    "Comparison",
    "ConfigurationSpent",
    "Cost",
    "Difference",
    "Direction",
    "Experiment",
    "FalseAlarm",
    "Finding",
    "FloatArray",
    "Forecast",
    "Goal",
    "History",
    "LeadUp",
    "Lens",
    "MetricInfo",
    "MetricKind",
    "Parting",
    "Policy",
    "Primary",
    "Project",
    "RankedRun",
    "Replay",
    "ReplayedRun",
    "Report",
    "RoleMatch",
    "Run",
    "RunFile",
    "RunForecast",
    "RunReport",
    "RunSpent",
    "SeedGroup",
    "Series",
    "Severity",
    "Signal",
    "Signals",
    "Skipped",
    "Spent",
    "Standing",
    "State",
    "SummaryRank",
    "SummaryRanking",
    "Suspect",
    "TaskScale",
]
