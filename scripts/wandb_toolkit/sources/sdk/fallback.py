"""Our own reading of a server, and the SDK's from the moment at which the server refuses our queries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Artifact, History, MetricInfo, Project, Run, RunFile
from wandb_toolkit.sources.base import KeyChoice, RunQuery, Source
from wandb_toolkit.sources.http.responses import SchemaError

T = TypeVar("T")


class ServerSource:
    """A server's runs, read by `own`; where the server does not know what it asks for, by what `other` makes."""

    kind = "api"

    def __init__(self, own: Source, other: Callable[[str], Source]) -> None:
        self._used = own
        self._other: Callable[[str], Source] | None = other
        self._artifacts: Source | None = None  # what reads artifacts
        self._in_artifacts: set[str] = set()  # locations of their files

    def _asked(self, ask: Callable[[Source], T]) -> T:
        try:
            return ask(self._used)
        except SchemaError as error:
            if not self._switch(error):
                raise
        return ask(self._used)

    def _switch(self, error: SchemaError) -> bool:
        """Read through the SDK from now on; False where that is done already."""
        if self._other is None:
            return False
        why = f"the server does not accept our queries ({error.message.rstrip('.')}); reading through the wandb package"
        self._used, self._other = self._other(why), None
        return True

    @property
    def description(self) -> str:
        """What the user named, for messages."""
        return self._used.description

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read, so far."""
        return self._used.warnings

    @property
    def odd(self) -> tuple[str, ...]:
        """What was wrong with the server's answers, and is left out."""
        odd: tuple[str, ...] = getattr(self._used, "odd", ())
        return odd

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the entity's projects, most recently active first."""
        return self._asked(lambda source: source.projects(entity))

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        return self._asked(lambda source: source.runs(query))

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        return self._asked(lambda source: source.count(query))

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs with their configs and axes as plain dicts."""
        return self._asked(lambda source: source.loaded(runs))

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the names in the newest runs' summaries."""
        return self._asked(lambda source: source.summary_names(runs))

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        return self._asked(lambda source: source.summaries(runs, keys))

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history, in the order of `runs`."""
        for given, (run, history) in enumerate(self._used.histories(runs, keys, system=system, full=full)):
            if isinstance(history, SchemaError) and self._switch(history):
                yield from self._used.histories(runs[given:], keys, system=system, full=full)
                return
            yield run, history

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged."""
        return self._asked(lambda source: source.metrics(run, system=system))

    def environment(self, run: Run) -> dict[str, Any]:
        """Return program, arguments, git, Python and hardware."""
        return self._asked(lambda source: source.environment(run))

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run."""
        return self._asked(lambda source: source.files(run))

    def artifacts(self, run: Run, kind: str | None = None) -> list[Artifact]:
        """Return the artifacts that the run logged, of one type or all: always through the SDK."""
        found = self._with_artifacts().artifacts(run, kind)
        self._in_artifacts |= {file.location for artifact in found for file in artifact.files}
        return found

    def used_artifacts(self, run: Run) -> list[Artifact]:
        """Return the artifacts that the run used: always through the SDK."""
        return self._with_artifacts().used_artifacts(run)

    def _with_artifacts(self) -> Source:
        if self._artifacts is None:
            self._artifacts = self._other("") if self._other is not None else self._used
        return self._artifacts

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Write the file's bytes to `destination`."""
        source = self._artifacts if self._artifacts is not None and file.location in self._in_artifacts else self._used
        source.fetch(file, destination)

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield the last lines of each run's console output."""
        return self._used.consoles(runs, lines)
