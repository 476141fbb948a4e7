"""A W&B server as a source: cloud, dedicated or self-hosted, through its GraphQL endpoint and signed file URLs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from wandb_toolkit.errors import NotFoundError, ToolkitError, did_you_mean
from wandb_toolkit.model import History, MetricInfo, Project, Run, RunFile, Series
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.answers import SchemaError
from wandb_toolkit.sources.api_events import system_series
from wandb_toolkit.sources.api_files import console_tail, list_files
from wandb_toolkit.sources.api_full import read_full
from wandb_toolkit.sources.api_history import SAMPLES, Keys, Place, Sample, Want, history_keys, sample
from wandb_toolkit.sources.api_listing import Listing, pages
from wandb_toolkit.sources.api_rows import RowColumns
from wandb_toolkit.sources.api_run import parse_time
from wandb_toolkit.sources.base import KeyChoice, RunQuery
from wandb_toolkit.sources.cache import Cache
from wandb_toolkit.sources.columns import INTERNAL
from wandb_toolkit.sources.local_history import SYSTEM, Merged, as_history, merge_columns, metric_infos
from wandb_toolkit.sources.transport import Connection

T = TypeVar("T")

BUDGET = 20_000_000  # points of a run that `metrics` reads whole; above, samples
_ENDED = frozenset({"finished", "crashed", "failed", "killed"})


@dataclass(frozen=True)
class Options:
    """How a source reads."""

    budget: int = BUDGET
    samples: int = SAMPLES


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
        self._listing: Listing | None = None

    @property
    def description(self) -> str:
        """What the user named, for messages."""
        return "/".join(filter(None, (self._entity, self._project))) or self._app_url

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be looked into."""
        return self._listing.warnings if self._listing else ()

    def _owner(self) -> str:
        """Return the entity; where none is named, the default one of whoever holds the key."""
        if self._entity is None:
            viewer = self._connection.graphql(q.VIEWER, {}, "your default entity").get("viewer") or {}
            if not viewer.get("entity"):
                raise NotFoundError("No entity is named, and there is no default one.", "Give entity/project.")
            self._entity = str(viewer["entity"])
        return self._entity

    @property
    def _place(self) -> Place:
        if self._project is None:
            raise NotFoundError("No project is named.", "Give entity/project; list_projects shows what there is.")
        return Place(self._connection, self._owner(), self._project)

    @property
    def _runs(self) -> Listing:
        if self._listing is None:
            self._listing = Listing(self._place, self._app_url)
        return self._listing

    def _asked(self, ask: Callable[[], T]) -> T:
        """Return what `ask` returns; where there is no such project, the error names the nearest of what there is."""
        try:
            return ask()
        except NotFoundError as error:
            if error.hint or self._project is None:
                raise
            with suppress(ToolkitError):
                names = [project.name for project in self.projects()]
                if self._project not in names:
                    error.hint = did_you_mean(self._project, names, "project")
            raise

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the entity's projects, most recently active first."""
        owner = entity or self._owner()
        found = [self._project_of(node, owner) for node in self._project_nodes(owner)]
        if not found and not self._connection.graphql(q.ENTITY, {"name": owner}, f"the entity {owner}").get("entity"):
            raise NotFoundError(f"There is no entity {owner!r}, or it is not yours to see.")
        named = sorted(found, key=lambda one: one.name)
        return sorted(named, key=lambda one: one.last_activity.timestamp() if one.last_activity else 0.0, reverse=True)

    def _project_nodes(self, owner: str) -> list[Mapping[str, Any]]:
        missing: set[str] = set()
        while True:
            document = q.projects_document(missing)
            try:
                return list(
                    pages(
                        lambda cursor, document=document: (
                            self._connection.graphql(  # type: ignore[misc]
                                document, {"entity": owner, "first": 200, "cursor": cursor}, f"the projects of {owner}"
                            ).get("models")
                            or {}
                        )
                    )
                )
            except SchemaError as error:
                new = set(error.fields) - missing
                if not new or "name" in new:
                    raise
                missing |= new

    def _project_of(self, node: Mapping[str, Any], owner: str) -> Project:
        name = str(node.get("name") or "")
        entity = str(node.get("entityName") or owner)
        newest = [edge["node"].get("heartbeatAt") for edge in (node.get("runs") or {}).get("edges") or ()]
        return Project(
            name=name,
            entity=entity,
            description=node.get("description") or None,
            created_at=parse_time(node.get("createdAt")),
            url=f"{self._app_url}/{entity}/{name}",
            run_count=node.get("runCount"),
            last_activity=parse_time(newest[0]) if newest else None,
        )

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        return self._asked(lambda: self._runs.runs(query))

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        return self._runs.count(query)

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the names in the newest run's summary."""
        return self._runs.summary_names(runs)

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        return self._runs.summaries(runs, keys)

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history; `full` False: samples, many metrics and runs in a request."""
        place = self._place
        events = system or (not callable(keys) and any(key.startswith(SYSTEM) for key in keys or ()))
        names: list[Sequence[str]]
        shown: list[Keys] = [Keys()] * len(runs)
        if keys is None or callable(keys):
            known = history_keys(place, runs)
            shown = [known[run.id] for run in runs]
            names = [list(keys(one.kinds)) if callable(keys) else _numeric(one) for one in shown]
        else:
            names = [[key for key in keys if not key.startswith(SYSTEM)]] * len(runs)
        extra = system_series(place, runs) if events else [{}] * len(runs)
        series = extra if system else [_picked(one, keys) for one in extra]
        if full:
            yield from self._whole(place, runs, names, shown, series)
        else:
            yield from self._sampled(place, runs, names, shown, series)

    def _sampled(
        self,
        place: Place,
        runs: Sequence[Run],
        names: Sequence[Sequence[str]],
        shown: Sequence[Keys],
        system: Sequence[Mapping[str, Series]],
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        size = self._options.samples
        wants = [Want(run, tuple(wanted), size) for run, wanted in zip(runs, names, strict=True)]
        unknown = not any(one.known for one in shown)
        for at, found in enumerate(sample(place, wants, keys=unknown)):
            if found.error is not None:
                yield runs[at], found.error
                continue
            keys = shown[at] if shown[at].known else found.keys
            yield runs[at], _history_of(found, keys, names[at], system[at], size)

    def _whole(
        self,
        place: Place,
        runs: Sequence[Run],
        names: Sequence[Sequence[str]],
        shown: Sequence[Keys],
        system: Sequence[Mapping[str, Series]],
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        calls = [
            partial(self._read, place, run, list(wanted), keys)
            for run, wanted, keys in zip(runs, names, shown, strict=True)
        ]
        for run, wanted, keys, extra, merged in zip(
            runs, names, shown, system, self._connection.gather(calls), strict=True
        ):
            if isinstance(merged, ToolkitError):
                yield run, merged
                continue
            history = as_history(merged, extra, list(wanted))
            yield run, replace(history, kinds={**keys.kinds, **history.kinds}, rows=run.rows or merged.rows)

    def _read(self, place: Place, run: Run, wanted: Sequence[str], keys: Keys) -> Merged:
        """Return the whole of the wanted metrics: from the cache what an ended run had, the rest from the server."""
        cached = {name: found for name in wanted if (found := self._cached(place, run, name)) is not None}
        rest = [name for name in wanted if name not in cached]
        merged = Merged({}, {}, {}, 0)
        if rest:
            merged = merge_columns(read_full(place, run, rest, keys))
            for name in rest:
                if name in merged.series:
                    one = merged.series[name]
                    self._cache.put(self._cache_key(place, run, name), {"x": one.x, "value": one.value})
        series = {**cached, **merged.series}
        kinds = {**dict.fromkeys(cached, "number"), **merged.kinds}
        non_null = {**{name: len(one) for name, one in cached.items()}, **merged.non_null}
        return Merged({n: series[n] for n in wanted if n in series}, kinds, non_null, merged.rows)  # type: ignore[arg-type]

    def _cache_key(self, place: Place, run: Run, name: str) -> list[Any]:
        host = self._connection.credentials.base_url
        return [host, place.entity, place.project, run.id, run.created_at, run.last_activity, run.rows, run.steps, name]

    def _cached(self, place: Place, run: Run, name: str) -> Series | None:
        if run.state not in _ENDED or run.rows is None:
            return None
        found = self._cache.get(self._cache_key(place, run, name))
        return Series(name, found["x"], found["value"]) if found and {"x", "value"} <= set(found) else None

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged, exact from its whole history, or from samples where that is over the budget."""
        place = self._place
        keys = history_keys(place, [run])[run.id]
        names = _numeric(keys)
        exact = sum(keys.counts.get(name, 0) for name in names) <= self._options.budget
        if exact:
            columns = merge_columns(read_full(place, run, names if keys.known else None, keys))
        else:
            [found] = sample(place, [Want(run, tuple(names), self._options.samples)], keys=False)
            if found.error is not None:
                raise found.error
            columns = merge_columns(_columns(found))
        kinds = {**columns.kinds, **{name: kind for name, kind in keys.kinds.items() if name not in columns.series}}
        non_null = {**columns.non_null, **keys.counts}
        rows = run.rows or columns.rows
        extra = system_series(place, [run])[0] if system else {}
        infos = metric_infos(Merged(columns.series, kinds, {n: non_null.get(n, 0) for n in kinds}, rows), extra)
        return infos if exact else {name: replace(info, exact=info.system) for name, info in infos.items()}

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, sorted by name."""
        return list_files(self._place, run)

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Write the file's bytes to `destination`."""
        self._connection.download(file.location, destination, expected_size=file.size, md5_b64=file.md5)

    def console(self, run: Run, lines: int = 50) -> list[str]:
        """Return the last lines of the console output."""
        return console_tail(self._place, run, lines)


def _numeric(keys: Keys) -> list[str]:
    return [name for name, kind in keys.kinds.items() if kind == "number" and name not in INTERNAL]


def _picked(system: Mapping[str, Series], keys: KeyChoice) -> dict[str, Series]:
    return {name: one for name, one in system.items() if not callable(keys) and name in (keys or ())}


def _columns(found: Sample) -> list[RowColumns]:
    parts = []
    for metric, rows in found.rows.items():
        columns = RowColumns([metric])
        columns.add_rows(rows)
        parts.append(columns)
    return parts


def _history_of(found: Sample, keys: Keys, names: Sequence[str], system: Mapping[str, Series], size: int) -> History:
    merged = merge_columns(_columns(found))
    history = as_history(merged, system, names)
    series = {}
    for name, one in history.series.items():
        total = keys.counts.get(name)
        if total is None and len(one) >= size:
            total = found.run.rows
        series[name] = replace(one, total=total) if total is not None and total > len(one) else one
    kinds = {**keys.kinds, **history.kinds}
    return replace(history, series=series, kinds=kinds, rows=found.run.rows or merged.rows)
