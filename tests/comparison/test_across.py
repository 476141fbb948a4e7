"""Configurations over several tasks, beside values that the package rliable 1.2.0 gave for the same scores."""

from __future__ import annotations

import numpy as np
import pytest

from report_cases import curve, judged
from wandb_toolkit.comparison.across import interquartile_mean, probability_of_improvement, profile, resampled
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.model import Comparison, Primary
from wandb_toolkit.reports.render.comparison import across

# Five runs (rows) on three tasks (columns).
A = np.array(
    [[0.74, 0.335, 0.75], [0.984, 0.827, 0.822], [0.789, 0.443, 0.95], [1.227, 0.655, 0.553], [0.708, 0.92, 0.841]]
)
B = np.array(
    [[0.354, 0.533, 0.167], [0.574, 0.452, 0.257], [0.811, 0.537, 0.282], [0.782, 0.716, 0.071], [0.649, 0.354, 0.365]]
)
RETURN = Primary("eval/return", "max", "return")
LOSS = Primary("eval/loss", "min", "loss")


def test_the_numbers_are_those_of_rliable() -> None:
    a, b = list(A.T), list(B.T)
    # metrics.aggregate_iqm, metrics.probability_of_improvement, library.run_score_deviation
    assert float(interquartile_mean(a)) == pytest.approx(0.78355556, abs=1e-7)
    assert float(interquartile_mean(b)) == pytest.approx(0.45555556, abs=1e-7)
    assert float(probability_of_improvement(a, b)) == pytest.approx(0.8)
    assert profile(a) == pytest.approx((1, 1, 0.8666667, 0.5333333, 0.2666667))
    assert profile(b) == pytest.approx((1, 0.8666667, 0.4666667, 0.1333333, 0))


def test_the_intervals_are_those_of_rliable() -> None:
    # library.get_interval_estimates with 50,000 and 20,000 resamples
    mine, theirs = (resampled(list(x.T), np.random.default_rng(seed)) for seed, x in enumerate((A, B)))
    for drawn, ends in ((mine, (0.68222, 0.86867)), (theirs, (0.37967, 0.54223))):
        assert np.quantile(interquartile_mean(drawn), [0.025, 0.975]) == pytest.approx(ends, abs=0.01)
    chance = probability_of_improvement(mine, theirs)
    assert np.quantile(chance, [0.025, 0.975]) == pytest.approx((0.62667, 0.94667), abs=0.015)


def test_each_task_counts_the_same_whatever_its_seeds() -> None:
    low, high = np.zeros(4), np.ones(4)
    assert float(interquartile_mean([low, high])) == 0.5
    assert float(interquartile_mean([np.zeros(12), high])) == pytest.approx(0.5)


def over_tasks(
    ends: dict[str, dict[str, list[float]]], primary: Primary = RETURN, key: str = "algo", start: float = 0.0
) -> Comparison:
    """Compare runs given as configuration → task → final levels."""
    reports, series = [], []
    for name, tasks in ends.items():
        for task, levels in tasks.items():
            for seed, level in enumerate(levels):
                config = {key: name, "env_id": task, "seed": seed, "steps": len(task)}
                reports.append(judged(f"{name}-{task}-{seed}", config=config))
                series.append(curve([start, *[level] * 50], primary.metric))
    return compare(reports, series, primary)


PPO = {"Hopper": [3000.0, 3100.0, 2900.0], "Reacher": [8.0, 9.0, 10.0]}
A2C = {"Hopper": [1000.0, 1100.0, 900.0], "Reacher": [3.0, 4.0, 5.0]}


def test_scales_of_tasks_do_not_matter_and_the_leader_is_more_than_chance() -> None:
    found = over_tasks({"a2c": A2C, "ppo": PPO}).across
    assert found is not None
    assert found.keys == ("env_id",)
    assert [(one.task, one.zero, one.one) for one in found.tasks] == [("Hopper", 0, 3000), ("Reacher", 0, 9)]
    ppo, a2c = found.configurations
    assert (ppo.label, a2c.label, ppo.seeds) == ("algo=ppo", "algo=a2c", (3, 3))
    assert ppo.iqm == pytest.approx(1, abs=0.01)
    assert a2c.iqm == pytest.approx((1000 / 3000 + 1100 / 3000 + 300 / 900 + 4 / 9) / 4, abs=0.01)
    assert a2c.gap == pytest.approx(ppo.iqm - a2c.iqm)
    assert (a2c.apart, a2c.beaten) == (True, 1.0)
    assert ppo.gap is None
    assert "more than chance" in found.note


def test_a_dead_seed_hides_no_difference() -> None:
    dead = {**PPO, "Hopper": [3000.0, 3100.0, -1e6, 2900.0, 3050.0]}
    found = over_tasks({"a2c": A2C, "ppo": dead}).across
    assert found is not None
    assert [one.label for one in found.configurations] == ["algo=ppo", "algo=a2c"]
    assert found.tasks[0].zero == 0


def test_less_loss_is_better() -> None:
    found = over_tasks(
        {"bad": {"x": [2.0, 2.1], "y": [30.0, 31.0]}, "good": {"x": [1.0, 1.1], "y": [9.0, 8.0]}}, LOSS, start=50.0
    )
    assert found.across is not None
    assert found.across.configurations[0].label == "algo=good"
    assert found.across.configurations[1].apart is None
    assert "too few seeds to tell" in found.across.note


def test_equal_configurations_are_no_difference() -> None:
    rng = np.random.default_rng(3)
    ends = {name: {task: list(rng.normal(10, 2, 5)) for task in "xyz"} for name in ("one", "two")}
    found = over_tasks(ends).across
    assert found is not None
    assert found.configurations[1].apart is False
    assert "no evidence of a difference" in found.note


def test_one_task_one_configuration_or_nothing_shared_has_no_section() -> None:
    assert over_tasks({"a2c": {"Hopper": [1.0, 2.0]}, "ppo": {"Hopper": [3.0, 4.0]}}).across is None
    assert over_tasks({"ppo": PPO}).across is None
    assert over_tasks({"a2c": {"Hopper": [1.0, 2.0]}, "ppo": {"Reacher": [3.0, 4.0]}}).across is None


def test_a_configuration_on_one_task_makes_way() -> None:
    found = over_tasks({"sac": {"Hopper": [5000.0, 5100.0]}, "a2c": A2C, "ppo": PPO}).across
    assert found is not None
    assert {one.label for one in found.configurations} == {"algo=ppo", "algo=a2c"}


def test_the_table_has_unequal_labels_and_one_order() -> None:
    found = over_tasks({"a2c": A2C, "ppo": PPO}).across
    table = across(found)
    assert table is not None
    assert [row[:3] for row in table.rows] == [["1", "`algo=ppo`", "6"], ["2", "`algo=a2c`", "6"]]
    assert table.rows[1][6] == "yes"
    assert across(None) is None


def test_equal_configurations_are_rarely_called_apart() -> None:
    rng, false = np.random.default_rng(11), 0
    for _ in range(20):
        ends = {name: {task: list(rng.normal(10, 2, 3)) for task in "xyz"} for name in ("one", "two")}
        found = over_tasks(ends).across
        false += bool(found and found.configurations[1].apart)
    assert false <= 3
