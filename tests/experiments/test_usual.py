"""Settings outside their usual range are corrected first, where they can cause what was found."""

from __future__ import annotations

from typing import Any

import pytest

from report_cases import ACCURACY, a_finding, curve, judged, rising
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.experiments.propose import propose
from wandb_toolkit.experiments.settings import find_setting, rule_book
from wandb_toolkit.experiments.usual import ranges
from wandb_toolkit.model import Finding, LeadUp, RunReport
from wandb_toolkit.reports.doubt import without_doubtful

POLICY = {"total_timesteps": 30000, "env_name": "CartPole-v1"}
TREES = {"num_leaves": 15, "objective": "binary"}


def first_change(finding: Finding, config: dict[str, Any], *others: RunReport) -> str:
    verdict = "ugly" if finding.severity == "ugly" else "bad"
    return propose([judged("run", finding, verdict=verdict, config=config), *others], None, ACCURACY)[0].change


@pytest.mark.parametrize(
    ("found", "config", "change"),
    [
        ("no_learning", {"gamma": 0.0, **POLICY}, "`gamma` from 0 to 0.99"),
        ("plateau_early", {"ent_coef": 1.0, **POLICY}, "`ent_coef` from 1 to 0.01"),
        ("clipfrac_high", {"clip_coef": 0.001, **POLICY}, "`clip_coef` from 0.001 to 0.2"),
        ("chance_level", {"initializer_range": 4.0}, "`initializer_range` from 4 to 0.02"),
        ("no_learning", {"warmup_steps": 50000, "max_steps": 400}, "`warmup_steps` from 50000 to 20"),
        ("metric_frozen", {"learning_starts": 90000, **POLICY}, "`learning_starts` from 90000 to 1500"),
        ("no_learning", {"optimizer": "adam", "lr": 1e-8}, "`lr` from 1e-08 to 0.001"),
        ("loss_divergence", {"optimizer": "SGD", "lr": 4.0}, "`lr` from 4 to 0.05"),
        ("overfitting", {"learning_rate": "0.6", **TREES}, "`learning_rate` from 0.6 to 0.1"),
        ("no_learning", {"freeze_backbone": True}, "`freeze_backbone` from true to false"),
        ("loss_spike", {"shuffle": False}, "`shuffle` from false to true"),
        (
            "nan_or_inf",
            {"learning_rate": 3.0, "max_grad_norm": 1e9, "per_device_train_batch_size": 8},
            "`learning_rate` from 3 to 0.0002, `max_grad_norm` from 1e+09 to 1",
        ),
    ],
)
def test_a_setting_outside_its_range_is_brought_back_into_it(found: str, config: dict[str, Any], change: str) -> None:
    assert first_change(a_finding(found), config) == change


@pytest.mark.parametrize(
    ("found", "config"),
    [
        ("overfitting", {"gamma": 0.0, **POLICY}),  # cannot cause it
        ("no_learning", {"gamma": 0.0, **TREES}),  # a booster's gamma is another thing
        ("loss_divergence", {"optimizer": "SGD", "lr": 0.1}),  # usual for it
        ("no_learning", {"warmup_steps": 40, "max_steps": 400}),
        ("no_learning", {"warmup_steps": 500, "num_train_epochs": 3}),  # the epochs' length is not known
    ],
)
def test_a_usual_setting_and_one_that_explains_nothing_are_left(found: str, config: dict[str, Any]) -> None:
    change = first_change(a_finding(found), config)
    assert "gamma" not in change
    assert "warmup" not in change
    assert "0.05" not in change


def test_a_value_that_a_healthy_run_has_is_not_the_cause() -> None:
    config = {"optimizer": "adam", "lr": 1e-6, "layers": 1, "width": 2, "depth_": 3, "heads": 4}
    well = judged("well", config={"optimizer": "adam", "lr": 1e-6, "layers": 9, "width": 9, "depth_": 9, "heads": 9})
    assert first_change(a_finding("no_learning"), config) == "`lr` from 1e-06 to 0.001"
    assert "0.001" not in first_change(a_finding("no_learning"), config, well)


def test_every_range_names_a_setting_and_diagnoses_that_exist() -> None:
    rules = {rule["finding"] for rule in rule_book()["rule"]}
    for entry in ranges()["usual"]:
        assert entry["setting"] in rule_book()["settings"]
        assert entry["low"] <= entry["to"] <= entry["high"]
        named = {
            id_ for side in ("below", "above") for one in entry[side] for id_ in ranges()["causes"].get(one, [one])
        }
        assert named <= rules | {"equal_rewards"}


def test_the_rate_is_kept_where_a_step_of_it_led_up_to_the_fault() -> None:
    step = LeadUp("train/lr", "rose", 800, 20, 1e-4, 3e-2)
    fault = a_finding("loss_divergence", "ugly", step=820, leading_up=(step,))
    run = judged("run", fault, verdict="ugly", roles={"lr": "train/lr"})
    (first, *_) = propose([run], None, ACCURACY)
    assert first.change == "`train/lr` kept near 0.0001 from step 800 on, where it rose to 0.03"
    assert first.finding == "loss_divergence"


def test_trees_are_not_asked_for_gradients_batches_or_weight_decay() -> None:
    for found in ("overfitting", "no_learning"):
        texts = " ".join(
            f"{one.change} {one.expect} {one.refute}"
            for one in propose([judged("run", a_finding(found), verdict="bad", config=TREES)], None, ACCURACY)
        )
        assert not any(word in texts for word in ("gradient", "batch", "weight decay", "checkpoint"))


def test_a_number_written_as_text_and_a_dump_of_the_library_do_not_hide_what_was_set() -> None:
    config = {"learner": {"tree_train_param": {"learning_rate": "0.300000012"}}, "eta": "0.05"}
    setting = find_setting(config, "learning_rate")
    assert setting is not None
    assert (setting.key, setting.value) == ("eta", 0.05)


def test_runs_of_which_other_settings_are_unusual_are_told_apart() -> None:
    hot = judged("hot", a_finding("entropy_collapse", "ugly"), verdict="ugly", config={"learning_rate": 0.4, **POLICY})
    cold = judged("cold", a_finding("entropy_collapse", "ugly"), verdict="ugly", config={"ent_coef": -0.5, **POLICY})
    changes = [one.change for one in propose([hot, cold], None, ACCURACY)]
    assert changes[:2] == ["`learning_rate` from 0.4 to 0.0003", "`ent_coef` from -0.5 to 0.01"]


def test_a_rate_of_zero_that_no_config_records_is_put_above_zero() -> None:
    silent = a_finding("no_signal", "ugly", metrics=("train/lr",), evidence={"role": "lr"})
    assert first_change(silent, {}).startswith("a learning rate above zero")


def test_many_passes_over_few_examples_ask_for_more_of_them() -> None:
    overfit = a_finding("overfitting", step=30, evidence={"case": "many passes", "epochs": 83.0})
    assert "the run went 83 times over" in first_change(overfit, {"weight_decay": 0.0})
    assert first_change(overfit, {"max_train_samples": 24}) == "`max_train_samples` from 24 to 120"


def test_a_run_that_stopped_short_of_its_plan_is_not_asked_to_plan_for_more() -> None:
    evidence = {"case": "short of plan", "steps": 300, "planned": 3000}
    change = first_change(a_finding("undertrained", evidence=evidence), {"max_steps": 3000})
    assert change.startswith("resume and run to the planned 3,000 steps")


def test_an_entry_that_only_repeats_the_runs_name_is_no_difference() -> None:
    sick = judged("sick", a_finding("loss_divergence"), verdict="bad", config={"configuration": "sick", "lr": 1e-3})
    well = judged("well", config={"configuration": "well", "lr": 1e-4})
    (first, *_) = propose([sick, well], None, ACCURACY)
    assert first.change == "`lr` from 0.001 to 0.0001 (as in `well`, which is healthy)"


def test_a_schedule_is_not_mended_by_another_kind_of_setting() -> None:
    sick = judged("sick", a_finding("lr_schedule_mismatch"), verdict="bad", config={"ent_coef": 0.01, "lr": 1e-3})
    well = judged("well", config={"ent_coef": -0.1, "lr": 1e-3})
    assert not any("ent_coef" in one.change for one in propose([sick, well], None, ACCURACY) if one.finding)


def test_a_run_that_is_good_alone_with_an_absurd_setting_is_not_called_good() -> None:
    hot = judged("hot", config={"optimizer": "adam", "lr": 1.0})
    (doubted,) = without_doubtful([hot])
    assert (doubted.verdict, doubted.unjudged.split(":")[0]) == ("unknown", "`lr` is usually 1e-05 to 0.03, here 1")
    (first, *_) = propose([doubted], None, ACCURACY)
    assert first.change == "`lr` from 1 to 0.001"
    usual = judged("usual", config={"optimizer": "adam", "lr": 1e-3})
    other_optimizer = judged("adadelta", config={"optimizer": "adadelta", "lr": 1.0})
    assert [one.verdict for one in without_doubtful([usual, other_optimizer])] == ["good", "good"]
    small = judged("small", config={"num_generations": 8, "learning_rate": 3e-3})  # a small model from random weights
    assert without_doubtful([small])[0].verdict == "good"
    among = without_doubtful([hot, usual, judged("more", config={"optimizer": "adam", "lr": 2e-3})])
    assert [one.verdict for one in among] == ["good", "good", "good"]  # the others tell


def test_a_warm_up_that_the_run_did_not_see_the_end_of_is_named() -> None:
    cold = a_finding("lr_schedule_mismatch", evidence={"case": "warming up", "steps": 300})
    assert first_change(cold, {"warmup_steps": 100000, "num_train_epochs": 8}).startswith(
        "`warmup_steps` (now `100000`): a few percent of the 300 steps"
    )


def test_a_larger_rate_is_proposed_only_within_the_usual_range() -> None:
    calm = a_finding("loss_decreased", "good")
    for rate, proposed in ((1e-3, True), (0.02, False)):
        run = judged("run", calm, config={"optimizer": "adam", "lr": rate})
        series = [curve(rising(0.5))]
        made = propose([run], compare([run], series, ACCURACY), ACCURACY, series)
        assert any(f"to {2 * rate:g}" in one.change for one in made) is proposed


def test_equal_rewards_are_no_matter_of_the_step_size() -> None:
    equal = a_finding("no_signal", "ugly", metrics=("train/frac_reward_zero_std",), evidence={"role": "zero_std"})
    config = {"num_generations": 2, "learning_rate": 0.5}
    assert first_change(equal, config) == "`num_generations` from 2 to 8"
    assert first_change(equal, {"learning_rate": 0.5}).startswith("ten groups of answers read")


def test_jumps_that_are_gone_at_once_send_to_the_batches() -> None:
    jumps = a_finding("loss_spike", metrics=("train/loss",), step=105, evidence={"case": "batches"})
    assert first_change(jumps, {"max_grad_norm": 1.0}).startswith("the batches of step 105")
    assert first_change(a_finding("loss_spike", step=105), {"max_grad_norm": 1.0}) == "`max_grad_norm` from 1 to 0.5"
