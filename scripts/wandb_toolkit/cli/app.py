"""What the commands share: flags, the error boundary with its exit codes, output and progress.

A command module has `build_parser()`, `run(args) -> Exit` and `main(argv)`; `main` calls `run_command` here.
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from wandb_toolkit import __version__, jsontext, limits
from wandb_toolkit.cli.fields import pick, unknown_field
from wandb_toolkit.cli.matplotlib_dir import settle_matplotlib
from wandb_toolkit.errors import Exit, ToolkitError, UsageError
from wandb_toolkit.listing.shapes import FIELDS
from wandb_toolkit.text import clean

if TYPE_CHECKING:
    from wandb_toolkit.sources.base import Source

T = TypeVar("T")

EXIT_CODES = """\
exit codes:
  0 done   1 failed   2 usage   3 authentication   4 not found   5 server or network
  6 partly done (what failed is listed)   7 could not be judged (--fail-on)   130 interrupted"""

TARGET_HELP = (
    "a folder above W&B runs, a run directory or .wandb file; or entity/project, entity/project/run, a W&B URL"
)
RUN_HELP = "run id, display name, glob, latest, latest:N, tag:x, group:x, sweep:x"


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors go through the boundary, and that knows the nearest flag."""

    def __init__(self, prog: str, description: str, examples: str) -> None:
        super().__init__(
            prog=prog,
            description=f"{description}\n\nexamples:\n{_indent(examples)}",
            epilog=EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.words: Sequence[str] = ()  # what is parsed
        self.add_argument("--version", action="version", version=f"wandb-toolkit {__version__}")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse, and keep the words for the message of an error."""
        self.words = list(sys.argv[1:] if args is None else args)
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        """Raise a `UsageError` with the usage line and the nearest flag.

        Raises:
            UsageError: always.
        """
        hint = self.format_usage().strip()
        flags = [option for action in self._actions for option in action.option_strings]
        unknown = re.findall(r"--[\w-]+", message) if message.startswith("unrecognized") else []
        near = [match for flag in unknown for match in get_close_matches(flag, flags, n=1)]
        if near:
            hint = f"Did you mean {', '.join(near)}?\n{hint}"
        elif message.startswith("unrecognized arguments: "):
            hint = f"{_quoted(self.prog, self.words)}\n{hint}"
        raise UsageError(message[:1].upper() + message[1:], hint)


def _quoted(prog: str, words: Sequence[str]) -> str:
    """Return the command with its run quoted: the words of one name, or the pattern that a shell expanded to files."""
    target, *rest = [word for word in words if not word.startswith("-")]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*rest, strict=False))
    start = "".join(letters[0] for letters in same)
    meant = f"{start}*" if len(rest) > 1 and len(start) > 1 else " ".join(rest)
    return f"Quote a name with blanks, and a pattern: {shlex.join([prog, target, meant])}"


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.strip().splitlines())


def add_common_flags(parser: argparse.ArgumentParser, *, lists: bool = False) -> None:
    """Add the flags that every command takes; `lists`: its JSON is a list, which --jsonl prints an element a line."""
    group = parser.add_argument_group("common")
    group.add_argument("--json", action="store_true", help="one JSON document on stdout; errors are JSON on stderr")
    group.add_argument(
        "--fields",
        type=comma_list,
        metavar="A,B.C",
        help="only these fields of the JSON, nested with dots",
    )
    if lists:
        parser.add_argument("--jsonl", action="store_true", help="JSON, one element of the list a line")
    group.add_argument(
        "--source",
        choices=("auto", "api", "local", "sdk"),
        default="auto",
        help="where to read (auto: a path that exists is local, else the W&B server; sdk: that through wandb.Api)",
    )
    group.add_argument(
        "--timeout", type=seconds, default=60.0, metavar="S", help="timeout in seconds for one server operation (60)"
    )
    group.add_argument("--no-cache", action="store_true", help="use no cache: of ended runs, of what local logs hold")
    group.add_argument(
        "--max",
        action="append",
        default=[],
        metavar="NAME=N",
        help="move a limit (docs/limits.md), e.g. metrics=500k; may be repeated",
    )
    group.add_argument("--quiet", "-q", action="store_true", help="no progress and no warnings on stderr")
    group.add_argument("--debug", action="store_true", help="show the traceback of an error")


def run_command(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], Exit], argv: Sequence[str] | None
) -> int:
    """Parse, run, and turn every outcome into an exit code: the one place where errors are shown."""
    words = _joined(sys.argv[1:] if argv is None else argv)
    as_json, debug = json_wanted(words), "--debug" in words
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115, PTH123 - `>&-` left none
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that is not UTF-8 gets \u2026, not a crash
    settle_matplotlib()
    try:
        args = parser.parse_args(words)
        args.json = as_json
        args.prog = parser.prog
        check_fields(parser.prog, args)
        with limits.chosen(getattr(args, "max", ())):
            code = int(run(args))
        if code == Exit.OK and _left_out(getattr(args, "opened", None)):
            code = int(Exit.PARTIAL)
        sys.stdout.flush()
        return code
    except SystemExit as exit_:  # --help, --version
        return int(exit_.code or 0)
    except BrokenPipeError:  # `| head`: the reader has what it wanted
        _discard_output()
        return Exit.OK
    except KeyboardInterrupt:
        show_error(ToolkitError("Interrupted."), as_json=as_json, kind="interrupted")
        return Exit.INTERRUPTED
    except ToolkitError as error:
        _show_traceback(debug=debug)
        show_error(error, as_json=as_json)
        return error.exit_code
    except Exception as error:
        _show_traceback(debug=debug)
        if isinstance(error, OSError) and error.filename is None and error.errno in _OUTPUT_ERRORS:
            show_error(ToolkitError(f"The output could not be written: {error.strerror}."), as_json=as_json)
            _discard_output()
            return Exit.FAILED
        what = f"Unexpected {type(error).__name__}: {error}"
        show_error(ToolkitError(what, "Run again with --debug for the traceback, and report it."), as_json=as_json)
        return Exit.FAILED


def _show_traceback(*, debug: bool) -> None:
    if debug:
        import traceback

        traceback.print_exc()


def _left_out(source: Source | None) -> bool:
    """Whether parts of a server's answers were of no use; the source's warnings say which."""
    odd: tuple[str, ...] = getattr(source, "odd", ())
    return bool(odd)


# What writing to stdout ends with when its disk is full or it is gone. Files that we open ourselves have a name.
_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})


def _discard_output() -> None:
    """Let what is left in stdout's buffer go nowhere, so that the interpreter does not fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def json_wanted(words: Sequence[str]) -> bool:
    """Whether the words ask for JSON; --fields and --jsonl do, too."""
    return any(word in ("--json", "--jsonl", "--fields") or word.startswith("--fields=") for word in words)


def check_fields(command: str, args: argparse.Namespace) -> None:
    """Refuse a field that the command's JSON never has, before anything is read.

    Raises:
        UsageError: there is no such field; the hint names the nearest.
    """
    grouped = command == "list_runs" and args.group_by is not None
    known = FIELDS.get(f"{command} --group-by" if grouped else command, ())
    for field in args.fields or () if known else ():
        if field.partition(".")[0] not in known:
            raise unknown_field(field, known)


def _joined(words: Sequence[str]) -> list[str]:
    """Return the words with ``--order -key`` as ``--order=-key``: argparse takes a leading dash for a flag."""
    result: list[str] = []
    for word in words:
        if result and result[-1] == "--order":
            result[-1] += f"={word}"
        else:
            result.append(word)
    return result


def show_error(error: ToolkitError, *, as_json: bool, kind: str | None = None) -> None:
    """Write one error to stderr, for people or as one JSON object."""
    if as_json:
        print(
            jsontext.line({"type": kind or error.type, "message": error.message, "hint": error.hint}), file=sys.stderr
        )
        return
    lines = [f"error: {error.message}", *error.hint.splitlines()]
    print("\n".join(clean_line(line) for line in lines if line), file=sys.stderr)


def clean_line(line: str) -> str:
    """Return a line of ours, safe to print, with its indentation."""
    return line[: len(line) - len(line.lstrip(" "))] + clean(line)


def warn(message: str, args: argparse.Namespace) -> None:
    """Write a warning to stderr, unless --quiet."""
    if not args.quiet:
        print(clean_line(f"warning: {message}"), file=sys.stderr)


def emit(args: argparse.Namespace, payload: Any, text: Callable[[], str], *, by_name: bool = False) -> None:
    """Write the result to stdout: the JSON document when it is asked for, else what `text` returns.

    `by_name`: the payload's values are its elements, under their names.
    """
    if not args.json:
        print(text())
        return
    document = jsontext.jsonable(payload)
    if args.fields is not None:
        document = pick(document, args.fields, by_name=by_name)
    if getattr(args, "jsonl", False):
        for item in document:
            print(jsontext.line(item))
        return
    print((jsontext.dumps if sys.stdout.isatty() else jsontext.rows)(document))


def comma_list(text: str) -> list[str]:
    """Return the parts of a comma-separated flag, stripped; ``\\,`` is a comma within a part.

    Raises:
        UsageError: a part is blank.
    """
    from wandb_toolkit.resolve import split_names

    parts = [part.strip() for part in split_names(text)]
    if any(not part for part in parts):
        raise UsageError(f"The list {text!r} has a blank part.", "Separate names with single commas.")
    return parts


def open_source(
    args: argparse.Namespace, text: str | None, *, of_entity: bool = False
) -> tuple[Source, tuple[str, ...]]:
    """Return the source that a target names, read as the common flags say, and the selectors that it holds.

    `of_entity`: all projects of an entity are wanted.

    Raises:
        ToolkitError: as `sources.open_source`.
    """
    from wandb_toolkit import sources

    reading = sources.ReadOptions(
        timeout=args.timeout,
        cache=not args.no_cache,
        budget=getattr(args, "budget", None),
        samples=getattr(args, "samples", None),
    )
    entity = getattr(args, "entity", None)
    found = sources.open_source(text, args.source, entity=entity, of_entity=of_entity, reading=reading)
    args.opened = found[0]
    return found


def seconds(text: str) -> float:
    """Return a number of seconds above 0 (an argparse type)."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def positive_int(text: str) -> int:
    """Return a whole number of 1 or more (an argparse type)."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


_PLAIN_EVERY = 10.0  # seconds between lines of progress where stderr is no terminal


def progress(items: Iterable[T], what: str, total: int, args: argparse.Namespace) -> Iterator[T]:
    """Yield `items`; once a second has passed, show the count and rate on a terminal's stderr.

    Elsewhere it is a line now and then, and nothing with --json, whose stderr is for programs.
    """
    terminal = sys.stderr.isatty()
    show = not args.quiet and (terminal or not args.json)
    start = last = time.monotonic()
    shown = False
    for count, item in enumerate(items, 1):
        now = time.monotonic()
        if show and now - start > 1 and now - last > (0.2 if terminal else _PLAIN_EVERY):
            rate = count / (now - start)
            line = f"{what}: {count}/{total} ({rate:.{0 if rate >= 10 else 1}f}/s)"
            print(f"\r{line}\x1b[K" if terminal else line, end="" if terminal else "\n", file=sys.stderr, flush=True)
            last, shown = now, terminal
        yield item
    if shown:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
