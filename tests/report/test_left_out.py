"""A report on the newest of many runs says so wherever it speaks of the best."""

from __future__ import annotations

from report_cases import NOW, a_run, memory_source, rising
from wandb_toolkit.report.build import ReportOptions, build_report
from wandb_toolkit.report.render.markdown import markdown
from wandb_toolkit.report.render.report_json import report_object


def test_the_best_is_the_best_of_those_that_were_read() -> None:
    runs = [(a_run(f"r{at}", config={"lr": at}), {"eval/accuracy": rising(0.5 + at / 10, 150)}) for at in range(3)]
    source = memory_source(runs)
    some = build_report(source, source.all, ReportOptions(NOW, left_out=420)).report
    text = markdown(some)
    assert "best of the newest 3 `r2`" in text.splitlines()[2]
    assert "420 older runs not read (--max-runs)" in text.splitlines()[2]
    assert "in `r2`, the best of the newest 3 runs" in text
    assert report_object(some)["comparison"]["of"] == {"judged": 3, "matching": 423}
    every = build_report(source, source.all, ReportOptions(NOW)).report
    assert "newest" not in markdown(every)
