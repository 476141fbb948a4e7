"""list_runs: the runs of a project, with the summary metrics that tell them apart."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli import choosing
from wandb_toolkit.cli.fields import unknown_field
from wandb_toolkit.cli.formats import add_format_flag, format_of
from wandb_toolkit.errors import Exit, NotFoundError, UsageError, did_you_mean
from wandb_toolkit.listing.statistics import STATISTICS, Ordering, Statistics, ordering_of, read_statistics
from wandb_toolkit.listing.table import terminal_width
from wandb_toolkit.plots.group_keys import HELP
from wandb_toolkit.resolve import plain_names, settle_names, split_names
from wandb_toolkit.text import clean, plural

if TYPE_CHECKING:
    from wandb_toolkit.listing.table import TableFormat
    from wandb_toolkit.model import Run
    from wandb_toolkit.plots.group_keys import GroupKeys
    from wandb_toolkit.sources.base import Source

_PIPE_METRICS, _LONG_METRICS = 6, 3  # summary columns of a table that nobody's terminal limits; of a long one
_LONG = 20  # rows
_WARNINGS = 5
_SUMMARY = "summary_metrics."  # how --fields names one of them

EXAMPLES = """\
list_runs examples/wandb
list_runs ./wandb --state finished,running --tag baseline
list_runs ./wandb --order -summary_metrics.eval/accuracy --metrics eval/accuracy,train/loss
list_runs ./wandb --order best.eval/accuracy --metrics 'eval/*' --stat best
list_runs ./wandb --group-by all-but:config.seed --metrics eval/accuracy --format latex
list_runs ./wandb --json | jq -r '.[] | select(.state == "crashed") | .id'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("list_runs", "List a project's runs, the newest first.", EXAMPLES)
    parser.add_argument("target", nargs="?", help=f"{cli.TARGET_HELP} (default: what the current folder holds)")
    parser.add_argument("--state", default="any", metavar="A,B", help="any, running, finished, crashed, failed, ...")
    parser.add_argument("--tags", "--tag", metavar="A,B", help="runs with any of these tags")
    parser.add_argument("--group", help="runs of this group")
    choosing.add_filter_flag(parser)
    parser.add_argument(
        "--limit", type=cli.positive_int, default=100, metavar="N", help="at most N runs or groups (100)"
    )
    parser.add_argument(
        "--order",
        default="-created_at",
        metavar="KEY",
        help="KEY (ascending) or -KEY: created_at (newest first by default), heartbeat_at, name, duration, steps, "
        "summary_metrics.X, config.X; min.X, max.X, mean.X, last.X of a whole history; best.X (the best first)",
    )
    parser.add_argument(
        "--metrics", metavar="A,B", help="the summary metrics to show, names or globs (default: those that differ)"
    )
    parser.add_argument(
        "--stat", choices=STATISTICS, help="of --metrics, over the whole history (default: the summary)"
    )
    parser.add_argument("--group-by", metavar="KEY", help=f"mean, standard error and n of the runs that share {HELP}")
    parser.add_argument("--spark", action="store_true", help="a small curve of the metric that ranks runs")
    add_format_flag(parser)
    cli.add_common_flags(parser, lists=True)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """List the runs."""
    from wandb_toolkit.plots.group_keys import parse_group_keys
    from wandb_toolkit.sources import RunQuery

    kind = _checked(args)
    chosen = cli.comma_list(args.metrics) and split_names(args.metrics) if args.metrics is not None else None
    keys = parse_group_keys(args.group_by, cli.comma_list(args.group_by)) if args.group_by is not None else None
    ordering = ordering_of(args.order)
    order = "-created_at" if ordering else args.order
    source, selectors = cli.open_source(args, args.target)
    query = RunQuery(
        states=choosing.states(args.state),
        tags=frozenset(cli.comma_list(args.tags)) if args.tags is not None else frozenset(),
        group=args.group,
        where=choosing.where_of(args),
        selectors=selectors,
        order=order if order.startswith(("+", "-")) else f"+{order}",
        limit=None if keys or ordering else args.limit,
        names=chosen is None and not args.json,
    )
    runs = choosing.runs_of(source, query)
    _check_order(order.lstrip("+-"), runs, source)
    total = source.count(query) if len(runs) == query.limit and not selectors else len(runs)
    spark = _primary(source, runs) if args.spark else None
    read = None
    if args.stat or ordering or spark:
        read = read_statistics(
            source, runs, (chosen or ()) if args.stat else (), args.stat or "last", ordering, spark,
            lambda found: cli.progress(found, "reading runs", len(runs), args),
        )  # fmt: skip
        _warn_of_directions(read.unsure, args)
        places = read.places(ordering) if ordering else list(range(len(runs)))
        places = places if keys else places[: args.limit]
        runs, read = [runs[at] for at in places], read.take(places)
    if args.stat and read:
        chosen = list(read.titles)
    elif chosen is not None:
        chosen = _named(chosen, runs, source)
    if keys:
        _print_groups(args, kind, keys, source, runs, chosen, read, ordering)
        total = len(runs)
    else:
        _print_runs(args, kind, source, runs, chosen, read, ordering, spark)
    failed = read.failed if read else ()
    for a_run, error in failed:
        cli.warn(f"{a_run.label} could not be read: {error.message}", args)
    _notes(args, runs, total, source.warnings)
    return Exit.PARTIAL if failed else Exit.OK


def _checked(args: argparse.Namespace) -> TableFormat:
    """Return the format; refuse flags that do not go together.

    Raises:
        UsageError: they do not.
    """
    kind = format_of(args)
    if args.stat and args.metrics is None:
        raise UsageError(
            "--stat needs --metrics.", f"Give --metrics A,B: names or globs. --stat {args.stat} is of them."
        )
    if args.spark and (args.json or args.group_by or kind in ("csv", "latex")):
        raise UsageError("--spark draws a curve beside each run of a table.", "Leave it out, or show runs as a table.")
    return kind


def _primary(source: Source, runs: Sequence[Run]) -> str | None:
    """Return the metric that --spark draws."""
    from wandb_toolkit.listing.choose import likely_metrics
    from wandb_toolkit.roles import choose_primary

    summaries = source.summaries(runs, likely_metrics(source.summary_names(runs)))
    numeric = [
        {name for name, value in row.items() if isinstance(value, (int, float)) and not name.startswith("_")}
        for row in summaries
    ]
    primary = choose_primary(numeric)
    if primary is None:
        raise NotFoundError("--spark: no metric of these runs is fit to rank them by.", "get_history shows any metric.")
    return primary.metric


def _print_groups(
    args: argparse.Namespace,
    kind: TableFormat,
    keys: GroupKeys,
    source: Source,
    runs: Sequence[Run],
    chosen: Sequence[str] | None,
    read: Statistics | None,
    ordering: Ordering | None,
) -> None:
    """Print one row for the runs that share the keys' values."""
    from wandb_toolkit.commands.run_groups import print_groups

    summaries = source.summaries(runs, chosen) if not args.stat else [{} for _ in runs]
    if not args.stat:
        _check_metrics(chosen or (), runs, summaries, source, as_fields=False)
    statistics = read.values if read else [{} for _ in runs]
    rows = [
        {**{name: value for name, value in summary.items() if not name.startswith("_")}, **values}
        for summary, values in zip(summaries, statistics, strict=True)
    ]
    by = args.order.lstrip("+-")
    by_metric = ordering is not None or (by.startswith(_SUMMARY) and not args.stat)
    first = by.removeprefix(_SUMMARY) if by_metric else None
    print_groups(args, kind, keys, source.loaded(runs), rows, chosen, first)


def _print_runs(
    args: argparse.Namespace,
    kind: TableFormat,
    source: Source,
    runs: Sequence[Run],
    chosen: list[str] | None,
    read: Statistics | None,
    ordering: Ordering | None,
    spark: str | None,
) -> None:
    """Print one row a run."""
    from wandb_toolkit.listing import tables

    statistics = read.values if read and (args.stat or ordering) else None
    curves = [f"{clean(spark, 30)} (curve)", *read.curves] if spark and read else []
    if args.json or (chosen is not None and not args.stat):
        shown = [] if args.stat else _summary_keys(args.fields, chosen)
        summaries = source.summaries(runs, shown) if shown != [] else [{} for _ in runs]
        _check_metrics(shown or (), runs, summaries, source, as_fields=chosen is None)
        if args.json:
            each = statistics or [None] * len(runs)
            cli.emit(args, [tables.run_json(*one) for one in zip(runs, summaries, each, strict=True)], str)
            return
    else:
        summaries = [{} for _ in runs]
    first = [ordering.title] if ordering and ordering.title not in (chosen or ()) else []
    if chosen is None:
        print(_table(source, runs, kind, args, statistics or (), first, curves))
        return
    rows = [{**row, **values} for row, values in zip(summaries, statistics or [{}] * len(runs), strict=True)]
    print(tables.runs_table(runs, rows, [*first, *chosen], terminal_width(), kind, curves, asked=True)[0])


def _warn_of_directions(unsure: Sequence[str], args: argparse.Namespace) -> None:
    if unsure:
        more = f" and {len(unsure) - 4} more" if len(unsure) > 4 else ""
        what = f"{', '.join(unsure[:4])}{more}"
        cli.warn(
            f"nothing says which way is better in {what}: best is taken to be the highest; min has the lowest", args
        )


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


def _table(
    source: Source,
    runs: Sequence[Run],
    kind: TableFormat,
    args: argparse.Namespace,
    statistics: Sequence[Mapping[str, float]],
    first: Sequence[str],
    curves: Sequence[str],
) -> str:
    """Return the table with the summary metrics that tell the runs apart: those that fit, in CSV all of them."""
    from wandb_toolkit.listing import tables
    from wandb_toolkit.listing.choose import likely_metrics, telling_metrics

    names = source.summary_names(runs)
    summaries = source.summaries(runs, likely_metrics(names))
    telling = telling_metrics(summaries)
    width = terminal_width() if kind == "table" else None
    most = _PIPE_METRICS if len(runs) <= _LONG else _LONG_METRICS
    columns = [*first, *(telling if width or kind == "csv" else telling[:most])]
    rows = [{**row, **values} for row, values in zip(summaries, statistics or [{}] * len(runs), strict=True)]
    text, count, lacking = tables.runs_table(runs, rows, columns, width, kind, curves)
    more = len(names) - sum(name.startswith("_") for name in names) - max(count - len(first), 0)
    if more > 0:
        whose = " of the newest runs" if source.kind == "api" else ""
        note = f"{more} more summary metrics{whose}: --metrics A,B chooses, --json has all"
        if kind == "table":
            return f"{text}\n{_no_room(lacking, more, width) if width and lacking else note}"
        if not args.quiet:
            print(note, file=sys.stderr)
    return text


def _no_room(columns: Sequence[str], metrics: int, width: int) -> str:
    """Return the line that says which columns of the table had no room."""
    for names in (", ".join(columns), plural(len(columns), "column")):
        line = f"no room: {names}, {plural(metrics, 'metric')} (--metrics A,B chooses, --json has all)"
        if len(line) <= width:
            return line
    return f"no room: {len(columns) + metrics} columns (--json has all)"


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
