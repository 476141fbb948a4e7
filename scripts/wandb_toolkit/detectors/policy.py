"""Entropy and clipping of the policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.model import Finding

MANY_ACTIONS = 500
MANY_NATS = 6.2  # ln of it: the entropy of an even choice among so many


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
    tokens = any(view.has(role) for role in ("length", "truncation", "tokens"))  # a sum over an answer's
    tokens = tokens or (view.has("kl") and "objective" in view.roles["kl"].metric)
    if curve.first > MANY_NATS and not tokens:
        raise NotApplicable(
            f"{curve.metric} begins at {num(curve.first)}, more than {MANY_ACTIONS} discrete actions allow: a "
            "differential entropy or a sum over actions, without the policy's std"
        )
    lowest = [other.low for other in view.relatives("entropy", curve)]
    if min([curve.low, *lowest]) < -1e-6 - 3 * curve.noise:
        raise NotApplicable(
            f"{curve.metric} goes below zero in this run or a sibling: a differential entropy, without the policy's std"
        )
    return curve


def _as_siblings(view: RunView, entropy: Curve, left: float) -> bool:
    """Return whether two siblings at least keep as little of their entropy, while this run's task was learned."""
    role = "policy_std" if view.has("policy_std") else "entropy"
    kept = [
        curve.trend.end / curve.trend.start
        for curve in view.relatives(role, entropy)
        if len(curve) >= 12 and curve.trend.start > 0
    ]
    if len(kept) < 2 or left < 0.5 * float(np.median(kept)):
        return False
    main = view.main(8) if view.primary is not None and view.primary.metric in view.history else view.curve("reward", 8)
    sign = -1 if view.primary is not None and view.primary.direction == "min" else 1
    t = main.trend
    best = float(np.max(sign * t.y))
    gain = best - sign * t.start
    return gain > 5 * t.error and sign * t.end >= best - 0.25 * gain


@detector(
    "entropy_collapse",
    "The policy's entropy collapses",
    "ugly",
    needs="the role `entropy`, for continuous actions `policy_std`",
    lens=("entropy", "policy_std"),
    explains=("plateau_early", "reward_std_collapse"),
    takes_back=("entropy_healthy",),
)
def entropy_collapse(view: RunView, left: float = 0.15, lasts: float = 0.05, none: float = 0.01) -> Finding | None:
    """Entropy falls to `left` (15% by definition) of where it began and stays there, for `lasts` of the run.

    For continuous actions the policy's standard deviation does. The framework's sign is undone first. Below `none`
    (0.01 nats) from its first value on, the policy of discrete actions or tokens has no choice left: one action has
    99.9% of the probability. Siblings that begin as low are of its kind.
    """
    entropy = _entropy(view, 12)
    if not view.has("reward"):
        if view.updates_policy:
            raise NotApplicable(f"no reward beside {entropy.metric}: it may be low because the task is solved")
        raise NotApplicable(f"no reward beside {entropy.metric}: not a policy's")
    t = entropy.trend
    head = max(3, len(t.raw) // 33)
    start = float(np.median(t.raw[:head]))
    end = t.level(0.95)
    if start <= 0:
        raise NotApplicable(f"{entropy.metric} begins at {num(start)}")
    if not view.has("policy_std") and float(np.max(entropy.y)) < none:
        return _none_from_the_start(view, entropy, none)
    low = stats.lasting(t.y <= max(left * start, 1.2 * end) if end <= left * start else np.zeros(len(t.y), bool))
    if low is None or 1 - t.part[low] < lasts or len(t.y) - low < 3:
        return None
    if _as_siblings(view, entropy, end / start):
        return None  # it falls as every run's does, and the return rises: the policy has become certain of the solution
    at = below_course(t, 0.75, max(end, 0.0))
    step = int(t.x[at])
    return finding(
        "entropy_collapse",
        f"{entropy.metric} collapsed from {num(start)} to {num(end)}, {100 * max(end, 0) / start:.2g}% of "
        f"its start; the drop began at step {step:,}",
        entropy,
        step=step,
        evidence={"start": start, "end": end, "left": end / start, "thresholds": {"left": left, "lasts": lasts}},
        levels={"start": start, f"{left:.0%} of the start": left * start},
        advice="Raise the entropy bonus or the sampling temperature, lower the learning rate; restart from before.",
        margin=left * start / end if end > 0 else None,
    )


def _none_from_the_start(view: RunView, entropy: Curve, none: float) -> Finding | None:
    """Judge a policy that its first update left without a choice."""
    starts = [curve.trend.start for curve in view.relatives("entropy", entropy)]
    if starts and float(np.median(starts)) < 10 * none:
        return None
    first, step = float(entropy.y[0]), entropy.step(0)
    kl = view.curve("kl") if view.has("kl") else None
    jump = f", after a KL of {num(float(kl.y[0]))} in it" if kl is not None and len(kl) and kl.y[0] > 1 else ""
    return finding(
        "entropy_collapse",
        f"{entropy.metric} is {num(first)} in its first row and never higher: the first update left no choice{jump}",
        entropy,
        step=step,
        evidence={"first": first, "siblings_start": float(np.median(starts)) if starts else None,
                  "thresholds": {"none": none}},
        levels={"no choice left": none}, beside=view.relatives("entropy", entropy),
        advice="Lower the learning rate by orders of magnitude, clip gradients, fewer epochs per batch.",
        margin=none / first if first > 0 else None,
    )  # fmt: skip


@detector(
    "clipfrac_high",
    "Too much of each update is clipped",
    "bad",
    ("clip_fraction",),
    label="the high clip fraction",
    lens=("clip_fraction",),
    passing=True,
)
def clipfrac_high(view: RunView, clipped: float = 0.3, lasts: float = 0.15, onset: float = 0.25) -> Finding | None:
    """More than `clipped` (30%) of the tokens or samples are clipped over `lasts` (15%) of the run, by definition.

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
        levels={"limit": clipped * scale},
        advice="Lower the learning rate or the number of epochs per batch, or widen the clip range.",
        margin=max(over / lasts, top / clipped) if over >= 2 * lasts else over / lasts,
    )


@detector(
    "policy_lag",
    "The policy has left the one that made the samples",
    "bad",
    ("importance_ratio",),
    label="a policy ahead of its samples",
    lens=("importance_ratio",),
)
def policy_lag(view: RunView, apart: float = 2.0, lasts: float = 0.15) -> Finding | None:
    """The mean importance ratio is off 1 by a factor `apart` (2, either way) over `lasts` (15%) of the run.

    Its expectation over the samples of the old policy is 1 whatever the new one is: a mean far from it says that the
    samples are stale, or that trainer and sampler compute different probabilities. Below a half or above 2 is where
    veRL's notes on rollout correction give the alarm.
    """
    ratio = view.curve("importance_ratio", 10)
    t = ratio.trend
    if float(np.min(ratio.y)) < 0:
        raise NotApplicable(f"{ratio.metric} is negative: no ratio")
    away = np.abs(np.log(np.maximum(t.y, 1e-9))) > np.log(apart)
    over = float(np.mean(away))
    if over < lasts:
        return None
    step, end = int(t.x[int(np.argmax(away))]), t.level(0.9)
    worst = float(t.y[int(np.argmax(np.abs(np.log(np.maximum(t.y, 1e-9)))))])
    return finding(
        "policy_lag",
        f"{ratio.metric} is off 1 over {over:.0%} of the run (as far as {num(worst)}), from step {step:,} on",
        ratio,
        step=step,
        evidence={"over": over, "worst": worst, "end": end, "thresholds": {"apart": apart, "lasts": lasts}},
        levels={"limit": apart, "on policy": 1.0, "lower limit": 1 / apart},
        advice="Take fewer updates per batch, sync the sampler's weights sooner; compare its log-probabilities with "
        "the trainer's on one batch, and truncate the ratios meanwhile.",
        margin=over / lasts,
    )


@detector(
    "value_function_poor",
    "The value function predicts worse than a constant",
    "bad",
    ("explained_variance",),
    label="the poor value function",
    lens=("explained_variance",),
)
def value_function_poor(view: RunView, least: float = 0.0, since: float = 0.5, clear: float = 0.02) -> Finding | None:
    """Explained variance is below `least` (0: worse than the mean of the returns) over the second half of the run.

    Zero needs no source: it is what a constant explains. Less than `clear` below it is no worse than a constant. NaN
    throughout says that there is no variance to explain. Early on it is usual; where it still rises, nothing is found.
    """
    constant = _no_variance(view)
    if constant is not None:
        return constant
    explained = view.curve("explained_variance", 20)
    t = explained.trend
    late = t.raw[t.part >= since]
    level = float(np.median(late))
    if level >= least - clear or float(np.mean(late < least)) < 0.75 or stats.rising(late) > 2:
        return None
    below = stats.lasting(t.y < least)
    step = int(t.x[below]) if below is not None else None
    return finding(
        "value_function_poor",
        f"{explained.metric} is {num(level)} over the last {1 - since:.0%} of the run: worse than a constant",
        explained,
        step=step,
        evidence={"level": level, "thresholds": {"least": least, "since": since}},
        levels={"a constant": least},
        advice="Raise the value loss's weight or its learning rate, normalise returns, share less of the network.",
        margin=float(np.mean(late < least)) / 0.75,
    )


def _no_variance(view: RunView, rows: int = 10, most: float = 0.8) -> Finding | None:
    """Judge an explained variance that is NaN in `most` of its rows: the returns are the same everywhere."""
    series = view.series("explained_variance")
    late = series.value[len(series) // 2 :]
    if len(late) < rows or float(np.mean(np.isnan(late))) < most:
        return None
    since = int(series.x[int(np.argmax(np.isnan(series.value)))])
    missing = int(np.isnan(series.value).sum())
    made = finding(
        "value_function_poor",
        f"{series.name} is NaN in {missing:,} of {len(series):,} rows, first at step {since:,}: the returns that the "
        "value function is fitted to do not vary",
        step=since,
        evidence={"rows": missing, "of": len(series), "thresholds": {"most": most}},
        advice="Look at the discount (0 leaves the next reward only) and at the reward: is it the same at every step?",
    )
    return replace(made, metrics=(series.name,))
