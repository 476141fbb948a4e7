"""get_history: the points themselves, for shells, spreadsheets and programs."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite, nan
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli.formats import add_format_flag, format_of
from wandb_toolkit.commands.chosen_runs import add_run_arguments, open_runs
from wandb_toolkit.commands.history_table import (
    add_table_flags,
    check_table_flags,
    read_tables,
    table_cells,
    table_objects,
)
from wandb_toolkit.errors import Exit, UsageError

if TYPE_CHECKING:
    from wandb_toolkit.listing.table import TableFormat
    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.points.read import Place
    from wandb_toolkit.points.rows import Rows

MOST_ROWS = 200  # of a table on a terminal
AROUND = 20  # rows of --around without --rows; as in points.read, which help need not load
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

EXAMPLES = """\
get_history examples/wandb grpo-base-s1 --metrics train/loss,eval/accuracy | head
get_history ./wandb run-a,run-b --metrics 'eval/*' --last 5
get_history ./wandb latest --metrics train/loss,train/lr --around 8000 --rows 10
get_history ./wandb latest --metrics 'train/*' --at-best eval/accuracy --json | jq '.[0]'
get_history examples/wandb grpo-base-s1 --table samples"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("get_history", "Print the points of metrics: a table, CSV in a pipe, or JSON.", EXAMPLES)
    add_run_arguments(parser, several=True)
    parser.add_argument("--metrics", metavar="A,B", help="names or globs (default: every number but system.*)")
    parser.add_argument("--x-axis", metavar="KEY", help="what counts steps: step, runtime, wall, or a metric")
    parser.add_argument("--long", action="store_true", help="one row a point: metric and value are columns")
    parser.add_argument("--smoothed", action="store_true", help="also what figures draw: time-weighted EMA 0.99")
    parser.add_argument("--samples", type=cli.positive_int, metavar="N", help="about N rows a run (default: every row)")
    add_table_flags(parser)
    which = parser.add_argument_group("which rows (of each run)")
    which.add_argument("--first", type=cli.positive_int, metavar="N", help="the first N")
    which.add_argument("--last", type=cli.positive_int, metavar="N", help="the last N")
    which.add_argument("--every", type=cli.positive_int, metavar="N", help="each N-th")
    which.add_argument("--around", type=_step, metavar="STEP", help="those nearest to a step")
    which.add_argument("--rows", type=cli.positive_int, metavar="N", help=f"how many with --around ({AROUND})")
    which.add_argument("--at-best", metavar="METRIC", help="the one at which a metric is best")
    which.add_argument("--since", type=_place, metavar="S", help="from a step, 90s, 10m, 2h, 1d of the run, or a date")
    which.add_argument("--until", type=_place, metavar="S", help="up to the same kinds of place")
    add_format_flag(parser, "table on a terminal, csv in a pipe")
    cli.add_common_flags(parser, lists=True)
    return parser


def _step(text: str) -> float:
    """Return a finite number (an argparse type)."""
    value = float(text) if re.fullmatch(r"[+-]?[\d.]+(?:e[+-]?\d+)?", text, re.IGNORECASE) else nan
    if not isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a step")
    return value


def _place(text: str) -> Place:
    """Return a place in a run (an argparse type)."""
    from wandb_toolkit.points.read import Place

    match = re.fullmatch(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)([smhd]?)", text.strip(), re.IGNORECASE)
    if match:
        number = float(match[1])
        return Place("runtime", number * _UNITS[match[2].lower()]) if match[2] else Place("x", number)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a step, a duration such as 10m, or a date") from error
    return Place("timestamp", (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def run(args: argparse.Namespace) -> Exit:
    """Print the points."""
    from wandb_toolkit.points.read import Wanted, read_points

    _check(args)
    if args.table is not None:
        return _run_on_tables(args)
    metrics = tuple(cli.comma_list(args.metrics)) if args.metrics is not None else None
    source, runs = open_runs(args)
    wanted = Wanted(
        metrics=metrics,
        x_axis=args.x_axis,
        samples=args.samples,
        smoothed=args.smoothed,
        first=args.first,
        last=args.last,
        every=args.every,
        around=args.around,
        rows=args.rows,
        at_best=args.at_best,
        since=args.since,
        until=args.until,
    )
    found = read_points(source, runs, wanted, lambda each: cli.progress(each, "reading runs", len(runs), args))
    for line in (*source.warnings, *found.warnings):
        cli.warn(line, args)
    for a_run, error in found.errors:
        cli.warn(f"{a_run.label} could not be read: {error.message}", args)
    _write(found.rows, args)
    return Exit.PARTIAL if found.errors else Exit.OK


def _run_on_tables(args: argparse.Namespace) -> Exit:
    source, runs = open_runs(args)
    tables, missing = read_tables(source, runs, args)
    for line in (*source.warnings, *missing):
        cli.warn(line, args)
    if args.json:
        cli.emit(args, table_objects(tables), str)
    else:
        _print(*table_cells(tables), args)
    return Exit.OK


def _check(args: argparse.Namespace) -> None:
    chosen = [flag for flag in ("first", "last", "around", "at_best") if getattr(args, flag) is not None]
    if len(chosen) > 1:
        names = " and ".join(f"--{flag.replace('_', '-')}" for flag in chosen)
        raise UsageError(f"{names} choose rows in different ways.", "Give one of them.")
    if args.rows and args.around is None:
        raise UsageError("--rows says how many rows --around shows.", "Give --around STEP, or --first or --last N.")
    if args.at_best and (args.long or args.smoothed):
        raise UsageError("--at-best is one row a run, as logged.", "Leave --long and --smoothed out.")
    check_table_flags(args)
    format_of(args)


@dataclass(frozen=True)
class _Line:
    """One row of the output."""

    rows: Rows
    at: int
    points: Mapping[str, float]

    @property
    def step(self) -> float | int | None:
        """The place on the run's axis, None where the axis was not logged there."""
        value = float(self.rows.x[self.at])
        if value != value:
            return None
        return int(value) if value.is_integer() and abs(value) < 2**53 else value

    @property
    def log_step(self) -> int | None:
        return None if self.rows.by_time else int(self.rows.step[self.at])

    def shown(self, column: str) -> Any:
        """Return the value of a column other than the metrics."""
        run = self.rows.run
        head = {"run": run.id, "name": run.name, "_step": self.log_step, self.rows.axis: self.step}
        return head.get(column)

    def as_dict(self) -> dict[str, Any]:
        rows, run = self.rows, self.rows.run
        return {
            "run": run.id,
            "name": run.name,
            "step": self.step,
            "step_metric": rows.axis,
            "log_step": self.log_step,
            "runtime": _known(rows.runtime, self.at),
            "timestamp": _known(rows.timestamp, self.at),
            "values": dict(self.points),
        }


def _known(values: FloatArray, at: int) -> float | None:
    value = float(values[at])
    return value if value == value else None


def _lines(found: Sequence[Rows], *, long: bool) -> Iterator[_Line]:
    """Yield the rows of all runs; in the long form, one for each point."""
    from wandb_toolkit.points.read import lines_of
    from wandb_toolkit.points.rows import long_form

    for rows in found:
        if long:
            yield from (_Line(rows, at, {name: value}) for at, name, value in long_form(rows))
        else:
            yield from (_Line(rows, at, points) for at, points in lines_of(rows))


def _write(found: Sequence[Rows], args: argparse.Namespace) -> None:
    lines = _lines(found, long=args.long)
    if args.json:
        cli.emit(args, [line.as_dict() for line in lines], str)
        return
    axes = [rows.axis for rows in found if rows.axis != "_step"]
    steps = ["_step"] if any(not rows.by_time for rows in found) else []
    head = [*(["run", "name"] if len(found) > 1 else []), *dict.fromkeys([*axes, *steps])]
    metrics = list(dict.fromkeys(name for rows in found for name in rows.values if name not in axes))
    titles = [*head, *(["metric", "value"] if args.long else metrics)]
    cells = (_cells(line, head, None if args.long else metrics) for line in lines)
    _print(titles, cells, args)


def _print(titles: Sequence[str], cells: Iterable[Sequence[Any]], args: argparse.Namespace) -> None:
    kind = format_of(args, "table" if sys.stdout.isatty() else "csv")
    if kind == "csv":
        from wandb_toolkit.listing.table import csv_cell

        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow([csv_cell(title) for title in titles])
        writer.writerows([csv_cell(cell) for cell in row] for row in cells)
    else:
        _print_table(titles, list(cells), args, kind)


def _cells(line: _Line, head: Sequence[str], metrics: Sequence[str] | None) -> list[Any]:
    first = [line.shown(column) for column in head]
    if metrics is None:
        return [*first, *next(iter(line.points.items()))]
    return [*first, *(line.points.get(name) for name in metrics)]


def _print_table(
    titles: Sequence[str], rows: Sequence[Sequence[Any]], args: argparse.Namespace, kind: TableFormat
) -> None:
    from wandb_toolkit.listing.table import TableColumn, formatted, terminal_width
    from wandb_toolkit.text import clean, number

    left_out = max(len(rows) - MOST_ROWS, 0) if sys.stdout.isatty() and kind == "table" else 0
    shown = [*rows[: MOST_ROWS // 2], *rows[-MOST_ROWS // 2 :]] if left_out else rows
    words = ("run", "name", "metric")
    columns = [TableColumn(clean(title, 60), "left" if title in words else "right", text=number) for title in titles]
    print(formatted(kind, columns, shown, terminal_width()))
    if left_out:
        edge = MOST_ROWS // 2
        cli.warn(
            f"{left_out:,} rows between the first and the last {edge} are left out; --every N or --last N chooses, "
            "and a pipe or a file has them all",
            args,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
