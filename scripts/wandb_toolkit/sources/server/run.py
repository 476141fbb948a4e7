"""A run as the server describes it → `Run`; its summary and config come when they are first looked at."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, cast, get_args
from urllib.parse import quote

from wandb_toolkit.model import Run, State
from wandb_toolkit.sources.server.queries import decoded, finite_words
from wandb_toolkit.sources.wandb_log.records import telling_axes

_STATES = frozenset(get_args(State))


def parse_time(value: object) -> datetime | None:
    """Return a server's time (ISO 8601, UTC where it does not say) as UTC, None where it is none."""
    if not isinstance(value, str) or not value:
        return None
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def page_address(app_url: str, *parts: str) -> str:
    """Return the address of the page that people look at."""
    return "/".join([app_url, *(quote(part, safe="") for part in parts)])


def build_run(
    node: Mapping[str, Any],
    entity: str,
    project: str,
    app_url: str,
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
    step_metrics: Mapping[str, str],
) -> Run:
    """Return the run of a `Run` node; null fields are common and mean absent."""
    run_id = str(node.get("name") or "")
    light = finite_words(decoded(node.get("light")))
    created, beat = parse_time(node.get("createdAt")), parse_time(node.get("heartbeatAt"))
    state = str(node.get("state") or "pending").lower()
    state = "preempted" if state == "preempting" else state
    rows = node.get("historyLineCount")
    return Run(
        id=run_id,
        name=str(node.get("displayName") or run_id),
        entity=entity,
        project=project,
        state=cast("State", state if state in _STATES else "pending"),
        created_at=created,
        last_activity=beat,
        tags=tuple(str(tag) for tag in node.get("tags") or ()),
        group=node.get("group") or None,
        job_type=node.get("jobType") or None,
        sweep=node.get("sweepName") or None,
        notes=node.get("notes") or None,
        url=page_address(app_url, entity, project, "runs", run_id),
        summary=summary,
        config=config,
        step_metrics=step_metrics,
        duration=_duration(light, created, beat),
        steps=_whole(light.get("_step")),
        rows=int(rows) if rows is not None else None,
    )


def _duration(light: Mapping[str, Any], created: datetime | None, beat: datetime | None) -> float | None:
    internal = light.get("_wandb")
    for value in (light.get("_runtime"), internal.get("runtime") if isinstance(internal, Mapping) else None):
        if isinstance(value, (int, float)) and value == value and value >= 0:
            return float(value)
    return max((beat - created).total_seconds(), 0.0) if created and beat else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and abs(value) < 2**63 else None


def step_metrics_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return metric or glob → its step metric, from what the SDK keeps in ``config._wandb.m``.

    An entry's fields are MetricRecord's, by number: 1 name, 2 glob, 4 step metric, 5 place (from 1) of the step metric
    in the list.
    """
    internal = config.get("_wandb")
    entries = internal.get("m") if isinstance(internal, Mapping) else None
    if not isinstance(entries, list):
        return {}
    names = [entry.get("1") or entry.get("2") if isinstance(entry, Mapping) else None for entry in entries]
    found: dict[str, str] = {}
    for name, entry in zip(names, entries, strict=True):
        if not name or not isinstance(entry, Mapping):
            continue
        place = entry.get("5")
        axis = entry.get("4")
        if not axis and isinstance(place, int) and 0 < place <= len(names):
            axis = names[place - 1]
        if axis or entry.get("1"):  # one that is defined by name keeps W&B's step: globs reach undefined names only
            found[str(name)] = str(axis or "_step")
    return telling_axes(found)
