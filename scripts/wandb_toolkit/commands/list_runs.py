"""list_runs: the runs of a project, with the summary metrics that tell them apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wandb_toolkit import cli
from wandb_toolkit.errors import Exit, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from wandb_toolkit.model import Run

_PIPE_METRICS = 6  # summary columns of a table that nobody's terminal limits
_WARNINGS = 5

EXAMPLES = """\
list_runs examples/wandb
list_runs ./wandb --state finished,running --tag baseline
list_runs ./wandb --order -summary_metrics.eval/accuracy --metrics eval/accuracy,train/loss
list_runs ./wandb --json | jq -r '.[] | select(.state == "crashed") | .id'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("list_runs", "List a project's runs, the newest first.", EXAMPLES)
    parser.add_argument("target", nargs="?", help=f"{cli.TARGET_HELP} (default: what the current folder holds)")
    parser.add_argument("--state", default="any", metavar="A,B", help="any, running, finished, crashed, failed, ...")
    parser.add_argument("--tags", "--tag", metavar="A,B", help="runs with any of these tags")
    parser.add_argument("--group", help="runs of this group")
    parser.add_argument("--limit", type=cli.positive_int, default=100, metavar="N", help="at most N runs (100)")
    parser.add_argument(
        "--order",
        default="-created_at",
        metavar="KEY",
        help="+KEY or -KEY: created_at (default, newest first), heartbeat_at, name, duration, steps, "
        "summary_metrics.X, config.X",
    )
    parser.add_argument("--metrics", metavar="A,B", help="the summary metrics to show (default: those that differ)")
    cli.add_common_flags(parser)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """List the runs."""
    from wandb_toolkit.render import listing as shapes
    from wandb_toolkit.sources import RunQuery, open_source

    chosen = cli.comma_list(args.metrics) if args.metrics is not None else None
    source, selectors = open_source(args.target, args.source)
    query = RunQuery(
        states=cli.states(args.state),
        tags=frozenset(cli.comma_list(args.tags)) if args.tags is not None else frozenset(),
        group=args.group,
        selectors=selectors,
        order=_order(args.order),
    )
    runs = source.runs(query)
    if not runs:
        there = source.runs(RunQuery())
        states = ", ".join(sorted({one.state for one in there}))
        raise NotFoundError(
            f"None of {len(there)} runs matches.", f"Their states: {states}. Loosen --state, --tags or --group."
        )
    shown = runs[: args.limit]
    if chosen is not None:
        _check_metrics(chosen, shown)
    cli.emit(args, [shapes.run_json(one, chosen) for one in shown], lambda: _table(shown, chosen))
    _notes(args, shown, len(runs), getattr(source, "warnings", ()))
    return Exit.OK


def _order(text: str) -> str:
    return text if text.startswith(("+", "-")) else f"-{text}"


def _check_metrics(chosen: Sequence[str], runs: Sequence[Run]) -> None:
    from wandb_toolkit.render.listing import flat_summary

    present = dict.fromkeys(key for one in runs for key in flat_summary(one.summary))
    for name in chosen:
        if name not in present:
            names = [key for key in present if not key.startswith("_")]
            raise NotFoundError(f"No run has the summary metric {name!r}.", did_you_mean(name, names, "metric"))


def _table(runs: Sequence[Run], chosen: Sequence[str] | None) -> str:
    from wandb_toolkit.listing import telling_metrics
    from wandb_toolkit.render import listing as shapes
    from wandb_toolkit.render.table import terminal_width

    width = terminal_width()
    telling = telling_metrics([shapes.flat_summary(one.summary) for one in runs]) if chosen is None else list(chosen)
    shown = telling[:_PIPE_METRICS] if chosen is None and width is None else telling
    text, count = shapes.runs_table(runs, shown, width)
    if chosen is None and count < len(telling):
        text += f"\n{len(telling) - count} more summary metrics: --metrics A,B chooses, --json has all"
    return text


def _notes(args: argparse.Namespace, shown: Sequence[Run], total: int, search: Sequence[str]) -> None:
    from wandb_toolkit.render.listing import left_out

    lines = [f"{one.label}: {line}" for one in shown for line in one.warnings] + list(search)
    for line in lines[:_WARNINGS]:
        cli.warn(line, args)
    if len(lines) > _WARNINGS:
        cli.warn(f"{len(lines) - _WARNINGS} more of the kind; --json has each run's", args)
    note = left_out(len(shown), total, "run", "--limit N shows more")
    if note and not args.quiet:
        print(note, file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return cli.run_command(build_parser(), run, argv)
