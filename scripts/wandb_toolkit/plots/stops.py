"""What the figure of a replay shows: a row for each run as long as it was, and the step where each policy stops it."""

from __future__ import annotations

from dataclasses import dataclass

from wandb_toolkit.model import Replay
from wandb_toolkit.text import plural

ROWS = 24
WORDS = {"ugly": "--fail-on ugly", "bad": "--fail-on bad", "median": "median stopping"}
BEST = "bold: ended among the best third"


@dataclass(frozen=True)
class StopRow:
    """One run."""

    name: str
    steps: int
    stops: tuple[int | None, ...]  # for each policy; None: not stopped
    best: bool  # it ended among the best third


@dataclass(frozen=True)
class Stops:
    """The figure."""

    policies: tuple[str, ...]  # as people call them
    rows: tuple[StopRow, ...]
    sentence: str  # what it shows, for those who do not see it
    note: str  # rows left out; "": none


def stops_of(replay: Replay) -> Stops | None:
    """Return the figure of a replay, at most 24 runs, the stopped ones first; None where no policy stopped any."""
    names = tuple(one.name for one in replay.policies)
    rows = [
        StopRow(one.name, one.steps, tuple(one.stopped.get(name) for name in names), one.best) for one in replay.runs
    ]
    stopped = [row for row in rows if any(step is not None for step in row.stops)]
    if not stopped:
        return None
    stopped.sort(key=_first)
    shown = [*stopped, *(row for row in rows if row not in stopped)][:ROWS]
    left = len(rows) - len(shown)
    counts = [f"{WORDS.get(one.name, one.name)} {one.stopped}" for one in replay.policies]
    sentence = f"Of {plural(len(rows), 'run')} would have been stopped, by {', '.join(counts)}"
    said = tuple(WORDS.get(name, name) for name in names)
    return Stops(said, tuple(shown), sentence, f"{plural(left, 'more run')} not shown" if left else "")


def _first(row: StopRow) -> float:
    """Return how far into a run it was first stopped, 0 to 1."""
    return min(step for step in row.stops if step is not None) / max(row.steps, 1)
