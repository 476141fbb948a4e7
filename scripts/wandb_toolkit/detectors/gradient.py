"""The gradient norm."""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import RunView, detector, finding, num
from wandb_toolkit.model import Finding


@detector("grad_norm_explosion", "The gradient norm explodes and stays high", "ugly", ("grad_norm",))
def grad_norm_explosion(view: RunView, times: float = 10.0, lasts: float = 0.03) -> Finding | None:
    """The gradient norm rises by `times` over its running median and stays there for `lasts` of the run, or to its end.

    An order of magnitude and 3% are the definition's. The running median is of the fifth of the run before. In the
    first tenth it counts as at least the lower quartile of all: steps from a zero initialisation are no explosion.
    """
    norm = view.curve("grad_norm", 20)
    x, y = stats.condense(norm.x, norm.y, 1000)
    level = stats.running_median(y, 5)
    floor = float(np.quantile(level[level > 0], 0.25)) if (level > 0).any() else 0.0
    if floor <= 0:
        return None
    part = (x - x[0]) / (x[-1] - x[0])
    before = np.nan_to_num(stats.trailing_median(y, max(10, len(y) // 5)), nan=np.inf)
    before = np.maximum(before, np.where(part < 0.1, floor, 1e-3 * float(np.quantile(level, 0.75))))
    high = (level >= times * before) & (before > 0) & (np.arange(len(y)) >= 5)
    for first in np.flatnonzero(high):
        base = float(before[first])
        back = np.flatnonzero(level[first:] < 0.7 * times * base)
        last = int(first + back[0]) if len(back) else len(y)
        if last - first < 3:
            continue
        if part[last - 1] - part[first] >= lasts or (last == len(y) and last - first >= 4):
            below = np.flatnonzero(level[: first + 1] <= 2 * base)
            at = min(int(below[-1]) + 1, int(first)) if len(below) else int(first)
            step = int(x[at])
            peak = float(np.median(level[first:last]))
            ends = "to the end" if last == len(y) else f"over {part[last - 1] - part[first]:.0%} of the run"
            return finding(
                "grad_norm_explosion",
                f"{norm.metric} rose {peak / base:.0f}× at step {step:,}, from {num(base)} to {num(peak)}, {ends}",
                norm,
                step=step,
                evidence={
                    "level": base,
                    "exploded": peak,
                    "until_step": int(x[last - 1]),
                    "thresholds": {"times": times, "lasts": lasts},
                },
                advice="Clip the gradient norm near its usual level, lower the learning rate, look at its batches.",
            )
    return None
