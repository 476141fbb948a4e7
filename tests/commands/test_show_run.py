"""show_run through `main(argv)`: what a run's own records say, and how two differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as logs
from plot_fakes import check_schema
from repository import ROOT
from wandb_toolkit.commands import show_run

EXAMPLES = str(ROOT / "examples" / "wandb")
Capture = pytest.CaptureFixture[str]
GIT = logs.field(1, "git@host.test:me/code.git") + logs.field(2, "c0ffee" + "0" * 34)


def environment() -> bytes:
    """Return an EnvironmentRecord, as SDKs from 0.19 on write it."""
    body = (
        logs.field(1, "Linux-6.1")
        + logs.field(2, "CPython 3.12.1")
        + logs.field(5, "--lr=0.1")
        + logs.field(6, "train.py")
    )
    body += logs.field(9, GIT) + logs.field(10, "me@host.test") + logs.field(12, "node7") + logs.field(17, 16)
    body += logs.field(18, "NVIDIA A100") + logs.field(19, 4)
    return logs.record(26, body)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    config = {"lr": 0.1, "optimizer": {"name": "adam", "betas": [0.9, 0.99]}, "api_key": "s3cret"}
    row = [logs.history({"loss": 1.0}, 0)]
    one = [
        logs.run("a", name="first", config=config, notes="try\x1b[31m this", summary={"loss": 1.0}),
        environment(),
        *row,
    ]
    packages = "numpy==2.1.0\ntorch==2.9.1\n-e git+https://host.test/x\n"
    output = "".join(f"line {n}\n" for n in range(40))
    logs.write_run(
        tmp_path,
        [*one, logs.exit_()],
        "a",
        files={"requirements.txt": packages, "diff.patch": "+x", "output.log": output},
    )
    other = [logs.run("b", name="second", config={**config, "lr": 0.2}, summary={"loss": 1.0}), environment(), *row]
    files = {
        "requirements.txt": packages.replace("2.9.1", "2.8.0"),
        "wandb-metadata.json": '{"program": "train.py", "args": ["--lr=0.2"], "python": "3.11.2"}',
    }
    logs.write_run(tmp_path, [*other, logs.exit_(1)], "b", at="20231115_221320", files=files)
    return str(tmp_path)


def shown(capsys: Capture, *words: str) -> Any:
    assert show_run.main([*words, "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    check_schema("show_run", found)
    return found


def test_what_the_log_and_the_files_say(folder: str, capsys: Capture) -> None:
    [run] = shown(capsys, folder, "a", "--log", "2")["runs"]
    assert (run["state"], run["exit_code"], run["command"]) == ("finished", 0, "train.py --lr=0.1")
    assert run["git"] == {"commit": "c0ffee" + "0" * 34, "remote": "git@host.test:me/code.git", "dirty": True}
    assert run["config"]["optimizer"] == {"name": "adam", "betas": [0.9, 0.99]}
    assert run["config"]["api_key"] == "***"
    assert run["packages"] == {"numpy": "2.1.0", "torch": "2.9.1"}
    assert run["console"] == ["line 38", "line 39"]
    assert (run["environment"]["gpu"], run["environment"]["gpu_count"]) == ("NVIDIA A100", 4)
    assert "me@host.test" not in json.dumps(run)
    assert {file["name"] for file in run["files"]} == {"requirements.txt", "diff.patch", "output.log"}


def test_for_people(folder: str, capsys: Capture) -> None:
    assert show_run.main([folder, "first"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("first (a): finished")
    for line in (
        "train.py --lr=0.1",
        "with uncommitted changes",
        "4 x NVIDIA A100",
        "optimizer.name   adam",
        '"try this"',
        "  | line 39",
    ):
        assert line in text, line
    assert "s3cret" not in text
    assert "\x1b" not in text


def test_how_two_runs_differ(folder: str, capsys: Capture) -> None:
    apart = shown(capsys, folder, "a", "b")["differences"]
    assert apart["config"] == {"lr": [0.1, 0.2]}
    assert apart["packages"] == {"torch": ["2.9.1", "2.8.0"]}
    assert apart["code"]["command"] == ["train.py --lr=0.1", "train.py --lr=0.2"]
    assert apart["run"]["exit code"] == [0, 1]
    assert apart["machine"]["python"] == ["CPython 3.12.1", "3.11.2"]
    show_run.main([folder, "a", "b", "--pattern", "opt*"])
    assert "lr  " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["c"], 4, "No run is called 'c'"),
        (["a", "a"], 2, "Both names mean the run first (a)"),
        (["*"], 2, "means 2 runs"),
        (["a", "--pattern", "optimiser*"], 4, "optimizer.name"),
        (["a", "--log", "x"], 2, "whole number"),
    ],
)
def test_bad_arguments(folder: str, capsys: Capture, words: list[str], code: int, said: str) -> None:
    assert show_run.main([folder, *words]) == code
    assert said in capsys.readouterr().err


def test_filter_chooses_the_run_or_the_two(capsys: Capture) -> None:
    assert show_run.main([EXAMPLES, "--filter", "config.learning_rate>1", "--fields", "runs.id"]) == 0
    assert json.loads(capsys.readouterr().out) == {"runs": [{"id": "lrhigh01"}]}
    assert show_run.main([EXAMPLES, "--filter", "config.seed in (2, 3)", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"]["config"].keys() == {"seed"}
    assert show_run.main([EXAMPLES, "--filter", "tag==baseline"]) == 2
    assert "means 4 runs" in capsys.readouterr().err
    assert show_run.main([EXAMPLES, "--filter", "config.sed==2"]) == 4
    assert "config.seed" in capsys.readouterr().err
