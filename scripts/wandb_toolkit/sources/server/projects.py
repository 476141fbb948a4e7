"""The projects of an entity on a server, and the names nearest to one that is not there."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from wandb_toolkit.errors import NotFoundError, ToolkitError, did_you_mean
from wandb_toolkit.model import Project
from wandb_toolkit.sources.http.connection import Connection
from wandb_toolkit.sources.http.responses import SchemaError, unseen_hint
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import pages
from wandb_toolkit.sources.server.run import page_address, parse_time

PAGE_PROJECTS = 200


class Projects:
    """Reads lists of projects."""

    def __init__(self, connection: Connection, app_url: str) -> None:
        self._connection = connection
        self._app_url = app_url
        self._missing: set[str] = set()
        self._default: str | None = None

    def default_entity(self) -> str:
        """Return the default entity of whoever holds the key.

        Raises:
            NotFoundError: there is none.
        """
        if self._default is None:
            viewer = self._connection.graphql(q.VIEWER, {}, "your default entity").get("viewer") or {}
            if not viewer.get("entity"):
                raise NotFoundError(
                    "No entity is given, and there is no default without a login.",
                    "Give entity/project, or set WANDB_API_KEY or WANDB_ENTITY.",
                )
            self._default = str(viewer["entity"])
        return self._default

    def of(self, entity: str) -> list[Project]:
        """Return an entity's projects, most recently active first.

        Raises:
            NotFoundError: there is no such entity.
        """
        found = list({one.name: one for one in (self._project(node, entity) for node in self._nodes(entity))}.values())
        if not found and not self._is_known(entity):
            raise NotFoundError(f"There is no entity {entity!r}, or you cannot see it.", self._near(entity))
        named = sorted(found, key=lambda one: one.name)
        return sorted(named, key=lambda one: one.last_activity.timestamp() if one.last_activity else 0.0, reverse=True)

    def explain(self, error: NotFoundError, entity: str, project: str) -> None:
        """Add to an error about a project what there is instead, if it is the project or its entity that is absent."""
        try:
            names = [one.name for one in self.of(entity)]
        except NotFoundError as unknown:
            error.message, error.hint = unknown.message, unknown.hint
        except ToolkitError:
            return
        else:
            if project not in names and names:
                error.hint = did_you_mean(project, names, "project")
        credentials = self._connection.credentials
        if not credentials.has_key:
            error.hint = "\n".join(filter(None, (error.hint, unseen_hint(credentials))))

    def _is_known(self, entity: str) -> bool:
        try:
            data = self._connection.graphql(q.ENTITY, {"name": entity}, f"the entity {entity}")
        except SchemaError:
            return True
        return bool(data.get("entity"))

    def _near(self, entity: str) -> str:
        """Return a hint at the entities that the key belongs to."""
        names: list[str] = []
        with suppress(ToolkitError):
            viewer = self._connection.graphql(q.TEAMS, {}, "your teams").get("viewer") or {}
            teams = [(edge or {}).get("node") or {} for edge in (viewer.get("teams") or {}).get("edges") or ()]
            found = [viewer.get("entity"), viewer.get("username"), *(team.get("name") for team in teams)]
            names = list(dict.fromkeys(str(name) for name in found if name))
        return did_you_mean(entity, names, "entity") if names else ""

    def _nodes(self, entity: str) -> list[Mapping[str, Any]]:
        def page(cursor: str | None) -> Mapping[str, Any]:
            asked = {"entity": entity, "first": PAGE_PROJECTS, "cursor": cursor}
            while True:
                try:
                    what = f"the projects of {entity}"
                    if "models" in self._missing:
                        asked.pop("cursor", None)
                    data = self._connection.graphql(q.projects_document(self._missing), asked, what)
                    return data.get("models") or (data.get("entity") or {}).get("projects") or {}
                except SchemaError as error:
                    new = set(error.fields) - self._missing
                    if not new or "name" in new:
                        raise
                    self._missing |= new

        return list(pages(self._connection, f"the projects of {entity}", page))

    def _project(self, node: Mapping[str, Any], owner: str) -> Project:
        name = str(node.get("name") or "")
        entity = str(node.get("entityName") or owner)
        edges = (node.get("runs") or {}).get("edges") or ()
        newest = [edge["node"].get("heartbeatAt") for edge in edges if edge and edge.get("node")]
        return Project(
            name=name,
            entity=entity,
            description=node.get("description") or None,
            created_at=parse_time(node.get("createdAt")),
            url=page_address(self._app_url, entity, name),
            run_count=node.get("runCount"),
            last_activity=parse_time(newest[0]) if newest else None,
        )
