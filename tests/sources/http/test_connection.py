"""Queries over a connection: what each answer means, and when it is asked again."""

from __future__ import annotations

import gzip
import logging
from email.utils import formatdate

import pytest

from loopback import Answer, Handler, Request, document, errors, serving, text
from loopback_client import ENCODED, KEY, OK, Time, ask, connect, error_of, failure, no_proxy
from wandb_toolkit.errors import AuthError, NotFoundError, ServerError, ToolkitError
from wandb_toolkit.sources.http.auth import Credentials, Secret
from wandb_toolkit.sources.http.connection import Connection, SchemaError
from wandb_toolkit.sources.http.retry import asked_wait

__all__ = ["no_proxy"]  # a fixture

pytestmark = pytest.mark.usefixtures("no_proxy")


# ---- answers --------------------------------------------------------------------------------------------------------


def test_queries_share_one_connection_and_carry_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(OK) as server, connect(server.url) as connection:
        assert [ask(connection) for _ in range(3)] == [{"answer": "me"}] * 3
        counters = connection.counters
    request = server.requests[0]
    assert (request.method, request.path) == ("POST", "/graphql")
    assert request.body == b'{"query": "query { answer }", "variables": {"n": 1}}'
    assert request.headers["Authorization"] == f"Basic {ENCODED}"
    assert request.headers["Accept-Encoding"] == "gzip"
    assert request.headers["User-Agent"].startswith("wandb-toolkit/")
    assert len({request.port for request in server.requests}) == 1
    assert (counters.requests, counters.retries, counters.bytes_in) == (3, 0, 3 * len(b'{"data": {"answer": "me"}}'))
    assert ENCODED not in caplog.text
    assert KEY not in caplog.text


def test_no_key_no_header() -> None:
    with serving(OK) as server, connect(server.url, None) as connection:
        ask(connection)
    assert "Authorization" not in server.requests[0].headers


def test_an_access_token_is_a_bearer() -> None:
    with serving(OK) as server:
        creds = Credentials(server.url, "https://pages.example", Secret("token"), "a file", bearer=True)
        with Connection(creds) as connection:
            ask(connection)
    assert server.requests[0].headers["Authorization"] == "Bearer token"


def test_compressed_and_chunked_answers() -> None:
    body = gzip.compress(b'{"data": {"answer": "' + b"x" * 300_000 + b'"}}')

    def chunked(handler: Handler, _: Request) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.send_header("Content-Encoding", "gzip")
        handler.end_headers()
        for start in range(0, len(body), 100):
            part = body[start : start + 100]
            handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    with serving(chunked) as server, connect(server.url) as connection:
        assert len(ask(connection)["answer"]) == 300_000
        ask(connection)
    assert len({request.port for request in server.requests}) == 1


def test_an_answer_that_unpacks_to_too_much() -> None:
    bomb = gzip.compress(b'{"data": {"answer": "' + b"0" * 50_000_000 + b'"}}')
    error, server = failure(text(bomb, Content_Encoding="gzip"), max_answer=1_000_000)
    assert "more than 1 MB" in error.message
    assert len(server.requests) == 1


def test_unknown_fields_are_named_so_that_callers_can_leave_them_out() -> None:
    for status in (200, 400):
        error, server = failure(
            errors(
                'Cannot query field "historyKeys" on type "Run". Did you mean "historyKey"?',
                'Unknown argument "liveKeys" on field "Run.parquetHistory".',
                'Cannot query field "historyKeys" on type "Run".',
                'Unknown type "Wide".',
                status=status,
            )
        )
        assert isinstance(error, SchemaError)
        assert error.fields == ("historyKeys", "liveKeys", "Wide")
        assert error.exit_code == 5
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("permission denied for project secret", AuthError, "key from WANDB_API_KEY has no right"),
        ("project not found", NotFoundError, "project not found"),
        ("could not find entity x", NotFoundError, "could not find entity"),
        ("context deadline\n\x1b[31mexceeded", ServerError, "says: context deadline [31mexceeded"),
    ],
)
def test_errors_by_what_wandb_says(message: str, kind: type[ToolkitError], words: str) -> None:
    error, _ = failure(errors(message))
    assert type(error) is kind
    assert words in error.message
    assert error.message.startswith("Cannot read the runs of a/b")


def test_parts_that_came_are_kept_beside_the_errors_of_others() -> None:
    both = document({"data": {"a": {"x": 1}, "b": None}, "errors": [{"message": "boom", "path": ["b", 0]}]})
    with serving(both) as server, connect(server.url) as connection:
        found, parts = connection.graphql_parts("q", {}, "the runs")
        assert found == {"a": {"x": 1}, "b": None}
        assert [(part.path, part.error.message) for part in parts] == [
            (("b", 0), f"Cannot read the runs: 127.0.0.1:{server.server_port} says: boom")
        ]
        error_of(connection, "boom")


@pytest.mark.parametrize(
    ("answer", "words", "tries"),
    [
        (text("<!DOCTYPE html><title>Sign\n in</title>", Content_Type="text/html"), "an HTML page titled 'Sign in'", 1),
        (text("<html>"), "an HTML page", 1),
        (text("hello", Content_Type="text/plain"), "text/plain instead of JSON: 'hello'", 1),
        (text("[1]"), "instead of JSON", 1),
        (text('{"data": {"answer"'), "broken JSON of 18 bytes", 3),
        (text(""), "nothing", 3),
        (text('{"data": {"v": ' + "[" * 100_000), "broken JSON", 3),
        (document({"data": None}), "without data", 1),
        (document({"message": "maintenance"}), "says: maintenance", 1),
        (text(b"\x00", Content_Encoding="br"), "encoding 'br'", 1),
    ],
)
def test_answers_that_are_none(answer: Answer, words: str, tries: int) -> None:
    error, server = failure(answer)
    assert isinstance(error, ServerError)
    assert words in error.message
    assert len(server.requests) == tries


# ---- status codes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "key", "kind", "words"),
    [
        (400, KEY, ServerError, "answered HTTP 400: why"),
        (401, KEY, AuthError, "does not accept the key from WANDB_API_KEY"),
        (401, None, AuthError, "asks for an API key"),
        (403, KEY, AuthError, "has no right to it"),
        (403, None, AuthError, "private, or there is no such thing"),
        (404, KEY, ServerError, "no W&B API at"),
        (501, KEY, ServerError, "HTTP 501"),
        (302, KEY, ServerError, "redirects its API to https://login.example/sso, where the key is not sent"),
    ],
)
def test_some_answers_are_final(status: int, key: str | None, kind: type[ToolkitError], words: str) -> None:
    refused = text('{"error": "why"}' if status != 400 else "why", status, Location="https://login.example/sso?t=1")
    error, server = failure(refused, key=key)
    assert type(error) is kind
    assert words in error.message
    assert error.hint or status in (400, 501)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 522])
def test_a_server_that_recovers(status: int) -> None:
    busy = text("<title>busy</title>", status, Content_Type="text/html")
    clock = Time()
    with serving(busy, busy, OK) as server, connect(server.url, clock=clock) as connection:
        assert ask(connection) == {"answer": "me"}
        assert connection.counters.retries == 2
    assert len(clock.waits) == 2
    assert 0.25 <= clock.waits[0] <= 0.5 <= clock.waits[1] <= 1.0


def test_waits_differ_by_seed_only() -> None:
    def waits() -> list[float]:
        clock = Time()
        with serving(text("", 502)) as server, connect(server.url, clock=clock) as connection:
            with pytest.raises(ServerError):
                ask(connection)
            return clock.waits

    assert waits() == waits()


def test_502_for_ever_ends_by_count_and_by_time() -> None:
    error, server = failure(text("<title>Bad Gateway</title>", 502))
    assert "HTTP 502: an HTML page titled 'Bad Gateway'" in error.message
    assert "tried 6 times" in error.message
    assert len(server.requests) == 6
    error, server = failure(text("", 502), timeout=4.0, retries=1000)
    assert 2 < len(server.requests) < 6
    assert "--timeout" in error.hint


@pytest.mark.parametrize("header", ["Retry-After", "RateLimit-Reset"])
def test_a_rate_limit_is_obeyed(header: str) -> None:
    clock = Time()
    limit = text("", 429, None, **{header: "7"})
    with serving(limit, limit, OK) as server, connect(server.url, clock=clock) as connection:
        ask(connection)
    assert len(clock.waits) == 2
    assert all(7 <= wait < 7.5 for wait in clock.waits)
    assert len(server.requests) == 3


def test_a_rate_limit_longer_than_the_budget_ends_at_once() -> None:
    error, server = failure(text("", 429, Retry_After="3600"))
    assert len(server.requests) == 1
    assert "HTTP 429" in error.message
    assert "asks to wait 3600 s" in error.hint


def test_a_rate_limit_holds_the_other_threads_too() -> None:
    clock = Time()
    with serving(text("", 429, Retry_After="7"), OK) as server, connect(server.url, clock=clock) as connection:
        connection._retrying._not_before = clock.now + 5
        ask(connection)
        assert clock.waits[0] == 5
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("12", 12.0), ("0.5", 0.5), ("-3", 0.0), (formatdate(1030, usegmt=True), 30.0), ("soon", None), ("nan", None)],
)
def test_how_long_to_wait(value: str, seconds: float | None) -> None:
    assert asked_wait({"Retry-After": value}, now=1000.0) == seconds
    assert asked_wait({}) is None
