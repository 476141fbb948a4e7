"""The metrics that a command means, and the histories to draw them from."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING

from wandb_toolkit.cli import app as cli
from wandb_toolkit.errors import NotFoundError, ToolkitError, UsageError, did_you_mean
from wandb_toolkit.resolve import plain_names, settle_names
from wandb_toolkit.text import clean

if TYPE_CHECKING:
    from wandb_toolkit.model import History, MetricKind, Run
    from wandb_toolkit.sources.base import KeyChoice, Source

_INSTEAD = {
    "image": "download_plots copies images.",
    "media": "download_plots --pattern copies media files.",
    "table": "download_plots --pattern '*.table.json' copies tables.",
    "histogram": "Log its mean or a quantile as a number to plot it.",
}


MOST_POINTS = 12_000_000  # in memory at once (about 300 MB); above, metrics are read some at a time
INTERNAL = ("_step", "_runtime", "_timestamp")  # W&B's own
_SAMPLES = 1500  # points of a metric in a sample


@dataclass
class Chosen:
    """What to draw, and what of it could not be had."""

    # By the run's place; one that failed has none. Only kinds, no series, where `read` has to be asked for them.
    histories: dict[int, History] = field(default_factory=dict)
    at_once: int | None = None  # metrics that may be read at a time; None: `histories` holds all of them
    metrics: list[str] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)  # metrics: {"metric", "reason"}
    errors: list[dict[str, str]] = field(default_factory=list)  # runs: {"run", "message"}
    warnings: list[str] = field(default_factory=list)


def choose_metrics(source: Source, runs: Sequence[Run], patterns: list[str] | None, args: argparse.Namespace) -> Chosen:
    """Return the metrics that names and globs mean (None: every numeric one), with the histories that hold them.

    Raises:
        ToolkitError: no run could be read.
        NotFoundError: a name or glob (or the x axis) means no metric of any run, or no metric is numeric.
        UsageError: everything asked for is something else than numbers.
    """
    from wandb_toolkit.plots.charts import STEP

    chosen = Chosen(at_once=_at_once(runs, patterns, args))
    chosen.histories = _read(source, runs, args, patterns, chosen)
    own = args.x_axis in (None, STEP, "_runtime", "_timestamp")
    if not own and not any(h.kinds.get(args.x_axis) == "number" for h in chosen.histories.values()):
        raise _unknown([args.x_axis], source, [runs[i] for i in chosen.histories])
    chosen.metrics = _choose(patterns, source, runs, chosen.histories, args, chosen)
    return chosen


def read_metrics(
    source: Source, runs: Sequence[Run], chosen: Chosen, metrics: Sequence[str], args: argparse.Namespace
) -> dict[int, History]:
    """Return the histories with these metrics, and with what they may be drawn against."""
    if chosen.at_once is None:
        return chosen.histories
    places = sorted(chosen.histories)
    keys = list(dict.fromkeys([*metrics, *sorted(axes_of(runs, args))]))
    found = source.histories([runs[i] for i in places], keys, full=args.full_res)
    return {i: history for i, (_, history) in zip(places, found, strict=True) if not isinstance(history, ToolkitError)}


def axes_of(runs: Sequence[Run], args: argparse.Namespace) -> set[str]:
    """Return the metrics that others may be drawn against."""
    from wandb_toolkit.plots.charts import STEP

    return ({axis for run in runs for axis in run.step_metrics.values()} | {args.x_axis}) - {None, STEP}


def _at_once(runs: Sequence[Run], patterns: Sequence[str] | None, args: argparse.Namespace) -> int | None:
    """Return how many metrics may be read at a time, None for all; judged by the runs' summaries and lengths."""
    from wandb_toolkit.configs import flatten

    longest = sum((run.rows or run.steps or 0) for run in runs)
    if not args.full_res and all(not run.paths for run in runs):  # samples from a server
        longest = min(longest, _SAMPLES * len(runs))
    if patterns and plain_names(patterns):
        asked = len(patterns)
    else:  # a server sends the summaries for this
        asked = len({name for run in runs for name in flatten(run.summary)})
    if longest * asked <= MOST_POINTS:
        return None
    return max(1, MOST_POINTS // longest)


def _is_glob(pattern: str) -> bool:
    return any(char in pattern for char in "*?[")


def _read(
    source: Source, runs: Sequence[Run], args: argparse.Namespace, patterns: list[str] | None, done: Chosen
) -> dict[int, History]:
    """Return the histories by the run's place in `runs`; a run that cannot be read goes to `done.errors`.

    Raises:
        ToolkitError: none could be read.
    """
    axes = axes_of(runs, args)
    keys: KeyChoice
    if done.at_once is not None:
        keys = partial(_matching, (), axes) if args.x_axis else _nothing
    elif patterns is None or args.all_metrics or not plain_names(patterns):
        keys = partial(_matching, None if args.all_metrics else patterns, axes)
    else:
        keys = list(dict.fromkeys([*patterns, *sorted(axes)]))
    system = args.include_system or any(p.strip().startswith("system.") for p in patterns or ())
    histories: dict[int, History] = {}
    failed: list[ToolkitError] = []
    found = source.histories(runs, keys, system=system and callable(keys), full=args.full_res)
    for i, (a_run, history) in enumerate(cli.progress(found, "reading runs", len(runs), args)):
        if isinstance(history, ToolkitError):
            failed.append(history)
            done.errors.append({"run": a_run.id, "message": history.message})
            done.warnings.append(f"{a_run.label} could not be read: {history.message}")
        else:
            histories[i] = history
            done.warnings += [f"{a_run.label}: {text}" for text in (*a_run.warnings, *history.warnings)]
    if not histories:
        raise failed[0]
    return histories


def _matching(patterns: Sequence[str] | None, axes: Collection[str], kinds: Mapping[str, MetricKind]) -> list[str]:
    """Return the numeric ones of a run's metrics that names and globs mean, and what they may be drawn against."""
    numeric = [name for name, kind in kinds.items() if kind == "number"]
    if patterns is not None:
        patterns = settle_names(patterns, kinds)
        numeric = [n for n in numeric if n in patterns or any(fnmatchcase(n, p) for p in patterns if _is_glob(p))]
    return list(dict.fromkeys([*numeric, *sorted(axes)]))


def _choose(
    patterns: list[str] | None,
    source: Source,
    runs: Sequence[Run],
    histories: Mapping[int, History],
    args: argparse.Namespace,
    done: Chosen,
) -> list[str]:
    """Return the metrics to draw; those that cannot be drawn go to `done.skipped`.

    Raises:
        NotFoundError: a name or glob means no metric of any run, or there is no numeric metric at all.
        UsageError: everything asked for is something else than numbers.
    """
    kinds = {name: kind for history in histories.values() for name, kind in history.kinds.items()}
    numeric = dict.fromkeys(name for history in histories.values() for name in history)
    if done.at_once is not None:
        numeric |= dict.fromkeys(name for name, kind in kinds.items() if kind == "number")
    hidden = {args.x_axis}
    if not args.include_system:
        hidden |= {*INTERNAL, *(name for name in numeric if name.startswith("system."))}
    chosen: dict[str, None] = {}
    other: list[str] = []
    unknown: list[str] = []
    for pattern in settle_names(patterns or (), kinds):
        if pattern in numeric:
            chosen[pattern] = None
            continue
        matching = [name for name in numeric if _is_glob(pattern) and fnmatchcase(name, pattern)]
        if not pattern.startswith("system."):
            matching = [name for name in matching if name not in hidden]
        chosen |= dict.fromkeys(matching)
        if pattern in kinds:
            other.append(pattern)
        elif not matching:
            unknown.append(pattern)
    if unknown:
        raise _unknown(unknown, source, [runs[i] for i in histories])
    if patterns is None or args.all_metrics:
        chosen |= dict.fromkeys(name for name in numeric if name not in hidden)
        other += [name for name in kinds if name not in numeric and name not in other]
    done.skipped += [{"metric": name, "reason": _not_numeric(kinds[name])} for name in other]
    if not chosen and other and patterns is not None and not args.all_metrics:
        raise UsageError(
            f"{clean(other[0])} {_not_numeric(kinds[other[0]])}", "list_metrics shows what can be plotted."
        )
    if not chosen:
        raise NotFoundError("There is no numeric metric to draw.", "list_metrics shows what was logged.")
    return list(chosen)


def _not_numeric(kind: str) -> str:
    if kind == "number":
        return "has no value."
    article = "an" if kind[0] in "aeiou" else "a"
    return f"is {article} {kind}, which has no line to draw. {_INSTEAD.get(kind, '')}".strip()


def _nothing(_: Mapping[str, MetricKind]) -> Sequence[str]:
    return ()


def _unknown(unknown: list[str], source: Source, runs: Sequence[Run]) -> NotFoundError:
    system = any(name.startswith("system.") for name in unknown)
    names: dict[str, None] = {}
    for _, history in source.histories(runs[:20], _nothing, system=system):  # enough to name what is near
        if not isinstance(history, ToolkitError):
            names |= {name: None for name, kind in history.kinds.items() if kind == "number"}
    where = runs[0].label if len(runs) == 1 else f"any of the {len(runs)} runs"
    hints = [did_you_mean(name.strip("*?[]"), names, "metric") for name in unknown]
    lines = hints if len(unknown) == 1 else [f"{name}: {hint}" for name, hint in zip(unknown, hints, strict=True)]
    listed = ", ".join(map(repr, unknown))
    return NotFoundError(f"No metric called {listed} in {where}.", "\n".join(lines))
