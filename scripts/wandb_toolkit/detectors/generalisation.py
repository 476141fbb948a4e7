"""What training gains on its own data only: overfitting, and memorising where nothing else is measured."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import EPOCHS, Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.loss import proper_loss
from wandb_toolkit.detectors.progress import is_evaluation
from wandb_toolkit.model import Finding

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray


@detector(
    "overfitting",
    "The evaluation gets worse while the training loss keeps falling",
    "bad",
    ("loss",),
    needs="an eval loss, or an evaluation as primary metric",
    explains=("plateau_early", "primary_worse", "memorising"),
    takes_back=("eval_follows_train", "loss_decreased"),
    mark="overfits",
    mark_on="loss",
)
def overfitting(
    view: RunView, rise: float = 0.08, clear: float = 4.0, steady: float = 0.5, slight: float = 0.05, few: int = 20
) -> Finding | None:
    """The eval loss rises from its minimum by `rise` (8%) and `clear` times its noise while the training loss falls.

    Both are by definition. The rise is `steady` when Kendall's tau after the minimum says so. Of at most `few`
    evaluations, too few to estimate their noise, a rise from each to the next counts from `slight` (5%)
    on, over one step from twice that; so does a rise far out of the noise while the training loss falls to less than
    half. A single last point does not count as a rise where there are more than four. Where the eval loss says
    nothing, an accuracy (or what else is evaluated and is better higher) that falls by `slight` from its best does. A
    rise of less than half is a note where such a metric went on to its best.
    """
    loss = proper_loss(view, 2)
    has_eval = view.has("eval_loss") and len(view.curve("eval_loss")) >= 2
    if not has_eval and not _ranked_by_evaluation(view):
        view.curve("eval_loss", 2)  # says what is missing
    by_loss = _eval_loss_rises(view, loss, rise, clear, steady, slight, few) if has_eval else None
    return by_loss or _accuracy_falls(view, loss, clear, steady, slight)


def _eval_loss_rises(
    view: RunView, loss: Curve, rise: float, clear: float, steady: float, slight: float, few: int
) -> Finding | None:
    held_out = view.curve("eval_loss", 2)
    t, train = held_out.trend, loss.trend
    best = int(np.argmin(t.y))
    after = t.raw[best:]
    if len(after) < 2 or 1 - t.part[best] < 0.08:
        return None
    low, end = float(t.y[best]), float(np.median(after[-max(1, len(after) // 10) :]))
    scale = abs(low) if low > 0 else max(t.start - low, abs(low))
    up = end - low
    at, here, there = t.x[best], float(np.interp(t.x[best], train.x, train.y)), train.end
    if here - there <= max(2 * train.error, 0.05 * abs(here)):
        return None  # the training loss no longer falls: no overfitting
    noise, enough = _noise_after(held_out, after), rise
    climbs = len(held_out) <= few and bool((np.diff(after) > 0).all())
    if climbs and (len(after) >= 4 or len(held_out) <= 4):
        noise, enough = 0.0, slight if len(after) > 2 else 2 * slight
    elif len(held_out) < 5 or len(after) < 3 or stats.rank_trend(after) < steady:
        return None
    elif len(after) >= 10 and up >= 2 * clear * noise and 0 <= there <= 0.5 * here:
        enough = slight
    if up < enough * scale or up < clear * noise:
        return None
    if len(held_out) > 4 and float(np.max(after[:-1])) - low < 0.4 * up:
        return None
    step = int(at)
    return finding(
        "overfitting",
        f"{held_out.metric} was best ({num(low)}) at step {step:,} and rose by {up / scale:.0%} to {num(end)} while "
        f"{loss.metric} kept falling, from {num(here)} to {num(there)}",
        held_out,
        loss,
        step=step,
        evidence={
            "best": low,
            "best_step": step,
            "end": end,
            "rise": up / scale,
            "train_at_best": here,
            "train_end": there,
            "noise": noise,
            **_passes(view),
            "thresholds": {"rise": enough, "clear": clear, "steady": steady},
        },
        levels={"best": low, f"best + {enough:.0%}": low + enough * scale},
        advice=f"Use the checkpoint nearest to step {step:,}; stop there next time, or regularise, or add data.",
        severity="note" if up < 0.5 * scale and _still_gains(view, at) else None,
        margin=min(up / (enough * scale), up / (clear * noise) if noise > 0 else 9.0),
    )


def _still_gains(view: RunView, since: float) -> bool:
    """Return whether the evaluation that the run is judged by got better after a step, to its best at the end."""
    if not _ranked_by_evaluation(view) or view.primary is None:
        return False
    main = view.main()
    before, after = main.y[main.x <= since], main.y[main.x > since]
    if len(before) < 2 or len(after) < 3:
        return False
    end, best = float(np.median(after[-max(1, len(after) // 4) :])), float(np.max(main.y))
    return end > float(np.max(before)) + main.noise / 2 and best - end <= max(main.noise, 0.05 * (best - main.first))


def _passes(view: RunView, many: float = 12.0) -> dict[str, Any]:
    """Return how often the run went over its data, where that is logged and was often."""
    for name in EPOCHS:
        series = view.history.get(name)
        if series is not None and len(series) and np.isfinite(series.value[-1]) and series.value[-1] >= many:
            return {"case": "many passes", "epochs": float(round(series.value[-1]))}
    return {}


def _ranked_by_evaluation(view: RunView) -> bool:
    """Return whether the primary metric is an evaluation of which more is better."""
    primary = view.primary
    known = primary is not None and primary.direction == "max" and primary.metric in view.history
    return known and primary is not None and is_evaluation(primary.metric)


def _accuracy_falls(view: RunView, loss: Curve, clear: float, steady: float, slight: float) -> Finding | None:
    """Judge an evaluation of which more is better: has it fallen for good since its best, the training loss not?"""
    if not _ranked_by_evaluation(view) or len(view.main()) < 8:
        return None
    main, train = view.main(), loss.trend
    t = main.trend
    peak = int(np.argmax(t.y))
    after = t.raw[peak:]
    best, end = float(t.y[peak]), t.level(0.93)
    down = best - end
    here, there = float(np.interp(t.x[peak], train.x, train.y)), train.end
    enough = max(slight * abs(best), clear * t.error, 2 * main.noise)
    if len(after) < 5 or down < enough or stats.rank_trend(after) > -steady:
        return None
    if (
        here - there <= max(2 * train.error, 2 * slight * abs(here))
        or stats.rising(train.raw[train.x >= t.x[peak]]) > -2
    ):
        return None
    step = int(t.x[peak])
    return finding(
        "overfitting",
        f"{main.metric} was best ({num(best)}) at step {step:,} and fell to {num(end)} while "
        f"{loss.metric} kept falling, from {num(here)} to {num(there)}",
        main,
        loss,
        step=step,
        evidence={"best": best, "best_step": step, "end": end, "train_at_best": here, "train_end": there,
                  "noise": main.noise, **_passes(view),
                  "thresholds": {"fall": slight, "clear": clear, "steady": steady}},
        levels={"best": best, f"best - {slight:.0%}": best - slight * abs(best)},
        advice=f"Use the checkpoint nearest to step {step:,}; look for wrong labels, regularise, or add data.",
        margin=down / enough,
    )  # fmt: skip


def _noise_after(held_out: Curve, after: FloatArray) -> float:
    later = stats.noise(after)  # a short curve's steep fall looks like noise
    return min(held_out.noise, later) if len(after) >= 8 and later > 0 else held_out.noise


@detector(
    "memorising",
    "The training loss falls in steps where its data repeat",
    "bad",
    ("loss",),
    label="memorisation",
    needs="the role `loss`, and an epoch counter",
    takes_back=("loss_decreased",),
)
def memorising(
    view: RunView, stairs: float = 0.1, clear: float = 3.0, points: int = 6, part: float = 0.6, nothing: float = 0.02
) -> Finding | None:
    """The training loss drops from one epoch to the next, by `stairs` (10%) and `clear` errors, and stands in between.

    The drops at the boundaries are `part` of all that is gained from the first epoch's end on. Only where no eval loss
    says that what is gained holds for other data. `points` rows an epoch are needed to see a step. A loss that several
    epochs bring below `nothing` of its start, with no evaluation at all, is a note.
    """
    loss = proper_loss(view, 3 * points)
    if view.has("eval_loss") and len(view.curve("eval_loss")) >= 2:
        raise NotApplicable("an eval loss tells what is gained on other data")
    epoch = epoch_of(view, loss)
    boundaries = np.arange(1, int(np.floor(float(epoch[-1]) - 0.2)) + 1)
    if len(boundaries) == 0 or len(boundaries) > 20:
        raise NotApplicable(f"{len(boundaries)} ends of an epoch in the run")
    drops: list[tuple[int, float, float]] = []  # place, drop, level before
    for boundary in boundaries:
        before = _towards(epoch, loss.y, float(boundary), -0.5, points // 2)
        after = _towards(epoch, loss.y, float(boundary), 0.5, points // 2)
        if before is None or after is None:
            continue
        drop = before[0] - after[0]
        if drop > max(clear * (before[1] ** 2 + after[1] ** 2) ** 0.5, stairs * before[0]):
            drops.append((int(np.searchsorted(epoch, boundary)), drop, before[0]))
    first_end = loss.y[(epoch >= boundaries[0] - 0.5) & (epoch < boundaries[0])]
    steps = drops if len(drops) >= 0.5 * len(boundaries) else []
    fallen = sum(drop for _, drop, _ in steps)
    gained = float(np.median(first_end)) - loss.trend.end if len(first_end) else 0.0
    if not steps or gained <= 0 or fallen < part * gained:
        return _to_nothing(view, loss, float(epoch[-1]), nothing)
    step = loss.step(drops[0][0])
    levels = [num(level) for _, _, level in drops] + [num(loss.trend.end)]
    return finding(
        "memorising",
        f"{loss.metric} falls in steps where an epoch ends ({' → '.join(levels)}), from step {step:,} on, and "
        "no eval loss says that other data gain",
        loss,
        step=step,
        evidence={"drops": [drop for _, drop, _ in drops], "epochs": float(epoch[-1]), "of_gain": fallen / gained,
                  "thresholds": {"stairs": stairs, "part": part}},
        advice="Log an eval loss; without one, train for one epoch, or add data.",
        margin=fallen / (part * gained),
    )  # fmt: skip


def _to_nothing(view: RunView, loss: Curve, epochs: float, nothing: float) -> Finding | None:
    """Say of a loss that several epochs brought to next to nothing that no other data confirm it."""
    start, end = loss.trend.start, loss.trend.end
    if view.has("task") or epochs < 1.9 or start <= 0 or not 0 <= end < nothing * start:
        return None
    return finding(
        "memorising",
        f"{loss.metric} fell to {num(end / start * 100)}% of its start in {epochs:.0f} epochs, and no evaluation says "
        "that other data gain",
        loss,
        evidence={"start": start, "end": end, "epochs": epochs, "thresholds": {"nothing": nothing}},
        levels={"start": start, f"{nothing:.0%} of the start": nothing * start},
        advice="Log an eval loss or a task metric on held-out data.",
        severity="note",
    )


def _towards(
    epoch: FloatArray, y: FloatArray, boundary: float, reach: float, points: int
) -> tuple[float, float] | None:
    """Return the level that a straight line through half an epoch comes to at its boundary, and its standard error.

    `reach` tells which half: negative before, positive after. None where there are fewer than `points` rows in it.
    """
    low, high = sorted((boundary + 0.02 * np.sign(reach), boundary + reach))
    inside = (epoch >= low) & (epoch <= high)
    if inside.sum() < max(points, 3):
        return None
    away, level = epoch[inside] - boundary, y[inside]
    slope, at = np.polyfit(away, level, 1)
    scatter = float(np.std(level - (at + slope * away), ddof=min(2, len(level) - 1)))
    return float(at), 2 * scatter / len(level) ** 0.5  # twice a mean's error at the end of the line


def epoch_of(view: RunView, loss: Curve) -> FloatArray:
    """Return the epoch of each row of the loss, from a counter that grows within epochs.

    Raises:
        NotApplicable: there is none, or it counts whole epochs only while the loss is logged once in each.
    """
    for name in EPOCHS:
        series = view.history.get(name)
        if series is None or len(series) < 4:
            continue
        x, epochs = stats.finite(series.x, series.value)
        if len(x) < 4 or (np.diff(epochs) < 0).any() or epochs[-1] < 1.2:
            continue
        if len(np.unique(epochs)) > 3 * epochs[-1]:  # a fraction within each epoch
            return np.asarray(np.interp(loss.x, x, epochs))
        if len(loss) >= 6 * (epochs[-1] - epochs[0] + 1):  # whole numbers, on many rows each
            starts = np.array([x[np.searchsorted(epochs, e)] for e in np.unique(epochs)])
            ends = np.append(starts, x[-1] + 1)
            return np.asarray(np.interp(loss.x, ends, np.arange(len(ends), dtype=np.float64)))
    raise NotApplicable("no epoch counter that tells where the loss's epochs end")
