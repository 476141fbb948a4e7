"""Several runs side by side: who ranks where by the primary metric, and what that proves.

Arrays and dataclasses in, dataclasses out. A level is the median of a curve's last points, because the last
point alone is mostly noise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from wandb_toolkit import configs, stats
from wandb_toolkit.model import Comparison, Direction, Primary, RankedRun, RunReport, SeedGroup, Series
from wandb_toolkit.render.text import number, plural
from wandb_toolkit.wording import listed, quoted, short_names

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

TAIL_SHARE = 0.1  # of the points, for a level
HEAD_SHARE = 0.02  # of the points, for where a curve starts: most change fastest there
TAIL_MOST = 20  # points
SETTLED_POINTS = 20  # fewest, to say when a curve has settled
SETTLED_WINDOW = 5
SETTLED_WITHIN = 0.03  # of the gain
GROUPS_NAMED = 3  # seed groups that the note spells out
LENGTHS_APART = 1.25  # times as many steps: the runs are of different length

BROKEN_STATES = ("crashed", "failed", "killed", "preempted")
BROKEN_FINDINGS = {"nan_or_inf": "NaN", "crashed": "crashed", "stalled": "stalled"}

# Two-sided 95% quantiles of Student's t by degrees of freedom.
_T95 = {
    1: 12.71,
    2: 4.30,
    3: 3.18,
    4: 2.78,
    5: 2.57,
    6: 2.45,
    8: 2.31,
    10: 2.23,
    15: 2.13,
    20: 2.09,
    30: 2.04,
}
_SE_OF_MEDIAN = 1.2533  # times that of a mean, for normal scatter


@dataclass(frozen=True)
class Level:
    """Where a metric stands in one run."""

    start: float  # median of the first points
    end: float  # median of the last points; NaN where none of them is finite
    best: float | None
    best_step: int | None
    noise: float  # scatter of a point about the curve's second half; NaN: too few points
    tail: int  # points that `end` is the median of
    last_step: int
    settled_step: int | None = None  # from here on the curve stays at its end; None: too few points, no gain


def level_of(series: Series | None, direction: Direction = "max") -> Level | None:
    """Return the levels of one curve, None where it has no point."""
    if series is None or not len(series):
        return None
    values = np.asarray(series.value, dtype=float)
    finite = np.isfinite(values)
    tail = min(max(round(len(values) * TAIL_SHARE), 1), TAIL_MOST)
    best = best_step = None
    if finite.any():
        at = int(
            np.where(finite, values, -np.inf).argmax()
            if direction == "max"
            else np.where(finite, values, np.inf).argmin()
        )
        best, best_step = float(values[at]), int(series.x[at])
    kept = values[finite]
    head = min(max(round(len(values) * HEAD_SHARE), 1), TAIL_MOST)
    start, end = _median(kept[:head]), _median(values[-tail:])
    return Level(
        start=start,
        end=end,
        best=best,
        best_step=best_step,
        noise=stats.noise(kept[len(kept) // 2 :]),
        tail=tail,
        last_step=int(series.x[-1]),
        settled_step=_settled(series.x[finite], kept, start, end),
    )


def _settled(x: FloatArray, values: FloatArray, start: float, end: float) -> int | None:
    """Return the first step from which the curve, in medians of neighbours, stays within 3% of its gain of its end."""
    if len(values) < SETTLED_POINTS or math.isnan(end) or start == end:
        return None
    around = np.lib.stride_tricks.sliding_window_view(values, SETTLED_WINDOW)
    away = np.abs(np.median(around, axis=1) - end) > SETTLED_WITHIN * abs(end - start)
    after = int(np.flatnonzero(away)[-1]) + 1 if away.any() else 0
    return int(x[after + SETTLED_WINDOW // 2]) if after < len(away) else None


def _median(values: FloatArray) -> float:
    kept = values[np.isfinite(values)]
    return float(np.median(kept)) if len(kept) else math.nan


def marks_of(report: RunReport, level: Level | None) -> tuple[str, ...]:
    """Return why a run may not be called best: it broke, or its numbers did."""
    marks: list[str] = [report.run.state] if report.run.state in BROKEN_STATES else []
    for finding in report.findings:
        mark = BROKEN_FINDINGS.get(finding.id)
        if mark and not (mark == "crashed" and marks):
            marks.append(mark)
    if level and math.isnan(level.end) and "NaN" not in marks:
        marks.append("NaN")
    return tuple(marks)


@dataclass(frozen=True, eq=False)
class Entry:
    """One run on its way into the ranking."""

    report: RunReport
    name: str
    level: Level | None
    marks: tuple[str, ...]
    configuration: str | None  # the same for all seeds of one configuration
    config: Mapping[str, Any]  # the keys that differ

    @property
    def end(self) -> float:
        """The final level, NaN where there is none."""
        return self.level.end if self.level else math.nan

    @property
    def sound(self) -> bool:
        """Whether the run has a final level and nothing broke on the way to it."""
        return not math.isnan(self.end) and not self.marks

    @property
    def over(self) -> bool:
        """Whether the run has ended, so that its final level is final."""
        return self.report.run.state not in ("running", "pending")


def compare(reports: Sequence[RunReport], series: Sequence[Series | None], primary: Primary | None) -> Comparison:
    """Return the ranking by the primary metric's final level; `series` holds it for each run, or None.

    Runs that broke keep their rank, marked; none of them is called best unless all of them broke.
    """
    direction: Direction = primary.direction if primary else "max"
    names = short_names([report.run for report in reports])
    differing = configs.differences([report.run.config for report in reports])
    entries = []
    for at, (report, name, one) in enumerate(zip(reports, names, series, strict=True)):
        level = level_of(one, direction)
        config = {key: values[at] for key, values in differing.items()}
        same = configs.configuration_of(report.run.config)
        entries.append(Entry(report, name, level, marks_of(report, level), same, config))
    ranked = sorted(entries, key=lambda e: _rank(e, direction)) if primary else entries
    valued = [e for e in ranked if not math.isnan(e.end)]
    best = next((e for e in valued if e.sound), valued[0] if valued else None)
    seeds = [group for group in _by_configuration(ranked) if len(group) > 1]
    lead, said = _lead(ranked, best, primary) if primary and best else (None, "")
    return Comparison(
        runs=tuple(_line(e) for e in ranked),
        config_keys=tuple(differing),
        best=best.report.run.id if best else None,
        note=" ".join(_notes(ranked, seeds, primary, said)),
        seed_groups=tuple(_seed_group(group) for group in seeds),
        lead=lead,
    )


def _rank(entry: Entry, direction: Direction) -> tuple[int, float]:
    if entry.level is None:
        return 2, 0.0
    if math.isnan(entry.end):
        return 1, 0.0
    return 0, -entry.end if direction == "max" else entry.end


def _line(entry: Entry) -> RankedRun:
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
    )


def _by_configuration(ranked: Iterable[Entry]) -> list[list[Entry]]:
    """The sound runs by configuration, the best run's first. A run without a config, or that still goes, is alone."""
    groups: dict[object, list[Entry]] = {}
    for entry in ranked:
        if entry.sound:
            run = entry.report.run
            whole = entry.configuration and entry.over
            where = (run.entity, run.project, entry.configuration) if whole else id(entry)
            groups.setdefault(where, []).append(entry)
    return list(groups.values())


def _mean(group: Sequence[Entry]) -> float:
    return float(np.mean([e.end for e in group]))


def _variance(group: Sequence[Entry]) -> float:
    return float(np.var([e.end for e in group], ddof=1))


def _seed_group(group: Sequence[Entry]) -> SeedGroup:
    return SeedGroup(
        runs=tuple(e.report.run.id for e in group),
        names=tuple(e.name for e in group),
        mean=_mean(group),
        std=math.sqrt(_variance(group)),
    )


def _notes(ranked: Sequence[Entry], seeds: Sequence[Sequence[Entry]], primary: Primary | None, lead: str) -> list[str]:
    if primary is None:
        return ["No metric to rank by was found: name one with --primary."]
    notes = []
    for group in seeds[:GROUPS_NAMED]:
        names = listed([e.name for e in group])
        spread = f"{number(_mean(group))} ± {number(math.sqrt(_variance(group)), 2)} (mean ± sd, n={len(group)})"
        notes.append(f"{names} are seeds of one configuration: {spread}.")
    if len(seeds) > GROUPS_NAMED:
        notes.append(f"{len(seeds) - GROUPS_NAMED} more configurations have several seeds.")
    return [*notes, *([lead] if lead else []), *_left_behind(ranked, primary)]


Lead: TypeAlias = Literal["real", "unproven", "single"]


def _lead(ranked: Sequence[Entry], best: Entry, primary: Primary) -> tuple[Lead | None, str]:
    """Say whether the lead of the best run's configuration over the next one is more than chance."""
    if not best.sound:
        return None, "Every run with this metric broke, so the first of them is only the least bad."
    groups = _by_configuration(ranked)
    mine = next(group for group in groups if best in group)
    rivals = [g for g in groups if g is not mine and not (best.configuration and _same(g[0], best))]
    others = [g for g in rivals if g[0].over] or rivals
    if not others:
        return None, ""
    sign = 1 if primary.direction == "max" else -1
    rival = max(others, key=lambda group: sign * _mean(group))
    gap = sign * (_mean(mine) - _mean(rival))
    pair = f"{_named(mine)} ({number(_mean(mine))}) and {_named(rival)} ({number(_mean(rival))})"
    freedom = sum(len(group) - 1 for group in groups)
    if freedom:
        seeded = [group for group in groups if len(group) > 1]
        pooled = math.sqrt(sum((len(g) - 1) * _variance(g) for g in seeded) / freedom)
        needed = _t95(freedom) * pooled * math.sqrt(1 / len(mine) + 1 / len(rival))
        why = f"seeds alone differ by ±{number(pooled, 2)}"
        if gap <= needed:
            return "unproven", f"No evidence of a difference between {pair}: {why}."
        return "real", f"The difference between {pair} is more than chance: {why}."
    noise = math.hypot(_standard_error(best.level), _standard_error(rival[0].level))
    if math.isnan(noise):
        return "single", f"Too few points to tell whether {pair} differ by more than chance."
    if gap <= 2 * noise:
        return "unproven", f"No evidence of a difference between {pair}: the curves scatter by as much."
    ahead = f"{_named(mine)} is ahead of {_named(rival)} by {number(gap, 2)}"
    return "single", f"{ahead}, more than the curves scatter; but with one seed of each, luck is not ruled out."


def _same(one: Entry, other: Entry) -> bool:
    mine, theirs = one.report.run, other.report.run
    return one.configuration == other.configuration and mine.project == theirs.project


def _named(group: Sequence[Entry]) -> str:
    name = quoted(group[0].name)
    return name if len(group) == 1 else f"the {len(group)} seeds of {name}"


def _standard_error(level: Level | None) -> float:
    """Standard error of a level, its points taken as independent."""
    return _SE_OF_MEDIAN * level.noise / math.sqrt(level.tail) if level else math.nan


def _t95(freedom: int) -> float:
    """Return the quantile for the next smaller tabulated degree of freedom, which errs to caution."""
    return _T95[max(known for known in _T95 if known <= freedom)]


def _left_behind(ranked: Sequence[Entry], primary: Primary) -> list[str]:
    notes = []
    without = sum(e.level is None for e in ranked)
    if 0 < without < len(ranked):
        notes.append(f"{plural(without, 'run')} without {quoted(primary.metric)} cannot be ranked.")
    projects = {(e.report.run.entity, e.report.run.project) for e in ranked if e.level}
    if len(projects) > 1:
        notes.append(f"The ranked runs come from {len(projects)} projects: their levels may not be comparable.")
    lengths = [e.level.last_step for e in ranked if e.sound and e.level]
    if lengths and max(lengths) > LENGTHS_APART * max(min(lengths), 1):
        span = f"{min(lengths):,} to {max(lengths):,} steps"
        notes.append(f"The runs are of different length ({span}): each ranks where it ended.")
    return notes
