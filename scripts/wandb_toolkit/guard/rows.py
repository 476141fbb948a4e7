"""The rows of a training that goes on, in memory: numbers by metric, no more than so many of each."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray, History


class Points:
    """One metric: steps and values, in the order of the steps."""

    __slots__ = ("count", "steps", "values")

    def __init__(self) -> None:
        self.steps, self.values = array("d"), array("d")
        self.count = 0  # logged in all

    def add(self, step: float, value: float, most: int) -> None:
        """Add a point; at the last point's step it takes that one's place."""
        if self.steps and self.steps[-1] == step:
            self.values[-1] = value
            return
        self.steps.append(step)
        self.values.append(value)
        self.count += 1
        if len(self.steps) > most:
            self._thin()

    def _thin(self) -> None:
        """Leave out every second finite point of the older half: the recent ones stay as logged."""
        half = len(self.steps) // 2
        kept = [at for at in range(half) if at % 2 == 0 or not math.isfinite(self.values[at])]
        kept += range(half, len(self.steps))
        self.steps = array("d", [self.steps[at] for at in kept])
        self.values = array("d", [self.values[at] for at in kept])

    def arrays(self) -> tuple[FloatArray, FloatArray]:
        """Return copies of steps and values, (n,) each."""
        import numpy as np

        return np.array(self.steps), np.array(self.values)


class Rows:
    """The metrics that are watched, by W&B's names for nested values (`a.b`)."""

    def __init__(self, metrics: Sequence[str], most: int) -> None:
        self.metrics, self.most = tuple(metrics), most
        self.points: dict[str, Points] = {}
        self.rows, self.last = 0, -1.0  # rows taken, the last row's step
        self._wanted: dict[str, bool] = {}

    def add(self, row: Mapping[str, Any], step: float) -> bool:
        """Take a row's numbers; return whether one of its metrics is not finite for the first time.

        A row of an earlier step than the last is left out, as W&B does.
        """
        if step < self.last:
            return False
        self.rows += step > self.last
        self.last = step
        broken = False
        for name, value in _numbers(row, ""):
            if not (self._wanted[name] if name in self._wanted else self._wants(name)):
                continue
            points = self.points.get(name)
            if points is None:
                points = self.points[name] = Points()
            if not math.isfinite(value) and (not points.values or math.isfinite(points.values[-1])):
                broken = True
            points.add(step, value, self.most)
        return broken

    def _wants(self, name: str) -> bool:
        found = not self.metrics or name.startswith("_") or any(fnmatchcase(name, each) for each in self.metrics)
        self._wanted[name] = found
        return found

    def history(self) -> History:
        """Return what was taken so far."""
        from wandb_toolkit.model import History, Series

        series = {}
        for name, points in self.points.items():
            steps, values = points.arrays()
            total = points.count if points.count > len(steps) else None
            series[name] = Series(name, steps, values, total=total)
        return History(series, kinds=dict.fromkeys(series, "number"), rows=self.rows)


def _numbers(row: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if isinstance(value, (int, float)):
            yield f"{prefix}{name}", float(value)
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{name}.")
        else:  # a NumPy scalar, a tensor of one element
            item: Callable[[], Any] | None = getattr(value, "item", None)
            if item is not None and getattr(value, "ndim", 1) == 0 and isinstance(number := item(), (int, float)):
                yield f"{prefix}{name}", float(number)
