"""A report's running runs → where they will end, when, and how likely one of them becomes the best."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.configs import same_task, task_of
from wandb_toolkit.forecast import course, siblings
from wandb_toolkit.forecast.course import Increment
from wandb_toolkit.forecast.plan import End, end_of, last_step, time_left
from wandb_toolkit.model import Forecast, Primary, Run, RunForecast, RunReport, Series
from wandb_toolkit.reports.build import Built
from wandb_toolkit.reports.read import Reading
from wandb_toolkit.roles import words_of
from wandb_toolkit.text import plural

COVERAGE = 0.8
WHOLE = 0.9  # of the planned end that an ended run must have reached to tell how it goes on
EARLY = 0.1  # of the plan, before which a run's own course tells nothing
OF_BAND = 0.5  # of the log odds that a band gives
SURE = 0.98  # no chance is called more, none less than what this leaves
_SHARES = re.compile(r"(^| )(acc|accuracy|f1|auc|auroc|precision|recall|iou|dice|success)( |$)")


@dataclass(frozen=True)
class Level:
    """A final level, foreseen."""

    middle: float
    low: float
    high: float
    method: str  # "siblings" or "course"
    siblings: int  # whose increments were taken

    def chance(self, best: float, sign: int, others: int) -> float:
        """Return how likely the level becomes better than `best`, the best of so many others.

        Half way, in log odds, from what any new run has, 1 in `others` + 1, to what the band says, as a normal law with
        a width for each side: bands are right about four in five, not about their far ends.
        """
        away = sign * (best - self.middle)
        side = (self.high if sign * away > 0 else self.low) - self.middle
        z = away / abs(side) * course.SIDE if side else math.copysign(math.inf, away)
        said = min(max(0.5 * math.erfc(z / 2**0.5), 1 - SURE), SURE)
        odds = math.log(said / (1 - said)) * OF_BAND - math.log(others) * (1 - OF_BAND)
        return min(max(1 / (1 + math.exp(-odds)), 1 - SURE), SURE)


def forecast(built: Built) -> Forecast:
    """Return where the running runs of a report are heading; a forecast without runs where none is running."""
    with np.errstate(all="ignore"):  # what overflows has no forecast
        found = [
            forecast_of(one, built.readings, report.primary, silent=_is_silent(report))
            for one, report in zip(built.readings, built.report.runs, strict=True)
            if one.run.state == "running"
        ]
    note = "" if found else "No run is running, so there is nothing to forecast"
    return Forecast(tuple(found), COVERAGE, note)


def forecast_of(
    own: Reading, readings: Sequence[Reading], primary: Primary | None, *, silent: bool = False
) -> RunForecast:
    """Return where one running run is heading, beside the finished ones among `readings`."""
    others = [
        one for one in readings if one is not own and one.run.state == "finished" and _same_task(own.run, one.run)
    ]
    alike = [
        one for one in others if primary is None or primary.metric in one.history
    ]  # another program goes elsewhere
    lasts = [last_step(one.history) for one in alike]
    end = end_of(own.run, own.history, [(one.run, last) for one, last in zip(alike, lasts, strict=True)])
    here = last_step(own.history)
    said = RunForecast(
        run=own.run.id, name=own.run.name, metric=primary.metric if primary else None, step=int(here),
        end=round(end.step) if end else None, end_from=end.why if end else "", silent=silent,
    )  # fmt: skip
    if end is not None and (left := time_left(own.run, own.history, end.step)) is not None:
        said = replace(said, seconds_left=left[0], finish=left[1])
    if primary is None:
        return replace(said, why_not="no metric to rank by")
    series = own.history.get(primary.metric)
    beside = [(one.run, one.history[primary.metric]) for one in alike]
    if series is None or end is None:
        reason = "neither its config nor finished runs say where it ends"
        return replace(said, why_not=reason if series is not None else f"{primary.metric} has not been logged")
    long = [curve for (_, curve), last in zip(beside, lasts, strict=True) if last >= WHOLE * end.step]
    level = final_level(series, here, end, long, primary)
    if isinstance(level, str):
        return replace(said, why_not=level)
    sign = 1 if primary.direction == "max" else -1
    ends = [(sign * stats.edges(curve.value)[1], run.name) for run, curve in beside]
    best = max((one for one in ends if one[0] == one[0]), default=None)
    return replace(
        said, level=siblings.level_at(series, here), value=level.middle, low=level.low, high=level.high,
        method=level.method, siblings=level.siblings,
        best=sign * best[0] if best else None, best_run=best[1] if best else None,
        chance=level.chance(sign * best[0], sign, len(beside)) if best else None,
    )  # fmt: skip


def _is_silent(report: RunReport) -> bool:
    return any("silent_seconds" in finding.evidence for finding in report.findings)


def _same_task(one: Run, other: Run) -> bool:
    same_place = (one.entity, one.project) == (other.entity, other.project)
    return same_place and same_task(task_of(one.config), task_of(other.config))


def final_level(series: Series, now: float, end: End, beside: Sequence[Series], primary: Primary) -> Level | str:
    """Return a run's level at its end with its band, or why there is none.

    Args:
        series: the metric so far.
        now: the step that the run is at.
        end: where it will stop.
        beside: the metric of finished runs of the task that went as far.
        primary: the metric, and which way is better.
    """
    level = siblings.level_at(series, now)
    if not math.isfinite(level):
        return f"the last values of {primary.metric} are not finite"
    gains = siblings.increments(level, beside, now, end.step)
    found, method = siblings.increment_of(gains), "siblings"
    if found is None:
        x, y = stats.finite(series.x, series.value)
        if now < EARLY * end.step:
            return f"it is at {now / end.step:.0%} of its steps, and {_too_few(len(gains))} tells how they go on"
        found, method = course.extrapolated(x, y, now, end.step, 1 if primary.direction == "max" else -1), "course"
        if found is None:
            return f"{primary.metric} has {plural(len(y), 'point')}, and {_too_few(len(gains))} tells how they go on"
    if not np.isfinite([level + found.middle, level + found.low, level + found.high]).all():
        return f"the numbers of {primary.metric} are too large to reckon with"
    low, high = _within(found, level, primary, [series, *beside])
    return Level(level + found.middle, low, high, method, len(gains) if method == "siblings" else 0)


def _too_few(count: int) -> str:
    return f"only {plural(count, 'finished run')}" if count else "no finished run"


def _within(found: Increment, level: float, primary: Primary, curves: Sequence[Series]) -> tuple[float, float]:
    """Return a band that does not leave the metric's range: nothing below 0 where nothing was, no share above 1."""
    low, high = level + found.low, level + found.high
    middle = level + found.middle
    values = np.concatenate([one.value[np.isfinite(one.value)] for one in curves])
    if float(values.min()) >= 0:
        low = min(max(low, 0.0), middle)
        if float(values.max()) <= 1 and _SHARES.search(words_of(primary.metric)):
            high = max(min(high, 1.0), middle)
    return low, high
