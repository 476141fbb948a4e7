"""Scatter plots and parallel coordinates: by their artists and words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from plot_fakes import make_run
from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Run, Signal, Signals
from wandb_toolkit.plots.coloring import coloring_of
from wandb_toolkit.plots.figures.bars import MOST_BARS, BarsPainter
from wandb_toolkit.plots.figures.parallel import ParallelPainter
from wandb_toolkit.plots.figures.scatter import ScatterPainter
from wandb_toolkit.plots.figures.sweep_canvas import SweepCanvas
from wandb_toolkit.plots.figures.view import DARK, View
from wandb_toolkit.plots.group_keys import groups_of
from wandb_toolkit.plots.scales import scale_of
from wandb_toolkit.plots.sweep import Sweep, by_groups, sweep_of, varied_keys
from wandb_toolkit.plots.sweep_text import describe_sweep
from wandb_toolkit.plots.sweeps import judged_sweep

SMALL = View(width=900, height=500, dpi=100)


def trial(at: int, result: Any, state: str = "finished", **config: Any) -> Run:
    summary = {} if result is None else {"acc": result}
    return make_run(f"id{at}", f"run-{at}", state=state, config=config, summary=summary)


def swept(runs: Sequence[Run], *keys: str, by: Sequence[str] = (), color: str | None = None) -> Sweep:
    labels = [run.name for run in runs]
    groups: Mapping[str, Sequence[int]] = groups_of(runs, by) if by else {}
    coloring = coloring_of(runs, color) if color else None
    return sweep_of(runs, labels, "acc", "max", keys, groups=groups, group_by=",".join(by) or None, coloring=coloring)


def scatter(sweep: Sweep, view: View = SMALL) -> ScatterPainter:
    painter = ScatterPainter(view)
    painter.draw(sweep)
    return painter


def parallel(sweep: Sweep, view: View = SMALL) -> ParallelPainter:
    painter = ParallelPainter(view)
    painter.draw(sweep)
    return painter


def points(painter: ScatterPainter, gid: str) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for line in painter.axes.lines
        if line.get_gid() == gid
        for x, y in zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True)
    ]


def texts(painter: SweepCanvas, gid: str) -> list[str]:
    return [text.get_text() for text in painter.figure.texts if text.get_gid() == gid]


def test_numbers_over_decades_lie_on_a_log_scale_with_zero_and_what_is_not_set_beside_it() -> None:
    scale = scale_of("lr", [1e-4, 1e-3, 1e-2, 0, None])
    assert scale.kind == "log"
    low, middle, high, zero, unset = scale.places
    assert zero == 0 < low < middle < high < unset == 1
    assert middle == pytest.approx((low + high) / 2)
    assert [word for _, word in scale.ticks] == ["0", "0.0001", "0.001", "0.01", "not set"]
    assert scale_of("lr", [0.1, 0.2, 0.4]).kind == "linear"
    assert scale_of("lr", [-1e-4, 1, 100]).kind == "linear"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["b", "a", "b"], ["a", "b"]),
        ([True, False, None], ["false", "true", "not set"]),
        ([[1, 2], {"x": 1}], ["[1, 2]", '{"x": 1}']),
        ([3, 3], ["3"]),
        ([math.nan, math.inf], ["Infinity", "NaN"]),
        ([10**400, 1], ["1", "not set"]),
        (["x" * 50 + "1", "x" * 50 + "2"], ["x" * 23 + "…", "x" * 23 + "… (2)"]),
        (["\x1b[31mred", ""], ["(empty)", "red"]),
    ],
)
def test_any_values_have_places(values: list[Any], words: list[str]) -> None:
    scale = scale_of("key", values)
    assert sorted(word.replace("[31m", "") for _, word in scale.ticks) == sorted(words)
    assert all(0 <= place <= 1 for place in scale.places)


def test_the_rarest_of_many_texts_share_a_place() -> None:
    scale = scale_of("name", [f"n{at}" for at in range(40)] + ["n0"])
    assert len(scale.ticks) == 12
    assert scale.ticks[-1][1] == "29 others"
    assert scale.places[0] == scale.places[-1]


def test_points_are_results_and_runs_that_failed_or_run_are_marked() -> None:
    runs = [
        trial(0, 0.5, lr=1e-4), trial(1, 0.9, lr=1e-3), trial(2, 0.2, "crashed", lr=1e-2),
        trial(3, 0.95, "running", lr=1e-2), trial(4, math.nan, lr=1e-4), trial(5, None, "failed", lr=1e-3),
    ]  # fmt: skip
    painter = scatter(swept(runs, "config.lr"))
    assert [y for _, y in points(painter, "points:finished")] == [0.5, 0.9]
    assert [y for _, y in points(painter, "points:failed")] == [0.2]
    assert [y for _, y in points(painter, "points:running")] == [0.95]
    assert len(points(painter, "none:finished")) == len(points(painter, "none:failed")) == 1
    assert [y for _, y in points(painter, "best")] == [0.9]
    words = " ".join(texts(painter, "subtitle"))
    assert "× 2 failed" in words
    assert "◇ 1 still running" in words
    assert "▽ 2 without a finite result (1 never logged it, 1 NaN or infinite)" in words
    assert "log scale" in painter.axes.get_xlabel()


def test_seeds_have_a_mean_without_those_that_failed() -> None:
    runs = [trial(at, 0.1 * at, lr=1e-3, seed=at) for at in range(3)]
    runs += [trial(3, 9.0, "crashed", lr=1e-3, seed=3), trial(4, 0.7, lr=1e-2, seed=0)]
    painter = scatter(swept(runs, "config.lr"))
    assert [y for _, y in points(painter, "means:seeds")] == [pytest.approx(0.1)]
    assert "runs that differ in seeds only" in " ".join(texts(painter, "subtitle"))


def test_groups_have_means_at_each_value_and_a_list() -> None:
    runs = [trial(at, at / 10, lr=10.0 ** -(1 + at % 2), opt="ab"[at // 4]) for at in range(8)]
    painter = scatter(swept(runs, "config.lr", by=["config.opt"]))
    assert sorted(y for _, y in points(painter, "means:opt=a")) == pytest.approx([0.1, 0.2])
    assert texts(painter, "label") == ["opt=a", "opt=b"]


def test_a_colour_scale_has_five_values_in_the_list() -> None:
    runs = [trial(at, at / 10, lr=10.0**-at, wd=at) for at in range(9)]
    assert len(texts(scatter(swept(runs, "config.wd", color="config.lr")), "label")) == 5


def test_a_single_value_and_no_finite_result_are_drawn_and_said() -> None:
    painter = scatter(swept([trial(0, math.nan, lr=1), trial(1, math.inf, lr=1)], "config.lr"), View(theme=DARK))
    assert "config.lr has one value" in " ".join(texts(painter, "subtitle"))
    assert [text.get_text() for text in painter.axes.texts] == ["no finite result"]


def test_points_beyond_the_axis_are_marked_at_its_edge() -> None:
    runs = [trial(at, 1 + at / 100, lr=at) for at in range(60)] + [trial(99, 1e9, lr=5)]
    painter = scatter(swept(runs, "config.lr"))
    assert len(points(painter, "beyond")) == 1
    assert "1 point beyond the axis" in " ".join(texts(painter, "subtitle"))


def test_parallel_coordinates_have_an_axis_for_each_setting_and_the_result() -> None:
    runs = [trial(at, 0.1 * at, lr=10.0**-at, opt="ab"[at % 2]) for at in range(4)]
    runs += [trial(4, 0.9, "crashed", lr=0.1, opt="a"), trial(5, math.nan, lr=0.1, opt="b")]
    painter = parallel(swept(runs, "config.lr", "config.opt"))
    names = [text.get_text() for text in painter.figure.texts if str(text.get_gid()).startswith("name:")]
    assert names == ["lr", "opt", "acc"]
    lines = {str(one.get_gid()): one for one in painter.axes.collections}
    assert len(lines["lines:finished"].get_paths()) == 5
    assert len(lines["lines:failed"].get_paths()) == 1
    (best,) = (line for line in painter.axes.lines if line.get_gid() == "best")
    assert list(np.asarray(best.get_xdata())) == [0, 1, 2]
    finished = [float(np.asarray(path.vertices)[-1][1]) for path in lines["lines:finished"].get_paths()]
    assert min(finished) == 0  # no result stands below all results
    assert float(np.asarray(best.get_ydata())[-1]) == max(finished)
    assert "no result" in texts(painter, "tick:acc")


def test_a_group_is_one_line_and_what_differs_within_it_is_left_out() -> None:
    runs = [trial(at, at / 10, lr=10.0 ** -(at // 2), seed=at % 2) for at in range(6)]
    sweep = by_groups(swept(runs, "config.lr", "config.seed", by=["config.lr"]))
    assert sweep.keys == ("config.lr",)
    assert [one.result for one in sweep.trials] == pytest.approx([0.05, 0.25, 0.45])
    assert "3 groups" in " ".join(texts(parallel(sweep), "subtitle"))
    with pytest.raises(UsageError, match=r"differ in config\.seed"):
        by_groups(swept(runs, "config.seed", by=["config.lr"]))


@pytest.mark.parametrize("paint", [scatter, parallel])
def test_strangers_words_are_no_formulas(paint: Any) -> None:
    words = ["$\\frac{1}{0}$", "$\\nothing$ _^", "数", "\x1b[31m\u202e<b>", "a" * 300, "{$"]
    painter = paint(swept([trial(at, at / 10, **{"$k_{$": word}) for at, word in enumerate(words)], "config.$k_{$"))
    assert painter.content("t", "alt", "", ()).startswith(b"\x89PNG")
    told = [text.get_text() for text in (*painter.figure.texts, *painter.axes.get_xticklabels())]
    assert "$\\nothing$ _^" in told
    assert not any("\x1b" in text or "\u202e" in text for text in told)


def test_a_group_without_a_finished_run_has_no_result() -> None:
    runs = [trial(0, 0.5, lr=1), trial(1, 0.9, "crashed", lr=2)]
    sweep = by_groups(swept(runs, "config.lr", by=["config.lr"]))
    assert sweep.trials[1].logged is None
    assert "1 without a finite result (1 has no finished run)" in " ".join(texts(parallel(sweep), "subtitle"))


def test_five_thousand_runs_and_hostile_names() -> None:
    rng = np.random.default_rng(0)
    runs = [trial(at, float(rng.normal()), lr=float(10 ** rng.uniform(-5, -1)), opt="ab"[at % 2]) for at in range(5000)]
    runs[0] = trial(0, 1.0, lr=1e-3, opt="\x1b]0;x\x07<script>\n$\\frac{1}{0}$")
    sweep = swept(runs, "config.lr")
    assert len(points(scatter(sweep), "points:finished")) == 5000
    painter = parallel(swept(runs, "config.lr", "config.opt"))
    assert not any("\x1b" in text.get_text() or "\n" in text.get_text() for text in painter.figure.texts)
    assert "5000 runs" in describe_sweep("scatter", sweep)


def test_settings_that_vary_leave_out_seeds_places_and_what_names_runs() -> None:
    runs = [
        trial(at, 1, lr=at, seed=at, output_dir=f"/tmp/{at}", tag=f"t{at}", opt=None if at else "a") for at in range(12)
    ]
    assert varied_keys(runs) == (["config.lr", "config.opt"], 0)


def test_the_words_say_the_best_run_and_the_results_by_value() -> None:
    runs = [trial(at, at / 10, lr=[0.1, 0.01][at % 2]) for at in range(4)]
    text = describe_sweep("scatter", swept(runs, "config.lr"))
    assert "best finished (higher is better): run-3 with 0.3 at config.lr 0.01" in text
    assert "median by config.lr: 0.01 0.2 (2 runs), 0.1 0.1 (2 runs)" in text


def lengths(painter: BarsPainter) -> dict[str, float]:
    return {str(bar.get_gid()): bar.get_width() for bar in painter.axes.patches if isinstance(bar, Rectangle)}


def bars(*signals: Signal, model: str = "") -> BarsPainter:
    painter = BarsPainter(SMALL)
    sweep = judged_sweep([trial(0, 1)], ["run-0"], "acc", Signals(signals, count=20, model=model))
    painter.draw(sweep)
    return painter


def test_bars_are_importances_where_a_model_gave_them() -> None:
    painter = bars(
        Signal("lr", -0.8, 0.001, 20, 9, "order", importance=0.1),
        Signal("opt", 0.5, 0.01, 20, 2, "category", importance=0.6, best="lion"),
        Signal("wd", 0.1, 0.9, 20, 3, "order", ("decay",), importance=-0.02),
        model="a forest",
    )
    assert lengths(painter) == {"bar:opt": 0.6, "bar:lr": 0.1, "bar:wd": 0}
    told = [text.get_text() for text in painter.axes.texts]
    assert told == [
        "0.60  best: lion, η 0.50, p 0.01",
        "0.10  less is better, ρ −0.80, p 0.001",
        "0.00  ρ +0.10, p 0.9",
    ]
    assert [label.get_text() for label in painter.axes.get_yticklabels()] == ["opt", "lr", "wd = decay"]
    filled = [to_rgba(bar.get_facecolor())[3] for bar in painter.axes.patches]
    assert filled == [1, 1, 0]  # hollow: not told from chance


def test_a_setting_that_the_model_needs_in_no_order_is_not_taken_for_chance() -> None:
    painter = bars(Signal("$l_{r$", 0.1, 0.9, 20, 9, "order", importance=1.1), model="a forest")
    assert painter.content("t", "alt", "", ()).startswith(b"\x89PNG")
    assert "no order: the best may lie in the middle" in painter.axes.texts[0].get_text()
    assert to_rgba(painter.axes.patches[0].get_facecolor())[3] == 1


def test_bars_without_a_model_are_strengths_and_the_longest_are_shown() -> None:
    painter = bars(*(Signal(f"k{at}", -at / 30, 0.5, 20, 3, "order") for at in range(20)))
    assert len(painter.axes.patches) == MOST_BARS
    assert lengths(painter)["bar:k19"] == pytest.approx(19 / 30)
    assert "and 6 more settings" in " ".join(texts(painter, "subtitle"))
