"""The demonstration: the first of the README's two commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import demo


def test_it_lists_reports_and_plots_into_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.main([]) == 0
    said = capsys.readouterr().out
    assert [p.name for p in tmp_path.iterdir()] == ["wandb_plots"]
    written = {p.name: p for p in (tmp_path / "wandb_plots").rglob("*") if p.is_file()}
    assert {"report.md", "report.json", "metadata.json"} <= set(written)
    plots = [p for name, p in written.items() if name.endswith(".png")]
    assert 4 <= len(plots) <= 6
    for path in written.values():
        assert str(path.relative_to(tmp_path)) in said
    assert json.loads(written["report.json"].read_text())["verdict"] == "ugly"
    assert "8 runs: " in said
    assert "grpo-base-s1" in said


def test_a_folder_that_cannot_be_written_ends_with_the_steps_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wandb_plots").write_text("in the way")
    assert demo.main([]) == 2
    assert "a file, not a folder" in capsys.readouterr().err


def test_without_the_example_runs_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "EXAMPLES", Path("/nowhere/wandb"))
    assert demo.main([]) == 4
    assert "There is no /nowhere/wandb" in capsys.readouterr().err
