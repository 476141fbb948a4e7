"""generate_plots --kind scatter|parallel|bars: what many runs were set to, and what came out."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from wandb_toolkit.cli import app as cli
from wandb_toolkit.errors import UsageError
from wandb_toolkit.resolve import split_names

if TYPE_CHECKING:
    from wandb_toolkit.commands.plot_files import PlotFiles
    from wandb_toolkit.model import Run
    from wandb_toolkit.plots.coloring import Coloring
    from wandb_toolkit.plots.kinds import ResultKind
    from wandb_toolkit.plots.sweep import Sweep

# Flags that mean nothing here: (destination, what it is when not given).
_OF_CURVES = (
    ("all_metrics", False), ("include_system", False), ("smoothing", None), ("smoothing_weight", None),
    ("ema_weight", None), ("viewport_scale", None), ("smooth", None), ("no_ema", False), ("band", None), ("seed", None),
    ("x_axis", None), ("full_res", False), ("term", False), ("group_by_prefix", False), ("grid", False),
)  # fmt: skip


def check_flags(args: argparse.Namespace) -> None:
    """Refuse what means nothing with a kind that shows results.

    Raises:
        UsageError: such a flag is given, or a key is none.
    """
    from wandb_toolkit.plots.kinds import KINDS, ResultKind
    from wandb_toolkit.plots.sweep import check_key

    kind = KINDS[args.kind]
    assert isinstance(kind, ResultKind)
    for flag, absent in _OF_CURVES:
        if getattr(args, flag) != absent:
            name = f"--{flag.replace('_', '-')}"
            raise UsageError(f"{name} is for curves; --kind {args.kind} shows results.", f"Leave {name} out.")
    if args.metrics and args.y:
        raise UsageError("--metrics and --y both name the results.", "Give one of them.")
    for key in _names(args.x):
        check_key(key)
    if kind.keys == "judged":
        for flag in ("x", "group_by", "color_by"):
            if getattr(args, flag) is not None:
                name = f"--{flag.replace('_', '-')}"
                raise UsageError(f"--kind {kind.id} shows all settings of all configurations.", f"Leave {name} out.")


def draw_results(
    args: argparse.Namespace,
    kind: ResultKind,
    files: PlotFiles,
    labels: Sequence[str],
    groups: Mapping[str, Sequence[int]],
    coloring: Coloring | None,
) -> list[dict[str, str]]:
    """Draw and write the figures; return what was skipped: {"metric", "reason"}.

    Raises:
        NotFoundError: no run has a metric or a key.
        UsageError: a metric is no number, or there is nothing to draw it against.
    """
    from wandb_toolkit.output import safe_stem
    from wandb_toolkit.plots.kinds import draw_sweep
    from wandb_toolkit.plots.sweeps import sweeps_of

    metrics = _names(args.y or args.metrics)
    skipped: list[dict[str, str]] = []
    files.folder.reserve("plots")
    if kind.keys == "judged":
        sweeps, skipped = _judged(args, files, labels, metrics)
    else:
        sweeps = sweeps_of(
            kind, files.runs, labels, _names(args.x), metrics,
            groups=groups, group_by=args.group_by, coloring=coloring,
        )  # fmt: skip
    for sweep in cli.progress(sweeps, "drawing", len(sweeps), args):
        drawn = draw_sweep(kind, sweep, files.view)
        against = sweep.keys[:1] if kind.keys == "each" else ()
        files.write(drawn, kind.id, "__".join([kind.id, safe_stem(sweep.metric), *map(safe_stem, against)]))
    return skipped


def _judged(
    args: argparse.Namespace, files: PlotFiles, labels: Sequence[str], metrics: Sequence[str]
) -> tuple[list[Sweep], list[dict[str, str]]]:
    """Return the sweeps with what the report's comparison says of their settings, and the metrics without any."""
    from wandb_toolkit.plots.sweeps import judged_sweep, usual_metric
    from wandb_toolkit.reports.settings import judged_settings

    sweeps, skipped = [], []
    for metric in metrics or [usual_metric(files.runs)]:
        ticker = cli.progress(range(len(files.runs)), "reading runs", len(files.runs), args)
        signals = judged_settings(files.source, files.runs, metric, partial(_told, ticker))
        for _ in ticker:  # lets it clear its line
            pass
        if signals.refused:
            skipped.append({"metric": metric, "reason": signals.refused})
        else:
            sweeps.append(judged_sweep(files.runs, labels, metric, signals))
    return sweeps, skipped


def _told(ticker: Iterator[int], _: Run) -> None:
    next(ticker, None)


def _names(text: str | None) -> list[str]:
    if text is None:
        return []
    cli.comma_list(text)  # blank parts are an error
    return list(dict.fromkeys(split_names(text)))
