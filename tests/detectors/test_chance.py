"""Results at chance, classes that are never found, and runs far from their siblings."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

from curves import PART, N, falling, found, growing, history, noise, run, skipped, troubles, view
from wandb_toolkit.detectors import RunView, sibling_of
from wandb_toolkit.roles import assign_roles, choose_primary


# ------------------------------------------------------------------------------------------------------ chance_level
def test_an_accuracy_at_one_in_ten_is_chance_where_ten_classes_are_known() -> None:
    guesses = {"val_accuracy": 0.1 + noise(0.004, n=30), "train_loss": math.log(10) + noise(0.003)}
    assert "among about 10 classes" in found(view(guesses))["chance_level"].title  # loss and accuracy agree on ten
    alone = {"val_accuracy": 0.1 + noise(0.004, n=30)}
    assert "chance_level" in found(view(alone, config={"model": {"num_classes": 10}}))
    assert "chance_level" in skipped(view(alone))
    assert "chance_level" not in found(view(alone, config={"num_classes": 100}))


def test_a_rate_too_high_leaves_a_loss_a_little_above_the_uniform_guess() -> None:
    thrown = {"val_accuracy": 0.104 + noise(0.002, n=30), "val_loss": 2.46 + noise(0.01, n=30)}
    assert re.search(r"about 1[01] classes", found(view(thrown))["chance_level"].title)
    wild = {"val_accuracy": 0.14 + noise(0.01, n=30), "val_loss": falling(900, 420, n=30)}
    assert "uniform guess" in found(view(wild))["chance_level"].title


def test_an_accuracy_that_leaves_chance_is_none() -> None:
    slow = {"val_accuracy": growing(0.1, 0.4, 0.01, n=40), "train_loss": falling(2.3, 1.6)}
    assert "chance_level" not in found(view(slow, config={"num_classes": 10}))
    even = {"val_accuracy": 0.52 + noise(0.002, n=40), "train_loss": falling(0.69, 0.2, 0.01)}
    assert "chance_level" not in found(view(even, config={"num_classes": 2}))


def test_areas_and_preferences_have_their_own_chance() -> None:
    assert "chance_level" in found(view({"valid_auc": 0.5 + noise(0.004, n=60)}))
    assert "chance_level" not in found(view({"valid_auc": growing(0.5, 0.62, 0.004, n=60)}))
    coin = {
        "train/loss": math.log(2) + noise(0.003), "train/rewards/margins": noise(0.01),
        "train/rewards/accuracies": 0.56 + noise(0.03),
    }  # fmt: skip
    assert "ln 2" in found(view(coin))["chance_level"].title
    learned = {**coin, "train/loss": falling(0.69, 0.3, 0.01), "train/rewards/accuracies": growing(0.5, 0.85)}
    assert "chance_level" not in found(view(learned))


def test_a_loss_above_a_uniform_guess() -> None:
    wide = {"train/loss": falling(73, 9.6, 0.05), "eval/loss": falling(70, 9.7, 0.01, n=20)}
    finding = found(view(wide, config={"vocab_size": 512}))["chance_level"]
    assert "uniform guess among 512" in finding.title
    assert "chance_level" not in found(view(wide, config={"vocab_size": 50257}))


# --------------------------------------------------------------------------------------------------- class_imbalance
def test_a_high_accuracy_with_an_f1_of_zero() -> None:
    f1 = np.clip(0.1 - 0.2 * PART[::6], 0, None)
    metrics: dict[str, Any] = {
        "validation accuracy": growing(0.19, 0.94, 0.003, n=50), "validation f1": f1, "training loss": falling(n=50),
    }  # fmt: skip
    of = found(view(metrics))
    assert of["class_imbalance"].step == pytest.approx(0.42 * N, abs=8)
    assert of["class_imbalance"].metrics == ("validation f1", "validation accuracy")
    assert not any(finding.severity == "good" for finding in of.values())
    balanced: dict[str, Any] = {"val/balanced_accuracy": [0.5] * 20, "val/accuracy": growing(0.8, 0.95, 0.002, n=20)}
    assert "class_imbalance" in found(view(balanced))


def test_a_low_f1_that_rises_or_a_low_accuracy_is_no_imbalance() -> None:
    rises = {"val/accuracy": growing(0.6, 0.9, n=30), "val/f1": np.clip(growing(0, 0.7, 0.01, n=30), 0, 1)}
    assert "class_imbalance" not in found(view(rises))
    early: dict[str, Any] = {"val/accuracy": 0.3 + noise(0.01, n=30), "val/f1": [0.0] * 30}
    assert "class_imbalance" not in found(view(early))
    assert "class_imbalance" in skipped(view({"val/accuracy": growing(n=30)}))


# ------------------------------------------------------------------------------------------------- far_from_siblings
def _among(own: dict[str, Any], others: list[dict[str, Any]], curve: Any, curves: list[Any]) -> RunView:
    histories = [history({"train/loss": np.asarray(each)}) for each in (curve, *curves)]
    primary = choose_primary([list(each) for each in histories])
    siblings = tuple(
        sibling_of(run(name=f"s{i}", config=config), of, assign_roles(of), primary)
        for i, (config, of) in enumerate(zip(others, histories[1:], strict=True))
    )
    return RunView(run(config=own), histories[0], assign_roles(histories[0]), siblings, (), primary)


def test_the_config_keys_in_which_a_far_run_differs_are_named() -> None:
    usual = [falling(1.5, 1.05 + 0.05 * i, 0.01, seed=i) for i in range(4)]
    configs: list[dict[str, Any]] = [{"labels": "clean", "lr": 2e-4, "seed": i} for i in range(4)]
    far = _among({"labels": "shuffled", "lr": 2e-4, "seed": 9}, configs, falling(19, 5.7, 0.05), list(usual))
    finding = found(far)["far_from_siblings"]
    assert finding.evidence["differs"] == ["labels shuffled (clean)"]
    assert not any(f.severity == "good" for f in found(far).values())


def test_another_task_few_siblings_or_a_wide_spread_make_no_run_far() -> None:
    usual = [falling(1.5, 1.05 + 0.05 * i, 0.01, seed=i) for i in range(4)]
    same: list[dict[str, Any]] = [{"dataset": "a"}] * 4
    other_task = _among({"dataset": "b"}, same, falling(19, 5.7, 0.05), list(usual))
    assert "far_from_siblings" in skipped(other_task)
    few = _among({"dataset": "a"}, same[:2], falling(19, 5.7, 0.05), list(usual[:2]))
    assert "2 comparable siblings" in skipped(few)["far_from_siblings"]
    wide = [falling(3, 0.5 + i, 0.01, seed=i) for i in range(4)]
    assert "far_from_siblings" not in found(_among({}, [{}] * 4, falling(3.2, 2.9, 0.01), list(wide)))


def test_siblings_that_learned_nothing_hide_no_run_that_fell_far_behind() -> None:
    good = [falling(5.0, 1.0 + 0.05 * i, 0.01, seed=i) for i in range(3)]
    failed = [5.0 + noise(0.01, i) for i in range(3)]
    behind = falling(5.0, 3.9, 0.01)
    assert "its 3 siblings" in found(_among({}, [{}] * 6, behind, [*good, *failed]))["far_from_siblings"].title
    assert "far_from_siblings" not in found(_among({}, [{}] * 4, behind, [*failed, falling(5.0, 3.8, 0.01)]))


def test_a_diverged_sibling_is_no_yardstick() -> None:
    hot = np.concatenate([[1.4], 7.5 + noise(0.1, n=N - 1)])
    usual = [falling(1.5, 1.05 + 0.05 * i, 0.01, seed=i) for i in range(3)]
    assert "far_from_siblings" in troubles(_among({}, [{}] * 4, falling(19, 5.7, 0.05), [*usual, hot]))


# ------------------------------------------------------------------------------------------------------- loss_scaled
def test_a_loss_that_is_a_multiple_of_a_siblings_is_said_once() -> None:
    mean, total = falling(2.5, 0.6, 0.005), 4 * falling(2.5, 0.6, 0.005, seed=3)
    one: dict[str, Any] = {"gradient_accumulation_steps": 1, "lr": 1e-4}
    four = {**one, "gradient_accumulation_steps": 4}
    finding = found(_among(four, [one], total, [mean]))["loss_scaled"]
    assert (finding.severity, finding.evidence["keys"]) == ("note", ["gradient_accumulation_steps"])
    assert "loss_scaled" not in found(_among(one, [four], mean, [total]))
    assert "loss_scaled" not in found(_among(one, [one], total, [mean]))  # nothing in the configs says so
    assert "loss_scaled" not in found(_among(four, [one], total - 1.0, [mean]))


def test_a_run_that_has_barely_begun_is_not_said_to_be_at_chance() -> None:
    guesses = {"val_accuracy": 0.1 + noise(0.004, n=30), "train_loss": math.log(10) + noise(0.003)}
    config: dict[str, Any] = {"num_classes": 10, "total_timesteps": 4 * N}
    assert "25% of its plan" in skipped(view(guesses, state="running", config=config))["chance_level"]
    assert "chance_level" in found(view(guesses, state="running", config={**config, "total_timesteps": 2 * N}))
    assert "chance_level" in found(view(guesses, config=config)), "it has ended"
    epochs: dict[str, Any] = {**guesses, "epoch": list(2 * PART)}
    assert "20% of its plan" in skipped(view(epochs, state="running", config={"num_train_epochs": 10}))["chance_level"]
