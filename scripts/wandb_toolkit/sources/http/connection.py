"""A connection to one W&B server: GraphQL queries, and files at the addresses that it gives.

The key goes to the server's own scheme, host and port and nowhere else. Every operation has one time limit, which
holds for all its tries.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from wandb_toolkit import __version__, limits
from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.sources.http.auth import Credentials
from wandb_toolkit.sources.http.download import Download, FileReader
from wandb_toolkit.sources.http.pool import Pool
from wandb_toolkit.sources.http.responses import PartError, SchemaError, check_status, graphql_parts, plain
from wandb_toolkit.sources.http.retry import Budget, Retrying
from wandb_toolkit.sources.http.shape import settle
from wandb_toolkit.sources.threads import gather

__all__ = ["Connection", "Counters", "PartError", "SchemaError"]

T = TypeVar("T")

_MOST_ODD = 20  # kinds of wrong fields that are said
LARGEST_FILE = 20 * 1024**3


@dataclass(frozen=True)
class Counters:
    """What a connection has cost so far."""

    requests: int
    retries: int
    bytes_in: int  # of bodies, as they came over the wire


class Connection:
    """Requests to one server over reused connections; threads may share it. A context manager.

    `timeout` is in seconds and covers one operation with all its tries; a large body that keeps coming may take longer.
    `concurrency` bounds the requests in flight, however many threads ask. `rng`, `sleep` and `clock` are for tests.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeout: float = 60.0,
        concurrency: int = 10,
        retries: int = 5,
        max_answer: int | None = None,
        rng: random.Random | None = None,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.credentials = credentials
        self.concurrency = concurrency
        self._max_answer = max_answer or limits.most("answer-bytes")
        self._pool = Pool(concurrency)
        self._odd: dict[str, str] = {}
        self._retrying = Retrying(
            timeout=timeout, retries=retries, concurrency=concurrency, rng=rng, sleep=sleep, clock=clock
        )
        self._files = FileReader(self._pool, self._retrying, credentials, _headers())

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End waits and connections; threads that are still asking get an error."""
        self._retrying.close()
        self._pool.close()

    @property
    def counters(self) -> Counters:
        """What has been asked and received so far."""
        return Counters(self._pool.requests, self._retrying.repeated, self._pool.bytes_in)

    def graphql(self, query: str, variables: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Return the `data` of a query. `what` names what is read, for messages: "the runs of entity/project".

        Raises:
            SchemaError: the server does not know some of its fields; `fields` says which.
            AuthError: no key, a wrong key, or no right to it.
            NotFoundError: W&B says that it does not exist. (More often it answers null, which is no error.)
            ServerError: the server or the way to it failed for good, or it answered with something else.
        """
        data, errors = self.graphql_parts(query, variables, what)
        if errors:
            raise errors[0].error
        return data

    def graphql_parts(
        self, query: str, variables: Mapping[str, Any], what: str, *, tries: int | None = None
    ) -> tuple[dict[str, Any], list[PartError]]:
        """Return the data that came and the errors of the parts that did not, as when one run of several fails.

        `tries` is for questions that can be put in smaller pieces: so often at most, except against a rate limit.

        Raises:
            ToolkitError: as `graphql`, where nothing came at all.
        """
        creds = self.credentials
        url = f"{creds.base_url}/graphql"
        body = json.dumps({"query": query, "variables": dict(variables)}, allow_nan=False).encode()
        headers = {**_headers(), "Accept": "application/json", "Accept-Encoding": "gzip"}
        headers["Content-Type"] = "application/json"
        key = creds.authorization()
        if key is not None:
            headers["Authorization"] = key

        def one_try(budget: Budget) -> tuple[dict[str, Any], list[PartError]]:
            with self._retrying.slot(budget), self._pool.request("POST", url, headers, budget, body) as reply:
                answer = self._pool.read_all(reply, url, budget, self._max_answer)
                status, kind = reply.status, reply.headers.get("Content-Type") or ""
                if status not in (400, 422) or not answer.lstrip().startswith(b"{"):  # validation errors are GraphQL's
                    check_status(status, reply.headers, answer, what, creds)
                data, errors = graphql_parts(answer, kind, what, creds)
                self._note(settle(data), what)
                return data, errors

        return self._retrying.run(one_try, what, tries)

    def _note(self, odd: Sequence[str], what: str) -> None:
        """Keep what was wrong with an answer, each kind once: places in lists aside, there may be thousands.

        Raises:
            ServerError: the whole answer is something else.
        """
        for text in odd:
            if "." not in text.partition(" ")[0]:
                raise ServerError(
                    f"Cannot read {what}: {self.credentials.host} answered with something else: {plain(text)}."
                )
            host = self.credentials.host
            self.note(f"{host} answered with something else for {what}: {plain(text)}; it is left out")

    def note(self, odd: str) -> None:
        """Keep what was wrong with an answer, and why something is left out."""
        kind = re.sub(r"\.\d+", "", odd)
        if kind not in self._odd and len(self._odd) < _MOST_ODD:
            self._odd[kind] = odd

    @property
    def odd(self) -> tuple[str, ...]:
        """What was wrong with answers so far, and is left out."""
        return tuple(self._odd.values())

    def download(
        self,
        url: str,
        write: Callable[[bytes], object] | Path,
        *,
        what: str = "the file",
        expected_size: int | None = None,
        md5_b64: str | None = None,
        max_bytes: int = LARGEST_FILE,
    ) -> int:
        """Write the file at `url` (absolute, or relative to the server), and return its size in bytes.

        A body that breaks off is resumed where it ended. A path holds the whole file afterwards, or nothing.

        Raises:
            NotFoundError, AuthError: the server says so.
            ServerError: it could not be read, is larger than `max_bytes`, or is not what size and digest promise.
        """
        download = Download(what, expected_size, md5_b64, max_bytes)
        return self._files.download(url, write, download)

    def read_range(self, url: str, start: int, length: int, what: str = "the file") -> bytes:
        """Return `length` bytes from `start`, fewer where the file ends before.

        Raises:
            ToolkitError: as `download`.
        """
        return self._files.read_range(url, start, length, what)

    def read_start(self, url: str, length: int, what: str = "the file") -> tuple[bytes, int]:
        """Return the first `length` bytes, fewer where the file is smaller, and the size of the file.

        Raises:
            ToolkitError: as `download`; the server does not say how large the file is.
        """
        return self._files.read_start(url, length, what)

    def content_length(self, url: str, what: str = "the file") -> int:
        """Return the size of the file at `url` without reading it.

        Raises:
            ToolkitError: as `download`; the server does not say.
        """
        return self._files.content_length(url, what)

    def gather(self, calls: Iterable[Callable[[], T]]) -> Iterator[T | ToolkitError]:
        """Yield what each call returns or the `ToolkitError` that it raised, in order, `concurrency` at once."""
        return gather(calls, self.concurrency)


def _headers() -> dict[str, str]:
    return {"User-Agent": f"wandb-toolkit/{__version__}"}
