"""Answers of a server in which one value is something else."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

WRONG: list[Any] = [
    None, 0, -1, 10**400, "", "x", "NaN", "Infinity", [], {}, [[]], [None], {"a": {"b": 1}}, True,
    "9999-99-99T00:00:00", "99999-01-01T00:00:00Z", "\u202e", [1, 2, 3], 2**70,
]  # fmt: skip


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of a tree's values; of a list the first three."""
    yield path
    below = node.items() if isinstance(node, dict) else enumerate(node[:3]) if isinstance(node, list) else ()
    for key, value in below:
        yield from places(value, (*path, key))


def put(tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    tree[path[0]] = put(tree[path[0]], path[1:], value)
    return tree


def mutated(answer: Any, rng: random.Random) -> Any:
    """Return an answer with one value replaced, perhaps inside a text that is JSON."""
    path = rng.choice([("data", *path) for path in places(answer.get("data"))])
    value: Any = rng.choice(WRONG)
    node = answer
    for key in path:
        node = node[key]
    if isinstance(node, str) and node[:1] in ("{", "[") and rng.random() < 0.7:
        inner = json.loads(node)
        value = json.dumps(put(inner, rng.choice(list(places(inner))), value))
    return put(answer, path, value)
