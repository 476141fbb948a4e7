"""The figure of a replay as inline SVG: rows of runs, a mark where each policy stops them; coloured by the page."""

from __future__ import annotations

from wandb_toolkit.plots.evidence import ticks
from wandb_toolkit.plots.figures.alt_text import tick_labels
from wandb_toolkit.plots.stops import BEST, StopRow, Stops
from wandb_toolkit.plots.svg import escaped
from wandb_toolkit.text import clean

WIDTH = 720
_LEFT, _RIGHT, _TOP, _ROW, _FOOT = 190, 14, 44, 22, 36
_NAME = 28  # letters
_KEY = 150  # between the policies' names


def stops_svg(figure: Stops) -> str:
    """Return the figure in a viewBox as high as its rows need."""
    most = max(row.steps for row in figure.rows) or 1
    bottom = _TOP + _ROW * len(figure.rows)
    parts = [
        f'<svg class="stops" viewBox="0 0 {WIDTH} {bottom + _FOOT}" role="img" aria-label="{escaped(figure.sentence)}">'
    ]
    for at, policy in enumerate(figure.policies):
        left = _LEFT + _KEY * at
        parts.append(
            f'<g class="stop c{at}">{_mark(at, left + 5, 12)}</g><text x="{left + 14}" y="16">{escaped(policy)}</text>'
        )
    note = BEST + (f" · {figure.note}" if figure.note else "")
    parts.append(f'<text class="tick" x="{_LEFT}" y="34">{escaped(note)}</text>')
    for tick in [tick for tick in ticks(0.0, float(most), 6) if 0 <= tick <= most]:
        x = _x(tick, most)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
        parts.append(f'<text class="tick mid" x="{x:.1f}" y="{bottom + 14}">{escaped(tick_labels([tick])[0])}</text>')
    parts += [_row(row, _TOP + _ROW * (at + 0.5), most, figure) for at, row in enumerate(figure.rows)]
    parts.append(f'<path class="base" d="M{_LEFT} {bottom}H{WIDTH - _RIGHT}"/>')
    parts.append(f'<text class="tick end" x="{WIDTH - _RIGHT}" y="{bottom + 30}">step</text>')
    return "".join([*parts, "</svg>"])


def _x(step: float, most: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * step / most


def _row(row: StopRow, y: float, most: int, figure: Stops) -> str:
    kind = "name end best" if row.best else "name end"
    parts = [f'<text class="{kind}" x="{_LEFT - 8}" y="{y + 4:.1f}">{escaped(clean(row.name, _NAME))}</text>']
    parts.append(f'<path class="bar" d="M{_LEFT} {y:.1f}H{_x(row.steps, most):.1f}"/>')
    for at, step in enumerate(row.stops):
        if step is not None:
            told = escaped(f"{figure.policies[at]} at step {step:,} of {row.steps:,}")
            mark = _mark(at, _x(step, most), y + 5 * (at - (len(row.stops) - 1) / 2))
            parts.append(f'<g class="stop c{at}"><title>{told}</title>{mark}</g>')
    return "".join(parts)


def _mark(at: int, x: float, y: float) -> str:
    """Return a policy's mark: told apart by shape and height, not by colour alone."""
    shapes = (
        f"M{x - 4:.1f} {y:.1f}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0",
        f"M{x - 4.5:.1f} {y + 3.5:.1f}h9l-4.5 -8z",
        f"M{x - 3.5:.1f} {y - 3.5:.1f}h7v7h-7z",
    )
    return f'<path d="{shapes[at % len(shapes)]}"/>'
