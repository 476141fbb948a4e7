"""Steps in a report are the training's own; W&B's step, which counts calls of log(), stays beside them in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wandb_runs as logs
from wandb_toolkit.commands import wandb_report
from wandb_toolkit.comparison.cost import track_of
from wandb_toolkit.model import History, Series

ROWS = 200


def run_of(folder: Path, id_: str, counter: str, *, defined: bool, every: int = 50) -> None:
    """Write a run that logs loss and evaluation in calls of their own; its loss turns to NaN in row 120."""
    records = [logs.run(id_, name=id_)]
    records += [logs.metric(counter), logs.metric("*", counter, glob=True)] if defined else []
    step = 0
    for row in range(ROWS):
        loss = float("nan") if row >= 120 else 3.0 / (1 + row / 20)
        records.append(logs.history({"train/loss": loss, counter: row * every}, step))
        step += 1
        if row % 4 == 0:
            records.append(logs.history({"eval/loss": 3.2 / (1 + row / 20), counter: row * every}, step))
            step += 1
    logs.write_run(folder, [*records, logs.exit_()], id_, at=f"20231114_22{len(id_):04}")


def report_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    assert wandb_report.main([str(folder), "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("counter", "defined"), [("train/global_step", True), ("trainer/global_step", False), ("samples", True)]
)
def test_an_onset_is_on_the_training_s_axis(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], counter: str, defined: bool
) -> None:
    run_of(tmp_path, "one", counter, defined=defined)
    [run] = report_on(tmp_path, capsys)["runs"]
    nan = next(finding for finding in run["findings"] if finding["id"] == "nan_or_inf")
    assert (run["step_metric"], run["steps"]) == (counter, (ROWS - 1) * 50)
    assert nan["step"] == 120 * 50
    assert nan["log_step"] == 120 + 30  # 30 evaluations were logged before
    assert "step 6,000" in nan["title"]
    wandb_report.main([str(tmp_path), "-q"])
    assert f"steps are `{counter}`" in capsys.readouterr().out.splitlines()[2]


def test_without_a_counter_steps_are_w_and_b_s(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_of(tmp_path, "one", "other", defined=False)
    [run] = report_on(tmp_path, capsys)["runs"]
    assert run["step_metric"] == "_step"
    nan = next(finding for finding in run["findings"] if finding["id"] == "nan_or_inf")
    assert nan["step"] == nan["log_step"] == 150


def test_a_counter_that_falls_counts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counts = [*range(0, 100, 5), *range(50, 150, 5)]
    rows = [logs.history({"loss": 3 - n / 50, "global_step": n}, at) for at, n in enumerate(counts)]
    logs.write_run(tmp_path, [logs.run("r"), *rows, logs.exit_()], "r")
    assert report_on(tmp_path, capsys)["runs"][0]["step_metric"] == "_step"


def test_runs_that_log_at_different_rates_are_compared_at_the_same_training_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of(tmp_path, "often", "train/global_step", defined=True, every=25)
    run_of(tmp_path, "rarely", "train/global_step", defined=True, every=50)
    steps = {run["name"]: run["steps"] for run in report_on(tmp_path, capsys)["runs"]}
    assert steps == {"often": (ROWS - 1) * 25, "rarely": (ROWS - 1) * 50}


def test_clocks_that_interleave_are_read_from_the_time_stamps() -> None:
    n = np.arange(100.0)
    clock = np.where(n % 2 == 0, n / 2, n / 2 - 20).clip(0)  # two TensorBoard writers, one 20 s behind
    series = {
        "loss": Series("loss", n, 1 / (1 + n)),
        "_runtime": Series("_runtime", n, clock),
        "_timestamp": Series("_timestamp", n, 1.7e9 + n / 2),
    }
    track = track_of(series["loss"], History(series), None)
    assert track is not None
    assert track.total("time") == pytest.approx(49.5)


@pytest.mark.parametrize(("beside", "axis"), [(True, "iter"), (False, "_step")])
def test_a_loop_s_own_counter_counts_where_it_stands_beside_the_metrics(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], beside: bool, axis: str
) -> None:
    rows = []
    for row in range(30):
        rows.append(logs.history({"val/loss": 3 / (1 + row), **({"iter": row * 250} if beside else {})}, 2 * row))
        rows.append(logs.history({"iter": row * 250} if not beside else {"other": 0.1}, 2 * row + 1))
    logs.write_run(tmp_path, [logs.run("r"), *rows, logs.exit_()], "r")
    run = report_on(tmp_path, capsys)["runs"][0]
    assert (run["step_metric"], run["steps"]) == (axis, 29 * 250 if beside else 59)
