"""How fast the run goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import COUNTERS, Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.length import flat_config
from wandb_toolkit.model import Finding

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

_STARTS = ("learning_starts", "start_timesteps", "num_steps_sampled_before_learning_starts")  # SB3, CleanRL; TD3; RLlib


LITTLE = 0.1  # of the run's time: a slowdown that costs less is worth a note
MEASURABLE = 0.05  # seconds between rows; below, it is the logging and the machine's other work that are measured


def _spacing(view: RunView) -> Curve | None:
    """Return training steps per second from the times of rows with the loss that directly follow one another.

    What lies between them otherwise (evaluations, other phases, collecting before learning starts) is no slower
    training. Without a loss the training's own counter tells its progress; without either nothing does.
    """
    if not view.has("loss") and not any(len(view.history.get(name) or ()) >= 20 for name in COUNTERS):
        return None
    training = view.series("loss").x if view.has("loss") else None
    for key in ("_timestamp", "_runtime"):
        series = view.history.get(key)
        if series is None or len(series) < 20:
            continue
        x, seconds = stats.finite(series.x, series.value)
        took = np.diff(seconds)
        at = _training_steps(view, x)
        steps = np.diff(at)
        of_training = np.ones(len(x), bool) if training is None else np.isin(x, training)
        keep = (took > 0) & (steps > 0) & (at[:-1] >= _learning_starts(view)) & of_training[:-1] & of_training[1:]
        if keep.sum() >= 20 and float(np.median(took[keep])) >= MEASURABLE:
            return Curve(f"steps per second ({key})", x[1:][keep], steps[keep] / took[keep], len(series))
    return None


def _training_steps(view: RunView, rows: FloatArray) -> FloatArray:
    """Return the training step of each row: the training's own counter where it is logged, else the row's own step.

    Under TensorBoard's sync W&B's step counts the calls, and a call may be an episode, which gets longer.
    """
    for name in COUNTERS:
        series = view.history.get(name)
        if series is not None and len(series) >= 20:
            x, steps = stats.finite(series.x, series.value)
            if len(x) >= 20 and bool((np.diff(steps) >= 0).all()):
                return np.interp(rows, x, steps)
    return rows


def _learning_starts(view: RunView) -> float:
    """Return the step up to which an off-policy run only collects, at many times its later speed."""
    found = dict(flat_config(view.run.config))
    starts = [value for key in _STARTS if isinstance(value := found.get(key), (int, float))]
    return float(max(starts, default=0.0))


def _momentary(average: Curve, most: int = 60) -> Curve:
    """Return the speed between points of an average since the start: the steps over it are the time.

    Of at most `most` points: an average is logged rounded, and its error weighs the more the closer the points are.

    Raises:
        NotApplicable: too few points, or too much scatter for an average.
    """
    used = np.flatnonzero((average.y > 0) & (average.x > 0))
    used = used[:: max(1, len(used) // most)]
    x, y = average.x[used], average.y[used]
    took = np.diff(x / y)
    if len(took) < 16 or (took <= 0).any():
        raise NotApplicable(f"{average.metric} is an average since the start, from which no momentary speed follows")
    return Curve(average.metric, x[1:], np.diff(x) / took, len(average))


def _speed(view: RunView) -> Curve:
    """Return a curve of the momentary speed.

    Raises:
        NotApplicable: nothing tells it.
    """
    spacing = _spacing(view)
    if not view.has("throughput"):
        if spacing is None:
            raise NotApplicable("no metric for the role throughput, and no 20 rows of training that follow one another")
        return spacing
    logged = view.curve("throughput", 1)
    if logged.kind == "average":
        if spacing is not None:
            return spacing
        return _momentary(logged)
    if len(logged) < 20:
        raise NotApplicable(f"only {len(logged)} points of {logged.metric}, needs 20")
    if logged.kind == "seconds":
        keep = logged.y > 0
        return Curve(logged.metric, logged.x[keep], 1 / logged.y[keep], len(logged))
    return logged


@detector(
    "throughput_drop",
    "The run became slower and stayed so",
    "bad",
    label="the slowdown",
    needs="the role `throughput`, or the times of 20 rows with the loss",
    about="process",
)
def throughput_drop(view: RunView, fall: float = 0.4, lasts: float = 0.1) -> Finding | None:
    """Speed falls by `fall` (40%) and stays down for `lasts` (10%) of the run or its rest, by definition.

    Medians of several rows are compared, so that pauses for checkpoints or evaluation do not count; growth of the
    responses by as much explains it. One that cost less than a tenth of the run's time is a note.
    """
    speed = _speed(view)
    x, y = stats.condense(speed.x, speed.y, 400)
    if len(y) < 16:
        raise NotApplicable(f"only {len(y)} points of {speed.metric}, needs 16")
    level = stats.running_median(y, max(5, len(y) // 30) | 1)
    before = stats.trailing_median(level, max(8, len(y) // 3))
    part = (x - x[0]) / (x[-1] - x[0])
    with np.errstate(invalid="ignore"):
        low = (level <= (1 - fall) * before) & (np.arange(len(y)) >= 6)
    for first in np.flatnonzero(low):
        usual = float(before[first])
        if usual <= 0:
            continue
        back = np.flatnonzero(level[first:] > (1 - 0.75 * fall) * usual)
        last = int(first + back[0]) if len(back) else len(y)
        to_end = last == len(y) and part[-1] - part[first] >= 0.04 and last - first >= 5
        long_enough = part[last - 1] - part[first] >= lasts and last - first >= 8
        if not long_enough and not to_end:
            continue
        now = float(np.median(level[first:last]))
        if now > (1 - fall) * usual or _longer_responses(view, x, (int(first), last), now / usual, 0.75 * fall):
            continue
        step = int(x[first])
        ends = "to the end" if last == len(y) else f"until step {int(x[last - 1]):,}"
        lost = _time_lost(x, level, (int(first), last), usual)
        passing = lost < LITTLE and (last < len(y) or view.run.state != "running")
        return finding(
            "throughput_drop",
            f"{speed.metric} fell by {1 - now / usual:.0%} at step {step:,}, from {num(usual)} to {num(now)}, {ends}",
            speed,
            step=step,
            evidence={"before": usual, "after": now, "time_lost": lost, "thresholds": {"fall": fall, "lasts": lasts}},
            levels={"before": usual, f"{fall:.0%} slower": (1 - fall) * usual},
            advice="Look at data loading, a slow or throttled node, swapping, and what else runs on the machine.",
            severity="note" if passing else None,
            margin=(1 - now / usual) / fall,
        )
    return None


def _time_lost(x: FloatArray, speed: FloatArray, span: tuple[int, int], usual: float) -> float:
    """Return the part of the run's time that a slow span cost, against the usual speed."""
    steps = np.diff(x, prepend=x[0])
    took = steps / np.maximum(speed, 1e-12 * usual)
    first, last = span
    return float((took[first:last] - steps[first:last] / usual).sum() / max(float(took.sum()), 1e-300))


def _longer_responses(view: RunView, x: FloatArray, span: tuple[int, int], slower: float, fall: float) -> bool:
    """Return whether the speed would have fallen by less than `fall` had responses kept their length."""
    first, last = span
    if not view.has("length") or len(view.curve("length")) < 4:
        return False
    t = view.curve("length").trend
    earlier = np.interp(x[max(0, first - max(8, len(x) // 3)) : first], t.x, t.y)
    before, after = float(np.median(earlier)), float(np.median(np.interp(x[first:last], t.x, t.y)))
    return before > 0 and slower * after / before > 1 - fall
