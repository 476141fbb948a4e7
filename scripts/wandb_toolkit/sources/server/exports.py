"""Where a run's exported history is: the Parquet files that W&B writes in the background, and what they lack yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.http.responses import SchemaError
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import Place

RUNS_A_REQUEST = 20


@dataclass(frozen=True)
class Exports:
    """A run's exports. Their addresses expire: ask shortly before reading."""

    urls: tuple[str, ...] = ()
    live: tuple[float, ...] = ()  # steps that are in none of them yet


def exports_of(place: Place, run: Run) -> Exports:
    """Return a run's exports, none where the server is too old for them.

    Raises:
        NotFoundError: the run is gone.
        ToolkitError: the server failed for good.
    """
    if not _readable(place):
        return Exports()
    try:
        project = place.ask(q.PARQUET, f"the exports of {run.label}", run=run.id, liveKeys=["_step"])
    except SchemaError as error:  # an older server
        place.missing.update(error.fields)
        return Exports()
    node = project.get("run")
    if node is None:
        raise NotFoundError(f"The run {run.label} is not there any more.")
    return _parsed(node)


def exports_together(place: Place, runs: Sequence[Run]) -> dict[str, Exports]:
    """Return the exports of several runs by id, many in a request; those that could not be read so are left out."""
    if not _readable(place):
        return {}
    calls = [partial(_together, place, part) for part in q.chunks(runs, RUNS_A_REQUEST)]
    answers = (found for found in place.connection.gather(calls) if not isinstance(found, ToolkitError))
    return {run_id: exports for found in answers for run_id, exports in found.items()}


def _readable(place: Place) -> bool:
    """Whether the server has exports and this machine a reader of them; else windows of steps are asked for."""
    return "parquetHistory" not in place.missing and find_spec("pyarrow") is not None


def _together(place: Place, runs: Sequence[Run]) -> dict[str, Exports]:
    def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
        del missing
        asked = 'parquetHistory(liveKeys: ["_step"]) { parquetUrls liveData }'
        return q.each_run_document([asked] * len(runs), []), {f"n{at}": run.id for at, run in enumerate(runs)}

    project, _ = place.ask_parts(document, f"the exports of {len(runs)} runs", tries=2, adapt=False)
    nodes = {run.id: project.get(f"r{at}") for at, run in enumerate(runs)}
    return {run_id: _parsed(node) for run_id, node in nodes.items() if node and node.get("parquetHistory")}


def _parsed(node: Mapping[str, Any]) -> Exports:
    history = node.get("parquetHistory") or {}
    live = [row.get("_step") for row in history.get("liveData") or () if isinstance(row, Mapping)]
    return Exports(
        tuple(str(url) for url in history.get("parquetUrls") or ()),
        tuple(step for step in live if isinstance(step, (int, float))),
    )
