"""The kinds of figures: each is declared once, with the function that draws it.

A new kind is a function here with `@curves(id, what)`, which is given charts of metrics, or with `@results(id, what)`,
which is given the runs with their settings and results: the workers, the command, `wt.plot` and docs/commands.md read
the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from wandb_toolkit.plots.charts import Chart, as_dict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from wandb_toolkit.plots.figures.view import View
    from wandb_toolkit.plots.sweep import Sweep
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


class SweepPainter(Protocol):
    """What draws one figure of results."""

    figure: Figure

    def draw(self, sweep: Sweep) -> None:
        """Draw the sweep."""
        ...

    def content(self, title: str, description: str, owner: str, drawn: tuple[int, ...]) -> bytes:
        """Return the figure as a file."""
        ...


@dataclass(frozen=True)
class Kind:
    """One kind of figure."""

    id: str
    what: str  # what it shows, for --help and the docs


@dataclass(frozen=True)
class CurveKind(Kind):
    """A kind that shows metrics over the steps."""

    pages: bool  # whether it takes all metrics of a prefix at once
    file: str  # what its files' names start with
    draw: Draw


@dataclass(frozen=True)
class ResultKind(Kind):
    """A kind that shows what many runs were set to and what came out."""

    keys: Literal["each", "all", "judged"]  # a figure for each key, one with all, or one of what the comparison judges
    painter: Callable[[View], SweepPainter]


KINDS: dict[str, Kind] = {}


def curves(id_: str, what: str, *, pages: bool = False, file: str = "") -> Callable[[Draw], Draw]:
    """Enter the decorated function into the registry. The arguments are `CurveKind`'s."""

    def register(draw: Draw) -> Draw:
        KINDS[id_] = CurveKind(id_, what, pages, file, draw)
        return draw

    return register


def results(
    id_: str, what: str, *, keys: Literal["each", "all", "judged"]
) -> Callable[[Callable[[View], SweepPainter]], Callable[[View], SweepPainter]]:
    """Enter the decorated function, which returns the painter, into the registry. The arguments are `ResultKind`'s."""

    def register(painter: Callable[[View], SweepPainter]) -> Callable[[View], SweepPainter]:
        KINDS[id_] = ResultKind(id_, what, keys, painter)
        return painter

    return register


def curve_kind(id_: str) -> CurveKind:
    """Return a kind that is known to show curves."""
    found = KINDS[id_]
    assert isinstance(found, CurveKind)
    return found


@curves("lines", "one figure per metric, a line for each run or group")
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
    return Drawn(
        chart.metric, content, owner, {**_facts(chart, points, alt), "panels": None, "results": None, "settings": None}
    )


@curves("grid", "all metrics of a prefix on one page", pages=True, file="grid__")
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
    return Drawn(title, content, owner, {**facts, "alt": alt, "panels": panels, "results": None, "settings": None})


@results("scatter", "a setting against the last value of a metric, a point for each run", keys="each")
def scatter(view: View) -> SweepPainter:
    """Return the painter of one setting against the result."""
    from wandb_toolkit.plots.figures.scatter import ScatterPainter

    return ScatterPainter(view)


@results("parallel", "parallel coordinates: an axis for each setting and for the result", keys="all")
def parallel(view: View) -> SweepPainter:
    """Return the painter of all settings beside the result."""
    from wandb_toolkit.plots.figures.parallel import ParallelPainter

    return ParallelPainter(view)


@results("bars", "importance of settings, or rank correlations, over 10 configurations or more", keys="judged")
def bars(view: View) -> SweepPainter:
    """Return the painter of what the comparison says of the settings."""
    from wandb_toolkit.plots.figures.bars import BarsPainter

    return BarsPainter(view)


def draw_sweep(kind: ResultKind, sweep: Sweep, view: View) -> Drawn:
    """Return the picture of a sweep."""
    from wandb_toolkit.jsontext import jsonable
    from wandb_toolkit.plots.sweep import owner_of_sweep
    from wandb_toolkit.plots.sweep_text import bar_rows, describe_bars, describe_sweep, rows_of

    painter = kind.painter(view)
    painter.draw(sweep)
    alt = describe_bars(sweep) if sweep.signals else describe_sweep(kind.id, sweep)
    owner = owner_of_sweep(kind.id, sweep)
    facts: dict[str, Any] = {
        "metric": sweep.metric,
        "x_axis": sweep.keys[0] if kind.keys == "each" else None,
        "smoothing": {"method": "none"},
        "runs": [],
        "notes": list(sweep.notes),
        "alt": alt,
        "panels": None,
        "results": None if sweep.signals else jsonable(rows_of(sweep)),
        "settings": jsonable(bar_rows(sweep.signals)) if sweep.signals else None,
    }
    content = painter.content(sweep.metric, alt, owner, ())
    return Drawn(sweep.metric, content, owner, facts)


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
