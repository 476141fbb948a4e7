"""generate_plots: one PNG per metric with every run in it, and a sentence on what each shows."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wandb_toolkit import cli
from wandb_toolkit.artifacts import METADATA, Folder, check_folder, digest, output_folder, run_key, safe_stem
from wandb_toolkit.commands.chosen_metrics import choose_metrics
from wandb_toolkit.commands.chosen_runs import add_run_arguments, open_runs
from wandb_toolkit.errors import Exit, UsageError
from wandb_toolkit.render.text import clean, plural
from wandb_toolkit.smoothing import VIEWPORT_SCALE, Smoothing

if TYPE_CHECKING:
    from concurrent.futures import Future

    from wandb_toolkit.charts import Chart
    from wandb_toolkit.commands.chosen_metrics import Chosen
    from wandb_toolkit.model import Run
    from wandb_toolkit.render.figures import Raster
    from wandb_toolkit.sources.base import Source

SECTION = "plots"
EMA_WEIGHT = 0.99
MOST_SENTENCES = 40  # with more figures, the sentences are left to --json

EXAMPLES = """\
generate_plots ./wandb latest --metrics loss,reward
generate_plots ./wandb run-a,run-b --metrics 'train/*' --group-by-prefix
generate_plots ./wandb 'seed-*' --all-metrics --smooth 20 --output figures
generate_plots entity/project abc123 --metrics system.gpu.0.gpu --no-ema --json"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("generate_plots", "Draw metrics of one or more runs, one PNG each.", EXAMPLES)
    add_run_arguments(parser, several=True)
    what = parser.add_argument_group("which metrics (one of these is needed)")
    what.add_argument("--metrics", metavar="A,B", help="metric names or globs, comma-separated")
    what.add_argument("--all-metrics", action="store_true", help="every numeric metric")
    what.add_argument("--include-system", action="store_true", help="system metrics too (with --all-metrics or globs)")
    how = parser.add_argument_group("how")
    how.add_argument("--full-res", action="store_true", help="draw every point (default: what the pixels can show)")
    how.add_argument("--ema-weight", type=_weight, metavar="W", help=f"time-weighted EMA's weight ({EMA_WEIGHT})")
    how.add_argument("--viewport-scale", type=_scale, metavar="S", help=f"its scale ({VIEWPORT_SCALE:g}, as on W&B)")
    how.add_argument("--smooth", type=cli.positive_int, metavar="N", help="running mean of N points instead of the EMA")
    how.add_argument("--no-ema", action="store_true", help="no EMA: only what was logged, and --smooth if given")
    how.add_argument(
        "--x-axis", metavar="KEY", help="_step, _runtime, _timestamp or a metric (default: as the run defined)"
    )
    where = parser.add_argument_group("where")
    where.add_argument("--output", metavar="DIR", help="folder (wandb_plots/<entity>_<project>/<run>)")
    where.add_argument("--group-by-prefix", action="store_true", help="train/loss goes to train/loss.png")
    cli.add_common_flags(parser)
    return parser


def _weight(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a weight between 0 and 1 (both excluded)")
    return value


def _scale(text: str) -> float:
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def run(args: argparse.Namespace) -> Exit:
    """Draw the figures that the arguments ask for."""
    patterns = _patterns(args)
    smoothing = _smoothing(args)
    if args.output is not None:
        check_folder(_given_folder(args.output))
    source, runs = open_runs(args)
    folder = Folder(_given_folder(args.output) if args.output is not None else output_folder(runs))
    chosen = choose_metrics(source, runs, patterns, args)
    plots: list[dict[str, Any]] = []
    try:
        _draw_all(chosen, runs, smoothing, folder, args, plots)
    finally:  # interrupted too: what is finished is recorded
        if plots:
            chosen.warnings += _record(folder, plots, runs, source, smoothing)
    for warning in chosen.warnings:
        cli.warn(warning, args)
    payload = _payload(folder, source, runs, chosen, plots)
    cli.emit(args, payload, lambda: _text(payload))
    # What --all-metrics cannot draw is no failure; what was asked for by name is.
    return Exit.PARTIAL if chosen.errors or (chosen.skipped and not args.all_metrics) else Exit.OK


def _given_folder(text: str) -> Path:
    if not text.strip():
        raise UsageError("--output is blank.", "Give it a folder, existing or new.")
    return Path(text).expanduser()


def _patterns(args: argparse.Namespace) -> list[str] | None:
    """Return the names and globs asked for, None for all."""
    if args.all_metrics and args.metrics is not None:
        raise UsageError("--metrics and --all-metrics contradict each other.", "Give one of them.")
    if args.all_metrics:
        return None
    if args.metrics is None:
        raise UsageError(
            "Which metrics?", "Give --metrics a,b (names or globs) or --all-metrics; list_metrics shows what there is."
        )
    return list(dict.fromkeys(cli.comma_list(args.metrics)))


def _smoothing(args: argparse.Namespace) -> Smoothing:
    given = [flag for flag in ("ema_weight", "viewport_scale") if getattr(args, flag) is not None]
    if args.smooth:
        if given:
            cli.warn(f"--{given[0].replace('_', '-')} does not count with --smooth, which replaces the EMA", args)
        return Smoothing("running_mean", window=args.smooth)
    if args.no_ema:
        return Smoothing("none")
    return Smoothing("twema", args.ema_weight or EMA_WEIGHT, args.viewport_scale or VIEWPORT_SCALE)


def _draw_all(
    chosen: Chosen,
    runs: Sequence[Run],
    smoothing: Smoothing,
    folder: Folder,
    args: argparse.Namespace,
    plots: list[dict[str, Any]],
) -> None:
    """Draw in this thread while another packs and writes the picture before."""
    from concurrent.futures import ThreadPoolExecutor

    from wandb_toolkit.charts import build_chart
    from wandb_toolkit.render.figures import Painter

    painter = Painter()
    folder.reserve(SECTION)
    written: list[Future[dict[str, Any]]] = []
    with ThreadPoolExecutor(1) as writer:
        try:
            for metric in cli.progress(chosen.metrics, "drawing", len(chosen.metrics), args):
                chart = build_chart(metric, runs, chosen.histories, smoothing, args.x_axis)
                if not chart.curves:
                    reason = "; ".join(chart.notes) or "has no point"
                    chosen.skipped.append({"metric": metric, "reason": reason})
                    continue
                raster = painter.paint(chart, full=args.full_res)
                written.append(writer.submit(_finish, folder, chart, raster, args.group_by_prefix))
                if len(written) > 2:  # two pictures in memory are enough
                    written[-3].result()
        finally:
            plots += [future.result() for future in written if future.exception() is None]
    for future in written:
        future.result()


def _finish(folder: Folder, chart: Chart, raster: Raster, by_prefix: bool) -> dict[str, Any]:
    """Write a figure and return what JSON says of it."""
    from wandb_toolkit.charts import as_dict
    from wandb_toolkit.render.figure_text import sentence
    from wandb_toolkit.render.figures import owner_of
    from wandb_toolkit.render.json_text import jsonable

    alt = sentence(chart)
    owner = "\n".join((chart.metric, *sorted(run_key(curve.run) for curve in chart.curves)))
    mark = digest(owner, 16)
    stem = _stem(chart.metric) if by_prefix else safe_stem(chart.metric)
    name = folder.claim(mark, stem, ".png", lambda path: owner_of(path) == mark)
    content = raster.png(alt, mark)
    written = folder.write(name, lambda temporary: temporary.write_bytes(content))
    return {
        "metric": chart.metric,
        "file": str(folder.path / name),
        "size": written["size"],
        "sha256": written["sha256"],
        "x_axis": chart.x_axis,
        "smoothing": chart.smoothing.as_dict(),
        "runs": jsonable([as_dict(c, shown) for c, shown in zip(chart.curves, raster.drawn, strict=True)]),
        "notes": list(chart.notes),
        "alt": alt,
        "_name": name,
        "_owner": mark,
    }


def _stem(metric: str) -> str:
    """Return the path of a metric's file below the output folder, a folder for each part of its prefix."""
    parts = metric.split("/")
    if len(parts) == 1 and metric.startswith("system."):
        parts = ["system", metric.removeprefix("system.")]
    return "/".join(map(safe_stem, parts))


def _record(
    folder: Folder, plots: list[dict[str, Any]], runs: Sequence[Run], source: Source, smoothing: Smoothing
) -> list[str]:
    files = {}
    for plot in plots:
        name, owner = plot.pop("_name"), plot.pop("_owner")
        files[name] = {"owner": owner, **{key: value for key, value in plot.items() if key != "file"}}
    return folder.record(SECTION, files, runs, source.description, smoothing=smoothing.as_dict())


def _payload(
    folder: Folder, source: Source, runs: Sequence[Run], chosen: Chosen, plots: list[dict[str, Any]]
) -> dict[str, Any]:
    from wandb_toolkit.charts import run_labels

    return {
        "output_dir": str(folder.path),
        "source": source.description,
        "runs": [
            {
                "id": run.id,
                "name": run.name,
                "label": label,
                "entity": run.entity,
                "project": run.project,
                "state": run.state,
            }
            for run, label in zip(runs, run_labels(runs), strict=True)
        ],
        "plots": plots,
        "skipped": chosen.skipped,
        "errors": chosen.errors,
        "warnings": chosen.warnings,
        "metadata": str(folder.path / METADATA) if plots else None,
    }


def _text(payload: Mapping[str, Any]) -> str:
    lines = []
    plots, skipped = payload["plots"], payload["skipped"]
    for plot in plots:
        lines.append(clean(plot["file"]))
        if len(plots) <= MOST_SENTENCES:
            lines.append(f"  {plot['alt']}")
    if len(plots) > MOST_SENTENCES:
        lines.append(f"What each of the {len(plots)} figures shows: --json, or {clean(payload['metadata'])}")
    lines += [f"skipped {clean(one['metric'])}: {clean(one['reason'])}" for one in skipped[:20]]
    if len(skipped) > 20:
        lines.append(f"and {plural(len(skipped) - 20, 'more metric')} skipped (--json lists them)")
    lines += [f"failed {clean(one['run'])}: {clean(one['message'])}" for one in payload["errors"]]
    if payload["metadata"]:
        lines.append(f"{plural(len(plots), 'figure')}, recorded in {clean(payload['metadata'])}")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
