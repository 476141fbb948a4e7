"""The files of a run on a server, and the end of its console output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Run, RunFile
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.answers import SchemaError
from wandb_toolkit.sources.api_history import Place
from wandb_toolkit.sources.api_listing import pages
from wandb_toolkit.sources.terminal import last_lines

PAGE_FILES = 1000
_LOG = "output.log"
# How the SDK names a media file: the key (slashes are folders), the step, the start of the content's SHA-256.
_MEDIA = re.compile(r"media/[^/]+/(?P<key>.+)_(?P<step>\d+)_[0-9a-f]{20}\.\w+(?:\.json)?$")


def list_files(place: Place, run: Run, pattern: str | None = None) -> list[RunFile]:
    """Return the run's files by name; `pattern` is an SQL LIKE.

    Raises:
        NotFoundError: the run is gone.
    """

    def page(cursor: str | None) -> Mapping[str, Any]:
        project = place.ask(
            q.FILES, f"the files of {run.label}", run=run.id, pattern=pattern, first=PAGE_FILES, cursor=cursor
        )
        node = project.get("run")
        if node is None:
            raise NotFoundError(f"The run {run.label} is not there any more.")
        return node.get("files") or {}

    files = {}
    for node in pages(page):
        name = str(node.get("name") or "")
        media = _MEDIA.match(name)
        files[name] = RunFile(
            name=name,
            size=int(node.get("sizeBytes") or 0),
            location=str(node.get("directUrl") or node.get("url") or ""),
            key=media["key"] if media else None,
            step=int(media["step"]) if media else None,
            md5=node.get("md5") or None,
        )
    return [files[name] for name in sorted(files)]


def console_tail(place: Place, run: Run, lines: int) -> list[str]:
    """Return the last lines of the console output, [] where there is none."""
    try:
        project = place.ask(q.CONSOLE, f"the console output of {run.label}", run=run.id, last=lines)
        edges = ((project.get("run") or {}).get("logLines") or {}).get("edges") or ()
        chunks = [str(edge["node"].get("line") or "").rstrip("\n") + "\n" for edge in edges]
    except SchemaError:
        chunks = []
    if not any(chunk.strip() for chunk in chunks):
        chunks = [_log_file(place, run)]
    return last_lines(chunks, lines)


def _log_file(place: Place, run: Run) -> str:
    found = [file for file in list_files(place, run, _LOG) if file.name == _LOG and file.size]
    if not found:
        return ""
    tail = min(found[0].size, 256_000)
    try:
        return place.connection.read_range(found[0].location, found[0].size - tail, tail).decode("utf-8", "replace")
    except ToolkitError:
        return ""
