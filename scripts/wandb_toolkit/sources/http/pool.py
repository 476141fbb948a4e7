"""One try of one HTTP request: pooled connections, proxies, TLS, the time limit, and foreign errors made ours.

urllib3's own retries, redirects and decoding are off: each would pass over the time, the host or the size that a
caller allows. Its errors leave without their tracebacks, whose frames hold the Authorization header.
"""

from __future__ import annotations

import os
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions as foreign

from wandb_toolkit import limits
from wandb_toolkit.errors import ServerError
from wandb_toolkit.sources.http.retry import Budget, TryAgain
from wandb_toolkit.sources.http.watchdog import Watchdog, watched

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

T = TypeVar("T")

CONNECT_SECONDS = 15.0
CHUNK = 64 * 1024
_CONNECT_TRIES = 3  # a refused connection or an unknown host rarely heals in seconds


class Pool:
    """The connections to all hosts. Threads share it."""

    def __init__(self, size: int) -> None:
        self.requests = 0
        self.bytes_in = 0  # of bodies, as they came
        self._size = size
        self._lock = threading.Lock()
        self._watchdog = Watchdog()
        self._managers: dict[tuple[str | None, str], urllib3.PoolManager] = {}

    def close(self) -> None:
        """Close every connection."""
        for manager in self._managers.values():
            manager.clear()

    @contextmanager
    def request(
        self, method: str, url: str, headers: Mapping[str, str], budget: Budget, body: bytes | None = None
    ) -> Iterator[BaseHTTPResponse]:
        """Give the answer to one request, its body unread; the connection is reused when it was read to the end.

        Raises:
            TryAgain: no connection, or no answer in time.
            ServerError: a proxy or a certificate that no other try will mend.
        """
        proxy = proxy_for(url)
        manager = self._manager(proxy, urlsplit(url).scheme)
        left = max(budget.left, 0.05)
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=min(left, max(left / 2, 10.0)))
        with self._lock:
            self.requests += 1

        def send() -> BaseHTTPResponse:
            return manager.request(
                method,
                url,
                body=body,
                headers=dict(headers),
                timeout=timeout,
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )

        with self._watchdog.watching(budget) as watch:
            slow = "did not answer in time"
            try:
                reply = attempt(send, url, proxy)
                slow = "sends too slowly"
                try:
                    yield reply
                finally:
                    if reply.closed:
                        reply.release_conn()
                    else:  # the rest of the body is on the wire
                        reply.close()
            except TryAgain:
                if not watch.over:
                    raise
            else:
                return
        raise TryAgain(f"{shown(url)} {slow}", hint="Ask for less, or raise --timeout.")

    def read(self, reply: BaseHTTPResponse, url: str, budget: Budget) -> Iterator[bytes]:
        """Yield the body as it comes, encoded as it came.

        Raises:
            TryAgain: it was cut, or came too slowly.
        """
        expected, got = _length(reply.headers), 0
        while True:
            chunk = attempt(lambda: reply.read1(CHUNK), url, None)
            if not chunk:
                break
            got += len(chunk)
            with self._lock:
                self.bytes_in += len(chunk)
            budget.received(len(chunk))
            yield chunk
            if budget.left <= 0:
                raise TryAgain(f"{shown(url)} sends too slowly ({got} bytes in {budget.spent:.0f} s)")
        if expected is not None and got != expected:
            raise TryAgain(f"{shown(url)} broke off after {got} of {expected} bytes")

    def read_all(self, reply: BaseHTTPResponse, url: str, budget: Budget, cap: int) -> bytes:
        """Return the whole body, decoded.

        Raises:
            TryAgain: it was cut, or came too slowly.
            ServerError: it is larger than `cap`, or in an encoding that was not asked for.
        """
        encoding = (reply.headers.get("Content-Encoding") or "identity").strip().lower()
        if encoding not in ("identity", "gzip", "x-gzip", "deflate"):
            raise ServerError(f"{shown(url)} answered in the encoding {encoding[:20]!r}, which was not asked for.")
        decoder = zlib.decompressobj(wbits=47) if encoding != "identity" else None
        parts: list[bytes] = []
        size, broken = 0, ""
        for chunk in self.read(reply, url, budget):
            try:
                part = decoder.decompress(chunk, cap + 1 - size) if decoder else chunk
            except zlib.error as error:
                broken = str(error)
                break
            parts.append(part)
            size += len(part)
            if size > cap:
                raise ServerError(
                    f"{shown(url)} answered with more than {cap // 1_000_000} MB.",
                    f"Ask for less; {limits.raised_by('answer-bytes')}.",
                )
        if broken or (decoder and not decoder.eof and size):
            raise TryAgain(f"{shown(url)} sent compressed data that {'is broken' if broken else 'ends too early'}")
        return b"".join(parts)

    def _manager(self, proxy: str | None, scheme: str) -> urllib3.PoolManager:
        with self._lock:
            if (proxy, scheme) not in self._managers:
                self._managers[proxy, scheme] = _make_manager(proxy, scheme, self._size)
            return self._managers[proxy, scheme]


def attempt(call: Callable[[], T], url: str, proxy: str | None) -> T:
    """Return what `call` returns, with the client's errors as ours."""
    try:
        return call()
    except (foreign.HTTPError, OSError, UnicodeError) as error:
        ours = _ours(error, url, proxy)
    raise ours  # here, so that the foreign error is not its context


def _ours(error: Exception, url: str, proxy: str | None) -> Exception:
    """Return what a client's error means."""
    via = f" through the proxy {without_user(proxy)}" if proxy else ""
    where = shown(url) + via
    check = f"The proxy comes from the environment ({proxy_variable(url)})." if proxy else ""
    inner: BaseException | None = error
    chain: list[BaseException] = []
    while inner is not None and inner not in chain:
        chain.append(inner)
        reason = getattr(inner, "original_error", None)
        inner = reason if isinstance(reason, BaseException) else inner.__cause__ or inner.__context__
    text = str(chain[-1]).lower()
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        why = next(link for link in chain if isinstance(link, ssl.SSLCertVerificationError)).verify_message
        return ServerError(
            f"The certificate of {where} is not trusted: {why}.",
            f"If the server or a proxy uses its own authority, set SSL_CERT_FILE to its certificate. {check}".strip(),
        )
    if any(isinstance(link, (ssl.SSLError, foreign.SSLError)) for link in chain):
        hint = f"Is the address right (https where the server speaks http)? {check}".strip()
        return TryAgain(f"no TLS connection to {where}: {_reason(chain)}", tries=2, hint=hint)
    if isinstance(error, (foreign.ConnectTimeoutError, foreign.NewConnectionError, foreign.ProxyError)):
        hint = check or "Check the network, and the server's address (WANDB_BASE_URL)."
        if any(isinstance(link, foreign.NameResolutionError) for link in chain):
            return TryAgain(f"no such host: {where}", tries=_CONNECT_TRIES, hint=hint)
        return TryAgain(f"no connection to {where}: {_reason(chain)}", tries=_CONNECT_TRIES, hint=hint)
    if isinstance(error, (foreign.ReadTimeoutError, TimeoutError)):
        return TryAgain(f"{where} did not answer in time", hint="Ask for less, or raise --timeout.")
    if isinstance(error, (foreign.LocationParseError, foreign.LocationValueError, UnicodeError)):
        return ServerError(f"{where} is not a valid address.")
    cut = "incomplete" in text or isinstance(error, foreign.IncompleteRead)
    return TryAgain(f"{where} broke off its answer" if cut else f"{where} dropped the connection")


def _reason(chain: list[BaseException]) -> str:
    """Return the system's own words for what went wrong."""
    for link in reversed(chain):
        if isinstance(link, OSError) and link.strerror:
            return link.strerror.lower() if not isinstance(link, ssl.SSLError) else (link.reason or link.strerror)
    if any(isinstance(link, (TimeoutError, foreign.TimeoutError)) for link in chain):
        return "no answer in time"
    return str(chain[-1])[:120]


def shown(url: str) -> str:
    """Return scheme-less host and path: a signed URL's query is a key too."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2] + (parts.path if len(parts.path) > 1 else "")
    return place if len(place) <= 120 else place[:119] + "…"


# ---- proxies and TLS ------------------------------------------------------------------------------------------------


def proxy_variable(url: str) -> str | None:
    """Return the environment variable that names the proxy for a URL's scheme, None where none does."""
    scheme = urlsplit(url).scheme
    names = [f"WANDB_{scheme}_proxy".upper(), f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"]
    if scheme == "http" and "REQUEST_METHOD" in os.environ:
        names.remove("HTTP_PROXY")  # a CGI client's header
    return next((name for name in names if os.environ.get(name)), None)


def proxy_for(url: str) -> str | None:
    """Return the address of the proxy that the environment names for a URL, None where it is to be asked directly."""
    name = proxy_variable(url)
    if name is None:
        return None
    from urllib import request  # only with a proxy: it takes a while

    if request.proxy_bypass_environment(urlsplit(url).netloc.rpartition("@")[2]):  # type: ignore[attr-defined]
        return None
    proxy = os.environ[name].strip()
    return proxy if "://" in proxy else f"http://{proxy}"


def without_user(proxy: str) -> str:
    """Return a proxy's address without the password that may be in it."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _make_manager(proxy: str | None, scheme: str, size: int) -> urllib3.PoolManager:
    # Reading the system's certificates takes a tenth of a second.
    context = _tls_context() if scheme == "https" or (proxy or "").startswith("https:") else None
    if proxy is None:
        return watched(urllib3.PoolManager(num_pools=16, maxsize=size, ssl_context=context))
    from urllib.parse import unquote

    address, userinfo = without_user(proxy), urlsplit(proxy).netloc.rpartition("@")[0]
    if not address.startswith(("http://", "https://")):
        raise ServerError(f"The proxy {address} is not an http or https one.", "Others are not supported.")
    headers = urllib3.make_headers(proxy_basic_auth=unquote(userinfo)) if userinfo else None
    return watched(
        urllib3.ProxyManager(
            address, num_pools=16, maxsize=size, ssl_context=context, proxy_headers=headers, proxy_ssl_context=context
        )
    )


def _tls_context() -> ssl.SSLContext:
    """Return the system's trust, or that of the file which the user names (SSL_CERT_FILE is OpenSSL's own)."""
    name = "REQUESTS_CA_BUNDLE" if os.environ.get("REQUESTS_CA_BUNDLE") else "SSL_CERT_FILE"
    bundle = os.environ.get(name)
    try:
        if bundle:
            folder = Path(bundle).is_dir()
            context = ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
        else:
            context = ssl.create_default_context()
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or "it holds no certificate"
        raise ServerError(f"The certificates in {bundle} cannot be read: {reason}.", f"Correct {name}.") from None
    if os.environ.get("WANDB_INSECURE_DISABLE_SSL", "").lower() in ("1", "true", "yes", "on"):  # the SDK's own switch
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _length(headers: Mapping[str, str]) -> int | None:
    text = headers.get("Content-Length") or ""
    return int(text) if text.isascii() and text.isdigit() else None
