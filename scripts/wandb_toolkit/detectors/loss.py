"""The training loss: divergence and spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import OBJECTIVE, Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.phases import planned_changes, refuse_range_test
from wandb_toolkit.model import Finding
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

MANY = 200  # points, to tell a tail of the scatter from spikes
_QUARTER_OF_SIZE = 0.3186  # lower quartile of the size of a standard normal variable


def proper_loss(view: RunView, at_least: int) -> Curve:
    """Return the training loss where it is one: something that falls as training goes well.

    Raises:
        NotApplicable: there is none, it is too short, or it is the objective of a policy or an adversary.
    """
    loss = view.curve("loss", at_least)
    refuse_range_test(view)
    if loss.is_objective or view.about_policy:
        raise NotApplicable(f"{loss.metric} {OBJECTIVE}")
    return loss


@detector(
    "loss_divergence",
    "The training loss turns round and ends far above its best",
    "ugly",
    ("loss",),
    label="the loss divergence",
    explains=(
        "loss_spike",
        "grad_norm_explosion",
        "grad_norm_vanishing",
        "plateau_early",
        "primary_worse",
        "no_learning",
        "chance_level",
    ),
    takes_back=("loss_decreased", "eval_follows_train", "primary_improved", "grad_norm_stable"),
)
def loss_divergence(
    view: RunView,
    share: float = 0.4,
    clear: float = 4.0,
    visible: float = 0.06,
    wild: float = 100.0,
    start: float = 1.5,
    times: float = 3.0,
) -> Finding | None:
    """The loss ends, for good, above its best by `share` of what it had gained, and by `clear` times its noise.

    The onset is where it has left its best level by `visible` (6%) and twice its noise. All are by definition. A loss
    that its first updates broke has no best level: its first logged value is the yardstick, which it leaves upward for
    good (`start` times it), or far (`times` it) and long without ending better. A policy's objective is judged only
    when it grows `wild` times (two orders of magnitude) beyond its early size.
    """
    loss = view.curve("loss", 8)
    refuse_range_test(view)
    if loss.is_objective or view.about_policy:
        return _wild_growth(view.curve("loss", 20), wild)
    return _from_the_start(view, loss, start, times) or _from_its_best(view.curve("loss", 20), share, clear, visible)


def _from_the_start(view: RunView, loss: Curve, start: float, times: float) -> Finding | None:
    """Judge a loss by its first logged value, the only one that its first updates have not broken yet."""
    first = float(np.median(loss.y[:1])) if loss.y[0] > 0 else 0.0
    if first <= 0 or float(np.min(loss.y)) < 0:
        return None
    noise = stats.noise(loss.y[len(loss) // 2 :])
    end = float(np.median(loss.y[-max(3, len(loss) // 10) :]))
    above = loss.y > max(1 + (start - 1) / 2, 1.05) * first
    excursion = loss.y > times * first
    if (
        end > start * first
        and end - first > 4 * noise
        and float(np.mean(above)) >= 0.75
        and above[: max(4, len(loss) // 5)].any()
    ):
        at = int(np.argmax(above))
        ending = f"and never came back: it ends at {num(end)}"
    elif int(excursion.sum()) >= max(3, len(loss) // 33) and end > 0.8 * first and noise < 0.25 * first:
        at = int(np.argmax(excursion))
        ending = f"went to {num(float(np.max(loss.y)))}, and ends no better, at {num(end)}"
    else:
        return None
    step = loss.step(at)
    return finding(
        "loss_divergence",
        f"{loss.metric} left its first level ({num(first)}) upward at step {step:,}, {ending}",
        loss,
        step=step,
        evidence={
            "first": first,
            "highest": float(np.max(loss.y)),
            "end": end,
            "noise": noise,
            "thresholds": {"start": start, "times": times},
        },
        levels={"first value": first, f"{start:g} × first value": start * first},
        advice="Lower the learning rate by an order of magnitude, warm it up, clip gradients; nothing of it is of use.",
        margin=max(end / (start * first), float(np.max(loss.y)) / (times * first)),
    )


def _from_its_best(loss: Curve, share: float, clear: float, visible: float) -> Finding | None:
    """Judge a loss by the best level that it had reached."""
    t = loss.trend
    best = int(np.argmin(t.y))
    low = float(np.median(t.y[max(0, best - 2) : best + 3]))
    gain = max(t.start - low, float(np.max(t.y[: best + 1])) - low)
    tail = loss.y[-max(3, len(loss) // 50) :]
    end = float(np.median(tail))
    rise = end - low
    floor = max(clear * loss.noise, 3 * t.error)
    if rise < share * gain or rise <= floor or float(np.min(tail)) - low < 0.5 * rise:
        return None
    if gain < 2 * t.error and rise < visible * abs(low):
        return None
    margin = min(max(visible * abs(low), 2 * loss.noise), 0.5 * rise)
    after = stats.lasting(t.y > low + margin)
    if after is None or t.part[after] > 0.995:
        return None
    span = float(t.x[max(0, after - 1)]), float(t.x[min(after + 1, len(t.x) - 1)])
    step = int(stats.first_beyond(loss.x, loss.y > low + margin, *span) or t.x[after])
    ratio = f"{end / low:.2g}× its best level" if low > 0 else f"{num(rise)} above its best"
    return finding(
        "loss_divergence",
        f"{loss.metric} left its level at step {step:,} and ended at {num(end)}, {ratio} ({num(low)})",
        loss,
        step=step,
        evidence={
            "best": low,
            "best_step": int(t.x[best]),
            "end": end,
            "rise_of_gain": rise / gain if gain > 0 else None,
            "noise": loss.noise,
            "thresholds": {"share": share, "clear": clear, "visible": visible},
        },
        levels={"best level": low, "left its level": low + margin},
        advice=f"Take the checkpoint before step {step:,}; lower the learning rate, clip gradients.",
        margin=min(rise / (share * gain) if gain > 0 else 9.0, rise / floor if floor > 0 else 9.0),
    )


def _wild_growth(loss: Curve, wild: float) -> Finding | None:
    """Judge a policy's objective: only its size can be wrong."""
    size = np.abs(loss.y)
    early = float(np.quantile(size[: max(10, len(size) // 3)], 0.95))
    late = stats.running_median(size, 5)
    after = stats.lasting(late > wild * early)
    if early <= 0 or after is None or len(size) - after < 3:
        raise NotApplicable(f"{loss.metric} {OBJECTIVE}")
    step = loss.step(after)
    end = float(np.median(size[-3:]))
    return finding(
        "loss_divergence",
        f"{loss.metric} has grown from {num(early)} to {num(end)} in size since step {step:,}",
        loss,
        step=step,
        evidence={"early_size": early, "end_size": end, "thresholds": {"wild": wild}},
        levels={"early size": early, f"{wild:g} × early size": wild * early},
        advice="Lower the learning rate and clip gradients; look at the advantages' scale.",
    )


@detector(
    "loss_spike",
    "The training loss jumps and is slow to come back, or jumps repeatedly",
    "bad",
    ("loss",),
    label="the loss spikes",
)
def loss_spike(
    view: RunView,
    noises: float = 8.0,
    jump: float = 0.2,
    slow: int = 10,
    repeats: int = 3,
    warm: float = 0.03,
    slight: float = 0.05,
    gap: float = 2.0,
) -> Finding | None:
    """The loss jumps abruptly by `noises` times its noise and by `jump` (20%), for `slow` points or `repeats` times.

    The four hold by definition. The first `warm` of the run and its first 5 points are the warm-up and not judged.
    Brief jumps no larger than the dips are heavy tails. A jump that comes back and is a `slight` part of all that the
    loss gained is a note. Jumps where a logged phase or fold begins or the learning rate restarts are none, nor, of
    many points, brief ones less than `gap` times what one in 200 of the others rises by.
    """
    loss = proper_loss(view, 20)
    y, noise = loss.y, _calm_noise(loss)
    # Where the loss falls fast, the last three points are nearer to its level than the last nine.
    base = np.fmin(stats.trailing_median(y, 9), stats.trailing_median(y, 3))
    limit = np.maximum(noises * _local_noise(y, noise), jump * np.abs(base))
    late = (np.arange(len(y)) >= 5) & (loss.x >= loss.x[0] + warm * (loss.x[-1] - loss.x[0]))
    with np.errstate(invalid="ignore"):
        up = late & (y - base > limit)
    events: list[tuple[int, int, float]] = []  # first point, points until back, height
    calm = y.copy()  # without the spikes
    free = 0
    for i in map(int, np.flatnonzero(up)):
        if i < free:
            continue
        back = _points_until_back(y, i, float(base[i]), noise)
        events.append((i, back, float(np.max(y[i : i + back]) - base[i])))
        calm[i : i + back] = base[i]
        free = i + max(back, 3)
    # Heavy tails reach as far down as up: a brief jump has to be twice what the third deepest dip was.
    dips = np.sort((stats.running_median(calm, 9) - calm)[late])
    tail = 2 * float(dips[-3]) if len(dips) > 3 else 0.0
    # Noise that wanders goes as far by itself, and takes as long to come back.
    wander = 4.5 * float(np.median(np.abs(calm - stats.running_median(calm, min(61, len(y) // 4))))) * 1.4826
    events = [event for event in events if event[2] > wander and (event[1] >= slow or event[2] > tail)]
    by_plan = planned_changes(view)
    events = [event for event in events if not any(abs(loss.x[event[0]] - at) <= near for at, near in by_plan)]
    # A tail that goes on without a gap is the loss's own scatter, as of a diffusion model's over its time steps.
    rest = (calm - base)[late]
    usual = float(np.nanquantile(rest, 0.995)) if len(rest) >= MANY else 0.0
    events = [event for event in events if event[1] >= slow or event[2] > gap * usual]
    slow_ones = [event for event in events if event[1] >= slow]
    if not slow_ones and len(events) < repeats:
        return None
    first = (events if len(events) >= repeats else slow_ones)[0]
    worst = max(events, key=lambda event: event[2])
    step = loss.step(first[0])
    count = f"{len(events)} times, first" if len(events) > 1 else "once,"
    longest = max(event[1] for event in events)
    open_end = any(i + back >= len(y) for i, back, _ in events)
    recovery = "it has not come back" if open_end else f"the slowest recovery took {plural(longest, 'logged point')}"
    return finding(
        "loss_spike",
        f"{loss.metric} jumped {count} at step {step:,}, by up to {num(worst[2])} ({worst[2] / noise:.0f}× its "
        f"noise); {recovery}"
        if noise > 0
        else f"{loss.metric} jumped {count} at step {step:,}, by up to {num(worst[2])}; {recovery}",
        loss,
        step=step,
        evidence={
            "steps": [loss.step(i) for i, _, _ in events[:20]],
            "count": len(events),
            "points_to_recover": [back for _, back, _ in events[:20]],
            "noise": noise,
            "recovered": not open_end,
            # Gone at once, again and again: it is in single batches.
            **({"case": "batches"} if len(events) >= repeats and longest <= 2 and not open_end else {}),
            "thresholds": {"noises": noises, "jump": jump, "slow": slow, "repeats": repeats},
        },
        levels={"level before": float(base[first[0]]), "limit of a jump": float(base[first[0]] + limit[first[0]])},
        advice="Clip gradients tighter or lower the peak learning rate; look at the batches of those steps.",
        severity="note" if len(events) < repeats and not open_end and worst[2] < slight * _gain(loss) else "bad",
        margin=max(longest / slow, len(events) / repeats),
    )


def _gain(loss: Curve) -> float:
    """Return how far the loss came in all."""
    return float(loss.y[0]) - float(np.min(loss.trend.y))


def _calm_noise(loss: Curve) -> float:
    """Return the noise between the spikes: from the smaller bends, where a short run has many spikes."""
    bends = np.abs(np.diff(loss.y, n=2))
    calm = float(np.quantile(bends, 0.25)) / _QUARTER_OF_SIZE / 6**0.5
    return min(loss.noise, calm) if calm > 0 else loss.noise


def _local_noise(y: FloatArray, overall: float) -> FloatArray:
    """Return the noise before each point: the run's, or that of the last 40 points where it is clearly larger."""
    bends = np.abs(np.diff(y, n=2, prepend=[y[0], y[0]]))  # second differences: a steep fall is no noise
    # The lower quartile: each spike makes three large bends, and several may lie close together.
    local = np.nan_to_num(stats.trailing_quantile(bends, 40, 0.25) / _QUARTER_OF_SIZE / 6**0.5)
    return np.where(local > 1.5 * overall, local, overall)


def _points_until_back(y: FloatArray, start: int, base: float, noise: float) -> int:
    """Return how many points a spike stays above its course, by a tenth of its height and two noises.

    The course goes straight from the level before to that long after: where the loss still falls, it is back at the
    level before sooner than on its course.
    """
    top = start + int(np.argmax(y[start : start + 5]))
    height = float(y[top]) - base
    margin = max(0.1 * height, min(2 * noise, 0.5 * height))
    below = np.flatnonzero(y[top:] <= base + 1.5 * margin)
    if not len(below):
        return len(y) - start
    back = top - start + int(below[0])
    after = min(start + 4 * back, len(y) - 1)
    later = min(base, float(np.median(y[max(top + 1, after - 2) : after + 3])))
    course = np.interp(np.arange(top, len(y)), [start, after], [base, later])
    # An outlier in noise that wanders by itself is no spike that lingers: most of the height would be gone at once.
    lingers = float(np.mean(y[top + 1 : top + 10] - course[1:10])) >= 0.3 * height if top + 1 < len(y) else False
    below = np.flatnonzero(y[top:] <= course + (margin if lingers else max(margin, 0.3 * height)))
    return max(1, top - start + int(below[0])) if len(below) else back
