"""What one figure shows: a metric of several runs on one x axis, smoothed, with the facts about each line.

Pure arrays; `render.figures` draws it and `render.figure_text` puts it in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from wandb_toolkit.model import History, Run, Series
from wandb_toolkit.plots.labels import run_labels
from wandb_toolkit.plots.smoothing import Smoothing
from wandb_toolkit.plots.steadiness import FEW, is_set, within_neighbours

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

STEP = "_step"
MIN_SMOOTHED = 3  # fewer finite points than this are drawn as they are
# What people call the axes that every run has.
AXIS_NAMES = {
    "step": STEP,
    "runtime": "_runtime",
    "relative": "_runtime",
    "time": "_timestamp",
    "wall": "_timestamp",
    "timestamp": "_timestamp",
}


@dataclass(frozen=True, eq=False)
class Band:
    """What lies behind a group's mean. The arrays belong to the curve's `x`; NaN where fewer than 2 runs are."""

    kind: str  # "std", "minmax", "ci"
    runs: tuple[Run, ...]
    low: FloatArray
    high: FloatArray
    count: FloatArray  # runs whose mean it is
    points: int = 0  # read, of all the runs


@dataclass(frozen=True, eq=False)
class Line:
    """One run's line, or a group's. The arrays are of one length, ascending in `x`."""

    run: Run  # of a group: its first
    label: str  # tells it apart from the other runs of the call
    index: int  # of the run in the call: its colour in every figure
    x: FloatArray
    value: FloatArray  # as logged: NaN and ±Inf are gaps with a mark
    smooth: FloatArray | None = None
    total: int | None = None  # points logged, where the source gave a sample of them
    band: Band | None = None  # of a group
    shade: float | None = None  # its place on a colour scale, 0 to 1; NaN: grey; None: its own colour
    held: bool = False  # `smooth` is held to the points beside it, and these are what the figure shows


@dataclass(frozen=True)
class Chart:
    """One figure."""

    metric: str
    x_axis: str  # "_step", "_runtime" (seconds), "_timestamp" (Unix seconds), or a metric
    curves: tuple[Line, ...]
    smoothing: Smoothing
    notes: tuple[str, ...] = ()  # what a reader must know: runs without the metric, rows left out
    legend: tuple[tuple[str, Line | None], ...] = ()  # in place of a label for each line; None: no line to show


@dataclass(frozen=True)
class Facts:
    """What one line shows; None where there is no finite value to say it of."""

    points: int  # numeric points logged (or sampled), NaN and ±Inf included
    nonfinite: int
    first_nonfinite_x: float | None
    first: float | None
    last: float | None
    min: float | None
    min_x: float | None
    max: float | None
    max_x: float | None
    trend: str | None  # "up", "down", "flat": the last tenth against the first; None: too few points


def step_metric(run: Run, metric: str) -> str:
    """Return the x axis that the run defined for a metric, "_step" where it defined none."""
    exact = run.step_metrics.get(metric)
    if exact:
        return exact
    globs = (axis for glob, axis in run.step_metrics.items() if fnmatchcase(metric, glob) and axis != metric)
    return next(globs, STEP)


def build_chart(
    metric: str,
    runs: Sequence[Run],
    histories: Mapping[int, History],
    smoothing: Smoothing,
    x_axis: str | None = None,
    labels: Sequence[str] | None = None,
) -> Chart:
    """Return the figure of one metric over the runs that have it.

    Args:
        metric: its name.
        runs: all runs of the call, in order; each keeps its colour and label.
        histories: by the run's place in `runs`; a run that could not be read has none.
        smoothing: applied with the x range of all the chart's lines.
        x_axis: the metric to draw against; None: what the runs defined for it, where they agree, else the step.
        labels: of `runs`, where the caller knows them.
    """
    labels = run_labels(runs) if labels is None else labels
    logged = {i: histories[i].get(metric) for i in sorted(histories)}
    found = {i: series for i, series in logged.items() if series is not None and len(series)}
    axis, notes = _choose_axis(metric, runs, histories, found, x_axis)
    lines = []
    for i, series in found.items():
        x, value, back, between = _against(series, histories[i], axis)
        if len(x) < len(series) and len(x):
            notes.append(f"{labels[i]}: {len(series) - len(x)} points have no {axis} and are left out")
        if between:
            notes.append(f"{labels[i]}: {between:,} points lie between rows with {axis}; their x is in proportion")
        if back:
            times = "once" if back == 1 else f"{back:,} times"
            notes.append(f"{labels[i]}: {axis} goes back {times}; its points are in order of {axis}")
        if len(x):
            lines.append(Line(runs[i], labels[i], i, x, value, None, series.total))
        else:
            notes.append(f"{labels[i]}: never logged {axis} together with {metric}")
    curves = smoothed(metric, lines, smoothing)
    missing = [labels[i] for i in range(len(runs)) if i not in found and i in histories]
    if missing:
        notes.append(f"not logged by {_listed(missing)}")
    return Chart(metric, axis, tuple(curves), smoothing, tuple(notes))


def smoothed(metric: str, lines: Sequence[Line], smoothing: Smoothing) -> list[Line]:
    """Return the lines with their smoothed values; the x range that counts is that of all of them.

    Unless the smoothing was asked for, what was set and not measured (`steadiness.is_set`) is not smoothed, and the
    average of fewer than `steadiness.FEW` points is held to the range of each point and its neighbours.
    """
    import numpy as np

    span = x_range(lines)
    done = []
    for line in lines:
        finite = np.isfinite(line.value)
        points = int(finite.sum())
        wanted = points >= MIN_SMOOTHED and (smoothing.exact or not is_set(metric, line.value[finite]))
        smooth = smoothing.apply(line.x, line.value, span) if wanted else None
        held = smooth is not None and not smoothing.exact and points < FEW
        if smooth is not None and held:
            smooth = within_neighbours(smooth, line.value)
        done.append(replace(line, smooth=smooth, held=held))
    return done


def x_range(lines: Sequence[Line]) -> float:
    """Return the x range of a chart with these lines."""
    return max((float(c.x[-1]) for c in lines), default=0.0) - min((float(c.x[0]) for c in lines), default=0.0)


def _listed(names: Sequence[str], limit: int = 4) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _choose_axis(
    metric: str,
    runs: Sequence[Run],
    histories: Mapping[int, History],
    found: Mapping[int, Series],
    wanted: str | None,
) -> tuple[str, list[str]]:
    own = {series.axis for series in found.values()}
    if own != {STEP}:  # system metrics know only their time
        return next(iter(own), STEP), []
    if wanted:
        return wanted, []
    defined = {step_metric(runs[i], metric) for i in found}
    if len(defined) > 1:
        return STEP, [f"the runs define different x axes ({', '.join(sorted(defined))}): drawn against the step"]
    axis = next(iter(defined))
    if axis == STEP:
        return STEP, []
    usable = all(len(_against(series, histories[i], axis)[0]) for i, series in found.items())
    return (axis, []) if usable else (STEP, [f"its x axis {axis} was not logged with it: drawn against the step"])


def _against(series: Series, history: History, axis: str) -> tuple[FloatArray, FloatArray, int, int]:
    """Return x and value, ascending in x: its own x, or what `axis` was at the same step.

    And how often x went back, and how many points lie between rows with the axis: where it never falls, such as time or
    a count of samples, their x lies on the line between its neighbours; of any other axis nobody knows what it was
    there, and they are left out. The same for whole and for sampled curves. Empty where there is no x at all. Points
    of one x stay in the order in which they were logged.
    """
    import numpy as np

    if axis == series.axis:
        return series.x, series.value, 0, 0
    against = history.get(axis)
    if against is None or not len(against) or against.axis != series.axis:
        return series.x[:0], series.value[:0], 0, 0
    known = np.isfinite(against.value)
    steps, values = against.x[known], against.value[known]
    there = np.isin(series.x, steps)
    if not there.all() and len(values) > 1 and not bool((np.diff(values) < 0).any()):
        inside = (series.x >= steps[0]) & (series.x <= steps[-1])
        between = 0 if against.sampled else int((inside & ~there).sum())
        return np.interp(series.x[inside], steps, values), series.value[inside], 0, between
    x, value = values[np.searchsorted(steps, series.x[there])], series.value[there]
    back = int((np.diff(x) < 0).sum())
    if not back:
        return x, value, 0, 0
    order = np.argsort(x, kind="stable")
    return x[order], value[order], back, 0


def facts(curve: Line) -> Facts:
    """Return what a line shows, from all its points as logged."""
    import numpy as np

    finite = np.isfinite(curve.value)
    x, value = curve.x[finite], curve.value[finite]
    bad = curve.x[~finite]
    first_bad = float(bad[0]) if len(bad) else None
    if not len(value):
        return Facts(len(curve.x), len(bad), first_bad, *[None] * 7)
    low, high = int(np.argmin(value)), int(np.argmax(value))
    return Facts(
        points=len(curve.x),
        nonfinite=len(bad),
        first_nonfinite_x=first_bad,
        first=float(value[0]),
        last=float(value[-1]),
        min=float(value[low]),
        min_x=float(x[low]),
        max=float(value[high]),
        max_x=float(x[high]),
        trend=direction_word(value),
    )


def direction_word(value: FloatArray) -> str | None:
    """Return whether the last tenth of finite values lies clearly above ("up") or below ("down") the first.

    Clearly: by a twentieth of the range (5th to 95th percentile) and by three standard errors of the two medians, the
    scatter being that around both, and neighbours that move together counting as fewer points. A change smaller than
    the scatter of one point is none where first and last value say the opposite. None for fewer than 5 values.
    """
    import numpy as np

    if len(value) < 5:
        return None
    scaled = value / max(float(np.abs(value).max()), 1e-300)  # so that nothing overflows
    tenth = max(2, len(value) // 10)
    ends = scaled[:tenth], scaled[-tenth:]
    change = float(np.median(ends[1]) - np.median(ends[0]))
    steps = float(np.median(np.abs(np.diff(scaled)))) * 1.05  # the scatter of one point: 1.4826 / sqrt(2)
    around = float(np.median(np.concatenate([np.abs(end - np.median(end)) for end in ends]))) * 1.4826
    scatter = max(steps, around if tenth > 4 else 0.0)
    # Where neighbours move together, the scatter is wider than their steps, and there are fewer independent points.
    alone = max(1.0, min(float(tenth), tenth * (steps / scatter) ** 2)) if scatter > 0 else float(tenth)
    spread = float(np.subtract(*np.percentile(scaled, [95, 5])))
    if abs(change) <= max(3 * 1.25 * scatter * (2 / alone) ** 0.5, 0.05 * spread):
        return "flat"
    if (scaled[-1] - scaled[0]) * change < 0 and abs(change) <= 2 * scatter:
        return "flat"
    return "up" if change > 0 else "down"


def as_dict(curve: Line, drawn: int) -> dict[str, Any]:
    """Return the JSON facts about a line of which `drawn` points are in the picture."""
    known = facts(curve)
    return {
        "id": None if curve.band else curve.run.id,
        "name": None if curve.band else curve.run.name,
        "label": curve.label,
        "group": _group_dict(curve, curve.band) if curve.band else None,
        "points": known.points,
        "drawn": drawn,
        "logged": curve.total if curve.total is not None else known.points,
        **{key: getattr(known, key) for key in ("first", "last", "min", "min_x", "max", "max_x", "trend")},
        "nonfinite": known.nonfinite,
        "first_nonfinite_x": known.first_nonfinite_x,
    }


def _group_dict(curve: Line, band: Band) -> dict[str, Any]:
    """Return the runs of a group, and how many of them stand behind its mean from which x on."""
    import numpy as np

    change = np.flatnonzero(np.diff(band.count, prepend=-1.0))
    return {
        "runs": [run.id for run in band.runs],
        "n": len(band.runs),
        "band": band.kind,
        "support": [{"x": float(curve.x[at]), "n": int(band.count[at])} for at in change],
    }
