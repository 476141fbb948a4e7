"""The way to a server: dropped and silent connections, proxies, TLS, and many requests at once."""

from __future__ import annotations

import contextlib
import functools
import gzip
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import loopback
from loopback import Answer, Handler, Request, serving, text
from loopback_client import OK, Time, ask, connect, error_of, failure, no_proxy
from tracebacks import everything_about
from wandb_toolkit.errors import ServerError
from wandb_toolkit.sources.http import watchdog

__all__ = ["no_proxy"]  # a fixture

pytestmark = pytest.mark.usefixtures("no_proxy")


# ---- the way there --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trouble", [loopback.dropped, loopback.cut(b'{"data": {"answer": "me"}}', 12)])
def test_dropped_connections_and_cut_bodies_are_tried_again(trouble: Answer) -> None:
    with serving(trouble, trouble, OK) as server, connect(server.url, clock=Time()) as connection:
        assert ask(connection) == {"answer": "me"}
    assert len(server.requests) == 3


def test_a_connection_that_always_drops() -> None:
    error, _ = failure(loopback.dropped)
    assert "127.0.0.1" in error.message
    assert "dropped the connection" in error.message or "broke off" in error.message


def test_compressed_data_that_ends_early_or_is_broken() -> None:
    body = gzip.compress(b'{"data": {"answer": "me"}}')
    for bad in (body[:20], body[:12] + b"xxxx" + body[16:]):
        with serving(text(bad, Content_Encoding="gzip"), OK) as server, connect(server.url, clock=Time()) as connection:
            assert ask(connection) == {"answer": "me"}


@pytest.fixture
def silent() -> Iterator[Answer]:
    """An answer that never comes."""
    end = threading.Event()

    def answer(handler: Handler, request: Request) -> None:
        end.wait(5)

    yield answer
    end.set()


def test_a_server_that_says_nothing(silent: Answer) -> None:
    with serving(silent) as server, connect(server.url, timeout=0.4) as connection:
        error = error_of(connection, "did not answer in time")
    assert "--timeout" in error.hint


def test_a_server_that_drips() -> None:
    def drip(handler: Handler, _: Request) -> None:
        handler.send(b"", declared=1000)
        for _part in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.02)

    with serving(drip) as server, connect(server.url, timeout=0.3) as connection:
        error_of(connection, "too slowly")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_nobody_listens() -> None:
    clock = Time()
    with connect(f"http://127.0.0.1:{free_port()}", clock=clock) as connection:
        error = error_of(connection, r"no connection to 127.0.0.1:\d+/graphql: connection refused")
    assert "tried 3 times" in error.message


def test_a_host_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with connect("http://wandb.nowhere.example", clock=Time()) as connection:
        error_of(connection, r"no such host: wandb\.nowhere\.example/graphql")


@pytest.mark.parametrize("host", ["x" * 70 + ".example", "..", "a..b"])
def test_a_host_that_cannot_exist(host: str) -> None:
    with connect(f"http://{host}", clock=Time()) as connection, pytest.raises(ServerError):
        ask(connection)


def test_a_proxy_of_the_environment_is_used_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(OK) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://user:secret@"))
        with connect("http://wandb.example") as connection:
            assert ask(connection) == {"answer": "me"}
    assert proxy.requests[0].path == "http://wandb.example/graphql"
    assert proxy.requests[0].headers["Proxy-Authorization"].startswith("Basic ")
    with connect("http://wandb.example", clock=Time()) as connection:
        error = error_of(connection, r"through the proxy http://127\.0\.0\.1")
    assert "(http_proxy)" in error.hint
    assert "secret" not in everything_about(error)


def test_a_proxy_that_refuses_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(text("", 407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with connect("https://wandb.example", clock=Time()) as connection:
            error_of(connection, r"wandb\.example/graphql through the proxy")
    assert proxy.requests[0].method == "CONNECT"
    assert "Authorization" not in proxy.requests[0].headers


def test_no_proxy_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(OK) as server, connect(server.url) as connection:
        ask(connection)
    with connect("http://wandb.example") as connection:
        error_of(connection, "not an http or https one")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key in one file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    try:
        subprocess.run([*command.split(), "-keyout", path, "-out", f"{path}.c"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl to make a certificate with")
    path.write_bytes(path.read_bytes() + Path(f"{path}.c").read_bytes())
    return path


def test_a_certificate_that_nobody_trusts(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(OK) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = server.url.replace("http:", "https:")
        with connect(url, clock=Time()) as connection:
            error = error_of(connection, r"certificate of 127\.0\.0\.1.* is not trusted: self.signed")
        assert "SSL_CERT_FILE" in error.hint
        assert not server.requests
        monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.c")
        with connect(url) as connection:
            assert ask(connection) == {"answer": "me"}
        monkeypatch.setenv("SSL_CERT_FILE", "/nowhere.pem")
        with (
            connect(url) as connection,
            pytest.raises(ServerError, match=r"certificates in /nowhere\.pem cannot be read"),
        ):
            ask(connection)


def test_https_where_the_server_speaks_http() -> None:
    with serving(OK) as server, connect(server.url.replace("http:", "https:"), clock=Time()) as connection:
        error = error_of(connection, "no TLS connection")
        assert "https where the server speaks http" in error.hint


# ---- many at once ---------------------------------------------------------------------------------------------------


def test_an_error_belongs_to_its_call_and_order_is_kept() -> None:
    def call(number: int) -> Callable[[], int]:
        def work() -> int:
            time.sleep(0.002 * (number % 3))
            if number == 5:
                raise ServerError("poisoned")
            return number

        return work

    with connect("http://127.0.0.1:1", concurrency=4) as connection:
        results = list(connection.gather([call(n) for n in range(20)]))
    assert [r if isinstance(r, int) else str(r) for r in results] == [n if n != 5 else "poisoned" for n in range(20)]
    assert list(connection.gather([])) == []


def test_requests_in_flight_are_bounded() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def slow(handler: Handler, request: Request) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.02)
        with lock:
            now[0] -= 1
        OK(handler, request)

    with serving(slow) as server, connect(server.url, concurrency=3) as connection:
        inner = [lambda: list(connection.gather([functools.partial(ask, connection)] * 4))] * 4
        assert all(result == [{"answer": "me"}] * 4 for result in connection.gather(inner))
    assert most[0] == 3
    assert len({request.port for request in server.requests}) <= 3


def test_calls_are_not_taken_far_ahead_of_their_results() -> None:
    taken = 0

    def calls() -> Iterator[Callable[[], int]]:
        nonlocal taken
        for number in range(1000):
            taken += 1
            yield functools.partial(int, number)

    with connect("http://127.0.0.1:1", concurrency=2) as connection:
        results = connection.gather(calls())
        assert next(results) == 0
        assert taken <= 5


def test_a_bug_is_raised_and_an_interrupt_ends_it_at_once() -> None:
    end = threading.Event()

    def interrupt() -> bool:
        raise KeyboardInterrupt

    def wait() -> bool:
        return end.wait(5)

    def bug() -> int:
        return 1 // 0

    with connect("http://127.0.0.1:1", concurrency=2) as connection:
        with pytest.raises(ZeroDivisionError):
            list(connection.gather([bug]))
        with pytest.raises(KeyboardInterrupt):
            list(connection.gather([interrupt, *[wait] * 10]))
    end.set()


def test_closing_ends_waits() -> None:
    with serving(text("", 429, Retry_After="30")) as server:
        connection = connect(server.url)
        found: list[object] = []
        thread = threading.Thread(target=lambda: found.extend(connection.gather([lambda: ask(connection)])))
        thread.start()
        while not server.requests:
            time.sleep(0.005)
        connection.close()
        thread.join(5)
        assert isinstance(found[0], ServerError)
        assert "interrupted" in str(found[0])


# ---- drop by drop ---------------------------------------------------------------------------------------------------


def dripped(before: bytes, drop: bytes) -> Callable[[Handler, Request], None]:
    """Send what comes before, and then a drop again and again, until the client goes away."""

    def answer(handler: Handler, _: Request) -> None:
        handler.close_connection = True
        with contextlib.suppress(OSError):
            handler.wfile.write(before)
            while True:
                handler.wfile.write(drop)
                handler.wfile.flush()
                time.sleep(0.02)

    return answer


HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("before", "drop"),
    [
        (b"", b"H"),
        (HEAD, b"X"),
        (HEAD + b"X: ", b"x"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"x"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    ],
    ids=["status", "header name", "header", "100-continue", "chunk size", "trailer", "body"],
)
def test_drops_end_with_the_time(before: bytes, drop: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "SHORTEST", 0.1)
    monkeypatch.setattr(watchdog, "LOOK", 0.02)
    with serving(dripped(before, drop)) as server, connect(server.url, timeout=0.4) as connection:
        error_of(connection, "(?s)sends too slowly|did not answer in time|dropped the connection|broken|valid")
    with serving(dripped(before, drop), OK) as server, connect(server.url, timeout=1.2) as connection:
        assert ask(connection) == {"answer": "me"}  # one slow try leaves time for another
