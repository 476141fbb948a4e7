"""More runs match than are read: all of them ranked by their summaries, and which of them to read in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from wandb_toolkit import roles
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run, SummaryRank, SummaryRanking
from wandb_toolkit.sources.base import RunQuery, Source

MOST_RANKED = 10_000  # runs: a listing of more would take longer than the report
LED_BY = 5  # runs that the report names


def chosen_of_many(
    source: Source, query: RunQuery, most: int, primary: str | None, patterns: roles.RolePatterns | None
) -> tuple[list[Run], SummaryRanking | None]:
    """Return at most `most` of the runs that match: the best by their summaries, and the newest, newest first.

    None where the summaries do not tell: then the runs are the newest alone. `primary` names the metric to rank by.
    """
    runs = source.runs(replace(query, limit=MOST_RANKED, names=True))
    names = source.summary_names(runs[:most])
    metric = roles.choose_primary([names], primary, patterns)
    if metric is None:
        return runs[:most], None
    try:
        summaries = source.summaries(runs, [metric.metric])
    except ToolkitError:
        return runs[:most], None
    values = [_number(one.get(metric.metric)) for one in summaries]
    sign = -1 if metric.direction == "max" else 1
    order = sorted(
        (at for at, value in enumerate(values) if value is not None), key=lambda at: sign * _known(values, at)
    )
    best = order[: most // 2]
    kept = sorted({*best, *[at for at in range(len(runs)) if at not in set(best)][: most - len(best)]})
    ranking = SummaryRanking(
        metric=metric.metric,
        direction=metric.direction,
        ranked=len(order),
        best=tuple(SummaryRank(runs[at].id, runs[at].name, _known(values, at)) for at in order[:LED_BY]),
        read_as_best=len(best),
    )
    return [runs[at] for at in kept], ranking


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return float(value)


def _known(values: Sequence[float | None], at: int) -> float:
    value = values[at]
    assert value is not None
    return value
