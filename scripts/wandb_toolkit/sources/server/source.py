"""A W&B server as a source: cloud, dedicated or self-hosted, through its GraphQL endpoint and signed file URLs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from wandb_toolkit import limits
from wandb_toolkit.errors import NotFoundError, ServerError, ToolkitError
from wandb_toolkit.model import Artifact, History, MetricInfo, Project, Run, RunFile
from wandb_toolkit.sources.base import METADATA, MOST_METADATA, KeyChoice, RunQuery
from wandb_toolkit.sources.http.cache import Cache
from wandb_toolkit.sources.http.connection import LARGEST_FILE, Connection
from wandb_toolkit.sources.server.consoles import console_tails
from wandb_toolkit.sources.server.files import list_files
from wandb_toolkit.sources.server.listing import Listing
from wandb_toolkit.sources.server.project import Place
from wandb_toolkit.sources.server.projects import Projects
from wandb_toolkit.sources.server.queries import decoded
from wandb_toolkit.sources.server.reader import Options, Reader

T = TypeVar("T")


class ApiSource:
    """The runs of one project on a server; without a project, only its entity's list of projects."""

    kind = "api"

    def __init__(
        self,
        connection: Connection,
        app_url: str,
        entity: str | None,
        project: str | None,
        cache: Cache,
        options: Options | None = None,
    ) -> None:
        self._connection = connection
        self._app_url = app_url
        self._entity = entity
        self._project = project
        self._cache = cache
        self._options = options or Options()
        self._projects = Projects(connection, app_url)
        self._place: Place | None = None
        self._listing: Listing | None = None
        self._elsewhere: dict[str, str] = {}  # a file's signed address → the one that a new one comes from

    @property
    def description(self) -> str:
        """What the user named, for messages."""
        return "/".join(filter(None, (self._entity, self._project))) or self._app_url

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read, so far."""
        lacks = self._place.lacks if self._place else []
        old = (f"this server is older and does not say {', '.join(lacks)}",) if lacks else ()
        return (*old, *(self._listing.warnings if self._listing else ()), *self.odd)

    @property
    def odd(self) -> tuple[str, ...]:
        """What was wrong with the server's answers, and is left out."""
        return self._connection.odd

    def _owner(self) -> str:
        if self._entity is None:
            self._entity = self._projects.default_entity()
        return self._entity

    def _at(self) -> Place:
        if self._place is None:
            if self._project is None:
                raise NotFoundError(
                    "No project is named.",
                    "Give entity/project, or set WANDB_PROJECT; list_projects shows what there is.",
                )
            self._place = Place(self._connection, self._owner(), self._project)
        return self._place

    @property
    def _runs(self) -> Listing:
        if self._listing is None:
            self._listing = Listing(self._at(), self._app_url)
        return self._listing

    @property
    def _reader(self) -> Reader:
        return Reader(self._at(), self._cache, self._options)

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the entity's projects, most recently active first."""
        return self._projects.of(entity or self._owner())

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        return self._explained(lambda: self._runs.runs(query))

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        return self._explained(lambda: self._runs.count(query))

    def _explained(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; where there is no such project, the error names the nearest of what there is."""
        try:
            return ask()
        except NotFoundError as error:
            if not error.hint and self._place is not None:
                self._projects.explain(error, self._place.entity, self._place.project)
            raise

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs with their configs and axes as plain dicts: a request for each page of runs listed."""
        return [replace(run, config=dict(run.config), step_metrics=dict(run.step_metrics)) for run in runs]

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the names in the newest runs' summaries."""
        return self._runs.summary_names(runs)

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        return self._runs.summaries(runs, keys)

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history; `full` False: samples, many metrics and runs in a request."""
        return self._reader.histories(runs, keys, system=system, full=full)

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged, exact from its whole history, or from samples where that is over the budget."""
        return self._reader.metrics(run, system=system)

    def environment(self, run: Run) -> dict[str, Any]:
        """Return what the run's metadata file says of program, code and machine."""
        found = [file for file in list_files(self._at(), run, METADATA)[0] if file.name == METADATA]
        if not found or not 0 < found[0].size <= MOST_METADATA:
            return {}
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, METADATA)
            self.fetch(found[0], place)
            return decoded(place.read_text(encoding="utf-8", errors="replace"))

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, sorted by name."""
        files, elsewhere = list_files(self._at(), run)
        self._elsewhere |= elsewhere
        return files

    def artifacts(self, run: Run, kind: str | None = None) -> list[Artifact]:
        """Refuse: artifacts are read through the wandb package, which the source around this one does."""
        raise ToolkitError(f"The artifacts ({kind or 'all'}) of {run.label} are read through the wandb package.")

    def used_artifacts(self, run: Run) -> list[Artifact]:
        """Refuse, as `artifacts`."""
        return self.artifacts(run)

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Write the file's bytes to `destination`, from the cache where the server has the same content."""
        key = ["file", file.md5, file.size] if file.md5 else None
        if key and self._cache.get_file(key, destination, file.md5 or ""):
            return
        try:
            self._download(file, file.location, destination)
        except ServerError:
            if file.location not in self._elsewhere:  # signed addresses expire
                raise
            self._download(file, self._elsewhere[file.location], destination)
        if key:
            self._cache.put_file(key, destination)

    def _download(self, file: RunFile, url: str, destination: Path) -> None:
        most = LARGEST_FILE if file.size else limits.most("unknown-bytes")
        self._connection.download(
            url, destination, what=file.name, expected_size=file.size or None, md5_b64=file.md5, max_bytes=most
        )

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield the last lines of each run's console output, those of several runs in a request."""
        return console_tails(self._at(), runs, lines) if runs else iter(())
