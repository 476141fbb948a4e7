"""Two simple strategies that people use today: thresholds on the last values, and one half against the other.

Both are given what they usually have to guess: which metric plays which role, its sign, and the siblings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft, Floats

_BETTER_LOW = ("loss", "eval_loss")


def last_values(draft: Draft, siblings: Sequence[Draft]) -> dict[str, int | None]:
    """Judge by thresholds on the final summary."""
    last = _each(draft, lambda values: float(values[-1]))
    found = {f"{draft.state}"} & {"crashed", "failed", "killed"}
    out: set[str] = {"crashed"} if found else set()
    checks = {
        "nan_or_inf": any(not np.isfinite(v) for v in last.values()),
        "loss_divergence": last.get("loss", 0.0) > 10,
        "overfitting": last.get("eval_loss", 0.0) > 1.2 * last.get("loss", np.inf) > 0,
        "grad_norm_explosion": last.get("grad_norm", 0.0) > 10,
        "kl_too_low": last.get("kl", 1.0) < 0.001,
        "kl_runaway": max(last.get("kl", 0.0), last.get("kl_old", 0.0)) > 0.5,
        "entropy_collapse": last.get("entropy", 1.0) < 0.1,
        "clipfrac_high": last.get("clip", 0.0) > 0.3,
        "reward_collapse": last.get("reward", 1.0) <= 0,
        "reward_std_collapse": last.get("reward_std", 1.0) < 0.01,
        "length_explosion": last.get("truncation", 0.0) > 0.5,
        "plateau_early": last.get("task", 1.0) < 0.3,
    }
    out |= {id_ for id_, said in checks.items() if said}
    return dict.fromkeys(out)


def two_halves(draft: Draft, siblings: Sequence[Draft]) -> dict[str, int | None]:
    """Judge by the mean of the second half against that of the first (of the first 500 rows, as tools do)."""
    first = _each(draft, lambda values: _mean(values[:500][: max(1, len(values[:500]) // 2)]))
    second = _each(draft, lambda values: _mean(values[:500][len(values[:500]) // 2 :]))
    ratio = {role: second[role] / first[role] if first[role] else 1.0 for role in first}
    gains = {r: (second[r] - first[r]) * (-1 if r in _BETTER_LOW else 1) for r in first}
    main = next((role for role in ("task", "reward", "eval_loss", "loss") if role in first), "loss")
    out: set[str] = {"crashed"} if draft.state in ("crashed", "failed", "killed") else set()
    checks = {
        "nan_or_inf": any(not np.isfinite(second[role]) for role in second),
        "loss_divergence": gains.get("loss", 0.0) < 0,
        "overfitting": gains.get("eval_loss", 0.0) < 0 < gains.get("loss", 0.0),
        "plateau_early": abs(ratio.get(main, 2.0) - 1) < 0.02,
        "undertrained": abs(ratio.get(main, 1.0) - 1) > 0.5,
        "grad_norm_explosion": ratio.get("grad_norm", 1.0) > 5,
        "kl_runaway": max(ratio.get("kl", 1.0), ratio.get("kl_old", 1.0)) > 3,
        "kl_too_low": ratio.get("kl", 2.0) < 1.1,
        "entropy_collapse": 0 <= ratio.get("entropy", 1.0) < 0.5,
        "clipfrac_high": second.get("clip", 0.0) > 0.3,
        "reward_hacking": gains.get("reward", 0.0) > 0 > gains.get("task", 0.0),
        "reward_collapse": gains.get("reward", 0.0) < 0,
        "reward_std_collapse": ratio.get("reward_std", 1.0) < 0.5,
        "length_explosion": ratio.get("length", 1.0) > 1.5,
        "throughput_drop": ratio.get("throughput", 1.0) < 0.7,
    }
    out |= {id_ for id_, said in checks.items() if said}
    middle = int(draft.steps[draft.n // 2])
    return dict.fromkeys(out, middle)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _each(draft: Draft, of: _Reduce) -> Mapping[str, float]:
    with np.errstate(all="ignore"):
        return {role: _nan_mean(draft.values(role), of) for role in draft.clean if role in draft.family.keys}


def _nan_mean(values: Floats, of: _Reduce) -> float:
    return of(values) if np.isfinite(values).any() else float("nan")


if TYPE_CHECKING:
    from collections.abc import Callable

    _Reduce = Callable[[Floats], float]
