"""What a figure says is what was logged: the numbers beside lines, and no average that leads away from the points."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from plot_fakes import line, make_history, make_run
from wandb_toolkit.plots.charts import Chart, build_chart, direction_word, facts
from wandb_toolkit.plots.figures.alt_text import describe
from wandb_toolkit.plots.figures.painter import Painter
from wandb_toolkit.plots.figures.terminal import terminal_plot
from wandb_toolkit.plots.figures.view import View
from wandb_toolkit.plots.smoothing import Smoothing, time_weighted_ema

if TYPE_CHECKING:
    from wandb_toolkit.model import Series

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
    (under,) = words(painter, "subtitle")
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
