"""A connection as tests use it: to loopback, on a clock that only waits move, with a key that must not get out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from loopback import Answer, Loopback, data, serving
from tracebacks import everything_about
from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.sources.http.auth import Credentials, Secret
from wandb_toolkit.sources.http.connection import Connection

KEY = "0123456789abcdef0123456789abcdef01234567"
ENCODED = "YXBpOjAxMjM0NTY3ODlhYmNkZWYwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc="
OK = data(answer="me")


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own proxies and certificates out of the way."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)


class Time:
    """A clock that only waits move; it remembers them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def connect(url: str, key: str | None = KEY, clock: Time | None = None, **options: Any) -> Connection:
    secret = Secret(key) if key else None
    creds = Credentials(url, "https://pages.example", secret, "WANDB_API_KEY" if key else "", "WANDB_BASE_URL")
    if clock:
        options.update(clock=clock, sleep=clock.sleep)
    return Connection(creds, rng=random.Random(0), **options)


def ask(connection: Connection) -> dict[str, Any]:
    return connection.graphql("query { answer }", {"n": 1}, "the runs of a/b")


def error_of(connection: Connection, pattern: str) -> ServerError:
    """Return the error that a query ends with; the key is nowhere in it."""
    with pytest.raises(ServerError, match=pattern) as caught:
        ask(connection)
    assert KEY not in everything_about(caught.value)
    assert ENCODED not in everything_about(caught.value)
    return caught.value


def failure(*answers: Answer, key: str | None = KEY, **options: Any) -> tuple[ToolkitError, Loopback]:
    """Return the error of a query that gets these answers, and the server."""
    with serving(*answers) as server, connect(server.url, key, Time(), **options) as connection:
        with pytest.raises(ToolkitError) as caught:
            ask(connection)
        assert KEY not in everything_about(caught.value)
        assert ENCODED not in everything_about(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        return caught.value, server
