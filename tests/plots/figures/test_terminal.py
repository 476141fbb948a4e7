"""Plots in the terminal."""

from __future__ import annotations

from plot_fakes import line, make_history, make_run
from wandb_toolkit.plots.charts import build_chart
from wandb_toolkit.plots.figures.terminal import terminal_plot
from wandb_toolkit.plots.figures.view import View
from wandb_toolkit.plots.smoothing import Smoothing


def test_a_value_far_beyond_the_axis_is_not_walked_dot_by_dot() -> None:
    values = [2.0, 2.1, 1e300, -1e300, 2.2] + [2.0 + n / 100 for n in range(60)]
    history = make_history(line("kl", values))
    chart = build_chart("kl", [make_run("a", "wild")], {0: history}, Smoothing("none"), None, ["wild"])
    drawn = terminal_plot(chart, View(y_limits=(0.0, 4.0)))
    assert "kl  by step" in drawn
    assert len(drawn.splitlines()) < 30
