"""Runs that are broken from the start: no signal, a loss that never was good, a policy without a choice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curves import PART, N, falling, found, growing, noise, skipped, troubles, view


# --------------------------------------------------------------------------------------------------------- no_signal
def test_a_learning_rate_of_zero_throughout_is_the_finding() -> None:
    still = found(view({"train/loss": 1.5 + noise(0.02), "train/learning_rate": [0.0] * N}))
    assert (still["no_signal"].severity, still["no_signal"].metrics) == ("ugly", ("train/learning_rate",))
    # Where the loss falls all the same, it is the logging that is wrong.
    assert "no_signal" not in found(view({"train/loss": falling(), "train/learning_rate": [0.0] * N}))
    # A warm-up begins at 0, a schedule ends there.
    warm = np.minimum(PART * 10, 1) * (1 - PART)
    assert "no_signal" not in found(view({"train/loss": falling(), "train/learning_rate": warm}))


def test_equal_rewards_are_no_signal_whatever_their_value() -> None:
    for level in (0.0, 1.0):
        equal = {
            "train/reward": [level] * N, "train/reward_std": [0.0] * N, "train/frac_reward_zero_std": [1.0] * N,
            "train/loss": [0.0] * N, "train/grad_norm": [0.0] * N,
        }  # fmt: skip
        of = found(view(equal))
        assert of["no_signal"].severity == "ugly"
        assert not any(finding.severity == "good" for finding in of.values())
    solved = {"train/reward": np.clip(growing(0, 1.02), 0, 1), "train/reward_std": 0.4 * (1 - growing(0, 1, 0)) + 1e-3}
    assert "no_signal" not in found(view(solved))


def test_a_loss_of_exactly_zero_from_some_row_on() -> None:
    loss = falling()
    loss[2:] = 0.0
    assert found(view({"train/loss": loss}))["no_signal"].step == 2
    late = falling(0.7, 0.1)
    late[180:] = 0.0
    assert found(view({"train/loss": late}))["no_signal"].severity == "bad"
    # A policy's objective is 0 by construction where its gradient is not.
    policy: dict[str, Any] = {
        "train/loss": [0.0] * N,
        "train/grad_norm": 1 + noise(0.1),
        "train/reward": growing(),
        "train/kl": growing(0, 0.1),
    }
    assert "no_signal" not in found(view(policy))
    assert "with 5 points" in skipped(view({"eval/loss": falling()}))["no_signal"]


# --------------------------------------------------------------------------------------------------- loss_divergence
def test_a_loss_that_its_first_updates_broke_is_measured_by_its_first_value() -> None:
    hot = 7.5 + 9 * np.exp(-20 * PART) + noise(0.05)
    hot[0] = 1.4
    finding = found(view({"train/loss": hot, "train/grad_norm": 1 + noise(0.1)}))["loss_divergence"]
    assert (finding.severity, finding.step) == ("ugly", 1)
    assert finding.evidence["first"] == 1.4
    short = np.array([1.5, 1.45, 6.0, 17.0, 12.0, 9.0, 8.0, 7.6, 7.5, 7.4])
    assert "loss_divergence" in found(view({"train/loss": short}))


def test_an_excursion_that_ends_no_better_than_it_began() -> None:
    loss = np.array([6.1, 6.0, *np.linspace(330, 6.6, 60), *(6.5 + noise(0.02, n=60))])
    of = found(view({"train/loss": loss}))
    assert of["loss_divergence"].step == pytest.approx(2 * N / len(loss), abs=6)
    assert not any(finding.severity == "good" for finding in of.values())


def test_a_rise_that_training_outgrows_is_no_divergence() -> None:
    bump = falling() + 2.0 * np.exp(-(((PART - 0.03) / 0.02) ** 2))  # warm-up at a high rate
    assert "loss_divergence" not in troubles(view({"train/loss": bump}))
    noisy = np.abs(falling(scale=0.6)) + 0.1
    noisy[0] = 0.5  # a lucky first batch
    assert "loss_divergence" not in troubles(view({"train/loss": noisy}))


# -------------------------------------------------------------------------------------------------- entropy_collapse
def test_a_policy_without_a_choice_from_its_first_row_on() -> None:
    kl = np.zeros(N)
    kl[0] = 22.7
    dead = {"losses/entropy": np.full(N, 5e-7), "losses/approx_kl": kl, "charts/episodic_return": 9.4 + noise(0.5)}
    finding = found(view(dead))["entropy_collapse"]
    assert (finding.severity, finding.step) == ("ugly", 0)
    assert "KL of 22.7" in finding.title
    # Siblings that begin as low are of its kind.
    assert "entropy_collapse" not in found(view(dead, (dead, dead)))


# ------------------------------------------------------------------------------------------------ praise and movement
def test_a_gain_that_its_numbers_do_not_show_is_no_praise_and_nothing_learned() -> None:
    flat = 0.888 + 0.0004 * np.exp(-4 * PART)
    still = found(view({"train_loss": flat + noise(2e-6), "val_loss": flat[::3] + noise(2e-6, n=100)}))
    assert set(still) == {"no_learning"}


def test_a_steady_gradient_far_from_the_siblings_is_no_praise() -> None:
    own = {"train/loss": falling(), "train/grad_norm": 92 + noise(1)}
    usual = {"train/loss": falling(), "train/grad_norm": 0.8 + noise(0.01)}
    assert "grad_norm_stable" in found(view(own))
    assert "grad_norm_stable" not in found(view(own, (usual, usual)))


# ---------------------------------------------------------------------------------------------- lr_schedule_mismatch
def test_a_warm_up_longer_than_the_run() -> None:
    cold = {"train/loss": falling(), "train/learning_rate": 9e-7 * PART}
    assert "warming up" in found(view(cold, config={"learning_rate": 3e-3}))["lr_schedule_mismatch"].title
    assert "lr_schedule_mismatch" not in found(view(cold, config={"learning_rate": 1e-6}))
    assert "lr_schedule_mismatch" not in found(view(cold, config={"learning_rate": 3e-3}, state="crashed"))


def test_a_gain_that_came_late_and_all_at_once_is_praised() -> None:
    declines_first = np.where(PART < 0.7, 20 - 10 * PART, np.minimum(20 + 1400 * (PART - 0.7), 195)) + noise(3)
    assert "primary_improved" in found(view({"charts/episodic_return": declines_first}))
    lost = np.where(PART < 0.75, 20 - 10 * PART, 15) + 180 * np.exp(-(((PART - 0.75) / 0.05) ** 2)) + noise(3)
    assert "primary_improved" not in found(view({"charts/episodic_return": lost}))
