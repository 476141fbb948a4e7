"""Intervals from few values, leads and Pareto fronts."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wandb_toolkit.comparison.lead import Contender, cheapest, gap_of, lead_of, spread_of
from wandb_toolkit.comparison.uncertainty import ENOUGH, Spread, centre, difference, iqm, level_interval, pooled, t95

NONE = Spread(math.nan, 0)


def test_the_iqm_is_the_mean_of_the_middle_half() -> None:
    assert iqm(np.array([0.0, 1, 2, 100])) == pytest.approx(1.5)
    assert iqm(np.array([0.0, 1, 2, 3, 100])) == pytest.approx((0.75 * 1 + 2 + 0.75 * 3) / 2.5)
    assert iqm(np.array([[5.0], [7.0]])).tolist() == [5.0, 7.0]


def test_fewer_than_five_values_have_a_mean_and_more_an_iqm() -> None:
    assert centre([0.0, 0.0, 0.0, 10.0]) == 2.5
    assert centre([0.0, 0.0, 0.0, 0.0, 10.0]) < 2.0


def test_the_spread_is_pooled_over_groups_with_several_values() -> None:
    found = pooled([[1.0, 3.0], [10.0, 10.0, 10.0], [99.0]])
    assert found.freedom == 3
    assert found.sd == pytest.approx(math.sqrt(2 / 3))
    assert pooled([[1.0], [2.0]]).freedom == 0


def test_t_errs_to_caution_between_its_rows() -> None:
    assert t95(1) == 12.71
    assert t95(25) == t95(20)
    assert t95(1000) == 2.0


def test_without_seeds_no_interval_is_known() -> None:
    assert not level_interval([1.0], NONE).known
    assert level_interval([1.0], NONE).holds_zero
    found = difference([2.0], [1.0], NONE)
    assert (found.value, found.known) == (1.0, False)


def test_few_seeds_take_students_t_and_many_the_bootstrap() -> None:
    few = level_interval([1.0, 2.0, 3.0], pooled([[1.0, 2.0, 3.0]]))
    assert few.how == "mean, Student's t"
    assert few.high - few.value == pytest.approx(4.30 / math.sqrt(3))
    many = level_interval([1.0, 2.0, 3.0, 4.0, 5.0], pooled([[1.0, 2.0, 3.0, 4.0, 5.0]]))
    assert many.how == "IQM, bootstrap"
    assert 1 <= many.low < 3 < many.high <= 5
    assert many == level_interval([1.0, 2.0, 3.0, 4.0, 5.0], NONE)  # seeded


def test_a_pair_that_scatters_more_than_all_others_is_judged_by_its_own_spread() -> None:
    calm = pooled([[1.0, 1.001]] * 20)
    wild = difference([1.0, 5.0], [0.0, 4.0], calm)
    assert wild.low < 0 < wild.high


@pytest.mark.parametrize("seeds", [2, 3, ENOUGH, 8])
def test_equal_configurations_are_rarely_told_apart(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    wrong = 0
    for _ in range(150):
        mine, theirs = rng.normal(size=seeds).tolist(), rng.normal(size=seeds).tolist()
        wrong += not difference(mine, theirs, pooled([mine, theirs])).holds_zero
    assert wrong / 150 <= 0.10


def test_a_clear_difference_of_five_seeds_is_found() -> None:
    mine, theirs = [0.9, 0.91, 0.92, 0.9, 0.93], [0.8, 0.81, 0.79, 0.8, 0.82]
    found = difference(mine, theirs, pooled([mine, theirs]))
    assert found.how == "IQM, bootstrap"
    assert 0.08 < found.low < found.value < found.high < 0.14


def test_a_lead_counts_against_the_best_rival_that_has_ended() -> None:
    field = [Contender((0.9, 0.91), 0.0), Contender((0.89,), 0.0, over=False), Contender((0.5, 0.52), 0.0)]
    assert lead_of(field, 0, [1, 2], "max").rival == 2
    assert lead_of(field, 0, [1], "max").rival == 1
    assert lead_of(field, 0, [], "max").verdict is None
    assert lead_of(field, 0, [2], "max").verdict == "real"


def test_less_is_better_where_the_direction_says_so() -> None:
    field = [Contender((0.1, 0.11), 0.0), Contender((0.5, 0.51), 0.0)]
    gap = gap_of(field[0], field[1], spread_of(field), "min")
    assert gap.value == pytest.approx(0.4)
    assert 0 < gap.low < gap.value < gap.high
    assert lead_of(field, 0, [1], "min").verdict == "real"


def test_single_seeds_are_measured_by_their_curves_and_never_real() -> None:
    assert lead_of([Contender((1.0,), 0.01), Contender((0.5,), 0.01)], 0, [1], "max").verdict == "single"
    assert lead_of([Contender((1.0,), 1.0), Contender((0.5,), 1.0)], 0, [1], "max").verdict == "unproven"
    assert lead_of([Contender((1.0,), math.nan), Contender((0.5,), 1.0)], 0, [1], "max").why == "points"


def test_the_pareto_front_holds_what_nothing_cheaper_matches() -> None:
    quality, cost = [0.9, 0.8, 0.95, 0.7, 0.9], [10.0, 5.0, 30.0, 6.0, 12.0]
    assert cheapest(quality, cost, "max") == [1, 0, 2]
    assert cheapest(quality, cost, "min") == [1, 3]
    assert cheapest([1.0, math.nan, 3.0], [1.0, 0.5, None], "max") == [0]
    assert cheapest([1.0, 1.0], [2.0, 2.0], "max") == [0]
    assert cheapest([], [], "max") == []


def test_one_dead_seed_does_not_hide_the_differences_of_the_others() -> None:
    rng = np.random.default_rng(3)
    groups = [list(level + rng.normal(0, 1, 3)) for level in (10, 20, 30, 40)]
    sound = pooled(groups).sd
    groups[3][0] = 0.0  # died
    assert pooled(groups).sd < 2 * sound
    assert difference(groups[2], groups[0], pooled(groups)).low > 0


def test_the_difference_is_that_of_the_levels_that_are_said() -> None:
    many, few = [10.0, 10.1, 10.2, 9.9, 9.8, 0.0], [9.0, 9.1]
    gap = difference(many, few, pooled([many, few]))
    assert gap.value == pytest.approx(centre(many) - centre(few))
    assert gap.how == "IQM and mean, Student's t"
