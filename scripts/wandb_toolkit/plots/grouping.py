"""Runs of one group → their mean with a band, and how many of them stand behind each x."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from wandb_toolkit.plots.charts import MIN_SMOOTHED, Band, Chart, Line, x_range
from wandb_toolkit.plots.steadiness import FEW, is_set

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

BandKind = Literal["std", "minmax", "ci"]
BANDS: tuple[BandKind, ...] = get_args(BandKind)
BUCKETS = 250  # as W&B's grouped line plots
MOST_X = 1000  # different x of a chart, up to which its runs meet at each of them
CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Grouping:
    """Which runs belong together, and what to draw around their mean."""

    key: str  # as --group-by has it: "group", "config.a,config.b", "all-but:config.seed", ...
    band: BandKind = "std"
    seed: int = 0  # of the bootstrap


def grouped(chart: Chart, groups: Mapping[str, Sequence[int]], grouping: Grouping) -> Chart:
    """Return the chart with one curve a group: the mean of its runs' unsmoothed values, then smoothed.

    The runs meet at every x that one of them has; where those are more than `MOST_X`, in `BUCKETS` of equal width. A
    run's value there is the mean of its points, or lies on the line between its neighbours. No run counts before its
    first or after its last finite point.
    """
    import numpy as np

    by_place = {curve.index: curve for curve in chart.curves}
    span, notes, lines = x_range(chart.curves), list(chart.notes), []
    left_out = sum(int((~np.isfinite(curve.value)).sum()) for curve in chart.curves)
    if left_out:
        notes.append(f"{left_out:,} NaN or infinite values are left out of the means")
    for place, (label, members) in enumerate(groups.items()):
        curves = [by_place[i] for i in members if i in by_place and np.isfinite(by_place[i].value).any()]
        if curves:
            x, table = _table(curves, chart.curves, span)
            lines.append(_mean(label, place, curves, x, table, grouping))
    done = []
    for line in lines:
        smooth, band = None, line.band
        wanted = chart.smoothing.exact or (len(line.x) >= FEW and not is_set(chart.metric, line.value))
        if len(line.x) >= MIN_SMOOTHED and wanted and band is not None:
            smooth = chart.smoothing.apply(line.x, line.value, span)
            if smooth is not None:
                low, high = (chart.smoothing.apply(line.x, edge, span) for edge in (band.low, band.high))
                assert low is not None
                assert high is not None
                band = replace(band, low=low, high=high)
        done.append(replace(line, smooth=smooth, band=band))
    return replace(chart, curves=tuple(done), notes=tuple(notes))


def _table(curves: Sequence[Line], everything: Sequence[Line], span: float) -> tuple[FloatArray, FloatArray]:
    """Return x (m,) and each run's values there, (runs, m), NaN where a run has none."""
    import numpy as np

    every = np.unique(np.concatenate([curve.x for curve in everything]))
    if len(every) <= MOST_X:
        middles = every
        edges = np.append(every, np.inf)
    else:
        width = span / BUCKETS
        start = float(every[0])
        middles = start + width * (np.arange(BUCKETS) + 0.5)
        edges = np.append(start + width * np.arange(BUCKETS), np.inf)
    count = len(middles)
    rows = []
    for curve in curves:
        finite = np.isfinite(curve.value)
        bucket = np.searchsorted(edges, curve.x[finite], "right") - 1
        points = np.bincount(bucket, minlength=count)
        sums = np.bincount(bucket, weights=curve.value[finite], minlength=count)
        filled = np.flatnonzero(points)
        row = np.full(count, np.nan)
        inside = slice(filled[0], filled[-1] + 1)
        row[inside] = np.interp(middles[inside], middles[filled], sums[filled] / points[filled])
        rows.append(row)
    table = np.stack(rows)
    used = np.isfinite(table).any(axis=0)
    return middles[used], table[:, used]


def _mean(label: str, place: int, curves: Sequence[Line], x: FloatArray, table: FloatArray, grouping: Grouping) -> Line:
    import numpy as np

    known = np.isfinite(table)
    count = known.sum(axis=0).astype(np.float64)
    sums = np.where(known, table, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums / count
    low, high = _edges(table, known, mean, count, grouping)
    alone = count < 2
    low[alone] = high[alone] = np.nan
    runs = tuple(curve.run for curve in curves)
    sampled = any(curve.total is not None for curve in curves)
    total = sum(curve.total or len(curve.x) for curve in curves) if sampled else None
    band = Band(grouping.band, runs, low, high, count, sum(len(curve.x) for curve in curves))
    return Line(runs[0], f"{label} (n={len(runs)})", place, x, mean, None, total, band)


def _edges(
    table: FloatArray, known: Any, mean: FloatArray, count: FloatArray, grouping: Grouping
) -> tuple[FloatArray, FloatArray]:
    """Return the band's lower and upper edge; std is the sample's (n - 1)."""
    import numpy as np

    if grouping.band == "minmax":
        return np.where(known, table, np.inf).min(axis=0), np.where(known, table, -np.inf).max(axis=0)
    if grouping.band == "std":
        squares = np.where(known, (table - mean) ** 2, 0.0).sum(axis=0)
        std = np.sqrt(squares / np.maximum(count - 1, 1))
        return mean - std, mean + std
    rng = np.random.default_rng(grouping.seed)
    drawn = rng.integers(len(table), size=(RESAMPLES, len(table)))
    weights = np.stack([(drawn == run).sum(axis=1) for run in range(len(table))], axis=1).astype(np.float64)
    held = weights @ known.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(held > 0, (weights @ np.where(known, table, 0.0)) / held, mean)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return low, high
