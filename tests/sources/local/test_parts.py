"""Runs of several directories, of odd framings, and of values that change their kind: nothing is lost unsaid."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import wandb_runs as logs
from wandb_toolkit.model import Run
from wandb_toolkit.plots.charts import step_metric
from wandb_toolkit.sources.base import RunQuery, history_of
from wandb_toolkit.sources.local.source import LocalSource
from wandb_toolkit.sources.wandb_log.scan import scan_log


def written(
    folder: Path, number: int, rows: list[bytes], *, start: float, code: int | None = 0, **more: object
) -> Path:
    """Write the `number`-th directory of run "r"; `code` None leaves the exit record out."""
    records = [logs.run("r", start=start, **more), *rows]  # type: ignore[arg-type]
    records += [] if code is None else [logs.exit_(code)]
    return logs.write_run(folder, records, "r", at=f"20231114_22132{number}")


def rows(first: int, last: int, *, at: float, factor: float = 1.0, counter: int = 0) -> list[bytes]:
    """Rows of W&B's steps first to last - 1, a second apart."""
    return [
        logs.history({"loss": n * factor, "trainer/global_step": n + counter, "_step": n, "_timestamp": at + n - first})
        for n in range(first, last)
    ]


def the_run(folder: Path) -> tuple[LocalSource, Run]:
    source = LocalSource(folder)
    [run] = source.runs(RunQuery())
    return source, run


def test_requeued_jobs_that_count_from_0_are_one_history(tmp_path: Path) -> None:
    for job in range(3):
        start = logs.START + 1000.0 * job
        written(tmp_path, job, rows(0, 40, at=start, factor=job + 1, counter=40 * job), start=start)
    source, run = the_run(tmp_path)
    history = history_of(source, run)
    assert (run.rows, run.steps) == (120, 119)
    assert history["loss"].x.tolist() == list(range(120))
    assert history["trainer/global_step"].value.tolist() == list(range(120))
    assert history["loss"].value[[39, 40, 119]].tolist() == [39, 0, 117]
    assert any("3 directories of this run; 2 counted their steps from 0" in line for line in run.warnings)


def test_a_restart_from_a_checkpoint_replaces_what_it_logs_again_and_says_so(tmp_path: Path) -> None:
    written(tmp_path, 0, rows(0, 100, at=logs.START), start=logs.START, code=1)
    written(tmp_path, 1, rows(80, 150, at=logs.START + 500, factor=-1), start=logs.START + 500.0)
    source, run = the_run(tmp_path)
    loss = history_of(source, run)["loss"]
    assert len(loss) == 150
    assert loss.value[79:82].tolist() == [79, -80, -81]
    assert any("20 of its 100 rows are replaced" in line for line in run.warnings)
    assert any("an earlier part did not end well: run-20231114_221320-r, exit code 1" in line for line in run.warnings)


def test_parts_that_overlap_in_time_are_not_appended(tmp_path: Path) -> None:
    written(tmp_path, 0, rows(0, 40, at=logs.START), start=logs.START)
    written(tmp_path, 1, rows(0, 40, at=logs.START + 10, factor=2), start=logs.START + 10.0)
    source, run = the_run(tmp_path)
    assert run.steps == 39
    assert len(history_of(source, run)["loss"]) == 40


def test_a_rewind_makes_void_what_came_after_the_branch_point(tmp_path: Path) -> None:
    written(tmp_path, 0, rows(0, 300, at=logs.START), start=logs.START)
    again = rows(101, 150, at=logs.START + 900, factor=-1)
    written(tmp_path, 1, again, start=logs.START + 900.0, branch=("r", 100.0))
    source, run = the_run(tmp_path)
    loss = history_of(source, run)["loss"]
    assert (len(loss), loss.value[-1], loss.value[100]) == (150, -149, 100)
    assert run.steps == 149
    assert run.forked_from is None


def test_a_fork_names_its_origin(tmp_path: Path) -> None:
    written(tmp_path, 0, rows(201, 250, at=logs.START), start=logs.START, branch=("parent", 200.0))
    _, run = the_run(tmp_path)
    assert run.forked_from == ("parent", 200)


@pytest.mark.parametrize("base", [0, 7])
def test_blocks_are_counted_as_the_log_s_version_did(tmp_path: Path, base: int) -> None:
    wide = {f"layer.{n}": float(n) for n in range(2000)}  # a row of several blocks
    small = [logs.history({"loss": float(n)}, n) for n in range(6000)]
    path = tmp_path / "run-r.wandb"
    path.write_bytes(logs.framed([logs.run("r"), *small, logs.history(wide, 6000), logs.exit_()], base=base))
    scan = scan_log(path, keys=None)
    assert scan.rows == 6001
    assert scan.has_exit
    assert not scan.damage.warnings("log")
    assert scan.history is not None
    assert list(scan.history.columns["layer.1999"].values) == [1999.0]


def test_a_number_that_turns_into_text_is_said(tmp_path: Path) -> None:
    values = [*range(20), *["n/a"] * 10]
    written(tmp_path, 0, [logs.history({"acc": value}, n) for n, value in enumerate(values)], start=logs.START)
    source, run = the_run(tmp_path)
    history = history_of(source, run)
    assert len(history["acc"]) == 20
    assert history.warnings == ("acc: 10 values are text, the first at step 20; only its numbers are read",)
    source.metrics(run)
    assert any("10 values are text" in line for line in source.warnings)


def test_a_run_killed_before_its_first_block_is_not_running_for_hours(tmp_path: Path) -> None:
    place = logs.write_run(tmp_path, [], "r", at="20231114_221320")
    log = place / "run-r.wandb"
    an_hour_ago = log.stat().st_mtime - 3600
    os.utime(log, (an_hour_ago, an_hour_ago))
    _, run = the_run(tmp_path)
    assert run.state == "crashed"
    assert run.created_at is not None
    assert run.created_at.year == 2023


def test_a_glob_reaches_only_metrics_that_were_not_defined_by_name(tmp_path: Path) -> None:
    defined = [logs.metric("loss"), logs.metric("*", "samples", glob=True)]
    logged = [logs.history({"loss": 1.0, "acc": 0.5, "samples": 64 * n}, n) for n in range(5)]
    logs.write_run(tmp_path, [logs.run("r"), *defined, *logged, logs.exit_()], "r")
    _, run = the_run(tmp_path)
    assert step_metric(run, "loss") == "_step"
    assert step_metric(run, "acc") == "samples"
    assert np.isfinite(run.duration or 0.0)
