"""What each field of the schema answers. A resolver takes the object that the field belongs to and the request."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
from graphql import GraphQLError, GraphQLObjectType, GraphQLSchema

from . import artifacts
from .answers import ForbiddenError, Request, connection, moment
from .filters import FilterError, like, matches, ordered
from .history import dumps, jsonable, sample
from .parquet import export_of
from .store import File, Project, Run, Sweep, User

FEATURES = ("SWEEPS_QUERY_FILTERING", "TOTAL_COUNT_IN_FILE_CONNECTION", "EXPAND_DEFINED_METRIC_GLOBS")


def bind(schema: GraphQLSchema) -> GraphQLSchema:
    """Give each field of the schema its resolver; a field left out of an older schema is passed over."""
    tables = (("Query", QUERY), ("Project", PROJECT), ("Run", RUN), ("File", FILE), ("Sweep", SWEEP), ("User", USER))
    artifact = (("Artifact", artifacts.ARTIFACT), ("ArtifactSequence", artifacts.SEQUENCE))
    for name, table in (*tables, *artifact, ("Entity", ENTITY)):
        kind = schema.type_map[name]
        if isinstance(kind, GraphQLObjectType):
            for field_name, resolver in table.items():
                if field_name in kind.fields:
                    kind.fields[field_name].resolve = _with_request(resolver)
    return schema


def _with_request(resolver: Callable[..., Any]) -> Callable[..., Any]:
    def resolve(owner: Any, info: Any, **arguments: Any) -> Any:
        if isinstance(owner, Run) and info.field_name in owner.failing:
            raise GraphQLError(owner.failing[info.field_name])
        try:
            return resolver(owner, info.context, **{_snake(name): value for name, value in arguments.items()})
        except FilterError as error:
            raise GraphQLError(str(error)) from error

    return resolve


@cache
def _snake(name: str) -> str:
    return re.sub("([A-Z])", r"_\1", name).lower()


def _visible(project: Project | None, request: Request) -> Project | None:
    if project is None or project.access == "public" or (request.signed_in and project.access == "private"):
        return project
    if project.access == "forbidden" and request.signed_in:
        raise ForbiddenError(f"permission denied: {project.entity}/{project.name}")
    return None


def _project(_: Any, request: Request, name: str | None = None, entity_name: str | None = None) -> Project | None:
    entity = entity_name or request.store.viewer.username
    return _visible(request.store.projects.get((entity, name or "uncategorized")), request)


def _projects(entity: str, request: Request) -> list[Project]:
    shown = [p for p in request.store.projects.values() if p.entity == entity and p.access != "forbidden"]
    return sorted((p for p in shown if _visible(p, request)), key=lambda p: (p.created_at, p.name), reverse=True)


def _models(
    _: Any,
    request: Request,
    entity_name: str | None = None,
    first: int | None = None,
    after: str | None = None,
    order: str | None = None,
) -> dict[str, Any] | None:
    entity = entity_name or request.store.viewer.username
    if not request.store.knows(entity):
        return None
    return connection(_projects(entity, request), request, first, after)


def _entity(_: Any, request: Request, name: str) -> str | None:
    entity = name or request.store.viewer.username
    return entity if request.store.knows(entity) else None


def _chosen(runs: Sequence[Run], filters: str | None) -> list[Run]:
    try:
        query = json.loads(filters) if filters else {}
    except ValueError as error:
        raise GraphQLError(f"invalid filters: {error}") from error
    if not isinstance(query, dict):
        raise GraphQLError("invalid filters: an object is expected")
    return [run for run in runs if matches(run, query)]


def _runs(
    owner: Project | Sweep,
    request: Request,
    filters: str | None = None,
    order: str | None = None,
    first: int | None = None,
    after: str | None = None,
    before: str | None = None,
    last: int | None = None,
) -> dict[str, Any]:
    return connection(ordered(_chosen(_runs_of(owner, request), filters), order), request, first, after)


def _runs_of(owner: Project | Sweep, request: Request) -> list[Run]:
    if isinstance(owner, Project):
        return list(owner.runs.values())
    projects = [p for p in request.store.projects.values() if owner.id in p.sweeps]
    return [run for p in projects for run in p.runs.values() if run.sweep == owner.id]


def _run(owner: Project, request: Request, name: str, missing_ok: bool | None = None) -> Run | None:
    run = owner.runs.get(name)
    if run is not None:
        request.touched.add(run.id)
    return run


def _subset(tree: dict[str, Any], keys: list[str] | None) -> str:
    return dumps(tree if keys is None else {key: tree[key] for key in keys if key in tree})


def _history(
    run: Run, request: Request, min_step: int | None = None, max_step: int | None = None, samples: int | None = None
) -> list[str]:
    request.touched.add(run.id)
    request.read_keys(len(run.rows.columns))
    rows = run.rows.between(min_step, max_step)
    return [dumps(row) for row in run.rows.rows(sample(rows, 500 if samples is None else samples))]


def _sampled_history(
    run: Run, request: Request, specs: list[str], pack_version: int | None = None
) -> list[list[dict[str, Any]]]:
    request.touched.add(run.id)
    answers = []
    for text in specs:
        spec = json.loads(text)
        keys = spec["keys"]
        request.read_keys(len(keys))
        stop = None if spec.get("maxStep") is None else spec["maxStep"] + 1
        rows = run.rows.holding(keys, spec.get("minStep"), stop)
        count = spec.get("samples", 500)
        rows = sample(rows, count if request.limits.samples is None else min(count, request.limits.samples))
        answers.append(run.rows.select(keys, rows) if len(rows) else [])
    return answers


def _parquet_history(run: Run, request: Request, live_keys: list[str]) -> dict[str, Any]:
    request.touched.add(run.id)
    project = run.home
    exports = export_of(run)
    paths = [f"exports/{project.entity}/{project.name}/{run.id}/{number}" for number in range(len(exports))]
    rows = run.rows.between(None, None)[run.exported_rows :]
    known = [key for key in live_keys if key in run.rows.columns]
    live = [{key: row[key] for key in known if key in row} for row in run.rows.rows(rows)] if len(known) > 1 else None
    if live is None:
        live = run.rows.select(known, rows) if known and len(rows) else []
    return {
        "parquetUrls": [request.signed_url(path) for path in paths],
        "liveData": live if run.export.listed_live else [],
    }


def _events(run: Run, request: Request, samples: int | None = None) -> list[str]:
    request.touched.add(run.id)
    rows = sample(np.arange(len(run.events)), 500 if samples is None else samples)
    return [dumps(run.events[row]) for row in rows.tolist()]


def _log_lines(
    run: Run,
    request: Request,
    first: int | None = None,
    last: int | None = None,
    after: str | None = None,
    use_improved_pagination: bool | None = None,
) -> dict[str, Any]:
    lines = [
        {
            "number": number,
            "timestamp": (run.created_at + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%f"),
            "level": "",
            "label": "",
            "line": line,
        }
        for number, line in enumerate(run.console)
    ]
    if last is not None:
        return connection(lines[max(0, len(lines) - last) :], request, last, None)
    return connection(lines, request, first, after)


def _files(
    run: Run,
    request: Request,
    names: list[str] | None = None,
    pattern: str | None = None,
    first: int | None = None,
    after: str | None = None,
) -> dict[str, Any]:
    request.touched.add(run.id)
    chosen = [
        (run, file)
        for file in sorted(run.files, key=lambda file: file.name)
        if (not names or file.name in names) and (pattern is None or like(pattern, file.name))
    ]
    return connection(chosen, request, first, after)


def _signed_file(owner: tuple[Run, File], request: Request) -> str:
    run, file = owner
    return request.signed_url(f"files/{run.home.entity}/{run.home.name}/{run.id}/{file.name}")


def _sweeps(
    owner: Project, request: Request, filters: str | None = None, first: int | None = None, after: str | None = None
) -> dict[str, Any]:
    return connection(list(owner.sweeps.values()), request, first, after)


def _teams(_: User, request: Request, first: int | None = None) -> dict[str, Any]:
    names = [request.store.viewer.username, *request.store.teams]
    return {"edges": [{"node": name} for name in names]}


def _user(username: str) -> User:
    return User(username, username, f"{username}@example.test")


QUERY: dict[str, Callable[..., Any]] = {
    "viewer": lambda _, request: request.store.viewer if request.signed_in else None,
    "entity": _entity,
    "project": _project,
    "model": _project,
    "models": _models,
    "artifact": artifacts.by_id,
    "organization": lambda _, request, name: {"id": name, "name": name, "featureFlags": []},
    "serverInfo": lambda _, request: {
        "cliVersionInfo": {"min_cli_version": "0.10.0", "max_cli_version": "0.99.0"},
        "latestLocalVersionInfo": None,
        "features": [{"name": name, "isEnabled": True} for name in FEATURES],
    },
}
USER: dict[str, Callable[..., Any]] = {
    "id": lambda user, _: base64.b64encode(f"User:{user.username}".encode()).decode(),
    "entity": lambda user, _: user.username,
    "admin": lambda user, _: False,
    "flags": lambda user, _: "{}",
    "apiKeys": lambda user, _: {"edges": []},
    "teams": _teams,
}
ENTITY: dict[str, Callable[..., Any]] = {
    "id": lambda name, _: base64.b64encode(f"Entity:{name}".encode()).decode(),
    "name": lambda name, _: name,
    "isTeam": lambda name, request: name != request.store.viewer.username,
    "projects": lambda name, request, **page: connection(_projects(name, request), request, **page),
}
PROJECT: dict[str, Callable[..., Any]] = {
    "id": lambda p, _: base64.b64encode(f"Project:v1:{p.name}:{p.entity}".encode()).decode(),
    "internalId": lambda p, _: str(p.number),
    "entityName": lambda p, _: p.entity,
    "createdAt": lambda p, _: moment(p.created_at),
    "updatedAt": lambda p, _: moment(max((run.heartbeat_at for run in p.runs.values()), default=p.created_at)),
    "isBenchmark": lambda p, _: False,
    "readOnly": lambda p, request: not request.signed_in,
    "access": lambda p, _: "USER_READ" if p.access == "public" else "PRIVATE",
    "user": lambda p, _: _user(p.entity),
    "runCount": lambda p, _, filters=None: len(_chosen(list(p.runs.values()), filters)),
    "runs": _runs,
    "run": _run,
    "bucket": _run,
    "totalSweeps": lambda p, _: len(p.sweeps),
    "sweeps": _sweeps,
    "sweep": lambda p, _, sweep_name: p.sweeps.get(sweep_name),
}
RUN: dict[str, Callable[..., Any]] = {
    "id": lambda run, _: base64.b64encode(f"Run:v1:{run.id}:{run.home.name}:{run.home.entity}".encode()).decode(),
    "projectId": lambda run, _: str(run.home.number),
    "project": lambda run, _: run.home,
    "name": lambda run, _: run.id,
    "displayName": lambda run, _: run.display_name,
    "jobType": lambda run, _: run.job_type,
    "sweepName": lambda run, _: run.sweep,
    "sweep": lambda run, _: run.home.sweeps.get(run.sweep),
    "readOnly": lambda run, request: not request.signed_in,
    "createdAt": lambda run, _: moment(run.created_at),
    "updatedAt": lambda run, _: moment(run.heartbeat_at),
    "heartbeatAt": lambda run, _: moment(run.heartbeat_at),
    "computeSeconds": lambda run, _: int((run.heartbeat_at - run.created_at).total_seconds()),
    "exitcode": lambda run, _: run.exit_code,
    "stopped": lambda run, _: False,
    "shouldStop": lambda run, _: False,
    "failed": lambda run, _: run.state == "failed",
    "running": lambda run, _: run.state == "running",
    "config": lambda run, _, keys=None: _subset(run.wrapped_config, keys),
    "wandbConfig": lambda run, _, keys=None: _subset(run.wandb_config, keys),
    "summaryMetrics": lambda run, _, keys=None: _subset(dict(run.shown_summary), keys),
    "systemMetrics": lambda run, _: dumps(run.events[-1]) if run.events else "{}",
    "historyKeys": lambda run, _: run.rows.keys_info,
    "historyLineCount": lambda run, _: len(run.rows),
    "eventsLineCount": lambda run, _: len(run.events),
    "logLineCount": lambda run, _: len(run.console),
    "historyTail": lambda run, _: json.dumps([dumps(row) for row in run.rows.rows(run.rows.between(None, None)[-1:])]),
    "eventsTail": lambda run, _: json.dumps([dumps(row) for row in run.events[-1:]]),
    "history": _history,
    "sampledHistory": _sampled_history,
    "parquetHistory": _parquet_history,
    "events": _events,
    "logLines": _log_lines,
    "fileCount": lambda run, _: len(run.files),
    "files": _files,
    "outputArtifacts": artifacts.output_artifacts,
    "inputArtifacts": artifacts.input_artifacts,
}
FILE: dict[str, Callable[..., Any]] = {
    "id": lambda owner, _: base64.b64encode(f"File:{owner[0].id}:{owner[1].name}".encode()).decode(),
    "name": lambda owner, _: owner[1].name,
    "displayName": lambda owner, _: owner[1].name,
    "url": lambda owner, request, **_: (
        _signed_file(owner, request) if owner[1].direct else request.file_url(owner[0], owner[1])
    ),
    "directUrl": _signed_file,
    "sizeBytes": lambda owner, _: owner[1].size,
    "mimetype": lambda owner, _: owner[1].mimetype,
    "updatedAt": lambda owner, _: moment(owner[1].updated_at),
    "md5": lambda owner, _: owner[1].md5,
}
SWEEP: dict[str, Callable[..., Any]] = {
    "id": lambda sweep, _: base64.b64encode(f"Sweep:{sweep.id}".encode()).decode(),
    "name": lambda sweep, _: sweep.id,
    "displayName": lambda sweep, _: sweep.display_name,
    "bestLoss": lambda sweep, _: jsonable(sweep.best_loss),
    "createdAt": lambda sweep, _: moment(sweep.created_at),
    "updatedAt": lambda sweep, _: moment(sweep.created_at),
    "runCount": lambda sweep, request: len(_runs_of(sweep, request)),
    "runs": _runs,
}
