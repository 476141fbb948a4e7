"""Write the schemas of the list commands and of errors from their types: `.venv/bin/python docs/make_schemas.py`.

The types are in scripts/wandb_toolkit/listing/shapes.py; the comment behind a field becomes its description. The other
schemas (plots, images, report) are written by hand. docs/json.md says when a schema's version changes.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent / "scripts" / "wandb_toolkit" / "listing" / "shapes.py"
VERSION = 1
# Document → the type of its elements, or the types.
SHAPES: dict[str, str | tuple[str, ...]] = {
    "list_projects": "ProjectJson",
    "list_runs": ("RunJson", "GroupJson"),
    "list_metrics": "MetricJson",
    "get_history": "PointsJson",
    "error": "ErrorJson",
}
PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schemas() -> dict[str, dict[str, Any]]:
    """Return the schemas by document."""
    from wandb_toolkit.commands import COMMANDS

    how = {command.name: command.document for command in COMMANDS}
    made = {name: _document(name, shape, how.get(name, "object")) for name, shape in SHAPES.items()}
    return {**made, "wandb_report": _report()}


def _report() -> dict[str, Any]:
    """Return the report's schema, which is written by hand, with the ids of the registry of diagnoses."""
    from wandb_toolkit.detectors import DETECTORS

    schema: dict[str, Any] = json.loads((HERE / "schemas" / "wandb_report.schema.json").read_text(encoding="utf-8"))
    schema["$defs"]["diagnosis"] = {"description": "what a check is called", "enum": sorted(DETECTORS)}
    return schema


def text(schema: Mapping[str, Any]) -> str:
    """Return a schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _document(name: str, type_names: str | tuple[str, ...], how: str) -> dict[str, Any]:
    names = (type_names,) if isinstance(type_names, str) else type_names
    shapes = [getattr(importlib.import_module("wandb_toolkit.listing.shapes"), type_name) for type_name in names]
    description = _description(shapes[0])
    elements = [_object(*pair) for pair in zip(shapes, map(_comments, names), strict=True)]
    element = elements[0]
    if len(elements) > 1:
        element = {"anyOf": [{"description": _description(s), **e} for s, e in zip(shapes, elements, strict=True)]}
    content: dict[str, Any] = element
    if how == "list":
        content = {"type": "array", "items": element}
    elif how == "by name":
        content = {"type": "object", "additionalProperties": element}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:wandb-toolkit:{name}:{VERSION}",
        "title": f"{name} --json" if name != "error" else "error",
        "description": description[:1].upper() + description[1:],
        **content,
    }


def _description(shape: type) -> str:
    """Return what a shape's docstring says it is."""
    return (shape.__doc__ or "").partition("\n")[0].rpartition(": ")[2]


def _object(shape: type, comments: Mapping[str, str]) -> dict[str, Any]:
    hints = typing.get_type_hints(shape)
    marked = typing.get_type_hints(shape, include_extras=True)
    required = [field for field in hints if typing.get_origin(marked[field]) is not typing.NotRequired]
    properties = {}
    for field, hint in hints.items():
        properties[field] = _type(hint)
        if field in comments:
            properties[field]["description"] = comments[field]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": required,
        "properties": properties,
    }


def _type(hint: Any) -> dict[str, Any]:
    """Return the schema of a type; a union of plain types is one list, with the literals beside it."""
    options = typing.get_args(hint) if _is_union(hint) else (hint,)
    plain = [PLAIN[one] for one in options if one in PLAIN]
    literals = [value for one in options if typing.get_origin(one) is typing.Literal for value in typing.get_args(one)]
    rest = [one for one in options if one not in PLAIN and typing.get_origin(one) is not typing.Literal]
    if rest:
        (only,) = rest
        made = _compound(only)
        return {**made, "type": [made["type"], *plain]} if plain else made
    if literals and plain == ["null"]:
        return {"enum": [*literals, None]}
    if literals and plain:
        return {"anyOf": [{"type": plain}, {"enum": literals}]}
    return {"enum": literals} if literals else {"type": plain[0] if len(plain) == 1 else plain}


def _compound(hint: Any) -> dict[str, Any]:
    if hint is datetime:
        return {"type": "string", "format": "date-time"}
    if typing.get_origin(hint) is list:
        return {"type": "array", "items": _type(typing.get_args(hint)[0])}
    if typing.get_origin(hint) is Mapping:
        return {"type": "object"}
    raise TypeError(f"no schema for {hint}")


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _comments(type_name: str) -> dict[str, str]:
    """Return the comments behind the fields of a class."""
    source = SOURCE.read_text(encoding="utf-8")
    lines = source.splitlines()
    found = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name == type_name:
            for item in node.body:
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    behind = re.match(
                        r"\s*#\s*(.+)", lines[(item.end_lineno or item.lineno) - 1][item.end_col_offset :]
                    )
                    if behind:
                        found[item.target.id] = behind[1]
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent / "scripts"))
    for name, schema in schemas().items():
        (HERE / "schemas" / f"{name}.schema.json").write_text(text(schema), encoding="utf-8")
