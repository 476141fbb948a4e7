"""Which findings follow from others, so that a report leads with the cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wandb_toolkit.model import Finding

# cause → what it explains, in the order in which causes are believed
CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "nan_or_inf": (
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
    "loss_divergence": ("loss_spike", "grad_norm_explosion", "plateau_early", "primary_worse"),
    "overfitting": ("plateau_early", "primary_worse"),
    "reward_hacking": ("plateau_early", "reward_std_collapse", "primary_worse"),
    "entropy_collapse": ("plateau_early", "reward_std_collapse"),
    "reward_collapse": ("plateau_early", "primary_worse", "length_collapse"),
    "reward_std_collapse": ("plateau_early", "grad_norm_vanishing", "metric_frozen", "no_learning"),
    "kl_too_low": ("plateau_early", "no_learning"),
    "grad_norm_vanishing": ("no_learning",),
    "kl_runaway": ("kl_spike", "policy_lag"),
    "length_explosion": ("throughput_drop", "truncation_high"),
    "metric_frozen": ("plateau_early", "no_learning"),
    "crashed": ("undertrained",),
}
# what is no praise beside these findings, wherever they share no metric
_SPOILS: dict[str, tuple[str, ...]] = {
    "reward_hacking": ("reward_improved", "kl_stable"),
    "kl_too_low": ("kl_stable",),
    "kl_runaway": ("kl_stable",),
    "entropy_collapse": ("entropy_healthy",),
    "overfitting": ("eval_follows_train", "loss_decreased"),
    "nan_or_inf": ("loss_decreased", "eval_follows_train", "grad_norm_stable", "kl_stable"),
}
_ORDER = {"ugly": 0, "bad": 1, "good": 2}


def without_contradictions(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings without the good ones that an ugly one of the same metric, or `_SPOILS`, takes back."""
    ugly = {metric for finding in findings if finding.severity == "ugly" for metric in finding.metrics}
    spoilt = {good for finding in findings for good in _SPOILS.get(finding.id, ())}
    return [f for f in findings if f.severity != "good" or (f.id not in spoilt and not ugly.intersection(f.metrics))]


def fold(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings with `consequence_of` set: causes by severity, then consequences, then what is good."""
    present = {finding.id for finding in findings}
    cause_of: dict[str, str] = {}
    for cause, effects in CONSEQUENCES.items():
        if cause in present:
            for effect in effects:
                cause_of.setdefault(effect, cause)
    marked = [replace(finding, consequence_of=cause_of.get(finding.id)) for finding in findings]
    return tuple(sorted(marked, key=_place))


def _place(finding: Finding) -> float:
    return _ORDER[finding.severity] + (1.5 if finding.consequence_of else 0)
