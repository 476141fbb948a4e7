"""wandb_report: what is good, what holds the runs back, what broke, how they compare and what to try next."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli import choosing
from wandb_toolkit.cli.cluster_flag import add_dask_flag, cluster_of
from wandb_toolkit.commands import report_output, report_watch
from wandb_toolkit.errors import Exit, NotFoundError, UsageError
from wandb_toolkit.model import State

if TYPE_CHECKING:
    from wandb_toolkit.cluster import Cluster
    from wandb_toolkit.model import Report, Run, SummaryRanking
    from wandb_toolkit.reports.build import Built
    from wandb_toolkit.roles import RolePatterns
    from wandb_toolkit.sources.base import RunQuery, Source

MAX_RUNS = 80
ROLE_FLAGS = ("reward", "kl", "entropy", "grad-norm", "loss", "tokens")
FAILING = {"ugly": ("ugly",), "bad": ("ugly", "bad")}
WATCH = 60.0  # seconds
_ROLE_NAMES = {
    "reward": "reward", "kl": "KL", "entropy": "entropy", "grad-norm": "gradient norm", "loss": "loss",
    "tokens": "token count",
}  # fmt: skip

EXAMPLES = """\
wandb_report examples/wandb
wandb_report my-entity/my-project --latest 5 --primary eval/accuracy
wandb_report ./wandb --runs good-run,'sweep-*' --out report.md
wandb_report ./wandb --compare --goal 0.8 --html compare.html
wandb_report ./wandb --latest 1 --window 200 --watch 30 --fail-on ugly
wandb_report ./wandb --state finished --json | jq .ugly"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser(
        "wandb_report", "Judge runs from their whole histories: good, bad, ugly, what to try next.", EXAMPLES
    )
    parser.add_argument("target", nargs="?", help=f"{cli.TARGET_HELP} (default: what the current folder holds)")
    parser.add_argument("--entity", help="with --project, in place of the target")
    parser.add_argument("--project", help="a project, in place of the target")
    chosen = parser.add_argument_group("which runs (default: the newest)")
    chosen.add_argument("--state", default="any", help="any, or one or more of: " + ", ".join(get_args(State)))
    chosen.add_argument("--tags", "--tag", metavar="A,B", help="runs with any of these tags")
    choosing.add_filter_flag(chosen)
    chosen.add_argument("--runs", metavar="A,B", help=f"each a {cli.RUN_HELP}")
    chosen.add_argument("--latest", type=cli.positive_int, metavar="N", help="the N runs started last")
    chosen.add_argument("--max-runs", type=cli.positive_int, metavar="N", help=f"at most the N newest ({MAX_RUNS})")
    chosen.add_argument(
        "--baseline", metavar="A,B", help="runs known to be good (or latest-good): what changed since, and is it worse"
    )
    metrics = parser.add_argument_group("which metric plays which role (default: recognised by name)")
    metrics.add_argument("--primary", metavar="K", help="the metric to rank by")
    for flag in ROLE_FLAGS:
        metrics.add_argument(f"--{flag}", metavar="K", help=f"{_ROLE_NAMES[flag]} metric")
    metrics.add_argument(
        "--goal", type=float, metavar="VALUE", help="target value; shows what each run needed to reach it"
    )
    metrics.add_argument("--target", dest="goal", type=float, help=argparse.SUPPRESS)  # its name until 0.1
    metrics.add_argument("--roles", metavar="FILE", help="TOML patterns for your own metric names (see roles.toml)")
    looking = parser.add_argument_group("how to look")
    looking.add_argument("--window", type=cli.positive_int, metavar="N", help="only the last N rows of each run")
    looking.add_argument(
        "--as-of", type=_moment, metavar="TIME", help="evaluate as if it were TIME (UTC), for reproducible reports"
    )
    looking.add_argument(
        "--watch", nargs="?", type=report_watch.interval, const=WATCH, metavar="SECONDS",
        help=f"re-check every SECONDS (default {WATCH:g}) and print what changed, until no run is running; "
        "auto: ever more rarely while nothing but progress is new",
    )  # fmt: skip
    looking.add_argument(
        "--notify", action="append", metavar="URL", default=[],
        help="with --watch: send each new bad or ugly finding there (a webhook; ntfy and Slack by host or prefix)",
    )  # fmt: skip
    looking.add_argument(
        "--notify-command", metavar="CMD", help="with --watch: run CMD with each new finding as JSON on its stdin"
    )
    looking.add_argument(
        "--jobs", type=cli.positive_int, metavar="N", help="processes that judge where it pays (default: one per core)"
    )
    add_dask_flag(looking)
    looking.add_argument(
        "--replay", action="store_true", help="when the ended runs could have been stopped, and how often wrongly"
    )
    looking.add_argument(
        "--forecast", action="store_true",
        help="where running runs are heading: the final level with an 80%% band, when they end, the chance to be best",
    )  # fmt: skip
    output = parser.add_argument_group("output")
    output.add_argument(
        "--compare", action="store_true", help="the comparison first and in full, with a model of the settings"
    )
    output.add_argument("--full", action="store_true", help="everything: all runs, findings, tables and reasons")
    output.add_argument("--out", metavar="FILE", help="write the report there; .json is JSON, else Markdown")
    output.add_argument("--html", metavar="FILE", help="write a single page with figures")
    output.add_argument("--figures", metavar="DIR", help="write a PNG of each bad or ugly finding; --json names them")
    output.add_argument(
        "--fail-on",
        choices=tuple(FAILING),
        help="exit with 1 if the verdict is this or worse, with 7 if nothing could be judged",
    )
    cli.add_common_flags(parser)
    return parser


def _moment(text: str) -> datetime:
    """Return a time (an argparse type), UTC where it names no zone."""
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 2026-01-31 or 2026-01-31T12:00Z") from error
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def run(args: argparse.Namespace) -> Exit:
    """Report on the runs that the arguments choose."""
    _check_flags(args)
    outputs = report_output.check_outputs(args)
    with cluster_of(args) as cluster:
        if args.watch is not None:
            return report_watch.watch(args, outputs, lambda: _look(args, cluster), lambda report: _ending(report, args))
        built = _look(args, cluster)
    report_output.deliver(built, outputs, args)
    return _ending(built.report, args)


def _look(args: argparse.Namespace, cluster: Cluster | None = None) -> Built:
    """Choose the runs, read and judge them."""
    from wandb_toolkit.reports.build import ReportOptions, build_report
    from wandb_toolkit.reports.spent import with_spent
    from wandb_toolkit.roles import load_patterns
    from wandb_toolkit.workers import usable_cores

    opened, selectors = cli.open_source(args, _target(args))
    patterns = load_patterns(Path(args.roles) if args.roles else None)
    runs, left_out, by_summary = _choose(opened, _query(args, selectors), args, patterns)
    options = ReportOptions(
        now=args.as_of or datetime.now(UTC),
        primary=args.primary,
        overrides=_overrides(args),
        patterns=patterns,
        goal=args.goal,
        model=args.compare or args.full,
        left_out=left_out,
        by_summary=by_summary,
        command=args.command,
        window=args.window,
        jobs=args.jobs or usable_cores(),
        elsewhere=cluster,
        as_of=args.as_of is not None,
    )
    if args.baseline is not None:
        from wandb_toolkit.changes.report import apart

        newest = args.runs is None and not args.latest and not selectors
        runs, known = apart(opened, cli.comma_list(args.baseline), runs, options, newest=newest)
        options = replace(options, baseline=tuple(known), left_out=0 if newest else options.left_out)
    total = len(runs) + len(options.baseline)
    ticker = cli.progress(range(total), "reading runs", total, args)
    built = build_report(opened, runs, options, on_run=lambda _: next(ticker, None))
    for _ in ticker:  # lets it clear its line
        pass
    if options.baseline:
        from wandb_toolkit.changes.report import with_changes

        built = with_changes(opened, built, options)
    if args.replay:
        from wandb_toolkit.replay.gpus import gpus_of
        from wandb_toolkit.replay.replay import replay

        found = replay(built, options, options.jobs, partial(gpus_of, opened))
        built = replace(built, report=replace(built.report, replay=found))
        if built.report.replay is None:
            cli.warn("--replay: none of the runs has ended", args)
    if args.forecast:
        from wandb_toolkit.forecast.forecast import forecast

        built = replace(built, report=replace(built.report, forecast=forecast(built)))
    built = with_spent(opened, built)
    report = built.report
    if args.goal is not None and report.primary is None:
        raise UsageError("--goal needs a metric to rank by, and none was recognised.", "Name one with --primary.")
    if args.compare and len(report.runs) < 2:
        cli.warn("--compare: there is only one run to report on", args)
    for error in report.errors:
        cli.warn(f"{error['name']} could not be read: {error['message']}", args)
    for line in opened.warnings:
        cli.warn(line, args)
    return built


def _ending(report: Report, args: argparse.Namespace) -> Exit:
    if args.fail_on and report.verdict in FAILING[args.fail_on]:
        return Exit.FAILED
    if args.fail_on and report.verdict == "unknown":
        return Exit.UNJUDGED
    return Exit.PARTIAL if report.errors else Exit.OK


def _overrides(args: argparse.Namespace) -> dict[str, str]:
    given = {flag.replace("-", "_"): getattr(args, flag.replace("-", "_")) for flag in ROLE_FLAGS}
    return {role: metric for role, metric in given.items() if metric is not None}


def _check_flags(args: argparse.Namespace) -> None:
    """Refuse flags that contradict each other, and blank names."""
    if args.target is not None and (args.entity or args.project):
        raise UsageError("The target and --entity/--project name two places.", "Give one of them.")
    if args.entity and not args.project:
        raise UsageError("--entity needs --project.", "Or give the target as entity/project.")
    if args.runs is not None and args.latest:
        raise UsageError("--runs and --latest contradict each other.", "Give one of them.")
    if args.latest and args.max_runs and args.latest > args.max_runs:
        raise UsageError(f"--latest {args.latest} asks for more than --max-runs {args.max_runs} allows.")
    if (args.notify or args.notify_command) and args.watch is None:
        raise UsageError("--notify and --notify-command need --watch.")
    if args.watch is not None and args.replay:
        raise UsageError("--watch looks at what is running, --replay at what has ended.", "Give one of them.")
    if args.watch is not None and args.as_of:
        raise UsageError("--watch looks at what is now; --as-of fixes another time.", "Give one of them.")
    if args.goal is not None and args.goal != args.goal:
        raise UsageError("--goal is not a number.")
    for flag in ("primary", *ROLE_FLAGS, "entity", "project"):
        value = getattr(args, flag.replace("-", "_"))
        if value is not None and not value.strip():
            raise UsageError(f"--{flag} is blank.")


def _target(args: argparse.Namespace) -> str | None:
    if args.project:
        return f"{args.entity}/{args.project}" if args.entity else str(args.project)
    return str(args.target) if args.target is not None else None


def _query(args: argparse.Namespace, selectors: Sequence[str]) -> RunQuery:
    from wandb_toolkit.sources import RunQuery

    if selectors and args.runs is not None:
        raise UsageError(f"The target already names {', '.join(selectors)}; --runs names others.", "Give one of them.")
    return RunQuery(
        states=choosing.states(args.state),
        tags=frozenset(cli.comma_list(args.tags)) if args.tags is not None else frozenset(),
        where=choosing.where_of(args),
        selectors=tuple(selectors) if args.runs is None else tuple(cli.comma_list(args.runs)),
    )


def _choose(
    source: Source, query: RunQuery, args: argparse.Namespace, patterns: RolePatterns
) -> tuple[list[Run], int, SummaryRanking | None]:
    """Return the runs to read, how many more match, and how all of these rank by their summaries.

    Raises:
        NotFoundError: none does; the hint says what there is instead.
    """
    most = args.latest or args.max_runs or MAX_RUNS
    query = replace(query, limit=None if query.selectors or args.as_of else most)
    runs = choosing.runs_of(source, query)
    if args.as_of:
        runs = [run for run in runs if run.created_at is None or run.created_at <= args.as_of]
        if not runs:
            raise NotFoundError(f"No run had started at {args.as_of:%Y-%m-%d %H:%M} UTC (--as-of).")
    if args.latest:
        from wandb_toolkit.resolve import newest_first

        return newest_first(runs)[: args.latest], 0, None
    total = source.count(query) if len(runs) == query.limit else len(runs)
    if total > most and query.limit is not None:
        from wandb_toolkit.reports.by_summary import chosen_of_many

        runs, ranking = chosen_of_many(source, query, most, args.primary, patterns)
        return runs, total - len(runs), ranking
    return runs[:most], total - len(runs[:most]), None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    parser.set_defaults(command=shlex.join(["wandb_report", *words]))
    return cli.run_command(parser, run, _bare_watch(words))


def _bare_watch(words: Sequence[str]) -> list[str]:
    """Return the words with a `--watch` that no number follows closed, so that it does not take the target."""
    after = [*words[1:], ""]
    return [
        f"--watch={WATCH:g}" if word == "--watch" and not re.fullmatch(r"\d+(\.\d+)?|auto", nxt) else word
        for word, nxt in zip(words, after, strict=True)
    ]
