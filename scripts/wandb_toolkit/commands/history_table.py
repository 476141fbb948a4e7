"""`get_history --table`: the rows of W&B tables in place of metrics' points."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from wandb_toolkit.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from wandb_toolkit.downloads.tables import Table
    from wandb_toolkit.model import Run
    from wandb_toolkit.sources.base import Source

OF_POINTS = (
    "metrics", "x_axis", "long", "smoothed", "samples", "first", "last", "every", "around", "rows", "at_best", "since",
    "until",
)  # fmt: skip


def add_table_flags(parser: argparse.ArgumentParser) -> None:
    """Add --table and --step."""
    parser.add_argument("--table", metavar="KEY", help="the rows of a logged W&B table instead")
    parser.add_argument("--step", type=_table_step, metavar="N", help="which --table: last (default), all, or a step")


def _table_step(text: str) -> str | int:
    """Return "last", "all" or a step (an argparse type)."""
    if text in ("last", "all"):
        return text
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not last, all or a step")
    return int(text)


def check_table_flags(args: argparse.Namespace) -> None:
    """Refuse flags that do not go together.

    Raises:
        UsageError: a flag of points beside --table, or --step without it.
    """
    if args.table is None:
        if args.step is not None:
            raise UsageError("--step says which --table is meant.", "For points near a step, give --around STEP.")
        return
    given = [name for name in OF_POINTS if getattr(args, name)]
    if given:
        raise UsageError(
            f"--{given[0].replace('_', '-')} is about metrics, not about a --table.", "Leave one of them out."
        )


def read_tables(
    source: Source, runs: Sequence[Run], args: argparse.Namespace
) -> tuple[list[tuple[Run, Table]], list[str]]:
    """Return the tables of the runs that have them, and what to say of those that do not.

    Raises:
        NotFoundError: none has.
    """
    from wandb_toolkit.downloads.tables import tables_of

    tables: list[tuple[Run, Table]] = []
    missing: list[NotFoundError] = []
    for run in runs:
        try:
            tables += [(run, table) for table in tables_of(source, run, args.table, args.step or "last")]
        except NotFoundError as error:
            missing.append(error)
    if not tables and missing:
        raise missing[0]
    return tables, [error.message for error in missing]


def table_objects(tables: Sequence[tuple[Run, Table]]) -> list[dict[str, Any]]:
    """Return the rows as get_history's JSON has rows."""
    return [
        {
            "run": run.id,
            "name": run.name,
            "step": table.step,
            "step_metric": "_step",
            "log_step": table.step,
            "runtime": None,
            "timestamp": None,
            "values": dict(zip(table.columns, row, strict=True)),
        }
        for run, table in tables
        for row in table.rows
    ]


def table_cells(tables: Sequence[tuple[Run, Table]]) -> tuple[list[str], list[list[Any]]]:
    """Return titles and rows: run and name where there are several runs, `_step` where there are, then the columns."""
    runs = len({id(run) for run, _ in tables}) > 1
    steps = len({table.step for _, table in tables}) > 1
    columns = list(dict.fromkeys(name for _, table in tables for name in table.columns))
    rows = []
    for run, table in tables:
        head = [*([run.id, run.name] if runs else []), *([table.step] if steps else [])]
        for row in table.rows:
            cells = dict(zip(table.columns, row, strict=True))
            rows.append([*head, *(cells.get(name) for name in columns)])
    return [*(["run", "name"] if runs else []), *(["_step"] if steps else []), *columns], rows
