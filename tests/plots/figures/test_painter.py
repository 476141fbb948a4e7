"""Figures by their artists and words, never by their pixels."""

from __future__ import annotations

import io
import itertools
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from plot_fakes import line, make_history, make_run
from wandb_toolkit.plots.charts import Chart, build_chart, direction_word, facts
from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.alt_text import describe, position, short, tick_labels
from wandb_toolkit.plots.figures.painter import Painter
from wandb_toolkit.plots.figures.view import View
from wandb_toolkit.plots.labels import run_labels
from wandb_toolkit.plots.smoothing import Smoothing, time_weighted_ema

if TYPE_CHECKING:
    from matplotlib.lines import Line2D

    from wandb_toolkit.model import Series

NONE = Smoothing("none")


def chart_of(*series: Series, names: Sequence[str] = (), smoothing: Smoothing = NONE) -> Chart:
    runs = [make_run(f"id{i}", names[i] if names else f"run-{i}") for i in range(len(series))]
    return build_chart(series[0].name, runs, {i: make_history(s) for i, s in enumerate(series)}, smoothing)


@pytest.fixture(scope="module")
def painter() -> Painter:
    return Painter()


def artists(painter: Painter, kind: str) -> dict[str, Line2D]:
    """Lines in the axes by run label."""
    lines = {str(one.get_gid()): one for one in painter.figure.axes[0].lines}
    return {gid.split(":", 1)[1]: one for gid, one in lines.items() if gid.startswith(f"{kind}:")}


def texts(painter: Painter, gid: str) -> list[str]:
    return [t.get_text() for t in painter.figure.texts if str(t.get_gid()).startswith(gid)]


def noisy(n: int = 500, seed: int = 0, name: str = "loss") -> Series:
    return line(name, np.random.default_rng(seed).normal(size=n).cumsum().tolist())


def test_raw_is_faint_and_smoothed_bold_with_the_values_logged(painter: Painter) -> None:
    chart = chart_of(noisy(), noisy(200, 1), smoothing=Smoothing())
    assert painter.draw(chart) == (500, 200)
    raw, smooth = artists(painter, "raw"), artists(painter, "smooth")
    for i, label in enumerate(("run-0", "run-1")):
        curve = chart.curves[i]
        np.testing.assert_array_equal(raw[label].get_xydata(), np.column_stack([curve.x, curve.value]))
        want = time_weighted_ema(curve.x, curve.value, 0.99, 499.0)  # the range of the chart, not of the run
        np.testing.assert_array_equal(smooth[label].get_ydata(), want)
        assert (raw[label].get_alpha() or 1) <= 0.5
        assert smooth[label].get_alpha() is None
        assert smooth[label].get_linewidth() > raw[label].get_linewidth()
        assert raw[label].get_color() == smooth[label].get_color()


def test_a_run_whose_smoothed_line_leaves_the_axis_shows_its_points_more(painter: Painter) -> None:
    values = np.sin(np.arange(400.0)).tolist()
    values[7] = 1e17
    painter.draw(chart_of(line("loss", values), noisy(400), smoothing=Smoothing()))
    raw = artists(painter, "raw")
    assert (raw["run-0"].get_alpha() or 1) > (raw["run-1"].get_alpha() or 1)


def test_without_smoothing_the_line_is_what_was_logged(painter: Painter) -> None:
    painter.draw(chart_of(noisy()))
    assert not artists(painter, "smooth")
    assert (artists(painter, "raw")["run-0"].get_alpha() or 1) == 1
    assert "bold" not in texts(painter, "subtitle")[0]


def test_the_same_run_keeps_its_colour_where_another_lacks_the_metric(painter: Painter) -> None:
    runs = [make_run("a", "a"), make_run("b", "b")]
    both = {0: make_history(noisy()), 1: make_history(noisy(name="loss"), noisy(name="kl"))}
    painter.draw(build_chart("loss", runs, both, NONE))
    before = artists(painter, "raw")["b"].get_color()
    chart = build_chart("kl", runs, both, NONE)
    painter.draw(chart)
    assert artists(painter, "raw")["b"].get_color() == before
    assert chart.notes == ("not logged by a",)
    assert "not logged by a" in texts(painter, "subtitle")[0]
    assert "not logged by a" in describe(chart)


def test_up_to_thirty_five_runs_differ_in_colour_or_dashes() -> None:
    looks = {(marks.color(i), marks.dashes(i)) for i in range(35)}
    assert len(looks) == 35


def test_labels_stand_outside_of_the_data_and_do_not_overlap(painter: Painter) -> None:
    for count in (2, 5, 12, 13, 50, 35):
        painter.draw(chart_of(*[line("loss", [0, 1, 1 + i * 1e-4]) for i in range(count)]))
        painter.canvas.draw()  # type: ignore[no-untyped-call]
        box = painter.figure.axes[0].get_window_extent()
        found = [t.get_window_extent() for t in painter.figure.texts if str(t.get_gid()).startswith(("label", "more"))]
        assert len(found) == min(count, len(found))
        assert all(b.x0 > box.x1 for b in found)
        assert all(b.x1 <= painter.width for b in found)
        assert all(b.y0 > 0 and b.y1 < painter.height - 60 for b in found)
        tops = sorted(found, key=lambda b: -b.y0)
        assert all(above.y0 >= below.y1 - 6 for above, below in itertools.pairwise(tops))
    assert texts(painter, "more")[0].endswith("more runs between")


def test_equal_names_get_their_ids() -> None:
    assert run_labels([make_run("a1", "x"), make_run("b2", "x"), make_run("c3", "y")]) == ["x · a1", "x · b2", "y"]
    long = run_labels([make_run("a", "n" * 80 + "1"), make_run("b", "n" * 80 + "2")])
    assert len(set(long)) == 2
    assert all(len(label) <= 40 for label in long)


def test_nan_and_infinity_are_gaps_with_marks_where_they_occur(painter: Painter) -> None:
    values = [i + 0.3 * (i % 2) for i in range(60)]
    values[10] = values[11] = math.nan
    values[20], values[30] = math.inf, -math.inf
    chart = chart_of(line("loss", values), smoothing=Smoothing())
    painter.draw(chart)
    drawn = np.asarray(artists(painter, "raw")["run-0"].get_ydata())
    assert np.flatnonzero(np.isnan(drawn)).tolist() == [10, 11, 20, 30]
    smooth = np.asarray(artists(painter, "smooth")["run-0"].get_ydata())
    assert np.isfinite(smooth[31:]).all()
    assert artists(painter, "nan")["run-0"].get_xdata()[0] == 10  # type: ignore[index]
    assert list(np.asarray(artists(painter, "+inf")["run-0"].get_xdata())) == [20]
    assert list(np.asarray(artists(painter, "-inf")["run-0"].get_xdata())) == [30]
    low, high = painter.figure.axes[0].get_ylim()
    assert low < 0
    assert 59 < high < 70
    assert "× 2 NaN" in texts(painter, "subtitle")[0]
    assert "4 NaN or infinite values, the first at step 10" in describe(chart)


def test_a_metric_without_any_finite_value_is_drawn_as_marks(painter: Painter) -> None:
    chart = chart_of(line("loss", [math.nan] * 5))
    painter.draw(chart)
    assert len(np.asarray(artists(painter, "nan")["run-0"].get_xdata())) == 5
    assert "no finite value in 5 points" in describe(chart)


def test_a_point_alone_between_gaps_gets_a_dot(painter: Painter) -> None:
    values = [1.0, 2.0] * 50
    values[50], values[52] = math.nan, math.nan
    painter.draw(chart_of(line("loss", values)))
    assert list(np.asarray(artists(painter, "dots")["run-0"].get_xdata())) == [51]


def test_a_rare_blow_up_does_not_press_the_rest_flat_and_is_marked(painter: Painter) -> None:
    values = np.sin(np.arange(400.0)).tolist()
    values[77] = 1e17
    chart = chart_of(line("loss", values))
    painter.draw(chart)
    low, high = painter.figure.axes[0].get_ylim()
    assert -2 < low < high < 10
    assert list(np.asarray(artists(painter, "above")["run-0"].get_xdata())) == [77]
    assert "1 point beyond the axis, as far as 1e17" in texts(painter, "subtitle")[0]
    assert "highest 1e+17 at step 77" in describe(chart)
    values[77] = 500.0  # hundred times is still all in view
    painter.draw(chart_of(line("loss", values)))
    assert painter.figure.axes[0].get_ylim()[1] > 500


def test_thinning_keeps_every_spike_and_full_resolution_every_point(painter: Painter) -> None:
    values = np.zeros(200_000)
    values[[5, 77_777, 199_998]] = [3, -7, 9]
    chart = chart_of(line("loss", values.tolist()))
    (shown,) = painter.draw(chart)
    assert shown < 10_000
    drawn = np.asarray(artists(painter, "raw")["run-0"].get_xydata())
    assert {(5.0, 3.0), (77_777.0, -7.0), (199_998.0, 9.0), (0.0, 0.0), (199_999.0, 0.0)} <= set(map(tuple, drawn))
    assert "200,000 points, thinned to" in texts(painter, "subtitle")[0]
    painter = Painter(View(full=True))
    assert painter.draw(chart) == (200_000,)
    assert len(np.asarray(artists(painter, "raw")["run-0"].get_xydata())) == 200_000


@pytest.mark.parametrize("seed", range(5))
def test_thinned_columns_have_the_extremes_of_all_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.exponential(size=30_000) * rng.choice([0.01, 1, 30], 30_000))
    y = rng.standard_cauchy(30_000)
    y[rng.random(30_000) < 0.1] = np.nan
    kept = marks.thin(x, y, 200)
    assert (np.diff(kept) > 0).all()
    edges = x[0] + (x[-1] - x[0]) / 200 * np.arange(200)
    every, few = (np.searchsorted(edges, x[i], "right") for i in (slice(None), kept))
    for column in np.unique(every):
        whole, thinned = y[every == column], y[kept][few == column]
        if np.isfinite(whole).any():
            assert np.nanmin(whole) == np.nanmin(thinned)
            assert np.nanmax(whole) == np.nanmax(thinned)


def test_strangers_names_neither_crash_nor_warn(painter: Painter) -> None:
    hostile = ["_hidden", "$a_{b$", "训练 損失 🙂", "\x1b[31mred\x1b[0m\nx", "\\frac{", "\u202ertl", "", "x" * 400]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in hostile:
            raster = painter.paint(chart_of(line(name, [1, 2, 3]), line(name, [2, 3]), names=[name, f"{name}2"]))
            painter.paint(chart_of(line(name, [1, 2, 3]), names=[name]))
            raster.png("\ud800 損失")
    painter.draw(chart_of(line("$_x$", [1, 2]), line("$_x$", [1, 3]), names=["_one", "$two$"]))
    assert texts(painter, "title") == ["$_x$"]
    assert [t.split("  ")[0] for t in texts(painter, "label")] == ["$two$", "_one"]


@pytest.mark.parametrize(
    "values", [[0.73], [5.0] * 9, [0.0] * 4, [1e-300, 2e-300], [1e308, -1e308, 0], [3e-5, 1e-5], [1000, 1000 + 1e-9]]
)
def test_odd_magnitudes_have_finite_limits_around_the_data(painter: Painter, values: list[float]) -> None:
    painter.paint(chart_of(line("lr", values), smoothing=Smoothing()))
    low, high = painter.figure.axes[0].get_ylim()
    assert low < np.clip(min(values), -1e300, 1e300)
    assert high > np.clip(max(values), -1e300, 1e300)


def test_ticks_as_people_write_them() -> None:
    assert tick_labels([0, 500, 1000, 1500]) == ["0", "500", "1,000", "1,500"]
    assert tick_labels([0, 50_000, 100_000]) == ["0", "50k", "100k"]
    assert tick_labels([0, 2.5e6, 5e6]) == ["0", "2.5M", "5.0M"]
    assert tick_labels([-0.5, 0, 0.5]) == ["−0.5", "0", "0.5"]
    assert tick_labels([0, 5e-6, 1e-5, 1.5e-5]) == ["0", "5e−6", "1e−5", "1.5e−5"]
    assert tick_labels([0.98, 0.985, 0.99]) == ["0.980", "0.985", "0.990"]
    assert tick_labels([1e300]) == ["1e300"]
    assert tick_labels([]) == []
    assert len(set(tick_labels([1000, 1000.0000001, 1000.0000002]))) == 3
    assert [short(v) for v in (0.41384, 591_512.0, 3e-5, -2.0)] == ["0.4138", "591.5k", "3e−5", "−2"]


def test_time_axes_read_as_time(painter: Painter) -> None:
    chart = chart_of(line("system.cpu", [1, 2, 3], [0, 3600, 7200], axis="_runtime"))
    painter.draw(chart)
    painter.canvas.draw()  # type: ignore[no-untyped-call]
    axes = painter.figure.axes[0]
    assert axes.get_xlabel() == "time since start"
    assert "1h" in [t.get_text() for t in axes.get_xticklabels()]
    assert "time since start 0.0s to 2h" in describe(chart)
    assert position(1_767_323_045.0, "_timestamp") == "2026-01-02 03:04:05"


def test_the_picture_carries_its_sentence(painter: Painter) -> None:
    chart = chart_of(noisy())
    picture = Image.open(io.BytesIO(painter.paint(chart).png(describe(chart), "me")))
    assert picture.size == (1600, 900)
    words = dict(picture.info)
    assert words["Description"] == describe(chart)
    assert words["Title"] == "loss"
    assert str(words["Software"]).startswith("wandb-toolkit")


def test_facts_and_trend() -> None:
    values = np.concatenate([[9.0], np.linspace(5, 1, 50)])
    known = facts(chart_of(line("loss", values.tolist())).curves[0])
    assert (known.first, known.last, known.min, known.min_x, known.max, known.max_x) == (9, 1, 1, 50, 9, 0)
    assert known.trend == "down"
    rng = np.random.default_rng(1)
    assert direction_word(rng.normal(size=500)) == "flat"
    assert direction_word(np.linspace(0, 1, 500) + 0.1 * rng.normal(size=500)) == "up"
    assert direction_word(np.array([1.0, 2, 3])) is None
    assert direction_word(np.array([1e308, -1e308] * 5)) == "flat"
    assert "constant at 2 over 7 points" in describe(chart_of(line("lr", [2.0] * 7)))
    assert "one finite point, 0.5 at step 3" in describe(chart_of(line("acc", [0.5], [3])))


def test_many_runs_do_not_flood_the_sentence() -> None:
    text = describe(chart_of(*[line("loss", [1, 2]) for _ in range(50)]))
    assert "of 50 runs" in text
    assert text.endswith("and 42 more runs.")
