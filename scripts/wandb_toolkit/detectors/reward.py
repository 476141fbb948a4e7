"""Reward against the task metric, reward lost, and the spread of rewards."""

from __future__ import annotations

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.policy import below_course
from wandb_toolkit.detectors.progress import gain_of
from wandb_toolkit.model import Finding
from wandb_toolkit.roles import direction_of


@detector(
    "reward_hacking",
    "The reward rises while the task metric does not",
    "ugly",
    ("reward", "task"),
    lens=("reward",),
    explains=(
        "plateau_early",
        "reward_std_collapse",
        "primary_worse",
        "metric_frozen",
        "length_collapse",
        "entropy_collapse",
    ),
    takes_back=("reward_improved", "primary_improved", "kl_stable"),
)
def reward_hacking(
    view: RunView, reward_share: float = 0.2, task_share: float = 0.2, level: float = 0.65, more: float = 1.5
) -> Finding | None:
    """The training reward goes on rising while the task metric falls, or stops far below the siblings.

    Reward rises by `reward_share` of its gain while the task metric falls by `task_share` of its own; or the task
    metric ends at `level` (65%) of the siblings' while reward gains `more` (half as much again); or it ends below its
    own start, by `task_share` of that. By definition.
    """
    reward, task = view.curve("reward", 10), view.curve("task", 6)
    if reward.metric == task.metric:
        raise NotApplicable(f"{task.metric} is both the reward and the task metric")
    if direction_of(task.metric)[0] == "min":
        raise NotApplicable(f"{task.metric} is better when lower")
    return (
        _falls(view, reward, task, reward_share, task_share)
        or _below_its_start(reward, task, task_share)
        or _stays_behind(view, reward, task, level, more)
    )


def _below_its_start(reward: Curve, task: Curve, share: float) -> Finding | None:
    """Judge a task metric that never gained: the reward rises while it ends below its own start."""
    # Means, because a task metric may be a success of 0 or 1 in each row.
    head = task.y[: max(5, len(task) // 33)]
    parts = np.array([float(np.mean(part)) for part in np.array_split(task.y, min(20, len(task)))])
    begin, end = float(np.mean(head)), float(parts[-2:].mean())
    lost, r = begin - end, reward.trend
    error = max(float(np.std(head)) / len(head) ** 0.5, task.noise / len(head) ** 0.5)
    low = parts < begin - 0.5 * lost
    if lost < share * abs(begin) or lost <= 3.5 * error or not low[len(low) // 2 :].all():
        return None
    rose = r.end - r.start
    sure = stats.rising(r.raw) > 2 or rose > 20 * r.error
    if rose <= 5 * r.error or rose < 0.1 * abs(r.start) or not sure or r.end < float(np.max(r.y)) - 0.3 * rose:
        return None
    fallen = stats.lasting(low)
    step = task.step(len(task) * (fallen or 0) // len(low))
    return _hacking(
        f"{reward.metric} rose from {num(r.start)} to {num(r.end)} while {task.metric} fell below its own start, from "
        f"{num(begin)} to {num(end)}",
        reward,
        task,
        step,
        {"reward_start": r.start, "reward_end": r.end, "task_start": begin, "task_end": end,
         "thresholds": {"task_share": share}},
        lost / (share * abs(begin)) if begin else 9.0,
    )  # fmt: skip


def _falls(
    view: RunView, reward: Curve, task: Curve, reward_share: float, task_share: float, slight: float = 0.15
) -> Finding | None:
    """Judge one run by itself: from the task metric's best on, do the two part?

    A task metric that gained only a `slight` part of what the siblings' did has nothing to lose.
    """
    others = view.relatives("task", task)
    r, t = reward.trend, task.trend
    peak = int(np.argmax(t.y))
    top = float(np.median(t.y[max(0, peak - 1) : peak + 2]))
    end = t.level(0.93)
    gain, lost = top - t.start, top - end
    here = float(np.interp(t.x[peak], r.x, r.y))
    reward_gain, rose = r.end - r.start, r.end - here
    if others and gain < slight * float(np.median([gain_of(other, 1) for other in others])):
        return None
    if gain <= 3 * t.error or reward_gain <= 4 * r.error or len(t.y) - peak < 3:
        return None
    if lost < task_share * gain or lost < max(3.5 * t.error, 1.0 * task.noise):
        return None
    if rose < reward_share * reward_gain or rose < 3 * r.error or stats.rank_trend(t.raw[peak:]) > -0.2:
        return None
    step = int(t.x[_logged_peak(t, peak)])
    return _hacking(
        f"{reward.metric} kept rising, from {num(here)} to {num(reward.final)}, while {task.metric} fell from "
        f"{num(float(np.max(task.y)))} to {num(task.final)} after step {step:,}",
        reward,
        task,
        step,
        {"reward_at_parting": here, "reward_end": r.end, "task_best": top, "task_end": end,
         "task_lost_of_gain": lost / gain, "reward_rise_of_gain": rose / reward_gain,
         "thresholds": {"reward_share": reward_share, "task_share": task_share}},
        min(lost / (task_share * gain), rose / (reward_share * reward_gain)),
    )  # fmt: skip


def _logged_peak(t: stats.Trend, peak: int, few: int = 60) -> int:
    """Return the place of the highest logged point about the peak of a course; of many points the course tells it."""
    if len(t.raw) >= few:
        return peak
    first = max(0, peak - t.window // 2)
    return first + int(np.argmax(t.raw[first : peak + t.window // 2 + 1]))


def _stays_behind(view: RunView, reward: Curve, task: Curve, level: float, more: float) -> Finding | None:
    """Judge one run by its siblings: more reward than theirs, and far less of the task."""
    rewards, tasks = view.relatives("reward", reward), view.relatives("task", task)
    if len(rewards) < 2 or len(tasks) < 2:
        return None
    usual_gain = float(np.median([gain_of(curve, 1) for curve in rewards]))
    usual_task = float(np.median([curve.trend.end for curve in tasks]))
    start_task = float(np.median([curve.trend.start for curve in tasks]))
    r, t = reward.trend, task.trend
    gain, end = r.end - r.start, t.level(0.9)
    if usual_gain <= 0 or usual_task - start_task <= 4 * t.error:
        return None
    if gain < more * usual_gain or gain <= 4 * r.error or end > level * usual_task or usual_task <= 0:
        return None
    # They part where the task metric stops following the siblings'.
    course = np.median([np.interp(t.x, curve.trend.x, curve.trend.y) for curve in tasks], axis=0)
    after = stats.lasting(t.y < course - max(0.15 * (usual_task - start_task), 2 * t.error))
    step = int(t.x[after or 0])
    return _hacking(
        f"{reward.metric} gained {gain / usual_gain:.1f} times as much as the siblings' while {task.metric} stopped at "
        f"{num(end)} against their {num(usual_task)}",
        reward,
        task,
        step,
        {"reward_gain": gain, "siblings_reward_gain": usual_gain, "task_end": end, "siblings_task_end": usual_task,
         "siblings": len(tasks), "thresholds": {"level": level, "more": more}},
        min(gain / (more * usual_gain), level * usual_task / end if end > 0 else 9.0),
    )  # fmt: skip


def _hacking(title: str, reward: Curve, task: Curve, step: int, evidence: dict[str, object], margin: float) -> Finding:
    return finding(
        "reward_hacking",
        title,
        reward,
        task,
        step=step,
        evidence={**evidence, "task_sparkline": task.sparkline},
        advice=f"Read samples after step {step:,} for what the reward pays; close that hole (or cap it), raise the KL "
        f"coefficient, and keep the checkpoint with the best {task.metric}.",
        margin=margin,
    )


@detector(
    "reward_collapse",
    "The reward is lost and does not come back",
    "ugly",
    ("reward",),
    label="the collapse of the reward",
    lens=("reward",),
    explains=("plateau_early", "primary_worse", "length_collapse"),
    passing=True,
)
def reward_collapse(view: RunView, lost: float = 0.5, onset: float = 0.15) -> Finding | None:
    """Reward loses `lost` (half by definition) of its gain and does not get it back; onset: `onset` of it lost."""
    reward = view.curve("reward", 12)
    t = reward.trend
    peak = int(np.argmax(t.y))
    top = float(np.median(t.y[max(0, peak - 2) : peak + 3]))
    gain, end = top - t.start, t.level(0.93)
    drop = top - end
    solid = max(6 * t.error, 1.5 * reward.noise / max(1, t.window) ** 0.5)
    if gain <= solid or drop < lost * gain or drop <= solid or 1 - t.part[peak] < 0.05:
        return None
    if float(np.median(reward.y[-max(3, len(reward) // 30) :])) > top - lost * gain * 0.8:
        return None
    after = stats.lasting(t.y < top - onset * gain)
    if after is None or len(t.y) - after < 3:
        return None
    step = int(t.x[after])
    return finding(
        "reward_collapse",
        f"{reward.metric} lost {f'{drop / gain:.0%} of its gain' if drop <= gain else 'more than it had gained'} after "
        f"step {step:,}: from {num(top)} to {num(end)}",
        reward,
        step=step,
        evidence={
            "start": t.start,
            "best": top,
            "best_step": int(t.x[peak]),
            "end": end,
            "lost_of_gain": drop / gain,
            "thresholds": {"lost": lost, "onset": onset},
        },
        levels={"best": top, f"{lost:.0%} of the gain lost": top - lost * gain},
        advice=f"Keep the checkpoint before step {step:,}; lower the learning rate, tighten KL or clipping.",
        margin=min(drop / (lost * gain), drop / solid if solid > 0 else 9.0),
    )


@detector(
    "reward_std_collapse",
    "No spread of rewards is left to learn from",
    "bad",
    label="vanished reward spread",
    needs="the role `reward_std` or `advantage_std`, and a reward whose ceiling is known",
    lens=("reward_std",),
    explains=("plateau_early", "grad_norm_vanishing", "metric_frozen", "no_learning"),
)
def reward_std_collapse(view: RunView, left: float = 0.12, solved: float = 0.9) -> Finding | None:
    """The spread of rewards in a group (or of advantages) falls to `left` (12% by definition) of its early level.

    And the reward is well short of its ceiling: all-equal groups of a solved task (`solved` of the ceiling) are fine.
    The ceiling is 1 for a reward between 0 and 1, else what the siblings reach; with neither, nothing is said.
    """
    role = "reward_std" if view.has("reward_std") else "advantage_std"
    spread = view.curve(role, 12)
    t = spread.trend
    early, end = t.level(0.0, 0.1), t.level(0.95)
    if early <= 0:
        raise NotApplicable(f"{spread.metric} begins at {num(early)}")
    if end > left * early or t.level(0.85, 0.95) > 1.5 * left * early:
        return None
    short = _short_of_ceiling(view, solved)
    if short is None:
        raise NotApplicable(f"{spread.metric} fell to {num(end)}, but the reward's ceiling is not known")
    if not short:
        return None
    step = int(t.x[below_course(t, 0.75, max(end, 0.0))])
    return finding(
        "reward_std_collapse",
        f"{spread.metric} fell from {num(early)} to {num(end)} since step {step:,}, {short}: no gradient is left",
        spread,
        step=step,
        evidence={"early": early, "end": end, "left": end / early, "thresholds": {"left": left, "solved": solved}},
        levels={"early level": early, f"{left:.0%} of it": left * early},
        advice="Sample hotter or with larger groups, drop groups of equal reward, make the tasks or the reward finer.",
        margin=left * early / end if end > 0 else None,
    )


def _short_of_ceiling(view: RunView, solved: float) -> str | None:
    """Return how far reward is below its ceiling in words, "" when it is there, None when the ceiling is unknown."""
    for role in ("reward", "task"):
        if not view.has(role) or len(view.curve(role)) < 4:
            continue
        curve = view.curve(role)
        if direction_of(curve.metric)[0] == "min":
            continue
        end, others = curve.trend.end, view.relatives(role, curve)
        low, high = float(np.min(curve.y)), float(np.max(curve.y))
        # Between 0 and 1, and not so low that 1 may be out of reach: what siblings failed to solve is not solved.
        if low >= -1e-9 and high <= 1 + 1e-9 and (high >= 0.5 or not others):
            return f"with {curve.metric} at {num(end)}" if end < solved else ""
        if others:
            best = float(np.quantile([other.trend.end for other in others], 0.75))
            start = float(np.median([other.trend.start for other in others]))
            if best > start:
                far = end < best - 0.2 * (best - start) - 2 * curve.trend.error
                return f"with {curve.metric} at {num(end)} (siblings reach {num(best)})" if far else ""
    return None
