"""The two HTTP hosts: the API, which wants the key, and storage, which refuses requests that carry it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import socket
import time
from contextlib import suppress
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from .artifacts import file_at
from .faults import Call, Fault, Host

if TYPE_CHECKING:
    from .server import Server

_PAGE = b"<!doctype html><html><head><title>%d</title></head><body><h1>Sorry, something went wrong</h1></body></html>"


class Listener(ThreadingHTTPServer):
    """Listens on one port for `owner`."""

    daemon_threads = True
    request_queue_size = 256
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[_Handler], owner: Server) -> None:
        self.owner = owner
        self.open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Serve the connection in a thread of its own."""
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self.open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Break off the connections that clients keep open."""
        for connection in list(self.open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def server_bind(self) -> None:
        """Bind without asking for the host's full name, which can take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that give up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 65536
    timeout = 60
    host: Host
    server: Listener

    def log_message(self, *_: Any) -> None:
        """Write no access log."""

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def answer(self, call: Call, body: bytes) -> None:
        """Answer the request through `send`."""
        raise NotImplementedError

    def _handle(self) -> None:
        owner = self.server.owner
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        call = Call(self.host, self.command, unquote(urlsplit(self.path).path), headers, received=len(body))
        call.proxied = not self.path.startswith("/")
        with owner.record.of(call):
            if owner.latency:
                time.sleep(owner.latency)
            self.answer(call, body)

    def send(
        self, call: Call, status: int, body: bytes, kind: str = "application/json", more: dict[str, str] | None = None
    ) -> None:
        """Send the answer, or what a fault makes of it."""
        owner = self.server.owner
        fault = owner.record.take(owner.faults, call)
        headers = {"Content-Type": kind, **(more or {})}
        if fault is not None:
            if fault.kind == "drop":
                self._hang_up()
                return
            status, body, headers = _spoiled(fault, status, body, headers)
        call.status = status
        if owner.gzip and self.host == "api" and len(body) > 1000 and "gzip" in call.headers.get("accept-encoding", ""):
            body = gzip.compress(body, 1)
            headers["Content-Encoding"] = "gzip"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if call.method == "HEAD":
            return
        if fault is not None and fault.kind == "cut":
            body = body[: len(body) // 2]
        call.sent = len(body)
        pieces = 10 if fault is not None and fault.kind == "slow" else 1
        size = -(-len(body) // pieces) or 1
        for start in range(0, len(body), size):
            self.wfile.write(body[start : start + size])
            if fault is not None and fault.kind == "slow":
                self.wfile.flush()
                time.sleep(fault.seconds / pieces)
        if fault is not None and fault.kind == "cut":
            self._hang_up()

    def _hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)

    def error(self, call: Call, status: int, message: str, more: dict[str, str] | None = None) -> None:
        """Send an error as W&B's JSON."""
        body = json.dumps({"errors": [{"message": message}], "data": None}).encode()
        self.send(call, status, body, more=more)


class ApiHandler(_Handler):
    """/graphql, and /files/..., which leads on to storage."""

    host = "api"

    def answer(self, call: Call, body: bytes) -> None:
        """Answer the request."""
        owner = self.server.owner
        if call.path in ("/_stats", "/_reset"):
            owner.record.calls.remove(call)
            found = owner.record.totals()
            if call.path == "/_reset":
                owner.record.clear()
            self.send(call, 200, json.dumps(found).encode())
            return
        signed_in = owner.signed_in(dict(call.headers))
        limit = owner.over_limit() or {}
        if "Retry-After" in limit:
            self.error(call, 429, "rate limit exceeded", limit)
        elif signed_in is False or (signed_in is None and owner.require_key):
            self.error(call, 401, "user is not logged in", limit)
        elif call.path == "/graphql" and call.method == "POST":
            try:
                asked = json.loads(body)
            except ValueError:
                self.error(call, 400, "request body is no JSON", limit)
                return
            status, found = owner.graphql(asked, bool(signed_in), call)
            self.send(call, status, json.dumps(found, allow_nan=False).encode(), more=limit)
        elif call.path.startswith("/files/"):
            self._file(call, signed_in, limit)
        elif call.path.startswith("/artifactsV2/") and signed_in:
            content = file_at(owner.store, call.path.lstrip("/"))
            if content is None:
                self.error(call, 404, "not found", limit)
            else:
                self.send(call, 200, content, "application/octet-stream", limit)
        else:
            self.error(call, 404, "not found", limit)

    def _file(self, call: Call, signed_in: bool | None, limit: dict[str, str]) -> None:
        owner = self.server.owner
        path = call.path.removeprefix("/files/")
        if not (signed_in or owner.public(path)) or owner.stored(f"files/{path}") is None:
            self.error(call, 404, "not found", limit)
        else:
            self.send(call, 302, b"", "text/html", {**limit, "Location": owner.sign(f"files/{path}")})


class StorageHandler(_Handler):
    """Signed URLs. Knows nothing of keys, and refuses requests that bring one."""

    host = "storage"

    def answer(self, call: Call, body: bytes) -> None:
        """Answer the request."""
        owner = self.server.owner
        values = " ".join([self.path, *call.headers.values()])
        if "authorization" in call.headers or owner.carries_key(values):
            owner.record.leaks.append(f"{call.method} {call.path}")
            self.error(call, 400, "only one authorization mechanism is allowed")
            return
        path = call.path.removeprefix("/")
        signature = parse_qs(urlsplit(self.path).query).get("Signature", [""])[0]
        if signature != owner.signature(path):
            self.send(call, 403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>", "application/xml")
            return
        data = owner.stored(path)
        if data is None:
            self.send(call, 404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
            return
        digest = _digest(data)
        more = {
            "Accept-Ranges": "bytes",
            "ETag": f'"{digest.hex()}"',
            "x-goog-hash": f"md5={base64.b64encode(digest).decode()}",
        }
        part = re.fullmatch(r"bytes=(\d*)-(\d*)", call.headers.get("range", ""))
        if part is None or part.groups() == ("", ""):
            self.send(call, 200, data, "application/octet-stream", more)
            return
        first, last = part.groups()
        start = int(first) if first else max(0, len(data) - int(last))
        stop = min(int(last) + 1, len(data)) if first and last else len(data)
        if start >= len(data) or stop <= start:
            self.send(call, 416, b"", more={"Content-Range": f"bytes */{len(data)}"})
            return
        more["Content-Range"] = f"bytes {start}-{stop - 1}/{len(data)}"
        self.send(call, 206, data[start:stop], "application/octet-stream", more)


@lru_cache(maxsize=256)
def _digest(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _spoiled(fault: Fault, status: int, body: bytes, headers: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """Return the answer as the fault leaves it."""
    headers = {**headers, **fault.headers}
    if fault.kind == "wait":
        time.sleep(fault.seconds)
    elif fault.kind == "status":
        return fault.status, json.dumps({"errors": [{"message": fault.message}]}).encode(), headers
    elif fault.kind == "html":
        return fault.status, _PAGE % fault.status, {**headers, "Content-Type": "text/html"}
    elif fault.kind == "truncate":
        return status, body[: len(body) // 2], headers
    elif fault.kind == "garble":
        return status, bytes(byte ^ 0x55 for byte in body), headers
    return status, body, headers
