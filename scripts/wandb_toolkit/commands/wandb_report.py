"""wandb_report: what is good, what holds the runs back, what broke, how they compare and what to try next."""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from wandb_toolkit import cli
from wandb_toolkit.errors import Exit, ToolkitError, UsageError
from wandb_toolkit.model import State
from wandb_toolkit.render import json_text

if TYPE_CHECKING:
    from wandb_toolkit.model import Report, Run
    from wandb_toolkit.sources.base import RunQuery, Source

MAX_RUNS = 80
ROLE_FLAGS = ("reward", "kl", "entropy", "grad-norm", "loss", "tokens")
WIDEST = 120  # columns of prose in a terminal

EXAMPLES = """\
wandb_report examples/wandb
wandb_report my-entity/my-project --latest 5 --primary eval/accuracy
wandb_report ./wandb --runs good-run,'sweep-*' --out report.md
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
    chosen.add_argument("--runs", metavar="A,B", help=f"each a {cli.RUN_HELP}")
    chosen.add_argument("--latest", type=cli.positive_int, metavar="N", help="the N runs started last")
    chosen.add_argument("--max-runs", type=cli.positive_int, metavar="N", help=f"at most the N newest ({MAX_RUNS})")
    metrics = parser.add_argument_group("which metric is what (default: recognised by name)")
    metrics.add_argument("--primary", metavar="K", help="the metric to rank by")
    for flag in ROLE_FLAGS:
        metrics.add_argument(f"--{flag}", metavar="K", help=f"the metric that is the {flag.replace('-', ' ')}")
    output = parser.add_argument_group("output")
    output.add_argument("--out", metavar="FILE", help="write the report there; .json is JSON, else Markdown")
    cli.add_common_flags(parser)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """Report on the runs that the arguments choose."""
    _check_flags(args)
    out = _check_out(args.out) if args.out else None
    from datetime import UTC, datetime

    from wandb_toolkit.report import build_report

    source, selectors = cli.open_source(args, _target(args))
    runs, left_out = _choose(source, _query(args, selectors), args)
    ticker = cli.progress(range(len(runs)), "reading runs", len(runs), args)
    report = build_report(
        source,
        runs,
        primary=args.primary,
        overrides=_overrides(args),
        now=datetime.now(UTC),
        left_out=left_out,
        command=args.command,
        on_run=lambda _: next(ticker, None),
    )
    for _ in ticker:  # lets it clear its line
        pass
    for error in report.errors:
        cli.warn(f"{error['name']} could not be read: {error['message']}", args)
    _deliver(report, out, args)
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
        states=cli.states(args.state),
        tags=frozenset(cli.comma_list(args.tags)) if args.tags is not None else frozenset(),
        selectors=tuple(selectors) if args.runs is None else tuple(cli.comma_list(args.runs)),
    )


def _choose(source: Source, query: RunQuery, args: argparse.Namespace) -> tuple[list[Run], int]:
    """Return the runs to read, and how many more match.

    Raises:
        NotFoundError: none does; the hint says what there is instead.
    """
    most = args.latest or args.max_runs or MAX_RUNS
    query = replace(query, limit=None if query.selectors else most)
    runs = source.runs(query)
    if not runs:
        raise cli.no_runs(source)
    if args.latest:
        from wandb_toolkit.resolve import newest_first

        return newest_first(runs)[: args.latest], 0
    total = source.count(query) if len(runs) == query.limit else len(runs)
    return runs[:most], total - len(runs[:most])


def _check_out(text: str) -> Path:
    """Return where the report goes, having made sure that it can go there.

    Raises:
        UsageError: it is a folder, or lies below a file, or asks for a format that there is not.
        ToolkitError: the folder cannot be made or written to.
    """
    from wandb_toolkit.artifacts import check_folder

    path = Path(text).expanduser()
    if not text.strip() or path.is_dir() or text.endswith("/"):
        raise UsageError(f"--out {text!r} is a folder, not a file.", "Give a file name such as report.md.")
    if path.suffix.lower() in (".html", ".htm", ".pdf"):
        raise UsageError(f"A report cannot be written as {path.suffix}.", "Give a name in .md or .json.")
    try:
        check_folder(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
    except ToolkitError as error:
        raise type(error)(error.message, error.hint.replace("--output", "--out")) from error
    except OSError as error:
        raise ToolkitError(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
    return path


def _deliver(report: Report, out: Path | None, args: argparse.Namespace) -> None:
    """Write the report to its file, or to stdout."""
    from wandb_toolkit.render.markdown import markdown, summary
    from wandb_toolkit.render.report_json import report_object

    payload: dict[str, Any] = report_object(report)
    if out is None:
        cli.emit(args, payload, lambda: markdown(report, _width()))
        return
    as_json = out.suffix.lower() == ".json" or (args.json and out.suffix.lower() not in (".md", ".markdown"))
    _write(out, (json_text.dumps(payload) if as_json else markdown(report)) + "\n")
    cli.emit(args, {**payload, "path": str(out)}, lambda: "\n".join([f"Wrote {out}", *summary(report)]))


def _width() -> int | None:
    return min(shutil.get_terminal_size().columns, WIDEST) if sys.stdout.isatty() else None


def _write(out: Path, text: str) -> None:
    from wandb_toolkit.artifacts import Folder

    data = text.encode("utf-8", "replace")
    try:
        if out.exists() and not out.is_file():  # a pipe, /dev/null
            out.write_bytes(data)
            return
        Folder(out.parent).write(out.name, lambda temporary: temporary.write_bytes(data))
    except ToolkitError as error:
        raise type(error)(error.message, error.hint.replace("--output", "--out")) from error
    except OSError as error:
        raise ToolkitError(f"{out} could not be written: {error.strerror}.") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    parser.set_defaults(command=shlex.join(["wandb_report", *words]))
    return cli.run_command(parser, run, words)
