"""Images inside W&B tables: those among the run's files, and those that only the table's artifact has.

Older SDKs wrote into a table where each image's file is. Newer ones write the word "Image" there, and keep the table
once more, with its images, in an artifact of the type `run_table`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from wandb_toolkit.downloads.tables import SUFFIX, content_of
from wandb_toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from wandb_toolkit.model import Artifact, Run, RunFile
    from wandb_toolkit.sources.base import Source

_MOST_TABLES, _LARGEST_TABLE = 20, 5_000_000  # that are looked into; bytes
_TYPE, _IMAGE, _PLACEHOLDER = "run_table", "image-file", "Image"


@dataclass(frozen=True)
class Cell:
    """An image in a table."""

    column: str
    row: int
    path: str | None  # among the files beside the table; None: a placeholder
    caption: str | None = None


@dataclass
class TableImages:
    """What the tables of a run hold of images."""

    tables: list[dict[str, Any]] = field(default_factory=list)  # by table and column, for JSON
    captions: dict[str, str] = field(default_factory=dict)  # of the run's files
    files: list[RunFile] = field(default_factory=list)  # in artifacts; the table's key and step, its row as index
    warnings: list[str] = field(default_factory=list)


def images_in_tables(source: Source, run: Run, files: Sequence[RunFile], keys: Sequence[str] = ()) -> TableImages:
    """Return the images of a run's tables; of the tables of `keys` also those that are in artifacts."""
    images = TableImages()
    names = {file.name for file in files}
    some = [file for file in files if file.name.endswith(SUFFIX) and file.size <= _LARGEST_TABLE][-_MOST_TABLES:]
    tables = [(file, _table(source, file)) for file in some]
    wanted = [(file, table) for file, table in tables if file.key in keys and _has_placeholders(table)]
    fetched = _in_artifacts(source, run, wanted, images) if wanted else {}
    for file, table in tables:
        cells = list(image_cells(table))
        mine = fetched.get(file, [])
        for column in dict.fromkeys(cell.column for cell in cells):
            about = {"source": file.name, "key": file.key, "step": file.step, "column": column}
            counts = {
                "images": sum(cell.column == column for cell in cells),
                "in_files": sum(cell.column == column and cell.path in names for cell in cells),
                "in_artifact": sum(cell.column == column for cell, _ in mine),
            }
            images.tables.append(about | counts)
        images.captions |= {cell.path: _caption(file, cell) for cell in cells if cell.path}
        images.files += [image for _, image in mine]
    return images


def _has_placeholders(table: Mapping[str, Any]) -> bool:
    return any(cell.path is None for cell in image_cells(table))


def _in_artifacts(
    source: Source, run: Run, tables: Sequence[tuple[RunFile, Mapping[str, Any]]], images: TableImages
) -> dict[RunFile, list[tuple[Cell, RunFile]]]:
    """Return the images of tables as their artifacts have them, and note in `images` what stands in the way.

    Nothing names a table's artifact for all servers. It has the table under its key, the same but for the media; of
    several such, the artifacts' versions are in the order of the steps. W&B keeps equal artifacts once.
    """
    try:
        kept = _kept(source, run)
    except ToolkitError as error:
        images.warnings.append(error.message)
        return {}
    found: dict[RunFile, list[tuple[Cell, RunFile]]] = {}
    left = list(tables)
    while left:
        key, table = left[0][0].key, left[0][1]
        alike = [file for file, other in left if file.key == key and (other is table or _same(other, table))]
        left = [(file, other) for file, other in left if file not in alike]
        artifacts = [(artifact, whole) for artifact, name, whole in kept if name == key and _same(whole, table)]
        if len(artifacts) == 1:
            artifacts *= len(alike)
        if len(artifacts) == len(alike):
            for file, (artifact, whole) in zip(alike, artifacts, strict=True):
                found[file] = _cells_of(file, artifact, whole)
        elif artifacts:
            images.warnings.append(
                f"{len(alike)} tables of {key} are alike, and {len(artifacts)} artifacts: which has the images of which"
                " cannot be told"
            )
    return found


def _cells_of(file: RunFile, artifact: Artifact, table: Mapping[str, Any]) -> list[tuple[Cell, RunFile]]:
    files = {image.name: image for image in artifact.files}
    cells = [cell for cell in image_cells(table) if cell.path in files]
    about = {cell: _caption(file, cell) for cell in cells}
    return [
        (cell, replace(files[cell.path or ""], key=file.key, step=file.step, index=cell.row, caption=about[cell]))
        for cell in cells
    ]


def _table(source: Source, file: RunFile) -> Mapping[str, Any]:
    """Return a table's JSON, {} where it cannot be read."""
    try:
        return content_of(source, file)
    except (ToolkitError, OSError):
        return {}


def image_cells(table: Mapping[str, Any]) -> Iterator[Cell]:
    """Yield the images of a table."""
    columns = table.get("columns", ())
    for number, row in enumerate(table.get("data", ())):
        for at, value in enumerate(row if isinstance(row, list) else []):
            column = str(columns[at]) if at < len(columns) else str(at)
            if value == _PLACEHOLDER:
                yield Cell(column, number, None)
            elif isinstance(value, Mapping) and value.get("_type") == _IMAGE:
                yield Cell(column, number, _text(value.get("path")), _text(value.get("caption")))


def _kept(source: Source, run: Run) -> list[tuple[Artifact, str, Mapping[str, Any]]]:
    """Return the artifacts that keep tables of a run, with the tables' keys and the tables."""
    tables = [
        (artifact, file)
        for artifact in source.artifacts(run, _TYPE)
        for file in artifact.files
        if file.name.endswith(SUFFIX) and file.size <= _LARGEST_TABLE
    ]
    return [(artifact, file.name.removesuffix(SUFFIX), _table(source, file)) for artifact, file in tables]


def _same(kept: Mapping[str, Any], logged: Mapping[str, Any]) -> bool:
    """Whether an artifact's table is the logged one; where it has media, the logged one has a word for them."""
    if kept.get("columns") != logged.get("columns") or len(kept.get("data", ())) != len(logged["data"]):
        return False
    for row, words in zip(kept["data"], logged["data"], strict=True):
        if not isinstance(row, list) or not isinstance(words, list) or len(row) != len(words):
            return False
        for value, word in zip(row, words, strict=True):
            media = isinstance(value, Mapping) and "_type" in value and isinstance(word, str)
            if not media and value != word and (value == value or word == word):  # NaN is the same as NaN
                return False
    return True


def _caption(file: RunFile, cell: Cell) -> str:
    return f"table {file.key or file.name}, {cell.column}, row {cell.row}: {cell.caption or ''}"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
