"""One claim against what its runs logged: a verdict and the sentence that says why. Pure functions.

A number is right where it is a value rounded to the digits written, either way at a half. It is also compared with what
people mix up with it: the best for the last, one seed for the mean, another run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wandb_toolkit import roles
from wandb_toolkit.claims.claim import Claim, Judged, Statistic, Verdict
from wandb_toolkit.claims.values import ROUNDING_MAX, Logged, Match, Point, agrees, match, point_of
from wandb_toolkit.text import number as shown
from wandb_toolkit.text import plural

TELLING = 3  # significant digits from which on a match with another run or statistic is no accident


@dataclass(frozen=True, eq=False)
class _Case:
    """A claim about one metric, with what its runs logged of it."""

    claim: Claim
    metric: str
    own: Sequence[Logged]
    siblings: Sequence[Logged]
    others: Sequence[Logged]

    @property
    def bounds(self) -> tuple[float, float]:
        """The least and greatest finite value of all runs, which tell fractions from percentages."""
        values = [one.series.value[np.isfinite(one.series.value)] for one in (*self.own, *self.siblings)]
        joined = np.concatenate(values) if values else np.empty(0)
        return (float(joined.min()), float(joined.max())) if len(joined) else (0.0, 0.0)

    def points(self, statistic: Statistic, logged: Sequence[Logged] | None = None) -> list[Point]:
        step = self.claim.step
        found = [point_of(one, statistic, step) for one in (self.own if logged is None else logged)]
        return [point for point in found if point is not None]

    def agrees(self, actual: float) -> Match | None:
        found = match(self.claim.number, actual, self.metric, *self.bounds)
        return found[0] if found else None


def judge(
    claim: Claim,
    logged: Sequence[tuple[str, Sequence[Logged]]],
    siblings: Sequence[Logged] = (),
    others: Sequence[Logged] = (),
) -> Judged:
    """Return the verdict on a claim; of several metrics that may be meant, that which the number agrees with.

    Args:
        claim: the number, and what it is said to be.
        logged: each metric that may be meant, with what the claim's runs logged of it.
        siblings: the other seeds of a single run; those of other metrics are left aside.
        others: other runs that the number may come from.
    """
    cases = [_Case(claim, metric, own, _of(metric, siblings), _of(metric, others)) for metric, own in logged if own]
    if claim.problem or not cases:
        what = claim.problem or f"{_runs(claim)} logged no numeric {' or '.join(claim.metrics[:3])}."
        return Judged(claim, "not_decidable", what, runs=claim.runs, seeds=len(claim.runs))
    found = [_judge(case) for case in cases]
    right = [one for one in found if one.verdict == "confirmed"]
    if right or len(found) == 1:
        return (right or found)[0]
    undecided = next((one for one in found if one.verdict == "not_decidable"), found[0])
    names = ", ".join(case.metric for case in cases[:4])
    return replace(
        undecided, verdict="not_decidable", reason=f"it may mean {names}, and is neither's last or best value."
    )


def _of(metric: str, logged: Sequence[Logged]) -> list[Logged]:
    return [one for one in logged if one.series.name == metric]


def _runs(claim: Claim) -> str:
    return claim.run if claim.run else "the run"


def _judge(case: _Case) -> Judged:
    claim = case.claim
    wanted: tuple[Statistic, ...] = (claim.statistic,) if claim.statistic else ("last", "best")
    if "best" in wanted and roles.direction_of(case.metric)[1].startswith("assumed"):
        wanted = (*wanted, "min")  # nothing says that the highest is the best
    for statistic in wanted:
        points = case.points(statistic)
        if points and case.agrees(_middle(points)) == "exact":
            return _confirmed(case, statistic, points)
    if not any(case.points(statistic) for statistic in wanted):
        return _judged(case, "not_decidable", _nothing(case), None, [])
    mixed = _best_for_last(case) or _rounded(case, wanted, {"near"}) or _one_of_several(case, wanted)
    mixed = mixed or _rounded(case, wanted, {"padded", "coarse"}) or _other(case)
    if mixed is None:
        verdict: Verdict = "not_in_any_run" if claim.number.bound not in ("<", ">") else "differs"
        mixed = _judged(case, verdict, _what_there_is(case, wanted), wanted[0], case.points(wanted[0]))
    return _held_back(case, mixed)


def _held_back(case: _Case, found: Judged) -> Judged:
    """Return the verdict, or that nothing can be decided where a contradiction would be rash."""
    claim = case.claim
    accused = found.verdict in ("best_as_final", "one_seed")
    if not claim.sure and not (accused and claim.strict):
        return replace(found, verdict="not_decidable", reason=f"{_what_there_is(case, ('last', 'best'))}")
    if any(one.series.sampled for one in case.own):
        return replace(found, verdict="not_decidable", reason="only a sample of its points was read.")
    if any(one.run.state == "running" for one in case.own) and not accused:
        return replace(found, verdict="not_decidable", reason=f"it is still running. {found.reason}")
    return found


def _middle(points: Sequence[Point]) -> float:
    return points[0].value if len(points) == 1 else float(np.mean([point.value for point in points]))


def _judged(
    case: _Case, verdict: Verdict, reason: str, statistic: Statistic | None, points: Sequence[Point], seeds: int = 0
) -> Judged:
    only = points[0] if len(points) == 1 else None
    spread = float(np.std([point.value for point in points], ddof=1)) if len(points) > 1 else None
    return Judged(
        case.claim, verdict, reason, case.metric, statistic,
        actual=_middle(points) if points else None, spread=spread,
        step=only.step if only else None, step_metric=only.axis if only else None,
        log_step=only.log_step if only else None, seeds=seeds or len(points),
        runs=tuple(one.run for one in case.own),
    )  # fmt: skip


def _where(point: Point) -> str:
    if point.step is None:
        return ""
    axis = f" ({point.axis})" if point.axis not in (None, "_step") else ""
    return f" at step {point.step:,.0f}{axis}"


def _said(case: _Case, statistic: Statistic, points: Sequence[Point]) -> str:
    """Return a statistic in words: "the best eval/accuracy of base-s1 is 0.9833, at step 162"."""
    step = case.claim.step
    what = f"{case.metric} at step {step:g}" if step is not None else f"the {statistic} {case.metric}"
    if len(points) == 1:
        return (
            f"{what} of {case.own[0].run.name} is {shown(points[0].value)}{_where(points[0]) if step is None else ''}"
        )
    spread = np.std([point.value for point in points], ddof=1)
    return f"{what} over {plural(len(points), 'run')} is {shown(_middle(points))} ± {shown(float(spread), 2)}"


def _confirmed(case: _Case, statistic: Statistic, points: list[Point]) -> Judged:
    claim = case.claim
    said = _said(case, statistic, points)
    if len(case.own) > 1:
        if claim.seeds and claim.seeds != len(points):
            reason = f"the text speaks of {plural(claim.seeds, 'run')}: {said}."
            return _soft(_judged(case, "differs", reason, statistic, points), claim)
        if claim.number.spread is not None:
            return _spread(case, statistic, points, said)
    elif (claim.number.spread is not None or (claim.seeds or 1) > 1 or not claim.names_run) and claim.how != "prose":
        return _alone(case, statistic, points, said)
    note = ""
    last = case.points("last")
    if claim.statistic is None and statistic == "best" and claim.step is None and last:
        note = f"; the last is {shown(_middle(last))}"
    return _judged(case, "confirmed", f"{said}{note}.", statistic, points)


def _soft(found: Judged, claim: Claim) -> Judged:
    return found if claim.sure else replace(found, verdict="not_decidable")


def _alone(case: _Case, statistic: Statistic, points: list[Point], said: str) -> Judged:
    """Return the verdict on a right number of one run that is given for more than that run."""
    claim = case.claim
    every = points + case.points(statistic, case.siblings)
    if len(every) > 1 and claim.step is None:
        mean = f"over its {len(every)} seeds the mean is {shown(_middle(every))}"
        if case.agrees(_middle(every)) == "exact" and claim.number.spread is None:
            return _judged(case, "confirmed", f"{said}; {mean}.", statistic, points, seeds=len(every))
        return _judged(case, "one_seed", f"{said}; {mean}.", statistic, points, seeds=1)
    if claim.number.spread is not None:
        return _judged(case, "not_decidable", f"{said}; a ± needs several runs.", statistic, points)
    if (claim.seeds or 1) > 1:
        reason = f"the text speaks of {claim.seeds} runs, the mark of one: {said}."
        return _judged(case, "one_seed", reason, statistic, points)
    return _judged(case, "confirmed", f"{said}.", statistic, points)


def _spread(case: _Case, statistic: Statistic, points: list[Point], said: str) -> Judged:
    """Return the verdict on a right mean with a ±: a standard deviation, its error, or half of a 95% interval."""
    values = np.array([point.value for point in points])
    deviation = float(values.std(ddof=1))
    error = deviation / math.sqrt(len(values))
    known = {
        "standard deviation": deviation,
        "population standard deviation": float(values.std()),
        "standard error": error,
        "95% interval (normal)": 1.96 * error,
        "95% interval (t)": _t95(len(values)) * error,
        "half of the range": float(np.ptp(values)) / 2,
    }
    spread = case.claim.number.spread
    assert spread is not None
    read = match(case.claim.number, _middle(points), case.metric, *case.bounds)
    for name, value in known.items():
        if read and agrees(spread, value, read[1]) in ("exact", "coarse", "near"):
            return _judged(case, "confirmed", f"{said}; the ± is the {name}.", statistic, points)
    reason = f"{said}; {spread.text or 'the ±'} matches none of their spreads (standard error {shown(error, 2)})."
    return _soft(_judged(case, "differs", reason, statistic, points), case.claim)


def _t95(count: int) -> float:
    """Return Student's t that 95% lie within, for a mean of `count` values."""
    table = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.16, 2.145, 2.131)
    return table[count - 2] if count - 2 < len(table) else 1.96 + 2.5 / (count - 1)


def _best_for_last(case: _Case) -> Judged | None:
    if case.claim.statistic != "last" or case.claim.step is not None or case.claim.number.digits < 2:
        return None
    best, last = case.points("best"), case.points("last")
    if not best or not last or case.agrees(_middle(best)) != "exact" or case.claim.number.bound in ("<", ">"):
        return None
    return _judged(
        case, "best_as_final", f"{_said(case, 'best', best)}; the last is {shown(_middle(last))}.", "last", last
    )


def _rounded(case: _Case, wanted: Sequence[Statistic], kinds: set[Match]) -> Judged | None:
    for statistic in wanted:
        points = case.points(statistic)
        how = case.agrees(_middle(points)) if points else None
        if how in kinds:
            why = {
                "near": "the last digit is not what that rounds to",
                "padded": "the closing zeros say more than it does",
                "coarse": f"that is more than {ROUNDING_MAX:.0%} away",
            }[str(how)]
            exact = (
                ", ".join(f"{point.value:.6g}" for point in points[:1])
                if len(points) == 1
                else f"{_middle(points):.6g}"
            )
            reason = f"{_said(case, statistic, points)} ({exact}); {why}."
            return _judged(case, "rounded_too_far", reason, statistic, points)
    return None


def _one_of_several(case: _Case, wanted: Sequence[Statistic]) -> Judged | None:
    """Return the verdict on a number that is one run's where several are claimed."""
    claim = case.claim
    if len(case.own) < 2 or claim.number.bound in ("<", ">") or (claim.how == "prose" and claim.names_run):
        return None
    for statistic in dict.fromkeys((*wanted, "best")):
        for one in case.own:
            point = point_of(one, statistic, case.claim.step)
            if point is not None and case.agrees(point.value) == "exact":
                points = case.points(wanted[0])
                reason = (
                    f"{shown(point.value)} is the {statistic} {case.metric} of {one.run.name} alone; "
                    f"{_said(case, wanted[0], points)}."
                )
                return _judged(case, "one_seed", reason, wanted[0], points)
    return None


def _other(case: _Case) -> Judged | None:
    """Return the verdict on a number that is another statistic, another run's, or in another unit."""
    claim = case.claim
    number = claim.number
    if number.digits < TELLING or number.bound in ("<", ">"):
        return None
    asked: Statistic = claim.statistic or "last"
    points = case.points(asked)
    for what in _elsewhere(case):
        return _judged(
            case, "differs", f"{what}; {_said(case, asked, points)}." if points else f"{what}.", asked, points
        )
    return None


def _elsewhere(case: _Case) -> Iterator[str]:
    number = case.claim.number
    if case.claim.step is None:
        every: tuple[Statistic, ...] = ("last", "best", "max", "min", "mean")
        for statistic in every:
            points = case.points(statistic)
            if points and case.agrees(_middle(points)) == "exact":
                yield f"{number.text} is its {statistic}"
    values = [point.value for point in case.points(case.claim.statistic or "last")]
    if len(values) > 2 and case.agrees(float(np.median(values))) == "exact":
        yield f"{number.text} is the median of the {len(values)} runs"
    for factor in (100.0, 0.01):
        for value in values[:1]:
            scaled = replace(number, value=number.value * factor, half=number.half * factor, loose=0.0, padding=0.0)
            if agrees(scaled, value, 0.01 if number.unit == "%" else 1.0) == "exact":
                yield f"{number.text} is off by a factor of 100"
    for other in case.others:
        for each in dict.fromkeys((case.claim.statistic or "last", "last", "best")):
            point = point_of(other, each)
            if point is not None and case.agrees(point.value) == "exact":
                yield f"{number.text} is the {each} {case.metric} of {other.run.name}"


def _what_there_is(case: _Case, wanted: Sequence[Statistic]) -> str:
    parts = [
        _said(case, one, points) for one in dict.fromkeys((*wanted, "last", "best")) if (points := case.points(one))
    ]
    return "; ".join(parts[:2]) + "." if parts else _nothing(case)


def _nothing(case: _Case) -> str:
    if case.claim.step is not None:
        return f"{_runs(case.claim)} has no {case.metric} at step {case.claim.step:g}."
    return f"{_runs(case.claim)} has no finite {case.metric}."
