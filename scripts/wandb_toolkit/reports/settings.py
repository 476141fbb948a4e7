"""Which settings go with a result: as the report's comparison judges it, and as one figure shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Run, Signals
from wandb_toolkit.plots.coloring import coloring_of
from wandb_toolkit.plots.group_keys import groups_of, parse_group_keys
from wandb_toolkit.plots.kinds import ResultKind
from wandb_toolkit.plots.labels import run_labels
from wandb_toolkit.plots.sweep import Sweep
from wandb_toolkit.plots.sweeps import judged_sweep, sweeps_of, usual_metric
from wandb_toolkit.reports.build import ReportOptions, build_report, ignore_run
from wandb_toolkit.sources.base import Histories


def judged_settings(
    source: Histories, runs: Sequence[Run], metric: str, on_run: Callable[[Run], object] = ignore_run
) -> Signals:
    """Return what a report says of the settings, with the model's importances; `refused` says why there are none.

    Raises:
        NotFoundError: no run has the metric.
        ToolkitError: none of the runs could be read.
    """
    options = ReportOptions(now=datetime.now(UTC), primary=metric, model=True)
    comparison = build_report(source, runs, options, on_run).report.comparison
    found = comparison.signals if comparison else None
    return found or Signals(refused="a single run has nothing to be compared with")


def one_sweep(
    kind: ResultKind, source: Histories, runs: Sequence[Run], metric: str, keys: Sequence[str], group_by: str | None,
    color_by: str | None,
) -> Sweep:  # fmt: skip
    """Return what one figure of results shows; "" is the metric that a report would rank by.

    Raises:
        NotFoundError: no run has the metric or a key.
        UsageError: arguments that do not fit the kind, or there is nothing to draw.
    """

    if group_by and color_by:
        raise UsageError("color_by colors runs, and group_by draws their means.", "Give one of them.")
    if kind.keys == "judged":
        if keys or group_by or color_by:
            raise UsageError(f"{kind.id} show all settings of all configurations.", "Leave x and the others out.")
        metric = metric or usual_metric(runs)
        signals = judged_settings(source, runs, metric)
        if signals.refused:
            raise UsageError(f"There are no {kind.id} to draw: {signals.refused}.", "Draw kind='parallel' instead.")
        return judged_sweep(runs, run_labels(runs), metric, signals)
    if kind.keys == "each" and len(keys) > 1:
        raise UsageError("A scatter plot has one key.", "Give x one key, or draw kind='parallel'.")
    groups = groups_of(runs, parse_group_keys(group_by, group_by.split(",")).settled(runs)[0]) if group_by else None
    (sweep,) = sweeps_of(
        kind, runs, run_labels(runs), keys, [metric] if metric else [], groups=groups, group_by=group_by,
        coloring=coloring_of(runs, color_by) if color_by else None,
    )  # fmt: skip
    return sweep
