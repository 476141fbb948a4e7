"""An end for answers that come drop by drop: a socket's own timeout begins anew with every byte that arrives."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from wandb_toolkit.sources.http.retry import Budget

LOOK = 0.2  # seconds between two looks
SHORTEST = (
    10.0  # seconds that one try has, where there are so many; else half of what is left, so that another can follow
)

_here = threading.local()  # `watch`: of the request that this thread makes


class Watch:
    """One request: its socket is shut down when its time is over."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        left = budget.left  # grows with what is received
        self._ends = left - min(left, max(left / 2, SHORTEST))
        self.socket: socket.socket | None = None
        self.over = False

    def look(self) -> None:
        """Shut the socket down if the time is over: whoever reads from it gets an error."""
        if not self.over and self.socket is not None and self._budget.left <= self._ends:
            self.over = True
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)


class Watchdog:
    """Looks at all requests of a pool, in one thread that runs while there are any."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watches: set[Watch] = set()
        self._running = False

    @contextmanager
    def watching(self, budget: Budget) -> Iterator[Watch]:
        """Watch what this thread asks for inside the block, and reads of the answer."""
        watch = Watch(budget)
        with self._lock:
            self._watches.add(watch)
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, daemon=True, name="wandb-toolkit-watchdog").start()
        _here.watch = watch
        try:
            yield watch
        finally:
            _here.watch = None
            with self._lock:
                self._watches.discard(watch)

    def _run(self) -> None:
        while True:
            time.sleep(LOOK)
            with self._lock:
                watches = list(self._watches)
                if not watches:
                    self._running = False
                    return
            for watch in watches:
                watch.look()


def _note(sock: Any) -> None:
    watch: Watch | None = getattr(_here, "watch", None)
    if watch is not None:
        watch.socket = sock


class _WatchedConnection(HTTPConnection):
    """Tells the watch of its thread which socket it uses."""

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        _note(sock)
        return sock

    def getresponse(self) -> Any:
        _note(self.sock)
        return super().getresponse()


class _WatchedTlsConnection(_WatchedConnection, HTTPSConnection):
    """The same for https."""


class _Connections(HTTPConnectionPool):
    ConnectionCls = _WatchedConnection


class _TlsConnections(HTTPSConnectionPool):
    ConnectionCls = _WatchedTlsConnection


def watched(manager: PoolManager) -> PoolManager:
    """Return the manager with connections that are watched."""
    manager.pool_classes_by_scheme = {"http": _Connections, "https": _TlsConnections}
    return manager
