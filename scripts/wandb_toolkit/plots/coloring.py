"""Colours that say something: the value of a setting, or which of very many runs end highest and lowest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wandb_toolkit.configs import token
from wandb_toolkit.errors import UsageError, did_you_mean
from wandb_toolkit.model import Run
from wandb_toolkit.plots.charts import Chart, Line, facts
from wandb_toolkit.plots.figures.alt_text import short
from wandb_toolkit.plots.group_keys import names_of, value_of
from wandb_toolkit.plots.labels import config_text

LABELLED = 12  # lines up to which each has its own label
_SHOWN = 5  # values of a scale in the legend
_DECADES = 30.0  # a scale over more than this ratio is logarithmic


@dataclass(frozen=True)
class Coloring:
    """What --color-by names, for each run of the call."""

    key: str  # as given: "config.lr"
    texts: tuple[str, ...]  # the values
    shades: tuple[float, ...] | None  # of numbers: places on the scale, 0 to 1, NaN for none; None: categories
    groups: tuple[int, ...]  # of categories: which one, in the order in which they come

    @property
    def name(self) -> str:
        """What the legend calls it."""
        return self.key.removeprefix("config.")


def coloring_of(runs: Sequence[Run], key: str) -> Coloring:
    """Return the colours that the runs' values of a key stand for.

    Raises:
        UsageError: no run has the key; the hint has the nearest.
    """
    values = [value_of(run, key) for run in runs]
    if all(value is None for value in values):
        raise UsageError(f"None of the runs has {key}.", did_you_mean(key, names_of(runs), "config key"))
    texts = tuple("none" if value is None else config_text(value) for value in values)
    tokens = [token(value) for value in values]
    places = {one: at for at, one in enumerate(dict.fromkeys(tokens))}
    return Coloring(key, texts, _places(values), tuple(places[one] for one in tokens))


def _places(values: Sequence[Any]) -> tuple[float, ...] | None:
    """Return where numbers lie between the lowest and the highest, None where some value is not a number."""
    numbers = [math.nan if value is None else value for value in values]
    if any(isinstance(value, bool) or not isinstance(value, (int, float)) for value in numbers):
        return None
    known = [float(value) for value in numbers if math.isfinite(value)]
    if len(set(known)) < 2:
        return None
    low, high = min(known), max(known)
    if low > 0 and high / low > _DECADES:
        return tuple(
            math.log(value / low) / math.log(high / low) if math.isfinite(value) else math.nan for value in numbers
        )
    return tuple((value - low) / (high - low) if math.isfinite(value) else math.nan for value in numbers)


def colored(chart: Chart, coloring: Coloring) -> Chart:
    """Return the chart with its lines coloured by the setting, and the legend that says so."""
    lines = []
    for line in chart.curves:
        at = line.index
        if len(chart.curves) <= LABELLED:
            line = replace(line, label=f"{line.label} · {coloring.name}={coloring.texts[at]}")  # noqa: PLW2901
        if coloring.shades is not None:
            lines.append(replace(line, shade=coloring.shades[at]))
        else:
            lines.append(replace(line, index=coloring.groups[at]))
    first = {(coloring.texts[old.index]): new for old, new in zip(chart.curves, lines, strict=True)}
    legend: list[tuple[str, Line | None]] = []
    if len(lines) > LABELLED:
        order = list(first)
        if coloring.shades is not None:
            order.sort(key=lambda text: _last_if_nan(first[text].shade))
            order = [order[round(at * (len(order) - 1) / (_SHOWN - 1))] for at in range(_SHOWN)]
        legend = [(f"{coloring.name} = {text}", first[text]) for text in dict.fromkeys(order)]
    return replace(chart, curves=tuple(lines), legend=tuple(legend), notes=(*chart.notes, f"colored by {coloring.key}"))


def _last_if_nan(shade: float | None) -> float:
    return math.inf if shade is None or math.isnan(shade) else shade


def highlighted(chart: Chart) -> Chart:
    """Return the chart with the lines that end highest, in the middle and lowest in colour, the others grey."""
    ends = [known.last for known in map(facts, chart.curves)]
    order = sorted((at for at, end in enumerate(ends) if end is not None), key=lambda at: -(ends[at] or 0.0))
    if len(order) < 3:
        return chart
    chosen = {order[0]: "highest", order[len(order) // 2]: "median", order[-1]: "lowest"}
    colors = {at: color for color, at in enumerate(chosen)}
    lines = [
        replace(line, index=colors[at]) if at in chosen else replace(line, shade=math.nan)
        for at, line in enumerate(chart.curves)
    ]
    legend: list[tuple[str, Line | None]] = [
        (f"{word} end: {short(ends[at] or 0.0)}, {lines[at].label}", lines[at]) for at, word in chosen.items()
    ]
    legend.append((f"{len(lines) - len(chosen)} more in grey", None))
    return replace(chart, curves=tuple(lines), legend=tuple(legend))
