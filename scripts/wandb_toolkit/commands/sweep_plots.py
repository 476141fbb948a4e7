"""generate_plots --kind scatter|parallel: what many runs were set to, and what came out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.errors import NotFoundError, UsageError
from wandb_toolkit.resolve import split_names
from wandb_toolkit.text import plural

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
    from wandb_toolkit.plots.sweep import check_key

    for flag, absent in _OF_CURVES:
        if getattr(args, flag) != absent:
            name = f"--{flag.replace('_', '-')}"
            raise UsageError(f"{name} is for curves; --kind {args.kind} shows results.", f"Leave {name} out.")
    if args.metrics and args.y:
        raise UsageError("--metrics and --y both name the results.", "Give one of them.")
    for key in _keys(args):
        check_key(key)


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
    from wandb_toolkit import roles
    from wandb_toolkit.output import safe_stem
    from wandb_toolkit.plots.kinds import draw_sweep
    from wandb_toolkit.plots.sweep import by_groups, checked_keys, result_name, sweep_of

    runs = files.runs
    keys, notes = chosen_keys(runs, kind, _keys(args))
    checked_keys(runs, keys)
    wanted = _metrics(args, runs)
    named = [result_name(runs, one) for one in wanted]
    files.folder.reserve("plots")
    figures = [(key,) for key in keys] if kind.keys == "each" else [tuple(keys)]
    total = len(named) * len(figures)
    jobs = ((name, note, own) for name, note in named for own in figures)
    for name, note, own in cli.progress(jobs, "drawing", total, args):
        direction, _ = roles.direction_of(name)
        said = [*notes, *([note] if note else [])]
        sweep: Sweep = sweep_of(
            runs, labels, name, direction, own, groups=groups, group_by=args.group_by, coloring=coloring, notes=said
        )
        if groups and kind.keys == "all":
            sweep = by_groups(sweep)
        drawn = draw_sweep(kind, sweep, files.view)
        files.write(drawn, kind.id, "__".join([kind.id, safe_stem(name), *map(safe_stem, own[: kind.keys == "each"])]))
    return []


def chosen_keys(runs: Sequence[Run], kind: ResultKind, given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the keys to draw against and notes on them; without `given`, those that differ between the runs.

    Raises:
        UsageError: a kind that needs one is given none, or nothing differs.
    """
    from wandb_toolkit.plots.sweep import MOST_AXES, varied_keys

    if given:
        if kind.keys == "all" and len(given) > 2 * MOST_AXES:
            raise UsageError(f"{len(given)} keys are too many for one figure.", f"Give at most {2 * MOST_AXES}.")
        return list(given), []
    varied, more = varied_keys(runs)
    hint = f"These differ between the runs: {', '.join(varied)}" if varied else "No setting differs between the runs."
    if kind.keys == "each":
        raise UsageError("Against which setting?", f"Give --x config.KEY. {hint}")
    if not varied:
        raise UsageError("No setting differs between the runs.", "Give --x config.KEY to draw one all the same.")
    return varied, [f"and {plural(more, 'more setting')} that differ (--x chooses)"] if more else []


def _keys(args: argparse.Namespace) -> list[str]:
    if args.x is None:
        return []
    cli.comma_list(args.x)  # blank parts are an error
    return list(dict.fromkeys(split_names(args.x)))


def _metrics(args: argparse.Namespace, runs: Sequence[Run]) -> list[str]:
    """Return the metrics asked for; without any, the one that a report would rank the runs by."""
    from wandb_toolkit import configs, roles

    text = args.y or args.metrics
    if text is not None:
        cli.comma_list(text)
        return list(dict.fromkeys(split_names(text)))
    names = [[key for key, value in configs.flatten(run.summary).items() if _is_number(value)] for run in runs]
    primary = roles.choose_primary(names)
    if primary is None:
        raise NotFoundError("No run has a result to draw.", "Give --y METRIC; list_metrics shows what was logged.")
    return [primary.metric]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
