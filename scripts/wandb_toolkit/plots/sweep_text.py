"""What a figure of results shows, in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from wandb_toolkit.configs import is_number
from wandb_toolkit.model import Signal, Signals
from wandb_toolkit.plots.figures.alt_text import metric_name, short
from wandb_toolkit.plots.scales import as_float, value_text
from wandb_toolkit.plots.sweep import Sweep, Trial
from wandb_toolkit.text import clean, plural

SURE = 0.05  # p of a setting that goes with the result
NEEDED = 0.1  # importance of a setting that the model needs
_MOST_VALUES = 8
_THIRD = 9  # results from which on the lowest and the highest third of a setting are compared


def words_of_states(sweep: Sweep, below: str = "") -> list[str]:
    """Return how many runs there are, and which of them are no results; `below` marks those without one."""
    parts = [plural(len(sweep.trials), sweep.noun)]
    failed = [one for one in sweep.trials if one.state == "failed"]
    there = sum(math.isfinite(one.result) for one in failed)
    if failed:
        parts.append(f"× {len(failed):,} failed{', at their last value' if there else ''}")
    running = sum(one.state == "running" for one in sweep.trials)
    if running:
        parts.append(f"◇ {running:,} still running")
    without = [one for one in sweep.trials if not math.isfinite(one.result)]
    if without:
        never = sum(one.logged is None for one in without)
        why = "has no finished run" if sweep.noun == "group" else "never logged it"
        reasons = [f"{never:,} {why}"] if never else []
        reasons += [f"{len(without) - never:,} NaN or infinite"] if len(without) > never else []
        parts.append(f"{below}{len(without):,} without a finite result ({', '.join(reasons)})")
    return parts


def describe_sweep(kind: str, sweep: Sweep) -> str:
    """Return the alternative text of a scatter plot or of parallel coordinates."""
    metric = metric_name(sweep.metric)
    keys = ", ".join(clean(key, 60) for key in sweep.keys)
    what = f"{metric} against {keys}" if kind == "scatter" else f"Parallel coordinates of {keys} and {metric}"
    parts = [f"{what}: {'; '.join(words_of_states(sweep))}"]
    best = sweep.best
    better = "higher" if sweep.direction == "max" else "lower"
    if best is not None:
        at = sweep.trials.index(best)
        told = [f"{clean(key, 60)} {value_text(sweep.settings[key][at])}" for key in sweep.keys]
        where = ", ".join(told)
        parts.append(f"best finished ({better} is better): {clean(best.label)} with {short(best.result)} at {where}")
    else:
        parts.append("no finished run has a finite result")
    parts += [one for key in sweep.keys if (one := _tendency(sweep, key))]
    parts += [clean(note) for note in sweep.notes]
    return "; ".join(parts) + "."


def _tendency(sweep: Sweep, key: str) -> str:
    """Say the results by the value of a setting, or those of its lowest and highest third; "" for too few."""
    pairs = [
        (value, one.result)
        for value, one in zip(sweep.settings[key], sweep.trials, strict=True)
        if one.counts and value is not None
    ]
    values = {value_text(value): value for value, _ in pairs}
    name = clean(key, 60)
    if 2 <= len(values) <= _MOST_VALUES and len(pairs) > len(values):
        own = {word: [result for value, result in pairs if value_text(value) == word] for word in values}
        order = sorted(values, key=lambda word: _order(values[word]))
        told = [f"{word} {short(_median(own[word]))} ({plural(len(own[word]), 'run')})" for word in order]
        return f"median by {name}: {', '.join(told)}"
    numbers = sorted((as_float(value), result) for value, result in pairs if is_number(value))
    if len(numbers) < _THIRD or len(numbers) < len(pairs):
        return ""
    third = len(numbers) // 3
    low, high = numbers[:third], numbers[-third:]
    return (
        f"median {short(_median([y for _, y in low]))} where {name} is at most {value_text(low[-1][0])}, "
        f"{short(_median([y for _, y in high]))} where it is at least {value_text(high[0][0])}"
    )


def _order(value: Any) -> tuple[bool, float, str]:
    return not is_number(value), as_float(value) if is_number(value) else 0.0, str(value)


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else ordered[middle - 1] / 2 + ordered[middle] / 2


def bars_of(signals: Signals) -> list[tuple[Signal, float]]:
    """Return the settings with the lengths of their bars, the longest first: importances, else strengths."""
    modelled = is_modelled(signals)
    found = [(one, max(one.importance or 0.0, 0.0) if modelled else abs(one.strength)) for one in signals.signals]
    return sorted(found, key=lambda pair: (-pair[1], pair[0].p))


def is_modelled(signals: Signals) -> bool:
    """Whether a model gave the settings an importance."""
    return any(one.importance is not None for one in signals.signals)


def is_told(one: Signal) -> bool:
    """Whether a setting goes with the result by more than chance, or the model needs it though no order tells."""
    return one.p < SURE or (one.importance or 0.0) > NEEDED


def how_it_goes(one: Signal, *, modelled: bool) -> str:
    """Return what stands beside a bar: its number, and which way is better where that is more than chance."""
    sure = one.p < SURE
    middle = "no order: the best may lie in the middle, " if is_told(one) else ""
    if one.kind == "order":
        way = f"{'more' if one.strength > 0 else 'less'} is better, " if sure else middle
        which = f"{way}ρ {one.strength:+.2f}".replace("-", "−")
    else:
        way = f"best: {clean(one.best, 24)}, " if sure else ""
        which = f"{way}η {one.strength:.2f}"
    p = "p < 0.001" if one.p < 0.001 else f"p {one.p:.2g}"
    return f"{max(one.importance or 0.0, 0.0):.2f}  {which}, {p}" if modelled else f"{which}, {p}"


def describe_bars(sweep: Sweep) -> str:
    """Return the alternative text of the settings' bars."""
    signals = sweep.signals
    assert signals is not None
    modelled = is_modelled(signals)
    told = [f"{clean(one.key, 60)} {how_it_goes(one, modelled=modelled)}" for one, _ in bars_of(signals)[:_MOST_VALUES]]
    what = "Importance of settings for" if modelled else "Settings that go with"
    more = len(signals.signals) - len(told)
    parts = [f"{what} {metric_name(sweep.metric)} over {plural(signals.count, 'configuration')}: {'; '.join(told)}"]
    parts += [f"and {plural(more, 'more setting')}"] if more > 0 else []
    parts += [f"model: {clean(signals.model)}"] if signals.model else []
    return "; ".join([*parts, "correlation, not proof"]) + "."


def bar_rows(signals: Signals) -> list[dict[str, Any]]:
    """Return the settings for JSON, the longest bar first."""
    return [
        {
            "key": one.key, "importance": one.importance, "strength": one.strength, "p": one.p, "kind": one.kind,
            "configurations": one.count, "values": one.values, "also": list(one.also), "best": one.best or None,
        }
        for one, _ in bars_of(signals)
    ]  # fmt: skip


def rows_of(sweep: Sweep) -> list[dict[str, Any]]:
    """Return the trials for JSON."""
    return [_row(sweep, at, one) for at, one in enumerate(sweep.trials)]


def _row(sweep: Sweep, at: int, trial: Trial) -> dict[str, Any]:
    return {
        "id": trial.run.id,
        "label": trial.label,
        "state": trial.run.state,
        "settings": {key: sweep.settings[key][at] for key in sweep.keys},
        "result": trial.logged,
        "group": sweep.groups[trial.group] if sweep.groups and trial.group is not None else None,
    }
