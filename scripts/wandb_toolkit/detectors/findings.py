"""What a detector answers with: a finding with its evidence, its curves and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wandb_toolkit.detectors.base import DETECTORS, Curve
from wandb_toolkit.model import Finding, Series, Severity

BAND_POINTS = 25  # places along a run at which a finding keeps where its siblings were
CURVE_POINTS = 2000  # stretches of a long curve of which a finding keeps two points each


def finding(
    view_id: str,
    title: str,
    *curves: Curve,
    step: int | None = None,
    evidence: Mapping[str, Any] | None = None,
    advice: str = "",
    severity: Severity | None = None,
    margin: float | None = None,
    levels: Mapping[str, float] | None = None,
    beside: Sequence[Curve] = (),
) -> Finding:
    """Return the registered detector's finding: its severity, the curves' metrics and the first one's sparkline.

    Args:
        view_id: the detector's id.
        title: the sentence.
        curves: what it is about, the main one first; its figure draws them.
        step: the onset.
        evidence: values and thresholds.
        advice: what to do.
        severity: None: the detector's.
        margin: how many times its threshold the least certain condition reached; None: there was no threshold.
        levels: words → a level of the first curve that the rule compared with; in the evidence, as it is logged.
        beside: the siblings' curves that it compared with; in the evidence as a band.
    """
    shown: dict[str, Any] = {key: _plain(value) for key, value in (evidence or {}).items()}
    if levels:
        shown["levels"] = {name: float(value) * curves[0].sign for name, value in levels.items()}
    if beside:
        shown["band"] = _band(curves[0], beside)
    shown["confidence"] = _confidence(margin, min((len(curve) for curve in curves), default=None))
    if curves:
        shown["sparkline"] = curves[0].sparkline
    return Finding(
        id=view_id,
        severity=severity or DETECTORS[view_id].severity,
        title=title,
        metrics=tuple(dict.fromkeys(curve.metric for curve in curves)),
        step=step,
        evidence=shown,
        advice=advice,
        curves=tuple(_logged(curve) for curve in curves),
    )


def _band(curve: Curve, beside: Sequence[Curve]) -> dict[str, Any]:
    """Return between which values the courses of other runs lie, at places along this one; where none is, nothing."""
    low, high = float(curve.x[0]), min(float(curve.x[-1]), max(float(other.x[-1]) for other in beside))
    places = np.linspace(low, max(high, low), BAND_POINTS)
    courses = [
        np.interp(places, other.trend.x, other.trend.y * other.sign, left=np.nan, right=np.nan) for other in beside
    ]
    table = np.stack(courses)
    known = np.isfinite(table).any(axis=0)
    return {
        "runs": len(beside),
        "x": places[known].tolist(),
        "low": np.nanmin(table[:, known], axis=0).tolist(),
        "high": np.nanmax(table[:, known], axis=0).tolist(),
    }


def _logged(curve: Curve) -> Series:
    """Return a curve's points as they were logged, of very many the lowest and highest of each stretch."""
    value = curve.y * curve.sign if curve.sign != 1 else curve.y
    if len(value) <= 2 * CURVE_POINTS:
        return Series(curve.metric, curve.x, value)
    starts = np.linspace(0, len(value), CURVE_POINTS, endpoint=False).astype(int)
    ends = np.append(starts[1:], len(value))
    kept = [
        at
        for a, b in zip(starts, ends, strict=True)
        for at in sorted({a + int(np.argmin(value[a:b])), a + int(np.argmax(value[a:b]))})
    ]
    return Series(curve.metric, curve.x[kept], value[kept])


def _confidence(margin: float | None, points: int | None, wide: float = 1.5, thin: float = 1.15) -> str:
    """Return "high", "medium" or "low": by how far a threshold was passed, and how many points say so.

    A `thin` margin would be gone with another seed; `wide` survives any careful person's choice of the threshold.
    """
    if (margin is not None and margin < thin) or (points is not None and points < 10):
        return "low"
    if (margin is not None and margin < wide) or (points is not None and points < 30):
        return "medium"
    return "high"


def _plain(value: Any) -> Any:
    """Return a numpy scalar as Python's own; the rest as it is."""
    return value.item() if isinstance(value, np.generic) else value


def num(value: float) -> str:
    """Return a number for a title: 3 significant digits."""
    if value != value:
        return "NaN"
    size = abs(value)
    return f"{value:,.0f}" if 1000 <= size < 1e6 else f"{value:.3g}"
