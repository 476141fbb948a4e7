"""The machine's figures: GPU use and memory, the process's memory, disk and network, where they were sampled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wandb_toolkit.model import History, Run, Series
from wandb_toolkit.plots.charts import Chart, build_chart
from wandb_toolkit.plots.smoothing import Smoothing


@dataclass(frozen=True)
class Part:
    """One figure of the machine."""

    metric: str  # what the figure is called
    keys: re.Pattern[str]  # the system metrics that it is of
    mean: bool  # over the keys (GPUs), else their sum (disks: in and out)
    scale: float = 1.0  # of the values: bytes as MB


# One figure of each row: the first that some run has.
PARTS = (
    (Part("system.gpu (% in use, mean of the GPUs)", re.compile(r"system\.gpu\.\d+\.gpu$"), mean=True),),
    (Part("system.gpu memory (% allocated, mean)", re.compile(r"system\.gpu\.\d+\.memoryAllocated$"), mean=True),),
    (
        Part("system.proc.memory (MB)", re.compile(r"system\.proc\.memory\.rssMB$"), mean=False),
        Part("system.memory (% in use)", re.compile(r"system\.memory(_percent)?$"), mean=True),
    ),
    (
        Part("system.disk (MB read and written)", re.compile(r"system\.disk\.(.+\.)?(in|out)$"), mean=False),
        Part("system.disk (% full, mean)", re.compile(r"system\.disk(\..+\.usagePercent)?$"), mean=True),
    ),
    (Part("system.network (MB sent and received)", re.compile(r"system\.network\.(sent|recv)$"), False, 1e-6),),
)
RUNS = 12  # of a figure


def wanted(name: str) -> bool:
    """Whether a system metric belongs to one of the figures."""
    return any(part.keys.match(name) for parts in PARTS for part in parts)


def machine_charts(runs: Sequence[Run], histories: Sequence[History], labels: Sequence[str]) -> list[Chart]:
    """Return the figures of the machine against the run's time: GPU use and memory, memory, disk, network."""
    made = []
    for parts in PARTS:
        charts = (_chart(part, runs, histories, labels) for part in parts)
        made.append(next((chart for chart in charts if chart is not None), None))
    return [chart for chart in made if chart is not None]


def _chart(part: Part, runs: Sequence[Run], histories: Sequence[History], labels: Sequence[str]) -> Chart | None:
    found = {at: one for at, history in enumerate(histories) if (one := _series(part, history)) is not None}
    shown = list(found)[:RUNS]
    if not shown:
        return None
    chart = build_chart(
        part.metric,
        [runs[at] for at in shown],
        {place: History({part.metric: found[at]}) for place, at in enumerate(shown)},
        Smoothing("none"),
        labels=[labels[at] for at in shown],
    )
    return chart if chart.curves else None


def _series(part: Part, history: History) -> Series | None:
    """Return the mean or the sum of a run's metrics of one part, at the times of the one with most samples."""
    import numpy as np

    own = [series for name, series in history.series.items() if part.keys.match(name) and len(series) > 1]
    if not own:
        return None
    longest = max(own, key=len)
    stack = []
    for series in own:
        known = np.isfinite(series.value) & np.isfinite(series.x)
        if known.any():
            x, at = np.unique(series.x[known], return_index=True)
            stack.append(np.interp(longest.x, x, series.value[known][at]))
    if not stack:
        return None
    table = np.stack(stack)
    value = (table.mean(axis=0) if part.mean else table.sum(axis=0)) * part.scale
    return Series(part.metric, longest.x, value, longest.axis)
