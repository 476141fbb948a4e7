"""Which runs a command is about: --state and --filter, and what is said where none matches."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import TYPE_CHECKING, get_args

from wandb_toolkit.cli.app import comma_list
from wandb_toolkit.errors import NotFoundError, UsageError, did_you_mean
from wandb_toolkit.model import State

if TYPE_CHECKING:
    from wandb_toolkit.model import Run
    from wandb_toolkit.sources.base import RunQuery, Source
    from wandb_toolkit.sources.run_filter import RunFilter

FILTER_CHECKED = 200  # of the newest runs, in which a key of --filter has to be known


def states(text: str) -> frozenset[str]:
    """Return the run states that a --state flag names, empty for "any".

    Raises:
        UsageError: W&B has no such state.
    """
    wanted = comma_list(text)
    known = get_args(State)
    for state in wanted:
        if state != "any" and state not in known:
            raise UsageError(f"There is no state {state!r}.", did_you_mean(state, ["any", *known], "state"))
    return frozenset() if "any" in wanted else frozenset(wanted)


def add_filter_flag(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add --filter."""
    parser.add_argument(
        "--filter",
        metavar="COND",
        help="runs that meet it: 'config.lr>=0.001 and summary.eval/accuracy>0.8 and not state==crashed'",
    )


def where_of(args: argparse.Namespace) -> RunFilter | None:
    """Return the condition of --filter, None without one.

    Raises:
        UsageError: it cannot be read.
    """
    if args.filter is None:
        return None
    from wandb_toolkit.sources.run_filter import parse_filter

    return parse_filter(args.filter)


def runs_of(source: Source, query: RunQuery) -> list[Run]:
    """Return the runs that match.

    Raises:
        NotFoundError: none does, or --filter names a key that no run has.
    """
    from wandb_toolkit.sources.base import RunQuery

    runs = source.runs(query)
    if not runs:
        raise no_runs(source, query.where)
    if query.where is not None and query.where.met_by_absence:
        query.where.check(source.loaded(source.runs(RunQuery(limit=FILTER_CHECKED))))
    return runs


def no_runs(source: Source, where: RunFilter | None = None) -> NotFoundError:
    """Return the error for a query that no run matches: what there is instead."""
    from wandb_toolkit.sources.base import RunQuery

    everything = RunQuery(limit=1000)
    there = source.runs(everything)
    if not there:
        return NotFoundError(f"There are no runs in {source.description}.")
    if where is not None:
        where.check(source.loaded(there[:FILTER_CHECKED]))
        return NotFoundError(f"No run meets {where.text!r}.", f"There are {source.count(everything)} runs without it.")
    states = ", ".join(f"{count} {state}" for state, count in Counter(run.state for run in there).most_common())
    tags = ", ".join(sorted({tag for run in there for tag in run.tags})[:10])
    total = source.count(everything)
    newest = f"; of the newest {len(there)}" if total > len(there) else ""
    hint = f"There are {total} runs{newest}: {states}" + (f"; tags: {tags}" if tags else "; none has a tag")
    return NotFoundError("No run has the state, tags and group asked for.", f"{hint}.")
