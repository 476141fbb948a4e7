"""What resolvers share: the request, its limits, and the shapes of pages and times."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from graphql import GraphQLError

from .store import File, Run, Store

T = TypeVar("T")


class UnavailableError(Exception):
    """The server gives up on the request: HTTP 502."""


class ForbiddenError(Exception):
    """The key may not see what it asks for: HTTP 403."""


@dataclass
class Limits:
    """What a server refuses or cuts."""

    page: int = 1000  # rows of a connection; more are cut to this
    samples: int | None = None  # of one sampledHistory spec; more are cut to this
    history_keys: int | None = None  # keys that one request may read of histories; more end in 502


@dataclass
class Request:
    """One GraphQL request, as the resolvers see it."""

    store: Store
    limits: Limits
    signed_in: bool
    file_url: Callable[[Run, File], str]  # on the API host, redirects to storage
    signed_url: Callable[[str], str]  # storage path → URL with a signature
    touched: set[str] = field(default_factory=set)  # ids of the runs that were read for more than a listing
    keys_read: int = 0

    def read_keys(self, count: int) -> None:
        """Count keys of histories that this request has read."""
        self.keys_read += count
        if self.limits.history_keys is not None and self.keys_read > self.limits.history_keys:
            raise UnavailableError


def moment(value: datetime | None) -> str | None:
    """Return the time as W&B's DateTime."""
    return None if value is None else value.strftime("%Y-%m-%dT%H:%M:%SZ")


def connection(
    items: Sequence[T], request: Request, first: int | None = None, after: str | None = None
) -> dict[str, Any]:
    """Return one page of `items` with opaque cursors."""
    start = 0
    if after:
        try:
            start = int(base64.b64decode(after, validate=True).decode().removeprefix("at:"))
        except ValueError as error:
            raise GraphQLError(f"invalid cursor: {after}") from error
    size = min(50 if first is None else first, request.limits.page)
    if size < 0:
        raise GraphQLError("first must not be negative")
    cursors = [base64.b64encode(f"at:{at + 1}".encode()).decode() for at in range(start, min(start + size, len(items)))]
    return {
        "edges": [{"node": node, "cursor": cursor} for node, cursor in zip(items[start:], cursors, strict=False)],
        "pageInfo": {
            "endCursor": cursors[-1] if cursors else None,
            "hasNextPage": start + size < len(items),
            "startCursor": cursors[0] if cursors else None,
            "hasPreviousPage": start > 0,
        },
        "totalCount": len(items),
    }
