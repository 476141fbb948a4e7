"""Projects, runs and metrics → the shapes of `--json`, and the tables of the list commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from wandb_toolkit.listing.choose import Best
from wandb_toolkit.listing.shapes import MetricJson, ProjectJson, RunJson
from wandb_toolkit.listing.table import TableColumn, TableFormat, fitting, formatted, texts_of
from wandb_toolkit.model import MetricInfo, Project, Run
from wandb_toolkit.text import duration, fitting_names, moment, number, plural

_MEDIA_FACTS = ("_type", "path", "caption", "count", "nrows", "ncols", "size")
_LEADING = 3  # metrics of a runs table that go after its group and tags
_TITLE = 36  # characters of a metric above its column in a terminal
_BEST_TITLES = {False: ("best @ step",), True: ("best", "best_step")}
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


def run_json(run: Run, summary: Mapping[str, Any], statistics: Mapping[str, float] | None = None) -> RunJson:
    """Return one element of list_runs' JSON; `summary` is the part of its flat summary to show."""
    shape: RunJson = {
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
    if statistics is not None:
        shape["stat_metrics"] = statistics
    return shape


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


def projects_table(projects: Sequence[Project], width: int | None, kind: TableFormat = "table") -> str:
    """Return the table of list_projects."""
    columns = [
        TableColumn("project", fixed=True),
        TableColumn("entity"),
        TableColumn("runs", "right", fixed=True),
        TableColumn("last activity", fixed=True, text=moment),
        TableColumn("created", fixed=True, rank=1, text=moment),
        TableColumn("description", rank=1),
    ]
    rows: list[list[Any]] = [
        [
            project.name,
            project.entity or "(local)",
            project.run_count,
            project.last_activity,
            project.created_at,
            project.description or "",
        ]
        for project in projects
    ]
    used = [at for at in range(len(columns)) if at < 4 or any(row[at] for row in rows)]
    links = [project.url for project in projects]
    return formatted(kind, [columns[at] for at in used], [[row[at] for at in used] for row in rows], width, links)


def runs_table(
    runs: Sequence[Run],
    summaries: Sequence[Mapping[str, Any]],
    metrics: Sequence[str],
    width: int | None,
    kind: TableFormat = "table",
    curves: Sequence[str] = (),
    *,
    asked: bool = False,
) -> tuple[str, int, list[str]]:
    """Return the table of list_runs with a column for each of `metrics` that fits; one always stays.

    And how many did, and the titles of the other columns that did not: unless the metrics were `asked` for, the line
    below the table is left to the caller.

    Args:
        runs: one a row.
        summaries: each run's values by metric.
        metrics: which of them to show.
        width: of the terminal, None in a pipe.
        kind: CSV, Markdown and LaTeX have all columns.
        curves: each run's sparkline, under the name of its metric, which comes first; () for none.
        asked: the user named the metrics.
    """
    several = len({(run.entity, run.project) for run in runs}) > 1
    columns = [TableColumn("name"), TableColumn("id", fixed=True), TableColumn("state", fixed=True)]
    cells: list[list[Any]] = [[run.name, run.id, run.state] for run in runs]
    for title, values in (
        ("project", [run.project or "" for run in runs] if several else []),
        ("group", [run.group or "" for run in runs]),
        ("tags", [" ".join(run.tags) for run in runs]),
    ):
        if len(set(values)) > 1:
            columns.append(TableColumn(title, rank=_RANKS[title]))
            _append(cells, values)
    if curves:
        columns.append(TableColumn(curves[0], fixed=True, rank=1))
        _append(cells, curves[1:])
    columns += [
        TableColumn("created (UTC)", fixed=True, rank=_RANKS["created (UTC)"], text=moment),
        TableColumn("duration", "right", fixed=True, rank=_RANKS["duration"], text=duration),
        TableColumn("steps", "right", fixed=True, rank=_RANKS["steps"]),
    ]
    for row, run in zip(cells, runs, strict=True):
        row += [run.created_at, run.duration, run.steps]
    titles = fitting_names(metrics, _TITLE) if width else metrics
    for at, metric in enumerate(metrics):
        rank = 0 if at == 0 else 2 if at < _LEADING else 4
        columns.append(TableColumn(titles[at], "right", fixed=True, rank=rank, text=number))
        _append(cells, [summary.get(metric) for summary in summaries])
    kept = fitting(columns, texts_of(columns, cells), width) if width and kind == "table" else range(len(columns))
    others = len(columns) - len(metrics)
    lacking = [column.title for at, column in enumerate(columns[:others]) if at not in kept]
    columns = [replace(column, missed=asked) for column in columns]
    text = formatted(kind, columns, cells, width, [run.url for run in runs])
    return text, sum(at >= others for at in kept), lacking


def _append(cells: list[list[Any]], values: Iterable[Any]) -> None:
    for row, value in zip(cells, values, strict=True):
        row.append(value)


def metrics_table(
    infos: Sequence[MetricInfo], bests: Mapping[str, Best | None], width: int | None, kind: TableFormat = "table"
) -> str:
    """Return the table of list_metrics; CSV has where a metric was best in columns of their own."""
    numeric = any(info.min is not None or info.last is not None for info in infos)
    apart = kind == "csv"
    columns = [
        TableColumn("metric", fixed=True),
        TableColumn("type", fixed=True, rank=2),
        TableColumn("points", "right", fixed=True, rank=1),
    ]
    nonfinite = numeric and any(info.nonfinite_count for info in infos)
    if numeric:
        ranks = {"first": 4, "last": 0, "min": 1, "max": 1}
        columns += [TableColumn(title, "right", fixed=True, rank=rank) for title, rank in ranks.items()]
        columns += [TableColumn("NaN/Inf", "right", fixed=True)] if nonfinite else []
        columns += [TableColumn(title, "right", fixed=True, rank=3) for title in _BEST_TITLES[apart]]
        columns += [TableColumn(title, "right", fixed=True, rank=5) for title in ("mean", "std")]
    rows: list[list[Any]] = []
    for info in infos:
        row: list[Any] = [info.name, info.kind, info.non_null_count]
        if numeric:
            row += [info.first, info.last, info.min, info.max]
            row += [info.nonfinite_count or None] if nonfinite else []
            value, step = (bests.get(info.name) or (None, None, "max"))[:2]
            row += [value, step] if apart else [f"{number(value)} @ {step}" if step is not None else ""]
            row += [info.mean, info.std]
        rows.append(row)
    return formatted(kind, columns, rows, width)


def left_out(shown: int, total: int, noun: str, flag: str) -> str:
    """Return the line that says what a capped table left out, "" when nothing."""
    return f"{shown} of {plural(total, noun)} shown; {flag}" if shown < total else ""
