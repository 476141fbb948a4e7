"""Runs and points as pandas DataFrames: pandas' one home, imported when a frame is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wandb_toolkit.model import Project, Run
from wandb_toolkit.points.rows import Rows, long_form
from wandb_toolkit.sources.wandb_log.records import leaves

if TYPE_CHECKING:
    import pandas as pd

    from wandb_toolkit.downloads.tables import Table

_RUN_COLUMNS = (
    "name", "state", "created_at", "last_activity", "entity", "project", "group", "job_type", "sweep", "tags", "notes",
    "duration", "steps", "exit_code", "url",
)  # fmt: skip


def projects_frame(projects: Sequence[Project]) -> pd.DataFrame:
    """Return a row for each project: name, entity, run_count, created_at, last_activity, description, url."""
    names = ("name", "entity", "run_count", "created_at", "last_activity", "description", "url")
    return _frame({name: [getattr(one, name) for one in projects] for name in names}, len(projects))


def runs_frame(runs: Sequence[Run]) -> pd.DataFrame:
    """Return a row for each run, by id: its facts, then `config.KEY` and `summary.KEY`, nested keys joined."""
    columns: dict[str, list[Any]] = {
        name: [list(run.tags) if name == "tags" else getattr(run, name) for run in runs] for name in _RUN_COLUMNS
    }
    for tree in ("config", "summary"):
        flat = [dict(leaves(dict(getattr(run, tree)))) for run in runs]
        for key in dict.fromkeys(key for one in flat for key in one):
            columns[f"{tree}.{key}"] = [one.get(key) for one in flat]
    frame = _frame(columns, len(runs))
    frame.index = _index([run.id for run in runs])
    return frame


def points_frame(found: Sequence[Rows], *, long: bool) -> pd.DataFrame:
    """Return the rows of all runs under one another: run, name, the axis, `_step`, `runtime`, `timestamp`, the metrics.

    Wide, a metric that a row lacks is NaN, as a logged NaN is; long (`metric`, `value`), only what was logged is there.
    """
    import numpy as np
    import pandas as pd

    parts = []
    for rows in found:
        head: dict[str, Any] = {"run": rows.run.id, "name": rows.run.name}
        if rows.axis != "_step":
            head[rows.axis] = rows.x
        if not rows.by_time:
            head["_step"] = rows.step.astype(np.int64)
        head |= {"runtime": rows.runtime, "timestamp": pd.to_datetime(rows.timestamp, unit="s", utc=True)}
        if long:
            points = list(long_form(rows))
            frame = pd.DataFrame(head, index=range(len(rows))).iloc[[at for at, _, _ in points]]
            frame = frame.assign(metric=[name for _, name, _ in points], value=[value for _, _, value in points])
        else:
            values = {name: value for name, value in rows.values.items() if name != rows.axis}
            frame = pd.DataFrame({**head, **values}, index=range(len(rows)))
        parts.append(frame)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def table_frame(tables: Sequence[Table], *, steps: bool) -> pd.DataFrame:
    """Return the rows of W&B tables under one another, `_step` first where `steps`; media cells are their paths."""
    import pandas as pd

    parts = []
    for table in tables:
        part = pd.DataFrame(table.rows, columns=list(table.columns))
        if steps:
            part.insert(0, "_step", table.step, allow_duplicates=True)
        parts.append(part)
    return pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]


def _index(values: Sequence[str]) -> Any:
    import pandas as pd

    return pd.Index(values, name="id")


def _frame(columns: Mapping[str, Sequence[Any]], rows: int) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: _series(values) for name, values in columns.items()}, index=range(rows))


def _series(values: Sequence[Any]) -> Any:
    """Return the values with the type that they have: whole numbers stay whole, lists and dicts stay what they are."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean" if None in values else "bool")
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pd.Series(values, dtype="Int64" if None in values else "int64")
    if kinds and kinds <= {int, float}:
        return pd.Series([float("nan") if value is None else float(value) for value in values], dtype="float64")
    if kinds and all(kind.__name__ == "datetime" for kind in kinds):
        return pd.to_datetime(pd.Series(values), utc=True)
    return pd.Series(list(values), dtype="object")
