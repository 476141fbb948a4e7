"""`--format`: a table for people, or as CSV, Markdown or LaTeX."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, cast

from wandb_toolkit.errors import UsageError

if TYPE_CHECKING:
    from wandb_toolkit.listing.table import TableFormat

FORMATS = ("table", "csv", "markdown", "latex")


def add_format_flag(parser: argparse.ArgumentParser, default: str = "table") -> None:
    """Add --format; `default` says what is printed without it."""
    parser.add_argument("--format", choices=FORMATS, help=f"{default}; csv: values in full; latex: for booktabs")


def format_of(args: argparse.Namespace, default: TableFormat = "table") -> TableFormat:
    """Return the kind of table that is asked for.

    Raises:
        UsageError: JSON is asked for, too.
    """
    if args.format and args.json:
        raise UsageError(f"--json and --format {args.format} are two formats.", "Give one of them.")
    return cast("TableFormat", args.format or default)
