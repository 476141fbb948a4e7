"""Configurations side by side: whose level is best, by how much, and whether that is more than chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from wandb_toolkit.comparison.uncertainty import Interval, Spread, centre, difference, pooled
from wandb_toolkit.model import Direction

Certainty: TypeAlias = Literal["real", "unproven", "single"]


@dataclass(frozen=True)
class Contender:
    """One configuration's final levels, a value for each seed."""

    values: tuple[float, ...]
    error: float  # standard error of the best seed's level, from its curve alone; NaN: too few points
    over: bool = True  # False: still running, so that its level is not final


@dataclass(frozen=True)
class Lead:
    """How the best contender stands to the next."""

    verdict: Certainty | None  # None: nobody to compare with
    rival: int | None = None  # place of the next best contender
    gap: Interval | None = None  # how much better the best is
    why: Literal["", "seeds", "scatter", "points"] = ""  # what it was measured by


def spread_of(contenders: Sequence[Contender]) -> Spread:
    """Return what seeds alone make, over all contenders with several."""
    return pooled([one.values for one in contenders])


def gap_of(mine: Contender, other: Contender, spread: Spread, direction: Direction) -> Interval:
    """Return how much better `mine` is than `other`."""
    found = difference(mine.values, other.values, spread)
    if direction == "max":
        return found
    return Interval(-found.value, -found.high, -found.low, found.how)


def lead_of(contenders: Sequence[Contender], first: int, rivals: Sequence[int], direction: Direction) -> Lead:
    """Return whether contender `first` is better than the best of the `rivals` by more than chance.

    A rival that still runs counts only where there is no other.
    """
    fit = [at for at in rivals if contenders[at].over] or list(rivals)
    if not fit:
        return Lead(None)
    sign = 1 if direction == "max" else -1
    rival = max(fit, key=lambda at: sign * centre(contenders[at].values))
    mine, other = contenders[first], contenders[rival]
    gap = gap_of(mine, other, spread_of(contenders), direction)
    if gap.known:
        return Lead("unproven" if gap.low <= 0 else "real", rival, gap, "seeds")
    noise = math.hypot(mine.error, other.error)
    if math.isnan(noise):
        return Lead("single", rival, gap, "points")
    return Lead("unproven" if gap.value <= 2 * noise else "single", rival, gap, "scatter")


def cheapest(quality: Sequence[float], cost: Sequence[float | None], direction: Direction) -> list[int]:
    """Return the Pareto front, the cheapest first: the places that nothing else matches in quality for less cost.

    Places without a cost, or with NaN, are on no front.
    """
    sign = -1 if direction == "max" else 1
    known = [
        (float(spent), sign * level, at)
        for at, (level, spent) in enumerate(zip(quality, cost, strict=True))
        if spent is not None and not math.isnan(spent) and not math.isnan(level)
    ]
    front: list[int] = []
    best = math.inf
    for _, worse, at in sorted(known):
        if worse < best:
            best = worse
            front.append(at)
    return front
