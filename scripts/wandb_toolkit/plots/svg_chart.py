"""A figure of several runs as inline SVG and its key: coloured by the page's style, highlighted under the pointer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.plots.evidence import limits, ticks, time_ticks
from wandb_toolkit.plots.figures.alt_text import axis_name, describe, position, tick_labels
from wandb_toolkit.plots.figures.marks import thin
from wandb_toolkit.plots.svg import escaped
from wandb_toolkit.text import number

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.plots.charts import Chart, Line

COLORS = 12  # classes of lines, c0 to c11, that a page's style knows
MOST_LINES = 40  # of a figure; more make a picture smaller than their paths
_LEFT, _RIGHT, _TOP, _FOOT = 54, 12, 10, 36
_COLUMNS = 150
_MOST_MARKS = 20
_DOTTED = 30


def chart_svg(chart: Chart, width: int = 640, height: int = 300) -> str:
    """Return the lines of a chart that has at most `MOST_LINES`, in a viewBox of this size."""
    frame = _Frame(chart, width, height)
    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escaped(describe(chart))}">']
    parts += frame.axes()
    for at, line in enumerate(chart.curves):
        parts.append(f'<g class="run c{at % COLORS}"><title>{escaped(line.label)}</title>{frame.line(line)}</g>')
    return "".join([*parts, "</svg>"])


def is_log(chart: Chart) -> bool:
    """Whether the figure of a chart has a logarithmic y axis."""
    return _range(chart)[2]


def _drawn(line: Line) -> FloatArray:
    return line.value if line.smooth is None else line.smooth


def _range(chart: Chart) -> tuple[float, float, bool]:
    parts = [values[np.isfinite(values)] for values in map(_drawn, chart.curves)]
    values = np.concatenate([part for part in parts if len(part)] or [np.zeros(1)])
    return limits(np.clip(values, -1e300, 1e300))


class _Frame:
    """The axes of one figure: from values to places."""

    def __init__(self, chart: Chart, width: int, height: int) -> None:
        self.axis = chart.x_axis
        self.low, self.high, self.log = _range(chart)
        self.left = min((float(line.x[0]) for line in chart.curves), default=0.0)
        self.right = max((float(line.x[-1]) for line in chart.curves), default=1.0)
        self.width, self.bottom = width, height - _FOOT

    def x(self, value: float) -> float:
        span = self.right - self.left
        return _LEFT + (self.width - _LEFT - _RIGHT) * ((value - self.left) / span if span > 0 else 0.5)

    def y(self, value: float) -> float:
        if self.log:
            share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        else:
            share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halves: nothing overflows
        return _TOP + (self.bottom - _TOP) * (1 - min(max(share, 0.0), 1.0))

    def line(self, line: Line) -> str:
        """Return a run's path, its points where they are few, and marks where it was not finite."""
        values = _drawn(line)
        kept = thin(line.x, values, _COLUMNS)
        pieces: list[list[str]] = [[]]
        dots: list[str] = []
        for x, y in zip(line.x[kept].tolist(), values[kept].tolist(), strict=True):
            if math.isfinite(y):
                pieces[-1].append(f"{self.x(x):.1f} {self.y(y):.1f}")
                dots.append(f"M{pieces[-1][-1]}h0")
            elif pieces[-1]:
                pieces.append([])
        path = "".join(f"M{part[0]}" + (f"L{' '.join(part[1:])}" if part[1:] else "h1.5") for part in pieces if part)
        dotted = f'<path class="dots" d="{"".join(dots)}"/>' if len(kept) <= _DOTTED and dots else ""
        return f'<path d="{path}"/>{dotted}{self._bad(line)}'

    def _bad(self, line: Line) -> str:
        bad = line.x[~np.isfinite(line.value)]
        places = [self.x(float(at)) for at in bad[:: max(1, -(-len(bad) // _MOST_MARKS))]]
        crosses = "".join(f"M{x - 3:.1f} {self.bottom - 9:.1f}l6 6m0 -6l-6 6" for x in places)
        return f'<path class="nan" d="{crosses}"/>' if crosses else ""

    def axes(self) -> list[str]:
        marked = [tick for tick in ticks(self.low, self.high, 5, log=self.log) if self.low <= tick <= self.high]
        labels = [tick_labels([tick])[0] for tick in marked] if self.log else tick_labels(marked)
        parts = []
        for tick, label in zip(marked, labels, strict=True):
            y = self.y(tick)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{self.width - _RIGHT}"/>')
            parts.append(f'<text class="tick end" x="{_LEFT - 5}" y="{y + 3.5:.1f}">{escaped(label)}</text>')
        parts.append(f'<path class="base" d="M{_LEFT} {self.bottom}H{self.width - _RIGHT}"/>')
        return [*parts, *self._x_axis()]

    def _x_axis(self) -> list[str]:
        timed = self.axis in ("_runtime", "_timestamp")
        wanted = time_ticks(self.left, self.right, 6) if timed else ticks(self.left, self.right, 6)
        marked = [tick for tick in wanted if self.left <= tick <= self.right]
        labels = [position(tick, self.axis) for tick in marked] if timed else tick_labels(marked)
        parts = [
            f'<text class="tick mid" x="{self.x(tick):.1f}" y="{self.bottom + 14}">{escaped(label)}</text>'
            for tick, label in zip(marked, labels, strict=True)
        ]
        name = escaped(axis_name(self.axis))
        return [*parts, f'<text class="tick end" x="{self.width - _RIGHT}" y="{self.bottom + 30}">{name}</text>']


def key_of(lines: Sequence[Line], finals: Mapping[int, float | None]) -> str:
    """Return the key of a figure: a run's name beside its colour, and its value.

    `finals`: by the identity of a run, what a table beside the figure says of it; else its last logged value.
    """
    items = []
    for at, line in enumerate(lines):
        finite = line.value[np.isfinite(line.value)]
        value = finals.get(id(line.run), float(finite[-1]) if len(finite) else None)
        last = number(value) if value is not None else "no finite value"
        items.append(
            f'<li class="c{at % COLORS}" tabindex="0"><span class="swatch"></span>{escaped(line.label)} '
            f'<span class="muted">{escaped(last)}</span></li>'
        )
    return f'<ul class="key">{"".join(items)}</ul>'
