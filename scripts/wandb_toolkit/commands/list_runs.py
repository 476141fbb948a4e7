"""list_runs: the runs of a project, with the summary metrics that tell them apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli.fields import unknown_field
from wandb_toolkit.cli.formats import add_format_flag, format_of
from wandb_toolkit.errors import Exit, NotFoundError, did_you_mean
from wandb_toolkit.listing.table import terminal_width
from wandb_toolkit.resolve import plain_names, settle_names, split_names

if TYPE_CHECKING:
    from wandb_toolkit.listing.table import TableFormat
    from wandb_toolkit.model import Run
    from wandb_toolkit.sources.base import Source

_PIPE_METRICS, _LONG_METRICS = 6, 3  # summary columns of a table that nobody's terminal limits; of a long one
_LONG = 20  # rows
_WARNINGS = 5
_SUMMARY = "summary_metrics."  # how --fields names one of them

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
    cli.add_filter_flag(parser)
    parser.add_argument("--limit", type=cli.positive_int, default=100, metavar="N", help="at most N runs (100)")
    parser.add_argument(
        "--order",
        default="-created_at",
        metavar="KEY",
        help="KEY (ascending) or -KEY: created_at (newest first by default), heartbeat_at, name, duration, steps, "
        "summary_metrics.X, config.X",
    )
    parser.add_argument(
        "--metrics", metavar="A,B", help="the summary metrics to show, names or globs (default: those that differ)"
    )
    add_format_flag(parser)
    cli.add_common_flags(parser, lists=True)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """List the runs."""
    from wandb_toolkit.listing import tables
    from wandb_toolkit.sources import RunQuery

    kind = format_of(args)
    chosen = cli.comma_list(args.metrics) and split_names(args.metrics) if args.metrics is not None else None
    source, selectors = cli.open_source(args, args.target)
    query = RunQuery(
        states=cli.states(args.state),
        tags=frozenset(cli.comma_list(args.tags)) if args.tags is not None else frozenset(),
        group=args.group,
        where=cli.where_of(args),
        selectors=selectors,
        order=args.order if args.order.startswith(("+", "-")) else f"+{args.order}",
        limit=args.limit,
        names=chosen is None and not args.json,
    )
    runs = cli.runs_of(source, query)
    _check_order(args.order.lstrip("+-"), runs, source)
    total = source.count(query) if len(runs) == args.limit and not selectors else len(runs)
    if chosen is not None:
        chosen = _named(chosen, runs, source)
    if args.json or chosen is not None:
        shown = _summary_keys(args.fields, chosen)
        summaries = source.summaries(runs, shown)
        _check_metrics(shown or (), runs, summaries, source, as_fields=chosen is None)
    if args.json:
        cli.emit(args, [tables.run_json(*one) for one in zip(runs, summaries, strict=True)], str)
    elif chosen is not None:
        print(tables.runs_table(runs, summaries, chosen, terminal_width(), kind)[0])
    else:
        print(_table(source, runs, kind, args))
    _notes(args, runs, total, source.warnings)
    return Exit.OK


def _check_order(key: str, runs: Sequence[Run], source: Source) -> None:
    """Refuse to order by a summary metric that no run has; the first run has it if any has."""
    name = key.removeprefix(_SUMMARY)
    if key != name and not source.summaries(runs[:1], [name])[0] and not source.summaries(runs, [name])[0]:
        names = [known for known in source.summary_names(runs) if not known.startswith("_")]
        raise NotFoundError(
            f"No run has the summary metric {name!r} to order by.", did_you_mean(name, names, "summary metric")
        )


def _named(parts: Sequence[str], runs: Sequence[Run], source: Source) -> list[str]:
    """Return the summary metrics that names and globs mean; a name that there is not is kept, and refused later."""
    if plain_names(parts):
        return list(dict.fromkeys(parts))
    known = source.summary_names(runs)
    chosen: dict[str, None] = {}
    for part in settle_names(parts, known):
        matching = [name for name in known if fnmatchcase(name, part)] if part not in known else []
        chosen |= dict.fromkeys(matching or [part])
    return list(chosen)


def _summary_keys(fields: Sequence[str] | None, chosen: Sequence[str] | None) -> Sequence[str] | None:
    """Return the summary metrics to read, None for all: those chosen, else what `--fields` shows of them."""
    if chosen is not None or fields is None or "summary_metrics" in fields:
        return chosen
    return [field.removeprefix(_SUMMARY) for field in fields if field.startswith(_SUMMARY)]


def _check_metrics(
    chosen: Sequence[str],
    runs: Sequence[Run],
    summaries: Sequence[Mapping[str, Any]],
    source: Source,
    *,
    as_fields: bool,
) -> None:
    for name in chosen:
        if not any(name in summary for summary in summaries):
            names = [key for key in source.summary_names(runs) if not key.startswith("_")]
            if as_fields:
                raise unknown_field(f"{_SUMMARY}{name}", [f"{_SUMMARY}{key}" for key in names])
            raise NotFoundError(f"No run has the summary metric {name!r}.", did_you_mean(name, names, "metric"))


def _table(source: Source, runs: Sequence[Run], kind: TableFormat, args: argparse.Namespace) -> str:
    """Return the table with the summary metrics that tell the runs apart: those that fit, in CSV all of them."""
    from wandb_toolkit.listing import tables
    from wandb_toolkit.listing.choose import likely_metrics, telling_metrics

    names = source.summary_names(runs)
    summaries = source.summaries(runs, likely_metrics(names))
    telling = telling_metrics(summaries)
    width = terminal_width() if kind == "table" else None
    most = _PIPE_METRICS if len(runs) <= _LONG else _LONG_METRICS
    text, count = tables.runs_table(runs, summaries, telling if width or kind == "csv" else telling[:most], width, kind)
    more = len(names) - sum(name.startswith("_") for name in names) - count
    if more > 0:
        whose = " of the newest runs" if source.kind == "api" else ""
        note = f"{more} more summary metrics{whose}: --metrics A,B chooses, --json has all"
        if kind == "table":
            return f"{text}\n{note}"
        if not args.quiet:
            print(note, file=sys.stderr)
    return text


def _notes(args: argparse.Namespace, shown: Sequence[Run], total: int, search: Sequence[str]) -> None:
    from wandb_toolkit.listing.tables import left_out

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
