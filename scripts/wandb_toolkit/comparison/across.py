"""Configurations over several tasks: levels normalised per task, then aggregated as rliable does.

Agarwal et al., "Deep reinforcement learning at the edge of the statistical precipice", 2021: the interquartile mean
over all runs of all tasks, with intervals from a bootstrap that resamples the runs of each task; the probability that a
run of one configuration beats a run of another on the same task; and the share of runs above a level.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from wandb_toolkit import configs
from wandb_toolkit.comparison.entry import Entry
from wandb_toolkit.comparison.tasks import called
from wandb_toolkit.comparison.uncertainty import RESAMPLES, SEED, t95
from wandb_toolkit.model import AcrossTasks, Aggregate, Direction, TaskScale
from wandb_toolkit.text import number, plural, quoted

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

FEWEST_SEEDS = 3  # of each configuration on each task, to call a difference more than chance
LEVELS = (0.0, 0.25, 0.5, 0.75, 0.9)  # of the performance profile
KEYS_NAMED = 3
_CUT = 0.25  # of the runs on either side, which the interquartile mean leaves out
_ALGORITHM = re.compile(r"(?:^|[./_])(?:algo|algorithm|agent|method)(?:_?name)?$", re.IGNORECASE)

Cells: TypeAlias = dict[str, Sequence[Entry]]  # task → the runs of one configuration on it


def across_tasks(groups: Sequence[Sequence[Entry]], keys: Sequence[str], direction: Direction) -> AcrossTasks | None:
    """Return the configurations over the tasks they share, the best first; None below two of either.

    `groups` are the runs by configuration and task, `keys` the config keys that tell the tasks apart. On each task 0 is
    where its runs start (their median) or the worst configuration's median, whichever is worse, and 1 the best
    configuration's median: a run that collapsed lies below 0 and moves neither.

    Every run whose training ended counts, as in rliable: leaving out those that diverged would favour what is unstable.
    One that ends in NaN counts as 0, nothing learned. Runs that their machine ended say nothing of a configuration and
    are left out; the caller does that.
    """
    ended = [group for group in groups if group[0].over]
    names = [_task(group[0], keys) for group in ended]
    varying = _varying(ended, names)
    table = _shared(_cells(ended, names, varying))
    if not table:
        # Settings tuned per task: the algorithm is what the tasks share.
        table = _shared(_cells(ended, names, [key for key in varying if _ALGORITHM.search(key)]))
    if not table:
        return None
    sign = 1 if direction == "max" else -1
    scales = {task: scale for task in next(iter(table.values())) if (scale := _scale(table, task, sign))}
    if len(scales) < 2:
        return None
    return _aggregated(table, scales, keys, sign)


def trimmed(scores: FloatArray, weights: FloatArray, count: int) -> FloatArray:
    """Return the mean over the last axis without the lowest and highest quarter, in whole runs as rliable cuts.

    `weights` (one for each score, adding up to `count` runs) let each task count the same where one has more seeds.
    """
    order = np.argsort(scores, axis=-1)
    ordered, weight = np.take_along_axis(scores, order, axis=-1), weights[order]
    upto = np.cumsum(weight, axis=-1)
    cut = int(_CUT * count)
    kept = np.clip(np.minimum(upto, count - cut) - np.maximum(upto - weight, cut), 0, None)
    return np.asarray((ordered * kept).sum(axis=-1) / kept.sum(axis=-1))


def interquartile_mean(by_task: Sequence[FloatArray]) -> FloatArray:
    """Return the interquartile mean of arrays of (..., seeds), one for each task, which may have unequal seeds."""
    count = sum(scores.shape[-1] for scores in by_task)
    even = count / len(by_task)
    weights = np.concatenate([np.full(scores.shape[-1], even / scores.shape[-1]) for scores in by_task])
    return trimmed(np.concatenate(by_task, axis=-1), weights, count)


def probability_of_improvement(mine: Sequence[FloatArray], theirs: Sequence[FloatArray]) -> FloatArray:
    """Return how often a run of `mine` beats one of `theirs` on the same task, the mean over tasks; a tie is a half."""
    shares = []
    for one, other in zip(mine, theirs, strict=True):
        left, right = one[..., :, None], other[..., None, :]
        shares.append(((left > right) + 0.5 * (left == right)).mean(axis=(-2, -1)))
    return np.asarray(np.mean(shares, axis=0))


def profile(by_task: Sequence[FloatArray], levels: Sequence[float] = LEVELS) -> tuple[float, ...]:
    """Return the share of runs above each level, the mean over tasks."""
    return tuple(float(np.mean([np.mean(scores > level) for scores in by_task])) for level in levels)


def resampled(by_task: Sequence[FloatArray], rng: np.random.Generator) -> list[FloatArray]:
    """Return bootstrap samples (RESAMPLES, seeds) of the runs within each task."""
    return [scores[rng.integers(0, len(scores), (RESAMPLES, len(scores)))] for scores in by_task]


def _task(entry: Entry, keys: Sequence[str]) -> str:
    return called(entry.task, keys)


def _varying(groups: Sequence[Sequence[Entry]], names: Sequence[str]) -> list[str]:
    """Return the settings that differ between runs of one task; what is fixed for a task belongs to the task."""
    values: dict[tuple[str, str], set[str | None]] = {}
    flats = [configs.flatten(group[0].report.run.config) for group in groups]
    keys = dict.fromkeys(key for flat in flats for key in flat)
    idle = {k for k in keys if configs.is_seed(k) or any(configs.tells_nothing(k, f[k]) for f in flats if k in f)}
    for flat, task in zip(flats, names, strict=True):
        for key in keys:
            if key not in idle:
                values.setdefault((key, task), set()).add(_token(flat, key))
    return list(dict.fromkeys(key for (key, _), found in values.items() if len(found) > 1))


def _token(flat: Mapping[str, object], key: str) -> str | None:
    return configs.token(flat[key]) if flat.get(key) is not None else None


def _cells(groups: Sequence[Sequence[Entry]], names: Sequence[str], keys: Sequence[str]) -> dict[str, Cells]:
    """Return configuration → task → its runs; {} where something else than the config tells runs of a cell apart."""
    table: dict[str, Cells] = {}
    for group, task in zip(groups, names, strict=True):
        flat = configs.flatten(group[0].report.run.config)
        cells = table.setdefault(json.dumps({key: _token(flat, key) for key in keys}), {})
        before = cells.get(task, ())
        if len(before) == len(group):
            return {}
        cells[task] = max(before, group, key=len)  # a run that is far shorter stands alone
    return table


def _shared(table: dict[str, Cells]) -> dict[str, Cells]:
    """Return the configurations with the tasks that all of these have, at least two of each; {} where there are none.

    Configurations on few tasks make way where the others share more.
    """
    kept = sorted(table, key=lambda name: -len(table[name]))
    while len(kept) > 1:
        tasks = [task for task in table[kept[0]] if all(task in table[name] for name in kept)]
        if len(tasks) > 1:
            return {name: {task: table[name][task] for task in tasks} for name in kept}
        kept.pop()
    return {}


def _scale(table: Mapping[str, Cells], task: str, sign: int) -> TaskScale | None:
    runs = [e for cells in table.values() for e in cells[task]]
    starts = [sign * e.level.start for e in runs if e.level and np.isfinite(e.level.start)]
    ends = [[sign * e.end for e in cells[task] if np.isfinite(e.end)] for cells in table.values()]
    medians = [float(np.median(own)) for own in ends if own]
    if not starts or not medians:
        return None
    low, high = min(float(np.median(starts)), *medians), max(medians)
    if not (np.isfinite(low) and np.isfinite(high)) or high <= low:
        return None
    return TaskScale(task, sign * low, sign * high)


def _aggregated(
    table: Mapping[str, Cells], scales: Mapping[str, TaskScale], keys: Sequence[str], sign: int
) -> AcrossTasks:
    scores = [
        [np.array([_score(e.end, one) for e in cells[task]]) for task, one in scales.items()]
        for cells in table.values()
    ]
    labels = _labels([next(iter(cells.values()))[0] for cells in table.values()], list(table))
    order = sorted(range(len(scores)), key=lambda at: -float(interquartile_mean(scores[at])))
    drawn = {at: resampled(scores[at], np.random.default_rng([SEED, at])) for at in order}
    means = {at: interquartile_mean(drawn[at]) for at in order}
    cells = list(table.values())
    first, made = order[0], []
    for at in order:
        runs = [e for task in scales for e in cells[at][task]]
        seeds = tuple(len(own) for own in scores[at])
        level = float(interquartile_mean(scores[at]))
        low, high = _interval(means[at]) if min(seeds) > 1 else (None, None)
        gap = beaten = gap_low = gap_high = beaten_low = beaten_high = apart = None
        if at != first:
            gap = float(interquartile_mean(scores[first])) - level
            beaten = float(probability_of_improvement(scores[first], scores[at]))
            few = min(*seeds, *(len(own) for own in scores[first]))
            if few > 1:
                wider = _widening([*seeds, *(len(own) for own in scores[first])])
                gap_low, gap_high = (gap + wider * (end - gap) for end in _interval(means[first] - means[at]))
                beaten_low, beaten_high = _interval(probability_of_improvement(drawn[first], drawn[at]))
                apart = gap_low > 0 if few >= FEWEST_SEEDS else None
        made.append(
            Aggregate(
                label=labels[at],
                runs=tuple(e.report.run.id for e in runs),
                at=tuple(e.at for e in runs),
                seeds=seeds,
                iqm=level,
                low=low,
                high=high,
                gap=gap,
                gap_low=gap_low,
                gap_high=gap_high,
                apart=apart,
                beaten=beaten,
                beaten_low=beaten_low,
                beaten_high=beaten_high,
                profile=profile(scores[at]),
            )
        )
    failed = sum(not math.isfinite(e.end) for own in cells for task in scales for e in own[task])
    return AcrossTasks(tuple(keys), tuple(scales.values()), tuple(made), LEVELS, _note(made, len(scales), failed))


def _score(end: float, scale: TaskScale) -> float:
    return (end - scale.zero) / (scale.one - scale.zero) if math.isfinite(end) else 0.0


def _interval(values: FloatArray) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def _widening(seeds: Sequence[int]) -> float:
    """Return by how much a bootstrap of few seeds is too narrow: its variance by (n - 1)/n, and Student's t over z."""
    freedom = sum(count - 1 for count in seeds)
    least = min(seeds)
    return math.sqrt(least / (least - 1)) * t95(freedom) / t95(60)


def _labels(entries: Sequence[Entry], identities: Iterable[str]) -> list[str]:
    """Return what tells each configuration apart: its values of the settings that differ, no two alike."""
    said = []
    told = [json.loads(identity) for identity in identities]
    keys = [key for key in told[0] if len({one[key] for one in told}) > 1]
    for one in told:
        parts = [f"{key}={_said(one[key])}" for key in keys[:KEYS_NAMED]]
        said.append(", ".join(parts))
    return [
        text if said.count(text) == 1 else f"{text} ({entry.name})" for text, entry in zip(said, entries, strict=True)
    ]


def _said(token: str | None) -> str:
    value = json.loads(token) if token is not None else "not set"
    return number(value) if isinstance(value, float) else str(value)


def _note(made: Sequence[Aggregate], tasks: int, failed: int) -> str:
    first, second = made[0], made[1]
    text = (
        f"Over {plural(tasks, 'task')}, {quoted(first.label)} leads {quoted(second.label)} by {number(second.gap, 3)}"
    )
    if second.gap_low is not None:
        text += f" ({number(second.gap_low, 3)} to {number(second.gap_high, 3)})"
    proof = {
        True: "more than chance",
        False: "no evidence of a difference",
        None: f"too few seeds to tell: each needs {FEWEST_SEEDS} on every task",
    }[second.apart]
    counted = (
        f" {plural(failed, 'run')} that ended in NaN {'counts' if failed == 1 else 'count'} as 0." if failed else ""
    )
    return f"{text} of the normalised interquartile mean; {proof}.{counted}"
