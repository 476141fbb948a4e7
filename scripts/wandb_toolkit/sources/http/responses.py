"""What a server's answer means: GraphQL data, or which of our errors."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wandb_toolkit import jsontext
from wandb_toolkit.errors import AuthError, NotFoundError, ServerError, ToolkitError
from wandb_toolkit.sources.http.auth import Credentials, hidden
from wandb_toolkit.sources.http.retry import RETRIED_STATUS, TryAgain, asked_wait
from wandb_toolkit.sources.wandb_package import LOG_IN

_UNKNOWN = re.compile(
    r"""(?:Cannot\ query\ field|Unknown\ (?:field|argument|type|directive))\s+\\?["'`](?P<name>\w+)
    | Field\ \\?["'`](?P<input>\w+)\\?["'`]\ is\ not\ defined\ by\ type""",
    re.VERBOSE,
)
_DENIED = re.compile(
    r"permission|denied|(?:not|un)[ -]?authori[sz]ed|forbidden|unauthenticated|(?:not|be) logged in|invalid api key",
    re.IGNORECASE,
)
_ABSENT = re.compile(r"not[ _]found|could not find|cannot find|does(?: not|n't) exist|no such", re.IGNORECASE)
_LONGEST = 300  # characters of a server's message


class SchemaError(ServerError):
    """The server does not know fields, arguments or types that were asked for; without them it may answer."""

    def __init__(self, message: str, hint: str, fields: tuple[str, ...]) -> None:
        super().__init__(message, hint)
        self.fields = fields  # their names, in the order in which the server complains


@dataclass(frozen=True)
class PartError:
    """A part of a request that failed while others were answered."""

    path: tuple[str | int, ...]  # aliases and fields down to the part that is null; () where the server names none
    error: ToolkitError


def plain(text: object, limit: int = _LONGEST) -> str:
    """Return a server's text on one line, cut, with no key of ours and nothing that could steer a terminal."""
    line = " ".join("".join(char if char.isprintable() else " " for char in hidden(str(text))).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def graphql_parts(body: bytes, kind: str, what: str, creds: Credentials) -> tuple[dict[str, Any], list[PartError]]:
    """Return the data of an answer and what is wrong with parts of it.

    Raises:
        ToolkitError: there is no data.
        TryAgain: the JSON is broken, as when a body was cut.
    """
    if not body.strip():
        raise TryAgain(f"{creds.host} answered with nothing", tries=3)
    if body.lstrip()[:1] != b"{":
        raise ServerError(
            f"Cannot read {what}: {creds.host} answered with {described(body, kind)}.", _not_graphql(creds)
        )
    problem = ""
    try:
        answer = jsontext.parse(body)
    except ValueError as error:
        problem = str(error) if isinstance(error, json.JSONDecodeError) else type(error).__name__
    if problem:
        raise TryAgain(f"{creds.host} answered with broken JSON of {len(body)} bytes ({plain(problem, 80)})", tries=3)
    data, errors = answer.get("data"), answer.get("errors")
    if not errors and isinstance(data, dict):
        return data, []
    listed = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    if not listed and isinstance(answer.get("error") or answer.get("message"), str):
        listed = [{"message": answer.get("error") or answer["message"]}]
    unknown = schema_error(listed, what, creds)
    if unknown:
        raise unknown
    parts = [PartError(_path(error), graphql_error(error, what, creds)) for error in listed]
    if isinstance(data, dict) and any(value is not None for value in data.values()):
        return data, parts
    if parts:
        raise parts[0].error
    raise ServerError(
        f"Cannot read {what}: {creds.host} answered without data: {plain(answer, 120)}", _not_graphql(creds)
    )


def schema_error(errors: list[dict[str, Any]], what: str, creds: Credentials) -> SchemaError | None:
    """Return one error for all the names that the server does not know, None where it knows them."""
    found = [match for error in errors for match in _UNKNOWN.finditer(str(error.get("message")))]
    names = tuple(dict.fromkeys(match["name"] or match["input"] for match in found))
    if not names:
        return None
    return SchemaError(
        f"Cannot read {what}: {creds.host} does not know {', '.join(names)}.",
        "The W&B server is older than what is asked for; updating it would help.",
        names,
    )


def graphql_error(error: Mapping[str, Any], what: str, creds: Credentials) -> ToolkitError:
    """Return ours for one entry of `errors`."""
    message = plain(error.get("message") or "no reason given")
    extensions = error.get("extensions")
    code = str(extensions.get("code", "")) if isinstance(extensions, Mapping) else ""
    for text in (code, message):  # the code is meant for programs
        if _DENIED.search(text):
            return denied(what, creds, message)
        if _ABSENT.search(text):
            return NotFoundError(f"Cannot read {what}: {creds.host} says: {message}", unseen_hint(creds))
    return ServerError(f"Cannot read {what}: {creds.host} says: {message}")


def check_status(status: int, headers: Mapping[str, str], body: bytes, what: str, creds: Credentials) -> None:
    """Raise what an HTTP status of the API means; a 2xx means nothing.

    Raises:
        TryAgain: another try may help.
        ToolkitError: it cannot.
    """
    if 200 <= status < 300:
        return
    said = reason_in(body, headers.get("Content-Type") or "")
    if status in RETRIED_STATUS or status > 504:
        busy = "allows no more requests for now (HTTP 429)" if status == 429 else f"answered HTTP {status}"
        raise TryAgain(
            f"{creds.host} {busy}{': ' + said if said and status != 429 else ''}",
            wait=asked_wait(headers) if status in (429, 503) else None,
        )
    if status == 401:
        raise unauthorised(what, creds)
    if status == 403:
        raise denied(what, creds, said)
    if 300 <= status < 400:
        place = plain((headers.get("Location") or "nowhere").partition("?")[0], 120)
        raise ServerError(
            f"Cannot read {what}: {creds.host} redirects its API to {place}, where the key is not sent.",
            f"Set WANDB_BASE_URL to the address of the API (now {creds.base_url}, from {creds.base_url_from}).",
        )
    if status == 404:
        raise ServerError(
            f"Cannot read {what}: there is no W&B API at {creds.base_url} (HTTP 404).", _not_graphql(creds)
        )
    raise ServerError(f"Cannot read {what}: {creds.host} answered HTTP {status}{': ' + said if said else ''}.")


def unauthorised(what: str, creds: Credentials) -> AuthError:
    """Return the error of a 401."""
    if not creds.has_key:
        return AuthError(
            f"Cannot read {what}: {creds.host} asks for an API key, and there is none for it.", creds.note or LOG_IN
        )
    return AuthError(
        f"Cannot read {what}: {creds.host} does not accept the key from {creds.key_from} (HTTP 401).",
        f"It may be revoked or belong to another server. Make a new one at {creds.app_url}/authorize. {LOG_IN}",
    )


def denied(what: str, creds: Credentials, said: str) -> AuthError:
    """Return the error of a key, or of none, that has no right."""
    says = f" ({said})" if said else ""
    if not creds.has_key:
        return AuthError(
            f"Cannot read {what} without an API key: it is private, or there is no such thing{says}.",
            creds.note or LOG_IN,
        )
    return AuthError(
        f"Cannot read {what}: the key from {creds.key_from} has no right to it at {creds.host}{says}.",
        "Check entity and project, ask for access, or use the key of an account that has it.",
    )


def unseen_hint(creds: Credentials) -> str:
    """Return what else "not found" may mean: W&B hides what may not be seen."""
    if creds.has_key:
        return f"A private project of others looks the same to the key from {creds.key_from}."
    return creds.note or f"Without an API key only public projects are seen. {LOG_IN}"


def reason_in(body: bytes, kind: str) -> str:
    """Return the message that the body of an error carries, "" where it has none."""
    try:
        answer = jsontext.parse(body)
    except ValueError:
        said = described(body, kind)
        return said if said.startswith("an HTML") else plain(body[:1000].decode("utf-8", "replace"), 120)
    while isinstance(answer, (dict, list)) and answer:
        if isinstance(answer, list):
            answer = answer[0]
        else:
            answer = next((answer[key] for key in ("errors", "message", "error", "detail") if answer.get(key)), "")
    return plain(answer) if isinstance(answer, str) else ""


def described(body: bytes, kind: str) -> str:
    """Return what a body is that should have been JSON: "an HTML page titled ..."."""
    start = body[:20_000].decode("utf-8", "replace")
    if not start.strip():
        return "nothing"
    if "html" in kind.lower() or re.match(r"\s*(<!doctype html|<html|<head|<body|<title)", start, re.IGNORECASE):
        title = re.search(r"<title[^>]{0,200}>([^<]{0,1000})", start, re.IGNORECASE)
        titled = plain(title[1], 80) if title else ""
        return f"an HTML page titled {titled!r}" if titled else "an HTML page"
    return f"{plain(kind.partition(';')[0], 40) or 'text'} instead of JSON: {plain(start, 80)!r}"


def _path(error: Mapping[str, Any]) -> tuple[str | int, ...]:
    path = error.get("path")
    return tuple(part for part in path if isinstance(part, (str, int))) if isinstance(path, list) else ()


def _not_graphql(creds: Credentials) -> str:
    return (
        f"The address {creds.base_url} comes from {creds.base_url_from}. Check it (WANDB_BASE_URL), and whether "
        "a proxy or a login page stands before it."
    )
