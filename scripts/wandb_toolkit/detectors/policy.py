"""Entropy and clipping of the policy."""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector, finding, num
from wandb_toolkit.model import Finding


def below_course(t: stats.Trend, factor: float, bottom: float) -> int:
    """Return the index where a curve has fallen for good below `factor` of the course that it was on.

    The course is the straight line of its logarithm before it bends, no steeper than its own gentle decline; the curve
    is looked at until it has come within a tenth of `bottom`.
    """
    fallen = stats.lasting(t.y < max(1.5 * bottom, 0.3 * t.start))
    until = len(t.y) if fallen is None else min(len(t.y), fallen + 2)
    tiny = max(1e-3 * abs(t.start), 1e-300)
    log = np.log(np.maximum(t.y, tiny))
    joint, value, slope = stats.bend(t.x[:until], log[:until])
    course = value + slope * (t.x - t.x[joint])
    if joint == 0:
        course = np.full(len(t.x), log[0])
    after = stats.lasting(log < course + np.log(factor))
    if after is None:  # an exponential decline that never left its line: below its start
        after = stats.lasting(log < log[0] + np.log(factor))
    return after or 0


def _entropy(view: RunView, at_least: int) -> Curve:
    """Return the policy's entropy, or for continuous actions its standard deviation.

    Raises:
        NotApplicable: there is neither, or the entropy is of continuous actions and alone.
    """
    if view.has("policy_std"):
        return view.curve("policy_std", at_least)
    curve = view.curve("entropy", at_least)
    if curve.sign < 0 and float(np.quantile(curve.y, 0.95)) < 0:
        # Named like a negative entropy, and yet a positive number: the framework logs the entropy itself.
        curve = Curve(curve.metric, curve.x, -curve.y, curve.logged)
    if float(np.quantile(curve.y, 0.05)) < -1e-6 - 3 * curve.noise:
        raise NotApplicable(
            f"{curve.metric} goes below zero: continuous actions, whose standard deviation is not logged"
        )
    return curve


@detector("entropy_collapse", "The policy's entropy collapses", "ugly")
def entropy_collapse(view: RunView, left: float = 0.15, lasts: float = 0.05) -> Finding | None:
    """Entropy falls to `left` (15%, the definition's) of where it began and stays there, for `lasts` of the run.

    For continuous actions the policy's standard deviation does. The framework's sign is undone first.
    """
    entropy = _entropy(view, 12)
    t = entropy.trend
    head = max(3, len(t.raw) // 33)
    start = float(np.median(t.raw[:head]))
    end = t.level(0.95)
    if start <= 0:
        raise NotApplicable(f"{entropy.metric} begins at {num(start)}")
    low = stats.lasting(t.y <= max(left * start, 1.2 * end) if end <= left * start else np.zeros(len(t.y), bool))
    if low is None or 1 - t.part[low] < lasts or len(t.y) - low < 3:
        return None
    at = below_course(t, 0.75, max(end, 0.0))
    step = int(t.x[at])
    what = "standard deviation" if view.has("policy_std") else "entropy"
    return finding(
        "entropy_collapse",
        f"{entropy.metric} collapsed from {num(start)} to {num(end)}, {100 * max(end, 0) / start:.2g}% of where it "
        f"began; the {what} left its course at step {step:,}",
        entropy,
        step=step,
        evidence={"start": start, "end": end, "left": end / start, "thresholds": {"left": left, "lasts": lasts}},
        advice="Raise the entropy bonus or the sampling temperature, lower the learning rate; restart from before.",
    )


@detector("clipfrac_high", "Too much of each update is clipped", "bad", ("clip_fraction",))
def clipfrac_high(view: RunView, clipped: float = 0.3, lasts: float = 0.15, onset: float = 0.25) -> Finding | None:
    """More than `clipped` (30%) of the tokens or samples are clipped over `lasts` (15%) of the run: the definition's.

    A metric whose values exceed 1.5 is taken for percent.
    """
    fraction = view.curve("clip_fraction", 10)
    scale = 100.0 if float(np.max(fraction.y)) > 1.5 else 1.0
    t = fraction.trend
    high = t.y > clipped * scale
    over = float(np.mean(high))
    if over < lasts:
        return None
    first = int(np.argmax(high))
    before = np.flatnonzero(t.y[:first] <= onset * scale)
    at = int(before[-1]) + 1 if len(before) else 0
    step = int(t.x[at])
    top = float(np.quantile(t.y, 0.95)) / scale
    return finding(
        "clipfrac_high",
        f"{fraction.metric} is above {clipped:.0%} over {over:.0%} of the run (up to {top:.0%}), from step {step:,} on",
        fraction,
        step=step,
        evidence={"over": over, "top": top, "thresholds": {"clipped": clipped, "lasts": lasts}},
        advice="Lower the learning rate or the number of epochs per batch, or widen the clip range.",
    )
