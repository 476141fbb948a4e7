"""What was known of runs at a moment: of the run itself up to a step, of others what they had logged by that time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.detectors import Sibling, sibling_of
from wandb_toolkit.model import History, Primary, RoleMatch, Run, Series
from wandb_toolkit.plots.charts import STEP
from wandb_toolkit.roles import RolePatterns, assign_roles

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

_CLOCKS = ("_timestamp", "_runtime")


@dataclass(frozen=True, eq=False)
class Past:
    """A run that ended, and everything that it logged, on the training's own axis."""

    run: Run
    history: History
    overrides: Mapping[str, str] = field(default_factory=dict)
    patterns: RolePatterns | None = None
    _roles: dict[tuple[str, ...], dict[str, RoleMatch]] = field(default_factory=dict, repr=False)

    @cached_property
    def started(self) -> float:
        """When it started, in seconds; NaN where that is not known."""
        return self.run.created_at.timestamp() if self.run.created_at else float("nan")

    @cached_property
    def last(self) -> float:
        """Its last training step."""
        ends = [float(s.x[-1]) for s in self.history.series.values() if len(s) and s.axis == STEP]
        return max(ends, default=0.0)

    def seconds_at(self, step: float) -> float:
        """Return how long it had run at a step; NaN where no clock was logged."""
        for name in _CLOCKS:
            series = self.history.get(name)
            if series is not None and len(series) > 1:
                offset = 0.0 if name == "_runtime" else float(series.value[0])
                there = int(np.searchsorted(series.x, step, side="right"))
                return float(series.value[max(there - 1, 0)]) - offset
        return float("nan")

    def step_at(self, moment: float) -> float:
        """Return the last step that it had logged at a moment; below its first where it had logged nothing."""
        if not moment > self.started:
            return -1.0
        for name in _CLOCKS:
            series = self.history.get(name)
            if series is not None and len(series) > 1:
                offset = self.started + (0.0 if name == "_runtime" else -float(series.value[0]))
                there = int(np.searchsorted(np.maximum.accumulate(series.value + offset), moment, side="right"))
                return float(series.x[there - 1]) if there else -1.0
        return self.last  # no clock: one that started before is taken to be ahead

    def until(self, step: float) -> History:
        """Return what it had logged at a step; of system metrics what had come by then."""
        seconds = self.seconds_at(step)
        kept = {}
        for name, one in self.history.series.items():
            limit = step if one.axis == STEP else seconds
            there = int(np.searchsorted(one.x, limit, side="right")) if limit == limit else 0
            if there:
                kept[name] = _start_of(one, there)
        return History(kept, dict.fromkeys(kept, "number"), rows=max(map(len, kept.values()), default=0))

    def roles_in(self, history: History) -> dict[str, RoleMatch]:
        """Return which metrics play which role among those that had been logged."""
        names = tuple(name for name in history if not name.startswith(("_", "system.")))
        if names not in self._roles:
            self._roles[names] = assign_roles(names, self.overrides, self.patterns)
        return self._roles[names]

    def running(self, step: float) -> Run:
        """Return the run as it was listed at a step: nobody knew how it would end."""
        return replace(
            self.run, state="running", summary={}, steps=int(step), exit_code=None, duration=None, rows=None,
            last_activity=None, warnings=(),
        )  # fmt: skip

    def as_sibling(self, moment: float, primary: Primary | None) -> Sibling | None:
        """Return what others could know of it at a moment, None where it had logged nothing."""
        step = self.step_at(moment)
        if step < 0:
            return None
        history = self.until(step)
        ended = step >= self.last and moment >= self.started + (self.run.duration or 0.0)
        run = replace(self.run, summary={}) if ended else self.running(step)
        return sibling_of(run, history, self.roles_in(history), primary)


def _start_of(series: Series, count: int) -> Series:
    if count >= len(series):
        return series
    total = None if series.total is None else round(series.total * count / len(series))
    return replace(series, x=series.x[:count], value=series.value[:count], total=total)


def places(last: float, count: int) -> FloatArray:
    """Return the steps at which a run is looked at: evenly spaced, the last one its end."""
    return np.unique(np.rint(np.linspace(0, last, count + 1)[1:]))
