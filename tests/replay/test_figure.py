"""The figure of a replay: which runs it shows, its marks, and that strangers' names stay text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from repository import ROOT
from wandb_toolkit.commands.wandb_report import main
from wandb_toolkit.errors import Exit
from wandb_toolkit.model import Policy, Replay, ReplayedRun, Run
from wandb_toolkit.plots.figures.stops import StopsPainter
from wandb_toolkit.plots.stops import ROWS, stops_of
from wandb_toolkit.plots.svg_stops import stops_svg
from wandb_toolkit.replay.gpus import gpus_of

NAMES = ("ugly", "bad", "median")


def replayed(*runs: tuple[str, int, tuple[int | None, int | None, int | None], bool]) -> Replay:
    rows = tuple(
        ReplayedRun(name, name, steps, dict(zip(NAMES, stops, strict=True)), best) for name, steps, stops, best in runs
    )
    policies = tuple(
        Policy(name, sum(one.stopped[name] is not None for one in rows), 0, 0.0, 0.0, None, 0, (), 1) for name in NAMES
    )
    return Replay(policies, rows, (), 12, "")


def test_stopped_runs_come_first_and_others_fill_up() -> None:
    others = [(f"run{n}", 100, (None, None, None), False) for n in range(30)]
    figure = stops_of(replayed(*others, ("late", 100, (None, None, 80), True), ("early", 200, (None, 20, None), False)))
    assert figure is not None
    assert [row.name for row in figure.rows[:3]] == ["early", "late", "run0"]
    assert len(figure.rows) == ROWS
    assert figure.note == "8 more runs not shown"
    assert figure.sentence == (
        "Of 32 runs would have been stopped, by --fail-on ugly 0, --fail-on bad 1, median stopping 1"
    )
    assert stops_of(replayed(*others)) is None


def test_marks_stand_at_the_steps() -> None:
    figure = stops_of(replayed(("a", 100, (40, 30, None), False), ("b", 50, (None, None, 25), True)))
    assert figure is not None
    painter = StopsPainter(figure)
    painter.draw(figure)
    lines = {str(line.get_gid()): line for line in painter.figure.axes[0].lines}
    assert np.asarray(lines["stops:--fail-on ugly"].get_xdata()).tolist() == [40]
    assert np.asarray(lines["stops:median stopping"].get_xdata()).tolist() == [25]
    assert np.asarray(lines["run:b"].get_xdata()).tolist() == [0, 50]
    bold = {text.get_text() for text in painter.figure.texts if text.get_fontweight() == "bold"}
    assert bold == {"b"}


def test_a_name_is_text_in_the_page() -> None:
    figure = stops_of(replayed(("<b>x</b>\x1b[31m", 0, (0, None, None), False)))
    assert figure is not None
    drawn = stops_svg(figure)
    assert "<b>" not in drawn
    assert "\x1b" not in drawn
    assert "&lt;b&gt;x" in drawn
    assert "--fail-on ugly at step 0 of 0" in drawn
    assert " style=" not in drawn


def test_the_figure_is_in_the_page_and_among_the_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(ROOT / "examples" / "wandb"), "--runs", "grpo-base-s1,kl-leash,entropy-collapse", "--replay"]
    words = ["--figures", str(tmp_path / "f"), "--html", str(tmp_path / "r.html"), "--json", "--quiet", "--jobs", "1"]
    assert main([*runs, *words]) == Exit.OK
    named = json.loads(capsys.readouterr().out)["replay"]["figure"]
    assert Path(named).read_bytes().startswith(b"\x89PNG")
    assert '<svg class="stops"' in (tmp_path / "r.html").read_text()


def test_gpus_are_counted_where_they_are_recorded() -> None:
    class Machines:
        kind = "local"

        def environment(self, run: Run) -> dict[str, Any]:
            return {"gpu_count": {"a": 8, "b": "many", "c": True, "d": -1}.get(run.id)}

    runs = [Run(id_, id_, None, None, "finished", None) for id_ in "abcde"]
    assert gpus_of(Machines(), runs) == [8, None, None, None, None]  # type: ignore[arg-type]
