"""Healthy runs: what a project's runs have in common, and one run of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.diagnoses.draft import Draft, gaussian, power_law, ramp, saturating, sigmoid, some_noise

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Floats
    from benchmarks.diagnoses.families import Family
    from numpy.random import Generator


@dataclass(frozen=True)
class Setting:
    """What the runs of one project share: task, model and logging."""

    family: Family
    n: int
    stride: int
    evals: int
    start: float  # of the loss, or of the reward as a part of its range
    end: float
    rate: float  # how fast it learns
    middle: float
    width: float
    noise: float  # of the gain
    kl: float
    entropy: float
    length: float
    cap: float
    seconds: float
    schedule: str
    warmup: float
    lr: float
    percent: bool
    continuous: bool
    signed_kl: bool
    task: tuple[float, float]  # where the accuracy starts and ends
    has: frozenset[str] = field(default_factory=frozenset)  # roles that are logged


def draw_setting(family: Family, rng: Generator) -> Setting:
    """Return a project's common ground."""
    low, high = family.rows
    start, end = rng.uniform(*family.loss[:2]), rng.uniform(*family.loss[2:])
    if family.learning == "rl":
        start, end = rng.uniform(*family.start), rng.uniform(*family.end)
    length = rng.uniform(*family.length)
    has = set(family.keys)
    if family.learning == "rl" and rng.random() < 0.25:
        has.discard("task")
    if rng.random() < 0.2:
        has -= {"throughput"}
    continuous = bool(rng.random() < family.continuous)
    if not continuous:
        has.discard("policy_std")
    return Setting(
        family=family,
        n=int(np.exp(rng.uniform(np.log(low), np.log(high)))),
        stride=int(rng.choice(family.strides)),
        evals=int(rng.integers(family.evals[0], family.evals[1] + 1)),
        start=start,
        end=end,
        rate=rng.uniform(4.5, 8),
        middle=rng.uniform(0.18, 0.4),
        width=rng.uniform(0.04, 0.085),
        noise=rng.uniform(0.01, 0.05) if family.learning == "supervised" else rng.uniform(0.02, 0.07),
        kl=float(np.exp(rng.uniform(*np.log(family.kl)))),
        entropy=rng.uniform(*family.entropy),
        length=length,
        cap=float(np.ceil(length * rng.uniform(family.cap, 2 * family.cap) / 64) * 64),
        seconds=float(np.exp(rng.uniform(*np.log(family.seconds)))),
        schedule=str(rng.choice(family.schedules)),
        warmup=float(rng.choice([0.0, 0.02, 0.05, 0.1])),
        lr=float(10 ** rng.uniform(-6, -2.5)),
        percent=bool(rng.random() < family.percent),
        continuous=continuous,
        signed_kl=bool(rng.random() < family.signed_kl),
        task=(rng.uniform(0.05, 0.4), rng.uniform(0.7, 0.95)),
        has=frozenset(has),
    )


def healthy(setting: Setting, rng: Generator) -> Draft:
    """Return a run that learns, levels off, and logs every role of its family."""
    n = max(25, int(setting.n * rng.choice([1.0, 1.0, 1.0, rng.uniform(0.8, 1.2)])))
    seconds = setting.seconds * rng.lognormal(0, 0.03, n) * rng.uniform(0.9, 1.1)
    draft = Draft(setting.family, rng, n, setting.stride, seconds, continuous=setting.continuous)
    draft.clean["lr"], draft.config = schedule(setting, draft)
    (_supervised if setting.family.learning == "supervised" else _rl)(setting, draft)
    _shared(setting, draft)
    for role in [role for role in draft.clean if role not in setting.has]:
        del draft.clean[role]
    draft.base = {role: curve.copy() for role, curve in draft.clean.items()}
    for key in setting.family.decoys:
        draft.extra[key] = _decoy(key, draft)
    return draft


def schedule(setting: Setting, draft: Draft, shape: str | None = None) -> tuple[Floats, dict[str, object]]:
    """Return the learning rate, and the config that says so."""
    p, shape = draft.part, shape or setting.schedule
    names = setting.family.config
    peak = setting.lr * draft.rng.choice([1.0, 1.0, 3.0, 0.3])
    decay = {
        "cosine": 0.5 * (1 + np.cos(np.pi * p)),
        "linear": 1 - p,
        "step": 0.1 ** (np.floor(p * 3 - 1e-9)),
        "constant": np.ones_like(p),
    }[shape]
    warm = np.minimum(1, p / setting.warmup) if setting.warmup and shape != "constant" else np.ones_like(p)
    # TRL, HF: the last row is a step before the end.
    floor = {"cosine": 0.1 if names.get("decay") else 0.0}.get(shape, 0.0)
    config: dict[str, object] = {names["lr"]: peak, "seed": int(draft.rng.integers(1, 5))}
    if "schedule" in names:
        config[names["schedule"]] = shape if setting.family.name != "yolo" else shape == "cosine"
    if "steps" in names:
        config[names["steps"]] = int(draft.steps[-1])
    if "decay" in names:
        config[names["decay"]] = True
    if "anneal" in names:
        config |= {names["anneal"]: True, names["total"]: int(draft.steps[-1])}
    if "cap" in names:
        config[names["cap"]] = int(setting.cap)
    return peak * warm * (floor + (1 - floor) * decay), config


def _supervised(setting: Setting, draft: Draft) -> None:
    p, rng = draft.part, draft.rng
    rate = setting.rate * rng.uniform(0.9, 1.15)
    if setting.family.shape == "power":
        done = power_law(p, rng.uniform(0.003, 0.01), rng.uniform(0.35, 0.6))
    else:
        done = saturating(p, rate)
    start, end = setting.start, setting.end
    span = start - end
    end += span * rng.normal(0, 0.02)
    gap = span * rng.choice([0.0, 0.01, 0.03, 0.08]) * rng.uniform(0.8, 1.2)
    loss = start - (start - end) * done
    draft.clean["loss"] = loss
    draft.noise["loss"] = some_noise(rng, draft.n, abs(span) * setting.noise * rng.uniform(0.4, 1.0))
    draft.clean["eval_loss"] = loss + gap * done
    draft.noise["eval_loss"] = gaussian(rng, draft.n, abs(span) * setting.noise * rng.uniform(0.1, 0.4))
    low, high = setting.task[0] * rng.uniform(0.9, 1.1), setting.task[1] * rng.uniform(0.97, 1.03)
    unit = 100.0 if setting.percent else 1.0
    # Accuracy settles like the loss, so that neither still grows when the other has stopped.
    draft.clean["task"] = unit * (low + (high - low) * done)
    draft.noise["task"] = gaussian(rng, draft.n, unit * (high - low) * rng.uniform(0.005, 0.03))


def _rl(setting: Setting, draft: Draft) -> None:
    p, rng, family = draft.part, draft.rng, setting.family
    floor, ceiling = family.reward
    span = ceiling - floor
    draft.ceiling = ceiling
    done = sigmoid(p, setting.middle * rng.uniform(0.85, 1.15), setting.width * rng.uniform(0.85, 1.15))
    start = setting.start * rng.uniform(0.9, 1.1)
    end = min(0.97, setting.end + rng.normal(0, 0.02))
    gain = (end - start) * span
    draft.clean["reward"] = floor + start * span + gain * done
    draft.noise["reward"] = some_noise(rng, draft.n, gain * setting.noise)
    if "score" in family.keys["reward"] or ceiling > 1.5:
        task = floor + (start + 0.02) * span + gain * done * rng.uniform(0.95, 1.05)
        if not family.keys.get("task", "").endswith("reward"):
            task = setting.task[0] * rng.uniform(0.9, 1.1) + setting.task[1] * rng.uniform(0.55, 0.6) * done
    else:
        task = start + (end - start) * rng.uniform(0.8, 1.0) * done
    draft.clean["task"] = task
    draft.noise["task"] = gaussian(rng, draft.n, (task[-1] - task[0]) * rng.uniform(0.01, 0.05))
    _policy(setting, draft, done)
    _responses(setting, draft, done)


def _policy(setting: Setting, draft: Draft, done: Floats) -> None:
    p, rng, n = draft.part, draft.rng, draft.n
    level = setting.kl * rng.uniform(0.75, 1.3)
    draft.clean["kl"] = level * (0.02 + 0.98 * saturating(p, rng.uniform(1.5, 4)))
    grain = level * (rng.uniform(0.15, 0.3) if setting.signed_kl else rng.uniform(0.03, 0.1))
    draft.noise["kl"] = gaussian(rng, n, grain) * (1 if setting.signed_kl else np.sqrt(draft.clean["kl"] / level))
    old = rng.uniform(0.002, 0.02)
    draft.clean["kl_old"] = old * (1 - 0.4 * p)
    draft.noise["kl_old"] = gaussian(rng, n, old * rng.uniform(0.05, 0.2))
    begin = setting.entropy * rng.uniform(0.9, 1.1)
    keeps = rng.uniform(0.4, 0.95)
    if setting.continuous:
        axes = rng.integers(2, 9)
        std = keeps ** (p * 1.2)
        draft.clean["policy_std"] = std
        draft.noise["policy_std"] = gaussian(rng, n, 0.004)
        draft.clean["entropy"] = axes * (1.419 + np.log(std))
        draft.noise["entropy"] = gaussian(rng, n, 0.02 * axes)
    else:
        draft.clean["entropy"] = begin * (keeps + (1 - keeps) * np.exp(-3 * p))
        draft.noise["entropy"] = some_noise(rng, n, begin * rng.uniform(0.01, 0.04))
    clip = rng.uniform(0.01, 0.2)
    draft.clean["clip"] = clip * (1 - 0.5 * p)
    draft.noise["clip"] = gaussian(rng, n, clip * 0.08)
    draft.clean["policy_loss"] = np.zeros(n)
    draft.noise["policy_loss"] = some_noise(rng, n, rng.uniform(0.005, 0.1))
    if "td_loss" in setting.family.keys.get("policy_loss", ""):
        draft.clean["policy_loss"] = 0.02 + 0.3 * done + 0.1 * sigmoid(p, 0.7, 0.1)
        draft.noise["policy_loss"] = np.abs(some_noise(rng, n, 0.05))


def _responses(setting: Setting, draft: Draft, done: Floats) -> None:
    p, rng, n = draft.part, draft.rng, draft.n
    spread = rng.uniform(0.3, 0.5) * (setting.family.reward[1] - setting.family.reward[0])
    share = (draft.clean["reward"] - setting.family.reward[0]) / (setting.family.reward[1] - setting.family.reward[0])
    # Spread of a coin with that chance: least at the ends.
    draft.clean["reward_std"] = spread * np.sqrt(np.clip(4 * share * (1 - share), 0.05, 1))
    draft.noise["reward_std"] = gaussian(rng, n, spread * rng.uniform(0.04, 0.1))
    draft.clean["zero_std"] = np.clip(0.15 + 0.3 * done, 0, 1)
    draft.noise["zero_std"] = gaussian(rng, n, 0.03)
    grown = rng.uniform(0.85, 1.8)
    draft.clean["length"] = setting.length * (1 + (grown - 1) * saturating(p, rng.uniform(1, 3)))
    draft.noise["length"] = gaussian(rng, n, setting.length * rng.uniform(0.02, 0.06))
    draft.clean["truncation"] = np.clip(0.02 + 0.5 * (draft.clean["length"] / setting.cap) ** 4, 0, 1)
    draft.noise["truncation"] = np.abs(gaussian(rng, n, 0.01))


def _shared(setting: Setting, draft: Draft) -> None:
    p, rng, n = draft.part, draft.rng, draft.n
    level = float(np.exp(rng.uniform(np.log(0.1), np.log(5))))
    draft.clean["grad_norm"] = level * (1 + rng.uniform(0, 1.5) * np.exp(-p / 0.03)) * (1 + rng.uniform(-0.3, 0.6) * p)
    factor = rng.lognormal(0, rng.uniform(0.05, 0.3), n)
    draft.noise["grad_norm"] = draft.clean["grad_norm"] * (factor - 1)
    speed = 1 / draft.seconds
    unit = rng.uniform(500, 20000) if "mfu" not in setting.family.keys.get("throughput", "") else 0.4 * setting.seconds
    draft.clean["throughput"] = np.full(n, unit * float(np.median(speed)))
    draft.noise["throughput"] = unit * speed - draft.clean["throughput"]
    _when_logged(setting, draft)


def _when_logged(setting: Setting, draft: Draft) -> None:
    rng, n = draft.rng, draft.n
    evals = min(setting.evals, n)
    at = np.unique(np.linspace(max(1, n // evals) - 1, n - 1, evals).astype(int))
    for role in ("eval_loss", "task"):
        draft.rows[role] = at
    if rng.random() < 0.15:  # uneven logging: one role loses rows at random
        role = str(rng.choice(["grad_norm", "lr", "kl", "entropy", "clip"]))
        keep = rng.random(n) < rng.uniform(0.4, 0.9)
        keep[-1] = True
        draft.rows[role] = np.flatnonzero(keep)


def _decoy(key: str, draft: Draft) -> Floats:
    """Return a key that plays no role, or one that must not be mistaken for another."""
    p, rng, n = draft.part, draft.rng, draft.n
    if any(word in key for word in ("step", "tokens", "iter", "episode")) and "len" not in key:
        return np.asarray(draft.steps * rng.integers(1, 9), dtype=np.float64)
    if "epoch" in key:
        return 3 * p
    if "rejected" in key or "logps" in key:
        return -8 * p + gaussian(rng, n, 0.3)
    if "max" in key:
        return np.full(n, 1.0)
    grows = ramp(p, 0, 1) * rng.uniform(-1, 3)
    return np.abs(rng.uniform(1, 9) * (1 + grows)) + gaussian(rng, n, 0.1)
