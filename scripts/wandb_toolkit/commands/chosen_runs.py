"""The runs that ``<target> <run>`` of a command means."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli import choosing
from wandb_toolkit.errors import NotFoundError, ToolkitError, UsageError, did_you_mean

if TYPE_CHECKING:
    from wandb_toolkit.model import Run
    from wandb_toolkit.sources.base import Source


def add_run_arguments(parser: argparse.ArgumentParser, *, several: bool) -> None:
    """Add the positional target and run."""
    parser.add_argument("target", help=cli.TARGET_HELP)
    what = f"{cli.RUN_HELP}; or several, comma-separated" if several else cli.RUN_HELP
    parser.add_argument("run", nargs="?", help=f"{what} (may be left out where the target is one run)")
    choosing.add_filter_flag(parser)


def open_runs(args: argparse.Namespace, default: str | None = None) -> tuple[Source, list[Run]]:
    """Return the source that the target names and the runs meant there; `default` selects where none is named.

    Raises:
        UsageError: no run is named where there are several, or the target and the argument both name one.
        NotFoundError: a selector matches nothing, or there is no run at all.
    """
    from wandb_toolkit.sources import RunQuery

    try:
        source, selectors = cli.open_source(args, args.target)
    except ToolkitError as error:
        if args.run is not None and _looks_like_a_target(args.run):
            command = shlex.join([args.prog, args.run, args.target])
            raise UsageError(f"The target comes first, then the run: {command}") from error
        raise
    if args.run is not None:
        if selectors and selectors != (args.run,):
            raise UsageError(
                f"The target already names the run {selectors[0]}, and {args.run!r} names another.", "Give one of them."
            )
        selectors = (args.run,)
    where = choosing.where_of(args)
    if where is not None:
        return source, choosing.runs_of(source, RunQuery(selectors=selectors, where=where))
    if not selectors and default is not None:
        selectors = (default,)
    query = RunQuery(selectors=selectors, limit=None if selectors else 10)
    runs = source.runs(query)
    if not runs:
        raise NotFoundError(f"There are no runs in {args.target}.")
    if not selectors and len(runs) > 1:
        names = [run.name for run in runs]
        hint = f"Give a {cli.RUN_HELP}. {did_you_mean('', names, 'run')}"
        raise UsageError(f"Which of the {source.count(query)} runs in {args.target} is meant?", hint)
    return source, runs


def _looks_like_a_target(text: str) -> bool:
    try:
        return "://" in text or (("/" in text or text.endswith(".wandb")) and Path(text).expanduser().exists())
    except (OSError, RuntimeError, ValueError):  # a name too long, a home that is not known
        return False


def the_run(args: argparse.Namespace, default: str | None = None) -> tuple[Source, Run]:
    """Return the source and the one run meant.

    Raises:
        UsageError: the selector matches several.
    """
    source, runs = open_runs(args, default)
    if len(runs) > 1:
        hint = f"Name one of them: {', '.join(run.id for run in runs[:8])}"
        what = repr(args.run) if args.run is not None else f"--filter {args.filter!r}" if args.filter else args.target
        raise UsageError(f"{what} means {len(runs)} runs, and this command takes one.", hint)
    return source, runs[0]
