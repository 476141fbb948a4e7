"""Runs → files of a dataset: read one after the other, each written whole before the manifest names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from wandb_toolkit.details.secrets import mask_text, masked
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.export.dataset import Dataset
from wandb_toolkit.export.tables import read_rows, write_points, write_rows
from wandb_toolkit.model import History, Run, Series
from wandb_toolkit.output import run_key, temporary, utc
from wandb_toolkit.points.read import TIMES, keys_of
from wandb_toolkit.points.rows import STEP, joined
from wandb_toolkit.sources.base import Histories
from wandb_toolkit.sources.wandb_log.records import leaves

CONSOLE_LINES = 10_000


@dataclass(frozen=True)
class Choice:
    """What of each run is exported."""

    metrics: tuple[str, ...] | None = None  # names and globs; None: every number
    system: bool = True
    console: bool = True

    def as_dict(self) -> dict[str, Any]:
        """Return it for the manifest."""
        return {"metrics": list(self.metrics) if self.metrics else None, "system": self.system, "console": self.console}


@dataclass
class Exported:
    """What became of each run."""

    written: list[dict[str, Any]] = field(default_factory=list)
    unchanged: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def export(
    source: Histories,
    runs: Sequence[Run],
    dataset: Dataset,
    choice: Choice,
    done: Exported,
    shown: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> None:
    """Write what of the runs is not there yet, and note in `done` what became of each.

    What the manifest lists is whole, also when this is interrupted or the disk is full: the next export goes on there.

    Raises:
        ToolkitError: a file cannot be written.
    """
    unchanged = [run for run in runs if dataset.is_done(run)]
    known = {id(run) for run in unchanged}
    new = _of_own_place([run for run in runs if id(run) not in known], dataset, done)
    done.unchanged += [{"id": run.id, "name": run.name} for run in unchanged]
    good = list(unchanged)
    histories = source.histories(new, partial(keys_of, choice.metrics, ()), system=choice.system)
    consoles = source.consoles(new if choice.console else [], CONSOLE_LINES)
    try:
        for run, history in shown(histories):
            console = next(consoles, [])
            if isinstance(history, ToolkitError):
                done.failed.append(_failed(run, history.message))
                continue
            if isinstance(console, ToolkitError):
                done.warnings.append(f"{run.label}: its console could not be read: {console.message}")
                console = []
            files, points = _write_run(run, history, console, dataset)
            dataset.note(run, files, points)
            good.append(run)
            done.written.append({"id": run.id, "name": run.name, "points": points})
            done.warnings += [f"{run.label}: {text}" for text in (*run.warnings, *history.warnings)]
        columns = _write_table(source, good, dataset)
        dataset.send_table()
        dataset.save_schema(columns)
    finally:
        dataset.save()


def _of_own_place(runs: Sequence[Run], dataset: Dataset, done: Exported) -> list[Run]:
    """Return the runs whose files no other run has; two of one project and id, of different entities, share theirs."""
    owners = {known["files"][0]["path"]: key for key, known in dataset.runs.items() if known.get("files")}
    own = []
    for run in runs:
        path = dataset.part_of("history", run).relative_to(dataset.folder).as_posix()
        if owners.setdefault(path, run_key(run)) == run_key(run):
            own.append(run)
        else:
            done.failed.append(_failed(run, f"{owners[path]} has the same project and id; export it elsewhere."))
    return own


def _failed(run: Run, message: str) -> dict[str, Any]:
    return {"id": run.id, "name": run.name, "message": message}


def _write_run(run: Run, history: History, console: Sequence[str], dataset: Dataset) -> tuple[list[Path], int]:
    metrics = [name for name in history if name not in (*TIMES, STEP) and history[name].axis == STEP]
    system = [name for name in history if history[name].axis != STEP]
    files = [dataset.part_of("history", run)]
    points = _write_history(files[0], run, history, metrics, dataset)
    if system:
        files.append(dataset.part_of("system", run))
        _write_system(files[-1], {name: history[name] for name in system}, run, dataset)
    if console:
        files.append(dataset.part_of("console", run))
        with temporary(files[-1]) as place:
            place.write_text("\n".join(mask_text(line) for line in console) + "\n", encoding="utf-8")
    return files, points


def _write_history(path: Path, run: Run, history: History, metrics: Sequence[str], dataset: Dataset) -> int:
    import numpy as np

    rows = joined(run, history, metrics)
    everywhere = np.ones(len(rows), dtype=bool)
    columns = {STEP: rows.step, "_runtime": rows.runtime, "_timestamp": rows.timestamp, **rows.values}
    there = {
        STEP: everywhere,
        "_runtime": np.isfinite(rows.runtime),
        "_timestamp": np.isfinite(rows.timestamp),
        **rows.there,
    }
    write_points(path, dataset.form, columns, there, whole=(STEP,))
    return int(sum(int(mask.sum()) for mask in rows.there.values()))


def _write_system(path: Path, found: Mapping[str, Series], run: Run, dataset: Dataset) -> None:
    import numpy as np

    rows = joined(run, History(found), list(found))
    columns = {"_runtime": rows.step, **rows.values}
    write_points(path, dataset.form, columns, {"_runtime": np.ones(len(rows), dtype=bool), **rows.there})


def _write_table(source: Histories, runs: Sequence[Run], dataset: Dataset) -> dict[str, str]:
    """Write the table of runs: those of this export, and those that were there already and were not asked for."""
    mine = {(run.entity, run.project, run.id) for run in runs}
    old = [
        row
        for row in read_rows(dataset.table, dataset.form, dataset.columns)
        if (row.get("entity"), row.get("project"), row.get("id")) not in mine
    ]
    rows = [*(_row(run) for run in source.loaded(runs)), *old]
    rows.sort(key=lambda row: (row.get("created_at") or "", row["id"]), reverse=True)
    return write_rows(dataset.table, dataset.form, rows, first=tuple(_FACTS))


# Column of the table of runs → its value.
_FACTS: Mapping[str, Callable[[Run], Any]] = {
    "id": lambda run: run.id,
    "name": lambda run: run.name,
    "entity": lambda run: run.entity,
    "project": lambda run: run.project,
    "state": lambda run: run.state,
    "created_at": lambda run: utc(run.created_at),
    "last_activity": lambda run: utc(run.last_activity),
    "group": lambda run: run.group,
    "job_type": lambda run: run.job_type,
    "sweep": lambda run: run.sweep,
    "tags": lambda run: list(run.tags),
    "notes": lambda run: run.notes,
    "duration": lambda run: run.duration,
    "steps": lambda run: run.steps,
    "exit_code": lambda run: run.exit_code,
    "url": lambda run: run.url,
}


def _row(run: Run) -> dict[str, Any]:
    trees = (("config", masked(dict(run.config))), ("summary", dict(run.summary)))
    facts = {name: value(run) for name, value in _FACTS.items()}
    return facts | {f"{name}.{key}": value for name, tree in trees for key, value in leaves(tree)}
