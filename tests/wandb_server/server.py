"""The server: a GraphQL host and a storage host on loopback, with switches for latency, limits and faults."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
import time
from collections.abc import Collection
from types import TracebackType
from typing import Any
from urllib.parse import quote

from graphql import DocumentNode, FieldNode, GraphQLError, OperationDefinitionNode, execute_sync, parse, validate

from .answers import ForbiddenError, Limits, Request, UnavailableError
from .artifacts import manifest
from .faults import Call, Fault, Host, Kind, Record
from .hosts import ApiHandler, Listener, StorageHandler
from .parquet import export_of
from .resolvers import bind
from .schema import make_schema
from .store import File, Run, Store

KEY = "0123456789abcdef" * 2 + "01234567"  # 40 hexadecimal digits, as W&B's keys are


class Server:
    """A W&B server that holds `store`, running between ``with`` and the end of the block.

    Everything may be changed while it runs: `latency` (seconds a request), `limits`, `faults`, `without` (schema
    fields that an older server lacks), `rate_limit`, `require_key`, `gzip`, and the store itself.
    """

    def __init__(self, store: Store, *, latency: float = 0.0, port: int = 0, key: str = KEY) -> None:
        self.store = store
        self.latency = latency
        self.key = key
        self.limits = Limits()
        self.faults: list[Fault] = []
        self.record = Record()
        self.require_key = False  # True: 401 without a key, also for what is public
        self.gzip = True  # for clients that accept it
        self.rate_limit: tuple[int, float] | None = None  # requests, seconds: RateLimit headers, then 429
        self._window = (0.0, 0)  # start, requests in it
        self._salt = 0
        self._lock = threading.Lock()
        self._without: frozenset[str] = frozenset()
        self._schema = bind(make_schema())
        self._documents: dict[str, DocumentNode | list[GraphQLError]] = {}
        self._api = Listener(("127.0.0.1", port), ApiHandler, self)
        self._storage = Listener(("127.0.0.1", 0), StorageHandler, self)

    @property
    def url(self) -> str:
        """The base URL to give to clients."""
        return f"http://127.0.0.1:{self._api.server_port}"

    @property
    def storage_url(self) -> str:
        """Where signed URLs lead: another host name and another port."""
        return f"http://localhost:{self._storage.server_port}"

    @property
    def without(self) -> frozenset[str]:
        """Fields ("Run.historyKeys") and arguments ("Run.config(keys)") that the schema lacks; see OLD_SERVER."""
        return self._without

    @without.setter
    def without(self, names: Collection[str]) -> None:
        self._without = frozenset(names)
        self._schema = bind(make_schema(self._without))
        self._documents.clear()

    def fault(self, kind: Kind = "status", status: int = 500, times: int | None = None, **more: Any) -> Fault:
        """Add a `Fault` and return it; put its `times` to 0 to end it."""
        found = Fault(kind, status, times, **more)
        self.faults.append(found)
        return found

    def reset(self) -> None:
        """End all faults, limits and latency, take the newest schema again and forget the requests so far."""
        self.faults.clear()
        self.limits = Limits()
        self.latency = 0.0
        self.require_key = False
        self.rate_limit = None
        if self._without:
            self.without = ()
        self.record.clear()

    def environment(self) -> dict[str, str]:
        """Return the variables that lead the SDK and our scripts here."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key}

    def warm(self) -> Server:
        """Make every export now rather than when it is first asked for: for measurements."""
        for project in self.store.projects.values():
            for run in project.runs.values():
                export_of(run)
        return self

    def start(self) -> Server:
        """Serve from threads of this process until `stop`."""
        for listener in (self._api, self._storage):
            threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop, and close both ports."""
        for listener in (self._api, self._storage):
            listener.shutdown()
            listener.server_close()
            listener.hang_up()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # What the handlers ask for.

    def signed_in(self, headers: dict[str, str]) -> bool | None:
        """Return whether the key is right, None where there is none."""
        given = headers.get("authorization", "")
        scheme, _, value = given.partition(" ")
        if scheme.lower() == "basic":
            try:
                given = base64.b64decode(value).decode().partition(":")[2]
            except ValueError:
                return False
        elif scheme.lower() == "bearer":
            given = value
        return None if not given else hmac.compare_digest(given.encode(), self.key.encode())

    def carries_key(self, text: str) -> bool:
        """Return whether the text holds the key, as it is or as basic authentication has it."""
        coded = base64.b64encode(f"api:{self.key}".encode()).decode()
        return self.key in text or coded in text

    def over_limit(self) -> dict[str, str] | None:
        """Count a request against the rate limit; return the headers to add, with Retry-After once it is exceeded."""
        if self.rate_limit is None:
            return {}
        most, seconds = self.rate_limit
        now = time.monotonic()
        with self._lock:
            start, count = self._window
            if now - start >= seconds:
                start, count = now, 0
            self._window = (start, count + 1)
        reset = max(0.0, start + seconds - now)
        headers = {"RateLimit-Limit": str(most), "RateLimit-Remaining": str(max(0, most - count - 1))}
        headers["RateLimit-Reset"] = f"{reset:.0f}"
        if count >= most:
            headers["Retry-After"] = f"{reset:.2f}".rstrip("0").rstrip(".") if reset < 1 else f"{reset:.0f}"
        return headers

    def graphql(self, body: dict[str, Any], signed_in: bool, call: Call) -> tuple[int, Any]:
        """Answer a GraphQL request: status and JSON."""
        query = body.get("query") or ""
        call.query = query
        document = self._document(query)
        if isinstance(document, list):
            return 400, {"errors": [error.formatted for error in document]}
        call.operation = _operation(document, body.get("operationName"))
        request = Request(self.store, self.limits, signed_in, self._file_url, self.sign)
        try:
            result = execute_sync(
                self._schema,
                document,
                context_value=request,
                variable_values=body.get("variables") or {},
                operation_name=body.get("operationName") or None,
            )
        finally:
            call.runs = request.touched
        for error in result.errors or ():
            if isinstance(error.original_error, UnavailableError):
                return 502, {"errors": [{"message": "bad gateway"}]}
            if isinstance(error.original_error, ForbiddenError):
                return 403, {"errors": [error.formatted], "data": None}
        answer: dict[str, Any] = {"data": result.data}
        if result.errors:
            answer["errors"] = [error.formatted for error in result.errors]
        # Variables of the wrong type leave nothing executed at all.
        return (400 if result.errors and result.data is None else 200), answer

    def sign(self, path: str) -> str:
        """Return a signed URL for a path of the storage host."""
        return f"{self.storage_url}/{quote(path, safe='/')}?Expires=4102444800&Signature={self.signature(path)}"

    def signature(self, path: str) -> str:
        """Return the signature of a storage path."""
        return hmac.new(f"secret {self._salt}".encode(), path.encode(), hashlib.sha256).hexdigest()

    def expire_urls(self) -> None:
        """Make every signed URL given out so far invalid: storage answers 403."""
        self._salt += 1

    def stored(self, path: str) -> bytes | None:
        """Return the bytes below a storage path, None where there is nothing."""
        kind, *rest = path.split("/", 4)
        if len(rest) != 4:
            return None
        entity, project, run_id, name = rest
        home = self.store.projects.get((entity, project))
        run = home.runs.get(run_id) if home else None
        if run is None:
            return None
        if kind == "exports":
            files = export_of(run)
            return files[int(name)] if name.isdecimal() and int(name) < len(files) else None
        if kind == "artifacts":
            return manifest(run, name)
        return next((file.data for file in run.files if file.name == name), None)

    def public(self, path: str) -> bool:
        """Return whether the path below /files/ belongs to a public project."""
        entity, _, rest = path.partition("/")
        project = self.store.projects.get((entity, rest.partition("/")[0]))
        return project is not None and project.access == "public"

    def _file_url(self, run: Run, file: File) -> str:
        return f"{self.url}/files/" + quote(f"{run.home.entity}/{run.home.name}/{run.id}/{file.name}", safe="/")

    def _document(self, query: str) -> DocumentNode | list[GraphQLError]:
        known = self._documents.get(query)
        if known is None:
            try:
                document = parse(query)
                known = validate(self._schema, document) or document
            except GraphQLError as error:
                known = [error]
            if len(self._documents) > 500:
                self._documents.clear()
            self._documents[query] = known
        return known


def _operation(document: DocumentNode, wanted: str | None) -> str:
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    chosen = next((node for node in operations if node.name and node.name.value == wanted), operations[0])
    if chosen.name:
        return chosen.name.value
    first = chosen.selection_set.selections[0]
    return first.name.value if isinstance(first, FieldNode) else ""


__all__ = ["KEY", "Fault", "Host", "Limits", "Server"]
