"""`--fields a,b.c`: the wanted part of a JSON document, in the document's own nesting.

A field is a path of keys joined with dots. It goes through lists into each element. Keys may hold dots themselves
(`summary_metrics.eval.loss`): at each level the longest key that fits is meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wandb_toolkit.errors import UsageError, did_you_mean


def pick(document: Any, fields: Sequence[str], *, by_name: bool = False) -> Any:
    """Return the document with only `fields` of its elements (a list), of its values (`by_name`), or of itself.

    Keys come in the order of `fields`. An element without a field goes without it.

    Raises:
        UsageError: no element has the field; the hint names the nearest.
    """
    search = _Search()
    wanted = [(field, field) for field in fields]
    if by_name:
        result: Any = {name: search.pick(value, wanted) for name, value in document.items()}
    else:
        result = search.pick(document, wanted)
    for field in fields:
        if document and field not in search.found:
            raise unknown_field(field, search.seen.get(field, ()))
    return result


def unknown_field(field: str, known: Sequence[str] | Mapping[str, None]) -> UsageError:
    """Return the error for a field that no element has."""
    return UsageError(f"There is no field {field!r}.", did_you_mean(field, known, "field"))


class _Search:
    """One projection: which fields were found, and what there was where the others ended."""

    def __init__(self) -> None:
        self.found: set[str] = set()
        self.seen: dict[str, dict[str, None]] = {}

    def pick(self, node: Any, wanted: Sequence[tuple[str, str]]) -> Any:
        """Return the part of `node` under `wanted`: pairs of what is left of a path, and the whole path."""
        if isinstance(node, list):
            if not node:
                self.found.update(whole for _, whole in wanted)  # nobody can say
            return [self.pick(item, wanted) for item in node]
        if not isinstance(node, dict):
            for rest, whole in wanted:
                if node is None:
                    self.found.add(whole)
                else:
                    self.seen.setdefault(whole, {})[whole[: -len(rest) - 1]] = None
            return node
        below: dict[str, list[tuple[str, str]]] = {}
        for rest, whole in wanted:
            keys = [key for key in node if rest == key or rest.startswith(f"{key}.")]
            if keys:
                key = max(keys, key=len)
                below.setdefault(key, []).append((rest[len(key) + 1 :], whole))
            else:
                before = whole[: len(whole) - len(rest)]
                self.seen.setdefault(whole, {}).update(dict.fromkeys(f"{before}{key}" for key in node))
        result = {}
        for key, rests in below.items():
            ends = [whole for rest, whole in rests if not rest]
            self.found.update(ends)
            result[key] = node[key] if ends else self.pick(node[key], rests)
            if ends:
                self.found.update(whole for _, whole in rests)
        return result
