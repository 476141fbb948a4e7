"""One JSON field (the summary, the config) of many runs, in requests whose size follows that of the values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.sources.http.responses import SchemaError
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import Place, Turner

VALUES_A_REQUEST = 50_000
MOST_RUNS = 200  # a request, where nobody knows how many values each has
_WARNINGS = 20


class FieldReader:
    """Reads fields of runs of one place. A run that makes the server fail is left out, with a warning."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self.widest = 0  # values of the widest summary seen
        self.warnings: list[str] = []

    def of(
        self, ids: Sequence[str], name: str, arguments: str = "", width: int | None = None, **variables: Any
    ) -> dict[str, dict[str, Any]]:
        """Return the field of each run by id.

        Args:
            ids: of the runs.
            name: of the field.
            arguments: of the field, in GraphQL.
            width: values that each has; None: unknown.
            variables: lists of texts that the arguments name.

        Raises:
            ToolkitError: the server failed for all of them.
        """
        known = width or (self.widest if name == "summaryMetrics" else 0)
        size = max(1, min(VALUES_A_REQUEST // max(known, 50), 1000 if known else MOST_RUNS))
        found: dict[str, dict[str, Any]] = {}
        for answer in self._place.connection.gather(
            [partial(self._some, part, name, arguments, variables) for part in q.chunks(ids, size)]
        ):
            if isinstance(answer, ToolkitError):
                raise answer
            found |= answer
        return found

    def _some(
        self, ids: Sequence[str], name: str, arguments: str, variables: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        try:
            return self._page(ids, name, arguments, variables)
        except SchemaError:
            raise
        except ServerError:
            if len(ids) == 1:
                raise
        found: dict[str, dict[str, Any]] = {}
        failed: list[tuple[str, ToolkitError]] = []
        halves = [ids[: len(ids) // 2], ids[len(ids) // 2 :]]
        for part in halves:
            try:
                found |= self._some(part, name, arguments, variables)
            except ServerError as error:
                failed += [(run_id, error) for run_id in part]
        if not found:
            raise failed[0][1]
        what = "config" if name == "config" else "summary"
        for run_id, why in failed:
            if len(self.warnings) < _WARNINGS:
                self.warnings.append(f"the {what} of the run {run_id} could not be read: {why.message}")
        return found

    def _page(
        self, ids: Sequence[str], name: str, arguments: str, variables: dict[str, Any]
    ) -> dict[str, dict[str, Any]]:
        what = "configs" if name == "config" else "summaries"
        found: dict[str, dict[str, Any]] = {}
        cursor: str | None = None
        turner = Turner(self._place.connection, f"the {what} of runs")
        while True:  # a server may allow fewer a page
            query = q.field_document(name, arguments, variables)
            asked = {"filters": json.dumps({"name": {"$in": list(ids)}}), "first": len(ids), "cursor": cursor}
            project, errors = self._place.ask_parts(
                lambda _, query=query, asked=asked: (query, {**asked, **variables}),  # type: ignore[misc]
                f"the {what} of {len(ids)} runs",
                tries=None if len(ids) == 1 else 2,
                adapt=False,
            )
            if errors:
                raise errors[0].error
            runs = project.get("runs") or {}
            nodes = [edge["node"] for edge in runs.get("edges") or ()]
            found |= {str(node.get("name")): q.decoded(node.get("asked")) for node in nodes}
            cursor = turner.next(runs, (str(node.get("name")) for node in nodes))
            if cursor is None:
                return found
