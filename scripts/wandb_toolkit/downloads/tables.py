"""W&B tables: which of a run's files they are, and what they hold."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from wandb_toolkit import jsontext
from wandb_toolkit.errors import NotFoundError, ToolkitError, did_you_mean

if TYPE_CHECKING:
    from wandb_toolkit.model import Run, RunFile
    from wandb_toolkit.sources.base import Source

SUFFIX = ".table.json"
Steps: TypeAlias = 'int | Literal["last", "all"]'


@dataclass(frozen=True)
class Table:
    """A W&B table as it was logged at one step."""

    columns: tuple[str, ...]  # unique: of two equal names the second has " (2)" behind it
    rows: tuple[tuple[Any, ...], ...]  # as long as `columns`; a media cell is its path, where the file has it
    step: int | None  # W&B's `_step`


def tables_of(source: Source, run: Run, key: str, step: Steps = "last") -> list[Table]:
    """Return the tables that a run logged under a key: the last one, that of a step, or all in their order.

    A table that was added to an artifact has the name that it has there as its key, and no step.

    Raises:
        NotFoundError: the run logged no such table, or not at that step.
        ToolkitError: a table cannot be fetched or read.
    """
    files = [file for file in source.files(run) if file.name.endswith(SUFFIX) and file.key]
    mine = [file for file in files if file.key == key]
    if not mine:
        others = _in_artifacts(source, run)
        mine = [file for file in others if file.key == key]
        files += others
    if not mine:
        keys = dict.fromkeys(file.key for file in files if file.key)
        raise NotFoundError(f"{run.label} logged no table {key!r}.", did_you_mean(key, keys, "table"))
    mine.sort(key=lambda file: -1 if file.step is None else file.step)
    chosen = mine[-1:] if step == "last" else [file for file in mine if step in ("all", file.step)]
    if not chosen:
        steps = ", ".join(str(file.step) for file in mine[:10])
        more = f" and {len(mine) - 10} more" if len(mine) > 10 else ""
        raise NotFoundError(f"{run.label} logged no table {key!r} at step {step}.", f"It did at {steps}{more}.")
    return [_fetched(source, file) for file in chosen]


def _in_artifacts(source: Source, run: Run) -> list[RunFile]:
    """Return the tables in a run's artifacts, [] where those cannot be read."""
    try:
        artifacts = source.artifacts(run)
    except ToolkitError:
        return []
    files = (file for artifact in artifacts for file in artifact.files if file.name.endswith(SUFFIX))
    return [replace(file, key=file.name.removesuffix(SUFFIX)) for file in files]


def content_of(source: Source, file: RunFile) -> Mapping[str, Any]:
    """Return the JSON of a `.table.json` file as it was logged; its columns and data are lists.

    Raises:
        ToolkitError: the file cannot be fetched, or is not a table.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "table.json")
        source.fetch(file, place)
        try:
            content = jsontext.parse(place.read_bytes())
        except (OSError, ValueError) as error:
            raise ToolkitError(f"{file.name} is not a W&B table: {error}") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(part), list) for part in ("columns", "data")):
        raise ToolkitError(f"{file.name} is not a W&B table: it has no columns and data.")
    return content


def _fetched(source: Source, file: RunFile) -> Table:
    content = content_of(source, file)
    columns, data = content["columns"], content["data"]
    rows = [row if isinstance(row, list) else [row] for row in data]
    width = max([len(columns), *map(len, rows)])
    names = _unique([str(columns[at]) if at < len(columns) else f"column {at}" for at in range(width)])
    return Table(names, tuple((*map(_cell, row), *[None] * (width - len(row))) for row in rows), file.step)


def _unique(names: list[str]) -> tuple[str, ...]:
    unique: dict[str, None] = {}
    for name in names:
        new, count = name, 1
        while new in unique:
            count += 1
            new = f"{name} ({count})"
        unique[new] = None
    return tuple(unique)


def _cell(value: Any) -> Any:
    if isinstance(value, Mapping) and "_type" in value and isinstance(value.get("path"), str):
        return value["path"]
    return value
