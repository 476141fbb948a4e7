"""What follows from what: beside the cause, its consequence is no wrong finding."""

from __future__ import annotations

FOLLOWS: dict[str, frozenset[str]] = {
    "nan_or_inf": frozenset(
        {
            "loss_divergence",
            "reward_collapse",
            "grad_norm_explosion",
            "crashed",
            "undertrained",
            "loss_spike",
            "primary_worse",
            "metric_frozen",
        }
    ),
    "loss_divergence": frozenset({"loss_spike", "grad_norm_explosion", "plateau_early", "primary_worse"}),
    **dict.fromkeys(
        ("overfitting", "entropy_collapse", "reward_collapse", "reward_std_collapse", "reward_hacking", "kl_too_low"),
        frozenset({"plateau_early", "primary_worse"}),
    ),
    "kl_runaway": frozenset({"kl_spike"}),
    "length_explosion": frozenset({"throughput_drop", "truncation_high"}),
    "crashed": frozenset({"undertrained"}),
}
