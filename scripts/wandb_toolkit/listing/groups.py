"""Runs that belong together → the mean of each metric over them, how sure it is, and over how many."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wandb_toolkit.listing.shapes import GroupJson
from wandb_toolkit.listing.table import TableColumn, TableFormat, fitting, formatted
from wandb_toolkit.model import Run
from wandb_toolkit.text import number

_MOST_DECIMALS = 6
_LEADING = 4  # group keys that stay however narrow the terminal
_LARGE = 1e6  # from here on numbers are shown with their power of ten


@dataclass(frozen=True)
class Mean:
    """The mean of a metric over runs."""

    mean: float  # NaN where no run has a finite value
    error: float | None  # standard error: the sample's standard deviation / sqrt(n); None for less than two runs
    n: int  # runs with a finite value


@dataclass(frozen=True)
class RunGroup:
    """Runs that share values, and their metrics."""

    label: str
    values: Mapping[str, Any]  # what the runs share, by group key
    runs: tuple[Run, ...]
    means: Mapping[str, Mean]


def mean_of(values: Iterable[object]) -> Mean | None:
    """Return the mean of the finite numbers among values, None where there is no number."""
    numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
    finite = [value for value in numbers if math.isfinite(value)]
    if not finite:
        return Mean(math.nan, None, 0) if numbers else None
    error = statistics.stdev(finite) / math.sqrt(len(finite)) if len(finite) > 1 else None
    return Mean(math.fsum(finite) / len(finite), error, len(finite))


def means_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, Mean]:
    """Return each metric's mean over runs, given each run's values."""
    names = dict.fromkeys(name for row in rows for name in row)
    means = {name: mean_of(row.get(name) for row in rows) for name in names}
    return {name: mean for name, mean in means.items() if mean is not None}


def mean_text(mean: Mean | None, runs: int) -> str:
    """Return "0.8123 ± 0.0041": the error with two digits, the mean as exact; and n where it is not all the runs."""
    if mean is None:
        return ""
    lacking = f" (n={mean.n})" if mean.n < runs else ""
    if mean.error is None:
        return f"{number(mean.mean)}{lacking}"
    decimals = 1 - math.floor(math.log10(mean.error)) if 0 < mean.error < _LARGE else -1
    if not -1 < decimals <= _MOST_DECIMALS or abs(mean.mean) >= _LARGE:
        exact = mean.error > 0 and abs(mean.mean) < _LARGE and mean.error >= 1
        texts = (number(mean.mean), number(mean.error, 2))
        return f"{mean.mean:.0f} ± {mean.error:.0f}{lacking}" if exact else f"{texts[0]} ± {texts[1]}{lacking}"
    return f"{mean.mean:.{decimals}f} ± {mean.error:.{decimals}f}{lacking}"


def group_json(group: RunGroup) -> GroupJson:
    """Return one element of the JSON of list_runs --group-by."""
    return {
        "label": group.label,
        "values": {**group.values},
        "count": len(group.runs),
        "run_ids": [run.id for run in group.runs],
        "means": {
            name: {"mean": mean.mean, "standard_error": mean.error, "n": mean.n} for name, mean in group.means.items()
        },
    }


def groups_table(
    groups: Sequence[RunGroup], metrics: Sequence[str], width: int | None, kind: TableFormat
) -> tuple[str, int]:
    """Return the table of groups with a column for each of `metrics` that fits, and how many did.

    CSV has mean, standard error and n in columns of their own.
    """
    keys = list(groups[0].values) if groups else []
    columns = [TableColumn(k.removeprefix("config."), rank=0 if at < _LEADING else 3) for at, k in enumerate(keys)]
    columns = columns or [TableColumn("group")]
    columns.append(TableColumn("runs", "right", fixed=True))
    rows: list[list[Any]] = [[*(g.values.values() if keys else [g.label]), len(g.runs)] for g in groups]
    for metric in metrics:
        means = [group.means.get(metric) for group in groups]
        if kind == "csv":
            columns += [TableColumn(f"{metric}{part}", "right") for part in ("", " standard error", " n")]
            for row, mean in zip(rows, means, strict=True):
                row.extend([mean.mean, mean.error, mean.n] if mean else [None, None, 0])
        else:
            columns.append(TableColumn(metric, "right", fixed=True, rank=2, missed=False))
            for row, mean, group in zip(rows, means, groups, strict=True):
                row.append(mean_text(mean, len(group.runs)))
    shown = len(metrics)
    if width and kind == "table":
        texts = [[column.text(cell) for column, cell in zip(columns, row, strict=True)] for row in rows]
        shown = sum(at >= len(columns) - len(metrics) for at in fitting(columns, texts, width))
    return formatted(kind, columns, rows, width), shown
