"""The data commands on a server: the same points as the rows that it holds, whole or sampled."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from api_cases import Command
from wandb_server import Export, File, Run, Server, Store

ROWS = [{"_step": n, "loss": 1 / (n + 1), **({"acc": n / 100} if n % 10 == 3 else {})} for n in range(100)]


def make_store() -> Store:
    store = Store()
    metadata = b'{"program": "train.py", "args": ["-x"], "git": {"commit": "abc"}, "gpu": "H100", "email": "a@b.test"}'
    files = [
        File("wandb-metadata.json", metadata),
        File("requirements.txt", b"numpy==2.0\n"),
        File("output.log", b"a\nb\n"),
    ]
    store.project("ada", "p").add(Run("r", ROWS, config={"lr": 0.1}, files=files), Run("s", ROWS[:50]))
    return store


def test_points_are_those_of_the_server(command: Command) -> None:
    found = command("get_history", "ada/p", "r", "--metrics", "loss,acc", "--json").json
    assert [(row["log_step"], row["values"]) for row in found] == [
        (row["_step"], {name: row[name] for name in ("loss", "acc") if name in row}) for row in ROWS
    ]
    text = command("get_history", "ada/p", "r,s", "--metrics", "acc", "--last", "1").out
    assert text.splitlines() == ["run,name,_step,acc", "r,r,93,0.93", "s,s,43,0.43"]
    assert len(command("get_history", "ada/p", "r", "--metrics", "loss", "--samples", "10", "--json").json) == 10


def test_what_a_run_is_besides_its_curves(command: Command) -> None:
    [run] = command("show_run", "ada/p", "r", "--json").json["runs"]
    assert (run["config"], run["command"], run["git"]["commit"]) == ({"lr": 0.1}, "train.py -x", "abc")
    assert (run["packages"], run["console"]) == ({"numpy": "2.0"}, ["a", "b"])
    assert "email" not in run["environment"]


def test_statistics_and_groups_are_those_of_the_server_s_rows(command: Command) -> None:
    runs = command("list_runs", "ada/p", "--order", "best.loss", "--metrics", "a*", "--stat", "max", "--json").json
    assert [(run["id"], run["stat_metrics"]) for run in runs] == [
        ("r", {"max.acc": 0.93, "best.loss": 0.01}),
        ("s", {"max.acc": 0.43, "best.loss": 0.02}),
    ]
    groups = command(
        "list_runs", "ada/p", "--group-by", "config.lr", "--metrics", "acc", "--stat", "mean", "--json"
    ).json
    means = {group["label"]: group["means"]["mean.acc"]["mean"] for group in groups}
    assert means == {"lr=0.1": pytest.approx(0.48), "no lr": pytest.approx(0.23)}
    assert "▁" in command("list_runs", "ada/p", "--spark").out


def test_a_dataset_of_the_server_s_runs(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = command("export_runs", "ada/p", "--output", str(out), "--format", "jsonl", "--json").json
    assert sorted((run["id"], run["points"]) for run in found["written"]) == [("r", 110), ("s", 55)]
    place = out / "history" / "project=p" / "run=r" / "points.jsonl"
    rows = [json.loads(line) for line in place.read_text().splitlines()]
    assert [{name: row[name] for name in ROWS[0].keys() | ROWS[3].keys() if name in row} for row in rows] == ROWS
    assert (out / "console" / "project=p" / "run=r" / "points.txt").read_text() == "a\nb\n"
    again = command("export_runs", "ada/p", "--output", str(out), "--format", "jsonl", "--json").json
    assert (again["written"], len(again["unchanged"])) == ([], 2)


def test_many_short_runs_are_read_whole_in_few_requests(server: Server, command: Command) -> None:
    project = server.store.project("ada", "many")
    for number in range(45):
        rows = [{"_step": n, "a": n * number, "b": -n} for n in range(30)]
        project.add(Run(f"m{number:02}", rows, export=Export(rows=20 if number % 3 == 0 else None)))

    def read(metric: str) -> tuple[list[tuple[str, int, float]], int, int]:
        found = command("get_history", "ada/many", "m*", "--metrics", metric, "--json").json
        points = [(row["run"], row["log_step"], row["values"][metric]) for row in found]
        storage = sum(call.host == "storage" for call in server.record.calls)
        return points, len(server.record.calls) - storage, storage

    points, api, storage = read("a")
    assert sorted(points) == [(f"m{number:02}", n, n * number) for number in range(45) for n in range(30)]
    # A listing, the keys, three of exports, and windows for the tails of 15; a file a run.
    assert (api <= 10 + 15, storage) == (True, 45)
    points, *_ = read("b")
    assert sorted(points) == [(f"m{number:02}", n, -n) for number in range(45) for n in range(30)]
    for metric in ("a", "b"):  # both are kept
        _, api, storage = read(metric)
        assert (api <= 6, storage) == (True, 0)


def test_without_pyarrow_histories_are_the_same(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = ("get_history", "ada/p", "r,s", "--no-cache")
    expected = command(*words).out
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert command(*words).out == expected
    export = ("export_runs", "ada/p", "--output", str(tmp_path / "out"))
    refused = command(*export)
    assert refused.code == 2
    assert "--format csv" in refused.err
    assert command(*export, "--format", "csv").code == 0
