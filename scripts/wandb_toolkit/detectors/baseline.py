"""A run beside runs that are known to be good: is its result within what their seeds alone make of it?"""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, NotAsked, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.progress import better
from wandb_toolkit.model import Finding

# Student's t, 97.5% of one side, by degrees of freedom: what a further run of the same kind stays within.
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13)


@detector(
    "worse_than_baseline",
    "The result is worse than the baseline's seeds make it",
    "bad",
    label="a result below the baseline",
    needs="a baseline of two runs or more (`--baseline`)",
)
def worse_than_baseline(view: RunView, points: int = 4) -> Finding | None:
    """The primary metric ends outside what a further run of the baseline would reach in 97.5% of cases.

    By Student's t for one more draw, from the baseline's spread at the same training step, and by more than the run's
    own scatter there. One good run has no spread: nothing is said then.
    """
    if not view.baseline:
        raise NotAsked("no baseline was given")
    main, sign = view.main(points), better(view)
    theirs = [_until(other, float(main.x[-1])) for one in view.baseline if (other := one.primary) is not None]
    theirs = [other for other in theirs if other.metric == main.metric and len(other) >= points]
    if len(theirs) < 2:
        raise NotApplicable(f"{len(theirs)} good runs with {main.metric}: how far seeds alone move it is not known")
    ends = np.array([other.final for other in theirs])
    mean, n = float(np.mean(ends)), len(ends)
    wide = _T[n - 2] if n - 2 < len(_T) else 2.0
    room = wide * float(np.std(ends, ddof=1)) * (1 + 1 / n) ** 0.5
    end = main.y[-max(6, min(20, len(main) // 4)) :]  # how wildly it began says nothing about its end
    scatter = stats.noise(end) if len(end) > 3 else 0.0
    room = max(room, 2 * scatter / len(end) ** 0.5, 1e-9 * abs(mean))
    short = sign * (mean - main.final)
    if short <= room:
        return None
    than = "below" if sign > 0 else "above"
    return finding(
        "worse_than_baseline",
        f"{main.metric} ends at {num(main.final)}, {than} the baseline's {num(mean)} by {num(short)}; a further run of "
        f"it stays within {num(room)} in 97.5% of cases ({n} runs)",
        main,
        evidence={"end": main.final, "baseline": mean, "room": room, "runs": n},
        levels={"the baseline": mean, "its limit": mean - sign * room},
        beside=theirs,
        advice="Look at what changed since: the report lists it.",
        margin=short / room,
    )


def _until(curve: Curve, x: float) -> Curve:
    """Return a curve up to the step that the run in question reached."""
    there = int(np.searchsorted(curve.x, x * (1 + 1e-9), side="right"))
    return curve if there == len(curve) else Curve(curve.metric, curve.x[:there], curve.y[:there], there, curve.sign)
