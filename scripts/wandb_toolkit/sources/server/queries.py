"""The GraphQL documents of the API source, and how its answers spell things.

Field names are those of W&B's own clients. Only what is shown is asked for: summaries and configs of a run may hold
tens of thousands of keys, so a listing leaves them out and asks for them key by key (`summaryMetrics(keys:)`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from wandb_toolkit import jsontext

# What a listing shows. `light` is the part of the summary that tells steps and duration.
RUN_FIELDS: Mapping[str, str] = {
    **{name: name for name in ("name", "displayName", "state", "tags", "group", "jobType", "sweepName", "createdAt")},
    **{name: name for name in ("heartbeatAt", "notes", "historyLineCount")},
    "light": "",  # LIGHT, or what an older server has instead
}
LIGHT = 'light: summaryMetrics(keys: ["_step", "_runtime", "_wandb"])'
PROJECT_FIELDS: Mapping[str, str] = {
    **{name: name for name in ("name", "entityName", "createdAt", "description", "runCount")},
    "runs": 'runs(first: 1, order: "-heartbeat_at") { edges { node { heartbeatAt } } }',
}


def fields_text(fields: Mapping[str, str], missing: set[str]) -> str:
    """Return a selection of fields without those that a server's schema lacks (as field, alias or argument)."""
    return " ".join(text for name, text in fields.items() if not missing.intersection([name, *_WORD.findall(text)]))


_WORD = re.compile(r"[A-Za-z]\w*")


def without_cursor(query: str) -> str:
    """Return a query without its pages, for servers that know no `after`: what comes first is all that comes."""
    return query.replace(", after: $cursor", "").replace("after: $cursor, ", "").replace(", $cursor: String", "")


def projects_document(missing: set[str]) -> str:
    """Return the query for a page of an entity's projects; where a server knows no `models`, those of the entity."""
    if "models" in missing:
        return f"""
query Projects($entity: String, $first: Int) {{
  entity(name: $entity) {{
    projects(first: $first) {{ edges {{ node {{ {fields_text(PROJECT_FIELDS, missing)} }} }} }}
  }}
}}"""
    return f"""
query Projects($entity: String, $cursor: String, $first: Int) {{
  models(entityName: $entity, after: $cursor, first: $first) {{
    edges {{ node {{ {fields_text(PROJECT_FIELDS, missing)} }} }}
    pageInfo {{ endCursor hasNextPage }}
  }}
}}"""


ENTITY = "query Entity($name: String!) { entity(name: $name) { name } }"
VIEWER = "query Viewer { viewer { entity } }"
TEAMS = "query Teams { viewer { entity username teams { edges { node { name } } } } }"


def runs_document(fields: str, *, newest: bool, count: str) -> str:
    """Return the query for a page of runs.

    Args:
        fields: of each run.
        newest: add the whole summaries of the first two, for the names in them.
        count: the field that counts all that match, "" for none.
    """
    first = (
        "newest: runs(filters: $filters, order: $order, first: 2) { edges { node { summaryMetrics } } }"
        if newest
        else ""
    )
    return f"""
query Runs($entity: String!, $project: String!, $filters: JSONString, $order: String, $first: Int, $cursor: String) {{
  project(name: $project, entityName: $entity) {{
    {count}
    runs(filters: $filters, order: $order, first: $first, after: $cursor) {{
      edges {{ node {{ {fields} }} }}
      pageInfo {{ endCursor hasNextPage }}
    }}
    {first}
  }}
}}"""


def field_document(field: str, arguments: str, variables: Mapping[str, Any]) -> str:
    """Return the query for one JSON field of the runs that a filter means, as `asked`."""
    declared = "".join(f", ${name}: [String!]" for name in variables)
    asked = f"{field}({arguments})" if arguments else field
    return f"""
query RunFields($entity: String!, $project: String!, $filters: JSONString, $first: Int, $cursor: String{declared}) {{
  project(name: $project, entityName: $entity) {{
    runs(filters: $filters, first: $first, after: $cursor) {{
      edges {{ node {{ name asked: {asked} }} }}
      pageInfo {{ endCursor hasNextPage }}
    }}
  }}
}}"""


def each_run_document(fields: Sequence[str], spec_lists: Sequence[str]) -> str:
    """Return a query that asks some fields of several runs in one request, as r0, r1, ... named by $n0, $n1, ...

    Args:
        fields: what is asked of each run.
        spec_lists: the variables among them that are lists of `sampledHistory` specs.
    """
    declared = "".join(f", $n{at}: String!" for at in range(len(fields)))
    declared += "".join(f", ${name}: [JSONString!]!" for name in spec_lists)
    parts = "\n    ".join(f"r{at}: run(name: $n{at}) {{ {asked} }}" for at, asked in enumerate(fields))
    return f"""
query EachRun($entity: String!, $project: String!{declared}) {{
  project(name: $project, entityName: $entity) {{
    {parts}
  }}
}}"""


FILE_FIELDS: Mapping[str, str] = {name: name for name in ("name", "directUrl", "url", "sizeBytes", "md5")}


def files_document(missing: set[str]) -> str:
    """Return the query for a page of a run's files; `pattern` is an SQL LIKE, if the server knows patterns."""
    declared, given = ("", "") if "pattern" in missing else (", $pattern: String", "pattern: $pattern, ")
    further = "" if "pageInfo" in missing else "pageInfo { endCursor hasNextPage }"
    return f"""
query Files($entity: String!, $project: String!, $run: String!{declared}, $first: Int, $cursor: String) {{
  project(name: $project, entityName: $entity) {{
    run(name: $run) {{
      files({given}first: $first, after: $cursor) {{
        edges {{ node {{ {fields_text(FILE_FIELDS, missing)} }} }}
        {further}
      }}
    }}
  }}
}}"""


PARQUET = """
query ParquetHistory($entity: String!, $project: String!, $run: String!, $liveKeys: [String!]!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { parquetHistory(liveKeys: $liveKeys) { parquetUrls liveData } }
  }
}"""

HISTORY_PAGE = """
query HistoryPage($entity: String!, $project: String!, $run: String!, $min: Int64!, $max: Int64!, $samples: Int!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) { history(minStep: $min, maxStep: $max, samples: $samples) }
  }
}"""


def decoded(value: Any) -> dict[str, Any]:
    """Return a JSONString field as a dict, {} where it is null or no object; NaN tokens become floats."""
    if isinstance(value, dict):
        return value
    if value is not None and not isinstance(value, str):
        return {}
    try:
        found = jsontext.parse(value or "{}", strict=False)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def unwrapped(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with each value's ``{"value": ...}`` undone; W&B's own keys stay in."""
    return {
        key: value["value"] if isinstance(value, dict) and "value" in value else value for key, value in config.items()
    }


def finite_words(value: Any) -> Any:
    """Return `value` with the strings that stand for non-finite numbers turned back into floats, all the way down."""
    if isinstance(value, str):
        return _NONFINITE.get(value, value)
    if isinstance(value, dict):
        return {key: finite_words(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite_words(inner) for inner in value]
    return value


_NONFINITE: Mapping[str, float] = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def chunks(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Return the items in pieces of at most `size`."""
    return [items[at : at + size] for at in range(0, len(items), size)]
