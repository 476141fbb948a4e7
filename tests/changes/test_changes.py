"""wandb_report --baseline: what changed since a run that went well, and whether the result is worse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wandb_runs as logs
from curves import noise
from wandb_toolkit.commands.wandb_report import main
from wandb_toolkit.errors import Exit

STEPS = 60


def write(folder: Path, name: str, level: float, at: int, config: dict[str, Any], parts: int = STEPS) -> None:
    """Write a run whose loss falls to 0.5, or from the step `parts` on to `level`."""
    x = np.linspace(0, 1, STEPS)
    loss = 0.5 + 1.5 * np.exp(-6 * x) + noise(0.004, at, STEPS)
    loss[parts:] += level - 0.5
    rows = [logs.history({"train/loss": float(value)}, step) for step, value in enumerate(loss)]
    head = logs.run(name, name=name, config=config, start=logs.START + 100 * at)
    logs.write_run(folder, [head, *rows, logs.exit_()], name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(4):
        write(tmp_path, f"good{n}", 0.5, n + 1, {"lr": 0.001, "seed": n, "width": 64 + 64 * (n % 2)})
    write(tmp_path, "bad", 1.4, 9, {"lr": 0.001, "seed": 9, "width": 64, "clip": 0.1}, parts=30)
    return tmp_path


def report(capsys: pytest.CaptureFixture[str], *words: str, code: Exit = Exit.OK) -> dict[str, Any]:
    assert main([*words, "--json"]) == code
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def test_what_changed_and_where_the_curves_part(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = report(capsys, str(folder), "--baseline", "good*")
    found = document["changes"]
    assert document["runs"][0]["name"] == "bad", "the newest run is asked about"
    assert [one["key"] for one in found["differences"] if one["part"] == "config"] == ["clip"]
    assert found["suspects"][0]["keys"] == ["config clip"]
    assert "config clip" in found["deciding"]
    [parting] = [one for one in found["partings"] if one["metric"] == "train/loss"]
    assert 24 <= parting["step"] <= 36
    assert {one["id"] for run in document["runs"] if run["name"] == "bad" for one in run["findings"]} >= {
        "worse_than_baseline"
    }
    assert any("packages" in text for text in found["unrecorded"])


def test_the_gate_fails_for_a_run_that_is_worse_and_not_for_one_that_is_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = (str(folder), "--baseline", "good0,good1,good2", "--fail-on", "bad")
    document = report(capsys, *words, "--runs", "bad", code=Exit.FAILED)
    assert document["verdict"] in ("bad", "ugly")
    fine = report(capsys, *words, "--runs", "good3")
    ids = {finding["id"] for run in fine["runs"] for finding in run["findings"]}
    assert "worse_than_baseline" not in ids


def test_one_good_run_has_no_spread(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = report(capsys, str(folder), "--runs", "bad", "--baseline", "latest-good")
    assert len(document["changes"]["baseline"]) == 1
    assert any("one good run does not tell" in text for text in document["changes"]["worse"])
    [skipped] = [one for one in document["runs"][0]["skipped"] if one["id"] == "worse_than_baseline"]
    assert "how far seeds alone move it is not known" in skipped["reason"]


def test_the_same_runs_are_no_baseline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(folder), "--runs", "bad", "--baseline", "bad"]) == Exit.USAGE
    assert "the same as the runs" in capsys.readouterr().err
    assert main([str(folder), "--baseline", "nothing"]) == Exit.NOT_FOUND


def test_text_and_page_say_it(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.html"
    assert main([str(folder), "--runs", "bad", "--baseline", "good*", "--html", str(page)]) == Exit.OK
    assert "What changed" in page.read_text()
    capsys.readouterr()
    assert main([str(folder), "--runs", "bad", "--baseline", "good*"]) == Exit.OK
    text = capsys.readouterr().out
    assert "## What changed" in text
    assert "`train/loss` of `bad` parts from the baseline at step" in text


def test_long_texts_are_shown_from_where_they_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shared = "/data/" + "long/" * 30
    write(tmp_path, "good", 0.5, 1, {"path": f"{shared}january.bin"})
    write(tmp_path, "bad", 1.4, 2, {"path": f"{shared}february.bin"})
    [found] = report(capsys, str(tmp_path), "--baseline", "good")["changes"]["differences"]
    assert found["good"][0].endswith("january.bin")
    assert found["bad"][0].endswith("february.bin")
    assert len(found["bad"][0]) < 40


def test_of_very_many_suspects_halves_are_tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "good", 0.5, 1, {f"option{n}": f"a{n}" for n in range(60)})
    write(tmp_path, "bad", 1.4, 2, {f"option{n}": f"b{n}" for n in range(60)})
    found = report(capsys, str(tmp_path), "--baseline", "good")["changes"]
    assert "cannot tell from 2 runs" in found["verdict"]
    assert "half of the 60 suspects" in found["deciding"]
    assert "6 runs find a single cause" in found["deciding"]


def test_the_version_of_a_dataset_is_a_suspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for n, name in enumerate(["good0", "good1", "good2", "bad"]):
        used = logs.use_artifact("dataset", f"digits:v{4 if name == 'bad' else 3}")
        loss = 0.5 + 1.5 * np.exp(-6 * np.linspace(0, 1, STEPS)) + noise(0.004, n, STEPS) + (name == "bad")
        rows = [logs.history({"train/loss": float(value)}, step) for step, value in enumerate(loss)]
        head = logs.run(name, name=name, config={"lr": 0.001}, start=logs.START + 100 * n)
        logs.write_run(tmp_path, [head, used, *rows, logs.exit_()], name)
    found = report(capsys, str(tmp_path), "--baseline", "good*")["changes"]
    [one] = found["differences"]
    assert (one["part"], one["key"]) == ("artifact", "dataset digits")
    assert found["suspects"][0]["keys"] == ["artifact dataset digits"]
    assert not any("dataset" in text for text in found["unrecorded"])
