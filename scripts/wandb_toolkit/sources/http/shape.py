"""The types of a server's answer, settled once where it comes in: behind this, a field has its type or is null.

The table names every field that our queries ask for. What W&B keeps as JSON (summaries, configs, rows) may hold
anything and is looked at where it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_ALIAS = re.compile(r"r\d+")  # the n-th run of a request for several


def _is_number(value: Any) -> bool:
    if isinstance(value, str):  # Int64 comes as text from some servers
        return value.isascii() and value.isdigit() and len(value) < 19
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_json(value: Any) -> bool:
    return isinstance(value, (str, dict))


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_lists(value: Any) -> bool:
    return isinstance(value, list) and all(item is None or isinstance(item, list) for item in value)


_OBJECTS = frozenset(
    {"project", "entity", "viewer", "models", "projects", "teams", "runs", "newest", "run", "files", "logLines", "node",
     "pageInfo", "parquetHistory"}
)  # fmt: skip
_LEAVES: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    **dict.fromkeys(
        ("name", "displayName", "state", "group", "jobType", "sweepName", "createdAt", "heartbeatAt", "notes",
         "description", "entityName", "username", "directUrl", "url", "md5", "line", "endCursor"),
        ("a text", _is_text),
    ),
    **dict.fromkeys(("runCount", "historyLineCount", "eventsLineCount", "sizeBytes"), ("a number", _is_number)),
    **dict.fromkeys(("asked", "config", "summaryMetrics"), ("a text or an object", _is_json)),
    "hasNextPage": ("true or false", _is_truth),
    **dict.fromkeys(("tags", "parquetUrls"), ("a list of texts", _is_texts)),
    **dict.fromkeys(("history", "events", "liveData"), ("a list", _is_list)),
    "sampledHistory": ("a list of lists", _is_lists),
}  # fmt: skip


def settle(data: dict[str, Any]) -> list[str]:
    """Make every field of an answer what it should be, or null; return what was wrong: "runs.edges: 3, no list"."""
    odd: list[str] = []
    _object(data, "", odd)
    return odd


def _object(node: dict[str, Any], path: str, odd: list[str]) -> None:
    for field, value in node.items():
        where = f"{path}.{field}" if path else field
        if value is None:
            continue
        if field == "entity" and path.endswith("viewer"):
            wanted = "" if isinstance(value, str) else "a text"
        elif field == "edges":
            wanted = "" if isinstance(value, list) else "a list"
            if not wanted:
                node[field] = [edge for at, edge in enumerate(value) if _edge(edge, f"{where}.{at}", odd)]
        elif field in _OBJECTS or _ALIAS.fullmatch(field):
            wanted = "" if isinstance(value, dict) else "an object"
            if not wanted:
                _object(value, where, odd)
        else:
            kind, fits = _LEAVES.get(field, ("", lambda _: True))
            wanted = "" if fits(value) else kind
        if wanted:
            odd.append(f"{where} is {_described(value)}, not {wanted}")
            node[field] = None


def _edge(edge: Any, path: str, odd: list[str]) -> bool:
    """Settle an element of a connection; False where it is to be left out."""
    if edge is None:
        return False
    if not isinstance(edge, dict):
        odd.append(f"{path} is {_described(edge)}, not an object")
        return False
    _object(edge, path, odd)
    return edge.get("node") is not None


def _described(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value) if len(repr(value)) <= 30 else f"{repr(value)[:29]}…"
