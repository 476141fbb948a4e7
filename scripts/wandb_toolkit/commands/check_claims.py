"""check_claims: are the numbers in a README, paper or PR text those of the runs?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wandb_toolkit.cli import app as cli
from wandb_toolkit.errors import Exit, ToolkitError, UsageError
from wandb_toolkit.resolve import expanded

if TYPE_CHECKING:
    from wandb_toolkit.claims.document import Document

EXAMPLES = """\
check_claims examples/results.md
check_claims README.md my-entity/my-project
check_claims paper.tex ./wandb --write
check_claims claims.yaml ./wandb --json | jq '.claims[] | select(.verdict != "confirmed")'"""

EPILOG = """\
exit codes:
  0 all claims confirmed   1 the runs contradict a claim, or failed   2 usage   3 authentication   4 not found
  5 server or network   6 a run could not be read   7 nothing to check, or a marked claim could not be decided
  130 interrupted"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("check_claims", "Check the numbers that a text claims against the runs.", EXAMPLES)
    parser.epilog = EPILOG
    parser.add_argument("file", help="Markdown, LaTeX (.tex) or a YAML list of claims; - is Markdown on stdin")
    parser.add_argument(
        "target",
        nargs="?",
        help=f"{cli.TARGET_HELP} (default: what the file names with wandb-target, else runs at hand)",
    )
    parser.add_argument("--write", action="store_true", help="add a mark to each claim that was found and confirmed")
    parser.add_argument("--full", action="store_true", help="show all claims, however many")
    cli.add_common_flags(parser)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """Check the claims."""
    from wandb_toolkit.claims.check import check
    from wandb_toolkit.claims.document import named_target
    from wandb_toolkit.claims.shape import checked_object, text_of

    if args.write and args.file == "-":
        raise UsageError("--write needs a file to write to.", "Give the file's name in place of -.")
    document = _document(args.file)
    target = args.target if args.target is not None else named_target(document, expanded(args.file))
    source, selectors = cli.open_source(args, target)
    checked = check(document, source, selectors, lambda found, total: cli.progress(found, "reading runs", total, args))
    for line in (*source.warnings, *checked.warnings):
        cli.warn(line, args)
    for a_run, error in checked.failed:
        cli.warn(f"{a_run.label} could not be read: {error.message}", args)
    written = None
    if args.write:
        from wandb_toolkit.claims.write import with_marks, write

        raw, written = with_marks(document, checked)
        if written:
            write(expanded(args.file), document, raw)
    payload = checked_object(args.file, source.description, source.kind, checked, written)
    cli.emit(args, payload, lambda: text_of(args.file, checked, written, full=args.full))
    if checked.verdict == "wrong":
        return Exit.FAILED
    if checked.failed:
        return Exit.PARTIAL
    return Exit.OK if checked.verdict == "confirmed" else Exit.UNJUDGED


def _document(name: str) -> Document:
    """Return the file that is named.

    Raises:
        ToolkitError: as `claims.document.read_file`.
    """
    from wandb_toolkit.claims.document import document_of, read_file

    if name != "-":
        return read_file(expanded(name))
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None:
        raise ToolkitError("There is nothing on stdin.")
    return document_of("-", stream.read())


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
