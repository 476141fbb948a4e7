"""What makes a healthy run look sick to a careless eye. None of it changes what is true by `definitions`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.diagnoses.draft import gaussian, heavy, ramp, saturating
from benchmarks.diagnoses.endings import cut
from benchmarks.diagnoses.troubles import progress, slow

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft


def warm_up_bump(draft: Draft) -> None:
    p, base = draft.part, draft.clean["loss"]
    bump = np.exp(-(((p - draft.rng.uniform(0.03, 0.06)) / 0.012) ** 2))
    draft.clean["loss"] = base + bump * draft.rng.uniform(0.05, 0.15) * np.ptp(base)
    draft.base["loss"] = draft.clean["loss"].copy()  # a course like any other


def one_spike(draft: Draft) -> None:
    at = int(draft.rng.uniform(0.15, 0.95) * (draft.n - 3))
    draft.noise["loss"][at : at + int(draft.rng.integers(1, 3))] += draft.rng.uniform(0.3, 1.5) * abs(
        draft.clean["loss"][at]
    )


def entropy_declines(draft: Draft) -> None:
    keeps = draft.rng.uniform(0.25, 0.4)
    if draft.continuous:
        std = keeps ** saturating(draft.part, 1.5)
        draft.clean["entropy"] = draft.clean["entropy"] + 4 * np.log(std)  # below zero, as densities may be
        draft.clean["policy_std"] = std
        draft.base |= {role: draft.clean[role].copy() for role in ("entropy", "policy_std")}
        return
    draft.clean["entropy"] = draft.clean["entropy"][0] * keeps ** saturating(draft.part, draft.rng.uniform(0.5, 3))
    draft.base["entropy"] = draft.clean["entropy"].copy()


def heavy_gradients(draft: Draft) -> None:
    base = draft.clean["grad_norm"]
    times = np.exp(np.clip(heavy(draft.rng, draft.n, 0.35), -1.5, 3.2))
    draft.noise["grad_norm"] = base * (times - 1)


def gradient_doubles(draft: Draft) -> None:
    draft.clean["grad_norm"] = draft.clean["grad_norm"] * draft.rng.uniform(2, 3.5) ** draft.part
    draft.base["grad_norm"] = draft.clean["grad_norm"].copy()


def learns_early(draft: Draft) -> None:
    progress(draft, saturating(np.minimum(draft.part / draft.rng.uniform(0.2, 0.3), 1), 5))
    draft.base |= {role: curve.copy() for role, curve in draft.clean.items()}


def pauses(draft: Draft) -> None:
    every = max(5, draft.n // int(draft.rng.integers(4, 15)))
    where = np.arange(draft.n) % every == every - 1
    draft.seconds = draft.seconds * (1 + where * draft.rng.uniform(3, 40))


def preempted(draft: Draft) -> None:
    draft.seconds[int(draft.rng.uniform(0.2, 0.9) * draft.n)] += draft.rng.uniform(3600, 40000)


def slow_start(draft: Draft) -> None:
    rows = max(1, int(draft.rng.uniform(0.005, 0.03) * draft.n))
    draft.seconds[:rows] *= draft.rng.uniform(2, 20)


def longer_answers(draft: Draft) -> None:
    grows = 1 + draft.rng.uniform(0.9, 1.4) * saturating(draft.part, 2)
    draft.clean["length"] = draft.clean["length"][0] * grows
    draft.base["length"] = draft.clean["length"].copy()
    slow(draft, grows, explained=True)


def solved(draft: Draft) -> None:
    floor, ceiling = draft.family.reward
    reward, rows = draft.clean["reward"], draft.part
    share = (reward - reward[0]) / np.ptp(reward)
    top = floor + draft.rng.uniform(0.97, 0.995) * (ceiling - floor)
    draft.clean["reward"] = reward[0] + (top - reward[0]) * share
    draft.noise["reward"] = draft.noise["reward"] * (1 - 0.9 * share)
    draft.clean["reward_std"] = draft.clean["reward_std"][0] * (1 - 0.96 * share)
    draft.noise["reward_std"] = draft.noise["reward_std"] * (1 - 0.9 * share)
    draft.clean["zero_std"] = 0.1 + 0.88 * share + 0 * rows
    draft.base |= {role: draft.clean[role].copy() for role in ("reward", "reward_std", "zero_std")}


def last_minute_rise(draft: Draft) -> None:
    low = float(draft.clean["eval_loss"].min())
    draft.clean["eval_loss"] = draft.clean["eval_loss"] + ramp(draft.part, 0.85, 0.15) * 0.03 * abs(low)


def dip(draft: Draft) -> None:
    p = draft.part
    bump = np.exp(-(((p - draft.rng.uniform(0.5, 0.8)) / draft.rng.uniform(0.02, 0.05)) ** 2))
    for role in ("reward", "task"):
        if role in draft.clean:
            base = draft.clean[role]
            draft.clean[role] = base - bump * draft.rng.uniform(0.2, 0.45) * np.ptp(base)
            draft.base[role] = draft.clean[role].copy()


def early_clipping(draft: Draft) -> None:
    draft.clean["clip"] = draft.clean["clip"] + 0.35 * np.exp(-draft.part / 0.03)


def kl_outlier(draft: Draft) -> None:
    role = "kl" if "kl" in draft.clean else "kl_old"
    draft.noise[role][int(draft.rng.uniform(0.2, 0.9) * draft.n)] += draft.rng.uniform(10, 30) * draft.clean[role].max()


def stopped_early(draft: Draft) -> None:
    cut(draft, draft.rng.uniform(0.75, 0.95))


def still_going(draft: Draft) -> None:
    cut(draft, draft.rng.uniform(0.3, 0.9))
    draft.state, draft.exit_code = "running", None
    draft.silent_for = float(np.median(draft.seconds)) * draft.rng.uniform(0.2, 8)


def nan_elsewhere(draft: Draft) -> None:
    """Stable-Baselines3's explained variance, or the spread of a single sample."""
    values = np.clip(gaussian(draft.rng, draft.n, 0.1) + 0.8 * saturating(draft.part, 4), -1, 1)
    values[: int(draft.rng.integers(1, 4))] = np.nan
    key = "train/explained_variance" if "sb3" in draft.family.name else "completions/mean_terminated_length"
    draft.extra[key] = values


def noisy_evaluation(draft: Draft) -> None:
    draft.noise["task"] = gaussian(draft.rng, draft.n, 0.08 * float(np.ptp(draft.clean["task"])))


# Name → (what it does, roles it needs).
HARD: dict[str, tuple[Callable[[Draft], None], tuple[str, ...]]] = {
    "warm_up_bump": (warm_up_bump, ("loss",)),
    "one_spike": (one_spike, ("loss",)),
    "entropy_declines": (entropy_declines, ("entropy",)),
    "heavy_gradients": (heavy_gradients, ("grad_norm",)),
    "gradient_doubles": (gradient_doubles, ("grad_norm",)),
    "learns_early": (learns_early, ()),
    "pauses": (pauses, ()),
    "preempted": (preempted, ()),
    "slow_start": (slow_start, ()),
    "longer_answers": (longer_answers, ("length",)),
    "solved": (solved, ("reward_std", "zero_std")),
    "last_minute_rise": (last_minute_rise, ("eval_loss",)),
    "dip": (dip, ("reward",)),
    "early_clipping": (early_clipping, ("clip",)),
    "kl_outlier": (kl_outlier, ("kl_old",)),
    "stopped_early": (stopped_early, ()),
    "still_going": (still_going, ()),
    "nan_elsewhere": (nan_elsewhere, ()),
    "noisy_evaluation": (noisy_evaluation, ("task",)),
}
