"""Only the last rows of a run, and only what changed since the last look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from report_cases import NOW, a_run, curve, memory_source, rising
from wandb_toolkit.model import History, Report, Run, Series
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.reports.changes import changes, still_going
from wandb_toolkit.reports.window import Windowed, last_rows

LOSS = 2.0 - rising(1.0, 300)


def test_the_window_is_the_last_rows_of_all_metrics_together() -> None:
    sparse = Series("eval", np.array([0.0, 100, 250]), np.array([1.0, 2, 3]), total=3000)
    old = Series("warmup", np.array([0.0, 5]), np.array([1.0, 2]))
    content = {"_runtime": curve(range(300)), "loss": curve(LOSS, "loss"), "eval": sparse, "warmup": old}
    kinds: Any = dict.fromkeys([*content, "text"], "number")
    found = last_rows(History(content, kinds, rows=300), 60)
    assert found["loss"].x.tolist() == list(range(240, 300))
    assert (found["eval"].x.tolist(), found["eval"].sampled) == ([250], False)
    assert "warmup" not in found
    assert "warmup" not in found.kinds
    assert "text" in found.kinds
    assert found.warnings == ("not logged in the last 60 rows: warmup",)


def test_a_window_wider_than_the_run_changes_nothing() -> None:
    history = History({"loss": curve(LOSS, "loss")})
    assert last_rows(history, 1000) is history
    assert len(last_rows(history, 10)["loss"]) == 10  # no clock: the metric logged most often counts rows
    assert last_rows(History({}), 5).series == {}


def test_a_report_through_a_window_sees_the_window_only() -> None:
    values = LOSS.copy()
    values[20:60] = np.nan
    source = memory_source([(a_run("one"), {"loss": values, "_runtime": np.arange(300)})])
    assert Windowed(source, 100).description == "memory"
    assert build_report(source, source.all, ReportOptions(NOW)).report.verdict == "ugly"
    report = build_report(source, source.all, ReportOptions(NOW, window=100)).report
    assert report.verdict != "ugly"
    assert report.comparison is not None
    assert report.comparison.runs[0].best_step is not None
    assert report.comparison.runs[0].best_step >= 200


def report_of(*content: tuple[Run, Mapping[str, Any]]) -> Report:
    source = memory_source(content)
    return build_report(source, source.all, ReportOptions(NOW)).report


def test_only_what_changed_is_told() -> None:
    going = a_run("one", state="running", steps=100, last_activity=NOW)
    before = report_of((going, {"loss": LOSS[:100]}), (a_run("done"), {"loss": LOSS}))
    assert still_going(before) == 1
    assert changes(before, before) == []
    broken = LOSS[:200].copy()
    broken[150:] = np.nan
    later = report_of(
        (a_run("one", state="running", steps=200, last_activity=NOW), {"loss": broken}),
        (a_run("done"), {"loss": LOSS}),
        (a_run("third", state="running", last_activity=NOW), {"loss": LOSS}),
    )
    said = changes(before, later)
    assert "`one`: was good, now ugly" in said
    assert any(line.startswith("`one`: ugly: `loss`") and "150" in line for line in said)
    assert any(line.startswith("`one`: step 100 → 200, `loss` ") for line in said)
    assert "`third`: new, running, good" in said
    assert not any("`done`" in line and "step" in line for line in said)
    ended = report_of((a_run("one", steps=100), {"loss": LOSS[:100]}))
    back = changes(later, ended)
    assert "`one`: running, now finished" in back
    assert any(line.startswith("`one`: no longer ugly: ") for line in back)
    assert "`done`: no longer among the runs" in back
    assert still_going(ended) == 0


def test_runs_of_one_id_in_two_projects_are_two() -> None:
    one = report_of((a_run("a", id="x", project="p", steps=1), {"loss": LOSS}))
    other = report_of((a_run("a", id="x", project="q", steps=2), {"loss": LOSS}))
    assert changes(one, other)[0] == "`a`: new, finished, good"


@pytest.mark.parametrize("steps", [None, 5])
def test_a_run_without_steps_has_no_progress(steps: int | None) -> None:
    first = report_of((a_run("a", state="running", steps=None, last_activity=NOW), {"loss": LOSS}))
    then = report_of((a_run("a", state="running", steps=steps, last_activity=NOW), {"loss": LOSS}))
    assert len(changes(first, then)) == (0 if steps is None else 1)


def test_system_metrics_are_cut_at_the_time_of_the_first_row() -> None:
    system = Series("system.gpu", np.arange(0.0, 600, 10), np.ones(60), axis="_runtime")
    content = {"_runtime": curve(np.arange(300) * 2.0, "_runtime"), "loss": curve(LOSS, "loss"), "system.gpu": system}
    assert last_rows(History(content), 50)["system.gpu"].x.min() == 500


def test_a_run_whose_log_did_not_yet_name_its_project_is_the_same_run() -> None:
    bare = a_run("x1", id="x1", project=None, state="running", steps=None, last_activity=NOW)
    named = a_run("good name", id="x1", entity="me", state="running", steps=7, last_activity=NOW)
    said = changes(report_of((bare, {})), report_of((named, {"loss": LOSS})))
    assert said[0] == "`good name`: was unknown, now good"
    assert not any("no longer among" in line or "new" in line for line in said)
