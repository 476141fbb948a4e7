"""What commands read at most: said where it cuts, moved by a flag and by the environment."""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path

import pytest

import wandb_runs as w
from repository import ROOT
from wandb_toolkit import limits
from wandb_toolkit.commands import download_plots, get_history, list_metrics, list_runs, wandb_report
from wandb_toolkit.sources.wandb_log.scan import scan_log
from wandb_toolkit.sources.wandb_log.summary import Latest


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A run whose rows hold ever new metrics: 600, and then `loss`."""
    rows = [w.history({"_step": at, **{f"k{at}/{n}": 0.5 for n in range(60)}}, at) for at in range(10)]
    summary = w.summary({f"k{at}/{n}": 0.5 for at in range(10) for n in range(60)})
    w.write_run(tmp_path / "many", [w.run(), *rows, *w.rows(40, first=10), summary, w.exit_()])
    return tmp_path / "many"


def test_metrics_beyond_the_limit_are_left_out_and_that_is_said(
    many: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert list_metrics.main([str(many), "--json", "--max", "metrics=100"]) == 0
    out, err = capsys.readouterr()
    assert 90 <= len(json.loads(out)) <= 100
    assert "more than 100 metrics" in err
    assert "--max metrics=N" in err
    monkeypatch.setenv("WANDB_TOOLKIT_MAX_METRICS", "200")
    assert list_metrics.main([str(many), "--json"]) == 0
    out, err = capsys.readouterr()
    assert 190 <= len(json.loads(out)) <= 200
    assert list_metrics.main([str(many), "--json", "--max", "metrics=1k"]) == 0  # the flag has the last word
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 601
    assert not err
    assert os.environ["WANDB_TOOLKIT_MAX_METRICS"] == "200"


def test_a_report_and_a_listing_say_so_too(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert wandb_report.main([str(many), "--max", "metrics=100"]) == 0
    assert "more than 100 metrics" in "".join(capsys.readouterr())
    assert list_runs.main([str(many), "--json", "--max", "metrics=100"]) == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)[0]["summary_metrics"]) <= 100
    assert "more than 100 summary keys" in err


def test_what_is_asked_for_by_name_is_found_behind_the_limit(
    many: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_TOOLKIT_MAX_METRICS", "100")
    log = next(many.rglob("*.wandb"))
    found = scan_log(log, keys=["loss"]).history
    assert found is not None
    assert len(found.columns["loss"].values) == 40
    assert not found.beyond
    assert get_history.main([str(many), "--metrics", "loss,k0/1", "--json"]) == 0
    out, err = capsys.readouterr()
    assert "more than 100 metrics" in err
    assert sum("loss" in row["values"] for row in json.loads(out)) == 40


def test_wrong_limits_are_usage_errors(many: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for setting, said in (("metrix=5", "metrics"), ("metrics", "no number"), ("metrics=-5", "whole number")):
        assert list_metrics.main([str(many), "--max", setting]) == 2
        assert said in capsys.readouterr().err
    assert limits.number("40M", "x") == 40_000_000


def test_a_summary_of_dicts_and_their_parts_takes_linear_work() -> None:
    """Each key that is a dict and a key within it is related to few others, however many keys there are."""

    def looked_up(count: int) -> int:
        latest, looks = Latest(), 0
        for at in range(count):
            for row in ({("d", str(at)): 1}, {("d", str(at), "x"): 2}):
                record = w.summary(row)
                latest.add(record, 4, len(record))
        for spellings in latest._keys._spellings.values():
            looks += len(spellings)
        return looks + sum(map(len, latest._keys._below.values()))

    assert looked_up(400) < 2.2 * looked_up(200)


def test_the_bytes_of_all_files_are_limited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    w.write_run(tmp_path, [w.run(), w.exit_()], files={f"media/{n}.txt": "x" * 1000 for n in range(5)})
    words = [str(tmp_path), "latest", "--pattern", "*.txt", "--output", "out", "--json", "--jobs", "1"]
    assert download_plots.main([*words, "--max", "download-bytes=2500"]) == 6
    done = json.loads(capsys.readouterr().out)
    assert len(done["downloaded"]) == 2
    assert {"all files together have more than 2.5 kB" in one["reason"] for one in done["failed"]} == {True}
    assert download_plots.main(words) == 0
    assert len(json.loads(capsys.readouterr().out)["downloaded"]) == 3


def test_the_page_is_fresh() -> None:
    maker = runpy.run_path(str(ROOT / "docs" / "make_limits.py"))
    assert (ROOT / "docs" / "limits.md").read_text(encoding="utf-8") == maker["page"]()
