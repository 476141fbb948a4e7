"""The gradient norm."""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.model import Finding


@detector(
    "grad_norm_explosion",
    "The gradient norm explodes and stays high",
    "ugly",
    ("grad_norm",),
    label="exploding gradients",
    lens=("grad_norm",),
)
def grad_norm_explosion(view: RunView, times: float = 10.0, lasts: float = 0.03) -> Finding | None:
    """The gradient norm rises by `times` over its running median and stays there for `lasts` of the run, or to its end.

    An order of magnitude and 3% are by definition. The running median is of the fifth of the run before. In the
    first tenth it counts as at least the lower quartile of all: steps from a zero initialisation are no explosion.
    A note where it comes back and the losses fell all the while: what the model learns may make it steep for a time.
    """
    norm = view.curve("grad_norm", 20)
    x, y = stats.condense(norm.x, norm.y, 1000)
    level = stats.running_median(y, 5)
    floor = float(np.quantile(level[level > 0], 0.25)) if (level > 0).any() else 0.0
    if floor <= 0:
        return None
    part = (x - x[0]) / (x[-1] - x[0])
    before = np.nan_to_num(stats.trailing_median(y, max(10, len(y) // 5)), nan=np.inf)
    before = np.maximum(before, np.where(part < 0.1, floor, 1e-3 * float(np.quantile(level, 0.75))))
    high = (level >= times * before) & (before > 0) & (np.arange(len(y)) >= 5)
    for first in np.flatnonzero(high):
        base = float(before[first])
        back = np.flatnonzero(level[first:] < 0.7 * times * base)
        last = int(first + back[0]) if len(back) else len(y)
        if last - first < 3:
            continue
        if part[last - 1] - part[first] >= lasts or (last == len(y) and last - first >= 4):
            below = np.flatnonzero(level[: first + 1] <= 2 * base)
            at = min(int(below[-1]) + 1, int(first)) if len(below) else int(first)
            span = float(x[max(0, at - 1)]), float(x[min(int(first) + 1, len(x) - 1)])
            step = int(stats.first_beyond(norm.x, norm.y > 2 * base, *span) or x[at])
            high_there = norm.y[(norm.x >= step) & (norm.x <= x[last - 1]) & (norm.y > times * base)]
            peak = float(np.median(high_there)) if len(high_there) else float(np.median(level[first:last]))
            if peak < 0.5 * float(np.median(y[: max(3, len(y) // 20)])):
                continue  # it had died away, and is still smaller than at the start
            ends = "to the end" if last == len(y) else f"over {part[last - 1] - part[first]:.0%} of the run"
            return finding(
                "grad_norm_explosion",
                f"{norm.metric} rose {peak / base:.0f}× at step {step:,}, from {num(base)} to {num(peak)}, {ends}",
                norm,
                step=step,
                evidence={
                    "level": base,
                    "exploded": peak,
                    "until_step": int(x[last - 1]),
                    "thresholds": {"times": times, "lasts": lasts},
                },
                levels={"level before": base, f"{times:g} × level before": times * base},
                advice="Clip the gradient norm near its usual level, lower the learning rate, look at its batches.",
                severity="note" if last < len(y) and _harmless(view, step, float(x[last - 1])) else None,
                margin=peak / base / times,
            )
    return _grows(view, norm)


def _harmless(view: RunView, since: float, until: float) -> bool:
    """Return whether the losses, training and eval where there is one, fell from before a stretch to after it."""
    looked = False
    for role in ("loss", "eval_loss"):
        if not view.has(role) or view.curve(role).is_objective:
            continue
        curve = view.curve(role)
        before, after = curve.y[curve.x < since], curve.y[curve.x > until]
        if len(before) < 2 or len(after) < 2:
            continue
        looked = True
        if float(np.median(after)) >= float(np.median(before[-10:])) - 2 * curve.noise:
            return False
    return looked


def _grows(view: RunView, norm: Curve, times: float = 5.0, steady: float = 0.6) -> Finding | None:
    """Judge a norm that grows slowly, so that its running median follows: `times` its early level, and still rising.

    Twice as much is asked where no policy is trained: there the norm may grow while the loss falls.
    """
    t = norm.trend
    early, end = float(np.median(t.raw[t.part <= 0.3])), t.level(0.93)
    times = times if view.about_policy else 2 * times
    late = t.raw[t.part >= 0.4]
    if early <= 0 or end < times * early or end < 0.7 * float(np.max(t.y)) or stats.rank_trend(late) < steady:
        return None
    step = int(t.x[stats.lasting(t.y > 2 * early) or 0])
    return finding(
        "grad_norm_explosion",
        f"{norm.metric} has grown to {num(end)} since step {step:,}, {end / early:.0f}× its early level "
        f"({num(early)}), and was still growing at the end",
        norm,
        step=step,
        evidence={"level": early, "exploded": end, "thresholds": {"times": times}},
        levels={"early level": early, f"{times:g} × early level": times * early},
        advice="Clip the gradient norm near its early level, and lower the learning rate.",
        severity="bad",
        margin=end / early / times,
    )


@detector(
    "grad_norm_vanishing",
    "The gradient norm vanishes while there is still something to learn",
    "bad",
    ("grad_norm",),
    label="vanishing gradients",
    lens=("grad_norm",),
    explains=("no_learning",),
)
def grad_norm_vanishing(
    view: RunView, left: float = 0.01, lasts: float = 0.2, learnt: float = 0.1, solved: float = 0.9
) -> Finding | None:
    """The gradient norm falls to `left` (1%) of its early level, or is zero, and stays there for `lasts` of the run.

    Two orders of magnitude: one is what a loss that falls as far brings by itself. Of a run whose loss is down to
    `learnt` of where it began, or whose reward between 0 and 1 has come to `solved`, it is the end of learning.
    """
    norm = view.curve("grad_norm", 20)
    t = norm.trend
    early = t.level(0.02, 0.2) if len(t.raw) >= 20 else t.start
    low = stats.lasting(t.y <= left * early)
    if low is None or 1 - t.part[low] < lasts or len(t.y) - low < 4:
        return None
    if _nothing_left_to_learn(view, learnt, solved):
        return None
    step, end = int(t.x[low]), t.level(0.9)
    title = f"{norm.metric} has been zero since step {step:,}"
    if early > 0 and end > 0:
        title = (
            f"{norm.metric} fell {early / end:.0f}×, from {num(early)} to {num(end)}, by step {step:,} and stays there"
        )
    return finding(
        "grad_norm_vanishing",
        title,
        norm,
        step=step,
        evidence={"early": early, "end": end, "thresholds": {"left": left, "lasts": lasts}},
        levels={"early level": early, f"{left:.0%} of it": left * early},
        advice="Look for dead or saturated units, a loss that is detached or masked away, groups of equal reward.",
        margin=left * early / end if end > 0 else None,
    )


def _nothing_left_to_learn(view: RunView, learnt: float, solved: float) -> bool:
    if view.about_policy:
        reward = view.curve("reward")
        return len(reward) >= 4 and float(reward.y.min()) >= 0 and solved <= reward.trend.end <= 1.001
    if not view.has("loss") or len(view.curve("loss")) < 4:
        return False
    loss = view.curve("loss").trend
    return loss.start <= 0 or loss.end <= learnt * loss.start
