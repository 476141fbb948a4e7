"""The smoothers against the recurrences that W&B documents."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wandb_toolkit.plots.smoothing import (
    GAUSSIAN_REACH,
    METHODS,
    Method,
    Smoothing,
    centered_mean,
    exponential_average,
    gaussian,
    slider_weight,
    time_weighted_ema,
)

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray


def plain_twema(x: FloatArray, value: FloatArray, weight: float, range_x: float, scale: float) -> list[float]:
    """W&B's published loop, word for word; non-finite points are left out."""
    y = d = 0.0
    last: float | None = None
    out = []
    for at, v in zip(x.tolist(), value.tolist(), strict=True):
        if not math.isfinite(v):
            out.append(math.nan)
            continue
        w = weight ** ((at - (at if last is None else last)) / range_x * scale)
        y, d, last = y * w + v, d * w + 1, at
        out.append(y / d)
    return out


def irregular(n: int, seed: int) -> tuple[FloatArray, FloatArray]:
    rng = np.random.default_rng(seed)
    x = np.cumsum(rng.exponential(3.0, n) * rng.choice([0.01, 1, 40], n))
    return x, rng.normal(size=n).cumsum() + rng.normal(size=n)


@pytest.mark.parametrize(("n", "weight"), [(2, 0.9), (3, 0.01), (1000, 0.99), (1000, 0.5), (1000, 1e-9), (50_000, 0.2)])
def test_twema_is_the_documented_recurrence(n: int, weight: float) -> None:
    x, value = irregular(n, n)
    span = float(x[-1] - x[0])
    for range_x, scale in [(span, 1000.0), (span * 7, 1000.0), (span, 1.0), (span, 5e6)]:
        want = plain_twema(x, value, weight, range_x, scale)
        got = time_weighted_ema(x, value, weight, range_x, scale)
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


def test_twema_keeps_its_precision_over_a_million_points_and_is_what_pandas_computes() -> None:
    x, value = irregular(1_000_000, 5)
    value += 100 - value.min()  # away from 0, where a relative error says nothing
    span = float(x[-1] - x[0])
    got = time_weighted_ema(x, value, 0.99, span)
    np.testing.assert_allclose(got, plain_twema(x, value, 0.99, span, 1000.0), rtol=1e-11)
    half_life = math.log(0.5) / math.log(0.99) / 1000  # in ranges of x
    times = pd.to_datetime(np.round((x - x[0]) / span * 1e18).astype(np.int64), unit="ns")
    step: Any = pd.Timedelta(round(half_life * 1e18), unit="ns")  # the stubs know numbers only
    ewm = pd.Series(value).ewm(halflife=step, times=times)
    np.testing.assert_allclose(got, ewm.mean(), rtol=1e-8)


@settings(max_examples=80, deadline=None)
@given(
    points=st.lists(
        st.tuples(
            st.floats(0, 1e4, allow_subnormal=False),
            st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]),
        ),
        max_size=60,
    ),
    weight=st.floats(0.001, 0.999),
    scale=st.floats(0.1, 1e5),
)
def test_twema_any_gaps_and_non_finite_values(points: list[tuple[float, float]], weight: float, scale: float) -> None:
    x = np.cumsum([p[0] for p in points])
    value = np.array([p[1] for p in points], dtype=float)
    span = max(float(x[-1] - x[0]), 1e-3) if points else 1.0
    got = time_weighted_ema(x, value, weight, span, scale)
    want = np.array(plain_twema(x, value, weight, span, scale), dtype=float)
    np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-7)
    assert (np.isnan(got) == ~np.isfinite(value)).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_non_finite_point_is_a_gap_and_poisons_nothing(bad: float) -> None:
    x = np.arange(9.0)
    value = np.arange(9.0)
    value[4] = bad
    without = np.delete(value, 4)
    smoothers: list[Callable[[FloatArray, FloatArray], FloatArray]] = [
        lambda a, v: time_weighted_ema(a, v, 0.9, 8.0),
        lambda _, v: exponential_average(v, 0.9),
    ]
    for smoother in smoothers:
        got = smoother(x, value)
        assert math.isnan(got[4])
        np.testing.assert_allclose(np.delete(got, 4), smoother(np.delete(x, 4), without))
    mean = centered_mean(value, 3)
    assert np.flatnonzero(np.isnan(mean)).tolist() == [4]
    assert mean[3] == 2.5
    assert mean[7] == 7.0


def test_short_and_degenerate_input_has_a_defined_answer() -> None:
    empty = np.array([])
    for out in (
        time_weighted_ema(empty, empty, 0.9),
        exponential_average(empty, 0.9),
        centered_mean(empty, 5),
    ):
        assert out.shape == (0,)
    one = np.array([3.0])
    assert time_weighted_ema(one, one, 0.9, 0.0).tolist() == [3.0]
    assert exponential_average(one, 0.9).tolist() == [3.0]
    assert centered_mean(one, 1000).tolist() == [3.0]
    nothing = np.array([math.nan, math.inf])
    assert np.isnan(time_weighted_ema(np.zeros(2), nothing, 0.9)).all()
    same_x = time_weighted_ema(np.zeros(4), np.array([1.0, 2, 3, 4]), 0.9)
    np.testing.assert_allclose(same_x, [1, 1.5, 2, 2.5])


def test_huge_values_do_not_overflow_and_a_fallen_back_x_does_not_explode() -> None:
    x = np.arange(100.0)
    assert np.isfinite(time_weighted_ema(x, np.full(100, 1.7e308), 0.99)).all()
    back = np.concatenate([np.arange(50.0), np.arange(30.0, 90.0)])
    out = time_weighted_ema(back, np.full(110, 2.0), 0.99)
    np.testing.assert_allclose(out, 2.0)


def test_plain_ema_is_its_recurrence() -> None:
    _, value = irregular(500, 3)
    y = d = 0.0
    for got, v in zip(exponential_average(value, 0.8).tolist(), value.tolist(), strict=True):
        y, d = y * 0.8 + v, d * 0.8 + 1
        assert got == pytest.approx(y / d, rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("window", [1, 2, 3, 4, 7, 50, 1000])
def test_running_mean_is_centred_and_shrinks_at_the_ends(window: int) -> None:
    _, value = irregular(60, window)
    got = centered_mean(value, window)
    ahead = (window - 1) // 2
    behind = window - 1 - ahead
    for i in range(60):
        assert got[i] == pytest.approx(value[max(0, i - behind) : i + ahead + 1].mean(), rel=1e-10, abs=1e-10)


def test_one_huge_value_spoils_only_its_own_windows() -> None:
    value = np.ones(1000)
    value[500] = 1e30
    mean = centered_mean(value, 10)
    assert (mean[520:] == 1).all()
    assert (mean[:480] == 1).all()


def test_slider_weight_is_the_web_page_s() -> None:
    assert slider_weight(0.25) == 0.5
    assert slider_weight(1.0) == 0.999
    assert slider_weight(0.0) == 0.0


def test_smoothing_says_what_it_does() -> None:
    x, value = irregular(20, 1)
    assert Smoothing("none").apply(x, value, 1.0) is None
    assert Smoothing("none").describe() == ""
    twema = Smoothing(weight=0.9, viewport_scale=50)
    assert twema.as_dict() == {"method": "twema", "weight": 0.9, "viewport_scale": 50}
    assert "0.9" in twema.describe()
    assert "50" in twema.describe()
    mean = Smoothing("running_mean", window=5)
    applied = mean.apply(x, value, 1.0)
    assert applied is not None
    np.testing.assert_array_equal(applied, centered_mean(value, 5))
    assert mean.as_dict() == {"method": "running_mean", "window": 5}


def plain_gaussian(x: FloatArray, value: FloatArray, sigma: float) -> list[float]:
    good = np.isfinite(value)
    place, known = x[good], value[good]
    width = sigma * (place[-1] - place[0]) / max(len(place) - 1, 1) if len(place) else 0.0
    out = []
    for at, v in zip(x, value, strict=True):
        if not math.isfinite(v):
            out.append(math.nan)
            continue
        gap = (place - at) / width if width > 0 else np.where(place == at, 0.0, np.inf)
        weight = np.where(np.abs(gap) <= GAUSSIAN_REACH, np.exp(-0.5 * gap**2), 0.0)
        out.append(float((weight * known).sum() / weight.sum()) if width > 0 else float(v))
    return out


@settings(max_examples=80, deadline=None)
@given(
    points=st.lists(
        st.tuples(
            st.floats(0.001, 1e3),
            st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]),
        ),
        max_size=60,
    ),
    sigma=st.floats(0.05, 30),
)
def test_gaussian_any_gaps_and_non_finite_values(points: list[tuple[float, float]], sigma: float) -> None:
    x = np.cumsum([p[0] for p in points])
    value = np.array([p[1] for p in points], dtype=float)
    got = gaussian(x, value, sigma)
    np.testing.assert_allclose(got, plain_gaussian(x, value, sigma), rtol=1e-7, atol=1e-5)


def test_gaussian_of_evenly_spaced_points_counts_in_points() -> None:
    value = np.zeros(101)
    value[50] = 1.0
    out = gaussian(np.arange(101.0) * 7, value, 2.0)
    assert out[52] / out[50] == pytest.approx(math.exp(-0.5))
    assert out.sum() == pytest.approx(1, rel=1e-3)
    assert gaussian(np.arange(101.0), value, 0.0).tolist() == value.tolist()
    assert (gaussian(np.zeros(4), np.ones(4), 3.0) == 1).all()
    assert np.isfinite(gaussian(np.arange(50.0), np.full(50, 1.7e308), 3.0)).all()


def test_gaussian_of_very_many_points_is_close_to_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x, value = irregular(3000, 9)
    exact = gaussian(x, value, 5.0)
    monkeypatch.setattr("wandb_toolkit.plots.smoothing._MOST_PAIRS", 0)
    np.testing.assert_allclose(gaussian(x, value, 5.0), exact, atol=0.05 * float(np.ptp(exact)))


@settings(max_examples=60, deadline=None)
@given(
    value=st.lists(st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf]), max_size=60),
    weight=st.floats(0, 0.999),
)
def test_ema_is_the_documented_recurrence(value: list[float], weight: float) -> None:
    """W&B's: last = last * w + (1 - w) * next, divided by 1 - w ** count."""
    last, count, want = 0.0, 0, []
    for v in value:
        if not math.isfinite(v):
            want.append(math.nan)
            continue
        last, count = last * weight + (1 - weight) * v, count + 1
        want.append(last / (1 - weight**count))
    got = exponential_average(np.array(value, dtype=float), weight)
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-4)


def test_weight_0_changes_nothing() -> None:
    x, value = irregular(30, 2)
    np.testing.assert_array_equal(time_weighted_ema(x, value, 0.0), value)
    np.testing.assert_array_equal(exponential_average(value, 0.0), value)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_the_shape_and_says_itself(method: Method) -> None:
    x, value = irregular(40, 8)
    value[7] = math.nan
    how = Smoothing(method, window=4)
    out = how.apply(x, value, float(np.ptp(x)))
    assert (out is None) == (method == "none")
    if out is not None:
        assert np.flatnonzero(np.isnan(out)).tolist() == [7]
    assert bool(how.describe()) == (method != "none")
    assert how.as_dict()["method"] == method
