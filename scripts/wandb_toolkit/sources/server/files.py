"""The files of a run on a server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wandb_toolkit.errors import NotFoundError, ServerError
from wandb_toolkit.model import Run, RunFile
from wandb_toolkit.sources.http.responses import SchemaError
from wandb_toolkit.sources.media import MediaFact, as_logged, facts_by_path, in_logged_order
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import Place, pages

PAGE_FILES = 1000
KEYS_A_REQUEST = 60
ROWS_A_KEY = 10_000  # more times than anybody logs images
# How the SDK names a media file: the key (slashes are folders), the step, the start of the content's SHA-256.
_MEDIA = re.compile(r"media/[^/]+/(?P<key>.+)_(?P<step>\d+)_[0-9a-f]{20}\.\w+(?:\.json)?$")


def list_files(place: Place, run: Run, pattern: str | None = None) -> tuple[list[RunFile], dict[str, str]]:
    """Return the run's files in logged order, and by location the address that leads there when that one has expired.

    Args:
        place: the project.
        run: whose files.
        pattern: an SQL LIKE that names have to meet, where the server knows such.

    Raises:
        NotFoundError: the run is gone.
    """

    def page(cursor: str | None) -> Mapping[str, Any]:
        def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
            asked = {"run": run.id, "pattern": pattern, "first": PAGE_FILES, "cursor": cursor}
            return q.files_document(missing), asked

        project, errors = place.ask_parts(document, f"the files of {run.label}")
        if errors:
            raise errors[0].error
        node = project.get("run")
        if node is None:
            raise NotFoundError(f"The run {run.label} is not there any more.")
        return node.get("files") or {}

    files, others = {}, {}
    for node in pages(place.connection, f"the files of {run.label}", page):
        name = str(node.get("name") or "")
        key, step = media_name(name)
        direct, url = str(node.get("directUrl") or ""), str(node.get("url") or "")
        if direct and url and direct != url:
            others[direct] = url
        files[name] = RunFile(
            name=name,
            size=int(node.get("sizeBytes") or 0),
            location=direct or url,
            key=key,
            step=step,
            md5=node.get("md5") or None,
        )
    facts: dict[str, list[MediaFact]] = {}
    if pattern is None:
        facts = _facts_of(place, run, list(dict.fromkeys(file.key for file in files.values() if file.key)))
    each = (file for name, listed in files.items() for file in as_logged(listed, facts.get(name, ())))
    return in_logged_order(each), others


def media_name(name: str) -> tuple[str | None, int | None]:
    """Return the key and step that the SDK wrote into a media file's name, (None, None) where it did not."""
    media = _MEDIA.match(name)
    return (media["key"], int(media["step"])) if media else (None, None)


def _facts_of(place: Place, run: Run, keys: Sequence[str]) -> dict[str, list[MediaFact]]:
    """Return what the history says of the media files of `keys`; {} where the server does not say."""
    media: list[tuple[str, int | None, Mapping[str, Any]]] = []
    for some in q.chunks(keys, KEYS_A_REQUEST):
        specs = [json.dumps({"keys": ["_step", key], "samples": ROWS_A_KEY}) for key in some]

        def document(missing: set[str], specs: list[str] = specs) -> tuple[str, dict[str, Any]]:
            return q.each_run_document(["sampledHistory(specs: $s0)"], ["s0"]), {"n0": run.id, "s0": specs}

        try:
            project, errors = place.ask_parts(document, f"the media of {run.label}", tries=2, adapt=False)
        except (ServerError, SchemaError):
            continue
        node = project.get("r0")
        if errors or not isinstance(node, Mapping):
            continue
        for key, rows in zip(some, node.get("sampledHistory") or (), strict=False):
            for row in rows or ():
                value, step = row.get(key), row.get("_step")
                if isinstance(value, Mapping) and isinstance(step, (int, float)):
                    media.append((key, int(step), value))
    return facts_by_path(media)
