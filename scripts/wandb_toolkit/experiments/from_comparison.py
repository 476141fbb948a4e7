"""What a comparison leaves open → experiments: more seeds, one step beyond the best setting, another length."""

from __future__ import annotations

import math
from collections.abc import Sequence

from wandb_toolkit import configs
from wandb_toolkit.comparison.levels import Level
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.environments import environment_of
from wandb_toolkit.experiments.programs import records_settings
from wandb_toolkit.experiments.settings import find_setting
from wandb_toolkit.model import Comparison, Experiment, Finding, Primary, RankedRun, RunReport, Standing
from wandb_toolkit.text import number, quoted

EARLY = 0.6  # of the run: settled before it, the run was longer than it had to be
LOST = 0.05  # of the gain: so far below its best a run ends before an earlier end is worth a try
LONGER = 1.3  # times the steps of the next configuration: the lead may be the length's
AT_ONCE = 0.1  # of the run: a best value before that is the start's luck, or the first round's


def titled(who: str, change: str, runs: int) -> str:
    """Return the change as a title, with the run's name where there are several."""
    return f"{who}: {change}" if runs > 1 else f"{change[:1].upper()}{change[1:]}"


def rounded(value: float) -> float:
    """Return two or three significant digits: nobody tries a learning rate of 3.333e-06."""
    return float(f"{value:.2g}") if abs(value) < 1000 else float(round(float(f"{value:.3g}")))


def from_comparison(
    reports: Sequence[RunReport],
    comparison: Comparison,
    primary: Primary,
    levels: Sequence[Level | None],
    names: Sequence[str],
) -> list[Experiment]:
    """Return what the ranking leaves open: is the lead real, is the best setting at the edge, was it too long?

    `names` tell the runs apart, in the order of `reports`.
    """
    sound = [line for line in comparison.runs if line.value is not None and not line.marks and line.value == line.value]
    best = next((line for line in sound if line.at == comparison.best_at), None)
    if best is None:
        return []
    report = reports[best.at]
    level = levels[best.at] if best.at < len(levels) else None
    length = _length(report, quoted(names[best.at]), level, primary, len(reports))
    trouble = [finding for finding in report.findings if finding.severity in ("bad", "ugly")]
    if best.verdict == "ugly" or any(_of_training(finding) for finding in trouble):
        # A fault is mended before more seeds are run; a shorter run may still be worth it.
        onsets = [finding.step for finding in trouble if finding.step is not None]
        last = level.last_step if level else 0
        return length if not onsets or min(onsets) > AT_ONCE * last else []
    return [
        *_edge(comparison, best, sound, primary, names),
        *_seeds(comparison, best, sound, primary, names, recorded=records_settings(report.run.config)),
        *length,
    ]


def _of_training(finding: Finding) -> bool:
    known = DETECTORS.get(finding.id)
    return known is None or known.about == "training"


def _seeds(
    comparison: Comparison,
    best: RankedRun,
    sound: Sequence[RankedRun],
    primary: Primary,
    names: Sequence[str],
    *,
    recorded: bool,
) -> list[Experiment]:
    """More seeds, where the best configuration has one only, or its seeds do not tell it from the next one.

    `recorded`: the best run's config says how it was trained; else it cannot be repeated.
    """
    mine = next((one for one in comparison.configurations if best.at in one.at), None)
    alone = mine is None or len(mine.at) == 1
    if alone and (best.verdict != "good" or best.state in ("running", "pending")):
        return []  # what was not seen to learn is first made to tell
    if not alone and comparison.lead != "unproven":
        return []
    found = _rival(comparison, mine, sound) if mine is not None else None
    metric, who = quoted(primary.metric), quoted(names[best.at])
    if mine is None or found is None:
        if not alone or not recorded:
            return []
        return [two_more_seeds(best.id, best.value, who, metric, len(comparison.runs))]
    standing, rival = found
    other = quoted(names[rival.at])
    if (mine.steps or 0) > LONGER * (standing.steps or math.inf):
        # It leads by its length, which further seeds of both do not change.
        return [two_more_seeds(best.id, best.value, who, metric, len(comparison.runs))] if alone and recorded else []
    mean_of = f"the mean of {len(mine.at)} seeds of {who}" if len(mine.at) > 1 else who
    mean_of_other = f"that of {len(standing.at)} of {other}" if len(standing.at) > 1 else other
    gap = abs(standing.value - mine.value) if standing.gap is None else abs(standing.gap)
    ahead = f"leads {mean_of_other} by {number(gap, 3)}" if gap else f"is level with {mean_of_other}"
    return [
        Experiment(
            title=f"Two more seeds of {who} and of {other}",
            why=f"{mean_of} {ahead} in {metric}, and that may be chance",
            change=f"two more seeds of {who} and of {other}",
            expect=f"{who} is ahead in the mean, by more than the seeds of either differ",
            refute="the two means lie within the seeds' spread: then take the cheaper of the two",
            runs=(best.id, rival.id),
        )
    ]


def _rival(comparison: Comparison, mine: Standing, sound: Sequence[RankedRun]) -> tuple[Standing, RankedRun] | None:
    """Return the best other configuration that is not told from the first by more than chance, and its good run."""
    lines = {line.at: line for line in sound if line.verdict == "good"}
    for standing in comparison.configurations:
        good = [lines[at] for at in standing.at if at in lines]
        if standing is not mine and standing.apart is not True and good:
            return standing, good[0]
    return None


def two_more_seeds(run: str, value: float | None, who: str, metric: str, runs: int) -> Experiment:
    """Return the experiment that shows how far seeds alone move a metric."""
    change = "the same config with two more seeds"
    return Experiment(
        title=titled(who, change, runs),
        why=f"there is one run of this configuration: how far seeds alone move {metric} is not known",
        change=change,
        expect=f"three values of {metric} whose spread is the yardstick for every later change",
        refute=f"one of them fails or ends far off {number(value)}: then the result is luck"
        if value is not None
        else "one of them fails: then the setting is unstable",
        runs=(run,),
    )


def _edge(
    comparison: Comparison, best: RankedRun, sound: Sequence[RankedRun], primary: Primary, names: Sequence[str]
) -> list[Experiment]:
    """One step further, where the best run has the largest or smallest value tried of a setting."""
    found = []
    for key in comparison.config_keys:
        if configs.is_seed(key) or configs.is_bookkeeping(key):
            continue
        raw = [line.config.get(key) for line in sound]
        tried = sorted({float(v) for v in raw if isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0})
        mine = best.config.get(key)
        if len(tried) < 3 or mine not in (tried[0], tried[-1]):
            continue
        beside = tried[1] if mine == tried[0] else tried[-2]
        new = rounded(mine * mine / beside)
        side = "smallest" if mine == tried[0] else "largest"
        change = f"{quoted(key)} from {number(mine)} to {number(new)}"
        found.append(
            Experiment(
                title=f"{quoted(names[best.at])}: {change}",
                why=f"the best run has the {side} of the {len(tried)} values of {quoted(key)} tried",
                change=change,
                expect=f"{quoted(primary.metric)} ends better than {number(best.value)}",
                refute="it ends worse: then the best value lies between those tried",
                runs=(best.id,),
            )
        )
    return found[:2]


def _length(report: RunReport, who: str, level: Level | None, primary: Primary, runs: int) -> list[Experiment]:
    """A shorter run, where the best one had long settled, or was better before its end."""
    if level is None or level.best is None or level.best_step is None or report.run.state != "finished":
        return []
    if level.restarts:
        return []  # several trainings in one run: its steps are not those of one
    world = environment_of(report.run.config)
    gain, lost = abs(level.end - level.start), abs(level.best - level.end)
    metric = quoted(primary.metric)
    early = AT_ONCE * level.last_step < level.best_step < EARLY * level.last_step
    if lost > LOST * gain and lost > 3 * level.noise and early:
        why = f"{metric} was best at step {level.best_step:,} ({number(level.best)}) and ended at {number(level.end)}"
        change = _shortened(report, level.best_step, level.last_step)
        expect = f"{metric} ends at {number(level.best)} or better"
        refute = f"it ends near {number(level.end)} again: then the peak was noise"
    elif report.verdict != "good" or (world is not None and primary.direction == "max" and level.end < world.solved):
        return []  # the level where it settled was not good
    elif level.settled_step and level.settled_step < EARLY * level.last_step and _improved(level, primary):
        share = level.settled_step / max(level.last_step, 1)
        why = f"{metric} had reached its final level by step {level.settled_step:,}, {share:.0%} of the run"
        stop = 1.2 * level.settled_step
        change = _shortened(report, stop, level.last_step)
        expect = (
            f"{metric} ends within its noise of {number(level.end)}, for {1 - stop / level.last_step:.0%} less compute"
        )
        refute = "it ends lower: then the slow part of the schedule matters"
    else:
        return []
    return [Experiment(titled(who, change, runs), why, change, expect, refute, runs=(report.run.id,))]


def _shortened(report: RunReport, stop: float, last: int) -> str:
    """Return the change in the config's own unit, which need not be W&B's step."""
    steps = find_setting(report.run.config, "steps")
    scheduled = find_setting(report.run.config, "schedule") or any(match.role == "lr" for match in report.roles)
    share = stop / max(last, 1)
    if steps and isinstance(steps.value, (int, float)) and steps.value * share >= 1:
        new = rounded(steps.value * share)
        text = f"{quoted(steps.key)} from {number(steps.value)} to {number(int(new) if new.is_integer() else new)}"
    else:
        text = f"end near step {int(rounded(stop)):,} instead of {last:,}"
    return f"{text}, the learning-rate schedule shortened with it" if scheduled else text


def _improved(level: Level, primary: Primary) -> bool:
    return level.end > level.start if primary.direction == "max" else level.end < level.start
