"""Ranking, seeds and what a lead proves."""

from __future__ import annotations

import math

import numpy as np
import pytest

from report_cases import ACCURACY, LOSS, a_finding, curve, judged, rising
from wandb_toolkit import configs
from wandb_toolkit.comparison.levels import level_of
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.model import History
from wandb_toolkit.reports.sentences import good_sentences


def flat(value: float, points: int = 50) -> list[float]:
    return [value] * points


def test_a_level_is_the_median_of_the_last_tenth() -> None:
    values = np.concatenate([np.zeros(90), np.ones(9), [50.0]])
    level = level_of(curve(values))
    assert level is not None
    assert (level.start, level.end, level.tail) == (0.0, 1.0, 10)
    assert (level.best, level.best_step) == (50.0, 99)


def test_a_level_takes_at_least_one_and_at_most_twenty_points() -> None:
    one, long = level_of(curve([3.0])), level_of(curve(np.arange(1000)))
    assert one is not None
    assert long is not None
    assert (one.end, one.tail) == (3.0, 1)
    assert (long.end, long.tail) == (989.5, 20)
    assert math.isnan(one.noise)


def test_no_points_have_no_level_and_a_nan_end_is_nan() -> None:
    assert level_of(None) is None
    assert level_of(curve([])) is None
    broken = level_of(curve([*flat(1.0, 20), *flat(math.nan, 20)]), "min")
    assert broken is not None
    assert math.isnan(broken.end)
    assert (broken.best, broken.best_step) == (1.0, 0)
    nothing = level_of(curve(flat(math.nan)))
    assert nothing is not None
    assert nothing.best is None
    assert nothing.best_step is None


def test_objects_addresses_make_no_other_task_and_no_other_configuration() -> None:
    runs = [
        ({"env": f"<some.vec_env.DummyVecEnv object at 0x7f{at}a0>", "lr": 1e-3, "seed": at}, f"ppo-{at}")
        for at in (1, 2)
    ]
    assert configs.task_of(runs[0][0]) == {}
    assert configs.configurations_of(runs)[0] == configs.configurations_of(runs)[1]
    assert configs.task_of({"dataset": "/data/squad", "env_id": "Hopper-v4"}) == {
        "dataset": '"/data/squad"', "env_id": '"Hopper-v4"'
    }  # fmt: skip


def test_what_made_no_real_progress_is_on_no_front() -> None:
    reports = [judged("good", duration=60.0, config={"lr": 1}), judged("mid", duration=30.0, config={"lr": 2}),
               judged("broke", verdict="ugly", duration=5.0, config={"lr": 3})]  # fmt: skip
    times = [np.linspace(0, end, 50) for end in (60.0, 30.0, 5.0)]
    series = [curve(rising(value, 50)) for value in (0.9, 0.7, 0.1)]
    histories = [History({"_runtime": curve(spent, "_runtime")}) for spent in times]
    found = compare(reports, series, ACCURACY, histories=histories)
    fronts = {one.names[0]: one.front for one in found.configurations}
    assert "time" in fronts["good"]
    assert "time" in fronts["mid"]
    assert fronts["broke"] == ()


def test_an_overfitted_run_is_not_the_best_by_its_training_loss() -> None:
    overfit = judged("overfit", a_finding("overfitting"), verdict="bad", roles={"loss": LOSS.metric}, config={"n": 1})
    well = judged("well", roles={"loss": LOSS.metric}, config={"n": 2})
    series = [curve(flat(0.03), LOSS.metric), curve(flat(1.1), LOSS.metric)]
    by_training_loss = compare([overfit, well], series, LOSS)
    assert (by_training_loss.best, by_training_loss.runs[0].marks) == ("id-well", ("overfits",))
    by_accuracy = compare([overfit, well], [curve(flat(0.9)), curve(flat(0.5))], ACCURACY)
    assert by_accuracy.best == "id-overfit"


def test_several_trainings_in_one_run_are_seen_in_its_curve() -> None:
    fold = [1 / (epoch + 1) for epoch in range(30)]
    folds = level_of(curve([*fold, *(value + 0.1 for value in fold)]), "min")
    spiked = level_of(curve([*fold, 0.9, *fold[5:]]), "min")  # back at once
    assert folds is not None
    assert spiked is not None
    assert (folds.restarts, spiked.restarts) == (True, False)


def test_names_tell_equal_configs_apart_where_several_share_one_but_for_its_numbers() -> None:
    config = {"lr": 1e-3}
    names = ["base-s1", "base-s2", "swiglu", "geglu"]
    base, again, *others = configs.configurations_of([(config, name) for name in names])
    assert base == again
    assert len({base, *others}) == 3
    random = configs.configurations_of([(config, name) for name in ("fluffy-cloud-1", "wise-sky-2")])
    assert random[0] == random[1]
    assert configs.configurations_of([({}, "base-s1"), ({}, "base-s2")]) == [None, None]


def test_a_curve_settles_where_it_stays_at_its_end() -> None:
    level = level_of(curve([*np.linspace(0, 1, 50), *flat(1.0, 50)]))
    assert level is not None
    assert level.settled_step is not None
    assert 45 <= level.settled_step <= 51
    still = level_of(curve(np.linspace(0, 1, 100)))
    assert still is not None
    assert still.settled_step is None or still.settled_step > 85
    # Three per cent of a gain that the first value makes is far from the end of what follows.
    creeps = level_of(curve([9.0, *(0.01 * np.exp(-np.linspace(0, 5, 99)) + 5e-4)]), "min")
    assert creeps is not None
    assert creeps.settled_step is None or creeps.settled_step > 80


def test_less_loss_ranks_higher_and_the_best_is_not_the_worst() -> None:
    found = compare([judged("worse"), judged("better")], [curve(flat(2.0)), curve(flat(1.0))], LOSS)
    assert [line.name for line in found.runs] == ["better", "worse"]
    assert found.best == "id-better"


def test_a_broken_run_keeps_its_rank_and_is_never_called_best() -> None:
    reports = [
        judged("crashed", state="crashed"),
        judged("nan", a_finding("nan_or_inf", "ugly")),
        judged("sound"),
    ]
    found = compare(reports, [curve(flat(v)) for v in (0.9, 0.8, 0.7)], ACCURACY)
    assert [line.name for line in found.runs] == ["crashed", "nan", "sound"]
    assert [line.marks for line in found.runs] == [("crashed",), ("NaN",), ()]
    assert found.best == "id-sound"


def test_where_every_run_broke_the_first_is_best_and_the_note_says_so() -> None:
    reports = [judged("a", state="failed"), judged("b", state="killed")]
    found = compare(reports, [curve(flat(0.1)), curve(flat(0.2))], ACCURACY)
    assert found.best == "id-b"
    assert "least bad" in found.note


def test_runs_without_the_metric_come_last_and_nan_before_them() -> None:
    series = [None, curve(flat(math.nan)), curve(flat(0.1))]
    found = compare([judged("none"), judged("nan"), judged("some")], series, ACCURACY)
    assert [line.name for line in found.runs] == ["some", "nan", "none"]
    assert "1 run without `eval/accuracy`" in found.note


def test_without_a_primary_nothing_is_ranked() -> None:
    found = compare([judged("a"), judged("b")], [None, None], None)
    assert [line.name for line in found.runs] == ["a", "b"]
    assert found.best is None
    assert "--primary" in found.note


def test_runs_that_differ_only_in_seed_are_one_configuration() -> None:
    reports = [judged(f"s{i}", config={"lr": 0.1, "seed": i, "output_dir": f"/tmp/{i}"}) for i in range(3)]
    reports.append(judged("other", config={"lr": 0.2, "seed": 0}))
    found = compare(reports, [curve(flat(v)) for v in (0.80, 0.82, 0.84, 0.81)], ACCURACY)
    (group,) = found.seed_groups
    assert set(group.names) == {"s0", "s1", "s2"}
    assert group.mean == pytest.approx(0.82)
    assert group.std == pytest.approx(0.02)
    assert "0.82 ± 0.02 (mean ± sd, n=3)" in found.note
    assert found.lead == "unproven"
    assert "No evidence of a difference" in found.note


def test_a_lead_beyond_the_seeds_spread_is_real() -> None:
    reports = [judged(f"s{i}", config={"lr": 0.1, "seed": i}) for i in range(3)]
    reports.append(judged("other", config={"lr": 0.2, "seed": 0}))
    found = compare(reports, [curve(flat(v)) for v in (0.80, 0.82, 0.84, 0.3)], ACCURACY)
    assert found.lead == "real"
    assert "more than chance" in found.note


@pytest.mark.parametrize("state", ["killed", "running"])
def test_a_run_that_did_not_finish_is_no_seed(state: str) -> None:
    reports = [judged(f"s{i}", config={"lr": 0.1, "seed": i}) for i in range(2)]
    reports.append(judged("short", config={"lr": 0.1, "seed": 9}, state=state))
    found = compare(reports, [curve(flat(v)) for v in (0.8, 0.81, 0.2)], ACCURACY)
    assert [group.runs for group in found.seed_groups] == [("id-s1", "id-s0")]


def test_a_gap_within_the_noise_is_no_evidence() -> None:
    rng = np.random.default_rng(0)
    reports = [judged("a", config={"lr": 1}), judged("b", config={"lr": 2})]
    found = compare(reports, [curve(0.5 + rng.normal(0, 0.1, 200)) for _ in reports], ACCURACY)
    assert found.lead == "unproven"
    clear = compare(reports, [curve(rising(0.9)), curve(rising(0.5))], ACCURACY)
    assert clear.lead == "single"
    assert "luck is not ruled out" in clear.note
    few = compare(reports, [curve([0.5]), curve([0.4])], ACCURACY)
    assert "Too few points" in few.note


def test_runs_without_a_config_are_no_seeds_of_each_other() -> None:
    found = compare([judged("a"), judged("b")], [curve(flat(1.0)), curve(flat(1.0))], ACCURACY)
    assert found.seed_groups == ()


def test_different_lengths_and_projects_are_said() -> None:
    reports = [judged("a"), judged("b", project="elsewhere")]
    found = compare(reports, [curve(flat(1.0, 100)), curve(flat(1.0, 10))], ACCURACY)
    assert "different length" in found.note
    assert "2 projects" in found.note


def test_names_that_repeat_carry_their_id() -> None:
    reports = [judged("same", id=f"x{i}", config={"lr": 1, "seed": i}) for i in range(2)]
    found = compare(reports, [curve(flat(1.0)), curve(flat(1.0))], ACCURACY)
    assert "`same (x0)` and `same (x1)`" in found.note


def test_config_differences_are_flat_short_and_ordered() -> None:
    one = {"_wandb": {"v": 1}, "optim": {"lr": 1, "eps": None}, "seed": 1, "run_name": "a", "text": "x" * 500, "n": 1}
    other = {"_wandb": {"v": 2}, "optim": {"lr": 2}, "seed": 2, "run_name": "b", "text": "y" * 500, "n": 1.0}
    found = configs.differences([one, other])
    assert list(found) == ["optim.lr", "text", "seed", "run_name"]
    assert found["optim.lr"] == [1, 2]
    assert all(len(value) == configs.VALUE_LENGTH for value in found["text"])


@pytest.mark.parametrize("key", ["seed", "random_seed", "env.seed", "trainer.data_seed", "SEED", "torch_seed"])
def test_seed_keys(key: str) -> None:
    assert configs.is_seed(key)


@pytest.mark.parametrize("key", ["seeded", "seed_examples", "n_seeds_per_prompt", "learning_rate"])
def test_keys_that_are_no_seed(key: str) -> None:
    assert not configs.is_seed(key)


def test_bookkeeping_is_told_from_settings() -> None:
    assert all(map(configs.is_bookkeeping, ["run_name", "output_dir", "args.logging_dir", "host", "exp_name"]))
    assert not any(map(configs.is_bookkeeping, ["model_name_or_path", "dataset_path", "lr", "max_time_steps"]))


def a_history(points: int, seconds: float, tokens: float) -> History:
    """What a run of `points` steps had spent."""
    spent = {"_runtime": np.arange(points) * seconds, "tok": np.arange(points) * tokens}
    return History({name: curve(values, name) for name, values in spent.items()})


def test_the_best_is_the_best_configuration_not_the_luckiest_seed() -> None:
    reports = [judged(f"a{i}", config={"lr": 1, "seed": i}) for i in range(3)]
    reports += [judged(f"b{i}", config={"lr": 2, "seed": i}) for i in range(3)]
    found = compare(reports, [curve(flat(v)) for v in (0.95, 0.3, 0.3, 0.8, 0.81, 0.82)], ACCURACY)
    assert found.best == "id-b2"
    assert found.best_at == 5
    assert "`a0` has the best single value (0.95), but the 3 seeds of its configuration end at 0.5167" in found.note
    first, second = found.configurations
    assert (first.names, first.gap, first.apart) == (("b2", "b1", "b0"), None, None)
    assert second.apart is False
    assert second.gap_low is not None
    assert second.gap_low < 0 < second.gap  # type: ignore[operator]


def test_the_best_is_found_by_place_where_two_projects_share_an_id() -> None:
    reports = [judged("a", id="same", project="x"), judged("b", id="same", project="y")]
    found = compare(reports, [curve(flat(0.1)), curve(rising(0.9))], ACCURACY)
    assert (found.best, found.best_at) == ("same", 1)
    assert [line.at for line in found.runs] == [1, 0]
    said = good_sentences(reports, [curve(flat(0.1)), curve(rising(0.9))], ACCURACY, found)
    assert "in `b" in said[0]


def test_the_same_cost_turns_a_ranking_of_unequal_lengths() -> None:
    reports = [judged("long", config={"lr": 1}), judged("quick", config={"lr": 2})]
    slow, quick = np.linspace(0, 1, 400), np.linspace(0, 0.8, 100)
    roles = {"tokens": "tok", "task": "eval/accuracy"}
    reports = [judged(r.run.name, roles=roles, config=r.run.config, duration=d)
               for r, d in zip(reports, (800.0, 100.0), strict=True)]  # fmt: skip
    histories = [a_history(400, 2.0, 10.0), a_history(100, 1.0, 10.0)]
    found = compare(reports, [curve(slow), curve(quick)], ACCURACY, histories=histories)
    assert found.best == "id-long"
    points = {point.cost: point for point in found.common}
    assert {cost: point.amount for cost, point in points.items()} == {"step": 99, "time": 99, "tokens": 990}
    assert points["step"].telling
    assert "`long` (0.9762) ends ahead of `quick` (0.7636), but ran longer" in found.lead_text
    assert found.lead_text.endswith("after 99 steps, which both have, `quick` is ahead.")
    assert points["step"].note.startswith("After 99 steps: `quick` (0.76")
    long = next(line for line in found.runs if line.name == "long")
    assert long.same["step"] == pytest.approx(0.236, abs=0.01)
    assert long.tokens == 3990
    assert found.target is not None
    assert found.target.value == pytest.approx(0.762, abs=0.01)
    assert found.target.note.startswith("`quick` ")
    assert long.reached["step"] > 3 * next(line for line in found.runs if line.name == "quick").reached["step"]
    assert [one.front for one in found.configurations] == [("step", "time", "tokens")] * 2


def test_a_given_target_may_be_out_of_reach() -> None:
    reports = [judged("a", config={"lr": 1}), judged("b", config={"lr": 2})]
    found = compare(reports, [curve(rising(0.9)), curve(rising(0.5))], ACCURACY, target=0.7)
    assert found.target is not None
    assert found.target.why == "given by you"
    assert found.target.note.endswith("1 configuration did not reach it")
    assert [bool(line.reached) for line in found.runs] == [True, False]
    none = compare(reports, [curve(rising(0.9)), curve(rising(0.5))], ACCURACY, target=2.0)
    assert none.target is not None
    assert none.target.note == "2 configurations did not reach it"


def test_five_seeds_are_summed_up_by_their_iqm() -> None:
    reports = [judged(f"s{i}", config={"lr": 0.1, "seed": i}) for i in range(5)]
    reports += [judged(f"t{i}", config={"lr": 0.2, "seed": i}) for i in range(5)]
    ends = [0.80, 0.81, 0.82, 0.83, 0.1, 0.60, 0.61, 0.62, 0.63, 0.64]
    found = compare(reports, [curve(flat(v)) for v in ends], ACCURACY)
    assert [one.how for one in found.configurations] == ["IQM, bootstrap"] * 2
    assert found.configurations[0].value == pytest.approx(0.808, abs=0.01)  # one fallen seed does not decide


def test_settings_are_judged_over_configurations_of_one_project_that_ended_soundly() -> None:
    reports = [judged(f"r{i}", config={"lr": float(i), "seed": 0}) for i in range(14)]
    reports += [judged("bad", state="crashed", config={"lr": 99.0})]
    found = compare(reports, [curve(flat(i / 20)) for i in range(15)], ACCURACY)
    assert found.signals is not None
    assert found.signals.count == 14
    assert [(one.key, round(one.strength, 2)) for one in found.signals.signals] == [("lr", 1.0)]
    apart = compare([judged(f"r{i}", project=str(i % 2), config={"lr": i}) for i in range(14)],
                    [curve(flat(i / 20)) for i in range(14)], ACCURACY)  # fmt: skip
    assert apart.signals is not None
    assert "2 projects" in apart.signals.refused
