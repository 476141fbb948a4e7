"""Small line figures as inline SVG: classes for the page's style, no colour, no script, no style attribute."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from wandb_toolkit.plots.evidence import Evidence, Panel, share, ticks, time_ticks
from wandb_toolkit.plots.figures.alt_text import axis_name, metric_name, position, tick_labels
from wandb_toolkit.plots.figures.marks import spread
from wandb_toolkit.text import clean, plural

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

WIDTH = 440
_LEFT, _RIGHT, _TOP, _FOOT = 52, 10, 34, 32  # around the panels
_MAIN, _STRIP, _GAP = 124, 44, 22
_NAME = 22  # above a strip
_LETTER = 6.4  # width of a letter of a label
_MOST_MARKS = 40
_DOTTED = 30  # points up to which each has a dot


def escaped(text: str) -> str:
    """Return a stranger's text as plain text of an SVG or the value of an attribute."""
    return html.escape(clean(text), quote=True)


def evidence_svg(figure: Evidence) -> str:
    """Return the figure of a finding."""
    strips = len(figure.panels) - 1
    height = _TOP + _MAIN + strips * (_STRIP + _GAP) + _FOOT
    parts = [
        f'<svg class="evidence" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escaped(figure.sentence)}">'
    ]
    top = float(_TOP)
    for at, panel in enumerate(figure.panels):
        tall = _STRIP if at else _MAIN
        parts.append(_panel(figure, panel, top, tall, main=not at))
        top += tall + _GAP
    bottom = top - _GAP
    parts += _onset(figure, bottom)
    parts += _x_axis(figure, bottom)
    return "".join([*parts, "</svg>"])


def _x(figure: Evidence, x: float) -> float:
    width = figure.right - figure.left
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * ((x - figure.left) / width if width > 0 else 0.5)


def _y(panel: Panel, value: float, top: float, tall: float) -> float:
    return top + tall * (1 - min(max(share(panel, value), -0.02), 1.02))


def _panel(figure: Evidence, panel: Panel, top: float, tall: float, *, main: bool) -> str:
    parts = [f'<text class="name" x="{_LEFT}" y="{top - (20 if main else 6):.0f}">{_title(panel)}</text>']
    count = 4 if main else 2
    marked = [tick for tick in ticks(panel.low, panel.high, count, log=panel.log) if 0 <= share(panel, tick) <= 1]
    for tick, label in zip(marked, _tick_words(marked, log=panel.log), strict=True):
        y = _y(panel, tick, top, tall)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 5}" y="{y + 3.5:.1f}">{label}</text>')
    if panel.band is not None:
        parts.append(_band(figure, panel, top, tall))
    parts.append(f'<path class="line" d="{path(figure, panel, panel.x, panel.value, top, tall)}"/>')
    if len(panel.x) <= _DOTTED:
        points = zip(panel.x.tolist(), panel.value.tolist(), strict=True)
        dots = [f"M{_x(figure, x):.1f} {_y(panel, y, top, tall):.1f}h0" for x, y in points if math.isfinite(y)]
        parts.append(f'<path class="dots" d="{"".join(dots)}"/>')
    parts += [
        f'<path class="nan" d="M{x - 3:.1f} {top + tall - 9:.1f}l6 6m0 -6l-6 6"/>'
        for x in [_x(figure, float(at)) for at in panel.bad[:: max(1, -(-len(panel.bad) // _MOST_MARKS))]]
    ]
    return "".join([*parts, *_levels(panel, top, tall)])


def _title(panel: Panel) -> str:
    words = escaped(metric_name(panel.metric))
    notes = ["log scale"] if panel.log else []
    notes += [f"× {plural(len(panel.bad), 'NaN or infinite value')}"] if len(panel.bad) else []
    notes += [f"{name}: {tick_labels([level])[0]}" for name, level in panel.far]
    return words + (f' <tspan class="tick">{escaped(" · ".join(notes))}</tspan>' if notes else "")


def _tick_words(values: list[float], *, log: bool) -> list[str]:
    return [tick_labels([value])[0] for value in values] if log else tick_labels(values)


def path(figure: Evidence, panel: Panel, x: FloatArray, value: FloatArray, top: float, tall: float) -> str:
    """Return the path of a curve, broken where it is not finite; a point alone is a short dash."""
    pieces: list[list[str]] = [[]]
    for at, y in zip(x.tolist(), value.tolist(), strict=True):
        if math.isfinite(y):
            pieces[-1].append(f"{_x(figure, at):.1f} {_y(panel, y, top, tall):.1f}")
        elif pieces[-1]:
            pieces.append([])
    return "".join(f"M{piece[0]}" + (f"L{' '.join(piece[1:])}" if piece[1:] else "h1.5") for piece in pieces if piece)


def _band(figure: Evidence, panel: Panel, top: float, tall: float) -> str:
    assert panel.band is not None
    x, low, high = (part.tolist() for part in panel.band)
    upper = [f"{_x(figure, a):.1f} {_y(panel, b, top, tall):.1f}" for a, b in zip(x, high, strict=True)]
    lower = [f"{_x(figure, a):.1f} {_y(panel, b, top, tall):.1f}" for a, b in zip(x, low, strict=True)]
    return f'<path class="band" d="M{"L".join([*upper, *lower[::-1]])}Z"/>'


def _levels(panel: Panel, top: float, tall: float) -> list[str]:
    """Return the lines that the rule compared with, each named at its right end, the names apart from each other."""
    drawn = sorted((_y(panel, level, top, tall), name, level) for name, level in panel.levels)
    places = spread([y - 4 for y, *_ in drawn], 12, top + 8, top + tall - 2)
    parts = []
    for (y, name, level), place in zip(drawn, places, strict=True):
        parts.append(f'<path class="level" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
        words = f"{name}: {tick_labels([level])[0]}"
        parts.append(f'<text class="limit end" x="{WIDTH - _RIGHT - 2}" y="{place:.1f}">{escaped(words)}</text>')
    return parts


def _onset(figure: Evidence, bottom: float) -> list[str]:
    parts = []
    for place, words in figure.events:
        x = _x(figure, place)
        parts.append(f'<path class="event" d="M{x:.1f} {_TOP}V{bottom:.1f}"><title>{escaped(words)}</title></path>')
    if figure.onset is None:
        return parts
    x = _x(figure, figure.onset)
    words = f"{axis_name(figure.x_axis)} {position(figure.onset, figure.x_axis)}"
    end = x + _LETTER * len(words) > WIDTH - _RIGHT
    parts.append(f'<path class="onset" d="M{x:.1f} {_TOP - 4}V{bottom:.1f}"/>')
    side = f'class="onset end" x="{x - 4:.1f}"' if end else f'class="onset" x="{x + 4:.1f}"'
    return [*parts, f'<text {side} y="{_TOP - 6}">{escaped(words)}</text>']


def _x_axis(figure: Evidence, bottom: float) -> list[str]:
    parts = [f'<path class="base" d="M{_LEFT} {bottom:.1f}H{WIDTH - _RIGHT}"/>']
    timed = figure.x_axis in ("_runtime", "_timestamp")
    wanted = time_ticks(figure.left, figure.right, 5) if timed else ticks(figure.left, figure.right, 4)
    marked = [tick for tick in wanted if figure.left <= tick <= figure.right]
    labels = [position(tick, figure.x_axis) for tick in marked] if timed else tick_labels(marked)
    for tick, label in zip(marked, labels, strict=True):
        parts.append(f'<text class="tick mid" x="{_x(figure, tick):.1f}" y="{bottom + 13:.1f}">{escaped(label)}</text>')
    name = escaped(axis_name(figure.x_axis))
    parts.append(f'<text class="tick end" x="{WIDTH - _RIGHT}" y="{bottom + 27:.1f}">{name}</text>')
    runs = figure.panels[0].band_runs if figure.panels[0].band is not None else 0
    if runs:
        words = f"shaded: {plural(runs, 'other run')}"
        parts.append(f'<text class="tick" x="{_LEFT}" y="{bottom + 27:.1f}">{words}</text>')
    return parts
