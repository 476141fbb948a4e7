"""What a figure says is what was logged: the numbers beside lines, and no average that leads away from the points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from plot_fakes import line, make_history, make_run
from wandb_toolkit.errors import UsageError
from wandb_toolkit.plots.charts import Chart, build_chart, direction_word, facts
from wandb_toolkit.plots.coloring import colored, coloring_of
from wandb_toolkit.plots.figures.alt_text import describe
from wandb_toolkit.plots.figures.painter import Painter
from wandb_toolkit.plots.figures.terminal import terminal_plot
from wandb_toolkit.plots.figures.view import View
from wandb_toolkit.plots.smoothing import Smoothing, time_weighted_ema

if TYPE_CHECKING:
    from wandb_toolkit.model import Run, Series

RNG = np.random.default_rng(7)
ASKED_FOR = Smoothing(exact=True)


def chart_of(*series: Series, smoothing: Smoothing = Smoothing()) -> Chart:  # noqa: B008 frozen
    runs = [make_run(f"id{i}", f"run-{i}") for i in range(len(series))]
    return build_chart(series[0].name, runs, {i: make_history(s) for i, s in enumerate(series)}, smoothing)


def words(painter: Painter, gid: str) -> list[str]:
    return [t.get_text() for t in painter.figure.texts if str(t.get_gid()).startswith(gid)]


def widths(painter: Painter) -> dict[str, float]:
    return {str(one.get_gid()): one.get_linewidth() for one in painter.figure.axes[0].lines}


def test_labels_and_sentence_say_the_last_logged_value_in_its_order() -> None:
    noise = RNG.normal(size=(2, 400))
    noise[0, -1], noise[1, -1] = -5.0, 5.0  # whatever the averages are
    chart = chart_of(line("loss", (noise[0] + 1).tolist()), line("loss", noise[1].tolist()))
    painter = Painter()
    painter.draw(chart)
    assert words(painter, "label") == ["run-1  5", "run-0  −4"]
    assert [facts(curve).last for curve in chart.curves] == [-4, 5]
    assert " to -4 in 400 points" in describe(chart)
    assert "ends at −4" in terminal_plot(chart, View())


def test_few_points_are_the_line_and_their_average_stays_among_them() -> None:
    values = [90.0, 50.0, 4.0, 3.0, *(2.5 + 0.2 * RNG.normal(size=20))]
    chart = chart_of(line("loss", values))
    (curve,) = chart.curves
    assert curve.smooth is not None
    padded = np.pad(values, 1, mode="edge")
    near = np.stack([padded[:-2], padded[1:-1], padded[2:]])
    assert (curve.smooth >= near.min(axis=0)).all()
    assert (curve.smooth <= near.max(axis=0)).all()
    painter = Painter()
    painter.draw(chart)
    known = widths(painter)
    assert known["raw:run-0"] > known["smooth:run-0"]
    under = "  ·  ".join(words(painter, "subtitle"))
    assert "fewer than 100 points: as logged; faint: time-weighted EMA 0.99, held to neighbouring points" in under
    asked = chart_of(line("loss", values), smoothing=ASKED_FOR)
    want = time_weighted_ema(curve.x, curve.value, 0.99, float(curve.x[-1]))
    np.testing.assert_array_equal(np.asarray(asked.curves[0].smooth), want)
    painter.draw(asked)
    assert widths(painter)["smooth:run-0"] > widths(painter)["raw:run-0"]


STEPS = np.arange(400.0)


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("train/learning_rate", 1e-3 * (1 + np.cos(STEPS / 130))),
        ("lr-AdamW/pg1", 1e-3 * (1 + np.cos(STEPS / 130))),
        ("warm_up_then_down", np.minimum(STEPS / 40, (400 - STEPS) / 360)),
        ("in_steps", np.repeat([1.0, 0.1, 0.01, 0.001], 100)),
        ("tokens", np.cumsum(RNG.integers(100, 200, 400)).astype(float)),
        ("done", (RNG.random(400) > 0.5).astype(float)),
        ("clip", np.full(400, 0.2)),
    ],
)
def test_what_was_set_is_not_smoothed_unless_asked_for(metric: str, values: np.ndarray) -> None:
    assert chart_of(line(metric, values.tolist())).curves[0].smooth is None
    assert chart_of(line(metric, values.tolist()), smoothing=ASKED_FOR).curves[0].smooth is not None


@pytest.mark.parametrize(
    ("metric", "values"),
    [
        ("loss", np.exp(-STEPS / 50) + 0.01 * RNG.normal(size=400)),
        ("lr_loss", RNG.normal(size=400)),
        ("reward", np.where(STEPS % 7 == 0, 2.0, 0.0)),  # rare, and yet measured
        ("length", RNG.integers(10, 90, 400).astype(float)),
    ],
)
def test_what_was_measured_is_smoothed(metric: str, values: np.ndarray) -> None:
    curve = chart_of(line(metric, values.tolist())).curves[0]
    np.testing.assert_array_equal(np.asarray(curve.smooth), time_weighted_ema(curve.x, curve.value, 0.99, 399.0))


def test_noise_is_no_trend() -> None:
    found = [direction_word(np.random.default_rng(seed).normal(size=n)) for seed in range(40) for n in (12, 33, 200)]
    assert found.count("flat") >= 118
    # The first value is by chance low, the last by chance high: no reader would see a fall.
    assert direction_word(np.array([3.466, 4.9, 4.6, 4.8, 4.2, 4.6, 4.0, 4.5, 4.1, 4.4, 4.0, 4.203])) == "flat"
    assert direction_word(np.linspace(3, 1, 33) + 0.1 * RNG.normal(size=33)) == "down"


@pytest.mark.parametrize("values", [[1e308, -1e308, 0.0], [1.0, math.inf, 3.0], [1e20] * 9, [1e-320, 1e-310]])
@pytest.mark.parametrize("log_y", [False, True])
def test_the_terminal_draws_any_values(values: list[float], log_y: bool) -> None:
    assert terminal_plot(chart_of(line("loss", values)), View(log_y=log_y)).startswith("loss")


def named(count: int, points: int = 120) -> tuple[list[Run], Chart]:
    names = [f"sweep-with-a-rather-long-name-number-{i:03}-of-the-second-week" for i in range(count)]
    runs = [
        make_run(f"id{i}", name, config={"lr": 10.0 ** -(i % 5), "opt": "ab"[i % 2]}) for i, name in enumerate(names)
    ]
    noise = 0.1 * np.random.default_rng(count).normal(size=(count, points))  # small: labels stand in order of the ends
    histories = {i: make_history(line("loss", (i + noise[i]).tolist())) for i in range(count)}
    return runs, build_chart("loss", runs, histories, Smoothing())


def test_a_legend_takes_a_quarter_of_the_width_and_tells_all_lines_apart() -> None:
    for count in (6, 30):
        painter = Painter()
        painter.draw(named(count)[1])
        labels = [t for t in painter.figure.texts if str(t.get_gid()).startswith("label")]
        right = max(t.get_window_extent().x1 for t in labels)
        assert right - painter.figure.axes[0].get_window_extent().x1 <= 0.25 * painter.width
        assert len({t.get_text().split("  ")[0] for t in labels}) == count
    runs = [make_run(str(i), "n" * 60 + f"{i:02}" + "m" * 60) for i in range(25)]
    histories = {i: make_history(line("loss", [1.0, 2.0 + i])) for i in range(25)}
    painter.draw(build_chart("loss", runs, histories, Smoothing()))
    assert len({label.split("  ")[0] for label in words(painter, "label")}) == 25


def test_more_runs_than_styles_are_grey_but_for_three() -> None:
    _, chart = named(50)
    painter = Painter()
    painter.draw(chart)
    lines = {str(one.get_gid()): one.get_color() for one in painter.figure.axes[0].lines}
    bold = [color for gid, color in lines.items() if gid.startswith("smooth:")]
    assert bold.count(painter.theme.faded) == 47
    assert len(set(bold)) == 4
    assert [label.split(":")[0] for label in words(painter, "label")] == ["highest end", "median end", "lowest end"]
    assert words(painter, "more") == ["47 more in grey"]


def test_lines_coloured_by_a_setting() -> None:
    runs, chart = named(20)
    painter = Painter()
    by_number = colored(chart, coloring_of(runs, "config.lr"))
    painter.draw(by_number)
    assert words(painter, "label") == ["lr = 0.0001", "lr = 0.001", "lr = 0.01", "lr = 0.1", "lr = 1"]
    assert sorted({line.shade or 0.0 for line in by_number.curves}) == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    by_word = colored(chart, coloring_of(runs, "config.opt"))
    painter.draw(by_word)
    assert words(painter, "label") == ["opt = a", "opt = b"]
    assert {line.index for line in by_word.curves} == {0, 1}
    runs, chart = named(3)
    painter.draw(colored(chart, coloring_of(runs, "config.lr")))
    assert words(painter, "label")[0].startswith("…002")
    assert "lr=0.01" in words(painter, "label")[0]
    with pytest.raises(UsageError, match="None of the runs has"):
        coloring_of(runs, "config.rate")


def test_a_start_that_flattens_the_rest_is_said_and_auto_takes_a_log_axis() -> None:
    chart = chart_of(line("loss", [300.0, 40.0, *(2.5 + 0.1 * RNG.normal(size=200))]))
    painter = Painter()
    painter.draw(chart)
    assert "a few points flatten the rest: --log-y or --ignore-outliers" in words(painter, "subtitle")[0]
    assert painter.axes.get_yscale() == "linear"
    painter = Painter(View(log_auto=True))
    painter.draw(chart)
    assert painter.axes.get_yscale() == "log"
    assert "log y" in words(painter, "subtitle")[0]
    painter.draw(chart_of(line("loss", np.linspace(3, 1, 200).tolist())))
    assert painter.axes.get_yscale() == "linear"


def test_at_full_resolution_the_points_are_light_and_all_there() -> None:
    chart = chart_of(line("loss", RNG.normal(size=20_000).tolist()))
    painter = Painter(View(full=True))
    assert painter.draw(chart) == (20_000,)
    raw, smooth = (next(one for one in painter.axes.lines if one.get_gid() == f"{k}:run-0") for k in ("raw", "smooth"))
    assert np.mean(to_rgb(raw.get_color())) > 0.8  # near the white paper
    assert np.mean(to_rgb(smooth.get_color())) < 0.5
    assert smooth.get_zorder() > raw.get_zorder()


def test_characters_that_no_font_has_are_named() -> None:
    painter = Painter()
    painter.draw(chart_of(line("loss \U000f0000 \U0010fffd", [1.0, 2.0]), smoothing=Smoothing("none")))
    assert "□" not in words(painter, "title")[0]  # private characters are not shown at all
    painter.fonts.lacking.clear()
    painter.draw(chart_of(line("loss \U0001e2c0", [1.0, 2.0]), smoothing=Smoothing("none")))  # a letter of Wancho
    if "□" in words(painter, "title")[0]:
        assert "□: no installed font has U+1E2C0" in words(painter, "subtitle")[0]


def test_metrics_that_differ_in_a_blank_are_told_apart() -> None:
    chart = chart_of(line("loss ", [1.0, 2.0]))
    painter = Painter()
    painter.draw(chart)
    assert words(painter, "title") == ["loss␣"]
    assert describe(chart).startswith("loss␣ of run-0")
