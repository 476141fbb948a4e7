"""Which figures of results a call asks for: one sweep each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wandb_toolkit import configs, roles
from wandb_toolkit.errors import NotFoundError, UsageError
from wandb_toolkit.model import Run, Signals
from wandb_toolkit.plots.sweep import (
    MOST_AXES,
    Sweep,
    by_groups,
    check_key,
    checked_keys,
    result_name,
    sweep_of,
    varied_keys,
)
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from wandb_toolkit.plots.coloring import Coloring
    from wandb_toolkit.plots.kinds import ResultKind


def sweeps_of(
    kind: ResultKind,
    runs: Sequence[Run],
    labels: Sequence[str],
    keys: Sequence[str],
    metrics: Sequence[str],
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    group_by: str | None = None,
    coloring: Coloring | None = None,
) -> list[Sweep]:
    """Return what each figure of a kind shows; `keys` and `metrics` may be empty where the kind has a usual choice.

    Raises:
        NotFoundError: no run has a metric or a key; the hint has the nearest.
        UsageError: a metric is not a number, or there is nothing to draw it against.
    """
    keys, notes = _chosen_keys(kind, runs, keys)
    checked_keys(runs, keys)
    made = []
    for wanted in metrics or [usual_metric(runs)]:
        name, note = result_name(runs, wanted)
        direction, _ = roles.direction_of(wanted)
        said = [*notes, *([note] if note else [])]
        for own in [(key,) for key in keys] if kind.keys == "each" else [tuple(keys)]:
            sweep = sweep_of(
                runs, labels, name, direction, own, groups=groups, group_by=group_by, coloring=coloring, notes=said
            )
            made.append(by_groups(sweep) if groups and kind.keys == "all" else sweep)
    return made


def judged_sweep(runs: Sequence[Run], labels: Sequence[str], metric: str, signals: Signals) -> Sweep:
    """Return a figure of what the comparison says of the settings."""
    direction, _ = roles.direction_of(metric)
    return replace(sweep_of(runs, labels, metric, direction, ()), signals=signals)


def usual_metric(runs: Sequence[Run]) -> str:
    """Return the metric that a report would rank the runs by, as far as their summaries tell.

    Raises:
        NotFoundError: none is fit for it.
    """
    names = [[key for key, value in configs.flatten(run.summary).items() if configs.is_number(value)] for run in runs]
    primary = roles.choose_primary(names)
    if primary is None:
        raise NotFoundError("No run has a result to draw.", "Name the metric; list_metrics shows what was logged.")
    return primary.metric


def _chosen_keys(kind: ResultKind, runs: Sequence[Run], given: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the keys to draw against and notes on them; without `given`, those that differ between the runs."""
    for key in given:
        check_key(key)
    if given:
        if kind.keys == "all" and len(given) > 2 * MOST_AXES:
            raise UsageError(f"{len(given)} keys are too many for one figure.", f"Give at most {2 * MOST_AXES}.")
        return list(given), []
    varied, more = varied_keys(runs)
    differ = f"These differ between the runs: {', '.join(varied)}" if varied else "No setting differs between the runs."
    if kind.keys == "each":
        raise UsageError("Against which setting?", f"Give --x config.KEY. {differ}")
    if not varied:
        raise UsageError("No setting differs between the runs.", "Give --x config.KEY to draw one all the same.")
    return varied, [f"and {plural(more, 'more setting')} that differ (--x chooses)"] if more else []
