"""Runs of a project on a server: selection, order and limit are the server's work, and only what is shown travels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from wandb_toolkit.errors import NotFoundError
from wandb_toolkit.model import Run
from wandb_toolkit.resolve import select_runs
from wandb_toolkit.sources.base import RunQuery, filter_runs, order_runs
from wandb_toolkit.sources.http.responses import SchemaError
from wandb_toolkit.sources.lazy import Later
from wandb_toolkit.sources.run_filter import Several
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.filters import as_filter, candidates, conditions, order_of, split_filter, summary_key
from wandb_toolkit.sources.server.project import Place, Turner
from wandb_toolkit.sources.server.run import build_run, step_metrics_of
from wandb_toolkit.sources.server.run_fields import FieldReader
from wandb_toolkit.sources.wandb_log.records import leaves

PAGE_RUNS = 1000
_NEWEST = "-created_at"
_SUGGESTED = 200  # of the newest runs, whose names may be what was meant


class Listing:
    """The runs of one place."""

    def __init__(self, place: Place, app_url: str) -> None:
        self._place = place
        self._app_url = app_url
        self._counts: dict[str, int] = {}  # by filter
        self._names: list[str] = []  # of the newest runs' summaries
        self._fields = FieldReader(place)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be read of runs that are listed all the same."""
        return tuple(self._fields.warnings)

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        if query.selectors:
            chosen = filter_runs(self._selected(query.selectors), query)
            return chosen if query.limit is None else chosen[: query.limit]
        told, left = split_filter(query.where)
        if left:  # only we can tell: all that meet the rest are looked at
            wide = replace(query, where=None, limit=None, names=False)
            rest = Several(True, tuple(left))
            return [run for run in self._ordered(wide, told) if rest.matches(run)][: query.limit]
        return self._ordered(query, told)

    def _ordered(self, query: RunQuery, told: Sequence[dict[str, Any]]) -> list[Run]:
        where = as_filter(*conditions(query), *told)
        order = order_of(query.order)
        if order is None:  # only we can order by that
            return order_runs(self._page_through(where, _NEWEST, None, query.names), query.order)[: query.limit]
        key = summary_key(order)
        if key is None or order.startswith("-"):
            return self._page_through(where, order, query.limit, query.names)
        # From the lowest on, a server begins with the runs that lack the value; they come last here.
        found = self._page_through(as_filter(where, {key: {"$exists": True}}), order, query.limit, query.names)
        left = None if query.limit is None else query.limit - len(found)
        if left == 0:
            return found
        return [*found, *self._page_through(as_filter(where, {key: {"$exists": False}}), _NEWEST, left, names=False)]

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        told, left = split_filter(query.where)
        if left:
            return len(self.runs(replace(query, limit=None)))
        where = as_filter(*conditions(query), *told)
        filters = json.dumps(where, sort_keys=True)
        if filters not in self._counts:
            self._ask(filters, _NEWEST, 1, None, names=False, count=True)
        if filters not in self._counts:  # an older server counts all of them or none
            self._counts[filters] = len(self._page_through(where, _NEWEST, None, names=False))
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
        except NotFoundError:  # again, with names that may be what was meant
            near = self._page_through({}, _NEWEST, _SUGGESTED, names=False)
            return select_runs(selectors, [*found.values(), *(run for run in near if run.id not in found)])

    def _page_through(self, filters: Mapping[str, Any], order: str, limit: int | None, names: bool) -> list[Run]:
        text = json.dumps(filters, sort_keys=True)
        runs: dict[str, Run] = {}  # a run that starts meanwhile moves the others on to the next page
        cursor: str | None = None
        turner = Turner(self._place.connection, f"the runs of {self._place.entity}/{self._place.project}")
        while True:
            first = PAGE_RUNS if limit is None else min(PAGE_RUNS, limit - len(runs))
            found = self._ask(text, order, first, cursor, names=names and cursor is None, count=cursor is None)
            nodes = [edge["node"] for edge in found.get("edges") or ()]
            for run in self._built(nodes):
                runs.setdefault(run.id, run)
            if limit is not None and len(runs) >= limit:
                return list(runs.values())[:limit]
            cursor = turner.next(found, (str(node.get("name")) for node in nodes))
            if cursor is None:
                return list(runs.values())[:limit]

    def _ask(
        self, filters: str, order: str, first: int, cursor: str | None, *, names: bool, count: bool
    ) -> Mapping[str, Any]:
        def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
            # Without the choice of keys, the whole summary is the only way to a run's steps.
            fields = {**q.RUN_FIELDS, "light": q.LIGHT if "keys" not in missing else "light: summaryMetrics"}
            counted = count and "runCount" not in missing
            how_many = "" if not counted else "runCount(filters: $filters)"
            if counted and "filters" in missing:
                how_many = "runCount" if filters == "{}" else ""
            text = q.runs_document(q.fields_text(fields, missing - {"keys"}), newest=names, count=how_many)
            return text, {"filters": filters, "order": order, "first": first, "cursor": cursor}

        project, errors = self._place.ask_parts(document, f"the runs of {self._place.entity}/{self._place.project}")
        if errors and project.get("runs") is None:
            raise errors[0].error
        if isinstance(project.get("runCount"), int):
            self._counts[filters] = project["runCount"]
        for edge in (project.get("newest") or {}).get("edges") or ():
            if edge and edge.get("node"):
                found = dict(leaves(q.decoded(edge["node"].get("summaryMetrics"))))
                self._fields.widest = max(self._fields.widest, len(found))
                self._names = list(dict.fromkeys([*self._names, *found]))
        return project.get("runs") or {}

    def _built(self, nodes: Sequence[Mapping[str, Any]]) -> list[Run]:
        """Return the runs of a page. Their summaries and configs come together, when the first one is looked at."""
        ids = [str(node.get("name") or "") for node in nodes]
        summaries = _Together(self._fields, ids, "summaryMetrics")
        configs = _Together(self._fields, ids, "config")
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
            if at
        ]

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the names in the newest runs' summaries; where they have none, in that of the newest that has one."""
        if not self._names:
            started = next((run for run in runs if run.steps is not None), None)
            some = [started] if started else list(runs[:20])
            found = self._fields.of([run.id for run in some], "summaryMetrics")
            self._names = list(dict.fromkeys(name for one in found.values() for name, _ in leaves(one)))
        return self._names

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        if keys is None:
            return [dict(leaves(dict(run.summary))) for run in runs]
        if not keys:
            return [{} for _ in runs]
        outer = list(dict.fromkeys(word for key in keys for word in (key, key.partition(".")[0])))
        found: dict[str, dict[str, Any]] = {}
        try:
            if "keys" not in self._place.missing:
                ids = [run.id for run in runs]
                found = self._fields.of(ids, "summaryMetrics", "keys: $keys", width=len(outer), keys=outer)
        except SchemaError as error:
            self._place.missing.update(error.fields)
        if "keys" in self._place.missing:
            found = {run.id: dict(run.summary) for run in runs}
        flat = [dict(leaves(_public(q.finite_words(found.get(run.id, {}))))) for run in runs]
        return [{key: one[key] for key in keys if key in one} for one in flat]


class _Together:
    """One field of a page of runs, fetched once for all of them."""

    def __init__(self, fields: FieldReader, ids: Sequence[str], name: str) -> None:
        self._fields, self._ids, self._name = fields, ids, name
        self._found: dict[str, dict[str, Any]] | None = None

    def of(self, run_id: str) -> dict[str, Any]:
        if self._found is None:
            self._found = self._fields.of(self._ids, self._name)
        return self._found.get(run_id, {})


def _summary_of(summaries: _Together, run_id: str) -> dict[str, Any]:
    return _public(q.finite_words(summaries.of(run_id)))


def _config_of(configs: _Together, run_id: str) -> dict[str, Any]:
    return _public(q.unwrapped(configs.of(run_id)))


def _axes_of(configs: _Together, run_id: str) -> dict[str, str]:
    return step_metrics_of(q.unwrapped(configs.of(run_id)))


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("_wandb", "wandb_version")}
