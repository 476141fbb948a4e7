"""Robust statistics of one curve: arrays in, arrays or numbers out.

Every function takes finite values in the order of their x, and has a defined answer for a short input (NaN, or an empty
array). `finite` makes such arrays out of a logged series. All of them are vectorised: 100,000 points take milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

_MAD_TO_SIGMA = 1.4826  # a normal sample's standard deviation over its median absolute deviation
_BLOCKS = "▁▂▃▄▅▆▇█"


def finite(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the points whose two coordinates are finite."""
    keep = np.isfinite(x) & np.isfinite(y)
    return x[keep], y[keep]


def noise(y: FloatArray) -> float:
    """Return the standard deviation of the point-to-point scatter, blind to trends and outliers; NaN below 3 points.

    It is the median absolute difference between neighbours, scaled for a normal sample. Where most neighbours are equal
    (a success rate over few prompts) the mean absolute difference takes its place; a constant has the noise 0.
    """
    if len(y) < 3:
        return float("nan")
    steps = np.diff(y)
    spread = float(np.median(np.abs(steps - np.median(steps)))) * _MAD_TO_SIGMA
    if spread == 0:
        spread = float(np.mean(np.abs(steps - np.mean(steps)))) * 1.2533
    return spread / float(np.sqrt(2))


def sparkline(y: FloatArray, width: int = 40) -> str:
    """Return a curve as at most `width` block characters; what is not finite is shown as "·"."""
    values = np.asarray(y, dtype=np.float64)
    if len(values) == 0:
        return ""
    edges = np.linspace(0, len(values), min(width, len(values)) + 1).astype(int)
    points = np.array([_middle(values[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)])
    good = np.isfinite(points)
    if not good.any():
        return "·" * len(points)
    low, high = float(points[good].min()), float(points[good].max())
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((p - low) * scale)] if np.isfinite(p) else "·" for p in points)


def _middle(values: FloatArray) -> float:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if len(good) * 2 > len(values) else float("nan")
