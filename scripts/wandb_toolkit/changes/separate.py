"""Records of good and bad runs → the smallest sets of entries that tell the two apart, and how easily chance does so.

A set of entries separates the runs where all that agree in it are good, or all are bad. With few runs, or with entries
that differ from run to run, that happens by chance: the share of all ways to call as many runs bad in which the entry
would separate them, too, says how easily. It is Fisher's permutation argument, counted exactly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import comb, isfinite
from typing import Any, Literal

from wandb_toolkit.configs import is_number, token

Record = Mapping[str, Any]  # key → value; an absent key is absent
UNLIKELY = 0.05  # by chance, whichever entry it had been
ALIKE = 20.0  # times the chance of the first, up to which another entry is as good a suspect
MOST_PAIRS = 12


@dataclass(frozen=True)
class Separator:
    """Entries that tell the bad runs from the good ones."""

    keys: tuple[str, ...]
    how: Literal["alone", "both", "either"]  # of two: bad where both are so, or where either is
    chance: float  # at most so likely that some set of this kind separates the runs for no reason
    bad: tuple[str, ...]  # what holds in the bad runs, a condition for each key: "= 0.1", "above 0.01"


@dataclass(frozen=True)
class _Condition:
    """Runs that an entry of a record picks, as bits."""

    key: str
    says: str
    runs: int


def separators(good: Sequence[Record], bad: Sequence[Record], keys: Sequence[str]) -> list[Separator]:
    """Return the sets of `keys` that separate the runs, the surest first; those as sure as the first belong together.

    Single keys, and only where none separates them better than chance would, pairs. [] where nothing does.
    """
    n = len(good) + len(bad)
    if not good or not bad:
        return []
    single = [found for key in keys if (found := _alone(key, good, bad, len(keys))) is not None]
    telling = sorted((one for one in single if one.chance <= UNLIKELY), key=lambda one: one.chance)
    if telling:
        return [one for one in telling if one.chance <= ALIKE * telling[0].chance]
    if n < 6:
        return sorted(single, key=lambda one: one.chance)
    return _pairs(good, bad, keys) or sorted(single, key=lambda one: one.chance)


def _alone(key: str, good: Sequence[Record], bad: Sequence[Record], tried: int) -> Separator | None:
    values = [_token(record, key) for record in (*good, *bad)]
    groups = Counter(values)
    in_bad, in_good = set(values[len(good) :]), set(values[: len(good)])
    if len(groups) < 2 or in_bad & in_good:
        return None
    total = comb(len(values), len(bad))
    ways = _ways(list(groups.values()), len(bad))
    said = _listed([record.get(key) for record in bad])
    above = _threshold([record.get(key) for record in good], [record.get(key) for record in bad])
    if above is not None and ways > 2:  # values of their own, and yet all on one side
        ways, said = 2, above
    return Separator((key,), "alone", min(1.0, tried * ways / total), (said,))


def _ways(sizes: Sequence[int], wanted: int) -> int:
    """Return in how many ways groups of these sizes add up to `wanted` runs."""
    ways = [1] + [0] * wanted
    for size in sizes:
        for total in range(wanted, size - 1, -1):
            ways[total] += ways[total - size]
    return ways[wanted]


def _pairs(good: Sequence[Record], bad: Sequence[Record], keys: Sequence[str]) -> list[Separator]:
    """Return the pairs of conditions that only the bad runs meet both of, or either of.

    The chance of a pair is that of its weaker half: how easily another entry with as many runs would have done beside
    the other half, times the conditions that could have been made of it, times the entries.
    """
    records = [*good, *bad]
    all_bad = sum(1 << at for at in range(len(good), len(records)))
    conditions = {key: _conditions(key, records) for key in keys}
    found: dict[tuple[str, ...], Separator] = {}
    for how in ("both", "either"):
        fit = [
            one
            for made in conditions.values()
            for one in made
            if (one.runs & all_bad == all_bad if how == "both" else not one.runs & ~all_bad)
        ]
        for one, other in combinations(fit, 2):
            together = one.runs & other.runs if how == "both" else one.runs | other.runs
            if one.key == other.key or together != all_bad:
                continue
            halves = [(one, other), (other, one)]
            chance = max(
                len(keys) * len(conditions[half.key]) * _by_chance(half.runs, beside.runs, all_bad, len(records), how)
                for half, beside in halves
            )
            first, second = sorted((one, other), key=lambda condition: condition.key)
            made = Separator((first.key, second.key), how, min(1.0, chance), (first.says, second.says))
            if chance < found.get(made.keys, made).chance or made.keys not in found:
                found[made.keys] = made
    ranked = sorted(found.values(), key=lambda one: one.chance)
    return [one for one in ranked if one.chance <= ALIKE * ranked[0].chance][:MOST_PAIRS]


def _by_chance(half: int, beside: int, bad: int, n: int, how: str) -> float:
    """Return how likely as many runs as `half` has, picked at random, separate the bad ones together with `beside`."""
    size, other, wanted = half.bit_count(), beside.bit_count(), bad.bit_count()
    if how == "both":  # all the bad ones, and of the others none that `beside` picks
        return comb(n - other, size - wanted) / comb(n, size)
    return comb(other, size - (wanted - other)) / comb(n, size)  # all that `beside` lacks, and no good one


def _conditions(key: str, records: Sequence[Record]) -> list[_Condition]:
    """Return the conditions on one key that some runs meet and some do not: a value, for numbers also a limit."""
    tokens = [_token(record, key) for record in records]
    everything = (1 << len(records)) - 1
    picks: dict[int, str] = {}
    for value in dict.fromkeys(tokens):
        runs = sum(1 << at for at, other in enumerate(tokens) if other == value)
        picks.setdefault(runs, f"= {_shown(records[tokens.index(value)].get(key))}")
    numbers = [record.get(key) for record in records]
    if len(picks) > 2 and all((is_number(value) and isfinite(value)) for value in numbers):
        levels = sorted({float(value) for value in numbers if value is not None})
        for low, high in pairwise(levels):
            above = sum(1 << at for at, value in enumerate(numbers) if value is not None and value >= high)
            picks.setdefault(above, f"{_shown(high)} or more")
            picks.setdefault(everything & ~above, f"{_shown(low)} or less")
    return [_Condition(key, says, runs) for runs, says in picks.items() if 0 < runs < everything]


def _threshold(good: Sequence[Any], bad: Sequence[Any]) -> str | None:
    if not all((is_number(value) and isfinite(value)) for value in (*good, *bad)):
        return None
    if min(bad) > max(good):
        return f"{_shown(min(bad))} or more"
    return f"{_shown(max(bad))} or less" if max(bad) < min(good) else None


def _token(record: Record, key: str) -> str | None:
    return token(record[key]) if key in record else None


def _listed(values: Sequence[Any]) -> str:
    shown = list(dict.fromkeys(map(_shown, values)))
    return f"= {shown[0]}" if len(shown) == 1 else f"one of {', '.join(shown[:4])}{' ...' if len(shown) > 4 else ''}"


def _shown(value: Any) -> str:
    if value is None:
        return "not set"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
