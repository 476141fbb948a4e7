"""The length of responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import RunView, detector, finding, num
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


@detector("length_explosion", "Responses grow without bound", "bad", ("length",))
def length_explosion(
    view: RunView, times: float = 3.0, onset: float = 1.4, at_cap: float = 0.9, cut: float = 0.5
) -> Finding | None:
    """Mean response length grows to `times` (3) its early level, or up to the cap: the definition's.

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
        advice="Read the long responses; penalise length beyond a limit, mask truncated ones, normalise by length.",
    )
