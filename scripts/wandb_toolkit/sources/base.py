"""The protocol that every source of runs keeps, and the query it answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, MetricInfo, Project, Run, RunFile


@dataclass(frozen=True)
class RunQuery:
    """Which runs to list. Conditions hold together; within one, any of its values will do."""

    states: frozenset[str] = frozenset()  # empty: any
    tags: frozenset[str] = frozenset()  # any of these tags
    group: str | None = None
    sweep: str | None = None
    selectors: tuple[str, ...] = ()  # run ids, display names, globs, latest, latest:N, tag:x, group:x, sweep:x
    order: str = "-created_at"  # "+" or "-" (default) before created_at, heartbeat_at, name, summary_metrics.X, config.X
    limit: int | None = None


class Source(Protocol):
    """A place that holds runs. Foreign errors leave it as `ToolkitError`s."""

    kind: str  # "local" or "api"
    description: str  # what the user named, for messages

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the projects, most recently active first."""
        ...

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order.

        Raises:
            NotFoundError: a selector matches nothing (the nearest names are in the hint).
            UsageError: a display name stands for several runs (the candidates are in the hint).
        """
        ...

    def histories(
        self, runs: Sequence[Run], keys: Sequence[str] | None = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history in the order of `runs`; an error concerns that run only.

        `keys` None reads every numeric metric. `system` adds the system metrics (``system.cpu`` ...); a key that starts
        with ``system.`` is read in any case. `full` False allows a sample where the whole is costly.
        """
        ...

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged, in the order of first appearance."""
        ...

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, sorted by name."""
        ...

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Write the file's bytes to `destination` (which the caller makes temporary)."""
        ...

    def console(self, run: Run, lines: int = 50) -> list[str]:
        """Return the last lines of the run's console output, control characters removed."""
        ...


def history_of(source: Source, run: Run, keys: Sequence[str] | None = None, *, system: bool = False) -> History:
    """Return one run's complete history.

    Raises:
        ToolkitError: it could not be read.
    """
    for _, history in source.histories([run], keys, system=system):
        if isinstance(history, ToolkitError):
            raise history
        return history
    raise AssertionError("histories() yields once for each run")
