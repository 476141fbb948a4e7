"""A query for runs → W&B's filters: Mongo-like JSON that the server evaluates."""

from __future__ import annotations

import math
import re
from typing import Any

from wandb_toolkit.sources.base import RunQuery
from wandb_toolkit.sources.run_filter import Compare, Condition, RunFilter

_ATTRIBUTES = {"tag": "tags", "group": "group", "sweep": "sweep"}
_LATEST = re.compile(r"latest(:\d+)?")
_SPECIAL = frozenset(".^$*+?{}[]()|\\")  # of regular expressions
_ORDERS = {"created_at": "created_at", "heartbeat_at": "heartbeat_at"}


def conditions(query: RunQuery) -> list[dict[str, Any]]:
    """Return the filters that all have to hold; selectors are not among them."""
    found: list[dict[str, Any]] = []
    if query.states:
        found.append({"state": {"$in": sorted(query.states)}})
    if query.tags:
        found.append({"tags": {"$in": sorted(query.tags)}})
    if query.group is not None:
        found.append({"group": query.group})
    if query.sweep is not None:
        found.append({"sweep": query.sweep})
    return found


_SERVER_FIELDS = {"name": "display_name", "id": "name", "state": "state", "group": "group", "sweep": "sweep",
                  "job_type": "jobType", "tag": "tags"}  # fmt: skip
_SERVER_OPERATORS = {"==": "$eq", "!=": "$ne", "<": "$lt", "<=": "$lte", ">": "$gt", ">=": "$gte", "in": "$in"}


def split_filter(where: RunFilter | None) -> tuple[list[dict[str, Any]], list[Condition]]:
    """Return the clauses of a filter that the server evaluates just as we do, and the others.

    Left to us are nested keys (the server's spelling of them is ambiguous), patterns in values, alternatives,
    negations, booleans, null, and numbers that are not finite, which JSON does not have.
    """
    told: list[dict[str, Any]] = []
    left: list[Condition] = []
    for clause in where.clauses() if where is not None else ():
        made = _clause(clause) if isinstance(clause, Compare) else None
        if made is None:
            left.append(clause)
        else:
            told.append(made)
    return told, left


def _clause(clause: Compare) -> dict[str, Any] | None:
    tree, _, key = clause.field.partition(".")
    if any(value is None or isinstance(value, bool) for value in clause.values):
        return None
    if any(isinstance(value, float) and not math.isfinite(value) for value in clause.values):
        return None
    numeric = all(isinstance(value, float) for value in clause.values)
    if key and ("." in key or not numeric or clause.operator == "~"):
        return None  # texts of numbers compare as numbers here, not there
    if tree == "config" and key:
        name = f"config.{key}.value"
    elif tree == "summary" and key:
        name = f"summary_metrics.{key}"
    elif clause.field in _SERVER_FIELDS and not numeric and clause.operator in ("==", "!=", "in"):
        name = _SERVER_FIELDS[clause.field]
        if name == "tags" and clause.operator != "in":
            return {name: {"$in": list(clause.values)}} if clause.operator == "==" else None
    else:
        return None
    value: Any = list(clause.values) if clause.operator == "in" else clause.values[0]
    made = {name: value} if clause.operator == "==" else {name: {_SERVER_OPERATORS[clause.operator]: value}}
    beyond = {">": "Infinity", "<": "-Infinity"}.get(clause.operator[0]) if tree == "summary" else None
    return {"$or": [made, {name: beyond}]} if beyond else made  # a text in the server's JSON


def as_filter(*parts: dict[str, Any]) -> dict[str, Any]:
    """Return one filter for all of `parts`."""
    kept = [part for part in parts if part]
    if len(kept) <= 1:
        return kept[0] if kept else {}
    return {"$and": kept}


def candidates(selectors: tuple[str, ...]) -> tuple[dict[str, Any] | None, int]:
    """Return (filter for all runs that the selectors may mean, how many of the newest runs they may mean).

    The filter is wide (a selector may be an id, a display name, a list of such, or a pattern); `select_runs` then
    decides among the candidates as it does for local runs. None: only the newest are asked for.
    """
    names: dict[str, None] = {}
    wider: list[dict[str, Any]] = []
    newest = 0
    for selector in selectors:
        names[selector.strip()] = None
        for part in map(str.strip, selector.split(",")):
            names[part] = None
            word, colon, rest = part.partition(":")
            if word == "latest" and (not colon or rest.isdecimal()):
                newest = max(newest, int(rest) if colon else 1)
            elif colon and word in _ATTRIBUTES:
                attribute = _ATTRIBUTES[word]
                wider.append({attribute: {"$in": [rest]} if attribute == "tags" else rest})
            elif any(char in part for char in "*?["):
                pattern = {"$regex": as_regex(part)}
                wider += [{"display_name": pattern}, {"name": pattern}]
    plain = [name for name in names if name and not _LATEST.fullmatch(name)]  # nobody calls a run latest:4
    if not plain:
        return None, newest
    return {"$or": [{"name": {"$in": plain}}, {"display_name": {"$in": plain}}, *wider]}, newest


def as_regex(glob: str) -> str:
    """Return a glob as a regular expression in the common subset of all engines."""
    parts = []
    for token in re.findall(r"\*|\?|\[!?[^\]]+\]|.", glob, re.DOTALL):
        if token == "*":  # noqa: S105 - a wildcard
            parts.append(".*")
        elif token == "?":  # noqa: S105 - a wildcard
            parts.append(".")
        elif token.startswith("[") and len(token) > 1:
            parts.append("[^" + token[2:] if token.startswith("[!") else token)
        else:
            # Not re.escape: other engines take an escaped space for a mistake.
            parts.append(f"\\{token}" if token in _SPECIAL else token)
    return f"^{''.join(parts)}$"


def summary_key(order: str) -> str | None:
    """Return the filter's name for a value that runs may lack, None for an order by a time that every run has."""
    key = order.lstrip("+-")
    return None if key in _ORDERS else key


def order_of(order: str) -> str | None:
    """Return the order as the server takes it, None where only we can order by that."""
    sign = order[0] if order[:1] in "+-" and order else "-"
    key = order.lstrip("+-")
    if key in _ORDERS:
        return sign + key
    if key.startswith("summary_metrics."):
        return sign + key
    if key.startswith("config."):
        return sign + key.removesuffix(".value") + ".value"
    return None
