"""Which settings go with the result, over many configurations: attribution, not proof.

Seeds of one configuration are one observation: ten seeds of three configurations say no more about a setting than
three. Strengths are rank correlations, which a scale or an outlier does not move; their p-values come from permuting
the results, corrected for the number of settings looked at (Holm's step-down method).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from wandb_toolkit import configs
from wandb_toolkit.model import Direction, Signal, Signals
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

FEWEST = 10  # configurations: below, even a perfect order of some settings is found by chance too often
MOST_KEYS = 60
PERMUTATIONS = 5_000
MOST_CATEGORIES = 0.5  # of the configurations: a key with more values names runs
SEED = 0


@dataclass(frozen=True, eq=False)
class Varied:
    """One setting over the configurations."""

    key: str
    kind: Literal["order", "category"]
    codes: FloatArray  # the value, or the number of the category; NaN: not set
    names: tuple[str, ...] = ()  # of the categories
    also: tuple[str, ...] = ()

    @property
    def values(self) -> int:
        """How many different values there are."""
        return len(np.unique(self.codes[np.isfinite(self.codes)]))


def columns_of(settings: Sequence[Mapping[str, Any]]) -> list[Varied]:
    """Return the settings that vary, seeds and bookkeeping left out; those that vary as one are one column."""
    kept: dict[tuple[object, ...], Varied] = {}
    keys = dict.fromkeys(key for one in settings for key in one)
    for key in keys:
        if configs.is_seed(key) or configs.is_bookkeeping(key):
            continue
        column = _column(key, [one.get(key) for one in settings])
        if column is None:
            continue
        course = _course(column)
        same = kept.get(course)
        kept[course] = column if same is None else _joined(same, key)
    return list(kept.values())[:MOST_KEYS]


def _column(key: str, values: Sequence[Any]) -> Varied | None:
    """Return the setting as numbers, None where it does not vary or names the runs."""
    given = [value for value in values if value is not None]
    if not given:
        return None
    if all(isinstance(value, (bool, int, float)) for value in given):
        codes = np.array([math.nan if value is None else float(value) for value in values])
        finite = codes[np.isfinite(codes)]
        # A key that only some runs set (weight_decay: None or 0.1) is a switch.
        if len(np.unique(finite)) > 1:
            return Varied(key, "order", codes)
        if len(finite) == len(values):
            return None
    texts = ["not set" if value is None else str(value) for value in values]
    names = tuple(sorted(set(texts)))
    if not 2 <= len(names) <= max(MOST_CATEGORIES * len(texts), 2):
        return None
    return Varied(key, "category", np.array([float(names.index(text)) for text in texts]), names)


def _course(column: Varied) -> tuple[object, ...]:
    """Return a key that is equal for columns that order or split the runs alike."""
    if column.kind == "order":
        ranks = _ranks(column.codes)
        turned = _ranks(-column.codes)
        return ("order", *min(tuple(np.nan_to_num(r, nan=-1).tolist()) for r in (ranks, turned)))
    firsts: dict[float, int] = {}
    return ("category", *(firsts.setdefault(code, len(firsts)) for code in column.codes.tolist()))


def _joined(column: Varied, key: str) -> Varied:
    return Varied(column.key, column.kind, column.codes, column.names, (*column.also, key))


def signals_of(settings: Sequence[Mapping[str, Any]], levels: Sequence[float], direction: Direction) -> Signals:
    """Return how the settings go with the levels; `settings` and `levels` hold one entry for each configuration."""
    count = len(levels)
    if count < FEWEST:
        refused = f"{plural(count, 'completed configuration')} without faults, {FEWEST} needed"
        return Signals(refused=refused, count=count)
    columns = [c for c in columns_of(settings) if int(np.isfinite(c.codes).sum()) >= FEWEST]
    if not columns:
        return Signals(refused="no setting differs between the configurations", count=count)
    quality = np.asarray(levels, dtype=float) * (1 if direction == "max" else -1)
    if len(np.unique(quality)) < 2:
        return Signals(refused="all configurations end at the same level", count=count)
    shuffled = _shuffled(_ranks(quality))
    found = [_signal(column, quality, shuffled) for column in columns]
    corrected = holm([one.p for one in found])
    signals = [replace(one, p=p) for one, p in zip(found, corrected, strict=True)]
    signals.sort(key=lambda one: (one.p, -abs(one.strength), one.key))
    return Signals(tuple(signals), count=count)


def _signal(column: Varied, quality: FloatArray, shuffled: FloatArray | None) -> Signal:
    there = np.isfinite(column.codes)
    codes, ranks = column.codes[there], _ranks(quality[there])
    if shuffled is None or not there.all():
        shuffled = _shuffled(ranks)
    best = ""
    if column.kind == "order":
        against = _standard(_ranks(codes))
        strength = float(_standard(ranks) @ against) / len(ranks)
        chance = np.abs((shuffled - ranks.mean()) @ against) / (len(ranks) * (float(ranks.std()) or 1.0))
    else:
        strength = float(_eta(ranks[None, :], codes)[0])
        chance = _eta(shuffled, codes)
        medians = {code: float(np.median(ranks[codes == code])) for code in np.unique(codes)}
        best = column.names[int(max(medians, key=lambda code: medians[code]))]
    reached = int(np.sum(chance >= abs(strength) * (1 - 1e-9)))
    p = (1 + reached) / (1 + PERMUTATIONS)
    return Signal(column.key, strength, p, int(there.sum()), column.values, column.kind, column.also, best=best)


def _shuffled(ranks: FloatArray) -> FloatArray:
    return np.random.default_rng(SEED).permuted(np.broadcast_to(ranks, (PERMUTATIONS, len(ranks))), axis=1)


def _standard(values: FloatArray) -> FloatArray:
    spread = float(values.std())
    return (values - values.mean()) / spread if spread else np.zeros(len(values))


def _eta(ranks: FloatArray, codes: FloatArray) -> FloatArray:
    """Return the correlation ratio of each row of ranks: the share of its spread that lies between the groups."""
    middle = ranks.mean(axis=1)
    between = np.zeros(len(ranks))
    for code in np.unique(codes):
        inside = codes == code
        between += inside.sum() * (ranks[:, inside].mean(axis=1) - middle) ** 2
    whole = ((ranks - middle[:, None]) ** 2).sum(axis=1)
    return np.asarray(np.sqrt(between / np.where(whole > 0, whole, 1.0)))


def _ranks(values: FloatArray) -> FloatArray:
    """Return the ranks from 1, ties sharing their mean; NaN stays NaN."""
    ranks = np.full(len(values), math.nan)
    there = np.isfinite(values)
    _, place, count = np.unique(values[there], return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    ranks[there] = ((last - count + 1 + last) / 2)[place]
    return ranks


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values corrected for their number by Holm's step-down method."""
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for place, at in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[at]))
        corrected[at] = highest
    return corrected
