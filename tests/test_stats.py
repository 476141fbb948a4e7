"""Robust statistics: known answers, and defined ones for input that is short, constant or odd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wandb_toolkit import stats

RNG = np.random.default_rng(5)


@pytest.mark.parametrize("slope", [0.0, 3.0])
def test_noise_is_the_scatter_whatever_the_trend_and_the_outliers(slope: float) -> None:
    y = RNG.normal(0, 2.0, 2000) + slope * np.arange(2000)
    y[::100] += 500
    assert stats.noise(y) == pytest.approx(2.0, rel=0.1)


def test_noise_of_a_bend_a_constant_and_two_points() -> None:
    assert stats.noise(np.linspace(-1, 1, 30) ** 2) < 1e-3
    assert stats.noise(np.ones(20)) == 0
    assert np.isnan(stats.noise(np.array([1.0, 2.0])))
    mostly_equal = np.zeros(100)
    mostly_equal[::7] = 1
    assert stats.noise(mostly_equal) > 0


def test_running_medians_keep_edges_and_drop_outliers() -> None:
    y = np.repeat([0.0, 1.0], 50)
    assert np.array_equal(stats.running_median(y, 7), y)
    y[20] = 100
    assert stats.running_median(y, 7).max() == 1
    assert np.array_equal(stats.running_median(y[:2], 7), y[:2])
    assert stats.trailing_median(y, 9)[60] == 1
    assert np.isnan(stats.trailing_median(y, 9)[:3]).all()


def test_a_running_mean_leaves_a_straight_line_alone() -> None:
    line = np.arange(30.0)
    assert np.allclose(stats.running_mean(line, 9), line)


def test_a_trend_has_a_few_hundred_points_and_the_ends_of_the_curve() -> None:
    x = np.arange(100_000.0)
    truth = np.exp(-x / 2e4)
    course = stats.trend(x, truth + RNG.normal(0, 0.1, len(x)))
    assert len(course.x) <= 400
    assert course.start == pytest.approx(1, abs=0.03)
    assert course.end == pytest.approx(0, abs=0.03)
    assert course.part[0] == pytest.approx(0, abs=0.01)
    assert np.sqrt(np.mean((course.y - np.exp(-course.x / 2e4)) ** 2)) < 0.02
    assert course.level(0.4, 0.6) == pytest.approx(np.exp(-2.5), abs=0.02)


def test_an_empty_and_a_one_point_trend() -> None:
    assert len(stats.trend(np.empty(0), np.empty(0)).y) == 0
    assert stats.trend(np.array([3.0]), np.array([2.0])).end == 2.0


def test_rising_and_rank_trend() -> None:
    up = np.arange(50.0) + RNG.normal(0, 2, 50)
    assert stats.rising(up) > 5
    assert stats.rising(-up) < -5
    assert abs(stats.rising(RNG.normal(size=50))) < 3
    assert stats.rank_trend(np.arange(5.0)) == 1
    assert stats.rising(np.array([1.0])) == stats.rank_trend(np.array([1.0])) == 0


def test_stretches_and_lasting() -> None:
    mask = np.array([False, True, True, False, True])
    assert stats.stretches(mask) == [(1, 3), (4, 5)]
    assert stats.lasting(mask) == 4
    assert stats.lasting(~mask) is None
    assert stats.lasting(np.array([True, True])) == 0
    assert stats.lasting(np.array([], dtype=bool)) is None


def test_a_bend_is_found_with_the_course_before_it() -> None:
    x = np.arange(300.0)
    joint, value, slope = stats.bend(x, 5 - 0.01 * x - 0.1 * np.maximum(x - 180, 0))
    assert joint == pytest.approx(180, abs=5)
    assert value == pytest.approx(3.2, abs=0.1)
    assert slope == pytest.approx(-0.01, abs=0.002)
    assert stats.bend(x[:3], x[:3])[0] == 0


def test_the_last_fifth_of_a_line_and_of_a_curve_that_levels_off() -> None:
    x = np.linspace(0, 1, 200)
    brought, error = stats.last_fifth(x, x + RNG.normal(0, 0.01, 200))
    assert brought == pytest.approx(0.2, abs=0.01)
    assert 0 < error < 0.01
    assert stats.last_fifth(x, 1 - np.exp(-8 * x))[0] < 0.01
    assert np.isnan(stats.last_fifth(x[:5], x[:5])[0])


def test_the_error_of_the_last_fifth_knows_that_neighbours_are_alike() -> None:
    white = RNG.normal(size=300)
    alike = np.convolve(RNG.normal(size=320), np.ones(21) / 21**0.5, mode="valid")
    x = np.linspace(0, 1, 300)
    assert stats.last_fifth(x, alike)[1] > 2 * stats.last_fifth(x, white)[1]


def test_sparklines() -> None:
    assert stats.sparkline(np.arange(8.0)) == "▁▂▃▄▅▆▇█"
    assert len(stats.sparkline(np.arange(1000.0))) == 40
    assert stats.sparkline(np.array([1.0, np.nan, 2.0])) == "▁·█"
    assert stats.sparkline(np.array([np.nan, np.inf])) == "··"
    assert stats.sparkline(np.empty(0)) == ""
    assert stats.sparkline(np.full(3, 7.0)) == "▁▁▁"


@given(st.lists(st.floats(-1e6, 1e6), max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_finite_curve_has_an_answer(values: list[float]) -> None:
    y = np.array(values)
    x = np.arange(len(y), dtype=np.float64)
    course = stats.trend(x, y)
    assert len(course.y) == len(y)
    if len(y):
        assert y.min() - 1e-6 <= course.y.min() <= course.y.max() <= y.max() + 1e-6
    stats.noise(y)
    stats.bend(x, y)
    stats.last_fifth(x, y)
    assert len(stats.sparkline(y)) == min(len(y), 40)


def test_curves_at_the_ends_of_floats_have_an_answer() -> None:
    x = np.arange(20.0)
    for y in (np.tile([1e308, -1e308], 10), np.tile([1.7e308, 1.0, 0.0, -1e307], 5), np.tile([0.0, 5e-324], 10)):
        with np.errstate(all="ignore"):
            assert len(stats.trend(x, y).y) == 20
            assert len(stats.sparkline(y)) == 20
            assert stats.bend(x, y)[0] >= 0
            assert len(stats.last_fifth(x, y)) == 2
    assert stats.sparkline(np.array([-1e308, 1e308])) == "▁█"
    assert stats.sparkline(np.array([0.0, 5e-324])) == "▁█"
    assert stats.median(np.array([1.5e308, 1.7e308])) == 1.6e308


def test_long_curves_are_judged_on_few_points() -> None:
    x, y = np.arange(100_000.0), RNG.normal(size=100_000)
    trend = stats.trend(x, y)
    assert 300 < len(trend.x) <= 400
    assert (trend.low, trend.high) == (0, 99_999)


def test_zeros_between_values_in_a_fixed_rhythm_are_fillers() -> None:
    sparse = np.zeros(400)
    sparse[15::16] = np.linspace(2, 1, 25)
    assert stats.fillers(sparse).sum() == 375
    rewards = (np.random.default_rng(0).random(400) < 0.2).astype(float)
    assert not stats.fillers(rewards).any()  # no rhythm: these are values
    assert not stats.fillers(np.zeros(400)).any()


def test_a_curve_that_falls_at_once_starts_at_its_first_value_and_a_noisy_one_at_a_median() -> None:
    part = np.linspace(0, 1, 1000)
    steep = 1 + 8 * np.exp(-60 * part) + RNG.normal(0, 0.02, 1000)
    assert stats.edges(steep)[0] == steep[0]
    alone = np.concatenate([[9.0], 1 + RNG.normal(0, 0.02, 999)])
    assert stats.edges(alone)[0] == 9.0
    running_mean = np.concatenate([[0.0], 0.4 + RNG.normal(0, 0.02, 999)])
    assert stats.edges(running_mean)[0] > 0.3
    back = np.concatenate([np.linspace(0, 0.4, 20), np.linspace(0.4, 0, 980)])
    assert stats.edges(back)[0] == pytest.approx(0.2)
    noisy = RNG.normal(20, 5, 1000)
    assert stats.edges(noisy)[0] == np.median(noisy[:20])
