"""A mapping that costs nothing until it is looked at: a summary is most of a log, a config a request of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class Later(Mapping[str, Any]):
    """A mapping that is fetched when it is first looked at."""

    def __init__(self, fetch: Callable[[], Mapping[str, Any]]) -> None:
        self._fetch = fetch
        self._found: Mapping[str, Any] | None = None

    def __reduce__(self) -> tuple[type[dict[str, Any]], tuple[dict[str, Any]]]:
        """Cross a process boundary as what it holds: the connection behind it does not."""
        return dict, (dict(self._all()),)

    def _all(self) -> Mapping[str, Any]:
        if self._found is None:
            self._found = self._fetch()
        return self._found

    def __getitem__(self, key: str) -> Any:
        return self._all()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())
