"""list_metrics: what a run logged, with exact statistics."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli.formats import add_format_flag, format_of
from wandb_toolkit.commands.chosen_runs import add_run_arguments, the_run
from wandb_toolkit.errors import Exit, NotFoundError, did_you_mean

if TYPE_CHECKING:
    from wandb_toolkit.listing.choose import Best
    from wandb_toolkit.model import MetricInfo, Run

EXAMPLES = """\
list_metrics examples/wandb grpo-base-s1
list_metrics ./wandb latest --pattern 'eval/*'
list_metrics run-3f9a.wandb --include-system
list_metrics ./wandb latest --json | jq '."train/loss".last'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("list_metrics", "List what a run logged, with statistics over its whole history.", EXAMPLES)
    add_run_arguments(parser, several=False)
    parser.add_argument("--include-system", action="store_true", help="also CPU, GPU, memory, ... (system.*)")
    parser.add_argument("--pattern", metavar="GLOB", help="only metrics whose name matches")
    parser.add_argument(
        "--limit",
        type=cli.positive_int,
        default=60,
        metavar="N",
        help="rows of the table (60); csv, markdown and latex have all",
    )
    parser.add_argument(
        "--budget",
        type=cli.positive_int,
        metavar="N",
        help="points of a run on a server to read for exact statistics (20,000,000); above, samples",
    )
    add_format_flag(parser)
    cli.add_common_flags(parser)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """List the metrics."""
    from wandb_toolkit.listing import tables
    from wandb_toolkit.listing.choose import best_points
    from wandb_toolkit.sources import RunQuery

    kind = format_of(args)
    source, chosen = the_run(args, default="latest")
    total = source.count(RunQuery()) if args.run is None else 1
    infos = source.metrics(chosen, system=args.include_system)
    if args.pattern is not None:
        exact = args.pattern in infos
        matching = {
            name: info
            for name, info in infos.items()
            if (name == args.pattern if exact else fnmatchcase(name, args.pattern))
        }
        if not matching and infos:
            plain = args.pattern.strip("*?")
            raise NotFoundError(
                f"No metric of {chosen.label} matches {args.pattern!r}.", did_you_mean(plain, infos, "metric")
            )
        infos = matching
    for line in chosen.warnings:
        cli.warn(f"{chosen.label}: {line}", args)
    for line in source.warnings:
        cli.warn(line, args)
    bests = best_points(infos.values())
    cli.emit(
        args,
        {name: tables.metric_json(info, bests[name]) for name, info in infos.items()},
        lambda: (
            _text(chosen, infos, bests, args.limit, total)
            if kind == "table"
            else tables.metrics_table(list(infos.values()), bests, None, kind)
        ),
        by_name=True,
    )
    return Exit.OK


def _text(
    chosen: Run, infos: Mapping[str, MetricInfo], bests: Mapping[str, Best | None], limit: int, total: int
) -> str:
    from wandb_toolkit.listing import tables
    from wandb_toolkit.listing.choose import limited
    from wandb_toolkit.listing.table import terminal_width
    from wandb_toolkit.text import clean, plural

    if not infos:
        return f"{clean(chosen.label)} logged no metrics."
    groups = limited(list(infos.values()), limit)
    shown = [info for group in groups for info in group.shown]
    rows = max((info.count for info in infos.values() if not info.system), default=0)
    how = "statistics are over every logged point"
    if not all(info.exact for info in infos.values()):
        how = "statistics are from samples (--budget N reads more)"
    which = f", the latest of {total:,} runs" if total > 1 else ""
    head = (
        f"{clean(chosen.label)}{which}: {chosen.state}, {plural(len(infos), 'metric')}, {plural(rows, 'history row')}"
    )
    lines = [
        f"{head}; {how}",
        tables.metrics_table(shown, bests, terminal_width()),
    ]
    hidden = [group for group in groups if group.hidden]
    if hidden:
        parts = [
            f"{group.hidden} more in {clean(group.prefix)}/" if group.prefix else f"{group.hidden} more"
            for group in hidden
        ]
        where = ", ".join(parts[:8]) + (f", and in {len(hidden) - 8} more prefixes" if len(hidden) > 8 else "")
        lines.append(f"{len(shown)} of {len(infos)} metrics shown ({where})")
        lines.append("--pattern 'GLOB' chooses; --limit N or --json shows more")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return cli.run_command(build_parser(), run, argv)
