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
    from wandb_toolkit.notify import Notifier
    from wandb_toolkit.reports.build import Built

Look: TypeAlias = "Callable[[], Built]"

PATIENCE = 5  # failures in a row, after which watching ends
sleep = time.sleep  # tests put their own here


AUTO = 0.0  # the interval that adapts itself
SHORTEST, LONGEST, GROWTH = 15.0, 600.0, 1.5  # seconds, seconds, times


def interval(text: str) -> float:
    """Return the seconds between two looks, `AUTO` for "auto" (an argparse type)."""
    return AUTO if text == "auto" else cli.seconds(text)


class Pause:
    """How long to wait for the next look: a fixed time, or ever longer while nothing but progress is new."""

    def __init__(self, given: float) -> None:
        self.grows = given == AUTO
        self.seconds = SHORTEST if self.grows else given

    def after(self, before: Report | None, now: Report) -> None:
        """Take note of what a look showed."""
        if self.grows and before is not None:
            same = _state_of(before) == _state_of(now)
            self.seconds = min(self.seconds * GROWTH, LONGEST) if same else SHORTEST


def _state_of(report: Report) -> set[tuple[object, ...]]:
    return {
        (one.run.project, one.run.id, one.run.state, one.verdict, *sorted(finding.id for finding in one.findings))
        for one in report.runs
    }


def _notifier(args: argparse.Namespace) -> Notifier | None:
    from wandb_toolkit.notify import Notifier, address_of, split_command

    if not args.notify and not args.notify_command:
        return None
    command = split_command(args.notify_command) if args.notify_command else ()
    return Notifier(tuple(map(address_of, args.notify)), command)


def watch(args: argparse.Namespace, outputs: Outputs, look: Look, ending: Callable[[Report], Exit]) -> Exit:
    """Look until no run is running any more, or the verdict is one that --fail-on names, or Ctrl-C.

    The first report is printed whole, then only what changed. With --json the changes go to stderr, and the last
    report is the one document on stdout. Ctrl-C is the usual end: what was seen last is kept.
    """
    from wandb_toolkit.reports.changes import still_going

    last: Report | None = None
    code: Exit | None = None
    pause = Pause(args.watch)
    notifier = _notifier(args)
    try:
        while code is None:
            before, last = last, _once(args, outputs, look, last, pause)
            pause.after(before, last)
            for problem in notifier.tell(last) if notifier else ():
                cli.warn(problem, args)
            if ending(last) is Exit.FAILED:
                _say(f"Ended: the verdict is {last.verdict}.", args)
                code = Exit.FAILED
            elif not still_going(last):
                _say("Ended: no run is running any more.", args)
                code = ending(last)
            else:
                sleep(pause.seconds)
    except KeyboardInterrupt:
        if last is None:
            raise
        _say("Stopped.", args)
        code = Exit.INTERRUPTED
    for problem in notifier.finish() if notifier and code is not Exit.INTERRUPTED else ():
        cli.warn(problem, args)
    if args.json and last is not None:
        cli.emit(args, report_output.document(last, outputs), str)
    return code


def _once(args: argparse.Namespace, outputs: Outputs, look: Look, last: Report | None, pause: Pause) -> Report:
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
            sleep(pause.seconds)
    report = built.report
    if last is None:
        report = report_output.write_files(built, outputs, args)
        if not args.json:
            print(report_output.text(report, outputs, args), flush=True)
        how = "ever more rarely" if pause.grows else f"every {pause.seconds:g} s"
        _say(f"Watching {how}; Ctrl-C ends it.", args)
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
