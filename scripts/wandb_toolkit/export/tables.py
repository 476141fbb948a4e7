"""Columns → Parquet, CSV or JSON lines, each file whole or not at all; and back, for the table of runs."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from wandb_toolkit import jsontext
from wandb_toolkit.errors import UsageError
from wandb_toolkit.output import temporary

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray
    from wandb_toolkit.points.rows import Mask

Format: TypeAlias = Literal["parquet", "csv", "jsonl"]
SUFFIX: Mapping[Format, str] = {"parquet": ".parquet", "csv": ".csv", "jsonl": ".jsonl"}


def check_format(form: Format) -> None:
    """Refuse a format that this environment cannot write.

    Raises:
        UsageError: Parquet without pyarrow.
    """
    if form == "parquet" and find_spec("pyarrow") is None:
        raise UsageError(
            "Parquet needs the package pyarrow, which is not installed.",
            "Give --format csv or jsonl, or install it: pip install pyarrow",
        )


def write_points(
    path: Path, form: Format, columns: Mapping[str, FloatArray], there: Mapping[str, Mask], whole: Sequence[str] = ()
) -> None:
    """Write numeric columns of equal length; what is not `there` is null, which a logged NaN is not.

    `whole` names the columns that hold whole numbers.
    """
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {name: pa.int64() if name in whole else pa.float64() for name in columns}
        arrays = {
            name: pa.array(values.astype("int64") if name in whole else values, type=kinds[name], mask=~there[name])
            for name, values in columns.items()
        }
        with temporary(path) as place:
            pq.write_table(pa.table(arrays), place, compression="zstd")
        return
    listed = {name: _listed(values, there[name], whole=name in whole) for name, values in columns.items()}
    rows = (dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True))
    _write_rows(path, form, list(listed), rows)


def _listed(values: FloatArray, there: Mask, *, whole: bool) -> list[Any]:
    found = zip(values.tolist(), there.tolist(), strict=True)
    return [(int(value) if whole else value) if known else None for value, known in found]


def write_rows(
    path: Path, form: Format, rows: Sequence[Mapping[str, Any]], first: Sequence[str] = ()
) -> dict[str, str]:
    """Write rows of any values, lists and dicts as JSON text; return each column's kind, as `kind_of` names it.

    The columns are `first`, then the others by name.
    """
    names = [*first, *sorted({name for row in rows for name in row} - set(first))]
    kinds = {name: kind_of([row.get(name) for row in rows]) for name in names}
    cells = ({name: _cell(row.get(name), kinds[name]) for name in names} for row in rows)
    if form != "parquet":
        _write_rows(path, form, names, cells)
        return kinds
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(), "text": pa.string(), "json": pa.string()}
    listed = list(cells)
    table = pa.table({name: pa.array([row[name] for row in listed], type=types[kinds[name]]) for name in names})
    with temporary(path) as place:
        pq.write_table(table, place, compression="zstd")
    return kinds


def read_rows(path: Path, form: Format, kinds: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the rows that `write_rows` wrote with columns of these kinds; what is null is left out.

    An empty text in a CSV reads as null.
    """
    if not path.is_file():
        return []
    rows: list[dict[str, Any]]
    if form == "parquet":
        import pyarrow.parquet as pq

        rows = pq.read_table(path).to_pylist()
    elif form == "jsonl":
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    else:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [{name: value for name, value in row.items() if value} for row in csv.DictReader(file)]
    return [
        {name: _value(value, kinds.get(name, "text")) for name, value in row.items() if value is not None}
        for row in rows
    ]


def _value(cell: Any, kind: str) -> Any:
    if not isinstance(cell, str) or kind == "text":
        return cell
    if kind == "bool":
        return cell == "true"
    return json.loads(cell) if kind == "json" else {"int": int, "float": float}[kind](cell)


def kind_of(values: Sequence[Any]) -> str:
    """Return "bool", "int", "float", "text" or "json": the type that holds all the values."""
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return "bool"
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return "int"
    if kinds and kinds <= {int, float}:
        return "float"
    return "text" if kinds <= {str} else "json"


def _cell(value: Any, kind: str) -> Any:
    if value is None or kind in ("bool", "int"):
        return value
    if kind == "float":
        return float(value)
    return value if kind == "text" else json.dumps(jsontext.jsonable(value), ensure_ascii=False, sort_keys=True)


def _write_rows(path: Path, form: Format, names: Sequence[str], rows: Iterator[Mapping[str, Any]]) -> None:
    with temporary(path) as place, place.open("w", encoding="utf-8", newline="") as file:
        if form == "jsonl":
            for row in rows:
                file.write(jsontext.line({name: value for name, value in row.items() if value is not None}) + "\n")
            return
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_in_csv(row[name]) for name in names] for row in rows)


def _in_csv(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(jsontext.jsonable(value))
    return str(value)
