"""W&B's run filters (a Mongo-like JSON language) and orders, evaluated."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from .store import Run

_FIELDS: dict[str, Callable[[Run], Any]] = {
    "state": lambda run: run.state,
    "display_name": lambda run: run.display_name,
    "name": lambda run: run.id,
    "tags": lambda run: run.tags,
    "group": lambda run: run.group,
    "job_type": lambda run: run.job_type,
    "sweep": lambda run: run.sweep,
    "username": lambda run: run.user.username,
    "notes": lambda run: run.notes,
    "description": lambda run: run.description,
    "created_at": lambda run: run.created_at,
    "heartbeat_at": lambda run: run.heartbeat_at,
    "history_line_count": lambda run: len(run.rows),
}
_SPELLINGS = {
    "displayName": "display_name",
    "jobType": "job_type",
    "sweepName": "sweep",
    "createdAt": "created_at",
    "heartbeatAt": "heartbeat_at",
    "user.username": "username",
}


class FilterError(ValueError):
    """A filter or an order that the server does not know."""


def matches(run: Run, query: Mapping[str, Any]) -> bool:
    """Return whether the run meets the filter."""
    return all(_clause(run, key, wanted) for key, wanted in query.items())


def ordered(runs: Sequence[Run], order: str | None) -> list[Run]:
    """Return the runs in order; no value counts as the lowest, as in MySQL. Default: oldest first."""
    text = order or "+created_at"
    descending = text.startswith("-")
    field = text.lstrip("+-")
    if field not in ("created_at", "heartbeat_at", "createdAt", "heartbeatAt") and "." not in field:
        raise FilterError(f"invalid order: {order}")
    keyed = [(_sort_key(value_of(run, field)), run.id, run) for run in runs]
    keyed.sort(key=lambda entry: entry[:2], reverse=descending)
    return [run for _, _, run in keyed]


def value_of(run: Run, field: str) -> Any:
    """Return what a filter's field names, None where the run has no such value."""
    name = _SPELLINGS.get(field, field)
    if name in _FIELDS:
        return _FIELDS[name](run)
    for prefix, tree in (("config.", run.config), ("summary_metrics.", None), ("summaryMetrics.", None)):
        if name.startswith(prefix):
            key = name.removeprefix(prefix)
            if prefix == "config.":
                key = re.sub(r"\.value(?=\.|$)", "", key, count=1)
            return _leaf(run.shown_summary if tree is None else tree, key)
    raise FilterError(f"invalid filter: unknown field {field!r}")


def like(pattern: str, name: str) -> bool:
    """Return whether the name matches a SQL LIKE pattern (MySQL: case does not count)."""
    parts = re.findall(r"\\.|%|_|[^\\%_]+|\\$", pattern, re.S)
    turned = "".join({"%": ".*", "_": "."}.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
    return re.fullmatch(turned, name, re.S | re.I) is not None


def _clause(run: Run, key: str, wanted: Any) -> bool:
    if key == "$and":
        return all(matches(run, part) for part in wanted)
    if key == "$or":
        return any(matches(run, part) for part in wanted)
    if key == "$nor":
        return not any(matches(run, part) for part in wanted)
    if key == "$not":
        return not matches(run, wanted)
    if key.startswith("$"):
        raise FilterError(f"invalid filter: unknown operator {key!r}")
    value = value_of(run, key)
    if isinstance(wanted, Mapping) and any(name.startswith("$") for name in wanted):
        return all(_holds(value, operator, operand) for operator, operand in wanted.items())
    return _holds(value, "$eq", wanted)


def _holds(value: Any, operator: str, operand: Any) -> bool:
    if operator == "$not":
        inner = operand if isinstance(operand, Mapping) else {"$eq": operand}
        return not all(_holds(value, name, part) for name, part in inner.items())
    if operator in ("$ne", "$nin"):
        return not _holds(value, {"$ne": "$eq", "$nin": "$in"}[operator], operand)
    if operator == "$exists":
        return (value is not None) == bool(operand)
    if operator == "$in":
        return any(_holds(value, "$eq", one) for one in operand)
    if isinstance(value, list):
        return any(_holds(one, operator, operand) for one in value) or (operator == "$eq" and value == operand)
    if operator == "$regex":
        return isinstance(value, str) and re.search(operand, value) is not None
    if operator == "$contains":
        return isinstance(value, str) and str(operand).lower() in value.lower()
    return _compares(value, operator, operand)


def _compares(value: Any, operator: str, operand: Any) -> bool:
    if isinstance(value, datetime):
        operand = _moment(operand)
    if operator == "$eq":
        return bool(value == operand)
    tests: dict[str, Callable[[Any, Any], bool]] = {
        "$gt": lambda a, b: a > b,
        "$gte": lambda a, b: a >= b,
        "$lt": lambda a, b: a < b,
        "$lte": lambda a, b: a <= b,
    }
    if operator not in tests:
        raise FilterError(f"invalid filter: unknown operator {operator!r}")
    numbers = isinstance(value, (int, float)) and isinstance(operand, (int, float))
    return (numbers or (value is not None and type(value) is type(operand))) and tests[operator](value, operand)


def _moment(text: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise FilterError(f"invalid filter: {text!r} is no date") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _leaf(tree: Mapping[str, Any], key: str) -> Any:
    node: Any = tree
    if key not in tree:
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node
    return tree[key]


def _sort_key(value: Any) -> tuple[int, float, str]:
    if isinstance(value, datetime):
        return 1, value.timestamp(), ""
    if isinstance(value, (int, float)) and not math.isnan(value):
        return 1, float(value), ""
    if isinstance(value, str) and value not in ("NaN",):
        return 2, 0.0, value
    return 0, 0.0, ""
