"""What a server may do wrong, and the record of what was asked of it."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Host = Literal["api", "storage"]
Kind = Literal[
    "status",  # answer `status` with a JSON error body
    "html",  # answer `status` (200 too) with a page for people
    "truncate",  # a well-formed HTTP answer whose body stops half-way: JSON that does not parse, a file too short
    "cut",  # Content-Length of the whole body, half of it, then the connection closes
    "drop",  # the connection closes without an answer
    "slow",  # the right body, in pieces, over `seconds`
    "garble",  # as many bytes as promised, but others
    "wait",  # the right answer, `seconds` late
]


@dataclass
class Call:
    """One request. `operation` is the GraphQL operation's name, else its first field; "" for files."""

    host: Host
    method: str
    path: str  # without the query string
    headers: Mapping[str, str]
    proxied: bool = False  # the client took this host for a proxy
    operation: str = ""
    query: str = ""
    runs: Collection[str] = ()  # ids of runs that were read for more than a listing
    status: int = 0
    received: int = 0  # bytes of the request's body
    sent: int = 0  # bytes of the answer's body, as on the wire
    seconds: float = 0.0


@dataclass
class Fault:
    """Something wrong with the requests that meet every condition given, `times` times (None: for ever)."""

    kind: Kind = "status"
    status: int = 500
    times: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)  # e.g. {"Retry-After": "1"}
    message: str = "something went wrong"
    seconds: float = 1.0
    host: Host | None = None
    path: str | None = None  # regular expression
    operation: str | None = None  # regular expression
    text: str | None = None  # regular expression in the GraphQL document, e.g. "sampledHistory"
    run: str | None = None  # id: the "poisoned" run

    def meets(self, call: Call) -> bool:
        """Return whether the fault is for this request."""
        return (
            self.times != 0
            and self.host in (None, call.host)
            and (self.path is None or re.search(self.path, call.path) is not None)
            and (self.operation is None or re.search(self.operation, call.operation) is not None)
            and (self.text is None or re.search(self.text, call.query) is not None)
            and (self.run is None or self.run in call.runs or f"/{self.run}/" in call.path)
        )


class Record:
    """The requests of a server so far. Safe with many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_flight = 0
        self.clear()

    def clear(self) -> None:
        """Forget all of it, as before a measurement."""
        self.calls: list[Call] = []
        self.leaks: list[str] = []  # requests to storage that carried the key or an Authorization header
        self.faults_met = 0
        self.peak = 0  # most requests under way at once

    @contextmanager
    def of(self, call: Call) -> Iterator[None]:
        """Count the request while it is under way."""
        start = time.perf_counter()
        with self._lock:
            self._in_flight += 1
            self.peak = max(self.peak, self._in_flight)
            self.calls.append(call)
        try:
            yield
        finally:
            call.seconds = time.perf_counter() - start
            with self._lock:
                self._in_flight -= 1

    def take(self, faults: list[Fault], call: Call) -> Fault | None:
        """Return the first fault for the request, used up by one."""
        with self._lock:
            for fault in faults:
                if fault.meets(call):
                    self.faults_met += 1
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    def by_operation(self) -> Counter[str]:
        """Return how often each GraphQL operation was asked for, and each kind of file: "file", "export"."""
        return Counter(call.operation or call.path.split("/")[1] for call in self.calls)

    def count(self, host: Host | None = None, operation: str = "") -> int:
        """Return the number of requests, of one host or of operations that a regular expression finds."""
        return sum(host in (None, call.host) and bool(re.search(operation, call.operation)) for call in self.calls)

    @property
    def sent(self) -> int:
        """Bytes of all answers' bodies."""
        return sum(call.sent for call in self.calls)

    def totals(self) -> dict[str, Any]:
        """Return the counts as JSON: requests, bytes, the most at once, requests by operation, leaks."""
        return {
            "requests": len(self.calls),
            "sent": self.sent,
            "received": sum(call.received for call in self.calls),
            "peak": self.peak,
            "by_operation": dict(self.by_operation()),
            "leaks": list(self.leaks),
        }
