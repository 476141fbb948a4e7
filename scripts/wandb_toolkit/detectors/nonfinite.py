"""NaN and infinity: every metric that was logged so is said, by how much it matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding
from wandb_toolkit.model import Finding, Series, Severity
from wandb_toolkit.roles import NO_METRIC, words_of

_HARMLESS = "An overflow under loss scaling skips a step and is harmless when rare; use bf16 if it repeats."
_RESTART = (
    "Restart from a checkpoint before that step with a lower learning rate, a longer warm-up or gradient clipping; "
    "look at the batch of that step, and at fp16 overflow (bf16 has none)."
)
_EMPTY = "Look at what it is computed from in those rows: an empty batch or class, a division by zero."
DEPENDS = ("loss", "grad_norm", "kl", "entropy", "eval_loss", "reward", "task")  # what training cannot do without
_ORDER: tuple[Severity, ...] = ("ugly", "bad", "note")
_OBJECTIVE = frozenset(
    {"loss", "losses", "nll", "error", "reward", "rewards", "return", "returns", "objective", "elbo"}
)
NAMED = 4  # metrics in one sentence


@dataclass(frozen=True)
class _Bad:
    """The non-finite rows of one metric."""

    metric: str
    step: int  # of the first
    rows: int
    of: int
    nan: bool  # the first is NaN, not infinite
    never_inf: bool
    lasting: bool  # the last logged value is not finite either
    before: int  # finite rows before the first
    leading: bool  # only before the first finite value
    stretches: int


def _bad_rows(series: Series, also: np.ndarray | None = None) -> _Bad | None:
    bad = ~np.isfinite(series.value)
    if also is not None:
        bad = bad | also
    if not bad.any():
        return None
    at, spans = int(np.argmax(bad)), stats.stretches(bad)
    return _Bad(
        metric=series.name,
        step=int(series.x[at]),
        rows=int(bad.sum()),
        of=len(series),
        nan=not np.isinf(series.value[at]),
        never_inf=not np.isinf(series.value).any(),
        lasting=bool(bad[-1]),
        before=at,
        leading=at == 0 and len(spans) == 1 and not bad[-1],
        stretches=len(spans),
    )


@detector(
    "nan_or_inf",
    "NaN or infinity in a metric",
    "ugly",
    label="NaN or infinity",
    needs="a metric",
    explains=(
        "loss_divergence",
        "reward_collapse",
        "grad_norm_explosion",
        "crashed",
        "undertrained",
        "reward_std_collapse",
        "primary_worse",
        "plateau_early",
        "metric_frozen",
        "grad_norm_vanishing",
        "length_collapse",
        "truncation_high",
        "value_function_poor",
        "no_learning",
        "no_signal",
        "chance_level",
        "far_from_siblings",
    ),
    if_first=("grad_norm_explosion", "loss_divergence"),
    takes_back=("loss_decreased", "eval_follows_train", "grad_norm_stable", "kl_stable"),
    mark="NaN",
    final=True,
)
def nan_or_inf(view: RunView, few: float = 0.05, often: int = 3) -> Finding | None:
    """Some metric is logged as NaN or ±Inf at least once; absence from a row is no NaN.

    Ugly where a metric that training depends on (loss, gradient norm, KL, entropy, eval loss, reward, task or primary
    metric) stays so or is so in more than `few` of its rows; bad where it recovers. Any other metric that was finite
    and stays NaN is ugly where there are none of these; beside them it is bad if its name is a loss's or a reward's. A
    note: up to `few` of a gradient norm's rows, all recovered from and without harm to the loss, which is what dynamic
    loss scaling does; NaN before the first value, or in `often` places of a policy's objective or reward, where no
    update was made and no episode ended; a metric of another kind, beside sound ones.
    Includes the form the Hugging Face Trainer gives it: the loss is logged as 0.0 while the gradient norm is NaN.
    """
    watched = {view.roles[role].metric: role for role in DEPENDS if view.has(role)}
    if view.primary is not None and view.primary.metric in view.history:
        watched.setdefault(view.primary.metric, "task")
    metrics = {
        name: series for name, series in view.history.series.items() if len(series) and not NO_METRIC.match(name)
    }
    if not metrics:
        raise NotApplicable("the run logged no metric")
    found = [bad for series in metrics.values() if (bad := _bad_rows(series))]
    found = [bad for bad in found if not _is_early_variance(view, bad)]
    if not found:
        return None
    broken = [bad for bad in found if bad.metric in watched and not bad.leading]
    hidden = _hidden_by_zero(view, min(bad.step for bad in broken)) if broken else None
    if hidden and hidden.metric not in [bad.metric for bad in found]:
        found.append(hidden)
    weights = {
        bad.metric: _severity(view, bad, watched.get(bad.metric), few, often, alone=not watched) for bad in found
    }
    place = {name: at for at, name in enumerate(watched)}
    found.sort(
        key=lambda bad: (_ORDER.index(weights[bad.metric]), bad.step, place.get(bad.metric, len(place)), bad.metric)
    )
    first, severity = found[0], weights[found[0].metric]
    said = [bad for bad in found if weights[bad.metric] == severity]
    grad = view.roles.get("grad_norm")
    scaling = severity == "note" and grad is not None and first.metric == grad.metric
    made = finding(
        "nan_or_inf",
        _title(first, said[1:], len(found) - len(said), hidden),
        step=first.step,
        severity=severity,
        evidence={
            "first": {bad.metric: {"step": bad.step, "rows": bad.rows, "of": bad.of} for bad in found[:20]},
            "metrics": len(found),
            "recovered": not any(bad.lasting for bad in said),
            "sparkline": stats.sparkline(view.history[first.metric].value),
        },
        advice=_HARMLESS if scaling else _RESTART if severity == "ugly" else _EMPTY,
    )
    return replace(made, metrics=tuple(bad.metric for bad in said[:20]))


def _severity(view: RunView, bad: _Bad, role: str | None, few: float, often: int, *, alone: bool) -> Severity:
    """Return how much one metric's non-finite rows matter; `alone`: the run has no metric of a known role."""
    never = bad.rows == bad.of
    if bad.leading and bad.never_inf:
        return "note"  # no update made and no episode ended yet
    if role is None:
        stays = bad.lasting and bad.before >= 3
        if not stays:
            return "note"
        return "ugly" if alone else "bad" if _OBJECTIVE.intersection(words_of(bad.metric).split()) else "note"
    if bad.lasting and not (bad.never_inf and bad.stretches >= often and bad.rows <= 0.5 * bad.of):
        return "note" if never and role in ("kl", "entropy", "task") else "ugly"
    if role == "grad_norm" and bad.rows <= few * bad.of:
        return "ugly" if _loss_suffers(view, bad.step) else "note"
    policy = view.about_policy or (role == "loss" and view.roles["loss"].kind == "policy")
    if policy and bad.never_inf and bad.stretches >= often and role in ("loss", "reward", "task", "grad_norm"):
        return "note"
    return "bad" if bad.rows <= few * bad.of else "ugly"


def _loss_suffers(view: RunView, step: int, much: float = 1.25) -> bool:
    """Return whether the loss is higher after a step, and at the end, than it was before."""
    if not view.has("loss") or view.about_policy:
        return False
    loss = view.curve("loss")
    before, after = loss.y[loss.x <= step], loss.y[loss.x > step]
    if len(before) < 1 or len(after) < 3 or loss.is_objective:
        return False
    level = float(np.median(before[-10:]))
    return level > 0 and float(np.median(after[-max(3, len(after) // 5) :])) > much * level


def _is_early_variance(view: RunView, bad: _Bad) -> bool:
    """Return whether it is the explained variance of a first iteration, NaN where the returns had no variance yet."""
    return view.has("explained_variance") and bad.metric == view.roles["explained_variance"].metric and bad.leading


def _title(first: _Bad, others: list[_Bad], milder: int, hidden: _Bad | None) -> str:
    what = _what(first, hidden)
    if first.rows == first.of:
        title = f"{first.metric} is {what} in all of its {first.of:,} rows"
    elif first.lasting:
        broken = "to the end" if first.stretches == 1 else f"on, in {first.rows:,} of {first.of:,} rows"
        title = f"{first.metric} is {what} from step {first.step:,} {broken}"
    else:
        rows = f"{first.rows:,} of {first.of:,} rows"
        title = f"{first.metric} is {what} in {rows}, and recovers; first at step {first.step:,}"
    if others:
        title += "; " + "; ".join(_beside(others[:NAMED], hidden))
    left = max(0, len(others) - NAMED) + milder
    return title + (f"; and {left} other metric{'s' if left > 1 else ''}" if left else "")


def _what(bad: _Bad, hidden: _Bad | None) -> str:
    return "logged as 0.0 in place of NaN" if bad is hidden else "NaN" if bad.nan else "infinite"


def _beside(others: Sequence[_Bad], hidden: _Bad | None) -> Iterator[str]:
    """Yield more metrics with the step of their first such row, those together that are the same from the same step."""
    together: dict[tuple[str, int], list[str]] = {}
    for bad in others:
        together.setdefault((_what(bad, hidden), bad.step), []).append(bad.metric)
    for (what, step), names in together.items():
        several = f"{', '.join(names[:-1])} and {names[-1]} are" if len(names) > 1 else f"{names[0]} is"
        yield f"{several} {what} from step {step:,}"


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
