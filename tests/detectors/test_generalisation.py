"""Overfitting with few evaluations and by boosting rounds, memorising, and what preference training loses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from curves import PART, N, falling, found, growing, noise, skipped, troubles, view


# ------------------------------------------------------------------------------------------------------- overfitting
@pytest.mark.parametrize("evals", [[0.60, 0.88], [0.60, 0.62, 0.64, 0.67], [0.7, 0.6, 0.63, 0.66, 0.7]])
def test_few_evaluations_that_rise_from_each_to_the_next(evals: list[float]) -> None:
    finding = found(view({"train/loss": falling(1.0, 0.05, 0.002), "eval/loss": evals}))["overfitting"]
    assert finding.evidence["best"] == 0.60


@pytest.mark.parametrize(
    ("evals", "train"),
    [
        ([0.60, 0.61, 0.62], falling(1.0, 0.05)),  # 3%: a last-minute rise
        ([0.60, 0.66], falling(1.0, 0.98, 0.001)),  # the training loss does not fall on
        ([*np.linspace(0.9, 0.5, 16), 0.49, 0.61], falling(1.0, 0.2)),  # one last point
        ([0.60, 0.75, 0.62, 0.66], falling(1.0, 0.05)),  # up and down
    ],
)
def test_what_few_evaluations_do_not_show(evals: list[float], train: Any) -> None:
    assert "overfitting" not in found(view({"train/loss": train, "eval/loss": evals}))


def test_boosting_rounds_overfit_like_epochs() -> None:
    rounds = np.linspace(0, 1, 120)
    held_out = 0.45 + 0.2 * np.exp(-40 * rounds) + 0.4 * rounds
    metrics = {"train-logloss": 0.6 * np.exp(-5 * rounds), "val-logloss": held_out, "val-error": 0.3 - 0.05 * rounds}
    finding = found(view(metrics))["overfitting"]
    assert finding.step == pytest.approx(0.075 * N, abs=0.04 * N)
    assert "overfitting" not in found(view({**metrics, "val-logloss": 0.25 + 0.4 * np.exp(-5 * rounds)}))


# -------------------------------------------------------------------------------------------------------- memorising
def _stairs() -> Any:
    return np.array([1.1, 0.72, 0.37])[np.minimum((PART * 3).astype(int), 2)] + noise(0.03)


def test_a_staircase_at_the_ends_of_epochs_is_memorising() -> None:
    of = found(view({"train/loss": _stairs(), "train/epoch": 3 * PART}))
    assert of["memorising"].step == pytest.approx(N / 3, abs=3)
    assert "loss_decreased" not in of
    whole = found(view({"loss": _stairs(), "epoch": np.floor(2.999 * PART)}))
    assert "memorising" in whole


def test_a_loss_brought_to_nothing_without_any_evaluation_is_a_note() -> None:
    gone = {"train/loss": falling(2.0, 0.01, 0.001), "train/epoch": 8 * PART}
    assert found(view(gone))["memorising"].severity == "note"
    assert "loss_decreased" in found(view(gone))
    assert "memorising" not in found(view({**gone, "eval/accuracy": growing(n=8)}))


def test_a_smooth_fall_or_an_eval_loss_is_no_memorising() -> None:
    assert "memorising" not in found(view({"train/loss": falling(), "train/epoch": 3 * PART}))
    linear = 2 - 1.5 * PART + noise(0.02)
    assert "memorising" not in found(view({"train/loss": linear, "train/epoch": 3 * PART}))
    tested = {"train/loss": _stairs(), "train/epoch": 3 * PART, "eval/loss": falling(1.1, 0.6, 0.002, n=12)}
    assert "eval loss" in skipped(view(tested))["memorising"]
    assert "epoch counter" in skipped(view({"train/loss": _stairs()}))["memorising"]


# ----------------------------------------------------------------------------------------------- preference_degrades
def _preferences(**changes: Any) -> dict[str, Any]:
    usual = {
        "train/loss": falling(math.log(2), 0.3, 0.01), "train/rewards/chosen": growing(0, 0.8, 0.05),
        "train/rewards/rejected": -growing(0, 1.5, 0.05), "train/rewards/margins": growing(0, 2.3, 0.05),
        "train/rewards/accuracies": growing(0.5, 0.85, 0.03),
    }  # fmt: skip
    return {**usual, **{f"train/{key.replace('_', '/')}": value for key, value in changes.items()}}


def test_chosen_answers_that_lose_while_the_margin_grows() -> None:
    falls = _preferences(
        rewards_chosen=-growing(0, 2.5, 0.05), rewards_rejected=-growing(0, 11, 0.2), rewards_margins=growing(0, 8.5)
    )
    finding = found(view(falls))["preference_degrades"]
    assert finding.metrics == ("train/rewards/chosen",)
    assert "fall faster" in finding.title
    assert finding.step == pytest.approx(0.2 * N, abs=0.1 * N)
    assert "preference_degrades" not in troubles(view(_preferences()))
    slight = _preferences(rewards_chosen=-growing(0, 0.2, 0.05))
    assert "preference_degrades" not in troubles(view(slight))


def test_half_swapped_labels_show_in_accuracy_and_loss() -> None:
    swapped = _preferences(rewards_accuracies=0.5 + noise(0.05), loss=math.log(2) + noise(0.01))
    of = found(view(swapped))
    assert "no better than a coin" in of["preference_degrades"].title
    against = _preferences(rewards_accuracies=growing(0.5, 0.2, 0.03))
    assert "the rejected answers are preferred" in found(view(against))["preference_degrades"].title
    above = _preferences(loss=math.log(2) + growing(0, 0.5, 0.01))
    assert "ln 2" in found(view(above))["preference_degrades"].title
    assert "preference" in skipped(view({"train/loss": falling()}))["preference_degrades"]


# -------------------------------------------------------------------------------------------------------- data_order
def _by_place(amplitude: float, seed: int = 0) -> dict[str, Any]:
    epoch = np.linspace(0, 12, N, endpoint=False)
    place = np.sin(2 * np.pi * (epoch % 1)) * np.cos(5 * (epoch % 1))
    return {"train/loss": falling(2.4, 1.2, 0.15, seed=seed) + amplitude * place, "train/epoch": epoch}


def test_a_loss_that_follows_the_place_within_the_epoch_tells_of_data_in_one_order() -> None:
    finding = found(view(_by_place(0.6)))["data_order"]
    assert finding.severity == "bad"
    assert "same order every time" in finding.title
    assert found(view(_by_place(0.2)))["data_order"].severity == "note"  # another batch is a little harder


@pytest.mark.parametrize("seed", range(6))
def test_a_shuffled_loss_and_a_staircase_follow_no_place(seed: int) -> None:
    assert "data_order" not in found(view(_by_place(0.0, seed)))
    stairs = {**_by_place(0.0, seed), "train/loss": 2.0 * 0.8 ** np.floor(np.linspace(0, 12, N, endpoint=False))}
    stairs["train/loss"] = stairs["train/loss"] + noise(0.05, seed)
    assert "data_order" not in found(view(stairs))


def test_few_epochs_tell_nothing_of_the_order() -> None:
    short = {**_by_place(0.6), "train/epoch": np.linspace(0, 2.5, N)}
    assert "data_order" in skipped(view(short))
