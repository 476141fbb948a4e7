"""list_runs --group-by: one row for the runs that share settings, with each metric's mean over them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.listing.table import TableFormat, terminal_width

if TYPE_CHECKING:
    from wandb_toolkit.listing.groups import RunGroup
    from wandb_toolkit.model import Run
    from wandb_toolkit.plots.group_keys import GroupKeys

_PIPE_METRICS = 6  # columns where no terminal limits them and nobody chose


def print_groups(
    args: argparse.Namespace,
    kind: TableFormat,
    keys: GroupKeys,
    runs: Sequence[Run],
    rows: Sequence[Mapping[str, Any]],
    metrics: Sequence[str] | None,
    first: str | None,
) -> None:
    """Print the groups.

    Args:
        args: the command's.
        kind: of the table.
        keys: what to group by.
        runs: all of them, with their configs, in order.
        rows: each run's values by metric.
        metrics: which of them to show; None: those that differ between runs.
        first: the metric whose mean orders the groups by its rank among `runs`; None: the order of the runs.
    """
    from wandb_toolkit.listing.choose import telling_metrics
    from wandb_toolkit.listing.groups import group_json, groups_table

    used, aside = keys.settled(runs)
    if aside:
        cli.warn(f"the groups leave out what only names a run or its place: {', '.join(aside)}", args)
    groups = _groups(used, runs, rows)
    if first is not None:
        groups = _by_mean(groups, first, [row[first] for row in rows if first in row])
    shown = groups[: args.limit]
    if args.json:
        cli.emit(args, [group_json(group) for group in shown], str)
    else:
        width = terminal_width() if kind == "table" else None
        chosen = telling_metrics(rows) if metrics is None else list(metrics)
        if first is not None and first not in chosen:
            chosen.insert(0, first)
        limit = None if width or kind == "csv" or metrics is not None else _PIPE_METRICS
        text, count = groups_table(shown, chosen[:limit], width, kind)
        print(text)
        if count < len(chosen) and not args.quiet:
            print(f"{len(chosen) - count} more metrics: --metrics A,B chooses, --json has all", file=sys.stderr)
    if len(shown) < len(groups) and not args.quiet:
        print(f"{len(shown)} of {len(groups)} groups shown; --limit N shows more", file=sys.stderr)


def _groups(keys: Sequence[str], runs: Sequence[Run], rows: Sequence[Mapping[str, Any]]) -> list[RunGroup]:
    from wandb_toolkit.listing.groups import RunGroup, means_of
    from wandb_toolkit.plots.group_keys import groups_of, value_of

    return [
        RunGroup(
            label,
            {key: value_of(runs[places[0]], key) for key in keys},
            tuple(runs[at] for at in places),
            means_of([rows[at] for at in places]),
        )
        for label, places in groups_of(runs, keys).items()
    ]


def _by_mean(groups: Sequence[RunGroup], metric: str, values: Sequence[float]) -> list[RunGroup]:
    """Return the groups by their means, in the direction in which the runs' `values` go; those without one last."""
    down = len(values) > 1 and values[0] > values[-1]
    known = [group for group in groups if metric in group.means]
    known.sort(key=lambda group: group.means[metric].mean, reverse=down)
    return [*known, *(group for group in groups if metric not in group.means)]
