"""--watch: the report again and again, only its changes printed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from wandb_toolkit.cli import app as cli
from wandb_toolkit.commands import report_output
from wandb_toolkit.commands.report_output import Outputs
from wandb_toolkit.errors import Exit, ServerError, ToolkitError
from wandb_toolkit.text import clean

if TYPE_CHECKING:
    from wandb_toolkit.model import Report
    from wandb_toolkit.reports.build import Built

Look: TypeAlias = "Callable[[], Built]"

PATIENCE = 5  # failures in a row, after which watching ends
sleep = time.sleep  # tests put their own here


def watch(args: argparse.Namespace, outputs: Outputs, look: Look, ending: Callable[[Report], Exit]) -> Exit:
    """Look until no run is running any more, or the verdict is one that --fail-on names, or Ctrl-C.

    The first report is printed whole, then only what changed. With --json the changes go to stderr, and the last
    report is the one document on stdout. Ctrl-C is the usual end: what was seen last is kept.
    """
    from wandb_toolkit.reports.changes import still_going

    last: Report | None = None
    code: Exit | None = None
    try:
        while code is None:
            last = _once(args, outputs, look, last)
            if ending(last) is Exit.FAILED:
                _say(f"Ended: the verdict is {last.verdict}.", args)
                code = Exit.FAILED
            elif not still_going(last):
                _say("Ended: no run is running any more.", args)
                code = ending(last)
            else:
                sleep(args.watch)
    except KeyboardInterrupt:
        if last is None:
            raise
        _say("Stopped.", args)
        code = Exit.INTERRUPTED
    if args.json and last is not None:
        cli.emit(args, report_output.document(last, outputs), str)
    return code


def _once(args: argparse.Namespace, outputs: Outputs, look: Look, last: Report | None) -> Report:
    """Look once and tell; a failure is borne for a while if there was a report before.

    Raises:
        ToolkitError: the first look failed, or several in a row did.
    """
    from wandb_toolkit.reports.changes import changes

    for failures in range(1, PATIENCE + 1):
        try:
            built = look()
            break
        except ToolkitError as error:
            if last is None or failures == PATIENCE or not isinstance(error, ServerError):
                raise
            cli.warn(f"{error.message} Trying again.", args)
            sleep(args.watch)
    report = built.report
    if last is None:
        report = report_output.write_files(built, outputs, args)
        if not args.json:
            print(report_output.text(report, outputs, args), flush=True)
        _say(f"Watching every {args.watch:g} s; Ctrl-C ends it.", args)
        return report
    lines = changes(last, report)
    if lines or outputs.figures:  # the last report, too, names its figures
        report = report_output.write_files(built, outputs, args)
    for line in lines:
        print(f"{datetime.now(UTC):%H:%M:%S} {clean(line)}", file=sys.stderr if args.json else sys.stdout, flush=True)
    return report


def _say(text: str, args: argparse.Namespace) -> None:
    if not args.quiet:
        print(text, file=sys.stderr, flush=True)
