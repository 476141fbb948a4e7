"""Runs of a project on a server: selection, order and limit are the server's work, and only what is shown travels."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.resolve import select_runs
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.answers import SchemaError
from wandb_toolkit.sources.api_filters import as_filter, candidates, conditions, order_of
from wandb_toolkit.sources.api_history import Place
from wandb_toolkit.sources.api_run import Later, build_run, step_metrics_of
from wandb_toolkit.sources.base import RunQuery, filter_runs, order_runs
from wandb_toolkit.sources.records import flatten

PAGE_RUNS = 1000
VALUES_A_PAGE = 50_000  # summary values of a page of whole summaries
_NEWEST = "-created_at"
_SUGGESTED = 200  # of the newest runs, whose names may be what was meant


class Listing:
    """The runs of one place."""

    def __init__(self, place: Place, app_url: str) -> None:
        self._place = place
        self._app_url = app_url
        self._counts: dict[str, int] = {}  # by filter
        self._names: list[str] = []  # of the newest run's summary
        self._missing: set[str] = set()  # what this server's schema lacks
        self._wide = 0  # values of the widest summary seen

    @property
    def warnings(self) -> tuple[str, ...]:
        """What an older server could not say."""
        if not self._missing:
            return ()
        return (f"this server does not know {', '.join(sorted(self._missing))}: what they hold is missing here",)

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        if query.selectors:
            chosen = filter_runs(self._selected(query.selectors), query)
            return chosen if query.limit is None else chosen[: query.limit]
        order = order_of(query.order)
        found = self._page_through(
            as_filter(*conditions(query)), order or _NEWEST, query.limit if order else None, query.names
        )
        if order is None:
            found = order_runs(found, query.order)
        return found if query.limit is None else found[: query.limit]

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        filters = json.dumps(as_filter(*conditions(query)), sort_keys=True)
        if filters not in self._counts:
            self._ask({}, filters, _NEWEST, 1, None, names=False)
        return self._counts[filters]

    def _selected(self, selectors: tuple[str, ...]) -> list[Run]:
        wide, newest = candidates(selectors)
        found: dict[str, Run] = {}
        if wide is not None:
            found |= {run.id: run for run in self._page_through(wide, _NEWEST, None, names=False)}
        if newest:
            found |= {run.id: run for run in self._page_through({}, _NEWEST, newest, names=False)}
        try:
            return select_runs(selectors, list(found.values()))
        except NotFoundError:
            near = self._page_through({}, _NEWEST, _SUGGESTED, names=False)
            return select_runs(selectors, [*found.values(), *(run for run in near if run.id not in found)])

    def _page_through(self, filters: Mapping[str, Any], order: str, limit: int | None, names: bool) -> list[Run]:
        text = json.dumps(filters, sort_keys=True)
        runs: list[Run] = []
        cursor: str | None = None
        while True:
            first = PAGE_RUNS if limit is None else min(PAGE_RUNS, limit - len(runs))
            found = self._ask(filters, text, order, first, cursor, names=names and cursor is None)
            nodes = [edge["node"] for edge in found.get("edges") or () if edge and edge.get("node")]
            runs += self._built(nodes)
            page = found.get("pageInfo") or {}
            done = not page.get("hasNextPage") or page.get("endCursor") in (None, cursor)
            if done or not nodes or (limit is not None and len(runs) >= limit):
                return runs
            cursor = page["endCursor"]

    def _ask(
        self, filters: Mapping[str, Any], text: str, order: str, first: int, cursor: str | None, *, names: bool
    ) -> Mapping[str, Any]:
        while True:
            fields = q.fields_text(q.RUN_FIELDS, self._missing)
            document = q.runs_document(fields, newest=names, count="runCount" not in self._missing)
            try:
                project = self._place.ask(
                    document,
                    f"the runs of {self._place.entity}/{self._place.project}",
                    filters=text,
                    order=order,
                    first=first,
                    cursor=cursor,
                )
                break
            except SchemaError as error:
                new = set(error.fields) - self._missing
                if not new or "name" in new:
                    raise
                self._missing |= new
        if isinstance(project.get("runCount"), int):
            self._counts[text] = project["runCount"]
        for edge in (project.get("newest") or {}).get("edges") or ():
            self._names = list(dict(flatten(q.decoded(edge["node"].get("summaryMetrics")))))
        return project.get("runs") or {}

    def _built(self, nodes: Sequence[Mapping[str, Any]]) -> list[Run]:
        """Return the runs of a page. Their summaries and configs come together, when the first one is looked at."""
        ids = [str(node.get("name") or "") for node in nodes]
        summaries = _Together(lambda: self._field(ids, "summaryMetrics"))
        configs = _Together(lambda: self._field(ids, "config"))
        return [
            build_run(
                node,
                self._place.entity,
                self._place.project,
                self._app_url,
                summary=Later(partial(_summary_of, summaries, at)),
                config=Later(partial(_config_of, configs, at)),
                step_metrics=Later(partial(_axes_of, configs, at)),
            )
            for at, node in zip(ids, nodes, strict=True)
        ]

    def _field(self, ids: Sequence[str], field: str) -> dict[str, dict[str, Any]]:
        """Return one JSON field of many runs by id, in pages whose size follows that of the values."""
        size = max(min(VALUES_A_PAGE // max(self._wide, len(self._names), 100), 200), 1)
        found: dict[str, dict[str, Any]] = {}
        parts = q.chunks(ids, size)
        for answer in self._place.connection.gather([partial(self._fields, part, field) for part in parts]):
            if isinstance(answer, ToolkitError):
                raise answer
            found |= answer
        return found

    def _fields(
        self, ids: Sequence[str], field: str, arguments: str = "", **variables: Any
    ) -> dict[str, dict[str, Any]]:
        project = self._place.ask(
            q.field_document(field, arguments, variables),
            f"the {'configs' if field == 'config' else 'summaries'} of {len(ids)} runs",
            filters=json.dumps({"name": {"$in": list(ids)}}),
            first=len(ids),
            **variables,
        )
        nodes = [edge["node"] for edge in (project.get("runs") or {}).get("edges") or ()]
        return {str(node.get("name")): q.decoded(node.get("asked")) for node in nodes}

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the names in the newest run's summary; where it has none, of all."""
        return self._names or list(dict.fromkeys(name for run in runs for name, _ in flatten(dict(run.summary))))

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        if keys is None:
            return [dict(flatten(dict(run.summary))) for run in runs]
        outer = list(dict.fromkeys(word for key in keys for word in (key, key.partition(".")[0])))
        found: dict[str, dict[str, Any]] = {}
        try:
            parts = q.chunks([run.id for run in runs], PAGE_RUNS)
            for part in parts:
                found |= self._fields(part, "summaryMetrics", "keys: $keys", keys=outer)
        except SchemaError:
            found = {run.id: dict(run.summary) for run in runs}
        flat = [dict(flatten(q.finite_words(found.get(run.id, {})))) for run in runs]
        return [{key: one[key] for key in keys if key in one} for one in flat]


class _Together:
    """One field of a page of runs, fetched once for all of them."""

    def __init__(self, fetch: Callable[[], dict[str, dict[str, Any]]]) -> None:
        self._fetch = fetch
        self._found: dict[str, dict[str, Any]] | None = None

    def of(self, run_id: str) -> dict[str, Any]:
        if self._found is None:
            self._found = self._fetch()
        return self._found.get(run_id, {})


def _summary_of(summaries: _Together, run_id: str) -> dict[str, Any]:
    return _public(q.finite_words(summaries.of(run_id)))


def _config_of(configs: _Together, run_id: str) -> dict[str, Any]:
    return _public(q.unwrapped(configs.of(run_id)))


def _axes_of(configs: _Together, run_id: str) -> dict[str, str]:
    return step_metrics_of(q.unwrapped(configs.of(run_id)))


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("_wandb", "wandb_version")}


def pages(place_ask: Callable[[str | None], Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of a connection's pages; `place_ask` returns the connection behind a cursor."""
    cursor: str | None = None
    while True:
        found = place_ask(cursor)
        yield from (edge["node"] for edge in found.get("edges") or () if edge and edge.get("node"))
        page = found.get("pageInfo") or {}
        if not page.get("hasNextPage") or page.get("endCursor") in (None, cursor):
            return
        cursor = page["endCursor"]
