"""Results that never leave what guessing gives, and classes that are never found."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, curve_of, detector
from wandb_toolkit.detectors.environments import environment_of
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.length import flat_config
from wandb_toolkit.detectors.schedule import not_before_long, stopped_in_warmup
from wandb_toolkit.model import Finding
from wandb_toolkit.roles import words_of

_CLASS_KEYS = ("num_classes", "n_classes", "num_labels", "nclasses", "nb_classes", "num_class", "classes", "n_labels")
_VOCABULARY = ("vocab_size", "padded_vocab_size", "n_vocab")
_MANY = 1_000_000  # classes, or tokens of a vocabulary: no model has more
_ACCURACY = frozenset({"accuracy", "acc", "top1"})
_AREA = frozenset({"auc", "auroc", "rocauc"})
# What tells of rare classes where the accuracy does not, and the value of a model that always says the same.
_BY_CLASS = re.compile(
    r"(^| )(f1|recall|sensitivity|mcc|matthews|kappa|dice|iou|miou|jaccard|balanced (accuracy|acc))( |$)"
)


def _configured(view: RunView, keys: tuple[str, ...]) -> int | None:
    found = dict(flat_config(view.run.config))
    for key in keys:
        value = found.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 2 <= value <= 10_000_000:
            return int(value)
        if isinstance(value, (list, tuple)) and len(value) >= 2:
            return len(value)
    return None


def _metrics(view: RunView, words: frozenset[str]) -> Iterator[Curve]:
    """Yield the curves whose key has one of the words: what it measures, whichever data it is of."""
    for name, series in view.history.series.items():
        if words.intersection(words_of(name).split()) and len(series) and not name.startswith("system."):
            yield curve_of(series)


@detector(
    "chance_level",
    "The result never leaves what guessing gives",
    "bad",
    label="a result at chance",
    needs="an accuracy, AUC, loss or return whose chance level is known: from the config's classes, vocabulary or "
    "environment, from each other, or because it is a preference loss",
    explains=("no_learning", "plateau_early", "metric_frozen", "preference_degrades", "primary_worse"),
    takes_back=(
        "loss_decreased",
        "eval_follows_train",
        "primary_improved",
        "reward_improved",
        "grad_norm_stable",
        "entropy_healthy",
        "kl_stable",
    ),
    passing=True,
)
def chance_level(view: RunView, points: int = 4, near: float = 0.25, exact: float = 0.02) -> Finding | None:
    """The result stays at what guessing gives: an accuracy of 1/classes, ln(classes), ln 2 of a preference loss.

    An accuracy or AUC is at chance within `near` (a quarter) of it or its noise, a loss within `exact` of ln(classes),
    both over the last half of at least `points` rows and nowhere clearly better before. The number of classes is the
    config's, else that for which accuracy and loss both are at chance. A loss that ends above ln(vocabulary) or
    ln(classes) is worse than a uniform guess. A return is at chance in a known environment where it ends closer to that
    of random actions than a tenth of the way to what counts as solved; where it still rises, a twenty-fifth.
    """
    if stopped_in_warmup(view):
        raise NotApplicable("the run broke off while its learning rate was warming up")
    not_before_long(view)
    judges = (_accuracy, _area, _preference, _above_uniform, _random_actions)
    reasons = []
    for judge in judges:
        try:
            made = judge(view, points, near, exact)
        except NotApplicable as reason:
            reasons.append(str(reason))
            continue
        if made is not None:
            return made
    if len(reasons) == len(judges):
        raise NotApplicable("no accuracy, AUC, loss or return whose chance level is known")
    return None


def _flat_at(curve: Curve, level: float, margin: float) -> bool:
    """Return whether a curve is within `margin` of a level over its last half, and nowhere clearly better before."""
    late = curve.y[len(curve) // 2 :]
    return abs(float(np.median(late)) - level) <= margin and abs(curve.trend.level(0.8) - level) <= margin


def _said(curve: Curve, what: str, level: float, *others: Curve, end: float | None = None) -> Finding:
    end = curve.trend.level(0.8) if end is None else end
    return finding(
        "chance_level",
        f"{curve.metric} ends at {num(end)}, {what}",
        curve,
        *others,
        evidence={"end": end, "chance": level, "best": float(np.max(curve.y))},
        levels={"chance": level},
        advice="Overfit one small batch first; look at labels, their alignment with the inputs, and the learning rate.",
    )


def _accuracy(view: RunView, points: int, near: float, exact: float) -> Finding | None:
    classes = _configured(view, _CLASS_KEYS)
    roles = ("eval_loss", "loss") if not view.about_policy else ()  # a policy's objective is not a cross-entropy
    losses = [view.curve(role) for role in roles if view.has(role) and len(view.curve(role)) >= points]
    looked = False
    for curve in _metrics(view, _ACCURACY):
        if len(curve) < points or "balanced" in curve.metric.lower():
            continue
        scale = 100.0 if float(np.max(curve.y)) > 1.5 else 1.0
        end = curve.trend.level(0.8) / scale
        n, loss = classes, None
        if n is None and "token" not in curve.metric.lower():
            n, loss = _agreed(end, losses, exact)
        if n is None:
            continue
        looked = True
        level = scale / n
        margin = max(near * level * (0.2 if n == 2 else 1.0), 2 * curve.noise if n > 2 else 0.0)
        margin = max(margin, scale * _leeway(n)) if loss is not None else margin
        if not _flat_at(curve, level, margin) or float(np.quantile(curve.trend.y, 0.9)) > level + 2 * margin:
            continue
        if any(other.trend.start - other.trend.end > max(0.1 * abs(other.trend.start), 5 * other.trend.error)
               and other.trend.end < 0.8 * math.log(n) for other in losses):  # fmt: skip
            continue  # the loss has left chance: classes are uneven, or the accuracy is of something else
        beside = [loss] if loss is not None else []
        text = f"what guessing among {n} classes gives ({num(level)})"
        if loss is not None:
            text = f"what guessing among about {n} classes gives, and {loss.metric} says the same: "
            text += f"{num(loss.trend.level(0.8))}, where ln {n} is {math.log(n):.3g}"
        return _said(curve, text, level, *beside)
    if not looked:
        raise NotApplicable("no accuracy whose number of classes is known")
    return None


def _agreed(accuracy: float, losses: list[Curve], exact: float) -> tuple[int | None, Curve | None]:
    """Return the number of classes for which both an accuracy and a loss are at chance, and that loss.

    A loss that was thrown there stands a little above the uniform guess: it is sure of the wrong shares.
    """
    if not 0.0005 < accuracy <= 0.58:
        return None, None
    for loss in losses:
        level = loss.trend.level(0.8)
        fits = [
            n
            for n in range(max(2, round(0.6 / accuracy)), round(1.6 / accuracy) + 1)
            if -exact * level <= level - math.log(n) <= 4 * exact * level and abs(accuracy - 1 / n) <= _leeway(n)
        ]
        if fits:
            above = {n: max(level - math.log(n), 0.0) / (8 * exact * level) for n in fits}
            best = min(fits, key=lambda n: above[n] + 4 * abs(1 - n * accuracy))
            return best, loss
    return None, None


def _leeway(n: int) -> float:
    """Return how far from 1/n an accuracy may be where the loss says n: shares of few classes are rarely even."""
    return (0.4 if n >= 8 else 0.15 if n > 2 else 0.16) / n


def _area(view: RunView, points: int, near: float, exact: float) -> Finding | None:
    curves = [curve for curve in _metrics(view, _AREA) if len(curve) >= max(points, 6)]
    if not curves:
        raise NotApplicable("no AUC")
    for curve in curves:
        if _flat_at(curve, 0.5, exact) and float(np.quantile(curve.trend.y, 0.9)) <= 0.5 + 2 * exact:
            return _said(curve, "what guessing gives (0.5)", 0.5)
    return None


def _preference(view: RunView, points: int, near: float, exact: float) -> Finding | None:
    """Judge a preference loss (DPO and kin): ln 2 is the loss of a coin."""
    if not (view.has("loss") and (view.has("margin") or view.has("preference_accuracy"))):
        raise NotApplicable("no preference loss")
    loss = view.curve("loss", max(points, 10))
    level = math.log(2)
    if not _flat_at(loss, level, exact * level) or float(np.quantile(loss.trend.y, 0.1)) < (1 - 2 * exact) * level:
        return None
    others = []
    if view.has("preference_accuracy") and len(view.curve("preference_accuracy")) >= points:
        accuracy = view.curve("preference_accuracy")
        if accuracy.trend.level(0.8) > 0.6:
            return None
        others.append(accuracy)
    return _said(loss, f"the {level:.3g} (ln 2) of a coin: the preferences were not learned", level, *others)


def _above_uniform(view: RunView, points: int, near: float, exact: float) -> Finding | None:
    """Judge a cross-entropy over a known number of outcomes: above its logarithm it is worse than a uniform guess."""
    n = _configured(view, _VOCABULARY) or _configured(view, _CLASS_KEYS)
    if n is None and any(len(c) >= points and float(np.max(c.y)) < 0.5 for c in _metrics(view, _ACCURACY)):
        n = _MANY  # it classifies, badly, into no more classes than these
    roles = [role for role in ("eval_loss", "loss") if view.has(role) and len(view.curve(role)) >= points]
    if n is None or not roles or view.about_policy or view.has("margin"):
        raise NotApplicable("no loss over a known number of outcomes")
    for role in roles:
        curve = view.curve(role)
        if curve.is_objective:
            continue
        end = curve.trend.level(0.8)
        if float(np.min(curve.trend.y)) < (1 - exact) * math.log(n) - 2 * curve.trend.error:
            continue  # it had been better: what it learned was lost, or does not hold for other data
        guess = math.log(n)
        if end > guess * (1 + exact) + 2 * curve.trend.error and curve.trend.end > guess:
            among = f"{n:,}" if n != _MANY else "a million, more than there are classes"
            return _said(curve, f"above the {guess:.3g} of a uniform guess among {among}", guess)
        # A steep fall leaves the level of the last fifth unsure: its last points tell.
        last = float(np.median(curve.y[-3:]))
        tokens = _configured(view, _VOCABULARY) is not None  # the commonest of many is right more often than by chance
        right = any(c.trend.end > 1.5 / n for c in _metrics(view, _ACCURACY) if len(c) >= points)
        known = n != _MANY and (tokens or not right)
        if known and (1 - exact) * guess <= last and len(curve) >= 2 * points:
            how = "no" if num(last) == num(guess) or last > guess else "hardly"
            return _said(curve, f"{how} better than the {guess:.3g} of a uniform guess among {n:,}", guess, end=last)
    return None


def _random_actions(
    view: RunView, points: int, near: float, exact: float, far: float = 0.1, close: float = 0.04
) -> Finding | None:
    """Judge the return in a well-known environment: is it what random actions earn?"""
    environment = environment_of(view.run.config)
    if environment is None or not view.has("reward") or len(view.curve("reward")) < 5 * points:
        raise NotApplicable("no return in a known environment")
    reward = view.curve("reward")
    if not bool(((reward.y >= environment.lowest) & (reward.y <= environment.highest)).all()):
        raise NotApplicable("the return is not the environment's own")
    t, way = reward.trend, environment.solved - environment.random
    end = t.level(0.9)
    # Still on its way: it rises, and the last part brought its share of all that was gained.
    late = t.raw[t.part >= 0.4]
    climbs = stats.rising(late) > 2 and end - t.level(0.3, 0.5) > 0.25 * (end - t.start)
    if (
        end - environment.random >= (close if climbs else far) * way
        or float(np.max(t.y)) - environment.random > 2 * far * way
    ):
        return None
    below = "below " if end < environment.random - 2 * t.error - 0.02 * way else ""
    more = "" if below else " or little more"
    text = f"{below}what random actions earn in {environment.name} ({num(environment.random)}){more}; "
    return _said(reward, text + f"it counts as solved at {num(environment.solved)}", environment.random, end=end)


@detector(
    "class_imbalance",
    "A class is never found behind a high accuracy",
    "bad",
    label="classes that are never found",
    needs="an accuracy, and a metric by class: F1, recall, MCC, Dice, IoU, balanced accuracy",
    explains=("primary_worse", "metric_frozen"),
    takes_back=("primary_improved", "loss_decreased", "eval_follows_train"),
    mark="one class",
)
def class_imbalance(view: RunView, high: float = 0.7, none: float = 0.02, points: int = 3) -> Finding | None:
    """F1, recall, MCC, Dice or IoU is at 0 (within `none`), or balanced accuracy at 0.5; the accuracy is above `high`.

    Over the last `points` rows: the model says the same of everything, and the accuracy is the share of that class.
    """
    accuracies = [c for c in _metrics(view, _ACCURACY) if len(c) >= points and "balanced" not in c.metric.lower()]
    by_class = [
        curve_of(series)
        for name, series in view.history.series.items()
        if len(series) >= points and _BY_CLASS.search(words_of(name)) and not name.startswith("system.")
    ]
    if not accuracies or not by_class:
        raise NotApplicable("no accuracy beside F1, recall, MCC, Dice, IoU or balanced accuracy")
    for curve in by_class:
        if len(curve) < points:
            continue
        words = words_of(curve.metric)
        scale = 100.0 if float(np.max(np.abs(curve.y))) > 1.5 else 1.0
        floor = 0.5 if "balanced" in words else 0.0
        last = curve.y[-points:] / scale
        if not bool((np.abs(last - floor) <= none).all()):
            continue
        beside = min(accuracies, key=lambda other: _distance(other.metric, curve.metric))
        top = 100.0 if float(np.max(beside.y)) > 1.5 else 1.0
        level = float(np.median(beside.y[-points:])) / top
        if level < high:
            continue
        at_floor = np.flatnonzero(np.abs(curve.y / scale - floor) > none)
        first = int(at_floor[-1]) + 1 if len(at_floor) else 0
        step = curve.step(first)
        since = "in every row" if first == 0 else f"from step {step:,} on"
        return finding(
            "class_imbalance",
            f"{curve.metric} is {num(float(curve.y[-1]))} {since} while {beside.metric} is {level:.0%}: the model says "
            "the same of everything",
            curve,
            beside,
            step=step,
            evidence={"end": float(curve.y[-1]), "accuracy": level, "thresholds": {"high": high, "none": none}},
            levels={"nothing told apart": floor * scale},
            advice="Weight the loss by class or resample, choose the threshold on a precision-recall curve, and rank "
            f"runs by {curve.metric}.",
        )
    return None


def everything_positive(view: RunView, metric: str, points: int = 5) -> Curve | None:
    """Return the recall beside an F1 or precision that is 1 in every row; None where there is none.

    Then nothing is ever called negative: F1 and precision follow the share of positives in the data, not the model.
    """
    words = set(words_of(metric).split())
    if not words & {"f1", "precision"}:
        return None
    for name, series in view.history.series.items():
        same = set(words_of(name).split()) - {"recall"} == words - {"f1", "precision", "score"}
        if same and "recall" in words_of(name).split() and len(series) >= points:
            recall = curve_of(series)
            if len(recall) >= points and float(np.min(recall.y)) in (1.0, 100.0):
                return recall
    return None


def _distance(one: str, other: str) -> int:
    """Return how few words two keys share, negated: the accuracy of the same data stands beside a class metric."""
    return -len(set(words_of(one).split()) & set(words_of(other).split()))
