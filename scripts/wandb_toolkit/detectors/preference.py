"""Preference training (DPO and kin): what becomes of the chosen answers, and are they told from the rejected."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, NotApplicable, RunView, curve_of, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.progress import is_evaluation
from wandb_toolkit.detectors.schedule import stopped_in_warmup
from wandb_toolkit.model import Finding
from wandb_toolkit.roles import words_of


@detector(
    "preference_degrades",
    "Preference training makes the chosen answers worse, or does not tell them apart",
    "bad",
    label="degrading preferences",
    needs="one of the roles `chosen_reward`, `chosen_logp`, `preference_accuracy`, `margin`",
    explains=("metric_frozen", "primary_worse"),
    takes_back=("loss_decreased", "eval_follows_train", "primary_improved"),
)
def preference_degrades(view: RunView, share: float = 0.25, fair: float = 0.55, most: float = 0.6) -> Finding | None:
    """The chosen answers lose, the accuracy is not better than a coin's, or the loss is above ln 2 for most of the run.

    Chosen reward or log-probability falls for good, by `share` of what the margin (or the rejected reward) moved and
    five times its noise's error: the margin grows because the rejected falls faster. A note where it falls by less than
    1 and half of the margin, and the pairs are told apart. The accuracy ends at or below
    `fair`. The loss, which a coin holds at ln 2, is above it in `most` of the rows after the first tenth.
    """
    roles = [role for role in ("chosen_reward", "chosen_logp", "preference_accuracy", "margin") if view.has(role)]
    if not roles:
        raise NotApplicable("no metric of preference training")
    if stopped_in_warmup(view):
        raise NotApplicable("the run broke off while its learning rate was warming up")
    return _accuracy(view, fair, most) or _loss(view, most) or _chosen_falls(view, share)


def _accuracy(view: RunView, fair: float, most: float) -> Finding | None:
    judged = (_no_better_than_a_coin(accuracy, fair) for accuracy in _accuracies(view))
    made = next((made for made in judged if made is not None), None)
    loss = _loss(view, most)
    return made if made is None or loss is None else replace(made, title=f"{made.title}; {loss.title}")


def _accuracies(view: RunView, points: int = 10, few: int = 4) -> Iterator[Curve]:
    """Yield the shares of pairs that were ranked right: in training, then on held-out pairs."""
    if not view.has("preference_accuracy"):
        return
    own = view.curve("preference_accuracy")
    if len(own) >= (few if is_evaluation(own.metric) else points):
        yield own
    kind = {"accuracies", "accuracy"}
    for name, series in view.history.series.items():
        words = set(words_of(name).split())
        if name != own.metric and is_evaluation(name) and words & kind and "rewards" in words and len(series) >= few:
            yield curve_of(series)


def _no_better_than_a_coin(accuracy: Curve, fair: float) -> Finding | None:
    scale = 100.0 if float(np.max(accuracy.y)) > 1.5 else 1.0
    late = accuracy.y[len(accuracy) // 2 :] / scale
    end, error = float(np.mean(late)), float(np.std(late)) / max(len(late), 1) ** 0.5
    if end > fair or end - 2 * error > 0.55:
        return None
    below = end < min(0.5 - 3 * error, 0.45)
    what = "the rejected answers are preferred" if below else "no better than a coin"
    return finding(
        "preference_degrades",
        f"{accuracy.metric} is {num(end)} over the second half of the run: {what}",
        accuracy,
        evidence={"end": end, "case": "swapped" if below else "coin", "thresholds": {"fair": fair}},
        levels={"a coin": 0.5 * scale, "limit": fair * scale},
        advice="Look whether chosen and rejected are swapped in some of the data, and at the reference model."
        if below
        else "Raise the learning rate; read some pairs: is there a preference to learn?",
        margin=1.6 if below else None,
    )


def _loss(view: RunView, most: float) -> Finding | None:
    if not view.has("loss") or len(view.curve("loss")) < 10:
        return None
    loss = view.curve("loss")
    t = loss.trend
    late = t.y[t.part >= 0.1]
    level = math.log(2)
    above = float(np.mean(late > 1.02 * level))
    # Sums over a batch and other losses of preferences have no such level: it begins at ln 2 where it does.
    if above < most or not 0.8 * level <= float(loss.y[0]) <= 1.25 * level or t.end <= 1.02 * level:
        return None
    return finding(
        "preference_degrades",
        f"{loss.metric} is above a coin's {level:.3g} (ln 2) over {above:.0%} of the run and ends at {num(t.end)}",
        loss,
        evidence={"above": above, "end": t.end, "coin": level, "thresholds": {"most": most}},
        levels={"a coin, ln 2": level},
        advice="Lower the learning rate or raise beta; look whether chosen and rejected are swapped in some data.",
        margin=above / most,
    )


def _chosen_falls(view: RunView, share: float) -> Finding | None:
    # The reward is the log-probability against the reference: where it is logged, it alone is judged.
    role = next((role for role in ("chosen_reward", "chosen_logp") if view.has(role)), None)
    if role is not None and len(view.curve(role)) >= 10:
        chosen = view.curve(role)
        t = chosen.trend
        begin, end = float(np.median(t.raw[: max(1, len(t.raw) // 30)])), t.level(0.9)
        fall = begin - end
        moved = _moved(view, role)
        if fall <= max(share * moved, 5 * t.error, chosen.noise) or stats.rank_trend(t.raw) > -0.3:
            return None
        if t.end - float(np.min(t.y)) > 0.5 * fall:
            return None  # it comes back
        after = stats.lasting(t.y < begin - 0.15 * fall)
        step = int(t.x[after or 0])
        grows = view.has("margin") and view.curve("margin").trend.end > view.curve("margin").trend.start
        why = f" while {view.roles['margin'].metric} grows: the rejected answers only fall faster" if grows else ""
        return finding(
            "preference_degrades",
            f"{chosen.metric} falls from {num(begin)} to {num(end)}, from step {step:,} on{why}",
            chosen,
            step=step,
            evidence={"start": begin, "end": end, "fall_of_margin": fall / moved if moved else None,
                      "thresholds": {"share": share}}, levels={"start": begin},
            advice="Add an SFT term on the chosen answers (rpo_alpha), lower the learning rate, raise beta.",
            margin=fall / (share * moved) if moved else None,
            severity="note" if _slight(view, role, fall, moved) else None,
        )  # fmt: skip
    return None


def _slight(view: RunView, role: str, fall: float, moved: float, most: float = 1.0, right: float = 0.6) -> bool:
    """Return whether the chosen reward fell by less than `most`, and by less than half of what the margin gained.

    So it does in most runs that go well: the pairs are told apart (`right`), and the chosen answers have hardly become
    less likely.
    """
    if role != "chosen_reward" or fall >= most or fall >= 0.5 * moved or not view.has("preference_accuracy"):
        return False
    accuracy = view.curve("preference_accuracy").trend.end
    return right <= (accuracy / 100 if accuracy > 1.5 else accuracy)


def _moved(view: RunView, role: str) -> float:
    """Return how far the margin went, in the units of the role; 0 where that is not known."""
    if role == "chosen_reward":
        for other in ("margin", "rejected_reward"):
            if view.has(other) and len(view.curve(other)) >= 4:
                t = view.curve(other).trend
                return abs(t.end - t.start)
    return 0.0
