"""Where the values of a setting lie on an axis: numbers on a linear or logarithmic scale, anything else by value.

What a linear or logarithmic scale has no place for stands beside it: a zero below the logarithm, a value that was not
set after all others.
"""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from wandb_toolkit.configs import is_number, token
from wandb_toolkit.plots.evidence import ticks
from wandb_toolkit.plots.figures.alt_text import tick_labels
from wandb_toolkit.text import clean, number

DECADES = 30.0  # values over more than this ratio lie on a logarithmic scale
_EACH = 9  # different numbers up to which each has its tick
_NAMED = 12  # categories that have a place of their own; the rarest of more share one
_SLOT = 0.12  # of the axis, for values that have no place on the scale
_CLOSE = 0.045  # of the axis, between ticks
_LETTERS = 24


@dataclass(frozen=True)
class Scale:
    """One axis with the places of all its values."""

    name: str
    kind: Literal["linear", "log", "category"]
    places: tuple[float, ...]  # of each value, 0 to 1
    ticks: tuple[tuple[float, str], ...]  # place and label, ascending
    distinct: int  # different values
    unplaced: int = 0  # values beside the scale: not set, or no finite number


def scale_of(
    name: str, values: Sequence[Any], *, log: bool | None = None, missing: str = "not set", below: bool = False
) -> Scale:
    """Return the axis of these values (None: not set).

    Args:
        name: what the axis is called.
        values: of any types; where all that are set are numbers (NaN and infinities included), the scale is numeric.
        log: whether the scale is logarithmic; None: where the values are above 0 and span more than `DECADES`.
        missing: what the values beside the scale are called.
        below: whether they stand below a numeric scale, where results are worst, and not above.
    """
    told = [value for value in values if value is not None]
    if told and all(is_number(value) for value in told) and any(math.isfinite(as_float(value)) for value in told):
        numbers = [math.nan if value is None else as_float(value) for value in values]
        return _numeric(name, numbers, log, missing, below=below)
    return _categories(name, values, missing)


def side_by_side(scale: Scale, order: Sequence[int], widest: float) -> tuple[float, ...]:
    """Return the places of the values with those of one place side by side, where few places hold many values.

    `order` has a number for each value: equal ones stay together, and lower ones come first. Nothing moves by more than
    `widest`, nor by a third of the way to the next place.
    """
    places = sorted(set(scale.places))
    if len(places) > _NAMED or len(places) == len(scale.places):
        return scale.places
    gaps = [after - before for before, after in itertools.pairwise(places)]
    half = min([widest, *(gap / 3 for gap in gaps)])
    members: dict[float, set[int]] = {}
    for place, at in zip(scale.places, order, strict=True):
        members.setdefault(place, set()).add(at)
    where = {
        (place, at): place + (half * (2 * rank / (len(own) - 1) - 1) if len(own) > 1 else 0.0)
        for place, own in members.items()
        for rank, at in enumerate(sorted(own))
    }
    return tuple(where[place, at] for place, at in zip(scale.places, order, strict=True))


def as_float(value: float) -> float:
    """Return a number as a float, infinite where it is too large for one."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def value_text(value: Any) -> str:
    """Return a setting's value as an axis shows it, on one line."""
    if value is None:
        return "not set"
    if isinstance(value, (bool, int, float, str)):
        return clean(number(value) if not isinstance(value, str) else value, _LETTERS) or "(empty)"
    return clean(json.dumps(value, default=str), _LETTERS)


def _numeric(name: str, values: Sequence[float], log: bool | None, missing: str, *, below: bool) -> Scale:
    known = sorted({value for value in values if math.isfinite(value)})
    above = [value for value in known if value > 0]
    wide = len(above) > 1 and above[-1] / above[0] > DECADES
    logarithmic = bool(above) and known[0] >= 0 and (wide if log is None else log)
    on = above if logarithmic else known
    zero = logarithmic and known[0] == 0
    unplaced = sum(1 for value in values if not math.isfinite(value))
    beside = 0.0 if below else 1.0
    first = _SLOT if unplaced and below else 0.0
    left = first + (_SLOT if zero else 0.0)
    right = 1 - _SLOT if unplaced and not below else 1.0
    low, high = on[0], on[-1]

    def place(value: float) -> float:
        if not math.isfinite(value):
            return beside
        if zero and value == 0:
            return first
        if not high > low:
            share = 0.5
        elif logarithmic:
            share = math.log(value / low) / math.log(high / low)
        else:  # halves, so that no difference overflows
            share = (value / 2 - low / 2) / (high / 2 - low / 2)
        return left + min(max(share, 0.0), 1.0) * (right - left)

    if len(on) <= _EACH:
        marked = [(place(value), value_text(value)) for value in on]
    else:
        at = ticks(low, high, 6, log=logarithmic)
        at = [tick for tick in at if low <= tick <= high]
        words = [tick_labels([tick])[0] for tick in at] if logarithmic else tick_labels(at)
        marked = list(zip(map(place, at), words, strict=True))
    marked = _apart(marked)
    if zero:
        marked.insert(0, (first, "0"))
    if unplaced:
        marked.insert(0 if below else len(marked), (beside, missing))
    kind: Literal["linear", "log"] = "log" if logarithmic else "linear"
    return Scale(name, kind, tuple(map(place, values)), tuple(marked), len(known), unplaced)


def _apart(marked: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return the ticks without those too close to one before them; the last one always stays."""
    kept: list[tuple[float, str]] = []
    for one in marked:
        if not kept or one[0] - kept[-1][0] >= _CLOSE:
            kept.append(one)
    if marked and kept[-1] is not marked[-1]:
        kept[-1] = marked[-1]
    return kept


def _categories(name: str, values: Sequence[Any], missing: str) -> Scale:
    tokens = [None if value is None else token(value) for value in values]
    count = Counter(one for one in tokens if one is not None)
    first = {one: value for one, value in zip(tokens, values, strict=True) if one is not None}
    shown = {one for one, _ in count.most_common(_NAMED if len(count) <= _NAMED else _NAMED - 1)}
    order = sorted(shown, key=lambda one: _order(first[one]))
    words = _unique([value_text(first[one]) for one in order])
    if len(count) > len(order):
        words.append(f"{len(count) - len(order):,} others")
    unplaced = sum(1 for one in tokens if one is None)
    if unplaced:
        words.append(missing)
    middle = [(at + 0.5) / len(words) for at in range(len(words))]
    where = dict(zip(order, middle, strict=False))
    others = middle[len(order)] if len(count) > len(order) else 0.5
    places = tuple(middle[-1] if one is None else where.get(one, others) for one in tokens)
    return Scale(name, "category", places, tuple(zip(middle, words, strict=True)), len(count), unplaced)


def _order(value: Any) -> tuple[int, float, str]:
    if is_number(value) or isinstance(value, bool):
        at = as_float(value)
        return 0, math.inf if math.isnan(at) else at, ""
    return 1, 0.0, str(value)


def _unique(words: Sequence[str]) -> list[str]:
    """Return the words with a number behind those that cutting made equal."""
    seen: Counter[str] = Counter()
    told = []
    for word in words:
        seen[word] += 1
        told.append(word if seen[word] == 1 else f"{word} ({seen[word]})")
    return told
