"""What a comparison proves, in sentences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.comparison.lead import Contender, Lead
from wandb_toolkit.comparison.tasks import PROJECT, called
from wandb_toolkit.comparison.uncertainty import centre
from wandb_toolkit.model import Cost, Primary
from wandb_toolkit.text import duration, listed, number, plural, quoted, spent

if TYPE_CHECKING:
    from wandb_toolkit.comparison.entry import Entry

NO_PRIMARY = "No metric to rank by was found: name one with --primary."
GROUPS_NAMED = 3  # seed groups that the note spells out
RACERS_NAMED = 3
TASKS_NAMED = 6
LENGTHS_APART = 1.25  # times as many steps: the runs have different lengths


def notes(
    ranked: Sequence[Entry],
    groups: Sequence[Sequence[Entry]],
    primary: Primary,
    lead_text: str,
    *,
    several_tasks: bool = False,
) -> list[str]:
    """Return the sentences under the ranking: seeds, the lead, what cannot be compared."""
    said = []
    seeds = [group for group in groups if len(group) > 1]
    for group in seeds[:GROUPS_NAMED]:
        ends = [e.end for e in group]
        spread = f"{number(float(np.mean(ends)))} ± {number(float(np.std(ends, ddof=1)), 2)}"
        names = listed([e.name for e in group])
        said.append(f"{names} are seeds of one configuration: {spread} (mean ± sd, n={len(group)}).")
    if len(seeds) > GROUPS_NAMED:
        more = plural(len(seeds) - GROUPS_NAMED, "more configuration")
        said.append(f"{more} {'has' if len(seeds) == GROUPS_NAMED + 1 else 'have'} several seeds.")
    said += [lead_text] if lead_text else []
    if several_tasks:
        return [*said, *_unranked(ranked, primary)]
    return [*said, *_lucky(ranked, groups), *_unranked(ranked, primary), *_left_behind(ranked)]


def lead(groups: Sequence[Sequence[Entry]], found: Lead, contenders: Sequence[Contender], *, broken: bool) -> str:
    """Say whether the lead of the best configuration over the next one is more than chance."""
    if broken:
        return "All ranked runs failed; first place means least bad."
    if found.rival is None or found.gap is None:
        return ""
    mine, rival = groups[0], groups[found.rival]
    pair = f"{_valued(mine, contenders[0])} and {_valued(rival, contenders[found.rival])}"
    gap = found.gap
    if found.why == "points":
        return f"Too few points to tell whether {pair} differ by more than chance."
    if found.why == "scatter":
        if found.verdict == "unproven":
            return f"No evidence of a difference between {pair}: the curves scatter by as much."
        ahead = f"{named(mine)} is ahead of {named(rival)} by {number(gap.value, 2)}"
        return f"{ahead}, more than the curves scatter; with one seed each, luck is not ruled out."
    between = f"{number(gap.value, 3)} (95% from {number(gap.low, 3)} to {number(gap.high, 3)}; {gap.how})"
    if found.verdict == "unproven":
        return f"No evidence of a difference between {pair}: {between}."
    return f"The difference between {pair} is more than chance: {between}."


def shorter(
    groups: Sequence[Sequence[Entry]], found: Lead, contenders: Sequence[Contender], amount: float, behind: bool
) -> str:
    """Say that the best configuration leads by having run longer; `behind`: at equal steps the next one leads."""
    if found.rival is None:
        return ""
    mine, rival = _valued(groups[0], contenders[0]), _valued(groups[found.rival], contenders[found.rival])
    then = f"{named(groups[found.rival])} is ahead" if behind else "there is no evidence of a difference"
    return f"{mine} ends ahead of {rival}, but ran longer: after {spent('step', amount)}, which both have, {then}."


def tasks(groups: Sequence[Sequence[Entry]], keys: Sequence[str]) -> str:
    """Say that the runs learn different tasks, and which configuration leads each."""
    by_task: dict[str, list[Sequence[Entry]]] = {}
    for group in groups:
        by_task.setdefault(called(group[0].task, keys), []).append(group)
    leaders = [f"{quoted(label, 40)}: {named(own[0])}" for label, own in by_task.items()]
    shown = "; ".join(leaders[:TASKS_NAMED])
    left = f"; {len(leaders) - TASKS_NAMED} more" if len(leaders) > TASKS_NAMED else ""
    named_keys = [key for key in keys if key != PROJECT]
    if not named_keys:
        return (
            "The runs are of different programs in different projects, and no config says that they learn the same "
            f"task: their levels are not compared. Best of each project: {shown}{left}."
        )
    what = listed(named_keys)
    return f"The runs learn different tasks ({what}), whose levels cannot be compared. Best of each: {shown}{left}."


def named(group: Sequence[Entry]) -> str:
    """Return what a configuration is called: its best run, and how many seeds it has."""
    name = quoted(group[0].name)
    return name if len(group) == 1 else f"the {len(group)} seeds of {name}"


def _valued(group: Sequence[Entry], contender: Contender) -> str:
    return f"{named(group)} ({number(centre(contender.values))})"


def common(
    cost: Cost,
    amount: float,
    entries: Sequence[Sequence[Entry]],
    contenders: Sequence[Contender],
    found: Lead,
) -> str:
    """Say who leads at equal cost."""
    if found.rival is None:
        return ""
    first = _valued(entries[0], contenders[0])
    second = _valued(entries[found.rival], contenders[found.rival])
    proof = {
        "real": "more than chance",
        "unproven": "no evidence of a difference",
        "single": "one seed each, so luck is not ruled out",
    }[found.verdict or "single"]
    if found.why == "points":
        proof = "too few points to tell by more than chance"
    return f"After {spent(cost, amount)}: {first} before {second}; {proof}."


def race(groups: Sequence[Sequence[Entry]], reached: Mapping[int, Mapping[Cost, float]]) -> str:
    """Say which configurations reached the target first, and how many never did."""
    there: list[tuple[Sequence[Entry], dict[Cost, float]]] = []
    never = 0
    for group in groups:
        each = [reached.get(e.at, {}) for e in group]
        if not all(each):
            never += 1
            continue
        costs = [cost for cost in each[0] if all(cost in one for one in each)]
        there.append((group, {cost: float(np.mean([one[cost] for one in each])) for cost in costs}))
    said = []
    if there:
        leading: Cost = "step" if all("step" in amounts for _, amounts in there) else "time"
        there.sort(key=lambda pair: pair[1].get(leading, math.inf))
        said.append("; ".join(f"{named(group)} {_amounts(amounts)}" for group, amounts in there[:RACERS_NAMED]))
        left = len(there) - RACERS_NAMED
        said += [f"{left} more later"] if left > 0 else []
        soonest = min(there, key=lambda pair: pair[1].get("time", math.inf))
        if leading == "step" and "time" in soonest[1] and soonest is not there[0]:
            said.append(f"fastest by the clock: {named(soonest[0])} ({duration(soonest[1]['time'])})")
    if never:
        with_all = " with every seed" if any(len(group) > 1 for group in groups) else ""
        said.append(f"{plural(never, 'configuration')} did not reach it{with_all}")
    return "; ".join(said)


def _amounts(amounts: Mapping[Cost, float]) -> str:
    return ", ".join(spent(cost, amount) for cost, amount in amounts.items()) or "(cost unknown)"


def _lucky(ranked: Sequence[Entry], groups: Sequence[Sequence[Entry]]) -> list[str]:
    """Say that the single best value belongs to a configuration that is worse overall."""
    first = next((e for e in ranked if e.sound), None)
    group = next((g for g in groups[1:] if g[0] is first), None)
    if first is None or group is None or first.end == groups[0][0].end:
        return []
    whole = f"the {len(group)} seeds of its configuration end at {number(centre([e.end for e in group]))}"
    return [f"{quoted(first.name)} has the best single value ({number(first.end)}), but {whole}."]


def _unranked(ranked: Sequence[Entry], primary: Primary) -> list[str]:
    without = sum(e.level is None for e in ranked)
    if not 0 < without < len(ranked):
        return []
    return [f"{plural(without, 'run')} without {quoted(primary.metric)} cannot be ranked."]


def _left_behind(ranked: Sequence[Entry]) -> list[str]:
    said = []
    projects = {(e.report.run.entity, e.report.run.project) for e in ranked if e.level}
    tasks = [set(e.task.items()) for e in ranked if e.level]
    if len(projects) > 1 and not set.intersection(*tasks):
        said.append(f"The ranked runs come from {len(projects)} projects: their levels may not be comparable.")
    lengths = [e.level.last_step for e in ranked if e.sound and e.level]
    if lengths and max(lengths) > LENGTHS_APART * max(min(lengths), 1):
        span = f"{min(lengths):,} to {max(lengths):,} steps"
        said.append(f"The runs have different lengths ({span}): each ranks where it ended.")
    return said
