"""Where a training goes over to something else by plan: phases, folds, tasks, and restarts of the learning rate."""

from __future__ import annotations

import re

import numpy as np

from wandb_toolkit.configs import flatten
from wandb_toolkit.detectors.base import EPOCHS, NotApplicable, RunView
from wandb_toolkit.roles import words_of

_COUNTERS = re.compile(r"(^| )(stage|phase|fold|curriculum|task id|level|difficulty)( id| index| idx)?$")
_RESTARTS = re.compile(r"restart|cyclic|sgdr", re.IGNORECASE)
MOST = 30  # values of a counter that tells phases apart


def planned_changes(view: RunView) -> list[tuple[float, float]]:
    """Return where a phase begins or the learning rate restarts, and how near to it a jump belongs to it."""
    return [*_phases(view), *_restarts_of_rate(view)]


def refuse_range_test(view: RunView) -> None:
    """Refuse a run that looks for the largest learning rate, whose loss is to diverge.

    Raises:
        NotApplicable: its learning rate rises over decades.
    """
    if _is_range_test(view):
        raise NotApplicable("the learning rate rises over decades throughout: a range test, whose loss is to diverge")


def _is_range_test(view: RunView, times: float = 1000.0) -> bool:
    """Return whether the learning rate rises throughout, `times` in all and evenly on a logarithmic scale."""
    if not view.has("lr") or len(view.curve("lr")) < 20:
        return False
    rate = view.curve("lr").y
    if float(np.min(rate)) <= 0 or rate[-1] < times * rate[0] or not bool((np.diff(rate) >= 0).all()):
        return False
    log = np.log(rate)
    return bool(np.max(np.abs(log - np.linspace(log[0], log[-1], len(log)))) < 0.1 * (log[-1] - log[0]))


def _phases(view: RunView) -> list[tuple[float, float]]:
    """Return where a logged counter of phases changes, or one of epochs starts anew."""
    found = []
    for name, series in view.history.series.items():
        words = words_of(name)
        phase, epoch = _COUNTERS.search(words) is not None, name in EPOCHS
        if not (phase or epoch) or len(series) < 8 or not bool(np.isfinite(series.value).all()):
            continue
        change = np.diff(series.value)
        at = np.flatnonzero(change != 0) if phase else np.flatnonzero(series.value[1:] < 0.5 * series.value[:-1])
        if not len(at) or len(at) > MOST or (phase and len(at) > 0.2 * len(series)):
            continue
        near = 3 * float(np.median(np.diff(series.x)))
        found += [(float(series.x[one + 1]), near) for one in at]
    return found


def _restarts_of_rate(view: RunView, times: float = 3.0, twice: int = 2) -> list[tuple[float, float]]:
    """Return where a schedule of warm restarts raised the learning rate.

    It rises `times` at once, to no more than it had been, `twice` at least, or as often as a config says that it will.
    """
    if not view.has("lr") or len(view.curve("lr")) < 8:
        return []
    rate = view.curve("lr")
    high = np.maximum.accumulate(rate.y)[:-1]
    up = np.flatnonzero((rate.y[1:] > times * rate.y[:-1]) & (rate.y[1:] <= 1.01 * high) & (rate.y[1:] > 0.1 * high))
    planned = any(_RESTARTS.search(f"{key} {value}") for key, value in flatten(view.run.config).items())
    if len(up) < (1 if planned else twice):
        return []
    near = 3 * float(np.median(np.diff(rate.x)))
    return [(float(rate.x[at + 1]), near) for at in up]
