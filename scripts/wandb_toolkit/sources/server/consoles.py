"""The ends of runs' console output on a server: of several runs in a request, else from their log files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.console import last_lines
from wandb_toolkit.sources.http.responses import SchemaError
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.files import list_files
from wandb_toolkit.sources.server.project import Place

RUNS_A_REQUEST, LINES_A_REQUEST = 20, 8_000  # some 800 kB
LOG = "output.log"
_TAIL_BYTES = 256_000

_Found: TypeAlias = tuple[str, int]  # address and bytes of a log file; "" and 0: there is none


def console_tails(place: Place, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
    """Yield the last lines of each run's console output, [] where there is none, or why it cannot be read."""
    # Lines that only redraw a progress bar are many, and become one.
    asked = max(4 * lines, 100)
    parts = q.chunks(runs, max(1, min(RUNS_A_REQUEST, LINES_A_REQUEST // asked)))
    answers = place.connection.gather([partial(_tails, place, part, asked) for part in parts])
    for part, answer in zip(parts, answers, strict=True):
        for text in answer if isinstance(answer, list) else [answer] * len(part):
            yield text if isinstance(text, ToolkitError) else last_lines([text], lines)


def _tails(place: Place, runs: Sequence[Run], lines: int) -> list[str | ToolkitError]:
    texts: list[str | ToolkitError] = [""] * len(runs)
    if "logLines" not in place.missing:
        asked = f"logLines(last: {lines}) {{ edges {{ node {{ line }} }} }}"
        try:
            texts = [node if isinstance(node, ToolkitError) else _text(node) for node in _each(place, runs, asked)]
        except SchemaError as error:
            place.missing.update(error.fields)
    silent = [at for at, text in enumerate(texts) if isinstance(text, str) and not text.strip()]
    for at, text in zip(silent, _log_files(place, [runs[at] for at in silent]), strict=True):
        texts[at] = text
    return texts


def _text(node: Mapping[str, Any]) -> str:
    edges = (node.get("logLines") or {}).get("edges") or ()
    found = (edge["node"].get("line") for edge in edges if edge and edge.get("node"))
    return "".join(str(line or "").rstrip("\n") + "\n" for line in found)


def _each(place: Place, runs: Sequence[Run], asked: str) -> list[Mapping[str, Any] | ToolkitError]:
    """Return each run's node; where asking for all of them fails on the server's side, each is asked for alone."""

    def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
        del missing  # without it there is nothing to ask for
        return q.each_run_document([asked] * len(runs), []), {f"n{at}": run.id for at, run in enumerate(runs)}

    whose = runs[0].label if len(runs) == 1 else f"{len(runs)} runs"
    tries = None if len(runs) == 1 else 2
    try:
        return place.ask_each(runs, document, f"the console output of {whose}", tries=tries, adapt=False)
    except SchemaError:
        raise
    except ServerError as error:
        return [error] if len(runs) == 1 else [node for run in runs for node in _each(place, [run], asked)]


def _log_files(place: Place, runs: Sequence[Run]) -> list[str]:
    """Return the ends of the runs' log files, "" where there is none."""
    if not runs:
        return []
    places: list[_Found] = []
    if "pattern" not in place.missing:
        asked = f'files(pattern: "{LOG}", first: 1) {{ edges {{ node {{ {" ".join(q.FILE_FIELDS)} }} }} }}'
        with suppress(SchemaError):  # an older server: each run's files are looked through
            places = [_file(node) for node in _each(place, runs, asked)]
    places = places or [_listed(place, run) for run in runs]
    texts = place.connection.gather([partial(_end, place, found) for found in places])
    return [text if isinstance(text, str) else "" for text in texts]


def _file(node: Mapping[str, Any] | ToolkitError) -> _Found:
    edges = [] if isinstance(node, ToolkitError) else (node.get("files") or {}).get("edges") or []
    file: Mapping[str, Any] = next(
        (edge["node"] for edge in edges if edge and (edge.get("node") or {}).get("name") == LOG), {}
    )
    return str(file.get("directUrl") or file.get("url") or ""), int(file.get("sizeBytes") or 0)


def _listed(place: Place, run: Run) -> _Found:
    try:
        found = [file for file in list_files(place, run, LOG)[0] if file.name == LOG]
    except ToolkitError:
        return "", 0
    return (found[0].location, found[0].size) if found else ("", 0)


def _end(place: Place, found: _Found) -> str:
    location, size = found
    if not location or size <= 0:
        return ""
    length = min(size, _TAIL_BYTES)
    return place.connection.read_range(location, size - length, length).decode("utf-8", "replace")
