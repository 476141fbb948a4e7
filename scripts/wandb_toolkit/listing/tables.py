"""Projects, runs and metrics → the shapes of `--json`, and the tables of the list commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from wandb_toolkit.listing.choose import Best
from wandb_toolkit.listing.shapes import MetricJson, ProjectJson, RunJson
from wandb_toolkit.listing.table import TableColumn, fitting, table
from wandb_toolkit.model import MetricInfo, Project, Run
from wandb_toolkit.text import duration, moment, number, plural

_MEDIA_FACTS = ("_type", "path", "caption", "count", "nrows", "ncols", "size")
_LEADING = 3  # metrics of a runs table that go after its group and tags
_RANKS = {"project": 1, "created (UTC)": 1, "steps": 1, "group": 3, "duration": 3, "tags": 5}


def project_json(project: Project) -> ProjectJson:
    """Return one element of list_projects' JSON."""
    return {
        "name": project.name,
        "entity": project.entity,
        "description": project.description,
        "created_at": project.created_at,
        "url": project.url,
        "run_count": project.run_count,
        "last_activity": project.last_activity,
    }


def run_json(run: Run, summary: Mapping[str, Any]) -> RunJson:
    """Return one element of list_runs' JSON; `summary` is the part of its flat summary to show."""
    return {
        "id": run.id,
        "name": run.name,
        "state": run.state,
        "created_at": run.created_at,
        "last_activity": run.last_activity,
        "entity": run.entity,
        "project": run.project,
        "tags": list(run.tags),
        "group": run.group,
        "job_type": run.job_type,
        "sweep": run.sweep,
        "duration": run.duration,
        "steps": run.steps,
        "exit_code": run.exit_code,
        "forked_from": {"run": run.forked_from[0], "step": run.forked_from[1]} if run.forked_from else None,
        "url": run.url,
        "paths": list(run.paths),
        "summary_metrics": {key: _brief(value) for key, value in summary.items()},
        "warnings": list(run.warnings),
    }


def _brief(value: Any) -> Any:
    """Return a summary value; of media, what identifies it (no histogram's bins)."""
    if isinstance(value, Mapping) and "_type" in value:
        return {fact: value[fact] for fact in _MEDIA_FACTS if fact in value}
    return value


def metric_json(info: MetricInfo, best: Best | None) -> MetricJson:
    """Return one value of list_metrics' JSON; `best` is (value, step, direction) where the better way is known."""
    return {
        "type": info.kind,
        "count": info.count,
        "non_null_count": info.non_null_count,
        "nonfinite_count": info.nonfinite_count,
        "min": info.min,
        "max": info.max,
        "mean": info.mean,
        "std": info.std,
        "first": info.first,
        "last": info.last,
        "min_step": info.min_step,
        "max_step": info.max_step,
        "best": best[0] if best else None,
        "best_step": best[1] if best else None,
        "direction": best[2] if best else None,
        "system": info.system,
        "exact": info.exact,
    }


def projects_table(projects: Sequence[Project], width: int | None) -> str:
    """Return the table of list_projects."""
    columns = [
        TableColumn("project", fixed=True),
        TableColumn("entity"),
        TableColumn("runs", "right", fixed=True),
        TableColumn("last activity", fixed=True),
        TableColumn("created", fixed=True, rank=1),
        TableColumn("description", rank=1),
    ]
    rows = [
        [
            project.name,
            project.entity or "(local)",
            number(project.run_count),
            moment(project.last_activity),
            moment(project.created_at),
            project.description or "",
        ]
        for project in projects
    ]
    used = [at for at in range(len(columns)) if at < 4 or any(row[at] for row in rows)]
    links = [project.url for project in projects]
    return table([columns[at] for at in used], [[row[at] for at in used] for row in rows], width, links)


def runs_table(
    runs: Sequence[Run], summaries: Sequence[Mapping[str, Any]], metrics: Sequence[str], width: int | None
) -> tuple[str, int]:
    """Return the table of list_runs with a column for each of `metrics` that fits, and how many did."""
    several = len({(run.entity, run.project) for run in runs}) > 1
    columns = [TableColumn("name"), TableColumn("id", fixed=True), TableColumn("state", fixed=True)]
    cells = [[run.name, run.id, run.state] for run in runs]
    for title, values in (
        ("project", [run.project or "" for run in runs] if several else []),
        ("group", [run.group or "" for run in runs]),
        ("tags", [" ".join(run.tags) for run in runs]),
    ):
        if len(set(values)) > 1:
            columns.append(TableColumn(title, rank=_RANKS[title]))
            _append(cells, values)
    for title, values in (
        ("created (UTC)", [moment(run.created_at) for run in runs]),
        ("duration", [duration(run.duration) for run in runs]),
        ("steps", [number(run.steps) for run in runs]),
    ):
        align: Literal["left", "right"] = "left" if title.startswith("created") else "right"
        columns.append(TableColumn(title, align, fixed=True, rank=_RANKS.get(title, 0)))
        _append(cells, values)
    for at, metric in enumerate(metrics):
        columns.append(TableColumn(metric, "right", fixed=True, rank=2 if at < _LEADING else 4))
        _append(cells, [number(summary.get(metric)) for summary in summaries])
    fitted = len(fitting(columns, cells, width)) if width else len(columns)
    return table(columns, cells, width, [run.url for run in runs]), max(fitted - (len(columns) - len(metrics)), 0)


def _append(cells: list[list[str]], values: Iterable[str]) -> None:
    for row, value in zip(cells, values, strict=True):
        row.append(value)


def metrics_table(infos: Sequence[MetricInfo], bests: Mapping[str, Best | None], width: int | None) -> str:
    """Return the table of list_metrics."""
    numeric = any(info.min is not None or info.last is not None for info in infos)
    columns = [
        TableColumn("metric", fixed=True),
        TableColumn("type", fixed=True, rank=2),
        TableColumn("points", "right", fixed=True, rank=1),
    ]
    if numeric:
        ranks = {"first": 4, "last": 0, "min": 1, "max": 1, "best @ step": 3, "mean": 5, "std": 5}
        columns += [TableColumn(title, "right", fixed=True, rank=rank) for title, rank in ranks.items()]
        if any(info.nonfinite_count for info in infos):
            columns.insert(7, TableColumn("NaN/Inf", "right", fixed=True))
    rows = []
    for info in infos:
        best = bests.get(info.name)
        row = [info.name, info.kind, number(info.non_null_count)]
        if numeric:
            row += [number(getattr(info, name)) for name in ("first", "last", "min", "max")]
            if columns[7].title == "NaN/Inf":
                row.append(number(info.nonfinite_count or None))
            row.append(f"{number(best[0])} @ {best[1]}" if best and best[1] is not None else "")
            row += [number(info.mean), number(info.std)]
        rows.append(row)
    return table(columns, rows, width)


def left_out(shown: int, total: int, noun: str, flag: str) -> str:
    """Return the line that says what a capped table left out, "" when nothing."""
    return f"{shown} of {plural(total, noun)} shown; {flag}" if shown < total else ""
