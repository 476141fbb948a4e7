"""Nothing to learn from: a learning rate, gradient, loss or spread of rewards of exactly zero."""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding
from wandb_toolkit.detectors.progress import better
from wandb_toolkit.model import Finding

SOURCES = ("lr", "zero_std", "reward_std", "advantage_std", "grad_norm", "loss")


@detector(
    "no_signal",
    "There is nothing to learn from",
    "ugly",
    label="the missing learning signal",
    needs="one of the roles `lr`, `grad_norm`, `loss`, `reward_std`, `zero_std`",
    lens=("reward_std", "grad_norm"),
    mark="nothing to learn from",
    mark_on="loss",
    explains=(
        "metric_frozen",
        "grad_norm_vanishing",
        "no_learning",
        "kl_too_low",
        "plateau_early",
        "reward_std_collapse",
        "chance_level",
        "far_from_siblings",
        "lr_schedule_mismatch",
        "memorising",
    ),
    takes_back=("loss_decreased", "grad_norm_stable", "kl_stable", "entropy_healthy"),
)
def no_signal(view: RunView, points: int = 5, lasts: float = 0.3) -> Finding | None:
    """The learning rate, the gradient norm, the loss or the spread of rewards is exactly 0, so that nothing is learned.

    From the start, over `points` rows at least; gradient norm and loss also for good, over `lasts` (30%) of the run.
    The level of the reward does not matter: where all rewards of a group are equal, none of them is better. A metric
    that still improves meanwhile shows that the zero is of the logging, or of one part of the loss.
    """
    looked = False
    for role in SOURCES:
        if not view.has(role) or len(view.curve(role)) < points or view.curve(role).logged > len(view.curve(role)):
            continue
        looked = True
        curve = view.curve(role)
        since = _silent_since(role, curve, points, lasts)
        if since is None or _improves(view, float(curve.x[since])) or (since > 0 and _solved(view)):
            continue
        if role == "loss" and (_moves(view, float(curve.x[since])) or view.about_policy):
            continue  # a policy's objective is about 0 by construction where its gradient is not
        step = curve.step(since)
        where = "in every row" if since == 0 else f"from step {step:,} on"
        rows = len(curve) - since
        return finding(
            "no_signal",
            _what(view, role, curve, where),
            curve,
            step=step,
            evidence={"role": role, "rows": rows, "of": len(curve), "thresholds": {"points": points, "lasts": lasts}},
            levels={"exactly zero": 0.0} if role != "zero_std" else {"all groups alike": float(curve.y[-1])},
            advice=_ADVICE[role],
            severity="ugly" if since <= 0.1 * len(curve) else "bad",
        )
    if not looked:
        raise NotApplicable(f"no metric for the roles {', '.join(SOURCES)} with {points} points")
    return None


_SPREAD = (
    "Make tasks or reward finer, sample larger groups or hotter, and leave out groups whose answers all score alike."
)
_ADVICE = {
    "lr": "Set the learning rate, and look whether the scheduler is given the optimizer's rate and its total steps.",
    "grad_norm": "Look whether parameters are frozen, the loss is detached, or everything is masked out of it.",
    "loss": "Look whether labels are all masked, the loss is detached, or it overflowed and was logged as 0.",
    "reward_std": _SPREAD,
    "advantage_std": _SPREAD,
    "zero_std": _SPREAD,
}


def _silent_since(role: str, curve: Curve, points: int, lasts: float) -> int | None:
    """Return the index from which the role is exactly without a signal to the end, None where it has one."""
    if role == "zero_std":
        scale = 100.0 if float(np.max(curve.y)) > 1.5 else 1.0
        return 0 if float(np.mean(curve.y >= 0.999 * scale)) >= 0.95 else None
    if role in ("reward_std", "advantage_std"):
        return 0 if float(np.mean(curve.y == 0.0)) >= 0.95 else None
    since = stats.lasting(curve.y == 0.0)
    if role == "lr":  # a schedule that ends early is another diagnosis
        return 0 if since == 0 else None
    if since is None or len(curve) - since < points:
        return None
    return since if (len(curve) - since) >= lasts * len(curve) else None


def _moves(view: RunView, since: float) -> bool:
    """Return whether a gradient is logged that is not zero after a step."""
    if not view.has("grad_norm"):
        return False
    norm = view.curve("grad_norm")
    late = norm.y[norm.x > since]
    return bool(len(late)) and float(np.median(late)) > 0


def _improves(view: RunView, since: float) -> bool:
    """Return whether loss, eval loss, reward, task or primary metric gets better after a step, beyond its noise."""
    signs = {"loss": -1, "eval_loss": -1, "reward": 1, "task": 1}
    curves = [(view.curve(role), sign) for role, sign in signs.items() if view.has(role)]
    if view.primary is not None and view.primary.metric in view.history:
        curves.append((view.main(), better(view)))
    for curve, sign in curves:
        late = curve.x >= since
        if late.sum() < 4 or float(np.ptp(curve.y[late])) == 0:
            continue
        if curve.is_objective:
            continue
        t = stats.trend(curve.x[late], curve.y[late])
        if sign * (t.end - t.start) > max(5 * t.error, 1.5 * curve.noise) and stats.rising(sign * t.raw) > 2:
            return True
    return False


def _solved(view: RunView, ceiling: float = 0.99) -> bool:
    """Return whether a reward or accuracy between 0 and 1 has come to its ceiling."""
    for role in ("reward", "task"):
        if view.has(role) and len(view.curve(role)) >= 4:
            curve = view.curve(role)
            if float(curve.y.min()) >= 0 and ceiling <= curve.trend.end <= 1.0 + 1e-9:
                return True
    return False


def _what(view: RunView, role: str, curve: Curve, where: str) -> str:
    if role == "zero_std":
        return f"{curve.metric} is 1 {where}: the rewards of every group are equal, and none is better than another"
    what = {
        "lr": "no parameter is updated",
        "grad_norm": "no parameter is updated",
        "loss": "it was reduced to nothing, or was not computed",
    }.get(role, "the rewards do not differ, and none is better than another")
    reward = view.curve("reward") if view.has("reward") else None
    if role.endswith("std") and reward is not None and len(reward) and float(np.ptp(reward.y)) == 0:
        what = f"{reward.metric} is always {float(reward.y[0]):.3g}, and no answer is better than another"
    return f"{curve.metric} is exactly 0 {where}: {what}"
