"""What the primary metric came to: a plateau below its siblings, or an end that came too soon."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import OBJECTIVE, Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.phases import refuse_range_test
from wandb_toolkit.detectors.schedule import not_before_long, stopped_in_warmup
from wandb_toolkit.model import Finding
from wandb_toolkit.roles import words_of

_EVALUATION = frozenset({"eval", "evaluation", "val", "valid", "validation", "test", "dev"})


LONG = 60  # points: what a run that broke off had not done by then it was not about to do


def _is_objective(view: RunView, metric: str) -> bool:
    """Return whether a metric is a policy's objective, whose level means nothing."""
    return any(match.metric == metric and match.is_objective for match in view.roles.values())


def better(view: RunView) -> int:
    """Return +1 where more of the primary metric is better, -1 where less is."""
    return -1 if view.primary is not None and view.primary.direction == "min" else 1


def gain_of(curve: Curve, sign: int) -> float:
    """Return how far a curve came from its start to its end, in the better direction."""
    return sign * (curve.trend.end - curve.trend.start)


@detector(
    "plateau_early",
    "The primary metric stopped improving early, short of the siblings",
    "bad",
    label="the early plateau",
    needs="a primary metric that two siblings have too",
)
def plateau_early(view: RunView, early: float = 1 / 3, short: float = 0.3, needed: int = 2) -> Finding | None:
    """The primary metric stops improving within the first third, at least 30% of the siblings' gain short of them.

    Both numbers are by definition. Flat at the siblings' level is convergence. `needed` siblings at least: one
    other run may simply be another experiment.
    """
    main = view.main(8)
    siblings = view.relatives("primary", main)
    if len(siblings) < needed:
        raise NotApplicable(f"{len(siblings)} comparable siblings with {main.metric}, needs {needed}")
    if view.run.state == "running":
        raise NotApplicable("the run is still running")
    sign = better(view)
    theirs = float(np.median([curve.trend.end for curve in siblings]))
    their_gain = float(np.median([gain_of(curve, sign) for curve in siblings]))
    t = main.trend
    end = t.level(0.85)
    missing = sign * (theirs - end)
    reach = max(float(curve.x[-1]) for curve in siblings)
    own = sign * (end - t.start)
    if float(np.max(sign * t.y)) - sign * end > max(0.25 * own, 0.15 * their_gain):
        return None  # it had been better: lost again, not levelled off
    if their_gain <= 6 * t.error or missing < max(short * their_gain, 4 * t.error) or main.x[-1] < 0.5 * reach:
        return None
    # It stops where it comes for good within a tenth of the siblings' gain, or the noise, of where it ends.
    margin = max(0.1 * their_gain, 2 * t.error)
    stop = stats.lasting(np.abs(t.y - end) <= margin)
    late = sign * (end - t.level(early - 0.08, early + 0.08))
    if stop is None or t.part[stop] > early + 0.02 or late > margin:
        return None
    # The margin is met before the curve is flat: the bend is where it stops.
    head = t.part <= 0.6
    joint = stats.bend(t.x[head], t.y[head])[0]
    stop = max(stop, joint) if t.part[joint] <= early + 0.02 else stop
    step = int(t.x[stop])
    return finding(
        "plateau_early",
        f"{main.metric} stopped improving at step {step:,} and stays at {num(end)}; its siblings end at {num(theirs)}",
        main,
        step=step,
        evidence={
            "level": end,
            "siblings_end": theirs,
            "siblings_gain": their_gain,
            "short_of_gain": missing / their_gain,
            "siblings": len(siblings),
            "thresholds": {"early": early, "short": short},
        },
        levels={"its level": end, "siblings' end": theirs},
        beside=siblings,
        advice="Compare its config with the better siblings': learning rate, update size, exploration, data.",
        margin=min(missing / (short * their_gain), len(siblings) / needed),
    )


@detector(
    "primary_worse",
    "The primary metric ended worse than it began, or lost what it had gained",
    "bad",
    label="a worsening primary metric",
)
def primary_worse(view: RunView, share: float = 0.2, clear: float = 4.0, half: float = 0.5) -> Finding | None:
    """The primary metric's end lies below its start by `share` (20%) of the siblings' gain, or of its own range.

    And by `clear` times the error of its trend and its noise; it has to decline over the whole of it. Or it loses
    `half` of what it had gained, as clearly, and does not get it back. Runs that broke off early are not judged.
    """
    main = view.main(8)
    if view.run.state not in ("finished", "running") and len(main) < LONG:
        raise NotApplicable(f"the run is {view.run.state}: how it would have ended is not known")
    if _is_objective(view, main.metric):
        raise NotApplicable(f"{main.metric} {OBJECTIVE}")
    refuse_range_test(view)
    sign, t = better(view), main.trend
    others = [gain_of(curve, sign) for curve in view.relatives("primary", main)]
    scale = max(float(np.median(others)) if others else 0.0, float(np.ptp(t.y)))
    start, end = t.level(0.0, 0.1), t.level(0.9)
    lost = sign * (start - end)
    enough = max(share * scale, clear * t.error, 2 * main.noise)
    if lost <= enough or sign * stats.rank_trend(t.raw) > -0.2:
        return _lost_again(view, main, sign, half, clear)
    if sign * (main.first - main.final) > 0:  # as tables say it, unless they show it otherwise
        start, end = main.first, main.final
    top = int(np.argmax(sign * t.y))
    risen = sign * (float(t.y[top]) - start) > max(lost, clear * t.error, 2 * main.noise)
    best = f"was best ({num(float(t.y[top]))}) at step {int(t.x[top]):,} and " if risen else ""
    return finding(
        "primary_worse",
        f"{main.metric} {best}ended worse than it began: {num(end)} after {num(start)}",
        main,
        evidence={"start": start, "end": end, "noise": main.noise, "thresholds": {"share": share, "clear": clear}},
        levels={"start": start, "end": end},
        advice="Check the direction of what is optimised and its learning rate; keep an early checkpoint.",
        margin=lost / enough if enough > 0 else None,
    )


def _lost_again(view: RunView, main: Curve, sign: int, half: float, clear: float) -> Finding | None:
    """Judge a metric that had become better: what became of its gain?"""
    if len(main) < 12:
        return None
    t = main.trend
    peak = int(np.argmax(sign * t.y))
    best, end = float(np.median(t.y[max(0, peak - 1) : peak + 2])), t.level(0.93)
    gain, lost = sign * (best - t.start), sign * (best - end)
    solid = max(1.5 * clear * t.error, 2 * main.noise / max(1, t.window) ** 0.5)
    others = [gain_of(curve, sign) for curve in view.relatives("primary", main)]
    if others and gain < 0.2 * float(np.median(others)):
        return None  # it never had gained anything
    if gain <= solid or lost < half * gain or lost <= solid or 1 - t.part[peak] < 0.1:
        return None
    if sign * (best - float(np.median(main.y[-max(3, len(main) // 20) :]))) < 0.8 * half * gain:
        return None
    step = int(t.x[peak])
    what = f"{lost / gain:.0%} of its gain" if lost < gain else "more than it had gained"
    return finding(
        "primary_worse",
        f"{main.metric} was best ({num(best)}) at step {step:,} and lost {what} by the end ({num(main.final)})",
        main,
        step=step,
        evidence={"start": t.start, "best": best, "best_step": step, "end": main.final, "lost_of_gain": lost / gain,
                  "thresholds": {"half": half, "clear": clear}},
        levels={"best": best, f"{half:.0%} of the gain lost": best - half * (best - t.start)},
        advice=f"Keep the checkpoint near step {step:,}; look at what changed after it: data, learning rate, phase.",
        margin=min(lost / (half * gain), lost / solid if solid > 0 else 9.0),
    )  # fmt: skip


@detector(
    "eval_noisy",
    "Evaluations scatter more than the runs differ",
    "bad",
    label="noisy evaluations",
    needs="a primary metric from evaluation that two siblings have too",
)
def eval_noisy(view: RunView, share: float = 0.25, needed: int = 2) -> Finding | None:
    """From one evaluation to the next the primary metric scatters more than its siblings' ends differ.

    And by more than `share` (a quarter) of its own gain: equal runs, whose ends differ by little, are no trouble as
    long as their progress can be read. Training metrics are logged often and averaged; only evaluations are judged.
    """
    main = view.main(12)
    if view.primary is None or not is_evaluation(main.metric):
        raise NotApplicable(f"{main.metric} is not an evaluation")
    siblings = view.relatives("primary", main)
    if len(siblings) < needed:
        raise NotApplicable(f"{len(siblings)} comparable siblings with {main.metric}, needs {needed}")
    t = main.trend
    ends = [curve.trend.end for curve in siblings] + [t.end]
    apart = float(np.std(ends, ddof=1))
    late = t.raw[t.part >= 0.4]
    noise = stats.noise(late) if len(late) >= 6 else main.noise
    limit = max(apart, share * abs(t.end - t.start))
    if not noise > limit or noise <= 0:
        return None
    return finding(
        "eval_noisy",
        f"{main.metric} scatters by {num(noise)} between evaluations; the runs' ends differ by {num(apart)}",
        main,
        evidence={"noise": noise, "ends_std": apart, "gain": t.end - t.start, "siblings": len(siblings),
                  "thresholds": {"share": share}}, beside=siblings,
        advice="Evaluate on more samples, average the last evaluations, and compare configurations over several seeds.",
        margin=noise / limit if limit > 0 else None,
    )  # fmt: skip


def is_evaluation(metric: str) -> bool:
    """Return whether a key says that it comes from evaluation."""
    return any(word in _EVALUATION for word in words_of(metric).split())


@detector(
    "no_learning",
    "Nothing that training should improve improved",
    "bad",
    label="nothing learned",
    explains=("plateau_early",),
    takes_back=("grad_norm_stable", "primary_improved"),
    passing=True,
)
def no_learning(
    view: RunView, points: int = 20, clear: float = 3.0, needed: int = 2, slight: float = 0.01, few: int = 5
) -> Finding | None:
    """Loss, eval loss, reward and the primary metric, `needed` of them at least, end where they began.

    That is, each within `clear` errors of its trend, or within its noise, and nowhere better than that on the way; a
    loss also within `slight` (1%) of its level. One of them has `points` rows, evaluations `few`. One
    flat metric alone may be saturated or of the wrong kind; a policy's objective never counts, but its entropy does
    where it moves by less than half of `slight`. Runs that broke off are not judged.
    """
    if stopped_in_warmup(view):
        raise NotApplicable("the run broke off while its learning rate was warming up")
    not_before_long(view)
    if view.run.state not in ("finished", "running"):
        points = max(points, LONG)
    signs = {"loss": -1, "eval_loss": -1, "reward": 1}
    curves = {view.curve(role).metric: (view.curve(role), sign) for role, sign in signs.items() if view.has(role)}
    if view.primary is not None and view.primary.metric in view.history:
        curves[view.primary.metric] = (view.main(), better(view))
    losses = {view.roles[role].metric for role in ("loss", "eval_loss") if view.has(role)}
    evaluated = {view.roles["eval_loss"].metric} if view.has("eval_loss") else set()
    judged = [
        (c, sign)
        for c, sign in curves.values()
        if len(c) >= (few if c.metric in evaluated or is_evaluation(c.metric) else points) and not c.is_objective
    ]
    still = _still_entropy(view, points, slight) if len(judged) == needed - 1 else []
    enough = any(len(curve) >= points for curve, _ in judged)
    if len(judged) + len(still) < needed or not enough:
        have = sum(len(curve) >= points for curve, _ in judged)
        raise NotApplicable(f"only {have} of loss, eval loss, reward and primary metric has {points} points")
    for curve, sign in judged:
        t = curve.trend
        gain = float(np.max(sign * t.y)) - sign * t.start
        seen = slight * abs(t.start) if curve.metric in losses else 0.0
        # A loss of single batches wanders by itself: beside evaluations that stand still it has to fall throughout.
        wanders = curve.metric in losses - evaluated and bool(evaluated) and stats.rising(sign * t.raw) < 2.6
        if gain > max(clear * t.error, curve.noise * (2 if wanders else 1), seen):
            return None
    *others, last = [curve.metric for curve, _ in judged]
    names = f"{', '.join(others)} and {last}" if others else last
    return finding(
        "no_learning",
        f"{names} {_stood(judged)}: nothing was learned",
        *(curve for curve, _ in judged),
        *still,
        evidence={
            **{curve.metric: {"start": curve.first, "end": curve.final} for curve, _ in judged},
            "thresholds": {"points": points, "clear": clear},
        },
        advice="Check that gradients reach the weights (frozen layers, a zero learning rate), and the labels.",
    )


def _stood(judged: Sequence[tuple[Curve, int]], near: float = 0.1, slight: float = 0.02) -> str:
    """Return how the metrics ended, in words: where they began, or only as far from it as they scatter anyway."""
    moved = ((curve, abs(curve.final - curve.first)) for curve, _ in judged)
    if all(by <= max(near * float(np.ptp(curve.y)), slight * abs(curve.first)) for curve, by in moved):
        return f"ended where {'they' if len(judged) > 1 else 'it'} began"
    return "gained nothing beyond " + ("their noise" if len(judged) > 1 else "its noise")


def _still_entropy(view: RunView, points: int, slight: float) -> list[Curve]:
    """Return the entropy of a policy that does not change, [] where it changes or is not logged."""
    if not view.about_policy or not view.has("entropy") or len(view.curve("entropy")) < points:
        return []
    entropy = view.curve("entropy")
    level = abs(float(np.median(entropy.y)))
    return [entropy] if level > 0 and float(np.ptp(entropy.trend.y)) <= slight / 2 * level else []
