"""A real HTTP server on loopback that answers as a test tells it to, one answer after the other."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    method: str
    path: str
    headers: Message  # names in any case
    body: bytes
    port: int  # of the client: requests over one connection have the same


class Handler(BaseHTTPRequestHandler):
    """Hands each request to the server's next answer."""

    protocol_version = "HTTP/1.1"
    server: Loopback

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, self.headers, body, self.client_address[1])
        with self.server.lock:
            self.server.requests.append(request)
            answer = self.server.answers.pop(0) if len(self.server.answers) > 1 else self.server.answers[0]
        answer(self, request)

    do_POST = do_HEAD = do_CONNECT = do_GET  # noqa: N815

    def send(self, body: bytes, status: int = 200, declared: int | None = None, **headers: str) -> None:
        """Send an answer; underscores in header names stand for dashes. `declared` is a false Content-Length."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if declared is None else declared))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def drop(self) -> None:
        """Reset the connection."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


Answer = Callable[[Handler, Request], None]


class Loopback(ThreadingHTTPServer):
    """The server: `answers` are used up one by one, the last for ever."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.requests: list[Request] = []
        self.answers = list(answers)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Be silent about clients that go away."""


@contextmanager
def serving(*answers: Answer) -> Iterator[Loopback]:
    """Serve the answers until the end of the block."""
    server = Loopback(*answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def data(**fields: Any) -> Answer:
    """Answer with GraphQL data."""
    return document({"data": fields})


def errors(*messages: str, status: int = 200, **extra: Any) -> Answer:
    """Answer with GraphQL errors."""
    return document({"data": None, "errors": [{"message": message} for message in messages], **extra}, status)


def document(value: Any, status: int = 200) -> Answer:
    """Answer with a JSON document."""
    body = json.dumps(value).encode()
    return lambda handler, _: handler.send(body, status, Content_Type="application/json")


def text(body: str | bytes, status: int = 200, declared: int | None = None, **headers: str) -> Answer:
    """Answer with any body."""
    raw = body.encode() if isinstance(body, str) else body
    return lambda handler, _: handler.send(raw, status, declared, **headers)


def cut(body: bytes, after: int, **headers: str) -> Answer:
    """Declare the whole body, send a part, hang up."""

    def answer(handler: Handler, _: Request) -> None:
        handler.send(body[:after], 200, len(body), **headers)
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)

    return answer


def dropped(handler: Handler, _: Request) -> None:
    """Reset the connection without an answer."""
    handler.drop()


def ranges(body: bytes, etag: str = '"1"') -> Answer:
    """Serve a file with byte ranges."""

    def answer(handler: Handler, request: Request) -> None:
        wanted = request.headers.get("Range")
        named = {"ETag": etag} if etag else {}
        if not wanted:
            handler.send(body, 200, None, **named)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(body)), len(body) - 1)
        if start >= len(body):
            handler.send(b"", 416, Content_Range=f"bytes */{len(body)}")
            return
        named["Content-Range"] = f"bytes {start}-{end}/{len(body)}"
        handler.send(body[start : end + 1], 206, None, **named)

    return answer
