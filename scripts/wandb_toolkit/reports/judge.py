"""Readings → each run judged, its siblings being the other chosen runs of the same project and task."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from wandb_toolkit.configs import same_task, task_of
from wandb_toolkit.detectors import DETECTORS, Examination, RunView, Sibling, examine, sibling_of
from wandb_toolkit.detectors.base import OBJECTIVE, SIBLINGS_MOST
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Finding, History, Primary, RoleMatch, Run, RunReport
from wandb_toolkit.plots.charts import STEP
from wandb_toolkit.reports import read
from wandb_toolkit.reports.read import Reading
from wandb_toolkit.reports.steps import StepAxis
from wandb_toolkit.sources.base import Histories
from wandb_toolkit.workers import Elsewhere, spread

LOG_LINES = 50  # of a broken run's console output
_QUIET_STATES = ("running", "finished", "pending")

_Task: TypeAlias = "tuple[str | None, str | None, tuple[tuple[str, str], ...]]"  # entity, project, what tells it apart


@dataclass(frozen=True)
class _Common:
    """What judging a run needs to know of the others. Goes to each process once."""

    siblings: Mapping[int, Sibling]  # by place among the readings
    now: datetime
    baseline: tuple[int, ...] = ()  # places of the runs known to be good


@dataclass(frozen=True)
class _Case:
    """A run, and what it is judged by."""

    at: int
    run: Run
    history: History
    roles: Mapping[str, RoleMatch]
    beside: Sequence[int]  # places of its siblings
    log_tail: tuple[str, ...]
    primary: Primary | None
    thinned: bool  # its curves as a sibling are not its own


def key_of(run: Run) -> tuple[str | None, str | None, str]:
    """Return what tells a run from all others of a source."""
    return run.entity, run.project, run.id


def judge_all(
    source: Histories,
    readings: Sequence[Reading],
    primary: Sequence[Primary | None],
    now: datetime,
    jobs: int = 1,
    baseline: Sequence[Run] = (),
    elsewhere: Elsewhere | None = None,
) -> list[RunReport]:
    """Return the runs' findings, without a verdict, in the order of the readings.

    Args:
        source: where consoles, and points that were left out, are read.
        readings: what was read of each run.
        primary: what each is judged by.
        now: when they are looked at.
        jobs: how many processes may judge, where there are runs enough for it to pay.
        baseline: the runs known to be good.
        elsewhere: who judges instead of processes of this machine.

    Raises:
        ToolkitError: a process was killed.
    """
    siblings = {at: sibling_of(one.run, one.history, one.roles, primary[at]) for at, one in enumerate(readings)}
    beside = _beside(readings)
    good = {key_of(run) for run in baseline}
    known = tuple(at for at, one in enumerate(readings) if key_of(one.run) in good)
    asked = {*known, *(at for places in beside for at in places)}
    needed = siblings if jobs == 1 and elsewhere is None else {at: siblings[at] for at in sorted(asked)}
    sampled: list[dict[str, tuple[int, int]]] = []
    cases = _cases(source, readings, primary, beside, sampled)
    common = _Common(needed, now, known)
    judged = spread(_same, common, _judge, cases, jobs, "judges", total=len(readings), elsewhere=elsewhere)
    return [
        _reported(reading, own, result, parts)
        for reading, own, result, parts in zip(readings, primary, judged, sampled, strict=True)
    ]


def _same(common: _Common) -> _Common:
    return common


def _judge(common: _Common, case: _Case) -> Examination:
    own = common.siblings.get(case.at)
    others = tuple(common.siblings[at] for at in case.beside if at != case.at)
    # What was worked out of its curves for its siblings serves itself.
    known = own.known() if own is not None and not case.thinned else {}
    good = tuple(common.siblings[at] for at in common.baseline) if case.at not in common.baseline else ()
    return examine(
        RunView(
            case.run, case.history, case.roles, others, case.log_tail, case.primary, common.now, good, _curves=known
        )
    )


def _cases(
    source: Histories,
    readings: Sequence[Reading],
    primary: Sequence[Primary | None],
    beside: Sequence[Sequence[int]],
    sampled: list[dict[str, tuple[int, int]]],
) -> Iterator[_Case]:
    """Yield what is to be judged; `sampled` gets what was read of each run, as a thinned one is whole only here."""
    tails = _log_tails(source, readings)
    for at, one in enumerate(read.complete(source, readings)):
        # Without the summary, which no detector looks at and a server would be asked for.
        run = replace(one.run, summary={})
        sampled.append(_sampled(one.history))
        yield _Case(at, run, one.history, one.roles, beside[at], next(tails), primary[at], readings[at].thinned)


def _log_tails(source: Histories, readings: Sequence[Reading]) -> Iterator[tuple[str, ...]]:
    """Yield the end of each broken run's console, () for the others; it only adds to what the exit record says."""
    broken = [one.run for one in readings if one.run.state not in _QUIET_STATES]
    tails = source.consoles(broken, LOG_LINES)
    for one in readings:
        tail = [] if one.run.state in _QUIET_STATES else next(tails)
        yield () if isinstance(tail, ToolkitError) else tuple(tail)


def _beside(readings: Sequence[Reading]) -> list[list[int]]:
    """Return the places of each run's project and task, its own among them; of very many, every n-th.

    What is asked of siblings is a median, a spread or a majority: with all of them the work would grow with the square
    of the runs.
    """
    groups: dict[_Task, list[int]] = {}
    keys = [(one.run.entity, one.run.project, tuple(sorted(task_of(one.run.config).items()))) for one in readings]
    for at, key in enumerate(keys):
        groups.setdefault(key, []).append(at)
    samples: dict[_Task, list[int]] = {}
    for key in groups:
        same = [other for other in groups if other[:2] == key[:2] and same_task(dict(other[2]), dict(key[2]))]
        places = sorted(at for other in same for at in groups[other])
        samples[key] = places[:: max(1, -(-len(places) // (SIBLINGS_MOST + 1)))]
    return [samples[key] for key in keys]


def _reported(
    reading: Reading, primary: Primary | None, result: Examination, sampled: Mapping[str, tuple[int, int]]
) -> RunReport:
    return RunReport(
        run=reading.run,
        verdict="unknown",
        findings=tuple(_placed(finding, reading.axis) for finding in result.findings),
        # That praise could not be given is of no interest.
        skipped=tuple(s for s in result.skipped if DETECTORS[s.id].severity != "good"),
        passed=result.passed,
        roles=tuple(reading.roles.values()),
        sampled=sampled,
        unjudged=_unjudged(result),
        primary=primary,
        step_metric=reading.axis.metric if reading.axis else STEP,
    )


def _placed(finding: Finding, axis: StepAxis | None) -> Finding:
    if finding.step is None:
        return finding

    def log_step(step: int) -> int:
        return axis.to_log(step) if axis else step

    moved = tuple(replace(one, log_step=log_step(one.step)) for one in finding.leading_up)
    return replace(finding, log_step=log_step(finding.step), leading_up=moved)


def _unjudged(result: Examination) -> str:
    """Return why nothing shows that the run learned: what the checks of learning lacked, or that they saw no gain."""
    reasons = {skip.id: skip.reason for skip in result.skipped if DETECTORS[skip.id].learning}
    looked = [each.id for each in DETECTORS.values() if each.learning and each.id not in reasons]
    if looked:
        return "no loss, reward or task metric improved beyond its noise"
    own = next((why for id_, why in reasons.items() if not DETECTORS[id_].roles), "")  # of the primary metric
    if own and not own.startswith(("no primary metric", "the run has no", "only ")):
        return own
    few = [reason for reason in reasons.values() if reason.startswith("only ")]
    if few:
        return few[0]
    objective = next((reason for reason in reasons.values() if OBJECTIVE in reason), "")
    if objective:
        return f"no metric is recognised as reward or task metric, and {objective}"
    return "no metric is recognised as loss, reward or task metric"


def _sampled(history: History) -> dict[str, tuple[int, int]]:
    """Return the metrics of which the source gave a part: points read and points logged."""
    return {
        name: (len(one), one.total or len(one))
        for name, one in history.series.items()
        if one.sampled and name not in read.AXES
    }
