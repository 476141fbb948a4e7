"""Did it learn, and was it enough: few evaluations, known chance levels, ends that came too soon, lost gains."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curves import PART, falling, found, growing, noise, step, view
from wandb_toolkit import stats
from wandb_toolkit.comparison.levels import level_of
from wandb_toolkit.detectors import examine
from wandb_toolkit.detectors.base import OBJECTIVE
from wandb_toolkit.model import Series


# ---------------------------------------------------------------------------------------------------------- no learning
def test_a_loss_and_a_handful_of_evaluations_tell_that_nothing_was_learned() -> None:
    flat: dict[str, Any] = {
        "train/loss": 4.08 + noise(0.003, n=30),
        "eval/loss": [4.334, 4.334, 4.333, 4.334, 4.333, 4.334],
    }
    assert set(found(view(flat))["no_learning"].metrics) == {"train/loss", "eval/loss"}
    better: dict[str, Any] = {**flat, "eval/loss": [4.33, 4.1, 3.9, 3.7, 3.6, 3.5]}
    assert "no_learning" not in found(view(better))


def test_a_loss_of_single_batches_may_wander_where_the_evaluations_stand_still() -> None:
    wanders = 1.08 + 0.1 * np.sin(9 * np.linspace(0, 1, 110)) + noise(0.2, n=110)
    still: dict[str, Any] = {"train/loss": wanders, "val/loss": list(1.0845 - 2e-5 * np.linspace(0, 1, 25))}
    assert "no_learning" in found(view(still))
    falls: dict[str, Any] = {**still, "val/loss": list(1.08 - 0.3 * np.linspace(0, 1, 25))}
    assert "no_learning" not in found(view(falls))


def test_a_policy_whose_return_and_entropy_stand_still_has_learned_nothing() -> None:
    still: dict[str, Any] = {"train/reward": 0.1 + noise(0.03, 4, 60), "train/entropy": 4.31 + noise(0.0005, n=60)}
    finding = found(view(still))["no_learning"]
    assert finding.metrics == ("train/reward", "train/entropy")
    assert "nothing was learned" in finding.title
    moves: dict[str, Any] = {**still, "train/entropy": np.linspace(4.31, 3.9, 60)}
    assert "no_learning" not in found(view(moves))


# -------------------------------------------------------------------------------------------------- known chance levels
def test_a_loss_thrown_far_up_that_comes_back_to_a_uniform_guess_has_learned_nothing() -> None:
    thrown: dict[str, Any] = {
        "train/loss": 4.3 + 76 * np.exp(-8 * np.linspace(0, 1, 40)) + noise(0.01, n=40),
        "eval/loss": [76.0, 60.0, 40.0, 28.0, 18.0, 11.0, 6.0, 4.5, 4.42, 4.4],
    }
    of = found(view(thrown, config={"vocab_size": 75}))
    assert "uniform guess among 75" in of["chance_level"].title
    assert not {"loss_decreased", "eval_follows_train", "primary_improved"} & set(of)
    learned: dict[str, Any] = {"train/loss": falling(4.3, 1.9, n=40), "eval/loss": [*np.linspace(4.2, 2.1, 10)]}
    assert "chance_level" not in found(view(learned, config={"vocab_size": 75}))


def test_a_classifier_that_says_one_class_of_two_is_at_chance_with_a_loss_of_ln_2() -> None:
    swings = [0.543, 0.457, 0.457, 0.543, 0.457, 0.457, 0.543, 0.457, 0.543, 0.543, 0.543, 0.543]
    thrown: dict[str, Any] = {
        "train/loss": 0.72 + noise(0.01, n=40),
        "eval/loss": 0.706 + noise(0.004, n=12),
        "eval/accuracy": swings,
    }
    assert "about 2 classes" in found(view(thrown))["chance_level"].title


@pytest.mark.parametrize(
    ("returns", "config", "expected"),
    [
        (22 + noise(2), {"env_id": "CartPole-v1"}, True),
        (22 + noise(2), {"env": {"name": "x"}, "env_name": "gym/CartPole-v1"}, True),
        (22 + 8 * PART + noise(0.5), {"env_id": "CartPole-v1"}, True),  # still climbs, and has come nowhere
        (22 + 30 * PART + noise(1), {"env_id": "CartPole-v1"}, False),  # on its way
        (22 + 60 * PART + noise(1), {"env_id": "CartPole-v1"}, False),  # more than a tenth of the way
        (-200.0 + 0 * PART, {"env_id": "MountainCar-v0"}, True),
        (growing(-200, -140, 3), {"env_id": "MountainCar-v0"}, False),
        (22 + noise(2), {"env_id": "OwnTask-v0"}, False),  # not known
        (0.2 + noise(0.02), {"env_id": "CartPole-v1"}, False),  # a reward of another scale
    ],
)
def test_a_return_is_compared_with_random_actions(returns: Any, config: dict[str, Any], expected: bool) -> None:
    of = found(view({"charts/episodic_return": returns}, config=config))
    assert ("chance_level" in of) is expected


def test_an_explained_variance_of_nan_throughout_says_that_returns_do_not_vary() -> None:
    constant: dict[str, Any] = {
        "rollout/ep_rew_mean": 22 + 4 * PART + noise(0.5),
        "train/explained_variance": np.where(PART < 0.02, 0.1, np.nan),
    }
    finding = found(view(constant))["value_function_poor"]
    assert "do not vary" in finding.title
    early = {**constant, "train/explained_variance": np.where(PART < 0.2, np.nan, growing(0.2, 0.9))}
    assert "value_function_poor" not in found(view(early))


# ------------------------------------------------------------------------------------------------------- ended too soon
def test_an_eval_loss_on_a_straight_line_was_stopped_too_soon_although_the_accuracy_says_nothing() -> None:
    rounds = np.linspace(0, 1, 12)
    short: dict[str, Any] = {
        "train-logloss": 0.69 - 0.15 * rounds,
        "val-logloss": 0.69 - 0.12 * rounds + noise(0.0003, n=12),
        "val-auc": 0.89 + noise(0.003, n=12),
    }
    assert found(view(short))["undertrained"].metrics == ("val-logloss",)
    levelled = {**short, "val-logloss": 0.5 + 0.19 * np.exp(-6 * rounds) + noise(0.0003, n=12)}
    assert "undertrained" not in found(view(levelled))


def test_four_evaluations_on_a_straight_line_beside_a_loss_on_one() -> None:
    straight: dict[str, Any] = {
        "train/loss": 2.35 - 0.2 * np.linspace(0, 1, 80) + noise(0.01, n=80),
        "val/accuracy": [0.2, 0.3, 0.4, 0.51],
    }
    assert "last of 4 evaluations" in found(view(straight))["undertrained"].title
    bent: dict[str, Any] = {"train/loss": falling(2.3, 0.4, n=80), "val/accuracy": [0.3, 0.7, 0.85, 0.9]}
    assert "undertrained" not in found(view(bent))


# ---------------------------------------------------------------------------------------------------------- overfitting
def test_an_accuracy_that_falls_while_the_training_loss_does_is_overfitting() -> None:
    peaked = list(0.93 - 0.2 * np.clip(np.linspace(-0.3, 1, 40), 0, 1) + noise(0.01, n=40))
    wrong_labels: dict[str, Any] = {
        "train/loss": falling(2.3, 0.4),
        "val/accuracy": peaked,
        "val/loss": list(0.66 + noise(0.03, n=40)),
    }
    finding = found(view(wrong_labels))["overfitting"]
    assert finding.metrics[0] == "val/accuracy"
    assert "overfitting" not in found(view({**wrong_labels, "train/loss": 1.2 + noise(0.02)}))
    steady = list(growing(0.5, 0.93, 0.01, n=40))
    assert "overfitting" not in found(view({**wrong_labels, "val/accuracy": steady}))


def test_a_small_rise_far_out_of_the_noise_counts_where_the_training_loss_is_halved() -> None:
    rounds = np.linspace(0, 1, 150)
    held_out = 0.40 + 0.9 * np.exp(-60 * rounds) + 0.031 * rounds
    boosted: dict[str, Any] = {
        "train-logloss": 0.9 * np.exp(-12 * rounds),
        "val-logloss": held_out + noise(0.0005, n=150),
    }
    assert "overfitting" in found(view(boosted))
    shallow = {**boosted, "train-logloss": 0.45 + 0.4 * np.exp(-5 * rounds)}
    assert "overfitting" not in found(view(shallow))


# ---------------------------------------------------------------------------------------------- notes, and what is none
def test_a_gradient_that_is_steep_for_a_time_while_the_losses_fall_is_a_note() -> None:
    steep = 0.3 + 12 * (step(0.4) - step(0.7)) + noise(0.02)
    calm: dict[str, Any] = {"train/loss": falling(), "eval/loss": falling(n=20), "train/grad_norm": steep}
    assert found(view(calm))["grad_norm_explosion"].severity == "note"
    suffers = {**calm, "train/loss": falling() + 2 * step(0.4), "eval/loss": falling(n=20) + 2 * step(0.4, 20)}
    assert found(view(suffers))["grad_norm_explosion"].severity == "ugly"


def test_answers_cut_off_from_the_start_while_the_reward_rises_are_a_note() -> None:
    capped: dict[str, Any] = {"train/reward": growing(0.1, 0.4), "train/completions/clipped_ratio": 0.87 + noise(0.02)}
    assert found(view(capped))["truncation_high"].severity == "note"
    flat: dict[str, Any] = {**capped, "train/reward": 0.1 + noise(0.02)}
    assert found(view(flat))["truncation_high"].severity == "bad"


def test_a_reward_that_kept_half_of_its_gain_improved() -> None:
    tall = np.interp(PART, [0, 0.6, 0.75, 1], [18, 110, 78, 78]) + noise(5)
    assert "primary_improved" in found(view({"charts/episodic_return": tall}))
    lost = np.interp(PART, [0, 0.6, 0.75, 1], [18, 110, 40, 40]) + noise(5)
    assert "primary_improved" not in found(view({"charts/episodic_return": lost}))


def test_a_run_that_ends_short_of_its_plan_says_where() -> None:
    steps = np.arange(1.0, 301.0)
    short: dict[str, Any] = {
        "eval/loss": list(6 - 0.9 * np.linspace(0, 1, 30) + noise(0.01, n=30)),
        "train/global_step": steps,
        "train/learning_rate": 3e-3 * (1 - steps / 15000),
    }
    title = found(view(short, config={"max_steps": 3000}))["undertrained"].title
    assert "ended at step 300 of the 3,000 planned, train/learning_rate at 98% of its peak" in title
    assert "planned" not in found(view(short, config={"max_steps": 300}))["undertrained"].title


def test_held_out_pairs_tell_of_swapped_labels_that_training_follows() -> None:
    train: dict[str, Any] = {
        "train/loss": falling(0.69, 0.3, 0.01, n=30),
        "train/rewards/accuracies": list(growing(0.6, 1.0, 0.01, n=30)),
        "train/rewards/margins": list(growing(0.0, 1.0, 0.01, n=30)),
    }
    swapped = found(view({**train, "eval/rewards/accuracies": [0.38, 0.12, 0.05, 0.0, 0.0, 0.0]}))
    assert "rejected answers are preferred" in swapped["preference_degrades"].title
    coin = found(view({**train, "eval/rewards/accuracies": [0.45, 0.48, 0.47, 0.49, 0.47, 0.46]}))
    assert "no better than a coin" in coin["preference_degrades"].title
    right = found(view({**train, "eval/rewards/accuracies": [0.6, 0.8, 0.9, 0.95, 0.95, 0.96]}))
    assert "preference_degrades" not in right


def test_a_gradient_that_comes_back_from_nothing_is_no_explosion() -> None:
    back = np.where(PART < 0.1, 1.0, 1e-12) + np.where((PART > 0.5) & (PART < 0.7), 1e-5, 0.0)
    assert "grad_norm_explosion" not in found(view({"train/loss": falling(), "train/grad_norm": back}))


def test_answers_nearly_all_cut_off_from_the_start_stay_a_note_when_all_are() -> None:
    capped: dict[str, Any] = {
        "train/reward": growing(0.1, 1.0),
        "train/completions/clipped_ratio": np.minimum(growing(0.87, 1.0), 1.0),
    }
    assert found(view(capped))["truncation_high"].severity == "note"


def test_a_score_of_one_class_that_is_0_for_good_is_stuck() -> None:
    f1 = list(np.where(np.linspace(0, 1, 50) < 0.8, 0.1 + noise(0.01, n=50), 0.0))
    rare: dict[str, Any] = {"val/accuracy": list(growing(0.2, 0.94, 0.01, n=50)), "val/f1": f1}
    of = found(view(rare))
    assert of["metric_frozen"].consequence_of == "class_imbalance"


def test_a_loss_of_exactly_0_is_no_praise() -> None:
    gone = {"train/loss": np.maximum(falling(0.7, -0.2, 0.005), 0.0)}
    assert not {"loss_decreased", "primary_improved"} & set(found(view(gone)))


# ------------------------------------------------------------------------------------------------ what words may claim
def test_an_f1_beside_a_recall_of_1_in_every_row_is_no_praise() -> None:
    rows = 30
    precision = 1 - 0.95 * np.exp(-8 * np.linspace(0, 1, rows))
    scores: dict[str, Any] = {"val/f1": 2 * precision / (1 + precision), "val/precision": precision}
    assert "primary_improved" in found(view({**scores, "val/recall": growing(0.7, 0.95, n=rows)}))
    all_positive = view({**scores, "val/recall": np.ones(rows)})
    assert "primary_improved" not in found(all_positive)
    assert any("val/f1 follows the precision alone" in skip.reason for skip in examine(all_positive).skipped)


def test_a_metric_that_scatters_is_not_said_to_end_where_it_began() -> None:
    scattered: dict[str, Any] = {
        "train/reward": 0.3 + noise(0.05, 2, 60),
        "eval/accuracy": [0.29, 0.7, 0.08, 0.5, 0.29, 0.28, 0.5, 0.5, 0.5],
    }
    made = found(view(scattered))["no_learning"]
    assert "gained nothing beyond their noise" in made.title
    flat = {"train/loss": np.full(60, 2.0), "eval/loss": np.full(9, 2.0)}
    assert "ended where they began" in found(view(flat))["no_learning"].title


def test_sentences_say_the_levels_that_tables_say() -> None:
    series = falling(n=200)
    made = found(view({"train/loss": series}))["loss_decreased"]
    first, last, points = stats.edges(series)
    assert points == 20
    assert (first, last) == (float(series[0]), float(np.median(series[-20:])))  # it falls at once: no median of a slope
    assert (made.evidence["start"], made.evidence["end"]) == (first, last)
    level = level_of(Series("train/loss", np.arange(200.0), series), "min")
    assert level is not None
    assert (level.start, level.end) == (first, last)


def test_a_preference_accuracy_of_a_coin_says_too_that_the_loss_is_above_ln_2() -> None:
    coin: dict[str, Any] = {
        "train/rewards/accuracies": 0.5 + noise(0.02, n=15),
        "train/loss": [0.6913, *np.linspace(0.702, 0.728, 14)],
    }
    assert "above a coin's 0.693 (ln 2)" in found(view(coin))["preference_degrades"].title
    coin["train/loss"] = np.full(15, 0.69)
    assert "ln 2" not in found(view(coin))["preference_degrades"].title


def test_an_entropy_beside_a_policys_updates_is_not_called_no_policys() -> None:
    update: dict[str, Any] = {"losses/approx_kl": 0.01 + noise(0.001), "losses/clipfrac": 0.1 + noise(0.01)}
    entropy = {"losses/entropy": 0.69 - 0.6 * PART + noise(0.001)}
    reasons = {skip.id: skip.reason for skip in examine(view({**update, **entropy})).skipped}
    assert "the task is solved" in reasons["entropy_collapse"]
    reasons = {skip.id: skip.reason for skip in examine(view(entropy)).skipped}
    assert "not a policy's" in reasons["entropy_collapse"]


def test_folds_in_a_row_are_no_progress_and_a_failed_episode_is_no_fold() -> None:
    folds: dict[str, Any] = {
        "valid_0-binary_logloss": np.concatenate([falling(0.7, 0.3, 0.001, 100, n) for n in range(3)])
    }
    run = view(folds)
    assert not {"primary_improved", "loss_decreased"} & set(found(run))
    assert any("starts anew" in skip.reason for skip in examine(run).skipped)
    returns = growing(10, 200, 1.0)
    returns[250:254] = 9
    assert "primary_improved" in found(view({"charts/episodic_return": returns}))


def test_a_policys_objective_is_no_loss_and_the_report_does_not_say_that_there_is_none() -> None:
    from report_cases import NOW, a_run, memory_source
    from wandb_toolkit.reports.build import ReportOptions, build_report

    names = ("losses/policy_loss", "losses/approx_kl", "losses/clipfrac")
    metrics = {name: 0.01 + abs(noise(0.002, seed)) for seed, name in enumerate(names)}
    examined = examine(view(metrics))
    assert any(OBJECTIVE in skip.reason for skip in examined.skipped)
    (report,) = build_report(memory_source([(a_run(), metrics)]), [a_run()], ReportOptions(now=NOW)).report.runs
    assert report.unjudged == f"no metric is recognised as reward or task metric, and losses/policy_loss {OBJECTIVE}"


def test_a_loss_a_little_below_a_uniform_guess_is_hardly_better_and_one_above_is_no_better() -> None:
    for end, words in ((6.20, "hardly better than"), (6.28, "no better than")):
        loss = end + 0.05 * np.exp(-20 * PART) + noise(0.001)
        title = found(view({"train/loss": loss}, config={"vocab_size": 512}))["chance_level"].title
        assert words in title
