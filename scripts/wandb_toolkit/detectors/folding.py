"""Which findings follow from others, so that a report leads with the cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wandb_toolkit.model import Finding

# cause → what it explains, in the order in which causes are believed
CONSEQUENCES: dict[str, tuple[str, ...]] = {
    "nan_or_inf": ("loss_divergence", "reward_collapse", "grad_norm_explosion", "crashed", "undertrained"),
    "loss_divergence": ("loss_spike", "grad_norm_explosion", "plateau_early"),
    "overfitting": ("plateau_early",),
    "entropy_collapse": ("plateau_early",),
    "reward_collapse": ("plateau_early",),
    "reward_std_collapse": ("plateau_early",),
    "kl_too_low": ("plateau_early",),
    "kl_runaway": ("kl_spike",),
    "length_explosion": ("throughput_drop",),
    "crashed": ("undertrained",),
}
_ORDER = {"ugly": 0, "bad": 1, "good": 2}


def fold(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings with `consequence_of` set: causes by severity, then consequences, then what is good."""
    present = {finding.id for finding in findings}
    cause_of: dict[str, str] = {}
    for cause, effects in CONSEQUENCES.items():
        if cause in present:
            for effect in effects:
                cause_of.setdefault(effect, cause)
    marked = [replace(finding, consequence_of=cause_of.get(finding.id)) for finding in findings]
    return tuple(sorted(marked, key=lambda f: (_ORDER[f.severity] + (1.5 if f.consequence_of else 0), f.severity)))
