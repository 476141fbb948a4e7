"""The labels of a run: what each diagnosis claims, looked up on the noiseless curves.

Nothing here knows how a detector decides. Where a curve is so close to a definition's limit that careful people would
differ (`BORDER` on either side), the diagnosis is neither expected nor wrong: it is in `unclear`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft, Floats

BORDER = 0.2
_LOWER = ("loss", "eval_loss")  # less is better
_Ruling: TypeAlias = "tuple[float, int | None] | None"  # how far over the limit (1: on it), index of the onset


@dataclass(frozen=True)
class Truth:
    """What is wrong with a run, and what cannot be said."""

    labels: dict[str, int | None]  # id → step of the onset
    unclear: frozenset[str]


def judge(draft: Draft, siblings: Sequence[Draft]) -> Truth:
    """Return the truth about a run."""
    labels: dict[str, int | None] = {}
    unclear: set[str] = set()
    for id_, rule in RULES.items():
        ruling = rule(draft, siblings)
        if ruling is None:
            continue
        over, at = ruling
        if over >= 1 + BORDER:
            labels[id_] = at
        elif over > 1 - BORDER:
            unclear.add(id_)
    return Truth(labels, frozenset(unclear))


def primary_of(draft: Draft) -> str:
    """Return the role that runs of the family are ranked by."""
    return next(role for role in ("task", "reward", "eval_loss", "loss") if role in draft.clean)


def _better(draft: Draft, role: str) -> Floats:
    """Return the curve with more being better."""
    return -draft.curve(role) if role in _LOWER else draft.curve(role)


def _step(draft: Draft, role: str, index: int) -> int:
    return int(draft.steps[draft.at(role)[index]])


def _lasting(condition: np.ndarray) -> int | None:
    """Return the first index from which the condition holds to the end."""
    if not len(condition) or not condition[-1]:
        return None
    false = np.flatnonzero(~condition)
    return int(false[-1]) + 1 if len(false) else 0


def _stretches(condition: np.ndarray) -> Iterator[tuple[int, int]]:
    """Yield (first, one past the last) of each stretch where the condition holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], condition, [False]]).astype(int)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _nan(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    return None if draft.bad_row is None else (9.0, int(draft.steps[draft.bad_row]))


def _divergence(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "loss" not in draft.clean or draft.bad_row is not None:
        return None
    curve = draft.curve("loss")
    low = int(np.argmin(curve))
    best, gain = curve[low], curve[0] - curve[low]
    rest = curve[low:]
    # For good: the level that is kept to the end, whatever peak there was.
    kept = float(np.min(rest[int(len(rest) * 0.9) :])) if len(rest) > 1 else best
    noise = draft.scatter("loss")
    over = min((kept - best) / (0.4 * gain), (kept - best) / max(8 * noise, 1e-12))
    if over < 1 - BORDER:
        return None
    left = _lasting(rest >= best + max(0.06 * abs(best), 2 * noise))
    return None if left is None else (over, _step(draft, "loss", low + left))


def _spike(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "loss" not in draft.clean:
        return None
    curve, base, noise = draft.curve("loss"), draft.base["loss"][draft.at("loss")], draft.scatter("loss")
    over = curve - base
    high = (over >= 8 * noise) & (over >= 0.2 * np.abs(base))
    found = [(a, b) for a, b in _stretches(over >= np.maximum(2 * noise, 0.02 * np.abs(base))) if high[a:b].any()]
    found = [(a, b) for a, b in found if b < len(curve)]  # back again
    if not found:
        return None
    first = next(i for i in range(*found[0]) if high[i])
    if first - found[0][0] > 3:
        return None  # not abrupt
    often, long = len(found) / 2.5, max(b - a for a, b in found) / 10
    # Back to its course, or only to where it was before: on a falling loss that is sooner.
    before = max((int(np.argmax(curve[a:b] <= curve[max(a - 1, 0)])) or b - a for a, b in found)) / 10
    if often < 1 and (long >= 1) != (before >= 1):
        long = 1.0
    return max(long, often), _step(draft, "loss", first)


def _plateau(draft: Draft, siblings: Sequence[Draft]) -> _Ruling:
    role = primary_of(draft)
    others = [_better(s, role) for s in siblings if role in s.clean]
    if len(others) < 2 or draft.state == "running":
        return None
    level, gain = float(np.median([o[-1] for o in others])), float(np.median([o.max() - o[0] for o in others]))
    own = _better(draft, role)
    if gain <= 0 or own.max() - own[-1] > 0.1 * gain:
        return None
    short = (level - own[-1]) / (0.3 * gain)
    still = _lasting(np.abs(own - own[-1]) <= 0.03 * gain)
    if still is None or still > 0.37 * len(own):
        return None
    late = still / len(own) * 3
    return (short if late <= 0.9 else min(short, 1.0)), _step(draft, role, still)


def _undertrained(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if draft.state != "finished" or draft.exit_code:
        return None
    curve = _better(draft, primary_of(draft))
    gain = curve.max() - curve[0]
    late = curve[-1] - curve[min(len(curve) - 1, int(np.floor(0.8 * len(curve))))]
    # Of a run that gained nothing there is nothing to go on with.
    if gain <= 4 * draft.scatter(primary_of(draft)):
        return None
    return late / (0.08 * gain), None


def _overfitting(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if not {"loss", "eval_loss"} <= set(draft.clean):
        return None
    curve, train = draft.curve("eval_loss"), draft.clean["loss"]
    low = int(np.argmin(curve))
    row = draft.at("eval_loss")[low]
    if train[-1] >= train[row] - 1e-9 or low >= len(curve) - 2:
        return None
    rise = curve[-1] - curve[low]
    over = min(rise / (0.08 * abs(curve[low])), rise / max(4 * draft.scatter("eval_loss"), 1e-12))
    return over, _step(draft, "eval_loss", low)


def _grad(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "grad_norm" not in draft.clean or draft.bad_row is not None:
        return None
    curve, base = draft.curve("grad_norm"), draft.base["grad_norm"][draft.at("grad_norm")]
    for a, b in _stretches(curve >= 10 * base * (1 - BORDER)):
        if b - a >= 0.03 * len(curve) or b == len(curve):
            twice = a
            while twice > 0 and curve[twice - 1] >= 2 * base[twice - 1]:
                twice -= 1
            return float(np.max(curve[a:b] / base[a:b])) / 10, _step(draft, "grad_norm", twice)
    return None


def _kl_low(draft: Draft, siblings: Sequence[Draft]) -> _Ruling:
    others = [s for s in siblings if "kl" in s.clean]
    if "kl" not in draft.clean or len(others) < 2:
        return None
    reach = float(np.median([np.max(s.curve("kl")) for s in others]))
    gains = [float(np.median([np.ptp(s.curve(role)) for s in others])) for role in ("reward",)]
    own = float(np.max(draft.curve("reward")) - draft.curve("reward")[0])
    if own > 0.15 * gains[0]:
        return None
    return 0.1 * reach / max(float(np.max(draft.curve("kl"))), 1e-12), None


def _kl_spike(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    for role in ("kl", "kl_old"):
        if role not in draft.clean:
            continue
        ratio = draft.curve(role) / draft.base[role][draft.at(role)]
        for a, b in _stretches(ratio >= 4):
            if b - a >= 2 and b < len(ratio):
                return float(ratio[a:b].max()) / 8, _step(draft, role, a)
    return None


def _kl_runaway(draft: Draft, siblings: Sequence[Draft]) -> _Ruling:
    for role in ("kl", "kl_old"):
        if role not in draft.clean:
            continue
        others = [s.curve(role)[-1] for s in siblings if role in s.clean]
        curve, base = draft.curve(role), draft.base[role][draft.at(role)]
        if len(others) < 2 or curve[-1] <= curve[int(0.9 * len(curve))]:
            continue
        twice = _lasting(curve >= 2 * base)
        if twice is not None:
            return float(curve[-1] / np.median(others)) / 8, _step(draft, role, twice)
    return None


def _entropy(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    role = "policy_std" if draft.continuous else "entropy"
    if role not in draft.clean:
        return None
    return _fallen(draft, role, 0.15)


def _fallen(draft: Draft, role: str, limit: float) -> _Ruling:
    """Return how far a curve has fallen for good, and where it was a quarter below its course."""
    curve, base = draft.curve(role), draft.base[role][draft.at(role)]
    early = float(np.median(curve[: max(1, len(curve) // 20)]))
    low = float(np.median(curve[-max(1, len(curve) // 20) :]))
    left = _lasting(curve <= 0.75 * base)
    if left is None:
        return None
    return min(9.0, limit * early / max(low, 1e-12)), _step(draft, role, left)


def _clip(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "clip" not in draft.clean:
        return None
    curve = draft.curve("clip")
    quarter = np.flatnonzero(curve >= 0.25)
    if not len(quarter):
        return None
    share = float(np.mean(curve > 0.3)) / 0.15
    return share, _step(draft, "clip", int(quarter[0]))


def _hacking(draft: Draft, siblings: Sequence[Draft]) -> _Ruling:
    if not {"reward", "task"} <= set(draft.clean) or draft.family.keys["task"].endswith("reward"):
        return None
    task, rows = draft.curve("task"), draft.at("task")
    reward = draft.clean["reward"]
    top = int(np.argmax(task))
    task_gain, reward_gain = task[top] - task[0], reward.max() - reward[0]
    rise = (reward[-1] - reward[rows[top]]) / max(reward_gain, 1e-12)
    others = [s for s in siblings if {"reward", "task"} <= set(s.clean)]
    falls = (task[top] - task[-1]) / max(task_gain, 1e-12)
    over = min(rise / 0.2, falls / 0.2)
    if len(others) >= 2:
        level = float(np.median([s.curve("task")[-1] for s in others]))
        usual = float(np.median([s.clean["reward"].max() - s.clean["reward"][0] for s in others]))
        stops = min(0.65 * level / max(task[-1], 1e-12), reward_gain / (1.5 * usual), rise / 0.2)
        over = max(over, stops)
    return over, _step(draft, "task", top)


def _reward_collapse(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "reward" not in draft.clean:
        return None
    curve = draft.curve("reward")
    top = int(np.argmax(curve))
    gain = curve[top] - curve[0]
    noise = draft.scatter("reward")
    rest = curve[top:]
    kept = float(np.max(rest[int(0.9 * len(rest)) :]))
    if gain < 6 * noise:
        return None
    left = _lasting(rest <= curve[top] - 0.15 * gain)
    return None if left is None else ((curve[top] - kept) / (0.5 * gain), _step(draft, "reward", top + left))


def _reward_std(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "reward_std" not in draft.clean:
        return None
    floor, ceiling = draft.family.reward
    reached = (draft.clean["reward"][-1] - floor) / (ceiling - floor)
    fallen = None if reached > 0.93 else _fallen(draft, "reward_std", 0.12)
    # "Well short" is less than 85% for everyone.
    return (min(fallen[0], 1.0), fallen[1]) if fallen and reached > 0.85 else fallen


def _length(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "length" not in draft.clean:
        return None
    curve = draft.curve("length")
    early = float(np.median(curve[: max(1, len(curve) // 20)]))
    cap = float(draft.config.get(draft.family.config.get("cap", ""), np.inf))
    end = float(curve[-1])
    over = max(end / (3 * early), 1.3 if end >= 0.96 * cap and end > 1.6 * early else 0.0)
    left = _lasting(curve >= 1.4 * early)
    return None if left is None else (over, _step(draft, "length", left))


def _throughput(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    slow = draft.clean.get("slowness")
    if slow is None:
        return None
    for a, b in _stretches(slow > 1.02):
        if b == draft.n or b - a >= 0.1 * draft.n:
            return (1 - 1 / float(np.median(slow[a:b]))) / 0.4, int(draft.steps[a])
    return None


def _crashed(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    return (9.0, int(draft.steps[-1])) if draft.state in ("crashed", "failed", "killed") else None


def _stalled(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if draft.state != "running":
        return None
    over = min(draft.silent_for / (60 * float(np.median(draft.seconds))), draft.silent_for / 5400)
    return over, int(draft.steps[-1])


def _lr(draft: Draft, _: Sequence[Draft]) -> _Ruling:
    if "lr" not in draft.clean:
        return None
    curve, names = draft.curve("lr"), draft.family.config
    peak = float(curve.max())
    zero = _lasting(curve <= 1e-3 * peak)
    if zero is not None:
        left = 1 - zero / len(curve)
        return (left / 0.3, _step(draft, "lr", zero)) if left > 0.2 else None
    planned = draft.config.get(names.get("steps", names.get("total", "")))
    says = draft.config.get(names.get("schedule", ""), "") in ("cosine", "linear", "step")
    says = says or bool(draft.config.get(names.get("decay", "")) or draft.config.get(names.get("anneal", "")))
    full = planned is not None and draft.steps[-1] >= 0.95 * float(planned)
    return (9.0, None) if says and full and curve[-1] >= 0.98 * peak and draft.state == "finished" else None


RULES: dict[str, Callable[[Draft, Sequence[Draft]], _Ruling]] = {
    "nan_or_inf": _nan, "loss_divergence": _divergence, "loss_spike": _spike, "plateau_early": _plateau,
    "undertrained": _undertrained, "overfitting": _overfitting, "grad_norm_explosion": _grad, "kl_too_low": _kl_low,
    "kl_spike": _kl_spike, "kl_runaway": _kl_runaway, "entropy_collapse": _entropy, "clipfrac_high": _clip,
    "reward_hacking": _hacking, "reward_collapse": _reward_collapse, "reward_std_collapse": _reward_std,
    "length_explosion": _length, "throughput_drop": _throughput, "crashed": _crashed, "stalled": _stalled,
    "lr_schedule_mismatch": _lr,
}  # fmt: skip
