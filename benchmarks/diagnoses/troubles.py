"""Troubles put into a healthy draft, each of random onset, size and form. What they make true, `definitions` says."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.diagnoses.draft import ramp, saturating, sigmoid
from benchmarks.diagnoses.endings import crashed, stalled

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft, Floats

PROGRESS = ("loss", "eval_loss", "task", "reward")


def progress(draft: Draft, done: Floats) -> None:
    """Let everything that measures progress follow `done` (0 at the start, 1 where it would have ended)."""
    for role in PROGRESS:
        if role in draft.clean:
            base = draft.base[role]
            best = base.min() if role in ("loss", "eval_loss") else base.max()
            draft.clean[role] = base[0] + (best - base[0]) * done
            draft.base[role] = draft.clean[role].copy()


def nan_or_inf(draft: Draft) -> None:
    rng, n = draft.rng, draft.n
    at = int(rng.uniform(0.05, 0.92) * n)
    watched = ("loss", "grad_norm", "kl", "entropy", "eval_loss", "policy_loss")
    roles = [role for role in watched if role in draft.clean]
    main = [role for role in ("loss", "grad_norm", "policy_loss") if role in roles]
    form = rng.choice(["from then on", "once", "hugging face"])
    rest = np.arange(n) >= at
    bad = np.full(n, np.nan)
    struck = {}
    if form == "hugging face" and {"loss", "grad_norm", "eval_loss"} <= set(roles):
        draft.raw["loss"] = np.where(rest, 0.0, draft.clean["loss"] + draft.noise["loss"])
        struck = {"grad_norm": rest, "eval_loss": rest}
    elif form == "once":
        struck = {str(rng.choice(roles)): np.arange(n) == at}
        bad = np.full(n, rng.choice([np.nan, np.inf]))
    else:
        struck = dict.fromkeys([*main, *[role for role in roles if role not in main and rng.random() < 0.7]], rest)
        for role in ("task", "reward"):
            if role in draft.clean:  # a network of NaN does nothing right
                draft.clean[role] = draft.clean[role] - rest * (draft.clean[role] - draft.base[role][0])
    first = n
    for role, from_then in struck.items():
        # Where no evaluation came after it, let it strike the last one.
        where = from_then if from_then[draft.at(role)].any() else np.arange(n) == draft.at(role)[-1]
        draft.raw[role] = np.where(where, bad, draft.clean[role] + draft.noise[role])
        first = min(first, int(draft.at(role)[np.flatnonzero(where[draft.at(role)])[0]]))
    draft.bad_row = first


def loss_divergence(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    at, taking = rng.uniform(0.15, 0.85), rng.choice([rng.uniform(0.002, 0.02), rng.uniform(0.05, 0.3)])
    taking = min(taking, (0.97 - at))
    size = rng.uniform(0.55, 1.4)
    rises = ramp(p, at, taking)
    for role in ("loss", "eval_loss"):
        if role in draft.clean:
            base = draft.base[role]
            gained = base[0] - base[int(at * draft.n)]
            draft.clean[role] = base + rises * size * gained
    if "task" in draft.clean:
        draft.clean["task"] = draft.base["task"] - rises * min(1, size) * np.ptp(draft.base["task"])
    if "grad_norm" in draft.clean and rng.random() < 0.5:
        draft.clean["grad_norm"] = draft.base["grad_norm"] * (1 + rises * rng.uniform(1, 40))


def loss_spike(draft: Draft) -> None:
    rng, n = draft.rng, draft.n
    base, noise = draft.base["loss"], draft.scatter("loss")
    added = np.zeros(n)
    if rng.random() < 0.5:
        at, length = int(rng.uniform(0.15, 0.8) * n), rng.uniform(14, max(20, 0.12 * n))
        times = np.arange(n) - at
        added = np.where(times >= 0, np.exp(-np.maximum(times, 0) / length * 2.2), 0.0)
    else:
        for at in rng.choice(np.arange(int(0.12 * n), int(0.93 * n)), int(rng.integers(3, 7)), replace=False):
            length = int(rng.integers(1, 4))
            added[at : at + length] = rng.uniform(0.85, 1.0)
    height = np.maximum(rng.uniform(12, 30) * noise, rng.uniform(0.3, 1.0) * np.abs(base))
    draft.clean["loss"] = base + added * height


def plateau_early(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    stops = rng.uniform(0.06, 0.3)
    progress(draft, rng.uniform(0.1, 0.58) * saturating(np.minimum(p / stops, 1), 3))


def undertrained(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    form = rng.choice(["straight", "root", "cut off"])
    if form == "straight":
        done = p
    elif form == "root":
        done = p ** rng.uniform(0.55, 0.9)
    else:
        done = sigmoid(p, rng.uniform(0.6, 0.85), rng.uniform(0.08, 0.14))
    progress(draft, done)


def overfitting(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    base, at = draft.base["eval_loss"], rng.uniform(0.15, 0.7)
    low = float(base[int(at * draft.n)])
    rise = max(rng.uniform(0.11, 0.8) * abs(low), 6 * draft.scatter("eval_loss"))
    late = np.clip((p - at) / (1 - at), 0, 1)
    early = np.where(p < at, base, low)
    draft.clean["eval_loss"] = early + rise * late ** rng.uniform(1.0, 1.5)
    draft.clean["loss"] = draft.base["loss"] - late * 0.35 * np.abs(draft.base["loss"])
    if "task" in draft.clean:
        held = np.where(p < at, draft.base["task"], draft.base["task"][int(at * draft.n)])
        draft.clean["task"] = held - late * rng.uniform(0, 0.06) * np.ptp(draft.base["task"])


def grad_norm_explosion(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    at, factor = rng.uniform(0.12, 0.93), float(np.exp(rng.uniform(np.log(14), np.log(300))))
    taking = rng.choice([2 / draft.n, rng.uniform(0.03, 0.2)])
    rises = ramp(p, at, min(taking, 0.95 - at) if at < 0.9 else 2 / draft.n)
    if at < 0.7 and rng.random() < 0.4:
        rises = rises * (1 - ramp(p, at + 0.25, 0.02))
    times = np.exp(rises * np.log(factor))
    draft.clean["grad_norm"] = draft.base["grad_norm"] * times
    draft.noise["grad_norm"] = draft.noise["grad_norm"] * times


def kl_too_low(draft: Draft) -> None:
    rng = draft.rng
    factor = rng.uniform(0.005, 0.07)
    draft.clean["kl"] = draft.base["kl"] * factor
    draft.noise["kl"] = draft.noise["kl"] * factor
    progress(draft, rng.uniform(0, 0.05) * draft.part)
    draft.clean["reward_std"] = np.full(draft.n, draft.base.get("reward_std", np.ones(1))[0])
    if "reward_std" not in draft.base:
        del draft.clean["reward_std"]


def _kl(draft: Draft) -> str:
    return "kl" if "kl" in draft.clean else "kl_old"


def kl_spike(draft: Draft) -> None:
    rng, n, role = draft.rng, draft.n, _kl(draft)
    added = np.zeros(n)
    for at in sorted(rng.uniform(0.12, 0.93, int(rng.integers(1, 3)))):
        first, length = int(at * n), int(rng.integers(2, 9))
        added[first : first + length] = np.linspace(1, 0.5, length)[: max(0, n - first)]
    draft.clean[role] = draft.base[role] * (1 + added * rng.uniform(12, 60))


def kl_runaway(draft: Draft) -> None:
    rng, p, role = draft.rng, draft.part, _kl(draft)
    at, factor = rng.uniform(0.15, 0.75), float(np.exp(rng.uniform(np.log(13), np.log(120))))
    times = np.exp(np.clip((p - at) / (1 - at), 0, 1) ** rng.uniform(0.6, 1.2) * np.log(factor))
    draft.clean[role] = draft.base[role] * times
    draft.noise[role] = draft.noise[role] * np.sqrt(times)


def _falls(draft: Draft, to: float, latest: float = 0.8) -> Floats:
    at = draft.rng.uniform(0.1, latest)
    taking = min(draft.rng.uniform(0.02, 0.25), 0.93 - at)
    falls: Floats = np.exp(ramp(draft.part, at, taking) * np.log(to))
    return falls


def entropy_collapse(draft: Draft) -> None:
    role = "policy_std" if draft.continuous else "entropy"
    base = draft.base[role]
    falls = _falls(draft, draft.rng.uniform(0.02, 0.11))
    draft.clean[role] = base * falls
    draft.noise[role] = draft.noise[role] * np.sqrt(falls)
    if draft.continuous:
        draft.clean["entropy"] = draft.base["entropy"] + 3 * np.log(falls)


def clipfrac_high(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    at, level = rng.uniform(0.02, 0.7), rng.uniform(0.36, 0.75)
    rises = ramp(p, at, rng.uniform(0.01, 0.12))
    if at < 0.5 and rng.random() < 0.4:
        rises = rises * (1 - ramp(p, at + 0.4, 0.02))
    draft.clean["clip"] = draft.base["clip"] * (1 - rises) + level * rises


def reward_hacking(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    reward, task = draft.base["reward"], draft.base["task"]
    if rng.random() < 0.7:
        at = rng.uniform(0.4, 0.75)
        late = np.clip((p - at) / (1 - at), 0, 1)
        draft.clean["reward"] = reward + late * rng.uniform(0.3, 0.8) * np.ptp(reward)
        held = np.where(p < at, task, task[int(at * draft.n)])
        draft.clean["task"] = held - late ** rng.uniform(0.5, 1) * rng.uniform(0.3, 1.0) * np.ptp(task)
        return
    stops = rng.uniform(0.2, 0.45)
    draft.clean["reward"] = reward[0] + (reward - reward[0]) * (1 + rng.uniform(0.9, 1.6) * p)
    level = min(0.5 * task[-1], task[0] + 0.5 * np.ptp(task))
    done = saturating(np.minimum(p / stops, 1), 3)
    draft.clean["task"] = task[0] + (level - task[0]) * done - 0.02 * np.ptp(task) * np.clip(p - stops, 0, 1)


def reward_collapse(draft: Draft) -> None:
    rng = draft.rng
    at = rng.uniform(0.45, 0.88)
    falls = ramp(draft.part, at, min(rng.uniform(0.01, 0.15), 0.95 - at)) * rng.uniform(0.62, 1.1)
    for role in ("reward", "task"):
        if role in draft.clean:
            base = draft.base[role]
            draft.clean[role] = base - falls * (base - base[0])


def reward_std_collapse(draft: Draft) -> None:
    rng = draft.rng
    falls = _falls(draft, rng.uniform(0.01, 0.08), 0.6)
    base = draft.base["reward_std"]
    early = base[0]
    draft.clean["reward_std"] = base * falls
    draft.noise["reward_std"] = draft.noise["reward_std"] * falls
    stop = int(np.argmax(falls < 0.5))
    draft.clean["zero_std"] = np.clip(1 - draft.clean["reward_std"] / early, 0, 1) * 0.95
    for role in ("reward", "task"):
        if role in draft.clean:
            draft.clean[role] = np.where(np.arange(draft.n) < stop, draft.base[role], draft.base[role][stop])


def length_explosion(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    cap = draft.config.get(draft.family.config.get("cap", ""), np.inf)
    at = rng.uniform(0.05, 0.7)
    base = draft.base["length"]
    goal = min(float(base[0]) * rng.uniform(3.8, 9), 0.99 * cap)
    rises = ramp(p, at, rng.uniform(0.05, 0.9 - at))
    draft.clean["length"] = base + rises * (goal - base)
    draft.noise["length"] = np.minimum(draft.noise["length"], np.maximum(cap - draft.clean["length"], 0))
    draft.clean["truncation"] = np.clip(0.02 + 0.9 * (draft.clean["length"] / cap) ** 4, 0, 1)
    slow(draft, 1 + rises * rng.uniform(0, 1.0), explained=True)


def slow(draft: Draft, times: Floats, explained: bool = False) -> None:
    """Make rows take `times` as long."""
    draft.seconds = draft.seconds * times
    if "throughput" in draft.clean:
        logged = draft.clean["throughput"] + draft.noise["throughput"]
        draft.clean["throughput"] = draft.clean["throughput"] / times
        draft.noise["throughput"] = logged / times - draft.clean["throughput"]
    if not explained:
        draft.clean["slowness"] = np.asarray(times, dtype=np.float64)


def throughput_drop(draft: Draft) -> None:
    rng, p = draft.rng, draft.part
    at, times = rng.uniform(0.1, 0.85), rng.uniform(2.1, 6)
    down = np.asarray(p >= at, dtype=np.float64)
    if at < 0.6 and rng.random() < 0.4:
        down = down * (p < at + rng.uniform(0.18, 0.35))
    slow(draft, 1 + down * (times - 1))


def lr_schedule_mismatch(draft: Draft) -> None:
    rng, p, lr = draft.rng, draft.part, draft.base["lr"]
    peak = float(lr.max())
    names = draft.family.config
    plans = "steps" in names or "total" in names
    if plans and rng.random() < 0.4:
        key = names.get("schedule")
        if key and draft.config[key] in ("constant", False):
            draft.config[key] = "cosine" if draft.config[key] == "constant" else True
        if not key or draft.config[key]:
            draft.clean["lr"] = np.maximum.accumulate(np.where(p < 0.5, lr, peak))
            draft.clean["lr"][p >= 0.1] = peak
            return
    ends = rng.uniform(0.2, 0.62)
    q = np.minimum(p / ends, 1)
    shape = rng.choice(["linear", "cosine"])
    draft.clean["lr"] = peak * (1 - q if shape == "linear" else 0.5 * (1 + np.cos(np.pi * q)))
    key = names.get("schedule")
    if key and draft.config.get(key) == "constant":
        draft.config[key] = str(shape)


# What a trouble is put into: the roles that a run has to have, any of several where they stand in a tuple.
TROUBLES: dict[str, tuple[Callable[[Draft], None], tuple[str | tuple[str, ...], ...]]] = {
    "nan_or_inf": (nan_or_inf, (("loss", "grad_norm", "kl", "entropy"),)),
    "loss_divergence": (loss_divergence, ("loss",)),
    "loss_spike": (loss_spike, ("loss",)),
    "plateau_early": (plateau_early, ()),
    "undertrained": (undertrained, ()),
    "overfitting": (overfitting, ("loss", "eval_loss")),
    "grad_norm_explosion": (grad_norm_explosion, ("grad_norm",)),
    "kl_too_low": (kl_too_low, ("kl",)),
    "kl_spike": (kl_spike, (("kl", "kl_old"),)),
    "kl_runaway": (kl_runaway, (("kl", "kl_old"),)),
    "entropy_collapse": (entropy_collapse, ("entropy",)),
    "clipfrac_high": (clipfrac_high, ("clip",)),
    "reward_hacking": (reward_hacking, ("reward", "task")),
    "reward_collapse": (reward_collapse, ("reward",)),
    "reward_std_collapse": (reward_std_collapse, ("reward_std",)),
    "length_explosion": (length_explosion, ("length",)),
    "throughput_drop": (throughput_drop, ()),
    "crashed": (crashed, ()),
    "stalled": (stalled, ()),
    "lr_schedule_mismatch": (lr_schedule_mismatch, ("lr",)),
}


def applicable(draft: Draft, trouble: str) -> bool:
    """Return whether the run logs what the trouble shows in."""
    if trouble == "entropy_collapse" and draft.continuous:
        return "policy_std" in draft.clean
    if trouble == "reward_hacking" and draft.family.keys.get("task", "").endswith("reward"):
        return False  # the reward itself, in evaluation: no task metric
    needs = TROUBLES[trouble][1]
    return all(any(r in draft.clean for r in ((need,) if isinstance(need, str) else need)) for need in needs)
