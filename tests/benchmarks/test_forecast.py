"""The benchmark of forecasts: a cut run is forecast without its future, and what came is counted right."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import wandb_runs as logs
from repository import ROOT

sys.path.insert(0, str(ROOT))


def test_bands_on_generated_runs_and_on_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.forecast.__main__ import main

    assert main(["--seed", "3", "--projects", "2"]) == 0
    said = capsys.readouterr().out
    assert "2 projects from seed 3" in said
    assert "| siblings' increments | all |" in said
    for at in range(4):
        start = logs.START + 9000 * at
        values = 0.9 - 0.5 * np.exp(-np.arange(60) / 20) + np.random.default_rng(at).normal(0, 0.01, 60)
        rows = [
            logs.history({"eval/accuracy": float(value), "_timestamp": start + 10.0 * (step + 1)}, step)
            for step, value in enumerate(values)
        ]
        head = logs.run(f"run{at}", project="p", config={"max_steps": 59}, start=start)
        logs.write_run(tmp_path, [head, *rows, logs.exit_()], f"run{at}")
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "1 folder; 12 cuts of finished runs" in said
    assert "| siblings' increments | all | 12 |" in said
    assert "Last step: 12 cuts, 100% within a tenth" in said
    assert "Time to the end: 12 cuts, 100% within a quarter" in said


def test_a_forecast_knows_nothing_of_what_came_later() -> None:
    from benchmarks.diagnoses.project import make_project
    from benchmarks.diagnoses.source import MemorySource
    from benchmarks.forecast.measure import _read, outcomes

    from wandb_toolkit.forecast.forecast import forecast_of

    source = MemorySource(make_project(3))
    readings, primaries = _read(source, source.all)
    whole = [one for one in outcomes(readings, primaries) if one.part == 0.25]
    at = next(n for n, one in enumerate(readings) if one.run.state == "finished")
    series = dict(readings[at].history.series)
    metric = primaries[at]
    assert metric is not None
    half = series[metric.metric].x[-1] / 2
    for name, one in series.items():
        if not name.startswith("_"):
            series[name] = replace(one, value=np.where(one.x > half, 1e6, one.value))
    spoilt = [
        replace(one, history=replace(one.history, series=series), run=replace(one.run, summary={"x": 1}, exit_code=3))
        if n == at
        else one
        for n, one in enumerate(readings)
    ]

    from wandb_toolkit.replay.prefix import Past

    def cut(readings: list) -> object:  # type: ignore[type-arg]
        own, past = readings[at], Past(readings[at].run, readings[at].history)
        short = replace(own, run=past.running(half / 2), history=past.until(half / 2))
        return forecast_of(short, [short if one is own else one for one in readings], metric)

    assert whole
    assert replace(cut(list(readings)), run="") == replace(cut(spoilt), run="")  # type: ignore[type-var]
