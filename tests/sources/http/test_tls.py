"""A real TLS server on loopback: an authority of one's own, wrong names, and proxies that want a password."""

from __future__ import annotations

import base64
import select
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from loopback import Handler, Loopback, Request, data, serving, text
from loopback_client import KEY, OK, Time, ask, connect, error_of, no_proxy

__all__ = ["no_proxy"]  # a fixture

pytestmark = pytest.mark.usefixtures("no_proxy")
_LEAF = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=server"
_ROOT = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=authority"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an authority (ca.pem) and what it signed: here.pem for 127.0.0.1, other.pem for another host."""
    folder = tmp_path_factory.mktemp("certificates")

    def run(command: str) -> None:
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)

    try:
        run(f"{_ROOT} -keyout ca.key -out ca.pem")
        for name, host in (("here", "IP:127.0.0.1"), ("other", "DNS:other.example")):
            (folder / f"{name}.ext").write_text(f"subjectAltName={host}\n")
            run(f"{_LEAF} -keyout {name}.key -out {name}.csr")
            run(
                f"openssl x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -days 2 -extfile {name}.ext -out {name}.crt"
            )
            (folder / f"{name}.pem").write_text(
                (folder / f"{name}.key").read_text() + (folder / f"{name}.crt").read_text()
            )
        run("openssl rehash .")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no openssl to make certificates with")
    return folder


@contextmanager
def over_tls(certificate: Path) -> Iterator[tuple[Loopback, str]]:
    with serving(OK) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        yield server, server.url.replace("http:", "https:")


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
@pytest.mark.parametrize("form", ["ca.pem", "."])
def test_an_authority_of_one_s_own(
    variable: str, form: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, str(certificates / form))
    with over_tls(certificates / "here.pem") as (server, url), connect(url, clock=Time()) as connection:
        assert ask(connection) == {"answer": "me"}
    assert server.requests[0].headers["Authorization"]


def test_the_variable_of_requests_comes_first_and_is_named(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere.pem")
    with over_tls(certificates / "here.pem") as (server, url), connect(url, clock=Time()) as connection:
        error = error_of(connection, r"/nowhere\.pem cannot be read")
    assert error.hint == "Correct REQUESTS_CA_BUNDLE."
    assert not server.requests


@pytest.mark.parametrize(
    ("certificate", "trusted", "said"),
    [("here", False, "self.signed|unable to get"), ("other", True, "mismatch|match")],
)
def test_a_server_that_cannot_prove_who_it_is_gets_no_request(
    certificate: str, trusted: bool, said: str, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    with over_tls(certificates / f"{certificate}.pem") as (server, url), connect(url, clock=Time()) as connection:
        error_of(connection, said)
    assert not server.requests


def test_a_tunnel_through_a_proxy_with_a_password(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy gets its own password and nothing of what goes through it; the server gets the key, and no password."""
    seen = bytearray()

    def tunnel(handler: Handler, request: Request) -> None:
        host, _, port = request.path.rpartition(":")
        with socket.create_connection((host, int(port)), 5) as far:
            handler.send_response(200)
            handler.end_headers()
            near = handler.connection
            other = {near: far, far: near}
            while True:
                ready, _, _ = select.select([near, far], [], [], 5)
                for one in ready:
                    part = one.recv(65536)
                    if not part:
                        handler.close_connection = True
                        return
                    seen.extend(part)
                    other[one].sendall(part)
                if not ready:
                    return

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates / "ca.pem"))
    with over_tls(certificates / "here.pem") as (server, url), serving(tunnel) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://us%40er:s%3Aecret@"))
        with connect(url, clock=Time()) as connection:
            assert ask(connection) == {"answer": "me"}
    asked = proxy.requests[0]
    assert asked.method == "CONNECT"
    assert base64.b64decode(asked.headers["Proxy-Authorization"].removeprefix("Basic ")) == b"us@er:s:ecret"
    assert "Authorization" not in asked.headers
    assert b"Authorization" not in seen
    assert KEY.encode() not in seen
    assert "Proxy-Authorization" not in server.requests[0].headers


def test_a_proxy_s_password_is_in_no_message(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with over_tls(certificates / "here.pem") as (server, url), serving(text("", 407)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("://", "://user:s3cret-word@"))
        with connect(url, clock=Time()) as connection:
            error = error_of(connection, "through the proxy")
    assert "s3cret-word" not in error.message + error.hint
    assert not server.requests


def test_an_https_server_is_not_left_for_http(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    with serving(data(answer="plain")) as plain, over_tls(certificates / "here.pem") as (server, url):
        server.answers[:] = [text("", 302, Location=f"{plain.url}/file")]
        with connect(url, clock=Time()) as connection, pytest.raises(Exception, match="unencrypted"):
            connection.download(f"{url}/file", tmp_path / "file", what="a file")
    assert not plain.requests
