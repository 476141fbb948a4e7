"""Several runs side by side: who ranks where by the primary metric, by how much, and for what cost.

Arrays and dataclasses in, dataclasses out; `sentences` says what it proves.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from wandb_toolkit import configs
from wandb_toolkit.comparison import lead, sentences
from wandb_toolkit.comparison.across import across_tasks
from wandb_toolkit.comparison.cost import COSTS, EARNEST, best_common_level, common_amount, track_of
from wandb_toolkit.comparison.entry import Entry, marks_of
from wandb_toolkit.comparison.grouping import by_configuration
from wandb_toolkit.comparison.hyperparameters import columns_of, signals_of
from wandb_toolkit.comparison.importance import with_importance
from wandb_toolkit.comparison.lead import Contender, Lead
from wandb_toolkit.comparison.levels import Level, gains, level_of
from wandb_toolkit.comparison.tasks import called, tasks_of, telling_keys
from wandb_toolkit.comparison.uncertainty import centre, level_interval
from wandb_toolkit.model import (
    CommonPoint,
    Comparison,
    Cost,
    Direction,
    Goal,
    History,
    Primary,
    RankedRun,
    RunReport,
    SeedGroup,
    Series,
    Signals,
    Standing,
)
from wandb_toolkit.text import short_names


def compare(
    reports: Sequence[RunReport],
    series: Sequence[Series | None],
    primary: Primary | None,
    *,
    histories: Sequence[History] = (),
    target: float | None = None,
    model: bool = False,
    by_result: bool = False,
) -> Comparison:
    """Return the ranking by the primary metric's final level; `series` holds it for each run, or None.

    Runs that broke keep their rank, marked; none of them is called best unless all of them broke. Runs of different
    tasks are ranked within their task, and none is the best of all. `histories` hold the time and tokens that runs had
    spent; `target` is a level to reach; `model` asks for a model of the settings, too.
    `by_result`: the runs were chosen by their results, so correlations with these would only reflect the choice.
    """
    if primary is None:
        entries = _entries(reports, series, histories, "max")
        note = sentences.NO_PRIMARY
        return Comparison(tuple(_line(e, {}) for e in entries), tuple(entries[0].config if entries else ()), note=note)
    direction = primary.direction
    ranked = sorted(_entries(reports, series, histories, direction), key=lambda e: _rank(e, direction))
    groups = by_configuration([e for e in ranked if e.sound], direction)
    contenders = [_contender(group) for group in groups]
    tasks = telling_keys([group[0].task for group in groups])
    ranked = _by_task(ranked, tasks)
    best = _best(ranked, groups) if not tasks else None
    lead = _lead(groups, contenders, direction) if not tasks else Lead(None)
    all_broke = best is not None and not best.sound and len(ranked) > 1
    lead_text = sentences.tasks(groups, tasks) if tasks else sentences.lead(groups, lead, contenders, broken=all_broke)
    longer = _led_by_length(groups, lead, direction)
    if longer is not None:
        lead_text = sentences.shorter(groups, lead, contenders, *longer)
        lead = replace(lead, verdict="unproven")
    common, places = _common(groups, direction) if not tasks else ((), {})
    if longer is not None and not longer[1]:  # the lead says already that there is no difference at equal steps
        common = tuple(replace(one, telling=False) if one.cost == "step" else one for one in common)
    goal = _target(groups, direction, target) if not tasks else None
    reached = {e.at: e.track.reaching(goal.value, direction) for e in ranked if e.track and goal}
    if goal:
        goal = Goal(goal.value, goal.why, sentences.race(groups, reached))
    return Comparison(
        runs=tuple(_line(e, places.get(e.at, {}), reached.get(e.at, {}), tasks) for e in ranked),
        config_keys=tuple(ranked[0].config) if ranked else (),
        best=best.report.run.id if best else None,
        note=" ".join(sentences.notes(ranked, groups, primary, lead_text, several_tasks=bool(tasks))),
        seed_groups=tuple(_seed_group(group) for group in groups if len(group) > 1),
        lead=lead.verdict,
        best_at=best.at if best else None,
        leaders=tuple(own[0][0].at for own, _ in _tasks(groups, tasks)) if tasks else (best.at,) if best else (),
        configurations=tuple(
            standing for own, task in _tasks(groups, tasks) for standing in _standings(own, direction, task)
        ),
        common=common,
        target=goal,
        signals=_refused(tasks, by_result) or _signals(groups, direction, model=model) if len(reports) > 1 else None,
        lead_text=lead_text,
        across=across_tasks(by_configuration([e for e in ranked if e.counted], direction), tasks, direction)
        if tasks
        else None,
    )


def _entries(
    reports: Sequence[RunReport], series: Sequence[Series | None], histories: Sequence[History], direction: Direction
) -> list[Entry]:
    names = short_names([report.run for report in reports])
    differing = configs.differences([report.run.config for report in reports])
    same_by_run = configs.configurations_of([(report.run.config, report.run.name) for report in reports])
    ranked = [at for at, one in enumerate(series) if one is not None and len(one)]
    tasks = dict(zip(ranked, tasks_of([reports[at] for at in ranked]), strict=True))
    entries = []
    for at, (report, name, one) in enumerate(zip(reports, names, series, strict=True)):
        level = level_of(one, direction)
        config = {key: values[at] for key, values in differing.items()}
        same = same_by_run[at]
        tokens = next((match.metric for match in report.roles if match.role == "tokens"), None)
        history = histories[at] if at < len(histories) else History({})
        track = track_of(one, history, tokens)
        entries.append(
            Entry(
                at,
                report,
                name,
                level,
                marks_of(report, level, one.name if one else ""),
                same,
                config,
                track,
                tasks.get(at, {}),
            )
        )
    return entries


def _rank(entry: Entry, direction: Direction) -> tuple[int, float]:
    if entry.level is None:
        return 2, 0.0
    if math.isnan(entry.end):
        return 1, 0.0
    return 0, -entry.end if direction == "max" else entry.end


def _best(ranked: Sequence[Entry], groups: Sequence[Sequence[Entry]]) -> Entry | None:
    """Return the best run of the best configuration; where all broke, the least bad of several."""
    if groups:
        return groups[0][0]
    ended = [e for e in ranked if not math.isnan(e.end)]
    return ended[0] if len(ended) > 1 or (ended and len(ranked) == 1) else None


def _by_task(ranked: list[Entry], tasks: Sequence[str]) -> list[Entry]:
    """Return the runs of each task together, in the order of the ranking; those that cannot be ranked come last."""
    order = list(dict.fromkeys(called(e.task, tasks) for e in ranked if e.level))
    return sorted(ranked, key=lambda e: order.index(called(e.task, tasks)) if e.level else len(order))


def _led_by_length(groups: Sequence[Sequence[Entry]], found: Lead, direction: Direction) -> tuple[float, bool] | None:
    """Return the steps that the best and the next configuration both have, and whether the next one leads there.

    None where the best one leads by more than having run longer.
    """
    if found.rival is None or found.verdict not in ("real", "single"):
        return None
    pair = (groups[0], groups[found.rival])
    lengths = [[steps for e in group if e.track and (steps := e.track.total("step"))] for group in pair]
    if not all(lengths) or min(lengths[0]) <= sentences.LENGTHS_APART * max(lengths[1]):
        return None
    amount = min(lengths[1])
    there = [
        [level for e in group if e.track and (level := e.track.level_at("step", amount, direction))] for group in pair
    ]
    if not all(there):
        return None
    contenders = [Contender(tuple(level.end for level in levels), levels[0].error) for levels in there]
    if lead.lead_of(contenders, 1, [0], direction).verdict != "unproven":
        return amount, True
    return (amount, False) if lead.lead_of(contenders, 0, [1], direction).verdict == "unproven" else None


def _line(
    entry: Entry,
    same: Mapping[Cost, Level],
    reached: Mapping[Cost, float] | None = None,
    tasks: Sequence[str] = (),
) -> RankedRun:
    run, level = entry.report.run, entry.level
    return RankedRun(
        id=run.id,
        name=run.name,
        state=run.state,
        verdict=entry.report.verdict,
        value=level.end if level else None,
        best=level.best if level else None,
        best_step=level.best_step if level else None,
        steps=run.steps,
        duration=run.duration,
        config=entry.config,
        marks=entry.marks,
        at=entry.at,
        project=run.project,
        same={cost: found.end for cost, found in same.items()},
        reached=reached or {},
        tokens=entry.track.total("tokens") if entry.track else None,
        task=called(entry.task, tasks) if tasks and level else None,
    )


def _refused(tasks: Sequence[str], by_result: bool) -> Signals | None:
    if by_result:
        return Signals(refused="some of the runs were chosen by their results; --max-runs reads more")
    return Signals(refused=f"the runs learn different tasks ({', '.join(tasks)})") if tasks else None


def _contender(group: Sequence[Entry], cost: Cost | None = None) -> Contender:
    levels = [e.level if cost is None else e.same.get(cost) for e in group]
    known = [level for level in levels if level]
    return Contender(tuple(level.end for level in known), known[0].error if known else math.nan, group[0].over)


def _lead(groups: Sequence[Sequence[Entry]], contenders: Sequence[Contender], direction: Direction) -> Lead:
    """How the first configuration stands to the next that is not the same one still running."""
    if not groups:
        return Lead(None)
    rivals = [at for at in range(1, len(groups)) if not _same(groups[at][0], groups[0][0])]
    return lead.lead_of(contenders, 0, rivals, direction)


def _same(one: Entry, other: Entry) -> bool:
    mine, theirs = one.report.run, other.report.run
    place = (mine.entity, mine.project) == (theirs.entity, theirs.project)
    return bool(one.configuration) and one.configuration == other.configuration and place


def _seed_group(group: Sequence[Entry]) -> SeedGroup:
    ends = [e.end for e in group]
    return SeedGroup(
        runs=tuple(e.report.run.id for e in group),
        names=tuple(e.name for e in group),
        mean=float(np.mean(ends)),
        std=float(np.std(ends, ddof=1)),
    )


def _tasks(
    groups: Sequence[Sequence[Entry]], keys: Sequence[str]
) -> list[tuple[Sequence[Sequence[Entry]], str | None]]:
    """Return the configurations of each task with what it is called; None where all learn one."""
    if not keys:
        return [(groups, None)]
    parts: dict[str, list[Sequence[Entry]]] = {}
    for group in groups:
        parts.setdefault(called(group[0].task, keys), []).append(group)
    return [(own, task) for task, own in parts.items()]


def _standings(groups: Sequence[Sequence[Entry]], direction: Direction, task: str | None) -> tuple[Standing, ...]:
    contenders = [_contender(group) for group in groups]
    spread = lead.spread_of(contenders)
    values = [centre(one.values) for one in contenders]
    costs: dict[Cost, list[float | None]] = {cost: [_mean_cost(group, cost) for group in groups] for cost in COSTS}
    # A run without real progress is cheap, but not worth choosing.
    gained = iter(gains([e.level for group in groups for e in group if e.level], direction))
    means = [float(np.mean([next(gained) for e in group if e.level])) for group in groups]
    idle = [not gain >= EARNEST * max(means) for gain in means]
    fronts = {
        cost: lead.cheapest(values, [None if out else one for one, out in zip(spent, idle, strict=True)], direction)
        for cost, spent in costs.items()
    }
    made = []
    for at, group in enumerate(groups):
        own = level_interval(contenders[at].values, spread)
        gap = lead.gap_of(contenders[0], contenders[at], spread, direction) if at else None
        made.append(
            Standing(
                runs=tuple(e.report.run.id for e in group),
                names=tuple(e.name for e in group),
                at=tuple(e.at for e in group),
                value=own.value,
                low=own.low if own.known else None,
                high=own.high if own.known else None,
                how=own.how,
                gap=gap.value if gap else None,
                gap_low=gap.low if gap and gap.known else None,
                gap_high=gap.high if gap and gap.known else None,
                apart=gap.low > 0 if gap and gap.known else None,
                seconds=costs["time"][at],
                tokens=costs["tokens"][at],
                steps=costs["step"][at],
                front=tuple(cost for cost in COSTS if at in fronts[cost]),
                task=task,
            )
        )
    return tuple(made)


def _mean_cost(group: Sequence[Entry], cost: Cost) -> float | None:
    """Return what a run of the configuration costs, None where that is not known of each, or not final."""
    found = []
    for entry in group:
        run = entry.report.run
        spent = entry.track.total(cost) if entry.track else None
        if cost == "time" and run.duration is not None:
            spent = run.duration
        if spent is None or not entry.over:
            return None
        found.append(spent)
    return float(np.mean(found))


def _common(
    groups: Sequence[Sequence[Entry]], direction: Direction
) -> tuple[tuple[CommonPoint, ...], dict[int, dict[Cost, Level]]]:
    """Return the points of equal cost, and each run's levels there."""
    tracks = {e.at: e.track for group in groups for e in group if e.track}
    points: list[CommonPoint] = []
    places: dict[int, dict[Cost, Level]] = {}
    for cost in COSTS:
        found = common_amount(tracks, cost)
        if found is None:
            continue
        amount, short = found
        for at, track in tracks.items():
            level = track.level_at(cost, amount, direction) if at not in short else None
            if level:
                places.setdefault(at, {})[cost] = level
        leader, verdict, note = _note_there(groups, places, cost, amount, direction)
        longest = max(track.total(cost) or 0.0 for track in tracks.values())
        telling = cost != "time" and longest > sentences.LENGTHS_APART * amount
        other = leader is not groups[0][0] and verdict != "unproven"
        points.append(CommonPoint(cost, amount, short, note, bool(note) and (telling or other)))
    return tuple(points), places


def _note_there(
    groups: Sequence[Sequence[Entry]],
    places: Mapping[int, Mapping[Cost, Level]],
    cost: Cost,
    amount: float,
    direction: Direction,
) -> tuple[Entry | None, lead.Certainty | None, str]:
    """Return the best run at equal cost, whether its lead is more than chance, and a sentence."""
    there = [[(e, places[e.at][cost]) for e in group if cost in places.get(e.at, {})] for group in groups]
    there = [group for group in there if group]
    made = [
        (Contender(tuple(level.end for _, level in group), group[0][1].error), [e for e, _ in group]) for group in there
    ]
    made.sort(key=lambda pair: centre(pair[0].values), reverse=direction == "max")
    contenders, entries = [one for one, _ in made], [group for _, group in made]
    rivals = [at for at in range(1, len(made)) if not _same(entries[at][0], entries[0][0])]
    ahead = lead.lead_of(contenders, 0, rivals, direction) if made else Lead(None)
    leader = next((group[0] for group in groups if entries and entries[0][0] in group), None)
    return leader, ahead.verdict, sentences.common(cost, amount, entries, contenders, ahead)


def _target(groups: Sequence[Sequence[Entry]], direction: Direction, given: float | None) -> Goal | None:
    if given is not None:
        return Goal(given, "given by you")
    levels = [e.level for group in groups for e in group if e.level and e.over]
    value = best_common_level(levels, direction)
    return (
        Goal(value, "best final level shared by all runs with at least half of the top improvement") if value else None
    )


def _signals(groups: Sequence[Sequence[Entry]], direction: Direction, *, model: bool) -> Signals:
    """Return what goes with the result, over the configurations of one project that ended soundly."""
    ended = [group for group in groups if group[0].over and group[0].configuration]
    projects = {(g[0].report.run.entity, g[0].report.run.project) for g in ended}
    if len(projects) > 1:
        return Signals(refused=f"the runs are of {len(projects)} projects", count=len(ended))
    settings = [group[0].config for group in ended]
    levels = [centre([e.end for e in group]) for group in ended]
    found = signals_of(settings, levels, direction)
    if not model or found.refused:
        return found
    known = {one.key for one in found.signals}
    return with_importance(found, [c for c in columns_of(settings) if c.key in known], levels)
