"""The training's own steps: W&B's `_step` counts calls of log(), people speak of updates, iterations or env steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit import stats
from wandb_toolkit.detectors.base import COUNTERS, OWN_COUNTERS
from wandb_toolkit.model import History, RoleMatch, Run, Series
from wandb_toolkit.plots.charts import STEP, step_metric

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray


@dataclass(frozen=True, eq=False)
class StepAxis:
    """What counts a run's training steps. `log` and `training` are the same rows' steps on both axes, increasing."""

    metric: str
    log: FloatArray  # (n,) `_step`
    training: FloatArray  # (n,) the counter's values there

    def of_log(self, steps: FloatArray) -> FloatArray:
        """Return the training steps at W&B's steps: between two rows with the counter, in proportion."""
        found = np.interp(steps, self.log, self.training)
        return np.asarray(np.rint(found) if self._whole else found, dtype=np.float64)

    def to_log(self, step: float) -> int:
        """Return the W&B step of the first row at or behind a training step."""
        at = min(int(np.searchsorted(self.training, step)), len(self.log) - 1)
        return int(self.log[at])

    @property
    def _whole(self) -> bool:
        return bool((self.training == np.rint(self.training)).all())


def step_axis(run: Run, history: History, roles: Mapping[str, RoleMatch]) -> StepAxis | None:
    """Return what counts the run's steps, None where that is W&B's own step.

    The axis that the run defined for all its metrics that play a role (`define_metric`), else a framework's counter,
    else a counter of the loop's own that is logged beside the metrics. A counter that falls (a run resumed from a
    checkpoint) or that is no count (an epoch in fractions) is none.
    """
    judged = [match.metric for match in roles.values()]
    defined = [step_metric(run, metric) for metric in judged]
    own = [defined[0]] if defined and len(set(defined)) == 1 and defined[0] != STEP else []
    for name in dict.fromkeys([*own, *COUNTERS, *OWN_COUNTERS]):
        series = history.get(name)
        if series is None or series.axis != STEP or name in judged:
            continue
        log, training = stats.finite(series.x, series.value)
        grows = len(training) >= 2 and bool((np.diff(training) >= 0).all()) and training[-1] > training[0]
        if not grows or not bool((training == np.rint(training)).all()):
            continue
        if name not in OWN_COUNTERS or name in own or (_beside(log, history, judged) and not (log == training).all()):
            return StepAxis(name, log, training)
    return None


def _beside(log: FloatArray, history: History, judged: Sequence[str], share: float = 0.9) -> bool:
    """Return whether nearly all points of the judged metrics are in rows at the W&B steps `log`."""
    points = [series.x for name in judged if (series := history.get(name)) is not None and series.axis == STEP]
    return bool(points) and float(np.isin(np.concatenate(points), log).mean()) >= share


def on_axis(history: History, axis: StepAxis | None) -> History:
    """Return the history with the training's steps for W&B's; of several rows at one step the last stays."""
    if axis is None:
        return history
    return replace(history, series={name: _moved(one, axis) for name, one in history.series.items()})


def _moved(series: Series, axis: StepAxis) -> Series:
    if series.axis != STEP or not len(series):
        return series
    x = axis.of_log(series.x)
    keep = np.append(x[1:] != x[:-1], True)
    if keep.all():
        return replace(series, x=x)
    total = series.total
    return replace(series, x=x[keep], value=series.value[keep], total=total)


def named_axes(axes: Sequence[StepAxis | None]) -> str:
    """Return the counters that runs are reported by, "" where that is W&B's own step for all."""
    return ", ".join(dict.fromkeys(axis.metric for axis in axes if axis is not None))
