"""Every ended run, prefix by prefix, through the same detectors: what ways of stopping would have saved and cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from wandb_toolkit import roles, stats
from wandb_toolkit.configs import same_task, task_of
from wandb_toolkit.detectors import DETECTORS, RunView, Sibling, examine
from wandb_toolkit.model import FalseAlarm, History, Policy, Primary, Replay, ReplayedRun, RunReport
from wandb_toolkit.replay.gpus import Gpus, not_recorded
from wandb_toolkit.replay.prefix import Past, places
from wandb_toolkit.reports.build import Built, ReportOptions, verdict_of
from wandb_toolkit.text import plural
from wandb_toolkit.workers import spread

PREFIXES = 12  # of a run; what a watcher would have seen at every twelfth of it
BESIDE = 12  # earlier runs that a run is compared with, those that started last before it
LEAST_MEDIAN = 3  # others at a step, from which on their median tells
POLICIES = ("ugly", "bad", "median")
_ENDED = ("finished", "crashed", "failed", "killed")

Glance: TypeAlias = "tuple[float, str, frozenset[str], bool]"  # step, verdict, what is found, below the median


@dataclass(frozen=True)
class _All:
    pasts: Sequence[Past]
    primary: Primary | None
    options: ReportOptions


def replay(built: Built, options: ReportOptions, jobs: int = 1, gpus: Gpus = not_recorded) -> Replay | None:
    """Return what stopping would have done to the runs of a report; None where none has ended.

    A look at a run sees nothing that came later: not of itself, not of others, not how it ended. `gpus` tells how many
    GPUs runs had; it is asked about those that would have been stopped.
    """
    pasts, looks = look_back(built, options, jobs)
    if not pasts:
        return None
    best = _best_third(pasts, built.report.primary)
    runs = [_told(past, look, best) for past, look in zip(pasts, looks, strict=True)]
    met = [past.run for past, one in zip(pasts, runs, strict=True) if any(s is not None for s in one.stopped.values())]
    had = {run.id: count for run, count in zip(met, gpus(met), strict=True) if count is not None}
    return Replay(
        policies=tuple(_policy(name, pasts, runs, best, had) for name in POLICIES),
        runs=tuple(runs),
        changed=tuple(_changed(looks)),
        prefixes=PREFIXES,
        note=_note(pasts, best),
    )


def look_back(built: Built, options: ReportOptions, jobs: int = 1) -> tuple[list[Past], list[list[Glance]]]:
    """Return the ended runs of a report, and what was seen at each look at each of them, the last one at its end."""
    pasts = [
        Past(one.run, one.history, options.overrides, options.patterns)
        for one in built.readings
        if one.run.state in _ENDED and any(len(series) > 1 for series in one.history.series.values())
    ]
    known = _All(pasts, built.report.primary, ReportOptions(options.now, options.primary))
    looks = spread(
        _same,
        known,
        _looks,
        iter(range(len(pasts))),
        jobs if len(pasts) >= 8 else 1,
        "replays",
        elsewhere=options.elsewhere,
    )
    return pasts, list(looks)


def _same(known: _All) -> _All:
    return known


def _looks(known: _All, at: int) -> list[Glance]:
    return list(_glances(known, at))


def _glances(known: _All, at: int) -> Iterator[Glance]:
    past, others = known.pasts[at], _earlier(known, at)
    for step in places(past.last, PREFIXES):
        history = past.until(step)
        found = past.roles_in(history)
        primary = _primary(known, history)
        seconds = past.seconds_at(step)
        moment = past.started + (seconds if seconds == seconds else 0.0)
        beside = [(one, sibling) for one in others if (sibling := one.as_sibling(moment, primary)) is not None]
        siblings = tuple(sibling for _, sibling in beside)
        result = examine(RunView(past.running(step), history, found, siblings, (), primary, None))
        report = RunReport(past.run, "unknown", result.findings)
        ended = step >= past.last  # what is folded under another finding there has not been taken back
        ids = frozenset(
            f.id
            for f in result.findings
            if f.severity in ("bad", "ugly") and (ended or not f.consequence_of) and f.id in DETECTORS
        )
        below = primary is not None and _below_median(history, siblings, primary, step)
        yield float(step), verdict_of(report), ids, below


def _earlier(known: _All, at: int) -> list[Past]:
    """Return the runs of the same task that had started before, the last of them."""
    own = known.pasts[at]
    task = task_of(own.run.config)
    same = [
        one
        for one in known.pasts
        if one is not own and one.started < own.started and one.run.project == own.run.project
        if same_task(task, task_of(one.run.config))
    ]
    return sorted(same, key=lambda one: one.started)[-BESIDE:]


def _primary(known: _All, history: History) -> Primary | None:
    """Return the metric to judge by among those that had been logged."""
    if known.primary is not None and known.primary.metric in history:
        return known.primary
    names = [name for name in history if not name.startswith(("_", "system."))]
    return roles.choose_primary([names], None, known.options.patterns) if known.options.primary is None else None


def _below_median(history: History, siblings: Sequence[Sibling], primary: Primary, step: float) -> bool:
    """Return whether the run's best so far is worse than the median of the others' running averages up to its step.

    The median stopping rule of Google Vizier (Golovin and others, 2017, section 3.2).
    """
    own = history.get(primary.metric)
    if own is None:
        return False
    sign = 1.0 if primary.direction == "max" else -1.0
    finite = own.value[own.value == own.value]
    averages = [
        float((sign * curve.y[curve.x <= step]).mean())
        for one in siblings
        if (curve := one.primary) is not None and len(curve) and curve.x[-1] >= step and curve.x[0] <= step
    ]
    if len(averages) < LEAST_MEDIAN or not len(finite):
        return False
    return float((sign * finite).max()) < sorted(averages)[len(averages) // 2]


def _told(past: Past, look: Sequence[Glance], best: frozenset[str]) -> ReplayedRun:
    first: dict[str, int | None] = {}
    for name in POLICIES:
        met = (int(step) for step, verdict, _, below in look[:-1] if _stops(name, verdict, below))
        first[name] = next(met, None)
    return ReplayedRun(past.run.id, past.run.name, int(past.last), first, past.run.id in best)


def _stops(policy: str, verdict: str, below: bool) -> bool:
    if policy == "median":
        return below
    return verdict == "ugly" or (policy == "bad" and verdict == "bad")


def _policy(
    name: str, pasts: Sequence[Past], runs: Sequence[ReplayedRun], best: frozenset[str], gpus: Mapping[str, int]
) -> Policy:
    stopped = [
        (past, one, step) for past, one in zip(pasts, runs, strict=True) if (step := one.stopped[name]) is not None
    ]
    whole = sum(one.steps for one in runs)
    spared = sum(one.steps - step for _, one, step in stopped)
    timed = [(one.run, (past.seconds_at(past.last) - past.seconds_at(step)) / 3600) for past, one, step in stopped]
    timed = [(run, hours) for run, hours in timed if hours == hours]
    on_gpus = [hours * gpus[run] for run, hours in timed if run in gpus]
    return Policy(
        name=name,
        stopped=len(stopped),
        steps_saved=spared,
        share_saved=spared / whole if whole else 0.0,
        hours_saved=sum(hours for _, hours in timed),
        gpu_hours_saved=sum(on_gpus) if on_gpus else None,
        gpu_runs=len(on_gpus),
        wrongly=tuple(one.name for _, one, _ in stopped if one.run in best),
        best_third=len(best),
    )


def _best_third(pasts: Sequence[Past], primary: Primary | None) -> frozenset[str]:
    """Return the ids of the third that ended best, () where nothing ranks them."""
    if primary is None:
        return frozenset()
    sign = 1.0 if primary.direction == "max" else -1.0
    ends = [
        (sign * stats.edges(series.value)[1], past.run.id)
        for past in pasts
        if past.run.state == "finished" and (series := past.history.get(primary.metric)) is not None and len(series)
    ]
    ranked = sorted((one for one in ends if one[0] == one[0]), reverse=True)
    return frozenset(id_ for _, id_ in ranked[: math.ceil(len(ranked) / 3)])


def _changed(looks: Sequence[Sequence[Glance]]) -> list[FalseAlarm]:
    """Return how often each diagnosis was made before a run's end, and how often it was gone there."""
    fired, gone = Counter[str](), Counter[str]()
    for look in looks:
        early = frozenset[str]().union(*(ids for _, _, ids, _ in look[:-1]))
        fired.update(early)
        gone.update(early - look[-1][2])
    ranked = sorted(fired.items(), key=lambda item: (-gone[item[0]], -item[1], item[0]))
    return [FalseAlarm(id_, count, gone[id_]) for id_, count in ranked]


def _note(pasts: Sequence[Past], best: frozenset[str]) -> str:
    clock = sum(past.seconds_at(past.last) == past.seconds_at(past.last) for past in pasts)
    said = f"{plural(len(pasts), 'ended run')}, each looked at {PREFIXES} times, others as far as they had come by then"
    said += "" if clock == len(pasts) else f"; {len(pasts) - clock} without a clock"
    return said if best else f"{said}; no metric ranks them, so wrong stops are not known"
