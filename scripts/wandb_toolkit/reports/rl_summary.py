"""The reinforcement-learning lens: KL, entropy, clipping, gradients and reward, one line each over all runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wandb_toolkit.comparison.levels import Level, level_of
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.phrases import label
from wandb_toolkit.model import History, Lens, RunReport
from wandb_toolkit.reports.sentences import FEW_POINTS
from wandb_toolkit.text import listed, number, plural, quoted, short_names

# The order of the lines; which detectors judge a role, they say themselves.
_ROLES = (
    "reward", "kl", "entropy", "policy_std", "clip_fraction", "reward_std", "importance_ratio", "explained_variance",
    "length", "truncation", "grad_norm",
)  # fmt: skip
_TELLS_RL = ("reward", "kl", "entropy", "clip_fraction", "reward_std")


@dataclass(frozen=True)
class _Sight:
    """One run's curve of a role."""

    at: int  # place of the run
    name: str
    level: Level
    report: RunReport
    sign: int


def look_through(
    reports: Sequence[RunReport],
    histories: Sequence[History],
    roles: Mapping[str, str],
    best: int | None,
) -> tuple[Lens, ...]:
    """Return a line for each role of reinforcement learning that the runs have; none where nothing tells RL.

    Levels are those of the run at place `best`; where it does not log the role, of the middle one of those that do.
    """
    if "reward" not in roles and sum(role in roles for role in _TELLS_RL) < 2:
        return ()
    names = short_names([report.run for report in reports])
    lines = []
    for role in _ROLES:
        judges = [each.id for each in DETECTORS.values() if role in each.lens]
        sights = []
        for at, (name, report, history) in enumerate(zip(names, reports, histories, strict=True)):
            match = next((m for m in report.roles if m.role == role and m.metric == roles.get(role)), None)
            level = level_of(history.get(match.metric)) if match else None
            if match and level:
                sights.append(_Sight(at, name, level, report, match.sign))
        if sights:
            text = _judgement(judges, roles[role], sights)
            if role == "reward":
                beside = _against_task(reports, histories, best, names, _of_best(sights, best).at)
                text = f"{beside}; {text}"
            lines.append(_line(role, roles[role], sights, text, best))
    return tuple(lines)


def _line(role: str, metric: str, sights: Sequence[_Sight], text: str, best: int | None) -> Lens:
    ends = [s.sign * s.level.end for s in sights if not math.isnan(s.level.end)]
    shown = _of_best(sights, best)
    if len(sights) > 1 and ends:
        text = f"the {len(sights)} runs end at {number(min(ends))} to {number(max(ends))}; {text}"
    if sights[0].sign < 0:
        text = f"logged as its negative; {text}"
    run = shown.name if len(sights) > 1 else None
    return Lens(role, metric, shown.sign * shown.level.start, shown.sign * shown.level.end, text, run)


def _of_best(sights: Sequence[_Sight], best: int | None) -> _Sight:
    """Return the best run's curve, else that of the run whose end is in the middle: a run that there is."""
    known = sorted((s for s in sights if not math.isnan(s.level.end)), key=lambda s: s.level.end) or list(sights)
    return next((s for s in sights if s.at == best), known[len(known) // 2])


def _judgement(judges: Sequence[str], metric: str, sights: Sequence[_Sight]) -> str:
    """Say which faults were found in which runs, else that none was, else that nobody could judge."""
    said = []
    others = [
        finding.id
        for sight in sights
        for finding in sight.report.findings
        if finding.severity != "good" and metric in finding.metrics  # a NaN, say, is no detector's of the role
    ]
    for judge in dict.fromkeys([*judges, *others]):
        hit = [s.name for s in sights if any(f.id == judge for f in s.report.findings)]
        if hit:
            where = "" if len(sights) == 1 else f" in {listed(hit)}"
            said.append(f"{label(judge)}{where}")
    if said:
        return ", ".join(said)
    if any(judge in s.report.passed for judge in judges for s in sights):
        alone = len(sights) == 1 and sights[0].report.verdict == "ugly"
        return "no fault of its own" if alone else "no fault found"
    reasons = [k.reason for s in sights for k in s.report.skipped if k.id in judges]
    return f"not judged ({reasons[0]})" if reasons else "not judged"


def _against_task(
    reports: Sequence[RunReport], histories: Sequence[History], best: int | None, names: Sequence[str], shown: int
) -> str:
    """Say how the task metric moved beside the reward, and in which run, where that is not the one `shown`."""
    found: dict[int, tuple[str, Level, int]] = {}
    for at, (report, history) in enumerate(zip(reports, histories, strict=True)):
        match = next((m for m in report.roles if m.role == "task"), None)
        beside = any(m.role == "reward" and m.metric in history for m in report.roles)
        level = level_of(history.get(match.metric)) if match and beside else None
        if match and level:
            found[at] = match.metric, level, len(history[match.metric])
    if not found:
        return "no task metric beside it"
    at = next((place for place in (best, shown) if place in found), min(found))
    metric, level, points = found[at]
    few = f" ({plural(points, 'point')} only)" if points < FEW_POINTS else ""
    where = "" if at == shown else f" in {quoted(names[at])}"
    return f"task metric {quoted(metric)} {number(level.start)} → {number(level.end)}{few}{where}"
