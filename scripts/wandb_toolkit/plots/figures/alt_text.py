"""Charts in words: the one honest describe for readers who do not see the picture, and axis numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from datetime import UTC, datetime

from wandb_toolkit.plots.charts import STEP, Chart, Facts, Line, facts
from wandb_toolkit.text import clean, duration, number, plural

_RUNS_IN_SENTENCE = 8
_TREND = {"up": "up overall", "down": "down overall", "flat": "little net change"}
_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def describe(chart: Chart) -> str:
    """Return what the figure shows: x range, and for each run start, end, extremes, trend, non-finite points."""
    metric = metric_name(chart.metric)
    if not chart.curves:
        return f"{metric} has nothing to draw."
    start = min(float(c.x[0]) for c in chart.curves)
    end = max(float(c.x[-1]) for c in chart.curves)
    where = axis_name(chart.x_axis)
    over = f"{where} {position(start, chart.x_axis)}"
    if end > start:
        over += f" to {position(end, chart.x_axis)}"
    told = [
        (clean(c.label), _line(facts(c), chart.x_axis, c.total) + _fewer(c, chart.x_axis))
        for c in chart.curves[:_RUNS_IN_SENTENCE]
    ]
    noun = "group" if chart.curves[0].band else "run"
    more = len(chart.curves) - len(told)
    if len(chart.curves) == 1:
        text = f"{metric} of {told[0][0]}, {over}: {told[0][1]}"
    else:
        rest = f"; and {plural(more, f'more {noun}')}" if more else ""
        lines = "; ".join(f"{label} {line}" for label, line in told)
        text = f"{metric} of {len(chart.curves)} {noun}s, {over}: {lines}{rest}"
    notes = "".join(f"; {clean(note)}" for note in chart.notes)
    return f"{text}{notes}."


def metric_name(metric: str) -> str:
    """Return a metric's name on one line, with "␣" for blanks at its ends: `loss` and `loss ` are two metrics."""
    inner = metric.strip(" ")
    return "␣" * (len(metric) - len(metric.lstrip(" "))) + clean(inner) + "␣" * (len(metric) - len(metric.rstrip(" ")))


def _fewer(curve: Line, axis: str) -> str:
    """Say from where on a group's mean is of fewer runs."""
    band = curve.band
    if band is None or len(band.runs) < 2:
        return ""
    full = [x for x, count in zip(curve.x.tolist(), band.count.tolist(), strict=True) if count == len(band.runs)]
    later = [x for x in curve.x.tolist() if full and x > full[-1]]
    where = f" from {_at(later[0], axis).removeprefix('at ')} on" if later else ""
    return f", fewer than {len(band.runs)} runs{where}" if later or not full else ""


def _line(known: Facts, axis: str, total: int | None = None) -> str:
    bad = ""
    if known.nonfinite and known.first_nonfinite_x is not None:
        first = _at(known.first_nonfinite_x, axis)
        what = "NaN or infinite value" + ("s, the first" if known.nonfinite > 1 else "")
        bad = f", {known.nonfinite:,} {what} {first}"
    if known.first is None or known.min_x is None or known.max_x is None:
        return f"no finite value in {plural(known.points, 'point')}{bad}"
    finite = known.points - known.nonfinite
    if finite == 1:
        return f"one finite point, {number(known.first)} {_at(known.min_x, axis)}{bad}"
    if known.min == known.max:
        return f"constant at {number(known.first)} over {finite:,} points{bad}"
    digits = _digits(known.min or 0.0, known.max or 0.0)
    sampled = f" sampled of {total:,}" if total else ""
    trend = f", {_TREND[known.trend]}" if known.trend else ""
    return (
        f"from {number(known.first, digits)} to {number(known.last, digits)} in {finite:,} points{sampled}"
        f" (lowest {number(known.min, digits)} {_at(known.min_x, axis)},"
        f" highest {number(known.max, digits)} {_at(known.max_x, axis)}){trend}{bad}"
    )


def _digits(low: float, high: float) -> int:
    """Significant digits that tell values between `low` and `high` apart; 4 or more."""
    size, gap = max(abs(low), abs(high)), high - low
    if gap <= 0 or not math.isfinite(gap):
        return 4
    return min(max(4, math.ceil(math.log10(size) - math.log10(gap)) + 2), 16)


def _at(x: float, axis: str) -> str:
    """Return "at step 1,200", "at 2h 5m", "at epoch 3"."""
    named = "" if axis in ("_runtime", "_timestamp") else f"{axis_name(axis)} "
    return f"at {named}{position(x, axis)}"


def axis_name(axis: str) -> str:
    """Return what people call an x axis."""
    known = {STEP: "step", "_runtime": "time since start", "_timestamp": "time (UTC)"}
    return known.get(axis) or clean(axis, 60)


def position(x: float, axis: str) -> str:
    """Return a place on an x axis: a step, a duration, a time."""
    if axis == "_runtime":
        return duration(x) or number(x)
    if axis == "_timestamp":
        return moment(x, "%Y-%m-%d %H:%M:%S")
    return f"{int(x):,}" if x.is_integer() and abs(x) < 1e15 else number(x)


def moment(seconds: float, shape: str) -> str:
    """Return a Unix time in UTC, or the number where it is no time."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(shape)
    except (ValueError, OverflowError, OSError):
        return number(seconds)


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Return numbers for the ticks of one axis as people write them: one unit, just the decimals that differ."""
    largest = max((abs(t) for t in ticks), default=0.0)
    gaps = [abs(b - a) for a, b in itertools.pairwise(ticks) if b != a]
    gap = min(gaps, default=largest or 1.0)
    if largest == 0:
        return ["0" for _ in ticks]
    if largest < 1e-3 or largest >= 1e15:
        return [_scientific(t, gap) for t in ticks]
    size, unit = next(((s, u) for s, u in _UNITS if largest >= s and largest >= 1e4), (1.0, ""))
    decimals = _decimals(gap / size)
    return [_plain(t / size, decimals, unit) for t in ticks]


def short(value: float) -> str:
    """Return one number as a figure shows it: "0.4138", "591.5k", "3e−5"."""
    size, unit = next(((s, u) for s, u in _UNITS if 1e4 <= abs(value) < 1e15 and abs(value) >= s), (1.0, ""))
    mantissa, _, exponent = number(value / size).partition("e")
    return f"{mantissa}{f'e{int(exponent)}' if exponent else ''}{unit}".replace("-", "−")


def _decimals(gap: float) -> int:
    """Decimals that tell multiples of `gap` apart; ticks are round, so two digits of it suffice."""
    for count in range(12):
        scaled = gap * 10**count
        if scaled >= 0.999 and abs(scaled - round(scaled)) < 1e-3 * scaled:
            return count
    return 12


def _plain(value: float, decimals: int, unit: str) -> str:
    text = f"{value:,.{decimals}f}".replace("-", "−")
    if not text.strip("−0.,"):
        return "0"
    return text + unit


def _scientific(value: float, gap: float) -> str:
    if abs(value) < gap * 1e-6:
        return "0"
    digits = min(max(round(math.log10(abs(value) / gap)) + 2, 1), 15)
    mantissa, _, exponent = f"{value:.{digits}e}".partition("e")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}".replace("-", "−")
