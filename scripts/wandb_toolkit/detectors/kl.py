"""KL divergence of the policy: too low, spikes, running away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.progress import gain_of
from wandb_toolkit.detectors.schedule import not_before_long
from wandb_toolkit.model import Finding

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

PER_UPDATE = 0.03  # nats against the last update: twice 1.5 times Spinning Up's target of 0.01


def _policy_kl(view: RunView, at_least: int, *, signed: bool = False) -> Curve:
    """Return the KL of a policy; a variational autoencoder's is something else.

    `signed`: also one that is mostly below zero, which an estimate may be and a divergence cannot.

    Raises:
        NotApplicable: there is none, or too little of it.
    """
    kl = view.curve("kl", at_least)
    policy = ("reward", "entropy", "clip_fraction", "importance_ratio", "reward_std")
    words = ("policy", "actor", "ppo", "approx", "objective", "ref")
    if not any(view.has(role) for role in policy) and not any(word in kl.metric.lower() for word in words):
        raise NotApplicable(f"{kl.metric} has no policy's metrics beside it")
    if not signed and float(np.median(kl.y)) < -kl.noise:
        raise NotApplicable(f"{kl.metric} is below zero: an estimate from samples, whose size says nothing")
    return kl


@detector(
    "kl_too_low",
    "The policy does not move",
    "bad",
    ("kl",),
    label="KL near zero",
    needs="the roles `kl` and `reward` or `task`, and a sibling that has them",
    lens=("kl",),
    explains=("plateau_early", "no_learning"),
    takes_back=("kl_stable",),
)
def kl_too_low(view: RunView, tenth: float = 0.1, nothing: float = 0.2, needed: int = 1) -> Finding | None:
    """KL stays at a `tenth` or less of the siblings' for the whole run, and reward and task metric gain nothing.

    A tenth is by definition; "nothing" is less than a fifth of the siblings' gain. Siblings are needed: an absolute
    KL would be folklore, its scale depends on the estimator and on per-token or per-sequence sums.
    """
    kl = _policy_kl(view, 10)
    not_before_long(view)
    siblings = view.relatives("kl", kl, learning=True)
    if len(siblings) < needed:
        raise NotApplicable(f"no sibling with {kl.metric} to compare with")
    usual = float(np.median([curve.reach for curve in siblings]))
    mine = float(np.quantile(kl.trend.y, 0.95))
    if usual <= 0 or mine > tenth * usual:
        return None
    gains = {}
    for role in ("reward", "task"):
        if view.has(role) and len(view.curve(role)) >= 4:
            curve = view.curve(role)
            others = [gain_of(other, 1) for other in view.relatives(role, curve)]
            gains[curve.metric] = (gain_of(curve, 1), float(np.median(others)) if others else None)
            limit = max(nothing * (gains[curve.metric][1] or 0.0), 3 * curve.trend.error)
            if gains[curve.metric][0] > limit:
                return None
    if not gains:
        raise NotApplicable("neither reward nor task metric tells whether the policy learns")
    factor = usual / mine if mine > 0 else float("inf")
    times = f", about {float(f'{factor:.2g}'):,.0f} times higher" if factor < 1e4 else ""
    low = stats.lasting(kl.y <= max(mine, tenth * usual))
    since = f"is at {num(mine)} from step {kl.step(low):,} on" if low else f"stays at {num(mine)}"
    return finding(
        "kl_too_low",
        f"{kl.metric} {since} (other runs: {num(usual)}{times}); {' and '.join(gains)} did not improve",
        kl,
        evidence={
            "level": mine,
            "siblings_level": usual,
            "siblings": len(siblings),
            "gains": {name: {"own": own, "siblings": theirs} for name, (own, theirs) in gains.items()},
            "thresholds": {"tenth": tenth, "nothing": nothing},
        },
        levels={"other runs": usual, f"{tenth:g} × other runs": tenth * usual},
        beside=siblings,
        advice="Raise the learning rate, or loosen what holds the policy: KL coefficient, clip range.",
        margin=min(tenth * usual / mine if mine > 0 else 9.0, 1.4 if len(siblings) < 3 else 9.0),
    )


@detector(
    "kl_spike",
    "KL jumps far above its level and comes back",
    "bad",
    ("kl",),
    label="KL spikes",
    lens=("kl",),
)
def kl_spike(
    view: RunView, times: float = 8.0, stays: float = 3.0, points: int = 2, old: float = 0.015
) -> Finding | None:
    """KL jumps to `times` its local level, stays above `stays` times it for `points` logged points, and comes back.

    8 times and two points are by definition. The local level is the median of the 15 points before, at least a
    quarter of the run's median: the first steps of a policy that starts on its reference are no spike. Against the
    last update, a KL below `old` is what a usual target lets pass (Spinning Up: 1.5 times 0.01).
    """
    kl = _policy_kl(view, 20)
    y = kl.y
    floor = max(0.25 * float(np.median(np.abs(y))), kl.noise)
    level = np.maximum(np.nan_to_num(stats.trailing_median(y, 15)), floor)
    high = (y > times * level) & (y - level > times * kl.noise) & (np.arange(len(y)) >= 5)
    events = []
    free = 0
    for i in map(int, np.flatnonzero(high)):
        if i < free:
            continue
        back = np.flatnonzero(y[i:] <= stays * level[i])
        length = int(back[0]) if len(back) else 0
        if not length:
            break  # it never comes back: another diagnosis
        if length >= points:
            events.append((i, length, float(np.max(y[i : i + length])), float(level[i])))
        free = i + length
    if kl.kind == "old":
        events = [event for event in events if event[2] >= old]
    if not events:
        return None
    first, worst = events[0], max(events, key=lambda event: event[2])
    step = kl.step(first[0])
    count = f"{len(events)} times, first" if len(events) > 1 else "once,"
    return finding(
        "kl_spike",
        f"{kl.metric} spiked {count} at step {step:,}, to {num(worst[2])} from {num(worst[3])} "
        f"({worst[2] / worst[3]:.0f}×), and came back",
        kl,
        step=step,
        evidence={
            "steps": [kl.step(event[0]) for event in events[:20]],
            "count": len(events),
            "peak": worst[2],
            "level": worst[3],
            "thresholds": {"times": times, "stays": stays, "points": points},
        },
        levels={"level before": worst[3], f"{times:g} × level before": times * worst[3]},
        advice="Clip gradients or lower the learning rate; an adaptive KL target caps it.",
        margin=worst[2] / worst[3] / times,
    )


def _own_course(t: stats.Trend, siblings: FloatArray, early: float = 0.15) -> FloatArray:
    """Return the siblings' course at the scale that this run had in the `early` part, within a factor of 3."""
    scale = t.y / np.maximum(siblings, 1e-12)
    there = (t.part >= 0.02) & (t.part <= early)
    if there.sum() < 3:
        return siblings
    return siblings * float(np.clip(np.median(scale[there]), 1 / 3, 3))


@detector(
    "kl_runaway",
    "KL rises without bound",
    "ugly",
    ("kl",),
    label="runaway KL",
    lens=("kl",),
    explains=("kl_spike", "policy_lag"),
    takes_back=("kl_stable",),
)
def kl_runaway(
    view: RunView, times: float = 8.0, still: float = 2.5, alone: float = 8.0, idle: float = 20.0, far: float = 12.0
) -> Finding | None:
    """KL ends `times` (8 by definition) above the siblings' level, still rising (`still` standard deviations).

    Without siblings its own course decides: it grew `alone` times over the last 40% of the run, faster and faster,
    where a healthy KL grows like the steps at most (1.7 times over that part). Or it grew `idle` times in all, to `far`
    nats at least (twice the target of TRL's adaptive penalty), and goes on while the reward has stopped. An estimate
    that falls ever further below zero is a finding too: no divergence is negative. Against the policy of the last
    update it is ugly from 0.03 nats on, twice what a usual target lets pass.
    """
    kl = _policy_kl(view, 20, signed=True)
    t = kl.trend
    if t.end < 0:
        return _below_zero(kl)
    if stats.rising(t.raw[t.part >= 0.6]) < still or t.end <= 0:
        return None
    siblings = [curve for curve in view.relatives("kl", kl, learning=True) if curve.trend.end > 0]
    if siblings:
        usual = max(float(np.median([curve.trend.end for curve in siblings])), 1e-12)
        if t.end < times * usual:
            return _for_nothing(view, kl, idle, far)
        course = _own_course(t, np.median([np.interp(t.x, c.trend.x, c.trend.y) for c in siblings], axis=0))
        against = f"{kl.final / usual:.0f} times its siblings' {num(usual)}"
    else:
        usual = t.level(0.5, 0.65)
        halves = t.level(0.7, 0.8) - usual, t.end - t.level(0.7, 0.8)
        if usual <= 0 or t.end < alone * usual or halves[1] < halves[0]:
            return _for_nothing(view, kl, idle, far)
        course = np.full(len(t.x), t.level(0.3, 0.65))
        against = f"{kl.final / usual:.0f} times its level midway"
    after = stats.lasting(t.y > 2 * np.maximum(course, 0))
    at = 0 if after is None else after
    step = int(t.x[at])
    return finding(
        "kl_runaway",
        f"{kl.metric} has left its level since step {step:,} and ends at {num(kl.final)}, {against}, still rising",
        kl,
        step=step,
        evidence={
            "end": t.end,
            "usual": usual,
            "siblings": len(siblings),
            "thresholds": {"times": times, "still": still, "alone": alone},
        },
        levels={
            "other runs" if siblings else "midway": usual,
            f"{times if siblings else alone:g} × that": (times if siblings else alone) * usual,
        },
        beside=siblings,
        advice="Raise the KL coefficient or make it adaptive, lower the learning rate; take an earlier checkpoint.",
        margin=t.end / usual / times if siblings else 1.4,
        severity="bad" if kl.kind == "old" and t.end < PER_UPDATE else None,
    )


def _below_zero(kl: Curve, least: float = 0.1) -> Finding | None:
    """Judge an estimate of the KL that falls below zero, by `least` nats, and goes on."""
    t = kl.trend
    if kl.kind == "old" or t.end > -max(least, 4 * kl.noise) or stats.rank_trend(t.raw) > -0.5:
        return None
    after = stats.lasting(t.y < min(0.5 * t.end, -kl.noise))
    step = int(t.x[after or 0])
    return finding(
        "kl_runaway",
        f"{kl.metric} falls below zero and on, from {num(t.start)} to {num(t.end)}: no divergence is negative",
        kl,
        step=step,
        evidence={"start": t.start, "end": t.end, "thresholds": {"least": least}},
        levels={"zero": 0.0},
        advice="Sample from the policy as it is (temperature 1, no top-k, no forced lengths), and log an estimate "
        "that is never negative.",
        severity="bad",
    )


def _for_nothing(view: RunView, kl: Curve, idle: float, far: float) -> Finding | None:
    """Judge a KL that goes on growing while the reward no longer does."""
    t = kl.trend
    early = t.level(0.0, 0.05)
    if kl.kind == "old" or not view.has("reward") or len(view.curve("reward")) < 12:
        return None
    reward = view.curve("reward").trend
    middle, late = reward.level(0.5, 0.6), reward.level(0.9)
    gain = late - middle
    if t.end < max(far, idle * early) or t.end < 1.4 * t.level(0.5, 0.6):
        return None
    if gain > max(3 * reward.error, 0.05 * abs(late - reward.start)):
        return None
    grown = f"{t.end / early:.0f} times" if early > 0 else "from nothing"
    metric = view.curve("reward").metric
    stopped = stats.lasting(np.abs(reward.y - late) <= max(3 * reward.error, 0.05 * abs(late - reward.start)))
    step = int(reward.x[stopped or 0])
    return finding(
        "kl_runaway",
        f"{kl.metric} grew {grown}, to {num(t.end)}, and grows on while {metric} has not gained since step {step:,}",
        kl,
        step=step,
        evidence={"early": early, "end": t.end, "reward_middle": middle, "reward_end": late,
                  "thresholds": {"idle": idle, "far": far}},
        levels={"early level": early, "limit": max(far, idle * early)},
        advice=f"Stop near step {step:,}, or raise the KL coefficient: the drift brings nothing any more.",
        margin=t.end / max(far, idle * early),
    )  # fmt: skip
