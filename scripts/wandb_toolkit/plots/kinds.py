"""The kinds of figures: each is declared once, with the function that draws it.

A new kind is a function here with `@kind(id, what, file)`: the workers, the command and docs/commands.md read the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from wandb_toolkit.plots.charts import Chart, as_dict

if TYPE_CHECKING:
    from wandb_toolkit.plots.workers import Artist

_MOST_WORDS = 4000  # of a page's alternative text


@dataclass(frozen=True)
class Drawn:
    """A picture, not yet a file; without content where there was nothing to draw."""

    title: str
    content: bytes
    owner: str
    facts: dict[str, Any]  # for JSON
    skipped: tuple[dict[str, str], ...] = ()
    term: str = ""  # the plot for the terminal


Draw: TypeAlias = "Callable[[Artist, str, Sequence[Chart]], Drawn]"


@dataclass(frozen=True)
class Kind:
    """One kind of figure."""

    id: str
    what: str  # what it shows, for --help and the docs
    pages: bool  # whether it takes all metrics of a prefix at once
    file: str  # what its files' names start with
    draw: Draw


KINDS: dict[str, Kind] = {}


def kind(id_: str, what: str, *, pages: bool = False, file: str = "") -> Callable[[Draw], Draw]:
    """Enter the decorated function into the registry. The arguments are `Kind`'s."""

    def register(draw: Draw) -> Draw:
        KINDS[id_] = Kind(id_, what, pages, file, draw)
        return draw

    return register


@kind("lines", "one figure per metric, a line for each run or group")
def lines(artist: Artist, title: str, charts: Sequence[Chart]) -> Drawn:
    """Return the figure of one metric."""
    from wandb_toolkit.plots.figures.alt_text import describe
    from wandb_toolkit.plots.figures.painter import Painter

    del title
    (chart,) = charts
    if artist.painter is None:
        artist.painter = Painter(artist.settings.view)
    points = artist.painter.draw(chart)
    alt, owner = describe(chart), artist.owner(chart.metric, [chart])
    content = artist.painter.content(chart.metric, alt, owner, points)
    return Drawn(chart.metric, content, owner, {**_facts(chart, points, alt), "panels": None})


@kind("grid", "all metrics of a prefix on one page", pages=True, file="grid__")
def grid(artist: Artist, title: str, charts: Sequence[Chart]) -> Drawn:
    """Return one page with a panel for each metric."""
    from wandb_toolkit.plots.figures.alt_text import describe
    from wandb_toolkit.plots.figures.grid import GridPainter, page_view

    painter = GridPainter(page_view(artist.settings.view, len(charts)))
    points = painter.draw(title, charts)
    panels = [_facts(c, shown, describe(c)) for c, shown in zip(charts, points, strict=True)]
    alt = f"{len(charts)} metrics on one page. " + " ".join(panel["alt"] for panel in panels)
    alt = alt if len(alt) <= _MOST_WORDS else f"{alt[:_MOST_WORDS]}…"
    owner = artist.owner(title, charts)
    content = painter.content(title, alt, owner, ())
    facts: dict[str, Any] = {
        "metric": title,
        "x_axis": None,
        "smoothing": charts[0].smoothing.as_dict(),
        "runs": [],
        "notes": [],
    }
    return Drawn(title, content, owner, {**facts, "alt": alt, "panels": panels})


def _facts(chart: Chart, points: Sequence[int], alt: str) -> dict[str, Any]:
    from wandb_toolkit.jsontext import jsonable

    return {
        "metric": chart.metric,
        "x_axis": chart.x_axis,
        "smoothing": chart.smoothing.as_dict(),
        "runs": jsonable([as_dict(c, shown) for c, shown in zip(chart.curves, points, strict=True)]),
        "notes": list(chart.notes),
        "alt": alt,
    }
