"""Where the curves of a run leave those of the runs that went well: which metric first, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import Curve, curve_of
from wandb_toolkit.model import History, Parting, Run

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wandb_toolkit.model import FloatArray

PLACES = 400  # along a run at which curves are compared
LEAST = 8  # points of a curve
BEYOND = 5.0  # times what the good runs, or a curve's own points, scatter by
BLOCKS = 8  # of a curve, whose means tell how far it strays
LASTS = 0.6  # of the places behind the first one, at which it has to be beyond, too


def partings(
    run: Run, history: History, good: Sequence[tuple[Run, History]], metrics: Sequence[str], most: int = 5
) -> list[Parting]:
    """Return where metrics of a run leave the good runs' for good, the earliest first; of several, those in front.

    At the same training step a course lies beyond where it differs from the good runs' median by more than `BEYOND`
    times their spread; with one good run, by more than that times what both curves scatter by from point to point.
    Metrics that not every good run logged are left out.
    """
    found = []
    for metric in metrics:
        series = history.get(metric)
        others = [one.get(metric) for _, one in good]
        if series is None or any(other is None or other.axis != series.axis for other in others):
            continue
        curves = [curve_of(other) for other in others if other is not None]
        one = _parting(run, curve_of(series), curves)
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda one: one.step)[:most]


def _parting(run: Run, curve: Curve, good: Sequence[Curve]) -> Parting | None:
    if len(curve) < LEAST or any(len(other) < LEAST for other in good):
        return None
    start = max(float(curve.x[0]), *(float(other.x[0]) for other in good))
    end = min(float(curve.x[-1]), *(float(other.x[-1]) for other in good))
    if end <= start:
        return None
    x = np.linspace(start, end, PLACES)
    mine, courses = _course(curve, x), np.stack([_course(other, x) for other in good])
    usual = np.median(courses, axis=0)
    spread = _spread(curve, good, courses, x)
    away = np.abs(mine - usual)
    beyond = (away > BEYOND * spread) & (away > 0)
    at = _for_good(beyond)
    if at is None:
        return None
    times = float(np.median(away[at:] / np.maximum(spread[at:], 1e-300)))
    return Parting(
        run=run.id,
        name=run.name,
        metric=curve.metric,
        step=int(x[at]),
        value=float(mine[-1]),
        good=float(usual[-1]),
        times=min(times, 1e6),
        runs=len(good),
    )


def _course(curve: Curve, x: FloatArray) -> FloatArray:
    return np.asarray(np.interp(x, curve.trend.x, curve.trend.y))


def _spread(curve: Curve, good: Sequence[Curve], courses: FloatArray, x: FloatArray) -> FloatArray:
    """Return by how much runs that go well differ at each place; never less than what their courses are unsure by.

    What the run itself scatters by counts where it does: one that went through the roof and settled at a wrong level
    has parted all the same.
    """
    level = max(float(np.ptp(courses)), float(np.max(np.abs(courses))) * 1e-3)
    floor = max(*(other.trend.error for other in good), 0.005 * level, 1e-300)
    mine = _error(curve, x)
    if len(good) < 2:
        return np.asarray(np.maximum(floor, 2**0.5 * np.maximum(_wander(good[0]), mine)))
    # Few runs show less than the spread there is: widened as Student's t widens a standard deviation.
    wide = {2: 4.0, 3: 2.0, 4: 1.6}.get(len(good), 1.3)
    apart = np.std(courses, axis=0, ddof=1) * wide
    return np.asarray(np.maximum(np.maximum(stats.running_mean(apart, 21), floor), mine))


def _error(curve: Curve, x: FloatArray) -> FloatArray:
    """Return what a curve's course is unsure by at each place: as everywhere, or less where it is calmer."""
    raw = curve.trend.raw
    scatter = np.abs(np.diff(raw, n=2)) / (0.6745 * 6**0.5)  # the median deviation of a normal one is 0.6745
    near = stats.running_median(np.pad(scatter, 1, mode="edge"), max(5, len(raw) // 20) | 1)
    local = np.interp(x, curve.trend.x, near) / curve.trend.window**0.5
    return np.asarray(np.minimum(local, curve.trend.error))


def _wander(curve: Curve) -> float:
    """Return what a curve's course strays by, at whichever length it strays most: neighbours may be alike for long."""
    raw, most = curve.trend.raw, 0.0
    length = curve.trend.window
    while len(raw) // length >= BLOCKS:
        blocks = raw[len(raw) % length :].reshape(-1, length).mean(axis=1)
        most = max(most, stats.noise(blocks))
        length *= 2
    return max(most, curve.trend.error)


def _for_good(beyond: NDArray[np.bool_], few: int = 5) -> int | None:
    """Return the first place from which most places are beyond, to the end among them."""
    if not beyond[-max(few, len(beyond) // 20) :].mean() > 0.5:
        return None
    share = np.cumsum(beyond[::-1])[::-1] / np.arange(len(beyond), 0, -1)
    lasting = beyond & (share >= LASTS)
    return int(np.argmax(lasting)) if lasting.any() else None


def comparable(histories: Sequence[History], first: Mapping[str, str]) -> list[str]:
    """Return the metrics that all have, those that play a role in front."""
    shared = set.intersection(*(set(history) for history in histories)) if histories else set()
    named = [metric for metric in dict.fromkeys(first.values()) if metric in shared]
    rest = sorted(name for name in shared - set(named) if not name.startswith(("_", "system.")))
    return [*named, *rest]
