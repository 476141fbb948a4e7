"""Metrics of one member (a client, worker or site) that are logged under the name of all of them."""

from __future__ import annotations

import re
from collections import defaultdict

import numpy as np

from wandb_toolkit.detectors.base import RunView
from wandb_toolkit.model import Series

_MEMBER = re.compile(
    r"(?:^|[/._ -])(clients?|workers?|parties|party|sites?|silos?|hospitals?|devices?)[/._ -]?(?=\w)", re.I
)
_LAST = re.compile(r"[/. ]")


def member_behind(view: RunView, metric: str, points: int = 5) -> str | None:
    """Return the members' metric whose value a metric of all of them has in every row; None where it is their own.

    A loop over the clients of a federation that logs the round's metric inside it leaves the last one's value there. At
    least two members have to log the same thing, and to differ.
    """
    if metric not in view.history or _MEMBER.search(metric):
        return None
    leaf = _LAST.split(metric)[-1].lower()
    members = [
        series
        for name, series in view.history.series.items()
        if _MEMBER.search(name) and _LAST.split(name)[-1].lower() == leaf
    ]
    own = view.history[metric]
    if len(members) < 2 or len(own) < points:
        return None
    values: dict[float, list[tuple[str, float]]] = defaultdict(list)
    for series in members:
        for x, y in zip(series.x.tolist(), series.value.tolist(), strict=True):
            values[x].append((series.name, y))
    behind: list[str] = []
    apart = 0
    for x, y in zip(own.x.tolist(), own.value.tolist(), strict=True):
        beside = values.get(x, [])
        equal = [name for name, other in beside if np.isclose(other, y, rtol=1e-6, atol=0)]
        if not equal:
            return None
        apart += len(beside) > len(equal)
        behind.append(equal[0])
    if apart < 0.5 * len(own) or _always_extreme(own, values):
        return None
    return max(set(behind), key=behind.count)


def _always_extreme(own: Series, values: dict[float, list[tuple[str, float]]]) -> bool:
    """Return whether it is the highest or the lowest of three or more members in every row: that may be meant."""
    rows = [(y, [other for _, other in values[x]]) for x, y in zip(own.x.tolist(), own.value.tolist(), strict=True)]
    if max(len(others) for _, others in rows) < 3:
        return False
    return all(y >= max(others) for y, others in rows) or all(y <= min(others) for y, others in rows)
