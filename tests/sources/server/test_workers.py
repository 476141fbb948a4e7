"""Figures of a server's runs, drawn by real worker processes: what crosses the boundary is plain data."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from api_cases import Command
from wandb_server import Run, Server, Store
from wandb_toolkit.sources import RunQuery, open_source

NAMES = [f"train/m{at:02}" for at in range(12)]


def make_store() -> Store:
    store = Store()
    project = store.project("ada", "many")
    for run in range(2):
        rows = [{"_step": n, "train/step": 10 * n, **dict.fromkeys(NAMES, n * (run + 1) / 7)} for n in range(40)]
        config = {"lr": 0.1 * (run + 1), "_wandb": {"value": {"m": [{"1": "train/*", "5": 1}]}}}
        project.add(Run(f"run{run}", rows, config=config))
    return store


def test_a_pool_draws_what_one_process_draws(command: Command, tmp_path: Path) -> None:
    words = ("generate_plots", "ada/many", "run0,run1", "--all-metrics", "--group-by-prefix", "--json")
    alone = command(*words, "--jobs", "1", "--output", str(tmp_path / "alone"))
    pool = command(*words, "--jobs", "2", "--output", str(tmp_path / "pool"))
    assert (alone.code, pool.code) == (0, 0), pool.err
    assert len(pool.json["plots"]) >= len(NAMES)
    assert [plot["alt"] for plot in pool.json["plots"]] == [plot["alt"] for plot in alone.json["plots"]]
    assert len(list((tmp_path / "pool").rglob("*.png"))) == len(pool.json["plots"])


def test_processes_judge_as_one_does(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wandb_toolkit.workers._TRIED", 1)
    monkeypatch.setattr("wandb_toolkit.workers._WORTH", 0.0)
    words = ("wandb_report", "ada/many", "--as-of", "2026-01-31", "--json")
    one, two = (command(*words, "--jobs", jobs) for jobs in ("1", "2"))
    assert (one.code, two.code) == (0, 0), two.err
    reports = [outcome.json for outcome in (one, two)]
    for report in reports:
        del report["command"]
    assert reports[0] == reports[1]
    assert len(reports[0]["runs"]) == 2


def test_groups_cross_too(command: Command, tmp_path: Path) -> None:
    words = ("--metrics", "train/*", "--group-by", "config.lr", "--jobs", "2", "--output", str(tmp_path))
    assert command("generate_plots", "ada/many", "run0,run1", *words).code == 0


def test_a_run_crosses_as_plain_data(server: Server) -> None:
    source, _ = open_source("ada/many")
    listed = source.runs(RunQuery())
    [copy, _] = pickle.loads(pickle.dumps(listed))
    assert type(copy.config) is type(copy.summary) is type(copy.step_metrics) is dict
    server.record.clear()
    loaded = source.loaded(listed)
    assert [type(run.config) for run in loaded] == [dict, dict]
    asked = server.record.count()
    assert {run.config["lr"] for run in loaded} == {0.1, 0.2}
    assert server.record.count() == asked


def test_a_baseline_on_a_server_is_read_with_its_records(command: Command) -> None:
    found = command("wandb_report", "ada/many", "--runs", "run1", "--baseline", "run0", "--json").json["changes"]
    assert [(one["part"], one["key"], one["good"], one["bad"]) for one in found["differences"]] == [
        ("config", "lr", [0.1], [0.2])
    ]
    assert found["verdict"] == "The only recorded difference is `config lr`"
    assert [one["step"] for one in found["partings"]][:1] == [0]
