"""The files of a run on a server, and the end of its console output."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Run, RunFile
from wandb_toolkit.sources.console import last_lines
from wandb_toolkit.sources.http.responses import SchemaError
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import Place, pages

PAGE_FILES = 1000
_LOG = "output.log"
# How the SDK names a media file: the key (slashes are folders), the step, the start of the content's SHA-256.
_MEDIA = re.compile(r"media/[^/]+/(?P<key>.+)_(?P<step>\d+)_[0-9a-f]{20}\.\w+(?:\.json)?$")


def list_files(place: Place, run: Run, pattern: str | None = None) -> tuple[list[RunFile], dict[str, str]]:
    """Return the run's files by name, and by location the address that leads there when that one has expired.

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
    for node in pages(page):
        name = str(node.get("name") or "")
        media = _MEDIA.match(name)
        direct, url = str(node.get("directUrl") or ""), str(node.get("url") or "")
        if direct and url and direct != url:
            others[direct] = url
        files[name] = RunFile(
            name=name,
            size=int(node.get("sizeBytes") or 0),
            location=direct or url,
            key=media["key"] if media else None,
            step=int(media["step"]) if media else None,
            md5=node.get("md5") or None,
        )
    return [files[name] for name in sorted(files)], others


def console_tail(place: Place, run: Run, lines: int) -> list[str]:
    """Return the last lines of the console output, [] where there is none."""
    chunks: list[str] = []
    if "logLines" not in place.missing:
        try:
            # Lines that only redraw a progress bar are many, and become one.
            project = place.ask(q.CONSOLE, f"the console output of {run.label}", run=run.id, last=max(4 * lines, 100))
            edges = ((project.get("run") or {}).get("logLines") or {}).get("edges") or ()
            found = [edge["node"].get("line") for edge in edges if edge and edge.get("node")]
            chunks = [str(line or "").rstrip("\n") + "\n" for line in found]
        except SchemaError as error:
            place.missing.update(error.fields)
    if not any(chunk.strip() for chunk in chunks):
        chunks = [_log_file(place, run)]
    return last_lines(chunks, lines)


def _log_file(place: Place, run: Run) -> str:
    found = [file for file in list_files(place, run, _LOG)[0] if file.name == _LOG and file.size]
    if not found:
        return ""
    tail = min(found[0].size, 256_000)
    try:
        return place.connection.read_range(found[0].location, found[0].size - tail, tail).decode("utf-8", "replace")
    except ToolkitError:
        return ""
