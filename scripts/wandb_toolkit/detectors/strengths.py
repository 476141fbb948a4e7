"""What goes well: evidence for it, not the mere absence of a finding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, detector
from wandb_toolkit.detectors.chance import everything_positive
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.loss import proper_loss
from wandb_toolkit.detectors.members import member_behind
from wandb_toolkit.detectors.progress import better, gain_of
from wandb_toolkit.model import Finding

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

SURE = 20.0  # errors of the trend: a gain beyond doubt


def _at_once(y: FloatArray, error: float) -> bool:
    """Return whether a curve gained beyond doubt and for good, be it late and all at once; more is better."""
    gain = float(y[-1] - y[0])
    if gain < SURE * error:
        return False
    there = int(np.argmax(y >= y[0] + 0.5 * gain))
    return bool((y[there:] >= y[0] + 0.2 * gain).all())


def moved(start: float, end: float, least: float = 0.01) -> bool:
    """Return whether a metric went by 1% of its size at least: a gain that its numbers do not show is none."""
    return abs(end - start) >= least * max(abs(start), abs(end)) and num(start) != num(end)


def _goes_on(view: RunView, curve: Curve, sign: int) -> None:
    """Refuse a curve that is several trainings in a row; a policy's return may fall for an episode.

    Raises:
        NotApplicable: the curve falls back to its start on the way.
    """
    if not view.about_policy and stats.restarts(sign * curve.y):
        raise NotApplicable(f"{curve.metric} starts anew on the way: folds, or several trainings in one run")


def _of_all(view: RunView, curve: Curve) -> None:
    """Refuse a metric of a federation that has one member's value in every row.

    Raises:
        NotApplicable: it tells of a member, and steps from one to another.
    """
    member = member_behind(view, curve.metric)
    if member is not None:
        raise NotApplicable(f"{curve.metric} is in every row the value of one member, mostly {member}, not of all")


@detector("primary_improved", "The primary metric improved", "good", learning=True)
def primary_improved(
    view: RunView, clear: float = 5.0, level: float = 0.04, slight: float = 0.2, kept: float = 0.5
) -> Finding | None:
    """The primary metric improved by `clear` times the error of its trend; whether it levelled off is said too.

    It kept more than half of it (`kept`); less is what `reward_collapse` means. Less than a `slight` part of what the
    siblings gained is not praised, nor is less than can be seen (`moved`).
    """
    main = view.main(6)
    t, sign = main.trend, better(view)
    end = t.level(0.95)
    gain = sign * (end - t.start)
    if sign < 0 and main.y[-1] == 0.0:
        return None  # a loss of exactly 0 was not computed, or has nothing left to teach
    if gain < max(clear * t.error, 1.5 * main.noise / t.window**0.5) or (
        stats.rising(sign * t.raw) < 2 and not _at_once(sign * t.y, t.error)
    ):
        return None
    if not moved(t.start, end) or sign * (main.final - main.first) <= 0:
        return None  # what tables show is no gain
    _goes_on(view, main, sign)
    _of_all(view, main)
    recall = everything_positive(view, main.metric)
    if recall is not None:
        raise NotApplicable(
            f"{recall.metric} is 1 in every row: {main.metric} follows the precision alone, which also rises with the "
            "share of positives in the data"
        )
    best = sign * float(np.max(sign * t.y))
    others = [gain_of(curve, sign) for curve in view.relatives("primary", main)]
    if others and gain < slight * float(np.median(others)):
        return None
    if gain < kept * sign * (best - t.start):
        return None  # most of it was lost again
    brought, _ = stats.last_fifth(t.x, t.raw)
    flat = sign * brought < level * gain if brought == brought else False
    end_of = " and has levelled off" if flat else ""
    return finding(
        "primary_improved",
        f"{main.metric} improved from {num(main.first)} to {num(main.final)}{end_of}",
        main,
        evidence={"start": main.first, "end": main.final, "gain": gain, "levelled_off": flat},
    )


def _reward_rose(view: RunView, clear: float = 5.0) -> bool:
    """Return whether the reward is higher at the end than at the start beyond doubt, as tables show it too."""
    reward = view.curve("reward", 8)
    t = reward.trend
    gain = t.end - t.start
    if gain < clear * t.error or reward.final <= reward.first or gain < 0.5 * (float(np.max(t.y)) - t.start):
        return False
    return gain > 0.25 * float(np.ptp(t.y)) and (stats.rising(t.raw) >= 2.5 or _at_once(t.y, t.error))


@detector("reward_improved", "The reward rose", "good", ("reward",), learning=True)
def reward_improved(view: RunView, clear: float = 5.0) -> Finding | None:
    """The reward rose by `clear` times the error of its trend and kept most of it; not said twice for the primary."""
    reward = view.curve("reward", 8)
    if view.primary is not None and view.primary.metric == reward.metric:
        raise NotApplicable(f"{reward.metric} is the primary metric")
    t = reward.trend
    gain = t.end - t.start
    if not moved(t.start, t.end) or reward.final <= reward.first:
        return None
    if gain < clear * t.error or gain < 0.7 * (float(np.max(t.y)) - t.start):
        return None
    if stats.rising(t.raw) < 2.5 and not _at_once(t.y, t.error):
        return None
    title = f"{reward.metric} rose from {num(reward.first)} to {num(reward.final)}"
    return finding("reward_improved", title, reward, evidence={"start": reward.first, "end": reward.final})


@detector(
    "loss_decreased",
    "The training loss fell steadily",
    "good",
    ("loss",),
    calm=True,
    learning=True,
)
def loss_decreased(view: RunView, clear: float = 5.0) -> Finding | None:
    """The training loss fell by `clear` times the error of its trend and ended near its best."""
    loss = proper_loss(view, 8)
    _goes_on(view, loss, -1)
    _of_all(view, loss)
    t = loss.trend
    drop, low = t.start - t.end, float(np.min(t.y))
    if loss.y[-1] == 0.0:
        return None  # of exactly 0: not computed, or nothing left to learn
    if not moved(t.start, t.end) or loss.final >= loss.first:
        return None
    if drop < clear * t.error or t.end - low > 0.1 * (t.start - low) + 2 * t.error or stats.rising(t.raw) > -2.5:
        return None
    title = f"{loss.metric} fell steadily from {num(loss.first)} to {num(loss.final)}"
    return finding(
        "loss_decreased", title, loss, evidence={"start": loss.first, "end": loss.final, "noise": loss.noise}
    )


@detector(
    "eval_follows_train",
    "The evaluation loss fell with the training loss",
    "good",
    ("loss", "eval_loss"),
    learning=True,
)
def eval_follows_train(view: RunView, near: float = 0.02) -> Finding | None:
    """The eval loss ended within `near` (2%) of its best, after a fall, while the training loss fell."""
    train, held_out = proper_loss(view, 6).trend, view.curve("eval_loss", 4)
    first, final = held_out.first, held_out.final
    t = held_out.trend
    low = float(np.min(t.y))
    fell = t.start - t.end
    if fell <= 3 * t.error or fell <= 0 or not moved(t.start, t.end) or final >= first or train.end >= train.start:
        return None
    if t.end - low > max(near * abs(low), 0.05 * fell):
        return None
    least = float(np.min(held_out.y))
    there = final - least <= max(2 * held_out.noise, 0.01 * (first - least), 0.002 * abs(least))
    where = "is at its best" if there else f"ends near its best ({num(least)})"
    title = f"{held_out.metric} fell with the training loss, from {num(first)} to {num(final)}, and {where}"
    return finding("eval_follows_train", title, held_out, evidence={"start": first, "end": final, "best": low})


@detector(
    "kl_stable",
    "KL is under control",
    "good",
    ("kl",),
    calm=True,
)
def kl_stable(view: RunView, steady: float = 2.0) -> Finding | None:
    """KL stayed within `steady` times its late median, outliers aside, and the reward rose meanwhile."""
    kl = view.curve("kl", 20).trend
    late = kl.y[kl.part >= 0.3]
    usual = float(np.median(late))
    if not _reward_rose(view) or usual <= 0 or float(np.max(late)) > steady * usual:
        return None
    if min(float(np.min(late)), kl.level(0.9)) < usual / (2 * steady):
        return None  # it dies away, as under a learning rate that goes to zero
    metric = view.roles["kl"].metric
    title = f"{metric} stayed near {num(usual)} while the reward rose"
    return finding("kl_stable", title, view.curve("kl"), evidence={"level": usual, "highest": float(np.max(late))})


@detector(
    "grad_norm_stable",
    "The gradient norm is steady",
    "good",
    ("grad_norm",),
    calm=True,
)
def grad_norm_stable(view: RunView, steady: float = 3.0, apart: float = 5.0) -> Finding | None:
    """After the first tenth the gradient norm's trend stayed within `steady` times its median, and never was NaN.

    Steady at `apart` times the siblings' level, or at a fifth of it, is not praised.
    """
    norm = view.curve("grad_norm", 20)
    t = norm.trend
    late = t.y[t.part >= 0.1]
    usual = float(np.median(late))
    if usual <= 0 or float(np.max(late)) > steady * usual or norm.logged > len(norm):
        return None
    if min(float(np.min(late)), t.level(0.9)) < usual / (2 * steady):
        return None  # it dies away
    levels = [other.median for other in view.relatives("grad_norm", norm)]
    if levels and not 0.2 < usual / max(float(np.median(levels)), 1e-300) < apart:
        return None
    title = f"{norm.metric} stayed near {num(usual)}"
    return finding("grad_norm_stable", title, norm, evidence={"level": usual, "highest": float(np.max(late))})


@detector("entropy_healthy", "The policy keeps exploring", "good", ("entropy",))
def entropy_healthy(view: RunView, kept: float = 0.4) -> Finding | None:
    """Entropy ended above `kept` of where it began, while the reward rose."""
    entropy = view.curve("entropy", 12)
    t = entropy.trend
    if t.start <= 0 or t.end < kept * t.start or t.end > 1.5 * t.start:
        return None
    if not _reward_rose(view):
        return None
    title = f"{entropy.metric} kept {t.end / t.start:.0%} of where it began while the reward rose"
    return finding("entropy_healthy", title, entropy, evidence={"start": t.start, "end": t.end})
