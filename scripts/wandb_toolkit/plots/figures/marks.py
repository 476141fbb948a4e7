"""What goes into a figure's lines: colours, and long series thinned to what a picture can show."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wandb_toolkit.plots.figures.view import LIGHT, Theme

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.plots.charts import Line

DASHES: tuple[tuple[float, ...] | None, ...] = (None, (3.5, 1.5), (1, 1), (4, 1.2, 1, 1.2), (6, 2))


def color(index: int, theme: Theme = LIGHT) -> str:
    """Return the colour of a call's n-th run; it is the same in every figure."""
    return theme.lines[index % len(theme.lines)]


DISTINCT = len(LIGHT.lines) * len(DASHES)  # runs that differ in colour or dashes


def dashes(index: int) -> tuple[float, ...] | None:
    """Return the dash pattern of a call's n-th run: solid until the colours repeat."""
    return DASHES[index // len(LIGHT.lines) % len(DASHES)]


def color_of(line: Line, theme: Theme) -> str:
    """Return a line's colour: its run's own, its place on the colour scale, or grey."""
    if line.shade is None:
        return color(line.index, theme)
    return theme.faded if math.isnan(line.shade) else scale_color(line.shade, theme)


def dashes_of(line: Line) -> tuple[float, ...] | None:
    """Return a line's dash pattern; a colour scale needs none."""
    return dashes(line.index) if line.shade is None else None


def scale_color(place: float, theme: Theme) -> str:
    """Return the colour at a place of the scale, 0 to 1: viridis, without the end that the paper swallows."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    low, high = theme.scale
    return to_hex(colormaps["viridis"](low + (high - low) * place))


def blended(color: str, paper: Any, share: float) -> str:
    """Return the colour that `share` of this one gives on the paper."""
    from matplotlib.colors import to_hex, to_rgb

    pairs = zip(to_rgb(color), to_rgb(paper), strict=True)
    return to_hex(tuple(share * over + (1 - share) * under for over, under in pairs))  # type: ignore[arg-type]


def thin(x: FloatArray, y: FloatArray, columns: int) -> NDArray[np.intp]:
    """Return which points to draw so that `columns` pixel columns look as if all were drawn, spikes included.

    Of each column: the first, last, lowest and highest point. The first of neighbouring non-finite points
    stays too, since it breaks the line. All of them where thinning would not pay.
    """
    import numpy as np

    everything = np.arange(len(x))
    if len(x) <= 4 * columns or not x[-1] > x[0]:
        return everything
    edges = np.searchsorted(x, x[0] + (x[-1] - x[0]) / columns * np.arange(columns))
    starts = np.unique(edges)
    counts = np.diff(starts, append=len(x))
    finite = np.isfinite(y)
    chosen = np.zeros(len(x), dtype=bool)
    chosen[starts] = chosen[starts + counts - 1] = True
    chosen[1:] |= ~finite[1:] & finite[:-1]
    for extreme, nothing in ((np.minimum, np.inf), (np.maximum, -np.inf)):
        known = np.where(finite, y, nothing)
        ties = np.flatnonzero(finite & (known == np.repeat(extreme.reduceat(known, starts), counts)))
        _, first = np.unique(np.searchsorted(starts, ties, "right"), return_index=True)
        chosen[ties[first]] = True
    return everything[chosen]


def envelope(x: FloatArray, y: FloatArray, columns: int) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Return x, lowest and highest at both edges of each pixel column, None where the line is not dense.

    The area that they bound looks the same as the line, and costs a third of drawing it. A column's range includes
    the last point of the column before, from which the line comes.
    """
    import numpy as np

    if len(x) < 4 * columns or not x[-1] > x[0] or not np.isfinite(y).all():
        return None
    width = (x[-1] - x[0]) / columns
    starts = np.unique(np.searchsorted(x, x[0] + width * np.arange(columns)))
    if len(starts) < 0.9 * columns:
        return None
    low, high = np.minimum.reduceat(y, starts), np.maximum.reduceat(y, starts)
    before = y[starts[1:] - 1]
    low[1:], high[1:] = np.minimum(low[1:], before), np.maximum(high[1:], before)
    edges = np.repeat(np.append(x[starts], x[-1]), 2)[1:-1]  # a column's left and right: a spike is as wide as it
    return edges, np.repeat(low, 2), np.repeat(high, 2)


def lonely(y: FloatArray) -> NDArray[np.bool_]:
    """Return the finite points with no finite neighbour: a line does not show them."""
    import numpy as np

    finite = np.isfinite(y)
    padded = np.concatenate(([False], finite, [False]))
    alone: NDArray[np.bool_] = finite & ~padded[:-2] & ~padded[2:]
    return alone


def spaced(x: FloatArray, gap: float) -> FloatArray:
    """Return the ascending places with those dropped that come within `gap` of one kept (a row of marks)."""
    import numpy as np

    if not len(x) or gap <= 0:
        return x
    _, first = np.unique(np.floor((x - x[0]) / gap), return_index=True)
    return x[first]


def spread(wanted: list[float], gap: float, low: float, high: float) -> list[float]:
    """Return ascending places at least `gap` apart, each near the wanted one, within low..high as far as they fit."""
    placed: list[tuple[float, int]] = []  # blocks of labels that touch: centre, count
    for place in wanted:
        centre, count = place, 1
        while placed:
            before, size = placed[-1]
            if centre - before >= gap * (count + size) / 2:
                break
            placed.pop()
            centre = (before * size + centre * count) / (count + size)
            count += size
        half = gap * (count - 1) / 2
        centre = min(max(centre, low + half), max(high - half, low + half))
        placed.append((centre, count))
    # Pushing a block down from the top may have made it touch the one before.
    result = [centre + gap * (i - (count - 1) / 2) for centre, count in placed for i in range(count)]
    for i in range(len(result) - 2, -1, -1):
        result[i] = min(result[i], result[i + 1] - gap)
    return result
