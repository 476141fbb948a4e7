"""Which curves an average would falsify: those without noise, and those of too few points."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from wandb_toolkit.roles import words_of

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

FEW = 100  # finite points; the default average then spans fewer than 10 of them, a tenth of the chart
_EXACT = 1e-6  # of the range: a bend smaller than this is none
_BENDS = 0.1  # share of the points at which a schedule may bend
# Settings that trainers log beside their metrics; counters show themselves.
_SET = re.compile(
    r"(^| )(lrs?|lr (adam\w*|sgd|rmsprop|lion|muon|adafactor|lamb|group)|learning rate|schedule|epsilon"
    r"|exploration rate|momentum|weight decay|clip range|kl coef|teacher forcing ratio)( (pg|group )?\d+)?$"
)


def is_set(metric: str, value: FloatArray) -> bool:
    """Return whether a curve was set, not measured: a constant, a switch, a counter, a schedule.

    Args:
        metric: its name.
        value: its finite values, in order.
    """
    import numpy as np

    if len(value) < 2:
        return True
    low, high = float(value.min()), float(value.max())
    if low == high or _SET.search(words_of(metric)):
        return True
    if bool(((value == 0) | (value == 1)).all()):
        return True
    if bool((value == np.round(value)).all()) and bool((value[1:] >= value[:-1]).all()):
        return True  # whole numbers that never fall
    scaled = value / max(abs(low), abs(high))  # so that nothing overflows
    bends = np.abs(np.diff(scaled, 2)) > _EXACT * float(scaled.max() - scaled.min())
    return len(value) >= 5 and float(bends.mean()) <= _BENDS and _has_slope_everywhere(scaled)


def _has_slope_everywhere(value: FloatArray) -> bool:
    """Whether the pieces between bends are the curve, and not the rest between rare events such as sparse rewards."""
    import numpy as np

    moves = np.sign(np.diff(value))
    moves = moves[moves != 0]
    return int((np.diff(moves) != 0).sum()) <= max(2, len(moves) // 20)


def within_neighbours(smooth: FloatArray, value: FloatArray) -> FloatArray:
    """Return the smoothed values held to the range of each point and its two finite neighbours; NaN stays NaN."""
    import numpy as np

    finite = np.isfinite(value)
    known = value[finite]
    before, after = np.append(known[:1], known[:-1]), np.append(known[1:], known[-1:])
    held = smooth.copy()
    low, high = np.minimum(np.minimum(before, after), known), np.maximum(np.maximum(before, after), known)
    held[finite] = np.clip(smooth[finite], low, high)
    return held
