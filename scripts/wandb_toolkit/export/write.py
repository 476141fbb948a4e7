"""Runs → files of a dataset: read one after the other, each written whole before the manifest names it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.export.dataset import Dataset, failed
from wandb_toolkit.export.tables import read_rows, write_points, write_rows
from wandb_toolkit.model import History, MetricKind, Run, Series
from wandb_toolkit.output import temporary, utc
from wandb_toolkit.points.rows import STEP, joined
from wandb_toolkit.resolve import settle_names
from wandb_toolkit.sources.base import Source
from wandb_toolkit.sources.wandb_log.records import leaves

CONSOLE_LINES = 10_000
_TIMES = ("_runtime", "_timestamp")


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
    source: Source,
    runs: Sequence[Run],
    dataset: Dataset,
    choice: Choice,
    done: Exported,
    shown: Callable[[Iterable[Any]], Iterable[Any]] = iter,
) -> None:
    """Write what of the runs is not there yet, and note in `done` what became of each.

    Interrupted, or with a full disk, what is in the manifest is whole: the next export goes on behind it.

    Raises:
        ToolkitError: a file cannot be written.
    """
    new = [run for run in runs if not dataset.is_done(run)]
    going_on = {id(run) for run in new}
    done.unchanged += [{"id": run.id, "name": run.name} for run in runs if id(run) not in going_on]
    keys = partial(_keys, choice.metrics)
    found = source.histories(new, keys, system=choice.system)
    good = [run for run in runs if id(run) not in going_on]
    for run, history in shown(found):
        if isinstance(history, ToolkitError):
            done.failed.append(failed(run, history))
            continue
        files, points = _write_run(source, run, history, dataset, choice, done)
        dataset.note(run, files, points)
        dataset.save()
        good.append(run)
        done.written.append({"id": run.id, "name": run.name, "points": points})
        done.warnings += [f"{run.label}: {text}" for text in (*run.warnings, *history.warnings)]
    dataset.save_schema(_write_table(source, good, dataset))
    dataset.save()


def _keys(patterns: tuple[str, ...] | None, kinds: Mapping[str, MetricKind]) -> list[str]:
    names = [name for name, kind in kinds.items() if kind == "number" and name not in (*_TIMES, STEP)]
    if patterns is not None:
        settled = settle_names(patterns, names)
        names = [name for name in names if any(name == one or fnmatchcase(name, one) for one in settled)]
    return [*names, *_TIMES]


def _write_run(
    source: Source, run: Run, history: History, dataset: Dataset, choice: Choice, done: Exported
) -> tuple[list[Path], int]:
    metrics = [name for name in history if name not in _TIMES and history[name].axis == STEP]
    system = [name for name in history if history[name].axis != STEP]
    files = [dataset.part_of("history", run)]
    points = _write_history(files[0], run, history, metrics, dataset)
    if choice.system and system:
        files.append(dataset.part_of("system", run))
        _write_system(files[-1], {name: history[name] for name in system}, run, dataset)
    if choice.console:
        try:
            lines = source.console(run, CONSOLE_LINES)
        except ToolkitError as error:
            done.warnings.append(f"{run.label}: its console could not be read: {error.message}")
            lines = []
        if lines:
            files.append(dataset.part_of("console", run))
            with temporary(files[-1]) as place:
                place.write_text("\n".join(lines) + "\n", encoding="utf-8")
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


def _write_table(source: Source, runs: Sequence[Run], dataset: Dataset) -> dict[str, str]:
    """Write the table of runs: those of this export, and those that were there already and were not asked for."""
    mine = {(run.entity, run.project, run.id) for run in runs}
    old = [
        row
        for row in read_rows(dataset.table, dataset.form)
        if (row.get("entity"), row.get("project"), str(row.get("id"))) not in mine
    ]
    rows = [*(_row(run) for run in source.loaded(runs)), *old]
    return write_rows(dataset.table, dataset.form, rows)


def _row(run: Run) -> dict[str, Any]:
    facts = {
        "id": run.id, "name": run.name, "entity": run.entity, "project": run.project, "state": run.state,
        "created_at": utc(run.created_at), "last_activity": utc(run.last_activity), "group": run.group,
        "job_type": run.job_type, "sweep": run.sweep, "tags": list(run.tags), "notes": run.notes,
        "duration": run.duration, "steps": run.steps, "exit_code": run.exit_code, "url": run.url,
    }  # fmt: skip
    trees: Iterator[tuple[str, Any]] = (
        (f"{name}.{key}", value)
        for name, tree in (("config", run.config), ("summary", run.summary))
        for key, value in leaves(dict(tree))
    )
    return {**facts, **dict(trees)}
