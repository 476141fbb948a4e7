"""Next experiments: each follows from a finding or from the comparison, with the run's own numbers."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from report_cases import a_finding, curve, judged, proposed, rising
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.experiments.propose import MOST
from wandb_toolkit.experiments.settings import find_setting, rule_book
from wandb_toolkit.model import RunReport


def test_every_diagnosis_has_a_rule() -> None:
    known = {rule["finding"] for rule in rule_book()["rule"]}
    assert {d.id for d in DETECTORS.values() if d.severity in ("ugly", "bad")} <= known


@pytest.mark.parametrize("rule", rule_book()["rule"], ids=lambda rule: rule["finding"])
def test_a_rule_speaks_without_a_config_and_without_roles(rule: dict[str, Any]) -> None:
    error = {"memory|OOM": "CUDA out of memory", "\\w": "KeyError: 'x'"}.get(rule.get("when", ""), "")
    evidence = {"error": error, "training_complete": rule.get("left") == "complete"}
    finding = a_finding(rule["finding"], "ugly", "something", evidence=evidence)
    (first, *_) = proposed(judged("run", finding, verdict="ugly"))
    assert first.finding == rule["finding"]
    texts = " ".join([first.title, first.change, first.expect, first.refute])
    assert not re.search(r"[{}]|None", texts)
    assert first.change
    assert first.runs == ("id-run",)


@pytest.mark.parametrize("rule", rule_book()["rule"], ids=lambda rule: rule["finding"])
def test_a_rule_names_settings_that_exist_and_what_would_refute_it(rule: dict[str, Any]) -> None:
    for attempt in rule["try"]:
        assert attempt.get("setting", "steps") in rule_book()["settings"]
        assert attempt["expect"]
        assert attempt["refute"]
        assert "setting" in attempt or attempt["otherwise"]


def test_the_configs_own_key_and_value_are_used() -> None:
    finding = a_finding("nan_or_inf", "ugly", metrics=("train/loss",), step=1200)
    (first, *_) = proposed(judged("run", finding, verdict="ugly", config={"optim": {"lr": 3e-5}}))
    assert first.change == "`optim.lr` from 3e-05 to 1e-05"
    assert first.expect == "`train/loss` stays finite past step 1,200"
    assert "step 1,200" in first.refute


def test_what_differs_from_a_healthy_run_comes_first_and_no_second_value_of_it() -> None:
    sick = judged("sick", a_finding("kl_too_low"), verdict="bad", config={"beta": 20.0, "lr": 1e-5})
    well = judged("well", config={"beta": 0.002, "lr": 1e-5})
    changes = [e.change for e in proposed(sick, well) if e.finding]
    assert changes[0] == "`beta` from 20 to 0.002 (as in `well`, which is healthy)"
    assert not any("beta" in change for change in changes[1:])


def test_a_healthy_run_of_the_same_settings_clears_them_all() -> None:
    sick = judged("sick", a_finding("loss_spike"), verdict="bad", config={"lr": 1e-3, "seed": 1})
    twin = judged("twin", config={"lr": 1e-3, "seed": 2})
    other = judged("other", config={"lr": 1e-4, "seed": 2})
    first = next(e for e in proposed(sick, other, twin) if e.finding)
    assert first.change == "the same config with the seed of `twin`"
    assert first.refute.startswith("the fault comes back: then code, data or machine differ")


def test_a_healthy_run_does_not_lead_the_wrong_way_nor_to_another_program() -> None:
    collapsed = a_finding("entropy_collapse", "ugly")
    sick = judged("sick", collapsed, verdict="ugly", config={"ent_coef": 0.01, "lr": 1e-3})
    lower = judged("lower", config={"ent_coef": -0.1, "lr": 1e-3})
    assert not any("-0.1" in e.change for e in proposed(sick, lower))
    flat = a_finding("no_learning")
    booster = judged("booster", flat, verdict="bad", config={"eta": 1e-4, "max_depth": 4, "booster": {"eta": "1e-04"}})
    fair = judged("fair", config={"eta": 0.1, "max_depth": 4, "booster": {"eta": "0.100000001"}})
    network = judged("network", config={"lr": 1e-3, "layers": 2})
    first = next(e for e in proposed(booster, network, fair) if e.finding)
    assert first.change == "`eta` from 0.0001 to 0.1 (as in `fair`, which is healthy)"


def test_a_value_that_a_healthy_run_nearly_has_is_not_blamed() -> None:
    sick = judged("sick", a_finding("kl_too_low"), verdict="bad", config={"beta": 0.1, "lr": 1e-6})
    well = judged("well", config={"beta": 0.09, "lr": 1e-4})
    first = next(e for e in proposed(sick, well) if e.finding)
    assert first.change == "`lr` from 1e-06 to 0.0001 (as in `well`, which is healthy)"
    alike = judged("alike", config={"beta": 0.09, "lr": 1.2e-6})
    first = next(e for e in proposed(sick, alike) if e.finding)
    assert first.change == "`beta` from 0.1 to 0.01"


def test_a_value_of_zero_or_below_gets_one_to_start_from() -> None:
    finding = a_finding("entropy_collapse", "ugly")
    (first, *_) = proposed(judged("run", finding, verdict="ugly", config={"ent_coef": 0.0}))
    assert first.change == "`ent_coef` from 0 to 0.001"
    (first, *_) = proposed(judged("run", finding, verdict="ugly", config={"ent_coef": -0.3}), judged("well"))
    assert first.change == "`ent_coef` from -0.3 to 0.01"


def test_whole_numbers_stay_whole() -> None:
    (first, *_) = proposed(judged("run", a_finding("undertrained"), verdict="bad", config={"max_steps": 301}))
    assert first.change == "`max_steps` from 301 to 450"


def test_max_steps_of_minus_one_leaves_the_word_to_the_epochs() -> None:
    found = find_setting({"max_steps": -1, "num_train_epochs": 3.0}, "steps")
    assert found is not None
    assert (found.key, found.value) == ("num_train_epochs", 3.0)


@pytest.mark.parametrize(
    ("config", "name", "key"),
    [
        ({"actor_rollout_ref": {"actor": {"optim": {"lr": 1e-6}}}, "critic": {"optim": {"lr": 1e-5}}}, "learning_rate",
         "actor_rollout_ref.actor.optim.lr"),
        ({"betas": [0.9, 0.95], "beta1": 0.9, "adam_beta2": 0.99}, "kl_coef", None),
        ({"adam_epsilon": 1e-8}, "clip_range", None),
        ({"rollout": {"n": 8}}, "group_size", "rollout.n"),
        ({"Learning_Rate": 1}, "learning_rate", "Learning_Rate"),
        ({}, "learning_rate", None),
    ],
)  # fmt: skip
def test_settings_are_found_by_the_end_of_their_key(config: dict[str, Any], name: str, key: str | None) -> None:
    found = find_setting(config, name)
    assert (found.key if found else None) == key


def test_the_same_finding_in_several_runs_is_one_experiment() -> None:
    reports = [judged(f"r{i}", a_finding("loss_divergence", "ugly"), verdict="ugly") for i in range(3)]
    found = [e for e in proposed(*reports) if e.finding == "loss_divergence"]
    assert len(found) >= 1
    assert found[0].title.startswith("`r0` (and 2 more): ")
    assert found[0].runs == ("id-r0", "id-r1", "id-r2")


def test_consequences_and_praise_give_no_experiment() -> None:
    cause = a_finding("nan_or_inf", "ugly")
    effect = a_finding("crashed", "ugly", consequence_of="nan_or_inf")
    praise = a_finding("reward_improved", "good")
    found = proposed(judged("run", cause, effect, praise, verdict="ugly"))
    assert {e.finding for e in found if e.finding} == {"nan_or_inf"}


def test_ugly_comes_before_bad_and_six_are_the_most() -> None:
    ids = [
        "undertrained",
        "overfitting",
        "kl_spike",
        "clipfrac_high",
        "loss_spike",
        "throughput_drop",
        "length_explosion",
    ]
    reports = [judged(id_, a_finding(id_), verdict="bad") for id_ in ids]
    reports.append(judged("worst", a_finding("reward_hacking", "ugly"), verdict="ugly"))
    found = proposed(*reports)
    assert len(found) == MOST
    assert found[0].finding == "reward_hacking"
    assert len({e.finding for e in found}) == MOST


def test_a_runs_lesser_fault_waits_behind_its_worse_one() -> None:
    sick = judged("sick", a_finding("nan_or_inf", "ugly"), a_finding("throughput_drop"), verdict="ugly")
    others = [judged(i, a_finding(i), verdict="bad") for i in ("kl_spike", "overfitting")]
    assert "throughput_drop" not in {e.finding for e in proposed(sick, *others)}


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("CUDA out of memory. Tried to allocate", "from 8 to 4"),
        ("ValueError: no such column", "last error"),
        ("slurmstepd: CANCELLED DUE TO TIME LIMIT", "same config again"),
        (None, "memory use"),
    ],
)
def test_a_crash_is_answered_by_its_error(error: str | None, word: str) -> None:
    finding = a_finding(
        "crashed", "ugly", "stopped (killed, out of memory, or gone)", step=7, evidence={"error": error}
    )
    report = judged("run", finding, verdict="ugly", state="failed", config={"per_device_train_batch_size": 8})
    (first, *_) = proposed(report)
    assert word in first.change


def test_one_good_run_asks_for_seeds_and_a_larger_step() -> None:
    praise = a_finding("grad_norm_stable", "good", "train/grad_norm stayed near 1", metrics=("train/grad_norm",))
    report = judged("run", praise, config={"learning_rate": 1e-4})
    found = proposed(report, curves=[curve(np.linspace(0, 1, 100))])
    assert found[0].change == "the same config with two more seeds"
    assert found[0].finding is None
    (step,) = [e for e in found if "learning_rate" in e.change]
    assert step.change == "`learning_rate` from 0.0001 to 0.0002"
    assert "`train/grad_norm` stayed near 1" in step.why


def test_a_larger_step_is_not_proposed_where_a_run_has_tried_it() -> None:
    praise = a_finding("kl_stable", "good")
    reports = [judged("a", praise, config={"lr": 0.1}), judged("b", praise, config={"lr": 0.4})]
    found = proposed(*reports, ends=[0.9, 0.1])
    assert not [e for e in found if "`lr` from 0.1 to 0.2" in e.change]


def test_the_best_value_at_the_edge_asks_for_one_step_further() -> None:
    reports = [judged(f"r{i}", config={"lr": lr}) for i, lr in enumerate([0.1, 0.2, 0.4])]
    found = proposed(*reports, ends=[0.5, 0.6, 0.7])
    (edge,) = [e for e in found if "largest" in e.why]
    assert edge.change == "`lr` from 0.4 to 0.8"


def test_an_unproven_lead_asks_for_seeds_of_both() -> None:
    reports = [judged("a", config={"lr": 1.0}), judged("b", config={"lr": 2.0})]
    found = proposed(*reports, ends=[0.52, 0.5])
    assert found[0].change == "two more seeds of `a` and of `b`"
    assert found[0].runs == ("id-a", "id-b")


def test_a_curve_that_settled_early_asks_for_a_shorter_run() -> None:
    report = judged("run", config={"max_steps": 1000})
    found = proposed(report, curves=[curve([*np.linspace(0, 1, 30), *np.ones(70)])])
    (shorter,) = [e for e in found if "max_steps" in e.change]
    assert shorter.change.startswith("`max_steps` from 1000 to 3")
    assert "less compute" in shorter.expect


def test_a_broken_best_run_gets_no_seeds() -> None:
    report = judged("run", a_finding("reward_hacking", "ugly"), verdict="ugly")
    assert not [e for e in proposed(report) if "seeds" in e.change]


def test_several_projects_and_no_primary_give_no_comparison_experiment() -> None:
    apart = proposed(judged("a"), judged("b", project="other"), ends=[0.5, 0.4])
    assert not [e for e in apart if "leads" in e.why or "level with" in e.why]
    assert not [e for e in proposed(judged("a"), primary=None) if "leads" in e.why]


def test_there_is_always_something_to_try() -> None:
    for runs in ([judged("a", config={"lr": 0.1})], [judged("a"), judged("b")], [judged("a", verdict="unknown")]):
        assert len(proposed(*runs)) >= 2
    assert not proposed()


def test_one_value_never_stands_for_runs_that_have_others() -> None:
    reports = [
        judged(f"r{at}", a_finding("loss_divergence", "ugly"), verdict="ugly", config={"lr": lr})
        for at, lr in enumerate([0.1, 0.1, 0.5])
    ]
    first = next(e for e in proposed(*reports) if e.finding)
    assert "(and 1 more)" in first.title
    assert first.runs == ("id-r0", "id-r1")


def test_a_setting_that_is_off_is_not_changed() -> None:
    config = {"actor": {"kl_loss_coef": 0.001, "use_kl_loss": False}}
    assert find_setting(config, "kl_coef") is None
    assert find_setting({"actor": {"kl_loss_coef": 0.001, "use_kl_loss": True}}, "kl_coef") is not None


def test_values_that_make_no_sense_are_not_proposed() -> None:
    finding = a_finding("loss_divergence", "ugly")
    loose = [e for e in proposed(judged("a", finding, verdict="ugly", config={"max_grad_norm": 1e9})) if e.finding]
    assert any(e.change == "`max_grad_norm` from 1e+09 to 1" for e in loose), [e.change for e in loose]
    slow = a_finding("undertrained")
    (epochs, *rest) = proposed(judged("a", slow, verdict="bad", config={"num_train_epochs": 3.0, "lr": 10.0}))
    assert epochs.change == "`num_train_epochs` from 3 to 4"
    assert not [e for e in rest if "20" in e.change]


def test_without_an_onset_no_step_is_named() -> None:
    found = proposed(judged("a", a_finding("loss_divergence", "ugly"), verdict="ugly", config={"lr": 0.1}))
    assert not [e for e in found if "step the onset" in e.expect + e.refute]


def test_rising_helper_ends_where_it_says() -> None:
    assert rising(0.9)[-1] == pytest.approx(0.9, abs=0.02)


def test_infinities_that_recover_are_a_matter_of_precision_not_of_the_rate() -> None:
    found = a_finding("nan_or_inf", metrics=("train/grad_norm",), step=20, evidence={"recovered": True})
    config = {"learning_rate": 3e-4, "fp16": True}
    first = proposed(judged("a", found, verdict="bad", config=config))[0]
    assert first.change == "`fp16` (now `True`): bf16 or float32 in its place, everything else as it was"
    first = proposed(judged("a", found, verdict="bad", config={**config, "fp16": False}))[0]
    assert first.change == "bf16 or float32 where the run computes in fp16, everything else as it was"
    lasting = a_finding("nan_or_inf", metrics=("train/loss",), step=20, evidence={"recovered": False})
    assert "learning_rate" in proposed(judged("a", lasting, verdict="bad", config=config))[0].change
    assert find_setting({"torch_dtype": "bfloat16", "precision": "bf16-mixed"}, "half_precision") is None
    assert find_setting({"precision": "16-mixed"}, "half_precision") is not None


def test_a_rate_that_the_run_logs_is_named() -> None:
    found = a_finding("loss_divergence", "ugly")
    logged = proposed(judged("a", found, verdict="ugly", roles={"lr": "train/learning_rate"}))[0]
    assert logged.change == "a third of the present learning rate (logged as `train/learning_rate`)"
    assert "does not record it" in proposed(judged("a", found, verdict="ugly"))[0].change


def test_a_lead_of_seeds_is_said_of_their_means_and_a_lead_by_length_asks_for_no_seeds() -> None:
    def runs(name: str, lr: float, ends: list[float]) -> list[tuple[RunReport, float]]:
        return [(judged(f"{name}{at}", config={"lr": lr, "seed": at}), end) for at, end in enumerate(ends)]

    all_runs = [*runs("even", 0.1, [0.80, 0.79, 0.78]), *runs("split", 0.2, [0.85, 0.84, 0.3])]
    found = proposed(*(run for run, _ in all_runs), ends=[end for _, end in all_runs])
    (seeds,) = [e for e in found if e.change.startswith("two more seeds of")]
    assert seeds.why.startswith("the mean of 3 seeds of `even0` leads that of 3 of `split0` by ")
    short, long = judged("short", config={"lr": 0.1}), judged("long", config={"lr": 0.2})
    curves = [curve(rising(0.8)), curve(rising(0.805, points=400))]
    asked = [e.change for e in proposed(short, long, curves=curves)]
    assert not [change for change in asked if change.startswith("two more seeds of")]


def test_more_seeds_of_a_run_are_asked_for_once() -> None:
    found = proposed(judged("a", config={"lr": 0.1}), judged("b", config={"lr": 0.2}), ends=[0.8, 0.8001])
    assert len([e for e in found if "two more seeds" in e.change and e.runs[:1] == ("id-b",)]) <= 1
