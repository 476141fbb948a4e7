"""Runs beside runs that went well → what could have made the difference, said in sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from wandb_toolkit.changes.parting import comparable, partings
from wandb_toolkit.changes.records import ARTIFACTS, CODE, COMMAND, CONFIG, MACHINE, PACKAGES, PARTS, Entries
from wandb_toolkit.changes.separate import UNLIKELY, Separator, separators
from wandb_toolkit.configs import token
from wandb_toolkit.model import Changes, Difference, Suspect
from wandb_toolkit.text import clean, listed, plural, quoted

if TYPE_CHECKING:
    from wandb_toolkit.model import History, Run

    Known = tuple[Run, History]

SUSPECT = (CONFIG, COMMAND, CODE, ARTIFACTS, PACKAGES, MACHINE)  # parts of a record that can make a run go wrong
PARTED = 3  # runs whose curves are followed
VALUES, LENGTH = 6, 60  # of an entry that are kept; characters of one
CONTEXT = 15  # characters of what long texts share that are kept in front of where they part
TRIED = 16  # suspects of which single ones are named to be tried


def changes(
    bad: Sequence[Known], good: Sequence[Known], records: Mapping[str, Entries], roles: Mapping[str, str]
) -> Changes:
    """Return what differs between the runs and those that went well, and which of it tells them apart.

    Args:
        bad: the runs in question, with their histories on the training's own axis.
        good: the runs that went well, likewise.
        records: by run id, what each recorded of itself.
        roles: role → metric, whose curves are looked at first.
    """
    mine, theirs = [records[run.id] for run, _ in bad], [records[run.id] for run, _ in good]
    varying = _varying(mine, theirs)
    can = _once_each([one for one in varying if one.part in SUSPECT], [*mine, *theirs])
    keys = [(one.part, one.key) for one in can]
    named = {pair: " ".join(pair) for pair in keys}
    found = separators(
        [{name: one.values[pair] for pair, name in named.items() if pair in one.values} for one in theirs],
        [{name: one.values[pair] for pair, name in named.items() if pair in one.values} for one in mine],
        list(named.values()),
    )
    suspected = {key for one in found for key in one.keys}
    apart = [one for one in varying if _is_new(one) or f"{one.part} {one.key}" in suspected]
    new = [one for one in can if one in apart]
    parted = [
        one
        for run, history in bad[:PARTED]
        for one in partings(run, history, good, comparable([history, *(h for _, h in good)], roles))
    ]
    return Changes(
        runs=tuple(run.id for run, _ in bad),
        baseline=tuple(run.id for run, _ in good),
        differences=tuple(_shown(one) for one in apart),
        suspects=tuple(
            Suspect(one.keys, one.how, tuple(clean(h, LENGTH) for h in one.bad), one.chance) for one in found
        ),
        verdict=_verdict(found, new, len(bad), len(good)),
        deciding=_deciding(found, good[0][0].name),
        partings=tuple(sorted(parted, key=lambda one: one.step)),
        unrecorded=tuple(_unrecorded([*mine, *theirs])),
        worse=(),
    )


def _varying(bad: Sequence[Entries], good: Sequence[Entries]) -> list[Difference]:
    """Return the entries that are not the same in all runs; two that good runs have each may be bad together."""
    found = []
    for part, key in dict.fromkeys(pair for one in (*good, *bad) for pair in one.values):
        sides = [[one.values.get((part, key)) for one in side if _recorded(one, part)] for side in (good, bad)]
        if all(sides) and len({token(value) for side in sides for value in side}) > 1:
            found.append(Difference(part, key, _whole(sides[0]), _whole(sides[1])))
    return sorted(found, key=lambda one: (PARTS.index(one.part), one.key))


def _is_new(one: Difference) -> bool:
    """Tell whether a run in question has a value that no good run has."""
    return not {token(value) for value in one.bad} <= {token(value) for value in one.good}


def _once_each(apart: Sequence[Difference], records: Sequence[Entries]) -> list[Difference]:
    """Return the differences without second names of one setting: a number that is the same in every run.

    Frameworks log their own copy of a setting. Two switches that happen to go together stay two suspects.
    """
    seen: set[tuple[float, ...]] = set()
    kept = []
    for one in apart:
        numbers = tuple(_number(record.values.get((one.part, one.key))) for record in records)
        known = all(value == value for value in numbers) and not all(value == int(value) for value in numbers)
        if not known or numbers not in seen:
            kept.append(one)
        if known:
            seen.add(numbers)
    return kept


def _number(value: Any) -> float:
    """Return a number, also one that is written as text, to six digits; NaN where it is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return math.nan
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return math.nan
    return float(f"{number:.6g}") if math.isfinite(number) else math.nan


def _recorded(one: Entries, part: str) -> bool:
    """Whether a run recorded anything of a part: an entry that it lacks is then known to be absent."""
    return part not in (PACKAGES, CODE, ARTIFACTS, MACHINE, COMMAND) or any(known == part for known, _ in one.values)


def _whole(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple({token(value): value for value in values}.values())


def _shown(one: Difference) -> Difference:
    """Return a difference with few and short values: long texts from where they part."""
    texts = [value for value in (*one.good, *one.bad) if isinstance(value, str)]
    long = len(texts) > 1 and max(map(len, texts)) > LENGTH
    together = zip(*texts, strict=False)  # up to the end of the shortest
    same = sum(1 for _ in takewhile(lambda letters: len(set(letters)) == 1, together)) if long else 0
    skipped = max(0, same - CONTEXT)
    good, bad = (tuple(_short(value, skipped) for value in side[:VALUES]) for side in (one.good, one.bad))
    return replace(one, good=good, bad=bad)


def _short(value: Any, skipped: int = 0) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return clean(f"…{value[skipped:]}" if skipped > 1 else value, LENGTH)
    return clean(json.dumps(value, default=str), LENGTH)


def _verdict(found: Sequence[Separator], can: Sequence[Difference], bad: int, good: int) -> str:
    sides = f"the {plural(bad, 'run')} from the {plural(good, 'good run')}"
    if not can:
        return (
            "Nothing that the runs recorded of themselves differs, except seeds, names and places: "
            "any difference in the result comes from what they did not record, or from the seed"
        )
    if found and found[0].chance <= UNLIKELY:
        if len(found) == 1:
            return f"{_told(found[0])} tells {sides}; by chance some entry would in at most {_share(found[0].chance)}"
        return f"Cannot tell between {_either(found)}: each separates {sides} as well as the others"
    if len(can) == 1:
        return f"The only recorded difference is {quoted(f'{can[0].part} {can[0].key}')}"
    if not found:
        return f"{len(can)} recorded entries differ, and no one or two of them separate {sides}"
    if bad + good < 4 or len(found) == len(can):
        return f"{len(can)} recorded entries differ; cannot tell from {bad + good} runs which of them matters"
    alike = f"{len(found)} of them separate" if len(found) > 1 else f"only {_told(found[0])} separates"
    return f"{len(can)} recorded entries differ and {alike} {sides}, which may be chance: cannot tell which one matters"


def _told(one: Separator) -> str:
    parts = [f"{quoted(key)} ({clean(says, LENGTH)})" for key, says in zip(one.keys, one.bad, strict=True)]
    return parts[0] if len(parts) == 1 else f"{parts[0]} {'with' if one.how == 'both' else 'or'} {parts[1]}"


def _either(found: Sequence[Separator], most: int = 4) -> str:
    told = [_told(one) for one in found[:most]]
    more = [f"{len(found) - most} more"] if len(found) > most else []
    return " and ".join([", ".join([*told, *more][:-1]), [*told, *more][-1]]) if len(found) > 1 else told[0]


def _share(chance: float) -> str:
    return "one case in a million" if chance < 1e-6 else f"{100 * chance:.2g}% of cases"


def _deciding(found: Sequence[Separator], name: str) -> str:
    """Return the run that would tell most: of several suspects half are changed."""
    if not found:
        return ""
    again = f"run {quoted(name)} again with only"
    if len(found) == 1:
        changed = f"{again} {_told(found[0])} changed"
        return f"{changed}: if it goes wrong, that is the cause; if not, it is something else, perhaps not recorded"
    if len(found) > TRIED:
        runs = math.ceil(math.log2(len(found)))
        halves = f"{again} half of the {len(found)} suspects changed, then half of the half that goes wrong, and so on"
        return f"{halves}: {runs} runs find a single cause"
    half = found[: len(found) // 2]
    rest = _told(found[1]) if len(found) == 2 else f"one of the {len(found) - len(half)} others"
    which = "that is the cause" if len(half) == 1 else "the cause is among these"
    return f"{again} {_either(half)} changed: if it goes wrong, {which}; if not, it is {rest}"


def _unrecorded(records: Sequence[Entries]) -> list[str]:
    lacking: dict[str, list[str]] = {}
    for one in records:
        for what in one.lacks:
            lacking.setdefault(what, []).append(one.run.name)
    never = [what for what, names in lacking.items() if len(names) == len(records)]
    said = [f"No run recorded {_or(never)}"] if never else []
    said += [f"{listed(names, 3)} did not record {what}" for what, names in lacking.items() if what not in never]
    if any(part == ARTIFACTS for one in records for part, _ in one.values):
        return said
    return [*said, "Versions of datasets are compared as far as configs name them"]


def _or(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
