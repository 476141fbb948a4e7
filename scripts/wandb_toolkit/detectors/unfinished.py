"""Runs that ended while they were still improving."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import COUNTERS, Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding
from wandb_toolkit.detectors.progress import better
from wandb_toolkit.detectors.schedule import planned_steps
from wandb_toolkit.model import Finding

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray


@detector(
    "undertrained",
    "The run ended while it was still improving",
    "bad",
    label="stopping while still improving",
    follows=("plateau_early", "no_learning", "lr_schedule_mismatch", "no_signal", "chance_level"),
)
def undertrained(
    view: RunView, share: float = 0.08, sure: float = 3.5, whole: float = 5.0, straight: float = 0.15
) -> Finding | None:
    """The run finished and the last fifth brought `share` (8% by definition) of the whole gain, beyond the noise.

    `sure` is in standard errors of what the last fifth brought; the whole gain must be `whole` times the trend's error,
    else there is nothing to have a share of. Where the primary metric does not tell, an eval loss does whose last fifth
    brought `straight` of its gain: it falls in nearly a straight line. Of fewer than 8 evaluations each must be better
    than the one before, the last step no smaller than most, and the training loss must fall as straight.
    Runs that crashed or still go are not judged. A note where the run leads its siblings, or came to the end of its
    learning-rate schedule: annealing brings its part of the gain late.
    """
    if view.run.state != "finished":
        raise NotApplicable(f"the run is {view.run.state}, not finished")
    sign = better(view)
    short = _few_evaluations(view, sign, straight)
    if short is not None:
        return short
    main = view.main(8)
    gain = _still_gains(main, sign, share, sure, whole)
    if gain is None and view.has("eval_loss") and len(view.curve("eval_loss")) >= 8 and not view.about_policy:
        held_out = view.curve("eval_loss")
        if held_out.metric != main.metric and not _lost_some(main, sign):
            main, sign, share = held_out, -1, straight
            gain = _still_gains(main, sign, share, sure, whole)
    if gain is None:
        return None
    t, (brought, error, total) = main.trend, gain
    others = [sign * curve.trend.end for curve in view.relatives("primary", main)]
    leads = bool(others) and sign * t.end >= max(others)
    return finding(
        "undertrained",
        f"{main.metric} was still improving when the run ended{_ended_at(view)}: "
        f"the last fifth brought {brought / total:.0%} of its gain",
        main,
        evidence={
            **_short_of_plan(view),
            "start": t.start,
            "end": t.end,
            "last_fifth": sign * brought,
            "share_of_gain": brought / total,
            "thresholds": {"share": share, "sure": sure},
        },
        levels={"end": t.end},
        advice="Train longer (resume, with the schedule stretched), or raise the learning rate.",
        # Ahead of all others, or annealed to the end of its schedule, there is more to gain and nothing wrong.
        severity="note" if leads or _annealed(view, main) else None,
        margin=min(brought / (share * total), brought / (sure * error) if error > 0 else 9.0),
    )


def _annealed(view: RunView, main: Curve, end: float = 0.05, half: float = 0.25, most: float = 0.25) -> bool:
    """Return whether the learning rate came to its end with the run, and brought with it what the last part gained.

    It fell to `end` of its peak, was still at `half` (a quarter) of it midway, and the run is as long as planned. What
    the last fifth brought is less than `most` of the gain: more is not the annealing's.
    """
    if not view.has("lr") or len(view.curve("lr")) < 8 or _short_of_plan(view) or view.about_policy:
        return False
    rate = view.curve("lr")
    peak = float(np.max(rate.y))
    middle = float(np.interp(0.5 * (rate.x[0] + rate.x[-1]), rate.x, rate.y))
    brought, _ = stats.last_fifth(main.trend.x, main.trend.raw)
    share = abs(brought) / max(abs(main.trend.end - main.trend.start), 1e-300)
    return peak > 0 and float(rate.y[-1]) <= end * peak and middle >= half * peak and share < most


def _still_gains(curve: Curve, sign: int, share: float, sure: float, whole: float) -> tuple[float, float, float] | None:
    """Return what the last fifth brought, its error and the whole gain, None where the curve has levelled off."""
    t = curve.trend
    brought, error = stats.last_fifth(t.x, t.raw)
    brought *= sign
    total = sign * (t.end - t.start)
    if total < whole * t.error or not brought > 0 or brought < share * total or brought < sure * error:
        return None
    if stats.rising(sign * t.raw[t.part >= 0.6]) < 2 or _at_ceiling(curve, sign):
        return None
    return brought, error, total


def _lost_some(main: Curve, sign: int) -> bool:
    """Return whether a metric is below its best by more than its noise."""
    t = main.trend
    return float(np.max(sign * t.y)) - sign * t.end > 2 * t.error + main.noise


def _straight(steps: FloatArray) -> bool:
    """Return whether a few steps are all gains, the last no smaller than most."""
    return bool((steps > 0).all()) and float(steps[-1]) >= 0.7 * float(np.mean(steps))


def _few_evaluations(view: RunView, sign: int, straight: float, least: int = 4, enough: int = 8) -> Finding | None:
    """Judge a run with a handful of evaluations, each better than the one before, by these and its training loss."""
    main = view.main()
    if not least <= len(main) < enough or not view.has("loss") or view.about_policy:
        return None
    loss = view.curve("loss")
    steps = np.diff(sign * main.y)
    if len(loss) < least or loss.is_objective or _at_ceiling(main, sign) or not _straight(steps):
        return None
    gain = _still_gains(loss, -1, straight, 3.5, 5.0) if len(loss) >= enough else None
    if gain is None and not (len(loss) < enough and _straight(-np.diff(loss.y))):
        return None
    return finding(
        "undertrained",
        f"{main.metric} and {loss.metric} were still improving when the run ended: the last of {len(main)} evaluations "
        f"brought {steps[-1] / steps.sum():.0%} of the gain",
        main,
        loss,
        evidence={"start": float(main.y[0]), "end": float(main.y[-1]), "share_of_gain": steps[-1] / steps.sum(),
                  "thresholds": {"straight": straight}},
        advice="Train longer (resume, with the schedule stretched), or raise the learning rate.",
    )  # fmt: skip


def _at_ceiling(main: Curve, sign: int) -> bool:
    """Return whether most of the last points are exactly the best value of all: there is no more to be had."""
    late = main.y[-max(3, len(main) // 20) :]
    best = float(np.max(sign * main.y))
    return float(np.mean(sign * late == best)) > 0.5


def _short_of_plan(view: RunView, part: float = 0.7) -> dict[str, Any]:
    """Return how far a run came that ended before `part` of the training steps its config plans; {} for others."""
    planned = planned_steps(view.run.config)
    counter = next((view.history[name] for name in COUNTERS if name in view.history and len(view.history[name])), None)
    if planned is None or counter is None or not counter.value[-1] <= part * planned:
        return {}
    return {"case": "short of plan", "steps": int(counter.value[-1]), "planned": int(planned)}


def _ended_at(view: RunView) -> str:
    """Return where a run ended that came short of its plan, in words."""
    short = _short_of_plan(view)
    if not short:
        return ""
    text = f" at step {short['steps']:,} of the {short['planned']:,} planned"
    if view.has("lr") and len(view.curve("lr")) >= 8 and float(np.max(view.curve("lr").y)) > 0:
        rate = view.curve("lr")
        text += f", {rate.metric} at {float(rate.y[-1] / np.max(rate.y)):.0%} of its peak"
    return text
