"""generate_plots: one picture per metric with every run in it, and a sentence on what each shows."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.commands.chosen_metrics import Chosen, axes_of, choose_metrics, read_metrics
from wandb_toolkit.commands.chosen_runs import add_run_arguments, open_runs
from wandb_toolkit.commands.plot_files import SECTION, PlotFiles, text_of
from wandb_toolkit.commands.plot_flags import add_kind_flags, add_look_flags, closed_log_y, smoothing_of, view_of
from wandb_toolkit.commands.sweep_plots import check_flags, draw_results
from wandb_toolkit.errors import Exit, UsageError
from wandb_toolkit.output import Folder, check_folder, output_folder, safe_stem
from wandb_toolkit.resolve import expanded, split_names

if TYPE_CHECKING:
    from wandb_toolkit.model import Run
    from wandb_toolkit.plots.coloring import Coloring
    from wandb_toolkit.plots.kinds import CurveKind, Drawn
    from wandb_toolkit.plots.workers import Settings, Task

EXAMPLES = """\
generate_plots ./wandb latest --metrics loss,reward
generate_plots ./wandb run-a,run-b --metrics 'train/*' --grid --theme dark
generate_plots ./wandb '*' --metrics eval/accuracy --group-by config.lr --band ci
generate_plots ./wandb '*' --kind scatter --x config.lr --y eval/accuracy
generate_plots ./wandb '*' --kind parallel --y eval/accuracy
generate_plots entity/project abc123 --all-metrics --smoothing gaussian --json"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("generate_plots", "Draw metrics of one or more runs, and settings against results.", EXAMPLES)
    add_run_arguments(parser, several=True)
    add_kind_flags(parser)
    what = parser.add_argument_group("which metrics (curves need at least one of these)")
    what.add_argument(
        "--metrics",
        metavar="A,B",
        help="names or globs, comma-separated (a comma in a name: \\\\,); drawn first with --all-metrics",
    )
    what.add_argument("--all-metrics", action="store_true", help="every numeric metric")
    what.add_argument("--include-system", action="store_true", help="system metrics too (with --all-metrics or globs)")
    add_look_flags(parser)
    where = parser.add_argument_group("where")
    where.add_argument("--output", metavar="DIR", help="folder (wandb_plots/<entity>_<project>/<run>)")
    where.add_argument("--group-by-prefix", action="store_true", help="train/loss goes to train/loss.png")
    where.add_argument("--grid", action="store_true", help="all metrics of a prefix on one page")
    where.add_argument("--jobs", type=cli.positive_int, metavar="N", help="worker processes (default: one per core)")
    cli.add_common_flags(parser)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """Draw the figures that the arguments ask for."""
    from wandb_toolkit.plots.kinds import KINDS, ResultKind

    _settle_kind(args)
    kind = KINDS[args.kind]
    curves = not isinstance(kind, ResultKind)
    patterns, smoothing, view = _patterns(args) if curves else None, smoothing_of(args), view_of(args)
    if not curves:
        check_flags(args)
    _check_grouping(args)
    if args.output is not None:
        check_folder(_given_folder(args.output))
    source, runs = open_runs(args)
    folder = Folder(_given_folder(args.output) if args.output is not None else output_folder(runs))
    from wandb_toolkit.plots.labels import run_labels

    if not curves:
        runs = source.loaded(runs)
    chosen, labels = Chosen(), tuple(run_labels(runs))
    files = PlotFiles(folder, runs, source, view, smoothing)
    try:
        if isinstance(kind, ResultKind):
            _, groups = _grouping(args, runs, chosen)
            chosen.skipped += draw_results(args, kind, files, labels, groups, _coloring(args, runs))
        else:
            _name_axis(args)
            chosen = choose_metrics(source, runs, patterns, args)
            from wandb_toolkit.plots.workers import Settings, light

            settings = Settings(
                tuple(map(light, runs)), labels, smoothing, view, args.x_axis, *_grouping(args, runs, chosen),
                kind.id, args.term, _coloring(args, runs),
            )  # fmt: skip
            _Curves(files, settings, args).draw(chosen)
    finally:  # interrupted too: what is finished is recorded
        chosen.warnings += files.record()
    for warning in (*chosen.warnings, *source.warnings):
        cli.warn(warning, args)
    payload = files.payload(labels, args.group_by, args.color_by, chosen.skipped, chosen.errors, chosen.warnings)
    cli.emit(args, payload, lambda: text_of(payload, files.term))
    # What --all-metrics cannot draw is no failure; what was asked for by name is.
    return Exit.PARTIAL if chosen.errors or (chosen.skipped and not args.all_metrics) else Exit.OK


def _settle_kind(args: argparse.Namespace) -> None:
    """Settle --kind, --grid, --x and --y: for curves they are --x-axis and --metrics by another name.

    Raises:
        UsageError: two of them contradict each other.
    """
    from wandb_toolkit.plots.kinds import KINDS, CurveKind

    if args.grid and args.kind not in (None, "grid"):
        raise UsageError(f"--grid and --kind {args.kind} contradict each other.", "Give one of them.")
    args.kind = args.kind or ("grid" if args.grid else "lines")
    if not isinstance(KINDS[args.kind], CurveKind):
        return
    for short, long in (("x", "x_axis"), ("y", "metrics")):
        if getattr(args, short) is not None:
            if getattr(args, long) is not None:
                flag = f"--{long.replace('_', '-')}"
                raise UsageError(f"--{short} and {flag} are the same for curves.", "Give one of them.")
            setattr(args, long, getattr(args, short))


def _given_folder(text: str) -> Path:
    if not text.strip():
        raise UsageError("--output is blank.", "Give it a folder, existing or new.")
    return expanded(text)


def _patterns(args: argparse.Namespace) -> list[str] | None:
    """Return the names and globs asked for, as they stand; None for all."""
    if args.all_metrics and args.metrics is None:
        return None
    if args.metrics is None:
        raise UsageError(
            "Which metrics?", "Give --metrics a,b (names or globs) or --all-metrics; list_metrics shows what there is."
        )
    cli.comma_list(args.metrics)  # blank parts are an error
    return split_names(args.metrics)


def _check_grouping(args: argparse.Namespace) -> None:
    from wandb_toolkit.plots.group_keys import HELP, parse_group_keys

    if args.color_by and args.group_by:
        raise UsageError("--color-by colors runs, and --group-by draws their means.", "Give one of them.")
    if args.color_by is not None:
        parse_group_keys(args.color_by, [args.color_by])
    if args.group_by is None:
        extra = [flag for flag in ("band", "seed") if getattr(args, flag) is not None]
        if extra:
            raise UsageError(f"--{extra[0]} needs --group-by.", f"Give --group-by {HELP}.")
    else:
        parse_group_keys(args.group_by, cli.comma_list(args.group_by))
    if args.seed is not None and args.seed < 0:
        raise UsageError("--seed is below 0.", "Give a whole number of 0 or more.")


def _grouping(args: argparse.Namespace, runs: Sequence[Run], chosen: Chosen) -> tuple[Any, dict[str, list[int]]]:
    """Return how to group, and the groups; (None, {}) for no groups.

    Raises:
        UsageError: no run has the value.
    """
    from wandb_toolkit.plots.group_keys import groups_of, parse_group_keys
    from wandb_toolkit.plots.grouping import Grouping

    if args.group_by is None:
        return None, {}
    keys, aside = parse_group_keys(args.group_by, cli.comma_list(args.group_by)).settled(runs)
    if aside:
        chosen.warnings.append(f"the groups leave out what only names a run or its place: {', '.join(aside)}")
    groups = groups_of(runs, keys)
    if len(groups) == len(runs) > 1:
        chosen.warnings.append(f"every group of {args.group_by} is a single run: there is no band to draw")
    return Grouping(args.group_by, args.band or "std", args.seed or 0), groups


def _coloring(args: argparse.Namespace, runs: Sequence[Run]) -> Coloring | None:
    from wandb_toolkit.plots.coloring import coloring_of

    return coloring_of(runs, args.color_by) if args.color_by else None


def _name_axis(args: argparse.Namespace) -> None:
    from wandb_toolkit.plots.charts import AXIS_NAMES

    if args.x_axis:
        args.x_axis = AXIS_NAMES.get(args.x_axis, args.x_axis)


class _Curves:
    """The figures of metrics over the steps."""

    def __init__(self, files: PlotFiles, settings: Settings, args: argparse.Namespace) -> None:
        self.files, self.settings, self.args = files, settings, args
        self.runs, self.source = files.runs, files.source

    @property
    def _kind(self) -> CurveKind:
        from wandb_toolkit.plots.kinds import curve_kind

        return curve_kind(self.settings.kind)

    def draw(self, chosen: Chosen) -> None:
        """Draw and write all figures."""
        from wandb_toolkit.plots.workers import WORTH_A_POOL, draw_all
        from wandb_toolkit.workers import held, interruptible, usable_cores

        self.files.folder.reserve(SECTION)
        figures = self._figures(chosen.metrics)
        jobs = self.args.jobs or (usable_cores() if len(figures) >= WORTH_A_POOL else 1)
        drawn = draw_all(self._tasks(figures, chosen), self.settings, min(jobs, len(figures)))
        with interruptible(), closing(drawn):  # type: ignore[type-var]
            for one in cli.progress(drawn, "drawing", len(figures), self.args):
                chosen.skipped += one.skipped
                if one.content:
                    with held():
                        self._write(one)
                if self.files.due:
                    chosen.warnings += self.files.record()

    def _figures(self, metrics: Sequence[str]) -> list[tuple[str, list[str]]]:
        """Return title and metrics of each figure: one each, or pages of a prefix."""
        if not self._kind.pages:
            return [(metric, [metric]) for metric in metrics]
        from wandb_toolkit.plots.figures.view import PANELS

        prefixes: dict[str, list[str]] = {}
        for metric in metrics:
            system = "/" not in metric and metric.startswith("system.")
            prefix = "system" if system else metric.rpartition("/")[0]
            prefixes.setdefault(prefix, []).append(metric)
        pages = []
        for prefix, names in prefixes.items():
            parts = [names[at : at + PANELS] for at in range(0, len(names), PANELS)]
            title = f"{prefix}/*" if prefix else "metrics"
            for count, part in enumerate(parts, 1):
                pages.append((title if len(parts) == 1 else f"{title} ({count} of {len(parts)})", part))
        return pages

    def _tasks(self, figures: Sequence[tuple[str, list[str]]], chosen: Chosen) -> Iterator[Task]:
        """Yield the tasks; the points are read as far ahead as memory allows."""
        from wandb_toolkit.plots.workers import task

        axes = axes_of(self.runs, self.args)
        left = list(figures)
        while left:
            part = [left.pop(0)]
            while left and (chosen.at_once is None or sum(len(m) for _, m in part) < chosen.at_once):
                part.append(left.pop(0))
            names = [metric for _, metrics in part for metric in metrics]
            histories = read_metrics(self.source, self.runs, chosen, names, self.args)
            for title, metrics in part:
                yield task(title, metrics, histories, axes)

    def _write(self, one: Drawn) -> None:
        by_prefix = self.args.group_by_prefix and not self._kind.pages
        stem = _stem(one.title) if by_prefix else safe_stem(one.title.removesuffix("/*"))
        self.files.write(one, self._kind.id, f"{self._kind.file}{stem}")


def _stem(metric: str) -> str:
    """Return the path of a metric's file below the output folder, a folder for each part of its prefix."""
    parts = metric.split("/")
    if len(parts) == 1 and metric.startswith("system."):
        parts = ["system", metric.removeprefix("system.")]
    return "/".join(map(safe_stem, parts))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, closed_log_y(sys.argv[1:] if argv is None else argv))
