"""What a run is asked next where no finding and no comparison asks: the most telling first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from report_cases import LOSS, a_finding, curve, judged, proposed
from wandb_toolkit.experiments.programs import programs_of
from wandb_toolkit.model import Primary, RunReport

PRAISE = a_finding("loss_decreased", "good", metrics=("train/loss",))
RATED: dict[str, Any] = {"learning_rate": 1e-3, "batch_size": 8, "seed": 1}


def changes(*reports: Any, **facts: Any) -> list[str]:
    return [e.change for e in proposed(*reports, **facts)]


def test_a_run_not_seen_to_learn_is_first_made_to_tell() -> None:
    report = judged("run", verdict="unknown", roles={"loss": "train/loss"}, config=RATED)
    found = changes(report, primary=LOSS)
    assert found[0].startswith("log an evaluation on held-out data")
    assert not [e for e in found if "seeds" in e]


def test_without_a_main_metric_nothing_is_said_of_seeds() -> None:
    report = judged("run", verdict="unknown", roles={"clip_fraction": "clipfrac"}, config=RATED)
    found = changes(report, primary=None)
    assert found[0] == "log the return of episodes"
    assert len(found) >= 3
    assert not [e for e in found if "seed" in e]


def test_a_faulty_run_gets_no_seeds() -> None:
    report = judged("run", a_finding("no_learning"), verdict="bad", roles={"loss": "train/loss"}, config=RATED)
    found = changes(report, primary=LOSS)
    assert len(found) >= 3
    assert not [e for e in found if "seed" in e]


def test_a_config_without_settings_is_to_be_recorded() -> None:
    empty = changes(judged("run", PRAISE, roles={"loss": "train/loss"}), primary=LOSS)
    assert any(e.startswith("record the settings") for e in empty)
    full = changes(judged("run", PRAISE, roles={"loss": "train/loss"}, config=RATED), primary=LOSS)
    assert not any(e.startswith("record the settings") for e in full)


def test_a_metric_that_is_no_training_loss_is_an_evaluation() -> None:
    error = Primary("421_h1", "min", "given")
    report = judged("run", PRAISE, roles={"loss": "avg_loss"}, config=RATED)
    assert not any("held-out" in e for e in changes(report, primary=error))


def test_a_larger_step_needs_a_run_without_a_spike_even_a_small_one() -> None:
    steady = judged("run", PRAISE, roles={"loss": "train/loss"}, config=RATED)
    spiked = judged("run", PRAISE, a_finding("loss_spike", "note"), roles={"loss": "train/loss"}, config=RATED)
    assert "`learning_rate` from 0.001 to 0.002" in changes(steady, primary=LOSS)
    assert "`learning_rate` from 0.001 to 0.002" not in changes(spiked, primary=LOSS)


def test_a_small_rate_is_raised_where_nothing_was_learned() -> None:
    facts: dict[str, Any] = {"verdict": "unknown", "roles": {"task": "win_rate"}, "rows": 200}
    assert "`lr` from 1e-06 to 3e-06" in changes(judged("run", config={"lr": 1e-6}, **facts))
    assert not any("`lr` from" in e for e in changes(judged("run", config={"lr": 0.1}, **facts)))


def test_a_run_that_the_user_stopped_goes_on_to_its_plan() -> None:
    stopped = a_finding("interrupted", "note")
    good = judged("run", PRAISE, stopped, config={"max_iterations": 50000}, state="failed")
    assert "resume it, up to the planned `max_iterations` of 50000" in changes(good)
    begun = judged("run", stopped, a_finding("metric_frozen"), verdict="bad", config={"t_max": 2e7}, steps=200_000)
    assert "the same config, up to the planned `t_max` of 2e+07" in changes(begun)
    late = judged("run", stopped, a_finding("metric_frozen"), verdict="bad", config={"t_max": 3e5}, steps=200_000)
    assert not any("planned" in e for e in changes(late))


def test_titles_tell_runs_of_one_name_apart() -> None:
    first = judged("same", PRAISE, id="one", verdict="unknown", roles={"kl": "approx_kl"}, config=RATED)
    other = judged("same", PRAISE, id="two", verdict="unknown", roles={"kl": "approx_kl"}, config=RATED)
    assert all("same (one)" in e.title or "same (two)" in e.title for e in proposed(first, other, primary=None))


def test_the_best_healthy_run_is_the_one_to_compare_with() -> None:
    sick = judged("sick", a_finding("entropy_collapse", "ugly"), verdict="ugly", config={"lr": 0.3, "gae": 0.95})
    fair, best = (judged(name, config={"lr": lr, "gae": 0.95}) for name, lr in (("fair", 2e-4), ("best", 2e-3)))
    first = proposed(sick, fair, best, ends=[0.1, 0.5, 0.9])[0]
    assert first.change == "`lr` from 0.3 to 0.002 (as in `best`, which is healthy)"


def test_a_setting_that_a_healthy_run_has_too_is_cleared() -> None:
    jumps = a_finding("loss_spike", evidence={"case": "batches"}, step=105)
    sick = judged("sick", jumps, verdict="bad", config={"lr": 3e-3, "seed": 1})
    twin, slow = judged("twin", config={"lr": 3e-3, "seed": 2}), judged("slow", config={"lr": 3e-4, "seed": 1})
    first = next(e for e in proposed(sick, twin, slow) if e.finding)
    assert first.change.startswith("the batches of step 105")
    # Too short a run is a matter of degree: another one may be faster.
    short = judged("short", a_finding("undertrained"), verdict="bad", config={"lr": 3e-4, "seed": 1})
    fast, alike = judged("fast", config={"lr": 3e-3, "seed": 2}), judged("alike", config={"lr": 3e-4, "seed": 2})
    first = next(e for e in proposed(short, fast, alike) if e.finding)
    assert first.change == "`lr` from 0.0003 to 0.003 (as in `fast`, which is healthy)"


def test_a_kl_to_the_last_policy_is_no_matter_of_the_penalty() -> None:
    config = {"actor": {"kl_loss_coef": 0.001, "use_kl_loss": False, "optim": {"lr": 1e-6}}}
    step = a_finding("kl_runaway", "ugly", metrics=("actor/ppo_kl",))
    assert changes(judged("run", step, verdict="ugly", config=config))[0] == "`actor.optim.lr` from 1e-06 to 5e-07"
    drift = a_finding("kl_runaway", "ugly", metrics=("objective/kl",))
    assert changes(judged("run", drift, verdict="ugly", config=config))[0] == "`actor.use_kl_loss` from false to true"


def test_an_accuracy_lost_while_the_data_change_is_first_split_by_data() -> None:
    config = {"continual_learning": {"update_mode": "base"}, "lr": 1e-3}
    report = judged("run", a_finding("primary_worse", metrics=("eval/accuracy",)), verdict="bad", config=config)
    assert "continual" in programs_of(report)
    assert changes(report)[0].startswith("the same run with `eval/accuracy` logged for each set of data")


def test_entropy_alone_makes_no_policy() -> None:
    roles = {"loss": "train/loss", "entropy": "train/entropy", "kl": "train/kl"}
    found = changes(judged("sft", verdict="unknown", roles=roles, config=RATED), primary=LOSS)
    assert found[0].startswith("log an evaluation on held-out data")
    assert not any("return" in e or "policy" in e for e in found)


def test_a_faulty_run_gets_a_closer_look_and_the_defaults() -> None:
    roles = {"loss": "train/loss", "eval_loss": "eval/loss", "lr": "lr", "grad_norm": "grad_norm"}
    config = {"learning_rate": 2.0, "batch_size": 8}
    wild = judged("a", a_finding("nan_or_inf", "ugly", step=1200), verdict="ugly", roles=roles, config=config)
    found = changes(wild, primary=LOSS)
    assert any(e.endswith("logged at every step before step 1,200") for e in found)
    still = judged("a", a_finding("lr_schedule_mismatch"), verdict="bad", roles=roles, config={"batch_size": 8})
    assert any(e.startswith("one batch") for e in changes(still, primary=LOSS))
    plain = judged("a", a_finding("clipfrac_high"), verdict="bad", roles=roles, config={"batch_size": 8})
    assert any(e.startswith("the defaults of the training library") for e in changes(plain, primary=LOSS))
    for each in (wild, still, plain):
        assert not any("batch_size" in e for e in changes(each, primary=LOSS))


def test_boosting_is_asked_for_smaller_trees_than_any_run_tried() -> None:
    def booster(name: str, depth: int) -> RunReport:
        return judged(name, PRAISE, config={"eta": 0.1, "max_depth": depth, "num_boost_round": 90})

    assert "`max_depth` from 4 to 3" in changes(booster("a", 4), primary=LOSS)
    several = changes(booster("a", 4), booster("b", 2), ends=[0.1, 0.2], primary=LOSS)
    assert not any("max_depth` from 4 to 3" in e for e in several)


def test_a_level_short_of_an_environments_threshold_is_no_reason_for_a_shorter_run() -> None:
    settled = curve([*np.linspace(20, 105, 30), *np.full(70, 105.0)])
    for env, shorter in (("CartPole-v1", False), ("Unheard-v0", True)):
        report = judged("run", config={"env_id": env, "total_timesteps": 18000})
        assert any("total_timesteps" in e for e in changes(report, curves=[settled])) == shorter


def test_a_run_that_still_goes_gets_no_seeds() -> None:
    report = judged("run", PRAISE, roles={"loss": "train/loss"}, config=RATED, state="running")
    assert not any("seed" in e for e in changes(report, primary=LOSS))


def test_a_run_of_few_rows_is_to_log_more_of_them() -> None:
    report = judged("run", verdict="unknown", roles={"loss": "train/loss"}, config=RATED, rows=4)
    assert changes(report, primary=LOSS)[0] == "`train/loss` logged at least 50 times over a run"
    longer = judged("run", verdict="unknown", roles={"loss": "train/loss"}, config=RATED, rows=40)
    assert not any("50 times" in e for e in changes(longer, primary=LOSS))


def test_what_is_not_recorded_is_not_repeated_first() -> None:
    found = changes(judged("run", PRAISE, roles={"loss": "train/loss", "eval_loss": "eval/loss"}), primary=LOSS)
    assert found[0].startswith("record the settings")
    assert found.count(found[0]) == 1


def test_a_run_without_the_metric_that_ranks_is_asked_for_its_own() -> None:
    broke = judged("broke", a_finding("crashed", "ugly"), verdict="ugly", state="crashed", config=RATED)
    own = judged("own", PRAISE, config=RATED)
    for named, said in ((Primary("own/loss", "min", "loss"), "`own/loss`"), (None, "the main metric")):
        looks = [
            e
            for e in proposed(broke, replace(own, primary=named), curves=[curve([1.0, 0.5]), None])
            if e.finding is None
        ]
        assert looks
        assert not any("eval/accuracy" in e.expect + e.why for e in looks)
        assert any(said in e.expect + e.why for e in looks) or named is None
