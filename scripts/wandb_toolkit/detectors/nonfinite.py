"""NaN and infinity among the metrics that training depends on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import NotApplicable, RunView, detector, finding
from wandb_toolkit.model import Finding, Series

_HARMLESS = "An overflow under loss scaling skips a step and is harmless when rare; use bf16 if it repeats."
_RESTART = (
    "Restart from a checkpoint before that step with a lower learning rate, a longer warm-up or gradient clipping; "
    "look at the batch of that step, and at fp16 overflow (bf16 has none)."
)
ROLES = ("loss", "grad_norm", "kl", "entropy", "eval_loss")


@dataclass(frozen=True)
class _Bad:
    """The non-finite rows of one metric."""

    metric: str
    step: int  # of the first
    rows: int
    of: int
    nan: bool  # the first is NaN, not infinite
    lasting: bool  # the last logged value is not finite either


def _bad_rows(series: Series, also: np.ndarray | None = None) -> _Bad | None:
    bad = ~np.isfinite(series.value)
    if also is not None:
        bad |= also
    if not bad.any():
        return None
    at = int(np.argmax(bad))
    step, nan = int(series.x[at]), not np.isinf(series.value[at])
    return _Bad(series.name, step, int(bad.sum()), len(series), nan, bool(bad[-1]))


@detector(
    "nan_or_inf",
    "NaN or infinity in a metric that training depends on",
    "ugly",
    label="NaN or infinity",
    needs="one of the roles `loss`, `grad_norm`, `kl`, `entropy`, `eval_loss`",
    explains=(
        "loss_divergence",
        "reward_collapse",
        "grad_norm_explosion",
        "crashed",
        "undertrained",
        "reward_std_collapse",
        "primary_worse",
        "metric_frozen",
        "grad_norm_vanishing",
        "length_collapse",
        "truncation_high",
        "value_function_poor",
        "no_learning",
    ),
    takes_back=("loss_decreased", "eval_follows_train", "grad_norm_stable", "kl_stable"),
    mark="NaN",
)
def nan_or_inf(view: RunView, few: float = 0.05) -> Finding | None:
    """A metric that training depends on is logged as NaN or ±Inf at least once; absence from a row is no NaN.

    Includes the form the Hugging Face Trainer gives it: the loss is logged as 0.0 while the gradient norm is NaN.
    Up to `few` of a gradient norm's rows, all recovered from, are what dynamic loss scaling does: bad, not ugly.
    """
    watched = [view.series(role) for role in ROLES if view.has(role)]
    if not watched:
        raise NotApplicable("no metric for the roles " + ", ".join(ROLES))
    found = [bad for bad in map(_bad_rows, watched) if bad]
    if not found:
        return None
    hidden = _hidden_by_zero(view, min(bad.step for bad in found))
    if hidden and hidden.metric not in [bad.metric for bad in found]:
        found.append(hidden)
    found.sort(key=lambda bad: bad.step)
    first = found[0]
    recovered = not any(bad.lasting or bad.rows > few * bad.of for bad in found)
    what = "logged as 0.0 in place of NaN" if first is hidden else "NaN" if first.nan else "infinite"
    span = "to the end" if first.lasting else f"in {first.rows:,} of {first.of:,} rows, and recovers"
    title = f"{first.metric} is {what} from step {first.step:,} {span}"
    if not first.lasting:
        title = f"{first.metric} is {what} {span}; first at step {first.step:,}"
    if len(found) > 1:
        title += "; " + ", ".join(f"{bad.metric} from step {bad.step:,}" for bad in found[1:])
    grad = view.roles.get("grad_norm")
    harmless = recovered and grad is not None and [bad.metric for bad in found] == [grad.metric]
    made = finding(
        "nan_or_inf",
        title,
        step=first.step,
        severity="bad" if harmless else "ugly",
        evidence={
            "first": {bad.metric: {"step": bad.step, "rows": bad.rows, "of": bad.of} for bad in found},
            "recovered": recovered,
            "sparkline": stats.sparkline(view.history[first.metric].value),
        },
        advice=_HARMLESS if harmless else _RESTART,
    )
    return replace(made, metrics=tuple(bad.metric for bad in found))


def _hidden_by_zero(view: RunView, since: int) -> _Bad | None:
    """Return the rows where a loss that was never near zero is exactly 0.0, from the step on where others are NaN."""
    if not view.has("loss"):
        return None
    loss = view.series("loss")
    before = loss.value[(loss.x < since) & np.isfinite(loss.value)]
    zero = (loss.value == 0.0) & (loss.x >= since)
    if len(before) and (before == 0.0).any():
        return None
    return _bad_rows(loss, zero) if zero.any() else None
