"""generate_plots --kind: settings against results, through the command."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_source import FakeSource
from plot_fakes import Outcome, call, check_schema, line, make_history, make_run
from wandb_toolkit.commands.generate_plots import main
from wandb_toolkit.plots.figures.file import owner_of


def sweep(**more: Any) -> FakeSource:
    content: list[tuple[Any, Any]] = []
    for at in range(8):
        config = {"lr": 10.0 ** -(1 + at % 4), "opt": {"name": "ab"[at % 2]}, "seed": at // 4, **more}
        summary = {"acc": math.nan if at == 5 else at / 10, "loss": {"min": 1 - at / 10}, "note": "text"}
        state = "crashed" if at == 7 else "finished"
        run = make_run(f"id{at}", f"run-{at}", config=config, summary=summary, state=state)
        content.append((run, make_history(line("acc", [0.0, at / 10]))))
    return FakeSource(content)


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(*words: str, source: FakeSource | None = None) -> Outcome:
        return call(main, monkeypatch, capsys, source or sweep(), "x", "*", *words, "--output", tmp_path / "out")

    return run


def test_a_scatter_plot_for_each_key_with_the_runs_in_json(draw: Any) -> None:
    done = draw("--kind", "scatter", "--x", "config.lr,config.opt.name", "--y", "acc", "--json")
    assert done.code == 0, done.err
    check_schema("generate_plots", done.json)
    first, second = done.json["plots"]
    assert (first["kind"], first["x_axis"], second["x_axis"]) == ("scatter", "config.lr", "config.opt.name")
    assert first["file"].endswith("scatter__acc__config.lr.png")
    assert next(one for one in first["results"] if one["id"] == "id5") == {
        "id": "id5", "label": "run-5", "state": "finished", "settings": {"config.lr": 0.01}, "result": "NaN",
        "group": None,
    }  # fmt: skip
    assert "1 failed" in first["alt"]
    recorded = json.loads(Path(done.json["metadata"]).read_text())["plots"]["files"][Path(first["file"]).name]
    assert recorded["owner"] == owner_of(Path(first["file"]))
    assert recorded["results"] == first["results"]


def test_parallel_coordinates_choose_what_differs_and_rank_by_the_usual_metric(draw: Any) -> None:
    done = draw("--kind", "parallel", "--json", "--theme", "dark")
    assert done.code == 0, done.err
    check_schema("generate_plots", done.json)
    (plot,) = done.json["plots"]
    assert plot["metric"] == "acc"
    assert list(plot["results"][0]["settings"]) == ["config.lr", "config.opt.name"]


def test_groups_of_seeds_are_lines(draw: Any) -> None:
    done = draw("--kind", "parallel", "--y", "acc", "--group-by", "all-but:config.seed", "--json")
    check_schema("generate_plots", done.json)
    assert len(done.json["plots"][0]["results"]) == 4
    assert "4 groups" in done.json["plots"][0]["alt"]


def test_a_summary_that_keeps_the_minimum_is_said(draw: Any) -> None:
    done = draw("--kind", "scatter", "--x", "config.lr", "--y", "loss")
    assert "loss.min against config.lr" in done.out
    assert "the min value, which the runs keep in their summaries" in done.out


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["scatter", "--x", "config.lrr", "--y", "acc"], 4, "config.lr"),
        (["scatter", "--x", "config.lr", "--y", "acd"], 4, "Nearest metrics: acc"),
        (["scatter", "--x", "config.lr", "--y", "note"], 2, "not a number"),
        (["scatter", "--x", "summary.nothing", "--y", "acc"], 4, "summary.acc"),
        (["scatter", "--y", "acc"], 2, "These differ between the runs: config.lr, config.opt.name"),
        (["scatter", "--x", "lr", "--y", "acc"], 2, "config.lr"),
        (["scatter", "--x", "config.lr,,", "--y", "acc"], 2, ""),
        (["scatter", "--x", "config.lr", "--y", "acc", "--band", "ci"], 2, "--band is for curves"),
        (["scatter", "--x", "config.lr", "--y", "acc", "--metrics", "acc"], 2, "both name the results"),
        (["parallel", "--x", "config.lr", "--y", "acc", "--grid"], 2, "contradict"),
        (["lines", "--y", "acc", "--metrics", "acc"], 2, "the same for curves"),
        (["bars", "--y", "acc", "--x", "config.lr"], 2, "shows all settings"),
        (["bars", "--y", "nothing"], 4, "nothing"),
        (["pie"], 2, "pie"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw: Any, words: list[str], code: int, said: str) -> None:
    done = draw("--kind", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err


def test_runs_that_do_not_differ_have_no_settings_to_show(draw: Any) -> None:
    content: list[tuple[Any, Any]] = [
        (make_run(f"id{at}", config={"seed": at}, summary={"acc": 1}), make_history()) for at in range(2)
    ]
    done = draw("--kind", "parallel", "--y", "acc", source=FakeSource(content))
    assert done.code == 2
    assert "No setting differs" in done.err


def test_lines_take_x_and_y_for_axis_and_metrics(draw: Any) -> None:
    done = draw("--kind", "lines", "--y", "acc", "--x", "step", "--json")
    assert done.code == 0, done.err
    assert [plot["kind"] for plot in done.json["plots"]] == ["lines"]


def configurations(count: int) -> FakeSource:
    rng = np.random.default_rng(0)
    content: list[tuple[Any, Any]] = []
    for at in range(count):
        curve = at / count + 0.4 * (1 - np.exp(-np.arange(60) / 9)) + rng.normal(0, 1e-3, 60)
        config = {"lr": 0.001 * (at + 1), "opt": "ab"[at % 2]}
        run = make_run(f"id{at}", f"run-{at}", config=config, summary={"acc": float(curve[-1])}, steps=59)
        content.append((run, make_history(line("acc", curve.tolist()))))
    return FakeSource(content)


def test_bars_are_what_the_comparison_says_of_the_settings(draw: Any) -> None:
    done = draw("--kind", "bars", "--y", "acc", "--json", source=configurations(12))
    assert done.code == 0, done.err
    check_schema("generate_plots", done.json)
    (plot,) = done.json["plots"]
    assert [one["key"] for one in plot["settings"]] == ["lr", "opt"]
    assert plot["settings"][0]["strength"] == pytest.approx(1)
    assert "lr more is better, ρ +1.00" in plot["alt"]
    assert "correlation, not proof" in plot["alt"]


def test_too_few_configurations_are_skipped_with_the_reason(draw: Any) -> None:
    done = draw("--kind", "bars", "--y", "acc", source=configurations(4))
    assert done.code == 6
    assert "skipped acc: 4 completed configurations" in done.out
