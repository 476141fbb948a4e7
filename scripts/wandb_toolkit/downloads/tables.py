"""Images inside logged tables: which cells they are, and which of the run's files hold them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_IMAGE = "image-file"


@dataclass(frozen=True)
class Cell:
    """An image in a table."""

    column: str
    row: int
    path: str | None  # among the run's files; None: only in the table's artifact
    caption: str | None = None


def image_cells(path: Path) -> list[Cell]:
    """Return the images of a ``.table.json`` file, [] where it has none or is no table.

    Older SDKs wrote where each image's file is. Newer ones write the word "Image" and keep the images in an artifact.
    """
    try:
        table = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(table, dict) or not isinstance(table.get("data"), list):
        return []
    names = table.get("columns")
    columns = names if isinstance(names, list) else []
    cells = []
    for number, row in enumerate(table["data"]):
        for at, value in enumerate(row if isinstance(row, list) else []):
            column = str(columns[at]) if at < len(columns) else str(at)
            if value == "Image":
                cells.append(Cell(column, number, None))
            elif isinstance(value, Mapping) and value.get("_type") == _IMAGE:
                cells.append(Cell(column, number, _text(value.get("path")), _text(value.get("caption"))))
    return cells


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None
