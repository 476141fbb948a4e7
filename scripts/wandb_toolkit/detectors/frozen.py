"""Metrics that do not move at all."""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.progress import better, is_evaluation
from wandb_toolkit.model import Finding

ROLES = ("loss", "eval_loss", "reward", "task", "class_score")


@detector(
    "metric_frozen",
    "A metric that should move is stuck at one value",
    "bad",
    label="a frozen metric",
    needs="one of the roles `loss`, `eval_loss`, `reward`, `task`, `class_score`",
    explains=("plateau_early", "no_learning"),
)
def metric_frozen(view: RunView, lasts: float = 0.3, points: int = 20) -> Finding | None:
    """A loss, reward or task metric repeats one value exactly over the last `lasts` (30%) of the run and `points` rows.

    Of a score of one class (F1, recall) that is 0, half of that. A number that was computed scatters; the same one
    again and again was not (a detached loss, a stale variable, a reward never earned). A reward or task metric that
    stands at its best, and a loss of 0, are what was wanted. An evaluation that should be high and is 0 each time is
    one from 5 on.
    """
    unearned = _never_earned(view)
    if unearned is not None:
        return unearned
    looked = False
    for role in ROLES:
        if not view.has(role):
            continue
        curve = view.curve(role)
        needed = points if role in ("loss", "reward") else points // 2
        if len(curve) < needed or curve.logged > len(curve):
            continue
        looked = True
        same = stats.lasting(curve.y == curve.y[-1])
        width = float(curve.x[-1] - curve.x[0])
        # A score of a class that is 0 was computed: no prediction of the class was right, and half as long is enough.
        least = lasts / 2 if role == "class_score" and float(curve.y[-1]) == 0.0 else lasts
        if same is None or len(curve) - same < needed or float(curve.x[-1] - curve.x[same]) < least * width:
            continue
        if _is_wanted(view, role, curve):
            continue
        step = curve.step(same)
        since = "from its first row" if same == 0 else f"since step {step:,}"
        return finding(
            "metric_frozen",
            f"{curve.metric} is exactly {num(float(curve.y[-1]))} {since}, {len(curve) - same:,} rows in a row",
            curve,
            step=step,
            evidence={"value": float(curve.y[-1]), "rows": len(curve) - same, "thresholds": {"lasts": lasts}},
            levels={"frozen at": float(curve.y[-1])},
            advice="Look whether it is still computed (a stale variable, a detached loss), or never earned at all.",
            margin=(len(curve) - same) / needed,
        )
    if not looked:
        raise NotApplicable(f"no metric for the roles {', '.join(ROLES)} with enough points")
    return None


def _never_earned(view: RunView, needed: int = 5) -> Finding | None:
    """Judge a primary metric from evaluation that was 0 each time, over at least half of the run."""
    if view.primary is None or view.primary.direction != "max" or view.primary.metric not in view.history:
        return None
    main = view.main()
    if len(main) < needed or not is_evaluation(main.metric) or bool(main.y.any()):
        return None
    if float(main.x[-1] - main.x[0]) < 0.5 * float(view.last_step or 0):
        return None
    return finding(
        "metric_frozen",
        f"{main.metric} is 0 in all {len(main)} evaluations",
        main,
        step=main.step(0),
        evidence={"value": 0.0, "rows": len(main), "case": "never earned", "thresholds": {"points": needed}},
        levels={"never earned": 0.0},
        advice="Look whether the evaluation can succeed at all: its environment and limits, how the policy acts there.",
    )


def _is_wanted(view: RunView, role: str, curve: Curve) -> bool:
    """Return whether the value is the best there is."""
    value = float(curve.y[-1])
    if role in ("loss", "eval_loss"):
        return value == 0.0 or curve.is_objective or (role == "loss" and view.about_policy)
    sign = better(view) if view.primary is not None and view.primary.metric == curve.metric else 1
    varied = float(np.ptp(curve.y)) > 0
    return (varied and sign * value >= float(np.max(sign * curve.y))) or value in (1.0, 100.0)
