"""NaN and infinity among the metrics that training depends on."""

from __future__ import annotations

import numpy as np

from wandb_toolkit.detectors.base import NotApplicable, RunView, detector, finding
from wandb_toolkit.model import Finding

ROLES = ("loss", "grad_norm", "kl", "entropy", "eval_loss")


@detector("nan_or_inf", "NaN or infinity in a metric that training depends on", "ugly")
def nan_or_inf(view: RunView) -> Finding | None:
    """A metric that training depends on is logged as NaN or ±Inf at least once; absence from a row is no NaN.

    Includes the form that the Hugging Face Trainer gives it: the loss is logged as 0.0 while the gradient norm is NaN.
    """
    watched = {role: view.series(role) for role in ROLES if view.has(role)}
    if not watched:
        raise NotApplicable("no metric for the roles " + ", ".join(ROLES))
    first: dict[str, tuple[int, int, float]] = {}  # metric → step, count, first value
    for series in watched.values():
        bad = ~np.isfinite(series.value)
        if bad.any():
            at = int(np.argmax(bad))
            first[series.name] = (int(series.x[at]), int(bad.sum()), float(series.value[at]))
    if not first:
        return None
    order = sorted(first, key=lambda name: first[name][0])
    step = first[order[0]][0]
    what = "NaN" if np.isnan(first[order[0]][2]) else "infinite"
    later = [f"{name} at {first[name][0]:,}" for name in order[1:]]
    title = f"{order[0]} is {what} from step {step:,} on ({first[order[0]][1]} such rows)"
    title += f"; then {', '.join(later)}" if later else ""
    return finding(
        "nan_or_inf",
        title,
        step=step,
        evidence={
            "first": {name: {"step": s, "rows": n} for name, (s, n, _) in first.items()},
            "rows": {name: len(s) for name, s in ((s.name, s) for s in watched.values())},
        },
        advice="Lower the learning rate or lengthen its warm-up, clip gradients.",
    )


