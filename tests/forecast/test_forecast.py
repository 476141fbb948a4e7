"""Where running runs are heading: bands from siblings and from a run's own course, plans, times, chances, refusals."""

from __future__ import annotations

import importlib.util
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import curves
import wandb_runs as logs
from plot_fakes import check_schema
from repository import ROOT
from wandb_toolkit import api as wt
from wandb_toolkit.commands.wandb_report import main
from wandb_toolkit.errors import Exit
from wandb_toolkit.forecast import course, siblings
from wandb_toolkit.forecast.plan import End, end_of
from wandb_toolkit.model import Series

N = 200
METRIC = "eval/accuracy"


def curve(seed: int, end: float = 0.8, late: float = 0.1) -> np.ndarray:
    """Return an accuracy that levels off, and gains `late` once more in its last quarter."""
    part = np.linspace(0, 1, N)
    rise = end - late - 0.5 * np.exp(-6 * part)
    noise = np.random.default_rng(seed).normal(0, 0.004, N)
    return rise + late * np.clip((part - 0.75) / 0.1, 0, 1) + noise


def write(folder: Path, name: str, values: np.ndarray, *, running: bool = False, ago: float = 0, plan: int = N) -> None:
    """Write a run that logged a row every 30 seconds, the last one just now or some seconds ago."""
    start = time.time() - 30 * len(values) - ago
    head = logs.run(name, name=name, config={"max_steps": plan}, start=start)
    rows = [
        logs.history({METRIC: float(value), "_timestamp": start + 30.0 * (step + 1)}, step)
        for step, value in enumerate(values)
    ]
    logs.write_run(folder, [head, *rows, *([] if running else [logs.exit_()])], name)


def forecasts(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main([str(folder), "--forecast", "--json"]) == Exit.OK
    document = json.loads(capsys.readouterr().out)
    check_schema("wandb_report", document)
    found: dict[str, Any] = document["forecast"]
    return found


def test_siblings_tell_what_the_schedule_does_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(5):
        write(tmp_path, f"done{seed}", curve(seed, end=0.78 + 0.01 * seed), ago=9000 + 9000 * seed)
    write(tmp_path, "now", curve(9, end=0.84)[:100], running=True)
    [one] = forecasts(tmp_path, capsys)["runs"]
    assert (one["run"], one["metric"], one["step"], one["end"], one["end_from"]) == ("now", METRIC, 99, N, "its config")
    assert (one["method"], one["siblings"]) == ("siblings", 4)
    assert one["value"] == pytest.approx(0.84, abs=0.01)  # the gain of the last quarter is foreseen
    assert one["level"] < 0.76
    assert one["high"] - one["low"] < 0.05
    assert (one["best_run"], one["best"]) == ("done4", pytest.approx(0.82, abs=0.01))
    assert one["chance"] > 0.7
    assert one["seconds_left"] == pytest.approx(30 * 101)
    left = (datetime.fromisoformat(one["finish"]).timestamp() - time.time()) / 30
    assert left == pytest.approx(101, abs=4)


def test_without_siblings_its_own_course_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "now", curve(1, late=0.0)[:100], running=True)
    [one] = forecasts(tmp_path, capsys)["runs"]
    assert (one["method"], one["siblings"], one["best"], one["chance"]) == ("course", 0, None, None)
    assert one["low"] < 0.8 < one["high"] <= 1
    assert main([str(tmp_path), "--forecast"]) == Exit.OK
    said = " ".join(capsys.readouterr().out.split())
    assert "## Where the running runs are heading" in said
    assert "from its own course alone" in said
    assert f"at step 99 of {N}" in said
    page = tmp_path / "page.html"
    assert main([str(tmp_path), "--forecast", "--html", str(page)]) == Exit.OK
    assert "Where the running runs are heading" in page.read_text()


@pytest.mark.parametrize(
    ("values", "plan", "reason"),
    [
        (curve(1)[:100], 0, "neither its config nor finished runs say where it ends"),
        (curve(1)[:100], 5000, "it is at 2% of its steps, and no finished run tells how they go on"),
        (curve(1)[:3], 10, f"{METRIC} has 3 points, and no finished run tells how they go on"),
        (np.append(curve(1)[:60], np.full(40, np.nan)), N, f"the last values of {METRIC} are not finite"),
    ],
)
def test_why_there_is_no_forecast(
    values: np.ndarray, plan: int, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "now", values, running=True, plan=plan)
    [one] = forecasts(tmp_path, capsys)["runs"]
    assert (one["why_not"], one["value"], one["low"], one["method"]) == (reason, None, None, "")


def test_without_a_plan_finished_runs_tell_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(3):
        write(tmp_path, f"done{seed}", curve(seed), ago=9000 + 9000 * seed, plan=0)
    write(tmp_path, "now", curve(9)[:50], running=True, plan=0)
    [one] = forecasts(tmp_path, capsys)["runs"]
    assert (one["end"], one["end_from"]) == (N - 1, "3 finished runs")
    for seed in range(4):  # another program, with a metric of its own
        rows = [logs.history({"loss": 1.0 / (step + 1)}, step) for step in range(20)]
        head = logs.run(f"other{seed}", start=time.time() - 90_000 - seed)
        logs.write_run(tmp_path, [head, *rows, logs.exit_()], f"other{seed}")
    assert [one["end"] for one in forecasts(tmp_path, capsys)["runs"]] == [N - 1]


def test_a_plan_in_other_steps_is_taken_in_proportion() -> None:
    done = curves.run(name="done", config={"max_steps": 1000})
    now = curves.run("running", name="now", config={"max_steps": 2000})
    history = curves.history({"loss": curves.falling(n=20)}, last=19)
    end = end_of(now, history, [(done, 100.0)])
    assert end is not None
    assert end.step == 200
    epochs = curves.run("running", name="now", config={"num_train_epochs": 3})
    counted = curves.history({"loss": curves.falling(n=20), "epoch": np.arange(20) / 10}, last=19)
    assert end_of(epochs, counted, []) == End(30.0, "the epochs of its config")
    whole = curves.history({"loss": curves.falling(n=20), "epoch": np.floor(np.arange(20) / 10)}, last=19)
    begins = curves.history({"x": np.arange(20.0)}, last=19)["x"].x[[0, 10]]
    assert end_of(epochs, whole, []) == End(begins[0] + 3 * (begins[1] - begins[0]), "the epochs of its config")
    assert end_of(epochs, history, []) is None
    six = curves.run(name="done", config={"num_train_epochs": 6})
    assert end_of(epochs, history, [(six, 120.0), (done, 77.0)]) == End(60.0, "the epochs of its config")


def test_of_a_silent_run_the_time_counts_from_its_last_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "now", curve(1, late=0.0)[:100], running=True, ago=40_000)
    monkeypatch.setattr("wandb_toolkit.sources.local.run._state", lambda *_: "running")
    [one] = forecasts(tmp_path, capsys)["runs"]
    assert one["silent"]
    assert main([str(tmp_path), "--forecast"]) == Exit.OK
    assert "50m 30s from its last row if it still runs" in " ".join(capsys.readouterr().out.split())


def test_no_running_run_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "done", curve(1))
    found = forecasts(tmp_path, capsys)
    assert (found["runs"], found["note"]) == ([], "No run is running, so there is nothing to forecast")
    assert wt.report(tmp_path, forecast=True).to_dict()["forecast"] == found
    assert wt.report(tmp_path).to_dict()["forecast"] is None


def test_the_band_of_many_siblings_is_that_of_their_quantiles() -> None:
    x = np.arange(100.0)
    beside = [Series(METRIC, x, np.where(x < 50, 0.0, float(gain))) for gain in range(20)]
    gains = siblings.increments(0.0, beside, 49, 99)
    found = siblings.increment_of(gains)
    assert found is not None
    assert len(gains) == 12
    assert found.middle == 5.5
    assert [found.low, found.high] == pytest.approx([5.5 - siblings.WIDER * 5.2, 5.5 + siblings.WIDER * 5.2])
    assert siblings.increment_of(gains[:2]) is None


def test_a_course_that_goes_on_falling_and_one_that_has_ended() -> None:
    x = np.arange(1.0, 101.0)
    falls = course.extrapolated(x, 3 * x**-0.5, 100, 400, -1)
    assert falls is not None
    assert falls.middle == pytest.approx(3 * 400**-0.5 - 3 * 100**-0.5, abs=0.06)
    assert falls.middle - falls.low > falls.high - falls.middle  # there is more room towards the better
    still = course.extrapolated(x, np.full(100, 2.0), 100, 400, -1)
    assert still is not None
    assert [still.middle, still.low, still.high] == pytest.approx([0, 0, 0], abs=1e-12)
    assert course.extrapolated(x[:3], x[:3], 3, 10, 1) is None


def test_the_example_of_the_page_is_fresh() -> None:
    spec = importlib.util.spec_from_file_location("make_forecast", ROOT / "docs" / "make_forecast.py")
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    assert maker.page() == maker.PAGE.read_text(encoding="utf-8")
    assert "wandb_report" in maker.PAGE.read_text(encoding="utf-8")
