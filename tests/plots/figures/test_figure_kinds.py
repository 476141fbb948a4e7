"""Groups, pages, log axes, limits, themes and file types: by their artists and words."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import same_color
from PIL import Image

from plot_fakes import line, make_history, make_run
from wandb_toolkit.model import Series
from wandb_toolkit.plots.charts import Chart, build_chart
from wandb_toolkit.plots.figures import marks
from wandb_toolkit.plots.figures.alt_text import describe
from wandb_toolkit.plots.figures.file import owner_of
from wandb_toolkit.plots.figures.grid import GridPainter, page_view
from wandb_toolkit.plots.figures.painter import Canvas, Painter
from wandb_toolkit.plots.figures.terminal import terminal_plot
from wandb_toolkit.plots.figures.view import DARK, LIGHT, View
from wandb_toolkit.plots.grouping import Grouping, grouped
from wandb_toolkit.plots.smoothing import Smoothing

NONE = Smoothing("none")
SMALL = View(width=900, height=500, dpi=100)


def chart_of(*series: Series, smoothing: Smoothing = NONE) -> Chart:
    runs = [make_run(f"id{i}", f"run-{i}") for i in range(len(series))]
    return build_chart(series[0].name, runs, {i: make_history(s) for i, s in enumerate(series)}, smoothing)


def noisy(n: int = 300, seed: int = 0, name: str = "loss") -> Series:
    return line(name, np.random.default_rng(seed).normal(size=n).cumsum().tolist())


def drawn(chart: Chart, view: View = SMALL) -> Painter:
    painter = Painter(view)
    painter.draw(chart)
    return painter


def gids(painter: Canvas) -> list[str]:
    return [str(one.get_gid()) for axes in painter.figure.axes for one in (*axes.lines, *axes.collections, *axes.texts)]


def words(painter: Canvas, gid: str = "subtitle") -> str:
    return next(t.get_text() for t in painter.figure.texts if str(t.get_gid()) == gid)


def test_a_group_is_a_band_and_a_mean_that_turns_dotted_where_runs_end() -> None:
    chart = grouped(
        chart_of(line("loss", [1, 2, 3, 4]), line("loss", [3, 4]), line("loss", [9, 9, 9, 9])),
        {"a": [0, 1], "b": [2]},
        Grouping("group"),
    )
    painter = drawn(chart)
    names = gids(painter)
    assert {"band:a (n=2)", "fewer:a (n=2)", "count:a (n=2)"} <= set(names)
    assert "band:b (n=1)" not in names
    solid = next(one for one in painter.axes.lines if one.get_gid() == "raw:a (n=2)")
    assert np.isnan(np.asarray(solid.get_ydata())[2:]).all()
    assert [t.get_text() for t in painter.axes.texts] == ["n=1"]
    assert "± 1 standard deviation" in words(painter)
    assert "dotted: fewer runs" in words(painter)
    assert "10 points" in words(painter)
    assert "fewer than 2 runs from step 2 on" in describe(chart)
    assert "of 2 groups" in describe(chart)


def test_a_log_axis_marks_what_it_cannot_show() -> None:
    painter = drawn(chart_of(line("lr", [1e-5, 1e-3, 0, -1, 1e-1])), replace(SMALL, log_y=True))
    assert painter.axes.get_yscale() == "log"
    low, high = painter.axes.get_ylim()
    assert 0 < low < 1e-5
    assert 1e-1 < high < 1
    below = next(one for one in painter.axes.lines if str(one.get_gid()).startswith("below"))
    assert list(np.asarray(below.get_xdata())) == [2, 3]
    assert "log y" in words(painter)
    painter.draw(chart_of(line("lr", [-1.0, -2.0])))
    assert painter.axes.get_yscale() == "linear"
    assert "no value above 0 for a log axis" in words(painter)
    painter.canvas.draw()  # type: ignore[no-untyped-call]


def test_limits_and_outliers_are_said_and_marked() -> None:
    values = [*np.linspace(0, 1, 100), 50.0]
    painter = drawn(chart_of(line("loss", values)), replace(SMALL, ignore_outliers=True))
    low, high = painter.axes.get_ylim()
    assert -0.2 < low < 0.06
    assert 0.9 < high < 1.2
    assert "5th to 95th percentile" in words(painter)
    assert "beyond the axis, as far as 50" in words(painter)
    painter = drawn(chart_of(line("loss", values)), replace(SMALL, y_limits=(None, 2.0)))
    assert painter.axes.get_ylim()[1] == 2.0
    assert "y limited to …2" in words(painter)
    assert drawn(chart_of(line("loss", values)), replace(SMALL, y_limits=(0.25, 0.5))).axes.get_ylim() == (0.25, 0.5)


def test_dark_paper_has_its_own_colours_and_every_run_keeps_its_hue() -> None:
    painter = drawn(chart_of(noisy(), noisy(seed=1)), replace(SMALL, theme=DARK))
    assert same_color(painter.figure.get_facecolor(), DARK.paper)
    title = next(t for t in painter.figure.texts if t.get_gid() == "title")
    assert same_color(title.get_color(), DARK.ink)
    assert len(DARK.lines) == len(LIGHT.lines) == len({*DARK.lines})
    raw = [one for one in painter.axes.lines if str(one.get_gid()).startswith("raw")]
    assert [one.get_color() for one in raw] == list(DARK.lines[:2])


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_every_file_type_says_what_it_shows_and_whose_it_is(kind: str, tmp_path: Path) -> None:
    view = replace(SMALL, format=kind)  # type: ignore[arg-type]
    painter, chart = Painter(view), chart_of(noisy(name="$x_1$ <b>"))
    contents = [
        painter.content(chart.metric, "a & <b> — 損失", "abcd1234abcd1234", painter.draw(chart)) for _ in range(2)
    ]
    assert contents[0] == contents[1]
    file = tmp_path / f"x.{kind}"
    file.write_bytes(contents[0])
    assert owner_of(file) == "abcd1234abcd1234"
    assert contents[0].startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[kind])
    if kind == "png":
        with Image.open(io.BytesIO(contents[0])) as picture:
            picture.load()
            assert picture.size == (900, 500)
            assert round(picture.info["dpi"][0]) == 100
            assert picture.info["Description"] == "a & <b> — 損失"
    file.write_text("my own")
    assert owner_of(file) is None
    assert owner_of(tmp_path / "missing") is None


def test_more_dpi_is_the_same_layout_with_more_pixels() -> None:
    boxes = []
    for scale in (1, 2):
        painter = drawn(chart_of(noisy(), noisy(seed=1)), View(width=1600 * scale, height=900 * scale, dpi=160 * scale))
        boxes.append(painter.axes.get_position().bounds)
    np.testing.assert_allclose(boxes[0], boxes[1], atol=0.01)


def test_a_page_has_a_panel_a_metric_and_one_legend() -> None:
    runs = [make_run("a", "one"), make_run("b", "two")]
    names = [f"train/m{i}" for i in range(5)]
    histories = {
        i: make_history(*(line(n, np.sin(np.arange(50.0) + i).tolist()) for n in names[: 5 - i])) for i in range(2)
    }
    charts = [build_chart(name, runs, histories, Smoothing()) for name in names]
    view = page_view(View(), 5)
    painter = GridPainter(view)
    points = painter.draw("train/*", charts)
    assert [len(one) for one in points] == [2, 2, 2, 2, 1]
    assert len(painter.figure.axes) == 5
    panels = [str(t.get_gid()) for t in painter.figure.texts if str(t.get_gid()).startswith("panel:")]
    assert panels == [f"panel:{name}" for name in names]
    labels = [t.get_text() for t in painter.figure.texts if t.get_gid() == "label"]
    assert labels == ["one", "two"]
    first, second = (axes.lines for axes in (painter.figure.axes[0], painter.figure.axes[1]))
    assert {one.get_color() for one in first} == {one.get_color() for one in second}
    boxes = [axes.get_window_extent() for axes in painter.figure.axes]
    assert all(box.width > 300 and box.height > 150 for box in boxes)
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_page_of_fifty_runs_keeps_its_legend_on_the_page() -> None:
    painter = GridPainter(page_view(View(), 2))
    painter.draw("many", [chart_of(*[line("loss", [0, i]) for i in range(50)])] * 2)
    labels = [t for t in painter.figure.texts if t.get_gid() == "label"]
    boxes = [t.get_window_extent(painter.canvas.get_renderer()) for t in labels]  # type: ignore[no-untyped-call]
    assert all(box.x1 <= painter.width and box.y0 >= 0 for box in boxes)


def test_fifty_runs_are_lines_without_fog_and_a_list_of_the_ends() -> None:
    painter = drawn(chart_of(*[noisy(seed=i) for i in range(50)], smoothing=Smoothing()), View())
    assert not any(name.startswith("raw") for name in gids(painter))
    labels = [str(t.get_gid()) for t in painter.figure.texts if str(t.get_gid()).startswith(("label", "more"))]
    assert labels == ["label", "label", "label", "more"]
    assert "47 more in grey" in [t.get_text() for t in painter.figure.texts]
    assert "faint" not in words(painter)


def test_a_sample_says_so_on_the_figure_and_in_words() -> None:
    sampled = replace(noisy(1500), total=90_000)
    chart = chart_of(sampled)
    assert "sampled: 1,500 of 90,000 points" in words(drawn(chart))
    assert "1,500 points sampled of 90,000" in describe(chart)


def test_an_axis_sampled_at_other_steps_is_read_between_its_samples() -> None:
    steps = np.arange(0.0, 900, 3)
    loss = Series("loss", steps, steps / 10, total=3000)
    time = Series("_runtime", np.arange(1.0, 1000, 7), np.arange(1.0, 1000, 7) * 2, total=3000)
    (curve,) = build_chart("loss", [make_run()], {0: make_history(loss, time)}, NONE, "_runtime").curves
    np.testing.assert_allclose(curve.x, steps[1:] * 2)
    assert len(curve.x) == 299
    back = replace(time, value=-time.value)
    (curve,) = build_chart("loss", [make_run()], {0: make_history(loss, back)}, NONE, "_runtime").curves
    assert set(curve.x / -2) <= set(steps)


def test_a_dense_line_behind_its_smoothed_one_is_the_area_that_it_covers() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    values[777] = 9.0
    chart = chart_of(line("loss", values.tolist()), smoothing=Smoothing())
    painter = drawn(chart, View())
    (area,) = [one for one in painter.axes.collections if one.get_gid() == "raw:run-0"]
    corners = np.asarray(area.get_paths()[0].vertices)
    assert corners[:, 1].max() >= 9.0
    found = marks.envelope(chart.curves[0].x, values, 1000)
    assert found is not None
    _, low, high = found
    assert (low.min(), high.max()) == (values.min(), values.max())
    assert (low <= high).all()
    assert marks.envelope(np.arange(100.0), np.zeros(100), 1000) is None
    values[5] = np.nan
    assert marks.envelope(np.arange(20_000.0), values, 1000) is None
    full = drawn(chart, View(full=True))
    assert len(np.asarray(next(o for o in full.axes.lines if o.get_gid() == "raw:run-0").get_xdata())) == 20_000


@pytest.mark.parametrize("values", [[[1.0, 2, 3]], [[1.0] * 4], [[5.0]], [[float("nan")] * 3], [[1, 1e18], [2, 3]]])
def test_the_terminal_gets_a_small_plot(values: Sequence[Sequence[float]]) -> None:
    chart = chart_of(*[line("loss\x1b[31m", list(v)) for v in values])
    text = terminal_plot(chart, View())
    assert "\x1b" not in text
    if np.isfinite(values[0]).any():
        assert re.search("[\u2801-\u28ff]", text) or "1" in text
        assert len(text.splitlines()) <= 20
        assert max(map(len, text.splitlines())) <= 120
    assert "log y" in terminal_plot(chart_of(line("lr", [1e-5, 1e-2])), View(log_y=True))


def test_a_figure_is_recognised_whatever_its_checksum(tmp_path: Path) -> None:
    painter = Painter(View())
    chart = build_chart("loss", [make_run()], {0: make_history(line("loss", [3.0, 2.0, 1.0]))}, Smoothing("none"))
    points = painter.draw(chart)
    for name in range(40):  # a checksum that starts with a hexadecimal digit follows every sixteenth owner
        owner = hashlib.sha256(str(name).encode()).hexdigest()[:16]
        path = tmp_path / "x.png"
        path.write_bytes(painter.content("loss", "falls", owner, points))
        assert owner_of(path) == owner
