"""A run beside its siblings: far outside the spread of comparable runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.configs import flatten, is_bookkeeping, is_seed, same_task, task_of, tells_nothing
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, Sibling, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.progress import better
from wandb_toolkit.model import Finding
from wandb_toolkit.text import listed, quoted

NAMED = 4  # config keys in one sentence


def differing(own: Mapping[str, Any], others: list[Mapping[str, Any]]) -> list[str]:
    """Return the config keys whose value most of the others share and this run does not, as "key value (value)"."""
    said = []
    for key, value in own.items():
        if tells_nothing(key, value) or is_bookkeeping(key) or is_seed(key) or isinstance(value, (list, Mapping)):
            continue
        values = [other.get(key) for other in others]
        usual = max(values, key=values.count)
        if usual != value and usual is not None and values.count(usual) > len(values) / 2 and value not in values:
            said.append(f"{key} {_short(value)} ({_short(usual)})")
    return said


def _short(value: Any) -> str:
    return num(value) if isinstance(value, float) else str(value)[:30]


@detector(
    "far_from_siblings",
    "The run ends far from all of its siblings",
    "bad",
    label="an end far from the siblings'",
    needs="three comparable siblings with the primary metric or the loss",
    explains=("undertrained",),
    follows=(
        "loss_divergence",
        "plateau_early",
        "overfitting",
        "class_imbalance",
        "chance_level",
        "no_learning",
        "primary_worse",
        "kl_too_low",
        "kl_runaway",
        "entropy_collapse",
        "clipfrac_high",
        "reward_hacking",
        "reward_collapse",
        "reward_std_collapse",
        "lr_schedule_mismatch",
        "metric_frozen",
        "grad_norm_explosion",
        "grad_norm_vanishing",
        "crashed",
    ),
    takes_back=("primary_improved", "loss_decreased", "eval_follows_train", "reward_improved", "grad_norm_stable"),
)
def far_from_siblings(
    view: RunView, spreads: float = 3.0, short: float = 0.5, needed: int = 3, shortest: float = 0.25
) -> Finding | None:
    """The run ends worse than each of `needed` sound siblings of the same task is at that step, by several spreads.

    A sibling that is shorter counts from `shortest` (a quarter) of the run on: ahead after fewer steps is ahead.
    Siblings that gained less than a fifth of what the best gained are left out where `needed` others are there.
    That is, beyond the worst of them by `spreads` times the standard deviation of their ends, by `short` (half) of what
    they gained, and by four times the noise. Names the config keys in which it differs from most of them.
    """
    if view.run.state not in ("finished", "running"):
        raise NotApplicable(f"the run is {view.run.state}: where it would have ended is not known")
    task = task_of(view.run.config)
    reasons = []
    for role in ("primary", "eval_loss", "loss", "reward"):
        curve = _curve(view, role)
        if (
            curve is None
            or len(curve) < (2 if role == "primary" else 4)
            or curve.is_objective
            or (role == "loss" and view.about_policy)
        ):
            continue
        sign = _sign(view, role)
        others = [
            (sibling, other)
            for sibling in view.siblings
            if sibling.sound and same_task(task, task_of(sibling.config))
            if (other := sibling.primary if role == "primary" else sibling.curves.get(role)) is not None
            if other.metric == curve.metric and len(other) >= 4 and other.x[-1] >= shortest * curve.x[-1]
            if not _went_wrong(other, sign)
        ]
        if len(others) < needed:
            reasons.append(f"{len(others)} comparable siblings with {curve.metric}, needs {needed}")
            continue
        learned = _that_learned(others, sign)
        made = _judge(view, curve, sign, learned if len(learned) >= needed else others, spreads, short)
        if made is not None:
            return made
        return None
    raise NotApplicable(reasons[0] if reasons else "no primary metric or loss to compare with siblings")


def _curve(view: RunView, role: str) -> Curve | None:
    if role == "primary":
        return view.main() if view.primary is not None and view.primary.metric in view.history else None
    return view.curve(role) if view.has(role) else None


def _sign(view: RunView, role: str) -> int:
    if role == "primary":
        return better(view)
    return 1 if role == "reward" else -1


def _went_wrong(curve: Curve, sign: int) -> bool:
    """Return whether a run ended worse than its first value: no yardstick."""
    return sign * (curve.trend.end - float(curve.y[0])) < -max(2 * curve.noise, 0.05 * abs(float(curve.y[0])))


def _that_learned(others: list[tuple[Sibling, Curve]], sign: int, share: float = 0.2) -> list[tuple[Sibling, Curve]]:
    """Return the runs that gained at least a fifth of what the best of them did: failures are no yardstick."""
    gains = [sign * (other.trend.end - other.trend.start) for _, other in others]
    most = max(gains)
    return [pair for pair, gain in zip(others, gains, strict=True) if most <= 0 or gain >= share * most]


def _judge(
    view: RunView, curve: Curve, sign: int, others: list[tuple[Sibling, Curve]], spreads: float, short: float
) -> Finding | None:
    # At the same step: a run that still goes, or was shorter, is behind by no fault of its own.
    last = float(curve.x[-1])
    ends = np.array([sign * float(np.interp(last, other.trend.x, other.trend.y)) for _, other in others])
    gains = [sign * (other.trend.end - other.trend.start) for _, other in others]
    end, worst, usual = sign * curve.trend.level(0.9), float(np.min(ends)), float(np.median(ends))
    noise = float(np.median([curve.noise, *(other.noise for _, other in others)]))
    spread = float(np.std(ends, ddof=1))
    if len(ends) < 5:
        spread *= 1.5  # of few ends the spread is easily too small
    limit = max(spreads * spread, short * max(float(np.median(gains)), 0.0), 4 * noise, 0.05 * abs(usual))
    beyond = worst - end
    if beyond <= limit or limit <= 0:
        return None
    course = np.median([np.interp(curve.trend.x, other.trend.x, sign * other.trend.y) for _, other in others], axis=0)
    after = stats.lasting(course - sign * curve.trend.y > 0.5 * (usual - end))
    differs = differing(flatten(view.run.config), [flatten(sibling.config) for sibling, _ in others])
    low, high = sorted((sign * worst, sign * float(np.max(ends))))
    what = f"; it differs in {listed(differs, NAMED)}" if differs else ""
    return finding(
        "far_from_siblings",
        f"{curve.metric} ends at {num(sign * end)}, far from its {len(ends)} siblings' {num(low)} to {num(high)}{what}",
        curve,
        step=int(curve.trend.x[after or 0]),
        evidence={
            "end": sign * end,
            "siblings_worst": sign * worst,
            "siblings_median": sign * usual,
            "siblings_std": spread,
            "siblings": len(ends),
            "differs": differs[:20],
            "thresholds": {"spreads": spreads, "short": short},
        },
        levels={"siblings' median end": sign * usual, "farthest sibling": sign * worst},
        beside=[other for _, other in others],
        advice="Look first at the settings in which it differs, then at its data and labels."
        if differs
        else "Its recorded config does not differ: look at data, labels, initialisation and code.",
        margin=beyond / limit,
    )


@detector(
    "loss_scaled",
    "The loss is another run's, multiplied",
    "note",
    ("loss",),
    label="a multiplied loss",
    lens=(),
    needs="the role `loss`, and a sibling whose config differs in a number by the same factor",
)
def loss_scaled(view: RunView, even: float = 0.05, exact: float = 0.03, points: int = 10) -> Finding | None:
    """The loss is a whole number of times a sibling's throughout, and a number in their configs differs by that factor.

    The ratio of the two courses stays within `even` (5%) of its median, which is within `exact` of the whole number,
    while the losses move: a sum over accumulation steps, devices or samples is logged where the other logs a mean, and
    the levels cannot be compared.
    """
    loss = view.curve("loss", points)
    own = flatten(view.run.config)
    if loss.is_objective or float(np.min(loss.y)) <= 0 or not view.siblings:
        raise NotApplicable(f"no sibling to compare the level of {loss.metric} with")
    for sibling in view.siblings:
        other = sibling.curves.get("loss")
        if other is None or other.metric != loss.metric or len(other) < points or float(np.min(other.y)) <= 0:
            continue
        theirs = np.interp(loss.trend.x, other.trend.x, other.trend.y)
        ratio = loss.trend.y / theirs
        times, fall = stats.median(ratio), float(np.max(theirs) / np.min(theirs))
        whole = round(times)
        if whole < 2 or fall < 1.25 or abs(times - whole) > exact * whole:
            continue
        if float(np.quantile(np.abs(ratio / times - 1), 0.9)) > even:
            continue
        keys = [key for key, value in own.items() if _factor(value, flatten(sibling.config).get(key)) == whole]
        if keys:
            return finding(
                "loss_scaled",
                f"{loss.metric} is {whole} times that of {quoted(sibling.name)} throughout, and {listed(keys, NAMED)} "
                f"{'differs' if len(keys) == 1 else 'differ'} by the same factor: a sum is logged where the other logs "
                "a mean",
                loss,
                evidence={"times": times, "sibling": sibling.id, "keys": keys[:20], "thresholds": {"even": even}},
                advice="Divide the logged loss by it, or log the mean, before the levels are compared.",
            )
    return None


def _factor(one: Any, other: Any) -> int | None:
    """Return by which whole number two numbers of a config differ, either way; None where by none."""
    if not all(isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 for value in (one, other)):
        return None
    times = max(one, other) / min(one, other)
    return round(times) if abs(times - round(times)) < 1e-6 and times > 1 else None
