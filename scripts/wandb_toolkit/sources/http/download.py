"""Files at the addresses that a W&B server gives: redirects, ranges, resumption, and proof that all of it came.

Such an address is relative, on the server itself, or signed storage on another host, which gets neither key nor trust.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from wandb_toolkit.errors import NotFoundError, ServerError
from wandb_toolkit.sources.http.auth import Credentials, origin
from wandb_toolkit.sources.http.pool import Pool, shown
from wandb_toolkit.sources.http.responses import check_status, plain, reason_in, unseen_hint
from wandb_toolkit.sources.http.retry import RETRIED_STATUS, Budget, Retrying, TryAgain, asked_wait

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

_MOST_REDIRECTS = 5
_LARGEST_ERROR = 64 * 1024  # bytes of an error's body that are looked at


@dataclass(frozen=True)
class Download:
    """What is known of a file before it comes."""

    what: str
    expected_size: int | None
    md5_b64: str | None
    max_bytes: int


class _Progress:
    """What has been written of a file, over all tries."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.count = 0
        self.version: str | None = None  # ETag or modification time
        self.digest = hashlib.md5(usedforsecurity=False)

    def add(self, chunk: bytes) -> None:
        self._write(chunk)
        self.digest.update(chunk)
        self.count += len(chunk)


class FileReader:
    """The part of a connection that reads files."""

    def __init__(
        self,
        pool: Pool,
        retrying: Retrying,
        credentials: Credentials,
        headers: Mapping[str, str],
    ) -> None:
        self._pool = pool
        self._retrying = retrying
        self._credentials = credentials
        self._headers = {**headers, "Accept-Encoding": "identity"}

    def download(self, url: str, write: Callable[[bytes], object] | Path, file: Download) -> int:
        """Write a file and return its size; see `Connection.download`."""
        if file.expected_size is not None and file.expected_size > file.max_bytes:
            raise _too_large(file)
        if not isinstance(write, Path):
            return self._download(url, write, file)
        try:
            with write.open("wb") as handle:
                return self._download(url, handle.write, file)
        except BaseException:
            write.unlink(missing_ok=True)
            raise

    def read_range(self, url: str, start: int, length: int, what: str) -> bytes:
        """Return a part of a file; see `Connection.read_range`."""
        if length <= 0:
            return b""

        def one_try(budget: Budget) -> bytes:
            with self._get(url, budget, what, {"Range": f"bytes={start}-{start + length - 1}"}) as (reply, place):
                if reply.status == 416:
                    return b""
                skip = start if reply.status == 200 else start - _range_start(reply, what)
                if skip < 0:
                    raise ServerError(f"Cannot read {what}: {shown(place)} sent another part than was asked for.")
                part = bytearray()
                for chunk in self._pool.read(reply, place, budget):
                    part += chunk[skip:]
                    skip = max(0, skip - len(chunk))
                    if len(part) >= length:
                        break
                return bytes(part[:length])

        return self._retrying.run(one_try, what)

    def read_start(self, url: str, length: int, what: str) -> tuple[bytes, int]:
        """Return the first bytes of a file, and its size; see `Connection.read_start`."""

        def one_try(budget: Budget) -> tuple[bytes, int]:
            with self._get(url, budget, what, {"Range": f"bytes=0-{length - 1}"}) as (reply, place):
                if reply.status == 416:
                    return b"", 0
                size = _size(reply)
                if size is None:
                    raise ServerError(f"Cannot read {what}: {shown(place)} does not say how large it is.")
                part = bytearray()
                for chunk in self._pool.read(reply, place, budget):
                    part += chunk
                    if len(part) >= length:
                        break
                return bytes(part[:length]), size

        return self._retrying.run(one_try, what)

    def content_length(self, url: str, what: str) -> int:
        """Return a file's size; see `Connection.content_length`."""

        def one_try(budget: Budget) -> int:
            # Not HEAD: a signed address is signed for GET.
            with self._get(url, budget, what, {"Range": "bytes=0-0"}) as (reply, place):
                size = _size(reply)
                if size is None:
                    raise ServerError(f"Cannot read {what}: {shown(place)} does not say how large it is.")
                for _ in self._pool.read(reply, place, budget) if reply.status != 200 else ():
                    pass  # a byte, so that the connection can be used again
                return size

        return self._retrying.run(one_try, what)

    def _download(self, url: str, write: Callable[[bytes], object], file: Download) -> int:
        progress = _Progress(write)
        self._retrying.run(lambda budget: self._continue(url, progress, file, budget), file.what)
        if file.expected_size is not None and progress.count != file.expected_size:
            raise ServerError(
                f"Cannot read {file.what}: {progress.count} bytes came where W&B lists {file.expected_size}.",
                "It may have been replaced meanwhile; try again.",
            )
        if file.md5_b64 and progress.digest.digest() != _decoded(file.md5_b64):
            raise ServerError(f"Cannot read {file.what}: what came is not what W&B's digest promises.", "Try again.")
        return progress.count

    def _continue(self, url: str, progress: _Progress, file: Download, budget: Budget) -> None:
        """Write what is still missing."""
        headers = {"Range": f"bytes={progress.count}-"} if progress.count else {}
        if progress.count and progress.version and not progress.version.startswith("W/"):
            headers["If-Range"] = progress.version
        with self._get(url, budget, file.what, headers) as (reply, place):
            if reply.status == 416:
                return  # nothing is missing, or the size will tell
            version = reply.headers.get("ETag") or reply.headers.get("Last-Modified")
            if progress.count and version != progress.version:
                raise ServerError(f"Cannot read {file.what}: it was replaced while it came.", "Try again.")
            progress.version = version
            start = _range_start(reply, file.what) if reply.status == 206 else 0
            skip = progress.count - start  # a server without ranges begins again
            if skip < 0:
                raise ServerError(f"Cannot read {file.what}: {shown(place)} sent another part than was asked for.")
            for chunk in self._pool.read(reply, place, budget):
                progress.add(chunk[skip:])
                skip = max(0, skip - len(chunk))
                if progress.count > file.max_bytes:
                    raise _too_large(file)
            if progress.count < (file.expected_size or 0) and not reply.headers.get("Content-Length"):
                raise TryAgain(f"{shown(place)} broke off after {progress.count} of {file.expected_size} bytes")

    @contextmanager
    def _get(
        self, url: str, budget: Budget, what: str, headers: Mapping[str, str]
    ) -> Iterator[tuple[BaseHTTPResponse, str]]:
        """Give the answer (200, 206 or 416) to a GET and the address that gave it in the end."""
        place = self._allowed(self._credentials.base_url, url, what)
        for _ in range(_MOST_REDIRECTS + 1):
            request = self._pool.request("GET", place, self._with_key(place, headers), budget)
            with self._retrying.slot(budget), request as reply:
                if reply.status not in (301, 302, 303, 307, 308):
                    self._check(reply, place, budget, what)
                    yield reply, place
                    return
                following = reply.headers.get("Location") or ""
            if not following:
                raise ServerError(f"Cannot read {what}: {shown(place)} redirects to nowhere.")
            place = self._allowed(place, following, what)
        raise ServerError(f"Cannot read {what}: {shown(place)} redirects more than {_MOST_REDIRECTS} times.")

    def _allowed(self, base: str, url: str, what: str) -> str:
        """Return the absolute address that `url` means, seen from `base`."""
        try:
            joined = urljoin(base + "/" if not urlsplit(base).path else base, url)
            scheme, host, _ = origin(joined)
            if "\\" in url or "@" in urlsplit(joined).netloc:  # who is meant is for no server to blur
                host = ""
        except ValueError:
            scheme, host, joined = "", "", ""
        if scheme not in ("http", "https") or not host:
            raise ServerError(
                f"Cannot read {what}: the server names {plain(url, 80)!r} as its place, which is not one."
            )
        if scheme == "http" and origin(base)[0] == "https":
            raise ServerError(
                f"Cannot read {what}: {shown(base)} sends it unencrypted, from http://{shown(joined)}.",
                "The server's storage has to be served by https.",
            )
        return joined

    def _with_key(self, url: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the headers for one host, with the key only where it belongs."""
        key = self._credentials.authorization()
        if key is None or origin(url) != origin(self._credentials.base_url):
            return {**self._headers, **headers}
        return {**self._headers, **headers, "Authorization": key}

    def _check(self, reply: BaseHTTPResponse, url: str, budget: Budget, what: str) -> None:
        """Raise what a status means that is neither a file nor a part of one."""
        if reply.status in (200, 206, 416):
            if (reply.headers.get("Content-Encoding") or "identity").lower() != "identity":
                raise ServerError(f"Cannot read {what}: {shown(url)} sent it compressed, which was not asked for.")
            return
        body = self._pool.read_all(reply, url, budget, _LARGEST_ERROR)
        if reply.status in (404, 410):
            raise NotFoundError(f"Cannot read {what}: {shown(url)} has no such file.", unseen_hint(self._credentials))
        if origin(url) == origin(self._credentials.base_url):
            check_status(reply.status, reply.headers, body, what, self._credentials)
        if reply.status in RETRIED_STATUS:
            raise TryAgain(f"{shown(url)} answered HTTP {reply.status}", wait=asked_wait(reply.headers))
        said = _storage_reason(body) or reason_in(body, reply.headers.get("Content-Type") or "")
        answered = f"HTTP {reply.status}: {said}" if said else f"HTTP {reply.status}"
        raise ServerError(
            f"Cannot read {what}: the storage at {shown(url)} answered {answered}.",
            "Signed addresses expire; ask for the file again." if reply.status in (400, 401, 403) else "",
        )


def _size(reply: BaseHTTPResponse) -> int | None:
    """Return the size of the file that an answer, whole or a part, belongs to."""
    field = reply.headers.get("Content-Length" if reply.status == 200 else "Content-Range") or ""
    size = field.rpartition("/")[2].strip()
    return int(size) if size.isdigit() else None


def _range_start(reply: BaseHTTPResponse, what: str) -> int:
    """Return the place in the file where the body of a 206 begins."""
    match = re.match(r"\s*bytes\s+(\d+)-\d+/", reply.headers.get("Content-Range") or "", re.IGNORECASE)
    if match is None:
        raise ServerError(f"Cannot read {what}: the server sent a part without saying which.")
    return int(match[1])


def _storage_reason(body: bytes) -> str:
    """Return what the XML of S3, GCS or Azure says."""
    text = body.decode("utf-8", "replace")
    for tag in ("Message", "Code"):
        _, begins, rest = text.partition(f"<{tag}>")
        said, ends, _ = rest.partition(f"</{tag}>")
        if begins and ends:
            return plain(said, 160)
    return ""


def _decoded(md5_b64: str) -> bytes:
    try:
        return base64.b64decode(md5_b64)
    except ValueError:
        return b""


def _too_large(file: Download) -> ServerError:
    size = f"{file.expected_size} bytes" if file.expected_size else "more"
    return ServerError(f"Cannot read {file.what}: it has {size} where {file.max_bytes} are allowed.")
