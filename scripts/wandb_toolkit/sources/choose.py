"""Which source a target names."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from wandb_toolkit.errors import AuthError, NotFoundError, ServerError, ToolkitError, UsageError
from wandb_toolkit.resolve import Target, expanded, nearest_path, parse_target
from wandb_toolkit.sources.base import RunQuery, Source
from wandb_toolkit.sources.http.auth import Credentials, default_entity, default_project, find_credentials
from wandb_toolkit.sources.local.source import LocalSource
from wandb_toolkit.sources.remote import RemoteSource
from wandb_toolkit.sources.stores import is_remote

if TYPE_CHECKING:
    from wandb_toolkit.sources.http.cache import Cache

_SERVER = ("api", "sdk")  # choices that read a server
_PROBE_SECONDS = 10.0  # for a project that may be public: without a key nobody waits longer


@dataclass(frozen=True)
class ReadOptions:
    """How a server is read; of local runs only whether a cache is kept."""

    timeout: float = 60.0  # seconds of one operation, all its tries included
    cache: bool = True
    budget: int | None = None  # points of a run that are read whole for its statistics; None: the source's own
    samples: int | None = None  # points of a metric in a sample; None: the source's own


def open_source(
    text: str | None,
    choice: str = "auto",
    *,
    entity: str | None = None,
    of_entity: bool = False,
    reading: ReadOptions | None = None,
) -> tuple[Source, tuple[str, ...]]:
    """Return the source that a target names, and the selectors that the target itself holds (the run of a URL).

    A path that exists is local, all else is on the server. Without credentials for one, local runs at hand (below
    ``$WANDB_DIR``, else the current folder) of that name will do, and a public project needs none. Without a target it
    is the default project of the server where one is set, else the local runs at hand; for a list of projects, the
    server. Without credentials it is the local runs at hand.

    Args:
        text: the target, None for none.
        choice: "local", "api" or "sdk" (a server through the wandb package) decide, "auto" leaves it to the above.
        entity: whose projects are wanted, where there is no target.
        of_entity: all projects of an entity are wanted; a target of one word is the entity.
        reading: how a server is read.

    Raises:
        NotFoundError: there is no such path, or no local runs of that name.
        AuthError: it can only be on a server, and there are no credentials for it.
    """
    if text is not None and is_remote(text):
        return _remote(text.strip(), choice, reading or ReadOptions()), ()
    target = parse_target(text) if text is not None else Target(text="")
    if of_entity and target.project is not None:
        target = replace(target, entity=target.entity or target.project, project=None)
    if target.path is not None:
        if choice in _SERVER:
            raise NotFoundError(f"{target.text} is a local path; --source {choice} reads servers only.")
        return LocalSource(target.path, cache=_cache(reading)), ()
    selectors = (target.selector,) if target.selector else ()
    if choice == "local" or target.entity == "local":
        return _local(target, reading), selectors
    credentials = find_credentials(target.host)
    here = _local_here(target, reading)
    named = text is not None or of_entity or default_project() is not None
    if choice in _SERVER or target.host is not None or (credentials.has_key and (named or not here.has_runs())):
        through_sdk = choice == "sdk"
        return _server(target, entity, credentials, reading or ReadOptions(), through_sdk=through_sdk), selectors
    if here.has_runs() or text is None:
        return here, selectors
    folder = expanded(target.text).parent
    if "/" in target.text and folder.is_dir():  # "runs/wandbb", where there is a folder runs
        raise NotFoundError(f"There is no {target.text}.", nearest_path(expanded(target.text)))
    return _public(target, credentials), selectors


def _remote(url: str, choice: str, reading: ReadOptions) -> Source:
    from wandb_toolkit.sources.http.cache import cache_folder

    if choice in _SERVER:
        raise UsageError(f"--source {choice} reads W&B servers; a store's runs are read as local ones.")
    return RemoteSource(url, cache_folder() if reading.cache else None)


def _server(
    target: Target, entity: str | None, credentials: Credentials, reading: ReadOptions, *, through_sdk: bool = False
) -> Source:
    from wandb_toolkit.sources.http.connection import Connection
    from wandb_toolkit.sources.sdk.fallback import ServerSource
    from wandb_toolkit.sources.server.reader import BUDGET, Options
    from wandb_toolkit.sources.server.sampled_history import SAMPLES
    from wandb_toolkit.sources.server.source import ApiSource

    owner = target.entity or entity or default_entity()
    project = target.project if target.project is not None else default_project()

    def sdk(why: str = "") -> Source:
        from wandb_toolkit.sources.sdk.source import SdkSource

        return SdkSource(credentials, owner, project, timeout=reading.timeout, why=why)

    if through_sdk:
        return sdk()
    own = ApiSource(
        Connection(credentials, timeout=reading.timeout),
        credentials.app_url,
        owner,
        project,
        _cache(reading),
        Options(budget=reading.budget or BUDGET, samples=reading.samples or SAMPLES),
    )
    return ServerSource(own, sdk)


def _public(target: Target, credentials: Credentials) -> Source:
    """Return the server's source for a project that can be seen without a key.

    Raises:
        AuthError: it cannot, or the server is out of reach.
    """
    source = _server(target, None, credentials, ReadOptions(timeout=_PROBE_SECONDS))
    try:
        source.runs(RunQuery(limit=1))
    except ServerError as error:
        why = f"and {credentials.host} is out of reach ({error.message.rstrip('.')})"
    except ToolkitError:
        why = f"and {credentials.host} shows no such project without a key"
    else:
        return source
    login = credentials.note or "Set WANDB_API_KEY or run `wandb login`."  # a key there is, and why it is not used
    raise AuthError(
        f"{target.text!r} is not a local path, there is no API key for {credentials.host}, {why}.",
        f"{login} Or give the path of local runs. {_seen()}",
    )


def _cache(reading: ReadOptions | None) -> Cache:
    from wandb_toolkit.sources.http.cache import Cache, cache_folder

    return Cache(cache_folder() if reading is None or reading.cache else None)


def _local_here(target: Target, reading: ReadOptions | None) -> LocalSource:
    return LocalSource(_here(), entity=target.entity, project=target.project, cache=_cache(reading))


def _local(target: Target, reading: ReadOptions | None) -> Source:
    here = _local_here(target, reading)
    if target.text and not here.has_runs():
        raise NotFoundError(f"No local runs of {target.text!r}.", _seen())
    return here


def _here() -> Path:
    return Path(os.environ.get("WANDB_DIR") or ".")


def _seen() -> str:
    here = LocalSource(_here())
    projects = here.projects() if here.has_runs() else []
    seen = ", ".join(f"{p.entity or 'local'}/{p.name} ({p.run_count})" for p in projects[:5]) or "none"
    return f"Local runs below {_here().resolve()}: {seen}."
