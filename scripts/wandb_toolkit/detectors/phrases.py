"""What findings are called inside sentences."""

from __future__ import annotations

import re

from wandb_toolkit.model import Finding, RunReport
from wandb_toolkit.text import quoted

OF_THE_PROCESS = ("crashed", "stalled", "throughput_drop", "gpu_idle", "memory_creep")

# What a finding is called inside a sentence, where its id in words would not do.
_LABELS = {
    "nan_or_inf": "NaN or infinity",
    "crashed": "the end by an error",
    "grad_norm_explosion": "exploding gradients",
    "plateau_early": "the early plateau",
    "undertrained": "stopping while still improving",
    "kl_too_low": "KL near zero",
    "kl_spike": "KL spikes",
    "kl_runaway": "runaway KL",
    "clipfrac_high": "the high clip fraction",
    "reward_std_collapse": "vanished reward spread",
    "length_explosion": "growing length",
    "throughput_drop": "the loss of speed",
    "loss_spike": "the loss spikes",
    "loss_divergence": "the loss divergence",
    "reward_collapse": "the fall of the reward",
    "lr_schedule_mismatch": "the learning-rate schedule",
    "primary_worse": "the end below the start",
    "no_learning": "nothing learned",
    "eval_noisy": "noisy evaluations",
    "metric_frozen": "a frozen metric",
    "grad_norm_vanishing": "vanishing gradients",
    "length_collapse": "shrinking length",
    "truncation_high": "truncated responses",
    "policy_lag": "a policy ahead of its samples",
    "value_function_poor": "the poor value function",
    "gpu_idle": "idle GPUs",
    "memory_creep": "growing memory use",
}


def label(finding_id: str) -> str:
    """Return what a finding is called inside a sentence."""
    return _LABELS.get(finding_id, finding_id.replace("_", " "))


def causes(report: RunReport) -> list[Finding]:
    """Return the findings of a run that no other finding explains."""
    return [finding for finding in report.findings if not finding.consequence_of]


def told(finding: Finding, report: RunReport) -> str:
    """Return the finding's title with the run's metrics in it as code spans."""
    text = finding.title
    metrics = {*finding.metrics, *(match.metric for match in report.roles)}
    for metric in sorted(metrics, key=len, reverse=True):
        span = quoted(metric).replace("\\", r"\\")  # a backslash is special in a replacement, too
        text = re.sub(rf"(?<![\w/.`-]){re.escape(metric)}(?![\w/`])", span, text)
    return text
