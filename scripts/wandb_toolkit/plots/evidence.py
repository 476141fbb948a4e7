"""What the figure of one finding shows: its metric around the onset, what the rule compared with, what moved before.

Pure data; `plots.svg` and `plots.figures.evidence` draw it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wandb_toolkit.model import Series
from wandb_toolkit.plots.figures.marks import thin

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

WHOLE = 150  # points up to which a curve is shown from end to end
BEFORE, AFTER = 0.25, 0.4  # of the run that are shown of a longer one, before the onset and after it
_FEWEST = 80  # points around the onset, at least
_COLUMNS = 150
_LOG_FROM = 50.0  # largest to smallest, all above 0: a log axis
_FAR = 20.0  # ranges of the curve away: a level so far would flatten it, and is named in the figure's words only
_LARGEST = 1e300
_TIMES = (1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 21600.0, 43200.0, 86400.0)  # seconds


@dataclass(frozen=True, eq=False)
class Panel:
    """One curve of the figure. The arrays are those to draw, thinned so that every extreme stays."""

    metric: str
    x: FloatArray
    value: FloatArray  # NaN and ±Inf are gaps
    bad: FloatArray  # x of NaN and ±Inf
    low: float  # of the y axis
    high: float
    log: bool
    levels: tuple[tuple[str, float], ...] = ()
    far: tuple[tuple[str, float], ...] = ()  # levels too far away to draw
    band: tuple[FloatArray, FloatArray, FloatArray] | None = None  # x, low, high of other runs
    band_runs: int = 0


@dataclass(frozen=True, eq=False)
class Evidence:
    """The figure of one finding."""

    sentence: str  # the finding's, and the figure's alternative text
    run: str
    x_axis: str
    left: float
    right: float
    onset: float | None
    panels: tuple[Panel, ...]  # the metric first, then what else tells something
    events: tuple[tuple[float, str], ...] = ()  # what happened before the onset and has no curve


def evidence(
    sentence: str,
    run: str,
    curves: Sequence[Series],
    *,
    x_axis: str,
    onset: float | None,
    shown: Mapping[str, Any],
    events: Sequence[tuple[float, str]] = (),
) -> Evidence | None:
    """Return the figure of a finding, None where its curve has no point.

    Args:
        sentence: what was found.
        run: what the run is called.
        curves: the metric, then those of the strips below it.
        x_axis: what counts the steps.
        onset: on that axis; None: the finding has none.
        shown: the finding's evidence: its "levels" and "band" are drawn.
        events: places and words of what has no curve.
    """
    main = curves[0] if curves else None
    if main is None or not len(main):
        return None
    left, right = _window(main, onset)
    panels = [_panel(main, left, right, shown.get("levels") or {}, shown.get("band"))]
    panels += [_panel(series, left, right, {}, None) for series in curves[1:] if _within(series, left, right).any()]
    inside = tuple((x, words) for x, words in events if left <= x <= right)
    where = onset if onset is not None and left <= onset <= right else None
    return Evidence(sentence, run, x_axis, left, right, where, tuple(panels), inside)


def _window(series: Series, onset: float | None) -> tuple[float, float]:
    """Return the part of the run to show: all of a short curve, else what lies around the onset."""
    first, last = float(series.x[0]), float(series.x[-1])
    if onset is not None:
        first, last = min(first, onset), max(last, onset)
    if onset is None or len(series) <= WHOLE:
        return first, last
    width = last - first
    left, right = max(first, onset - BEFORE * width), min(last, onset + AFTER * width)
    inside = int(((series.x >= left) & (series.x <= right)).sum())
    if inside < _FEWEST:
        return first, last
    return left, right


def _within(series: Series, left: float, right: float) -> Any:
    return (series.x >= left) & (series.x <= right)


def _panel(
    series: Series, left: float, right: float, levels: Mapping[str, float], band: Mapping[str, Any] | None
) -> Panel:
    import numpy as np

    inside = _within(series, left, right)
    x, value = series.x[inside], series.value[inside]
    finite = np.isfinite(value)
    bad = x[~finite]
    value = np.where(finite, np.clip(value, -_LARGEST, _LARGEST), np.nan)
    kept = thin(x, value, _COLUMNS)
    known = value[finite]
    named = [(name, float(level)) for name, level in levels.items() if math.isfinite(level)]
    near, far = _near(known, named)
    area = None
    if band and band.get("x"):
        at, low, high = (np.asarray(band[key], dtype=np.float64) for key in ("x", "low", "high"))
        place = (at >= left) & (at <= right)
        area = (at[place], low[place], high[place]) if place.any() else None
    everything = [known, np.array([level for _, level in near]), *(area[1:] if area else ())]
    all_values = np.concatenate([part for part in everything if len(part)] or [np.zeros(1)])
    bottom, top, log = limits(all_values)
    runs = int(band.get("runs", 0)) if band else 0
    return Panel(series.name, x[kept], value[kept], bad, bottom, top, log, near, far, area, runs)


_Levels = tuple[tuple[str, float], ...]


def _near(known: FloatArray, levels: Sequence[tuple[str, float]]) -> tuple[_Levels, _Levels]:
    if not len(known):
        return tuple(levels), ()
    low, high = float(known.min()), float(known.max())
    span = (high - low) or abs(high) or 1.0
    ratio = low > 0 and all(level > 0 for _, level in levels)  # a log axis can hold them
    near = [ratio or low - _FAR * span <= level <= high + _FAR * span for _, level in levels]
    return (
        tuple(one for one, fits in zip(levels, near, strict=True) if fits),
        tuple(one for one, fits in zip(levels, near, strict=True) if not fits),
    )


def limits(value: FloatArray) -> tuple[float, float, bool]:
    """Return the range of the y axis with a little air, and whether it is logarithmic."""
    low, high = float(value.min()), float(value.max())
    if low > 0 and high / low > _LOG_FROM:
        air = (high / low) ** 0.08
        return low / air, min(high * air, _LARGEST), True
    air = 0.1 * (high - low) or 0.1 * abs(high) or 1.0
    return low - air, high + air, False


def share(panel: Panel, value: float) -> float:
    """Return how high a value stands in the panel, 0 at the bottom to 1 at the top; outside of that it is beyond it."""
    if panel.log:
        if value <= 0:
            return 0.0
        return math.log(value / panel.low) / math.log(panel.high / panel.low)
    return (value / 2 - panel.low / 2) / (panel.high / 2 - panel.low / 2)  # halves, so that nothing overflows


def time_ticks(low: float, high: float, most: int) -> list[float]:
    """Return whole minutes, hours or days within a range of seconds, about `most` of them."""
    step = next((size for size in _TIMES if (high - low) / size <= most), _TIMES[-1])
    step *= max(1, math.ceil((high - low) / step / most))
    first = math.ceil(low / step)
    return [at * step for at in range(first, math.floor(high / step) + 1)]


def ticks(low: float, high: float, most: int, *, log: bool = False) -> list[float]:
    """Return round numbers within a range, about `most` of them."""
    if log:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        every = max(1, -(-(last - first + 1) // most))
        decades = [10.0**at for at in range(first, last + 1, every)]
        if len(decades) >= 2:
            return decades
    raw = (high / most) - (low / most)
    if not raw > 0 or not math.isfinite(raw):
        return [low]
    size = 10.0 ** math.floor(math.log10(raw))
    step = next((size * times for times in (1, 2, 2.5, 5, 10) if size * times >= raw * 0.999), size * 10)
    first_at = math.ceil(low / step - 1e-9)
    found = [at * step for at in range(first_at, first_at + most + 3)]
    return [tick for tick in found if tick <= high + 1e-9 * abs(high)]
