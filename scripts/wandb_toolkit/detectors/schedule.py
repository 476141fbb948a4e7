"""The learning rate against what the config says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import EPOCHS, Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.length import flat_config
from wandb_toolkit.model import Finding

_SCHEDULE_KEYS = ("lr_scheduler_type", "lr_scheduler", "lr_schedule", "scheduler", "scheduler_type", "lr_decay_style",
                  "schedule", "learning_rate_schedule", "lr_scheduler_name", "warmup_style", "sched")  # fmt: skip
_RATE_KEYS = ("learning_rate", "lr", "max_lr", "peak_lr", "base_lr")
_DECAYS = ("cosine", "linear", "step", "poly", "exp", "decay", "anneal", "sqrt")
_HOLDS = ("constant", "restart", "cyclic", "plateau", "stable", "wsd", "none")
_EPOCH_KEYS = ("num_train_epochs", "num_epochs", "max_epochs", "total_epochs", "epochs")
_LENGTH_KEYS = ("max_steps", "total_steps", "num_training_steps", "total_training_steps", "max_iters", "train_iters",
                "iterations", "max_iterations")  # fmt: skip


MOST_STEPS = 1e15  # more is no plan


def _schedule(view: RunView) -> str | None:
    """Return the configured schedule's name where it is one that decays."""
    found = dict(flat_config(view.run.config))
    for key in _SCHEDULE_KEYS:
        name = found.get(key)
        if isinstance(name, str):
            low = name.lower()
            if any(word in low for word in _DECAYS) and not any(word in low for word in _HOLDS):
                return name
    if found.get("anneal_lr") is True or found.get("decay_lr") is True:
        return "anneal_lr" if found.get("anneal_lr") is True else "decay_lr"
    return None


def planned_steps(config: Mapping[str, Any]) -> float | None:
    """Return how many training steps a config plans, None where it does not say."""
    return _first_number(config, _LENGTH_KEYS)


def planned_timesteps(config: Mapping[str, Any]) -> float | None:
    """Return how many steps of an environment a config plans, None where it does not say."""
    return _first_number(config, ("total_timesteps",))


def planned_epochs(config: Mapping[str, Any]) -> float | None:
    """Return how many epochs a config plans, None where it does not say."""
    return _first_number(config, _EPOCH_KEYS)


def _first_number(config: Mapping[str, Any], keys: Sequence[str]) -> float | None:
    found = dict(flat_config(config))
    for key in keys:
        value = found.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < MOST_STEPS:
            return float(value)
    return None


def not_before_long(view: RunView, share: float = 0.3) -> None:
    """Refuse to say that nothing has happened yet of a running run that is at less than `share` of its plan.

    Raises:
        NotApplicable: it is.
    """
    done = _done(view) if view.run.state == "running" else None
    if done is not None and done < share:
        raise NotApplicable(f"the run is at {done:.0%} of its plan")


def _done(view: RunView) -> float | None:
    """Return which part of the planned steps or epochs a run has behind it, None where no plan is known."""
    steps = planned_steps(view.run.config) or planned_timesteps(view.run.config)
    if steps is not None and view.last_step is not None:
        return view.last_step / steps
    epochs = planned_epochs(view.run.config)
    counted = next((series for name in EPOCHS if (series := view.history.get(name)) is not None and len(series)), None)
    return float(counted.value[-1]) / epochs if epochs and counted is not None else None


def stopped_in_warmup(view: RunView) -> bool:
    """Return whether a run broke off while its learning rate was still rising: it cannot have learned much."""
    if view.run.state in ("finished", "running") or not view.has("lr") or len(view.curve("lr")) < 4:
        return False
    lr = view.curve("lr").y
    return float(lr[-1]) >= 0.95 * float(np.max(lr)) > 2 * float(lr[0]) and stats.rank_trend(lr) > 0.9


@detector(
    "lr_schedule_mismatch",
    "The learning rate does not follow its schedule",
    "bad",
    ("lr",),
    label="the learning-rate schedule",
    explains=(
        "no_learning",
        "plateau_early",
        "metric_frozen",
        "chance_level",
        "kl_too_low",
        "value_function_poor",
        "far_from_siblings",
    ),
)
def lr_schedule_mismatch(
    view: RunView, left: float = 0.3, zero: float = 1e-3, flat: float = 1e-3, cold: float = 0.1
) -> Finding | None:
    """The rate reaches zero with `left` (30%) of the run to go, or a schedule that decays ends at the peak rate.

    Zero is `zero` of the peak. A rate that is still exactly its peak (within `flat`) over the last half, after a
    normal end, never decayed: an early stop would show the decay's beginning. A rate that rose to the end and came to
    `cold` (a tenth) of the configured one was still warming up.
    """
    lr = view.curve("lr", 8)
    peak = float(np.max(lr.y))
    if peak <= 0:
        raise NotApplicable(f"{lr.metric} is never above zero")
    ends = [float(s.x[-1]) for s in view.history.series.values() if len(s) and s.axis == "_step"]
    last = max([float(lr.x[-1]), *ends])
    return (
        _never_warm(view, lr, peak, cold)
        or _zero_too_soon(lr, peak, last, left, zero)
        or _never_decays(view, lr, peak, last, flat)
    )


def _never_warm(view: RunView, lr: Curve, peak: float, cold: float) -> Finding | None:
    """Judge a warm-up that the run did not live to see the end of."""
    found = dict(flat_config(view.run.config))
    rates = [found[key] for key in _RATE_KEYS if isinstance(found.get(key), float) and found[key] > 0]
    if view.run.state != "finished" or not rates or peak > cold * rates[0] or stats.rank_trend(lr.y) < 0.9:
        return None
    return finding(
        "lr_schedule_mismatch",
        f"{lr.metric} was still warming up at the end of the run: {num(peak)} of the configured {num(rates[0])}",
        lr,
        evidence={
            "case": "warming up",
            "steps": int(lr.x[-1]),
            "peak": peak,
            "configured": rates[0],
            "thresholds": {"cold": cold},
        },
        levels={"configured": rates[0]},
        advice="Give the warm-up in steps of the optimizer, or as a share of the run: a few percent of it.",
    )


def _zero_too_soon(lr: Curve, peak: float, last: float, left: float, zero: float) -> Finding | None:
    at = stats.lasting(lr.y <= zero * peak)
    if at is None or len(lr) - at < 3:
        return None
    to_go = (last - float(lr.x[at])) / (last - float(lr.x[0]))
    if to_go < left or float(lr.x[-1]) < last - left * (last - float(lr.x[0])):
        return None
    step = lr.step(at)
    return finding(
        "lr_schedule_mismatch",
        f"{lr.metric} reached zero at step {step:,} with {to_go:.0%} of the run to go",
        lr,
        step=step,
        evidence={"peak": peak, "to_go": to_go, "thresholds": {"left": left, "zero": zero}},
        levels={"peak": peak, "zero": 0.0},
        advice="Set the schedule's total steps to the run's length (mind gradient accumulation and devices).",
    )


def _never_decays(view: RunView, lr: Curve, peak: float, last: float, flat: float) -> Finding | None:
    schedule = _schedule(view)
    if schedule is None or view.run.state != "finished":
        return None
    late = lr.y[lr.x >= lr.x[0] + 0.5 * (lr.x[-1] - lr.x[0])]
    if float(np.min(late)) < (1 - flat) * peak or last < 0.9 * (planned_steps(view.run.config) or 0.0):
        return None
    return finding(
        "lr_schedule_mismatch",
        f"The config says {schedule}, but {lr.metric} ended at its peak, {num(peak)}",
        lr,
        evidence={"peak": peak, "end": float(lr.y[-1]), "schedule": schedule, "thresholds": {"flat": flat}},
        levels={"peak": peak},
        advice="Look whether the scheduler is stepped, and whether its total steps are the run's.",
    )
