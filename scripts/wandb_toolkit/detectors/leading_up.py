"""What else moved before a finding's onset: said beside the finding, as an order in time, never as its cause."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import EPOCHS, RunView
from wandb_toolkit.model import Finding, LeadUp, Series

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

MOST = 3
WINDOW = 0.1  # of the run before the onset, in which something else has to have moved
POINTS = 20  # at least, before the window: what a metric's own noise is taken from
CLEAR = 6.0  # times that noise
LARGE = 0.25  # of the level, at least
RATE_STEP = 1.3  # times: a learning rate's step that is no part of a smooth schedule
RATE_ENDS = 0.02  # of its peak: below it a learning rate has come to its end
LATE = 0.2  # of the run: metrics that begin before it are part of the start
LONG_EPOCHS = 0.05  # of the run: shorter epochs end near anything
NEAR = 0.02  # of the run: an epoch's end so close before the onset

# The roles that are looked at, and the way in which a change of theirs tells something: 1 up, -1 down, 0 either.
_WAYS = {
    "grad_norm": 1, "kl": 1, "clip_fraction": 1, "entropy": -1, "loss": 1, "eval_loss": 1, "reward": -1,
    "reward_std": -1, "explained_variance": -1, "length": 0, "throughput": -1,
}  # fmt: skip
# System metrics by their name's end; percent or MB.
_SYSTEM_WAYS = {"gpu": -1, "proc.memory.rssMB": 1, "memory": 1, "memory_percent": 1}


def with_leading_up(view: RunView, finding: Finding) -> Finding:
    """Return the finding with what moved before its onset, the nearest to it first; as it is where nothing did."""
    if finding.severity not in ("ugly", "bad") or finding.step is None or finding.consequence_of:
        return finding
    width = _length(view)
    if width <= 0:
        return finding
    moved = [
        *_rate_step(view, finding, width),
        *_metrics(view, finding, width),
        *_system(view, finding, width),
        *_epoch_end(view, finding, width),
        *_begun(view, finding, width),
    ]
    moved.sort(key=lambda one: one.lag)
    return replace(finding, leading_up=tuple(moved[:MOST])) if moved else finding


def _length(view: RunView) -> float:
    ends = [(float(s.x[0]), float(s.x[-1])) for s in view.history.series.values() if len(s) and s.axis == "_step"]
    return max((end for _, end in ends), default=0.0) - min((start for start, _ in ends), default=0.0)


def _rate_step(view: RunView, finding: Finding, width: float) -> Iterator[LeadUp]:
    """Yield the largest step of the learning rate in the window: smooth schedules have none."""
    if not view.has("lr") or view.roles["lr"].metric in finding.metrics or len(view.curve("lr", 0)) < 8:
        return
    rate = view.curve("lr")
    onset = float(finding.step or 0)
    positive = rate.y > 0
    x, y = rate.x[positive], rate.y[positive]
    if len(y) < 8:
        return
    changes = np.abs(np.diff(np.log(y)))
    usual = float(np.median(changes))
    inside = (x[1:] <= onset) & (x[1:] >= onset - WINDOW * width) & (x[1:] > x[0] + 0.02 * width)
    ends = (y[1:] < y[:-1]) & (y[1:] < RATE_ENDS * float(np.max(y)))  # a smooth schedule's last steps are large ratios
    steps = np.flatnonzero(inside & ~ends & (changes > max(np.log(RATE_STEP), 10 * usual)))
    if len(steps):
        at = int(steps[np.argmax(changes[steps])])
        before, after = float(y[at]), float(y[at + 1])
        yield _lead_up(rate.metric, "rose" if after > before else "fell", float(x[at + 1]), onset, before, after)


def _metrics(view: RunView, finding: Finding, width: float) -> Iterator[LeadUp]:
    """Yield the metrics of other roles that left their level before the onset, beyond their own noise."""
    onset = float(finding.step or 0)
    for role, way in _WAYS.items():
        if not view.has(role) or view.roles[role].metric in finding.metrics:
            continue
        curve = view.curve(role, 0)
        made = _left_its_level(curve.x, curve.y, onset, WINDOW * width, way)
        if made is not None:
            step, before, after = made
            yield _lead_up(curve.metric, "rose" if after > before else "fell", step, onset, before, after)


def _left_its_level(
    x: FloatArray, y: FloatArray, onset: float, window: float, way: int
) -> tuple[float, float, float] | None:
    """Return when a curve left its level for good within the window before the onset, its level, and where it went.

    The level is the median of the `POINTS` or more points before the window, in which it must not have moved already.
    """
    start = onset - window
    before, inside = x < start, (x >= start) & (x < onset)
    if before.sum() < POINTS or inside.sum() < 3:
        return None
    calm = y[before][-max(POINTS, int(2 * inside.sum())) :]
    level = float(np.median(calm))
    spread = max(1.4826 * float(np.median(np.abs(calm - level))), stats.noise(calm), 1e-12 * abs(level))
    drift = abs(float(np.median(calm[len(calm) // 2 :])) - float(np.median(calm[: len(calm) // 2])))
    away = y[inside] - level
    clear = max(CLEAR * spread, LARGE * abs(level), 3 * drift)
    far = (away > clear) if way > 0 else (away < -clear) if way < 0 else (np.abs(away) > clear)
    since = stats.lasting(far)
    if since is None or len(far) - since < 2:
        return None
    return float(x[inside][since]), level, float(np.median(y[inside][since:]))


def _system(view: RunView, finding: Finding, width: float) -> Iterator[LeadUp]:
    """Yield the system metrics that left their level before the onset; their time is that of the rows."""
    clock = view.history.get("_runtime")
    if clock is None or len(clock) < POINTS or clock.axis != "_step":
        return
    steps, seconds = stats.finite(clock.x, clock.value)
    if len(steps) < POINTS or bool((np.diff(seconds) < 0).any()):
        return
    onset = float(finding.step or 0)
    for name, series in view.history.series.items():
        way = next((way for end, way in _SYSTEM_WAYS.items() if name.endswith(f".{end}")), None)
        if way is None or not name.startswith("system.") or name in finding.metrics:
            continue
        at = np.interp(series.x, seconds, steps)
        made = _left_its_level(at, series.value, onset, WINDOW * width, way)
        if made is not None:
            step, before, after = made
            yield _lead_up(name, "rose" if after > before else "fell", step, onset, before, after)


def _epoch_end(view: RunView, finding: Finding, width: float) -> Iterator[LeadUp]:
    """Yield the end of an epoch just before the onset, where epochs are long."""
    onset = float(finding.step or 0)
    if "epoch" in finding.title:
        return  # it says so itself
    for name in EPOCHS:
        series = view.history.get(name)
        if series is None or len(series) < 8:
            continue
        x, epoch = stats.finite(series.x, series.value)
        whole = np.floor(epoch + 1e-9)
        ends = x[1:][np.diff(whole) > 0]
        if not len(ends) or len(ends) > 1 / LONG_EPOCHS or (np.diff(epoch) < 0).any():
            return
        near = ends[(ends <= onset) & (ends >= onset - NEAR * width)]
        if len(near):
            yield _lead_up(name, "epoch ended", float(near[-1]), onset, None, None)
        return


def _begun(view: RunView, finding: Finding, width: float) -> Iterator[LeadUp]:
    """Yield a metric that began to be logged within the window: another phase of training."""
    onset = float(finding.step or 0)
    starts: list[tuple[float, str]] = []
    first = min((float(s.x[0]) for s in view.history.series.values() if len(s) and s.axis == "_step"), default=0.0)
    for name, series in view.history.series.items():
        began = float(series.x[0]) if len(series) else 0.0
        late = began > first + LATE * width
        if late and onset - NEAR * width <= began <= onset and _counts(name, series, finding):
            starts.append((began, name))
    if starts:
        step, name = min(starts)
        yield _lead_up(name, "began", step, onset, None, None)


def _counts(name: str, series: Series, finding: Finding) -> bool:
    return (
        len(series) >= 5
        and series.axis == "_step"
        and not name.startswith(("_", "system."))
        and (name not in finding.metrics)
    )


def _lead_up(metric: str, what: str, step: float, onset: float, before: float | None, after: float | None) -> LeadUp:
    return LeadUp(metric, what, int(step), int(onset) - int(step), before, after)
