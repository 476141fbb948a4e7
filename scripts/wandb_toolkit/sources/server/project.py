"""One project of a server, and how it is asked: what an older server does not know is left out and remembered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.http.connection import Connection
from wandb_toolkit.sources.http.responses import PartError, SchemaError
from wandb_toolkit.sources.server import queries as q

MOST_PAGES = 5_000
_IDLE_PAGES = 3  # with nothing new, one behind another: a run that starts meanwhile moves the others on

Document: TypeAlias = Callable[[set[str]], tuple[str, dict[str, Any]]]  # what is missing → query, variables

# What the lack of a field or argument means to whoever reads the answer; what is not here costs nothing but time.
_MEANING: Mapping[str, str] = {
    "historyKeys": "which metrics a run logged (those of its summary are taken)",
    "historyLineCount": "how many rows a run has",
    "heartbeatAt": "when a run last gave a sign of life",
    "sweepName": "which sweep a run belongs to",
    "jobType": "job types",
    "notes": "notes",
    "group": "groups",
    "description": "descriptions",
    "events": "system metrics",
}


@dataclass(frozen=True)
class Place:
    """The project that is asked."""

    connection: Connection
    entity: str
    project: str
    missing: set[str] = field(default_factory=set, compare=False)  # fields and arguments that the server lacks

    def ask(self, query: str, what: str, **variables: Any) -> dict[str, Any]:
        """Return the answer's project node.

        Raises:
            NotFoundError: there is none, or the key may not see it.
            ToolkitError: what else the connection raises.
        """
        project, errors = self.ask_parts(lambda _: (query, variables), what, adapt=False)
        if errors:
            raise errors[0].error
        return project

    def ask_parts(
        self, document: Document, what: str, *, tries: int | None = None, adapt: bool = True
    ) -> tuple[dict[str, Any], list[PartError]]:
        """Return the project node and the errors of its parts. What the server does not know is left out.

        Args:
            document: makes the query and its variables without the fields and arguments that it is given.
            what: is read, for messages.
            tries: give up after so many; None: as the connection does.
            adapt: ask again without what the server does not know.

        Raises:
            ToolkitError: as `ask`.
        """
        while True:
            query, variables = self._query(document, self.missing)
            both = {"entity": self.entity, "project": self.project, **variables}
            try:
                data, errors = self.connection.graphql_parts(query, both, what, tries=tries)
                break
            except SchemaError as error:
                new = set(error.fields) - self.missing
                if not adapt or not new or self._query(document, self.missing | new)[0] == query:
                    raise
                self.missing.update(new)
        project = data.get("project")
        if project is None:
            if errors:
                raise errors[0].error
            raise NotFoundError(f"There is no project {self.entity}/{self.project}, or you cannot see it.")
        return dict(project), errors

    def ask_each(
        self, runs: Sequence[Run], document: Document, what: str, *, tries: int | None = None, adapt: bool = True
    ) -> list[Mapping[str, Any] | ToolkitError]:
        """Return the node of each run that `document` asks for as r0, r1, ..., or why there is none.

        Raises:
            ToolkitError: as `ask`, where nothing came at all.
        """
        project, errors = self.ask_parts(document, what, tries=tries, adapt=adapt)
        general = errors[0].error if errors and not any(len(one.path) > 1 for one in errors) else None
        outcomes: list[Mapping[str, Any] | ToolkitError] = []
        for at, run in enumerate(runs):
            own = next((one.error for one in errors if f"r{at}" in one.path), None)
            node = project.get(f"r{at}") if own is None else None
            outcomes.append(own or node or general or NotFoundError(f"The run {run.label} is not there any more."))
        return outcomes

    @staticmethod
    def _query(document: Document, missing: set[str]) -> tuple[str, dict[str, Any]]:
        query, variables = document(missing)
        if "after" in missing:
            query, variables = q.without_cursor(query), {k: v for k, v in variables.items() if k != "cursor"}
        return query, variables

    @property
    def lacks(self) -> list[str]:
        """What an older server could not say, in plain words."""
        return [meaning for name, meaning in _MEANING.items() if name in self.missing]


class Turner:
    """Finds the page behind a page; a server that gives one and the same again, or no end of them, is stopped."""

    def __init__(self, connection: Connection, what: str) -> None:
        self._connection, self._what = connection, what
        self._cursors: set[str] = set()
        self._known: set[str] = set()
        self._idle = 0

    def next(self, page: Mapping[str, Any], names: Iterable[str]) -> str | None:
        """Return the cursor behind a page that holds these names, None behind the last one.

        Pages with nothing new, a cursor that came before and more pages than anybody has are noted as odd.
        """
        info = page.get("pageInfo") or {}
        cursor: str | None = info.get("endCursor")
        before = len(self._known)
        self._known.update(names)
        self._idle = self._idle + 1 if len(self._known) == before else 0
        if not info.get("hasNextPage") or not cursor:
            return None
        if cursor in self._cursors or self._idle >= _IDLE_PAGES or len(self._cursors) >= MOST_PAGES:
            host = self._connection.credentials.host
            self._connection.note(f"{host} gives no end of pages of {self._what}; {len(self._known):,} were read")
            return None
        self._cursors.add(cursor)
        return cursor


def pages(
    connection: Connection, what: str, ask: Callable[[str | None], Mapping[str, Any]]
) -> Iterator[Mapping[str, Any]]:
    """Yield the nodes of a connection's pages; `ask` returns the page behind a cursor."""
    turner = Turner(connection, what)
    cursor: str | None = None
    while True:
        page = ask(cursor)
        nodes = [edge["node"] for edge in page.get("edges") or ()]
        yield from nodes
        cursor = turner.next(page, (str(node.get("name")) for node in nodes))
        if cursor is None:
            return
