"""Files at addresses that a server gives: the key stays at home, and what is written is what was promised."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

import loopback
from loopback import Answer, Handler, Request, cut, ranges, serving, text
from loopback_client import ENCODED, KEY, Time, connect, no_proxy
from tracebacks import everything_about
from wandb_toolkit.errors import AuthError, NotFoundError, ServerError, ToolkitError
from wandb_toolkit.sources.http.connection import Connection

BODY = bytes(range(256)) * 1000
MD5 = base64.b64encode(hashlib.md5(BODY).digest()).decode()

__all__ = ["no_proxy"]  # a fixture

pytestmark = pytest.mark.usefixtures("no_proxy")


def redirect(url: str, status: int = 302) -> Answer:
    return text("", status, Location=url, Set_Cookie="session=1")


def fetched(connection: Connection, url: str = "/files/a.png", **options: object) -> bytes:
    parts: list[bytes] = []
    size = connection.download(url, parts.append, **options)  # type: ignore[arg-type]
    body = b"".join(parts)
    assert size == len(body)
    return body


def failing(work: Callable[[], object], pattern: str, kind: type[ToolkitError] = ServerError) -> ToolkitError:
    with pytest.raises(kind, match=pattern) as caught:
        work()
    shown = everything_about(caught.value)
    assert KEY not in shown
    assert ENCODED not in shown
    return caught.value


# ---- who sees the key -----------------------------------------------------------------------------------------------


def test_a_file_on_the_server_itself_is_asked_for_with_the_key() -> None:
    with serving(text(BODY)) as server, connect(server.url) as connection:
        assert fetched(connection) == BODY
        assert fetched(connection, f"{server.url}/other?x=1") == BODY
    assert [request.path for request in server.requests] == ["/files/a.png", "/other?x=1"]
    assert all(ENCODED in request.headers["Authorization"] for request in server.requests)
    assert len({request.port for request in server.requests}) == 1


def test_another_port_sees_neither_key_nor_cookie() -> None:
    with (
        serving(text(BODY)) as storage,
        serving(redirect(f"{storage.url}/signed?sig=abc")) as server,
        connect(server.url) as connection,
    ):
        assert fetched(connection) == BODY
        assert fetched(connection, f"{storage.url}/signed?sig=abc") == BODY
        assert connection.read_range(f"{storage.url}/x", 0, 10) == BODY[:10]
    assert "Authorization" in server.requests[0].headers
    assert len(storage.requests) == 3
    for request in storage.requests:
        assert not {"Authorization", "Cookie"} & set(request.headers)
        assert KEY not in str(request.headers)


def test_a_redirect_back_home_carries_the_key_again() -> None:
    with serving(text("")) as other, serving(redirect(other.url), text(BODY)) as server:
        other.answers = [redirect(f"{server.url}/real")]
        with connect(server.url) as connection:
            assert fetched(connection) == BODY
    assert "Authorization" not in other.requests[0].headers
    assert "Authorization" in server.requests[1].headers


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://x/y", "data:text/plain,x", "https://", "//[", "javascript:1"]
)
def test_addresses_that_are_not_followed(place: str) -> None:
    with serving(redirect(place)) as server, connect(server.url) as connection:
        failing(lambda: fetched(connection), "which is not one")
        failing(lambda: fetched(connection, place), "which is not one")
    assert len(server.requests) == 1


def test_https_is_never_left() -> None:
    with connect("https://wandb.example") as connection:
        failing(lambda: fetched(connection, "http://wandb.example/x"), "unencrypted")


def test_redirects_without_end_or_place() -> None:
    with serving(redirect("/again")) as server, connect(server.url) as connection:
        failing(lambda: fetched(connection), "redirects more than 5 times")
    assert len(server.requests) == 6
    with serving(text("", 302)) as server, connect(server.url) as connection:
        failing(lambda: fetched(connection), "redirects to nowhere")


# ---- what is written ------------------------------------------------------------------------------------------------


def test_a_body_that_breaks_off_is_resumed(tmp_path: Path) -> None:
    with (
        serving(cut(BODY, 100_000, ETag='"1"'), ranges(BODY)) as server,
        connect(server.url, clock=Time()) as connection,
    ):
        path = tmp_path / "a.png"
        assert connection.download("/a", path, expected_size=len(BODY), md5_b64=MD5) == len(BODY)
        assert path.read_bytes() == BODY
    again = server.requests[1].headers
    assert 0 < int(again["Range"].removeprefix("bytes=").removesuffix("-")) <= 100_000
    assert again["If-Range"] == '"1"'


def test_a_server_without_ranges_begins_again() -> None:
    with serving(cut(BODY, 100_000), text(BODY)) as server, connect(server.url, clock=Time()) as connection:
        assert fetched(connection, md5_b64=MD5) == BODY


def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path) -> None:
    answers = (cut(BODY, 100_000, ETag='"1"'), text(BODY[::-1], ETag='"2"'))
    with serving(*answers) as server, connect(server.url, clock=Time()) as connection:
        failing(lambda: connection.download("/a", tmp_path / "a"), "replaced while it came")
    assert not list(tmp_path.iterdir())


def test_sizes_and_digests_are_held_against_what_came(tmp_path: Path) -> None:
    with serving(text(BODY)) as server, connect(server.url) as connection:
        path = tmp_path / "a"
        failing(lambda: connection.download("/a", path, expected_size=5), "256000 bytes came where W&B lists 5")
        failing(lambda: connection.download("/a", path, md5_b64=MD5[::-1]), "digest")
        failing(lambda: connection.download("/a", path, max_bytes=1000), "1000 are allowed")
        failing(lambda: connection.download("/a", path, expected_size=2000, max_bytes=1000), "1000 are allowed")
        assert not path.exists()
        assert connection.download("/a", path, expected_size=len(BODY), md5_b64=MD5) == len(BODY)
    assert len(server.requests) == 4


def test_an_empty_file() -> None:
    with serving(ranges(b"")) as server, connect(server.url) as connection:
        assert fetched(connection, expected_size=0) == b""
        assert connection.content_length("/a") == 0
        assert connection.read_range("/a", 0, 5) == b""


def test_a_body_without_a_length_is_held_against_the_listed_size() -> None:
    def until_the_end(handler: Handler, _: Request) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(BODY[:1000])
        handler.close_connection = True

    with serving(until_the_end, ranges(BODY, "")) as server, connect(server.url, clock=Time()) as connection:
        assert fetched(connection, expected_size=len(BODY)) == BODY


def test_a_cut_body_for_ever_leaves_no_file(tmp_path: Path) -> None:
    with serving(cut(BODY, 10)) as server, connect(server.url, clock=Time()) as connection:
        failing(lambda: connection.download("/a", tmp_path / "a", what="the file a.png"), "Cannot read the file a.png")
    assert len(server.requests) == 6
    assert not list(tmp_path.iterdir())


def test_a_large_body_that_keeps_coming_may_outlast_the_budget() -> None:
    clock = Time()

    def slow(chunk: bytes) -> None:
        clock.now += len(chunk) / 100_000

    with serving(text(BODY)) as server, connect(server.url, clock=clock, timeout=1) as connection:
        assert connection.download("/a", slow) == len(BODY)


def test_compressed_files_are_refused() -> None:
    with serving(text(gzip.compress(BODY), Content_Encoding="gzip")) as server, connect(server.url) as connection:
        failing(lambda: fetched(connection), "sent it compressed")
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [(404, NotFoundError, "no such file"), (401, AuthError, "does not accept"), (403, AuthError, "no right")],
)
def test_what_the_server_refuses(status: int, kind: type[ToolkitError], words: str) -> None:
    with serving(text("", status)) as server, connect(server.url, clock=Time()) as connection:
        failing(lambda: fetched(connection), words, kind)
    assert len(server.requests) == 1


def test_what_storage_refuses_is_not_about_the_key() -> None:
    expired = text("<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>", 403)
    with serving(expired) as storage, serving(text("")) as server, connect(server.url) as connection:
        error = failing(lambda: fetched(connection, f"{storage.url}/a?X-Sig=deadbeef"), "HTTP 403: Request has expired")
    assert "expire" in error.hint
    assert "deadbeef" not in error.message + error.hint


@pytest.mark.parametrize("body", ["<Message>" * 7000, "<Code>" * 7000 + "</Code>", "<Message></Message>"])
def test_what_storage_says_is_found_in_one_pass(body: str) -> None:
    with serving(text(body, 403)) as storage, serving(text("")) as server, connect(server.url) as connection:
        error = failing(lambda: fetched(connection, f"{storage.url}/a"), "HTTP 403")
    assert len(error.message) < 400


def test_storage_that_recovers() -> None:
    with (
        serving(text("", 503), text("", 429, Retry_After="2"), text(BODY)) as storage,
        serving(text("")) as server,
        connect(server.url, clock=(clock := Time())) as connection,
    ):
        assert fetched(connection, f"{storage.url}/a") == BODY
    assert 2 <= clock.waits[1] < 2.5


# ---- parts ----------------------------------------------------------------------------------------------------------


def test_parts_and_sizes() -> None:
    with serving(ranges(BODY)) as server, connect(server.url) as connection:
        assert connection.content_length("/a") == len(BODY)
        assert connection.read_range("/a", 1000, 50) == BODY[1000:1050]
        assert connection.read_range("/a", len(BODY) - 4, 100) == BODY[-4:]
        assert connection.read_range("/a", len(BODY), 100) == b""
        assert connection.read_range("/a", 5, 0) == b""
    assert len({request.port for request in server.requests}) == 1


def test_parts_from_a_server_that_knows_none() -> None:
    with serving(text(BODY)) as server, connect(server.url) as connection:
        assert connection.content_length("/a") == len(BODY)
        assert connection.read_range("/a", 1000, 50) == BODY[1000:1050]


def test_a_part_that_was_not_asked_for() -> None:
    with serving(text(b"xx", 206, Content_Range="bytes 50-51/100")) as server, connect(server.url) as connection:
        failing(lambda: connection.read_range("/a", 10, 2), "another part")
    with serving(text(b"xx", 206)) as server, connect(server.url) as connection:
        failing(lambda: connection.read_range("/a", 10, 2), "without saying which")
        failing(lambda: connection.content_length("/a"), "does not say how large")


def test_a_part_that_is_cut_is_asked_for_again() -> None:
    def half(handler: Handler, request: Request) -> None:
        handler.send(BODY[10:15], 206, 20, Content_Range=f"bytes 10-29/{len(BODY)}")
        handler.close_connection = True

    with serving(half, loopback.dropped, ranges(BODY)) as server, connect(server.url, clock=Time()) as connection:
        assert connection.read_range("/a", 10, 20) == BODY[10:30]
