"""The length of responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.model import Finding

# TRL, veRL, Transformers, OpenRLHF, slime
_CAPS = ("max_completion_length", "max_response_length", "max_new_tokens", "generate_max_len",
         "rollout_max_response_len", "response_length")  # fmt: skip


def flat_config(config: Mapping[str, Any], depth: int = 6) -> Iterator[tuple[str, Any]]:
    """Yield the leaf keys of a nested config, each without its path, and their values."""
    for key, value in config.items():
        if isinstance(value, Mapping) and depth:
            yield from flat_config(value, depth - 1)
        else:
            yield str(key).rsplit(".", 1)[-1].rsplit("/", 1)[-1], value


def _cap(view: RunView) -> float | None:
    found = {key: value for key, value in flat_config(view.run.config) if key in _CAPS}
    for key in _CAPS:
        value = found.get(key)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0:
            return float(value)
    return None


@detector(
    "length_explosion",
    "Responses grow without bound",
    "bad",
    ("length",),
    label="growing responses",
    lens=("length",),
    explains=("throughput_drop", "truncation_high"),
)
def length_explosion(
    view: RunView, times: float = 3.0, onset: float = 1.4, at_cap: float = 0.9, cut: float = 0.5
) -> Finding | None:
    """Mean response length grows to `times` (3) its early level, or up to the cap, by definition.

    At the cap is `at_cap` of the configured maximum, or `cut` of the responses cut off, after a growth of half as much
    again as the onset's.
    """
    length = view.curve("length", 10)
    t = length.trend
    early, end = t.level(0.0, 0.1), t.level(0.93)
    if early <= 0:
        return None
    cap = _cap(view)
    growth = end / early
    capped = cap is not None and end >= at_cap * cap
    if view.has("truncation") and len(view.curve("truncation")) >= 4:
        truncated = view.curve("truncation").trend
        scale = 100.0 if float(truncated.y.max()) > 1.5 else 1.0
        capped = capped or truncated.level(0.93) >= cut * scale
    if growth < times and not (capped and growth >= 1 + 2 * (onset - 1)):
        return None
    after = stats.lasting(t.y > onset * early)
    step = int(t.x[after or 0])
    top = f", the cap is {num(cap)}" if cap is not None else ""
    return finding(
        "length_explosion",
        f"{length.metric} grew {growth:.1f}×, from {num(early)} to {num(end)}, from step {step:,} on{top}",
        length,
        step=step,
        evidence={"early": early, "end": end, "cap": cap, "thresholds": {"times": times, "onset": onset}},
        levels={
            "early level": early,
            f"{times:g} × early level": times * early,
            **({"cap": cap} if cap is not None else {}),
        },
        advice="Read the long responses; penalise length beyond a limit, mask truncated ones, normalise by length.",
        margin=max(growth / times, 1.4 if capped else 0.0),
    )


@detector(
    "length_collapse",
    "Responses shrink, and what they are worth with them",
    "bad",
    ("length", "reward"),
    label="shrinking responses",
    lens=("length",),
)
def length_collapse(view: RunView, left: float = 1 / 3, onset: float = 0.7) -> Finding | None:
    """Mean response length falls to a third (`left`) of its early level while neither reward nor task metric gains.

    The mirror image of `length_explosion`. Shorter answers that are worth more are what training is for.
    """
    length, reward = view.curve("length", 10), view.curve("reward", 8)
    t = length.trend
    early, end = t.level(0.0, 0.1), t.level(0.93)
    if early <= 0 or end > left * early or t.level(0.85, 0.95) > 1.5 * left * early:
        return None
    worth = [reward, view.curve("task")] if view.has("task") and len(view.curve("task")) >= 4 else [reward]
    if any(curve.trend.end - curve.trend.start > 3 * curve.trend.error for curve in worth):
        return None
    after = stats.lasting(t.y < onset * early)
    step = int(t.x[after or 0])
    return finding(
        "length_collapse",
        f"{length.metric} fell from {num(early)} to {num(end)}, from step {step:,}; {reward.metric} did not improve",
        length,
        reward,
        step=step,
        evidence={"early": early, "end": end, "thresholds": {"left": left, "onset": onset}},
        levels={"early level": early, "a third of it": left * early},
        advice="Read the short responses; look for a length penalty too strong, or an end token that is rewarded.",
        margin=left * early / end if end > 0 else None,
    )


@detector(
    "truncation_high",
    "Too many responses are cut off",
    "bad",
    ("truncation",),
    label="truncated responses",
    lens=("truncation",),
)
def truncation_high(view: RunView, cut: float = 0.3, lasts: float = 0.15) -> Finding | None:
    """More than `cut` (30%) of the responses are cut off at the cap over `lasts` (15%) of the run.

    The measure of `clipfrac_high`: a third of the samples is then scored for an answer that they could not finish.
    A note where it is so from the start, does not grow, and the reward rises: the cap is short, and no fault developed.
    """
    share = view.curve("truncation", 10)
    scale = 100.0 if float(np.max(share.y)) > 1.5 else 1.0
    t = share.trend
    high = t.y > cut * scale
    over = float(np.mean(high))
    if over < lasts:
        return None
    step = int(t.x[int(np.argmax(high))])
    top = float(np.quantile(t.y, 0.95)) / scale
    return finding(
        "truncation_high",
        f"{share.metric} is above {cut:.0%} over {over:.0%} of the run (up to {top:.0%}), from step {step:,} on",
        share,
        step=step,
        evidence={"over": over, "top": top, "cap": _cap(view), "thresholds": {"cut": cut, "lasts": lasts}},
        levels={"limit": cut * scale},
        advice="Raise the cap, or mask what was cut off from the loss, or pay less for length.",
        severity="note" if _as_ever(view, share) else None,
        margin=min(over / lasts, top / cut),
    )


def _as_ever(view: RunView, share: Curve) -> bool:
    """Return whether as many responses are cut off as at the start, while the reward rises."""
    t = share.trend
    most = 50.0 if float(np.max(share.y)) > 1.5 else 0.5
    grown = t.end - t.start > max(3 * t.error, 0.1 * abs(t.start)) and t.start < most
    if grown or not view.has("reward") or len(view.curve("reward")) < 8:
        return False
    reward = view.curve("reward").trend
    return reward.end - reward.start > reward.error and stats.rising(reward.raw) > 2.5
