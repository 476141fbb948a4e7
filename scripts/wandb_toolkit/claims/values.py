"""A metric's statistics with their steps, and how a written number agrees with a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wandb_toolkit import roles
from wandb_toolkit.claims.claim import Number, Statistic
from wandb_toolkit.claims.numbers import scales
from wandb_toolkit.model import Run, Series
from wandb_toolkit.reports.steps import StepAxis

ROUNDING_MAX = 0.1  # part of a value by which rounding may change it before it says something else
_EXACT = 1e-7  # of a value: what 32-bit floats lose

Match = Literal["exact", "near", "padded", "coarse"]
_MATCHES: tuple[Match, ...] = ("exact", "near", "padded", "coarse")


@dataclass(frozen=True, eq=False)
class Logged:
    """One metric of one run."""

    run: Run
    series: Series  # by W&B's step; a single point for what is in the summary only
    axis: StepAxis | None = None  # what counts the training's steps
    in_summary: bool = False


@dataclass(frozen=True)
class Point:
    """A statistic of a metric and where it is; no step for a mean and a summary."""

    value: float
    log_step: int | None = None
    step: float | None = None
    axis: str | None = None


def point_of(logged: Logged, statistic: Statistic, step: float | None = None) -> Point | None:
    """Return a statistic over the finite points, the last as logged; None where there is none.

    `step`: the value at that training step instead, else at W&B's.
    """
    series = logged.series
    finite = np.flatnonzero(np.isfinite(series.value))
    if step is not None:
        return _at_step(logged, step)
    if not len(series) or (statistic != "last" and not len(finite)):
        return None
    if statistic == "mean":
        return Point(float(series.value[finite].mean()))
    if statistic == "best":
        statistic = roles.direction_of(series.name)[0]
    if statistic == "last":
        return _point(logged, len(series) - 1)
    values = series.value[finite]
    return _point(logged, int(finite[values.argmax() if statistic == "max" else values.argmin()]))


def _point(logged: Logged, at: int) -> Point:
    value = float(logged.series.value[at])
    if logged.in_summary:
        return Point(value)
    x = float(logged.series.x[at])
    step = float(logged.axis.of_log(np.array([x]))[0]) if logged.axis else x
    return Point(value, int(x), step, logged.axis.metric if logged.axis else logged.series.axis)


def _at_step(logged: Logged, step: float) -> Point | None:
    if logged.in_summary:
        return None
    x = logged.series.x
    steps = logged.axis.of_log(x) if logged.axis else x
    at = np.flatnonzero(steps == step)
    at = at if len(at) else np.flatnonzero(x == step)
    return _point(logged, int(at[-1])) if len(at) else None


def match(number: Number, actual: float, metric: str, low: float, high: float) -> tuple[Match, float] | None:
    """Return how a written number agrees with a value, best first, and the scale that it was read in; None: not."""
    found: list[tuple[Match, float]] = []
    for scale in scales(number, metric, low, high):
        how = agrees(number, actual, scale)
        if how:
            found.append((how, scale))
    return min(found, key=lambda pair: _MATCHES.index(pair[0]), default=None)


def agrees(number: Number, actual: float, scale: float) -> Match | None:
    if not math.isfinite(actual):
        return None
    value, half, padding = number.value * scale, number.half * scale, number.padding * scale
    loose = max(number.loose * scale, half)
    away, slack = abs(value - actual), _EXACT * max(abs(actual), abs(value)) + 1e-12
    if number.bound in ("<", ">"):
        return "exact" if (actual > value - slack if number.bound == ">" else actual < value + slack) else None
    about = number.bound == "~"
    if away <= loose * (2 if about else 1) + slack:
        coarse = away > ROUNDING_MAX * abs(actual) * (2 if about else 1) and loose > 0.02 * scale
        return "coarse" if coarse and value else "exact"
    if away <= 2 * half + slack or away <= min(2 * loose, 0.01 * abs(actual)):
        return "near"
    return "padded" if away <= padding + slack else None
