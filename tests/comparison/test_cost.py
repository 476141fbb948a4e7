"""The same metric at the same cost, and what a target took."""

from __future__ import annotations

import numpy as np
import pytest

from report_cases import curve
from wandb_toolkit.comparison.cost import Track, best_common_level, common_amount, track_of
from wandb_toolkit.comparison.levels import level_of
from wandb_toolkit.model import Cost, Direction, History, Series


def a_track(values: object, seconds: object = None, tokens: object = None, name: str = "acc") -> Track:
    history = {}
    if seconds is not None:
        history["_runtime"] = curve(seconds, "_runtime")
    if tokens is not None:
        history["tokens"] = curve(tokens, "tokens")
    made = track_of(curve(values, name), History(history), "tokens" if tokens is not None else None)
    assert made is not None
    return made


def test_costs_are_read_at_the_metrics_own_steps() -> None:
    sparse = Series("acc", np.array([0.0, 50, 90]), np.array([0.1, 0.5, 0.9]))
    history = History({"_runtime": curve(np.arange(100) * 2.0), "tok": curve(np.arange(100) * 10.0)})
    track = track_of(sparse, history, "tok")
    assert track is not None
    assert track.spent["time"].tolist() == [0, 100, 180]
    assert [track.total(cost) for cost in ("step", "time", "tokens")] == [90, 180, 900]
    assert track_of(None, history, None) is None
    assert track_of(curve([]), history, None) is None


def test_a_clock_that_starts_again_goes_on() -> None:
    assert a_track([1, 2, 3, 4], seconds=[0, 10, 5, 15]).total("time") == 25


def test_tokens_a_row_are_summed_and_a_sample_of_them_is_not() -> None:
    amounts = [5, 7, 3, 9, 2, 8]
    assert a_track(range(6), tokens=amounts).total("tokens") == sum(amounts)
    sampled = History({"tok": Series("tok", np.arange(6.0), np.array(amounts, float), total=600)})
    track = track_of(curve(range(6)), sampled, "tok")
    assert track is not None
    assert track.total("tokens") is None


def test_system_metrics_know_their_time_only() -> None:
    track = track_of(Series("system.gpu", np.arange(5.0), np.ones(5), axis="_runtime"), History({}), None)
    assert track is not None
    assert list(track.spent) == ["time"]


@pytest.mark.parametrize(("direction", "sign"), [("max", 1), ("min", -1)])
def test_the_target_is_reached_by_the_course_not_by_a_spike(direction: Direction, sign: int) -> None:
    values = np.linspace(0, 1, 101)
    values[5] = 3.0
    reached = a_track(sign * values, seconds=np.arange(101) * 3.0).reaching(sign * 0.5, direction)
    assert reached == {"step": 50, "time": 150}
    assert a_track(sign * values).reaching(sign * 2.0, direction) == {}
    assert a_track([np.nan, np.nan]).reaching(0.0, direction) == {}


def test_the_common_point_is_the_least_that_all_have_spent() -> None:
    tracks = {0: a_track(range(100)), 1: a_track(range(80)), 2: a_track(range(10))}
    assert common_amount(tracks, "step") == (79, (2,))
    assert common_amount({0: tracks[0]}, "step") is None
    assert common_amount(tracks, "tokens") is None
    level = tracks[0].level_at("step", 79, "max")
    assert level is not None
    assert level.end == level_of(curve(range(80))).end  # type: ignore[union-attr]
    assert tracks[0].level_at("tokens", 1, "max") is None


@pytest.mark.parametrize("cost", ["step", "time"])
def test_a_level_before_the_first_point_is_none(cost: Cost) -> None:
    assert a_track([1, 2], seconds=[10, 20]).level_at(cost, -1, "max") is None


def test_the_common_level_leaves_out_who_gained_little() -> None:
    ends = [level_of(curve(np.linspace(0, end, 50))) for end in (1.0, 0.8, 0.05)]
    levels = [level for level in ends if level]
    assert best_common_level(levels, "max") == pytest.approx(levels[1].end)
    assert best_common_level(levels[:1], "max") is None
    assert best_common_level(levels, "min") is None


def test_rows_that_arrive_in_bursts_tell_no_time() -> None:
    folder_read_every_few_seconds = np.repeat([11.5, 16.6, 17.3], 50) + np.arange(150) * 1e-4
    assert a_track(np.arange(150), seconds=folder_read_every_few_seconds).total("time") is None
    one_long_start = 600 + np.arange(150) * 0.5
    assert a_track(np.arange(150), seconds=one_long_start).total("time") == 674.5


def test_a_few_falls_of_clock_and_time_stamps_are_two_writers_not_resumptions() -> None:
    seconds = np.where(np.arange(100) == 60, 52.0, np.arange(100.0))
    history = History({"_runtime": curve(seconds), "_timestamp": curve(1.7e9 + seconds)})
    track = track_of(curve(np.arange(100.0), "acc"), history, None)
    assert track is not None
    assert track.total("time") == pytest.approx(99.0)
