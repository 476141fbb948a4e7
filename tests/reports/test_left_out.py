"""A report on the newest of many runs says so wherever it speaks of the best."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import wandb_runs as logs
from report_cases import NOW, a_run, memory_source, rising
from wandb_toolkit.commands import wandb_report
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.reports.render.markdown import markdown
from wandb_toolkit.reports.render.report_json import report_object


def test_the_best_is_the_best_of_those_that_were_read() -> None:
    runs = [(a_run(f"r{at}", config={"lr": at}), {"eval/accuracy": rising(0.5 + at / 10, 150)}) for at in range(3)]
    source = memory_source(runs)
    some = build_report(source, source.all, ReportOptions(NOW, left_out=420)).report
    text = markdown(some)
    assert "best of the newest 3 runs: `r2`" in text.splitlines()[2]
    assert "420 older runs not read (--max-runs)" in text.splitlines()[2]
    assert "in `r2`, the best of the newest 3 runs" in text
    assert report_object(some)["by_summary"] is None
    assert report_object(some)["comparison"]["of"] == {"judged": 3, "matching": 423}
    every = build_report(source, source.all, ReportOptions(NOW)).report
    assert "newest" not in markdown(every)


def test_all_runs_are_ranked_by_their_summaries_and_the_best_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in range(12):  # the older, the better, but for the first, which is broken
        level = 0.9 - at / 20 if at else float("nan")
        rows = [logs.history({"eval/accuracy": level * row / 20, "lr": 0.1}, row) for row in range(1, 21)]
        head = logs.run(f"r{at}", start=logs.START + 60 * at, summary={"eval/accuracy": level, "lr": 0.1})
        logs.write_run(tmp_path, [head, *rows, logs.exit_()], f"r{at}", at=f"20231114_22{at:02}20")
    assert wandb_report.main([str(tmp_path), "--max-runs", "4", "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {run["id"] for run in found["runs"]} == {"r1", "r2", "r10", "r11"}
    assert found["left_out"] == 8
    ranking = found["by_summary"]
    assert (ranking["metric"], ranking["direction"], ranking["ranked"], ranking["read_as_best"]) == (
        "eval/accuracy",
        "max",
        11,
        2,
    )
    assert [one["id"] for one in ranking["best"]] == ["r1", "r2", "r3", "r4", "r5"]
    assert found["comparison"]["best"] == "r1"
    wandb_report.main([str(tmp_path), "--max-runs", "4", "-q"])
    text = capsys.readouterr().out
    assert "best of the 4 runs read of 12: `r1`" in text
    assert "the 2 best of these and the 2 newest others" in text
