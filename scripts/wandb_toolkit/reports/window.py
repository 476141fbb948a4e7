"""A source of which only the last rows of each run are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, MetricKind, Run, Series
from wandb_toolkit.sources.around import Around

if TYPE_CHECKING:
    from wandb_toolkit.sources.base import KeyChoice

ROWS = "_runtime"  # every row has it, so that its last points are the last rows


@dataclass(frozen=True)
class Windowed(Around):
    """Another source, its histories cut to the last `rows` rows."""

    rows: int

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history from its last rows. Read in full: the last rows of a sample are not the last."""
        del full
        for run, history in self.source.histories(runs, _with_rows(keys), system=system):
            yield run, history if isinstance(history, ToolkitError) else last_rows(history, self.rows)


def _with_rows(keys: KeyChoice) -> KeyChoice:
    """Return the choice of metrics with the one that counts rows."""
    if keys is None:
        return None
    if callable(keys):
        return _Chosen(keys)
    return [*dict.fromkeys([*keys, ROWS])]


@dataclass(frozen=True)
class _Chosen:
    """A choice of metrics with the one that counts rows; a class, since it goes to other processes."""

    keys: Callable[[Mapping[str, MetricKind]], Sequence[str]]

    def __call__(self, kinds: Mapping[str, MetricKind]) -> list[str]:
        return [*dict.fromkeys([*self.keys(kinds), *([ROWS] if ROWS in kinds else [])])]


def last_rows(history: History, rows: int) -> History:
    """Return the history from the first of its last `rows` rows on; metrics not logged there are as if never logged.

    Where no metric counts rows, those of the metric logged most often do.
    """
    counting = history.get(ROWS) or max(history.series.values(), key=len, default=None)
    if counting is None or len(counting) <= rows:
        return history
    since = {counting.axis: float(counting.x[-rows])}
    if counting.name == ROWS:  # system metrics know their time only
        since["_runtime"] = float(counting.value[-rows])
    kept = {name: _since(one, since, rows) for name, one in history.series.items()}
    kept = {name: one for name, one in kept.items() if len(one)}
    gone = set(history.series) - set(kept)
    kinds = {name: kind for name, kind in history.kinds.items() if name not in gone}
    said = [f"not logged in the last {rows:,} rows: {', '.join(sorted(gone))}"] if gone else []
    return replace(history, series=kept, kinds=kinds, warnings=(*history.warnings, *said))


def _since(series: Series, since: Mapping[str, float], rows: int) -> Series:
    first = since.get(series.axis)
    start = max(len(series) - rows, 0) if first is None else int(np.searchsorted(series.x, first))
    return replace(series, x=series.x[start:], value=series.value[start:], total=None)
