"""get_history: the points themselves, for shells, spreadsheets and programs."""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from functools import partial
from math import isfinite
from typing import TYPE_CHECKING, Any

from wandb_toolkit import jsontext
from wandb_toolkit.cli import app as cli
from wandb_toolkit.commands.chosen_runs import add_run_arguments, open_runs
from wandb_toolkit.errors import Exit, NotFoundError, ToolkitError, UsageError, did_you_mean
from wandb_toolkit.resolve import settle_names

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray, History, MetricKind, Run
    from wandb_toolkit.points.rows import Rows
    from wandb_toolkit.sources.base import Source

MOST_ROWS = 200  # of a table on a terminal
AROUND = 20  # rows of --around without --rows
_TIMES = ("_runtime", "_timestamp")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SMOOTHED = " (smoothed)"

EXAMPLES = """\
get_history examples/wandb grpo-base-s1 --metrics train/loss,eval/accuracy | head
get_history ./wandb run-a,run-b --metrics 'eval/*' --last 5
get_history ./wandb latest --metrics train/loss,train/lr --around 8000 --rows 10
get_history ./wandb latest --metrics 'train/*' --at-best eval/accuracy --json | jq '.[0]'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("get_history", "Print the points of metrics: a table, CSV in a pipe, or JSON.", EXAMPLES)
    add_run_arguments(parser, several=True)
    parser.add_argument("--metrics", metavar="A,B", help="names or globs (default: every number but system.*)")
    parser.add_argument("--x-axis", metavar="KEY", help="what counts steps: step, runtime, wall, or a metric")
    parser.add_argument("--long", action="store_true", help="one row a point: metric and value are columns")
    parser.add_argument("--smoothed", action="store_true", help="also what figures draw: time-weighted EMA 0.99")
    parser.add_argument("--samples", type=cli.positive_int, metavar="N", help="about N rows a run (default: every row)")
    which = parser.add_argument_group("which rows (of each run)")
    which.add_argument("--first", type=cli.positive_int, metavar="N", help="the first N")
    which.add_argument("--last", type=cli.positive_int, metavar="N", help="the last N")
    which.add_argument("--every", type=cli.positive_int, metavar="N", help="each N-th")
    which.add_argument("--around", type=float, metavar="STEP", help="those nearest to a step")
    which.add_argument("--rows", type=cli.positive_int, metavar="N", help=f"how many with --around ({AROUND})")
    which.add_argument("--at-best", metavar="METRIC", help="the one at which a metric is best")
    which.add_argument("--since", type=_place, metavar="S", help="from a step, 90s, 10m, 2h, 1d of the run, or a date")
    which.add_argument("--until", type=_place, metavar="S", help="up to the same kinds of place")
    parser.add_argument("--format", choices=("table", "csv", "markdown"), help="table on a terminal, csv in a pipe")
    cli.add_common_flags(parser, lists=True)
    return parser


@dataclass(frozen=True)
class _Place:
    """A place in a run: a step, seconds since the start, or a time."""

    by: str  # "x", "runtime", "timestamp"
    value: float


def _place(text: str) -> _Place:
    """Return a place (an argparse type)."""
    match = re.fullmatch(r"(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)([smhd]?)", text.strip(), re.IGNORECASE)
    if match:
        number = float(match[1])
        return _Place("runtime", number * _UNITS[match[2].lower()]) if match[2] else _Place("x", number)
    try:
        when = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a step, a duration such as 10m, or a date") from error
    return _Place("timestamp", (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())


def run(args: argparse.Namespace) -> Exit:
    """Print the points."""
    _check(args)
    patterns = cli.comma_list(args.metrics) if args.metrics is not None else None
    source, runs = open_runs(args)
    asked = [*(patterns or ()), *([args.at_best] if args.at_best else [])] if patterns is not None else None
    histories, failed = _read(source, runs, asked, args)
    metrics = _chosen(patterns, source, runs, histories, args)
    found = [_rows(a_run, histories[at], metrics, args) for at, a_run in enumerate(runs) if at in histories]
    found = _smoothed(found, metrics) if args.smoothed else found
    found = [_wanted(rows, args) for rows in found]
    for line in source.warnings:
        cli.warn(line, args)
    for rows in found:
        for line in rows.run.warnings:
            cli.warn(f"{rows.run.label}: {line}", args)
    _write(found, args)
    return Exit.PARTIAL if failed else Exit.OK


def _check(args: argparse.Namespace) -> None:
    chosen = [flag for flag in ("first", "last", "around", "at_best") if getattr(args, flag) is not None]
    if len(chosen) > 1:
        names = " and ".join(f"--{flag.replace('_', '-')}" for flag in chosen)
        raise UsageError(f"{names} choose rows in different ways.", "Give one of them.")
    if args.rows and args.around is None:
        raise UsageError("--rows says how many rows --around shows.", "Give --around STEP, or --first or --last N.")
    if args.at_best and (args.long or args.smoothed):
        raise UsageError("--at-best is one row a run, as logged.", "Leave --long and --smoothed out.")
    if args.format and args.json:
        raise UsageError(f"--json and --format {args.format} are two formats.", "Give one of them.")


def _axis(args: argparse.Namespace) -> str | None:
    from wandb_toolkit.plots.charts import AXIS_NAMES

    return AXIS_NAMES.get(args.x_axis, args.x_axis) if args.x_axis is not None else None


def _read(
    source: Source, runs: Sequence[Run], patterns: Sequence[str] | None, args: argparse.Namespace
) -> tuple[dict[int, History], bool]:
    """Return the histories by the run's place, and whether some could not be read.

    Raises:
        ToolkitError: none could be read.
    """
    from wandb_toolkit.report.read import STEPS

    defined = {axis for a_run in runs for axis in a_run.step_metrics.values()}
    wanted = _axis(args)
    axes = tuple(sorted({*defined, *STEPS, *([wanted] if wanted else [])} - {"_step", *_TIMES}))
    keys = partial(_keys, tuple(patterns) if patterns is not None else None, axes)
    system = any(pattern.startswith("system.") for pattern in patterns or ())
    histories: dict[int, History] = {}
    errors: list[ToolkitError] = []
    found = source.histories(runs, keys, system=system, full=args.samples is None)
    for at, (a_run, history) in enumerate(cli.progress(found, "reading runs", len(runs), args)):
        if isinstance(history, ToolkitError):
            errors.append(history)
            cli.warn(f"{a_run.label} could not be read: {history.message}", args)
            continue
        histories[at] = history
        for line in history.warnings:
            cli.warn(f"{a_run.label}: {line}", args)
    if not histories and errors:
        raise errors[0]
    return histories, bool(errors)


def _keys(patterns: tuple[str, ...] | None, axes: tuple[str, ...], kinds: Mapping[str, MetricKind]) -> list[str]:
    """Return what to read of a run, once it is known what it logged."""
    names = [name for name, kind in kinds.items() if kind == "number"]
    if patterns is not None:
        settled = settle_names(patterns, names)
        names = [name for name in names if any(name == one or fnmatchcase(name, one) for one in settled)]
    return [*dict.fromkeys([*names, *(axis for axis in axes if axis in kinds), *_TIMES])]


def _chosen(
    patterns: Sequence[str] | None,
    source: Source,
    runs: Sequence[Run],
    histories: Mapping[int, History],
    args: argparse.Namespace,
) -> list[str]:
    """Return the metrics that names and globs mean, in the order asked for.

    Raises:
        NotFoundError: one means no numeric metric of any run; the hint has the nearest.
    """
    kinds = {name: kind for history in histories.values() for name, kind in history.kinds.items()}
    numeric = [name for history in histories.values() for name in history if name not in _TIMES]
    known = dict.fromkeys([*numeric, *(name for name, kind in kinds.items() if kind == "number")])
    chosen: dict[str, None] = {}
    for pattern in settle_names(patterns, known) if patterns is not None else ["*"]:
        matching = [pattern] if pattern in known else [name for name in known if fnmatchcase(name, pattern)]
        if patterns is None:
            matching = [name for name in matching if not name.startswith(("system.", "_"))]
        if not matching:
            kind = kinds.get(pattern)
            if kind is not None and kind != "number":
                raise UsageError(f"{pattern} is of the kind {kind}, not a number.", "show_run shows what is no curve.")
            raise NotFoundError(f"No metric called {pattern!r}.", did_you_mean(pattern.strip("*?[]"), known, "metric"))
        chosen |= dict.fromkeys(matching)
    if not chosen:
        raise NotFoundError("There is no numeric metric.", "list_metrics shows what was logged.")
    for name, what in ((args.at_best, "--at-best"), (_axis(args), "--x-axis")):
        if name and name not in known and name not in (*_TIMES, "_step"):
            raise NotFoundError(f"{what}: no metric called {name!r}.", did_you_mean(name, known, "metric"))
    if args.at_best:
        chosen.setdefault(args.at_best, None)
    kinds_of_time = {name.startswith("system.") for name in chosen}
    if len(kinds_of_time) > 1:
        raise UsageError(
            "System metrics are sampled by time, apart from the rows of the others.",
            "Ask for them in a call of their own.",
        )
    return list(chosen)


def _rows(a_run: Run, history: History, metrics: Sequence[str], args: argparse.Namespace) -> Rows:
    """Return the run's rows on the axis asked for, else on that of the training."""
    from dataclasses import replace

    from wandb_toolkit.model import RoleMatch
    from wandb_toolkit.points.rows import joined
    from wandb_toolkit.report.read import STEPS
    from wandb_toolkit.report.steps import step_axis

    wanted = _axis(args)
    if metrics and metrics[0].startswith("system."):
        made = joined(a_run, history, metrics)
        return replace(made, axis="_runtime", x=made.step, runtime=made.step, by_time=True)
    if wanted is None:
        judged = {name: RoleMatch(name, name, "") for name in metrics if name not in STEPS}
        axis = step_axis(a_run, history, judged)
        wanted = axis.metric if axis else "_step"
    return joined(a_run, history, metrics, wanted)


def _smoothed(found: Sequence[Rows], metrics: Sequence[str]) -> list[Rows]:
    """Return the rows with each metric's smoothed values, over the range of all runs, as figures have them."""
    import numpy as np

    from wandb_toolkit.plots.smoothing import Smoothing

    done = list(found)
    for name in metrics:
        xs = [rows.x[rows.there[name] & np.isfinite(rows.x)] for rows in found]
        ends = [(float(x.min()), float(x.max())) for x in xs if len(x)]
        span = max((high for _, high in ends), default=0.0) - min((low for low, _ in ends), default=0.0)
        for at, rows in enumerate(done):
            mask = rows.there[name] & np.isfinite(rows.x)
            smooth = np.full(len(rows), np.nan)
            made = Smoothing().apply(rows.x[mask], rows.values[name][mask], span)
            if made is not None:
                smooth[mask] = made
            done[at] = rows.with_column(name + _SMOOTHED, smooth, mask & np.isfinite(smooth))
    return done


def _wanted(rows: Rows, args: argparse.Namespace) -> Rows:
    """Return the rows that the flags choose."""
    import numpy as np

    from wandb_toolkit.points import rows as pick
    from wandb_toolkit.roles import direction_of

    if args.since:
        rows = pick.between(rows, args.since.value, None, args.since.by)
    if args.until:
        rows = pick.between(rows, None, args.until.value, args.until.by)
    if args.at_best:
        rows = pick.at_best(rows, args.at_best, highest=direction_of(args.at_best)[0] == "max")
    if args.around is not None:
        rows = pick.around(rows, args.around, args.rows or AROUND)
    if args.every:
        rows = pick.every(rows, args.every)
    if args.samples:
        rows = pick.evenly(rows, args.samples)
    if args.first or args.last:
        places = np.arange(len(rows))
        rows = rows.select(places[: args.first] if args.first else places[-args.last :])
    return rows


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
        """Return what stands in a column that is no metric."""
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
    from wandb_toolkit.points.rows import long_form

    for rows in found:
        if long:
            yield from (_Line(rows, at, {name: value}) for at, name, value in long_form(rows))
            continue
        for at in range(len(rows)):
            yield _Line(rows, at, {name: float(rows.values[name][at]) for name, m in rows.there.items() if m[at]})


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
    kind = args.format or ("table" if sys.stdout.isatty() else "csv")
    if kind == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(titles)
        writer.writerows([_in_full(cell) for cell in row] for row in cells)
    else:
        _print_table(titles, list(cells), args, markdown=kind == "markdown")


def _cells(line: _Line, head: Sequence[str], metrics: Sequence[str] | None) -> list[Any]:
    first = [line.shown(column) for column in head]
    if metrics is None:
        return [*first, *next(iter(line.points.items()))]
    return [*first, *(line.points.get(name) for name in metrics)]


def _in_full(value: Any) -> str:
    """Return a value for CSV: numbers in full, words for what is not finite, nothing for what was not logged."""
    if value is None:
        return ""
    return str(jsontext.jsonable(value)) if isinstance(value, float) and not isfinite(value) else str(value)


def _print_table(
    titles: Sequence[str], rows: Sequence[Sequence[Any]], args: argparse.Namespace, *, markdown: bool
) -> None:
    from wandb_toolkit.listing.table import TableColumn, markdown_table, table, terminal_width
    from wandb_toolkit.text import clean, number

    left_out = max(len(rows) - MOST_ROWS, 0) if sys.stdout.isatty() and not markdown else 0
    shown = [*rows[: MOST_ROWS // 2], *rows[-MOST_ROWS // 2 :]] if left_out else rows
    words = ("run", "name", "metric")
    columns = [TableColumn(clean(title, 60), "left" if title in words else "right") for title in titles]
    cells = [[number(value) for value in row] for row in shown]
    print(markdown_table(columns, cells) if markdown else table(columns, cells, terminal_width()))
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
