"""list_runs beyond summaries: --stat, --order best.METRIC, --group-by, --spark, with the values that logs hold."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as logs
from plot_fakes import check_schema
from wandb_toolkit.commands import list_runs
from wandb_toolkit.listing.groups import Mean, RunGroup, groups_table, mean_of, mean_text

Capture = pytest.CaptureFixture[str]
CURVES = {  # id → accuracy, whose summary is the last one
    "a": [0.1, 0.9, 0.5],
    "b": [0.2, math.nan, 0.7],
    "c": [0.3, 0.6, 0.6],
    "d": [math.nan, math.nan],
}
SETTINGS = {"a": (0.1, 1), "b": (0.1, 2), "c": (0.2, 1), "d": (0.2, 2)}


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Four runs, two of each learning rate, and one that logged something else."""
    for name, values in CURVES.items():
        lr, seed = SETTINGS[name]
        config = {"lr": lr, "seed": seed, "output_dir": f"/out/{name}"}
        rows = [logs.history({"acc": v, "val/loss": -v, "blob": 2 * v}, step) for step, v in enumerate(values)]
        last = logs.summary({"acc": values[-1], "val/loss": -values[-1]})
        logs.write_run(tmp_path, [logs.run(name, config=config), *rows, last, logs.exit_()], name)
    logs.write_run(tmp_path, [logs.run("e", config={"seed": 1}), *logs.rows(3, "other"), logs.exit_()], "e")
    return str(tmp_path)


def found(capsys: Capture, *words: str) -> Any:
    assert list_runs.main([*words, "--json", "-q"]) == 0
    document = json.loads(capsys.readouterr().out)
    check_schema("list_runs", document)
    return document


def ids(capsys: Capture, folder: str, order: str) -> str:
    return "".join(run["id"] for run in found(capsys, folder, "--order", order))


def test_orders_by_the_whole_history(folder: str, capsys: Capture) -> None:
    assert ids(capsys, folder, "best.acc")[:3] == "abc"
    assert ids(capsys, folder, "best.val/loss")[:3] == "abc"  # lower is better
    assert ids(capsys, folder, "-best.acc")[:3] == "cba"
    assert ids(capsys, folder, "min.acc")[:3] == "abc"
    assert ids(capsys, folder, "-min.acc")[:3] == "cba"
    assert ids(capsys, folder, "-last.acc")[:3] == "bca"
    assert set(ids(capsys, folder, "best.acc")[3:]) == {"d", "e"}  # nothing finite, nothing logged: last
    [first] = found(capsys, folder, "--order", "best.acc", "--limit", "1")
    assert (first["id"], first["stat_metrics"]) == ("a", {"best.acc": 0.9})


@pytest.mark.parametrize(
    ("stat", "values"),
    [
        ("best", {"a": 0.9, "b": 0.7, "c": 0.6}),
        ("min", {"a": 0.1, "b": 0.2, "c": 0.3}),
        ("mean", {"a": 0.5, "b": 0.45, "c": 0.5}),
        ("last", {"a": 0.5, "b": 0.7, "c": 0.6, "d": "NaN"}),
    ],
)
def test_statistics_are_over_every_finite_point(
    stat: str, values: dict[str, float], folder: str, capsys: Capture
) -> None:
    runs = found(capsys, folder, "--metrics", "acc", "--stat", stat)
    got = {run["id"]: run["stat_metrics"][f"{stat}.acc"] for run in runs if run["stat_metrics"]}
    assert got == {name: pytest.approx(v, abs=1e-7) if stat == "mean" else v for name, v in values.items()}
    assert list_runs.main([folder, "--metrics", "a*,val/*", "--stat", stat, "--format", "csv", "-q"]) == 0
    rows = {row["id"]: row for row in csv.DictReader(capsys.readouterr().out.splitlines())}
    assert [title for title in rows["a"] if "." in title] == [f"{stat}.acc", f"{stat}.val/loss"]
    assert float(rows["a"][f"{stat}.acc"]) == pytest.approx(values["a"])
    assert rows["e"][f"{stat}.acc"] == ""


def test_best_says_when_it_is_a_guess(folder: str, capsys: Capture) -> None:
    assert list_runs.main([folder, "--metrics", "acc,blob", "--stat", "best"]) == 0
    err = capsys.readouterr().err
    assert "which way is better in blob:" in err


def test_groups_have_mean_standard_error_and_n(folder: str, capsys: Capture) -> None:
    low, high, none = found(capsys, folder, "--group-by", "config.lr", "--metrics", "acc", "--order", "name")
    assert (low["label"], low["values"], low["count"], low["run_ids"]) == ("lr=0.1", {"config.lr": 0.1}, 2, ["a", "b"])
    assert low["means"] == {"acc": {"mean": pytest.approx(0.6), "standard_error": pytest.approx(0.1), "n": 2}}
    assert high["means"] == {"acc": {"mean": 0.6, "standard_error": None, "n": 1}}  # the other one is NaN
    assert (none["label"], none["run_ids"], none["means"]) == ("no lr", ["e"], {})
    by_best = found(capsys, folder, "--group-by", "all-but:config.seed", "--order", "best.acc", "--limit", "1")
    assert [(g["label"], g["means"]["best.acc"]["mean"]) for g in by_best] == [("lr=0.1", pytest.approx(0.8))]
    worst = found(capsys, folder, "--group-by", "config.lr", "--order", "summary_metrics.acc", "--metrics", "acc")
    assert [group["label"] for group in worst[:2]] == ["lr=0.1", "lr=0.2"]


def test_groups_as_tables(folder: str, capsys: Capture) -> None:
    words = [folder, "--group-by", "all-but:config.seed", "--metrics", "acc", "--stat", "max", "--order", "name"]
    assert list_runs.main(words) == 0
    out, err = capsys.readouterr()
    assert [line.split() for line in out.splitlines()] == [
        ["lr", "runs", "max.acc"],
        ["0.1", "2", "0.80", "±", "0.10"],
        ["0.2", "2", "0.6", "(n=1)"],
        ["1"],
    ]
    assert "output_dir" in err
    assert list_runs.main([*words, "--format", "csv", "-q"]) == 0
    first = next(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert first["max.acc n"] == "2"
    assert float(first["max.acc standard error"]) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([0.81234, 0.82], "0.8162 ± 0.0038"),
        ([8000, 8246], "8123 ± 123"),
        ([1.0, 1.0], "1 ± 0"),
        ([3, math.inf], "3 (n=1)"),
        ([math.nan, math.nan], "NaN (n=0)"),
        ([1e-20, 3e-20], "2e-20 ± 1e-20"),
        ([9.3e-8, 9.9e-8], "9.6e-08 ± 3e-09"),
        ([2e9, 4e9], "3e+09 ± 1e+09"),
        (["x", None, True], ""),
    ],
)
def test_means_are_as_exact_as_their_error(values: list[object], text: str) -> None:
    assert mean_text(mean_of(values), 2) == text


def test_a_narrow_terminal_keeps_the_leading_keys() -> None:
    keys = {f"config.k{n}": n for n in range(30)}
    group = RunGroup("g", keys, (), {"acc": Mean(0.5, None, 1), "loss": Mean(0.25, None, 1)})
    text, shown = groups_table([group], ["acc", "loss"], 40, "table")
    assert shown == 2
    assert all(word in text for word in ("k0", "k3", "acc", "loss"))
    assert "k29" not in text
    assert "k29" in groups_table([group], ["acc"], None, "csv")[0]


def test_standard_error() -> None:
    assert mean_of([1, 3]) == Mean(2.0, 1.0, 2)
    found = mean_of([1, 2, 3, 4])
    assert found
    assert found.error == pytest.approx(math.sqrt(5 / 3) / 2)


def test_sparklines_of_the_metric_that_ranks(folder: str, capsys: Capture) -> None:
    assert list_runs.main([folder, "--spark", "--order", "name", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "acc (curve)" in lines[0]
    assert [line.split()[3] for line in lines[1:4]] == ["▁█▅", "▁·█", "▁██"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--stat", "best"], 2, "--stat needs --metrics"),
        (["--stat", "median", "--metrics", "acc"], 2, "median"),
        (["--metrics", "ac", "--stat", "best"], 4, "acc"),
        (["--metrics", "zz*", "--stat", "best"], 4, "val/loss"),
        (["--order", "best.ac"], 4, "acc"),
        (["--group-by", "config.l"], 2, "config.lr"),
        (["--group-by", "state"], 2, "all-but:config.seed"),
        (["--group-by", "config.lr,"], 2, "blank part"),
        (["--spark", "--json"], 2, "--spark"),
        (["--spark", "--group-by", "config.lr"], 2, "--spark"),
        (["--group-by", "config.lr", "--fields", "id"], 2, "run_ids"),
    ],
)
def test_wrong_words(words: list[str], code: int, said: str, folder: str, capsys: Capture) -> None:
    assert list_runs.main([folder, *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
