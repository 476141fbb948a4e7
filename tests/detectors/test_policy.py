"""Detectors of reinforcement learning: KL, entropy, clipping, reward, response length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curves import PART, N, falling, found, growing, noise, skipped, step, troubles, view
from wandb_toolkit.detectors import RunView


def policy(seed: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a healthy GRPO run's metrics, some of them replaced."""
    metrics = {
        "train/loss": noise(0.02, seed),
        "train/reward": growing(0.2, 1.4, 0.05, seed=seed),
        "eval/accuracy": growing(0.1, 0.8, 0.01, n=40, seed=seed),
        "train/kl": 0.5 * (1 - np.exp(-PART / 0.2)) * np.exp(noise(0.15, seed)),
        "train/entropy": 1.5 - 0.6 * PART + noise(0.03, seed),
        "train/reward_std": (0.4 - 0.2 * PART) * np.exp(noise(0.08, seed)),
        "train/clip_ratio/region_mean": 0.1 + noise(0.01, seed),
        "train/completions/mean_length": 200 * (1 + 0.5 * PART) + noise(8, seed),
    }
    named = {
        "reward": "train/reward", "task": "eval/accuracy", "kl": "train/kl", "entropy": "train/entropy",
        "std": "train/reward_std", "clip": "train/clip_ratio/region_mean", "length": "train/completions/mean_length",
    }  # fmt: skip
    for role, values in changes.items():
        metrics[named[role]] = values
    return metrics


SIBLINGS = tuple(policy(seed) for seed in (11, 12, 13))


def case(**changes: Any) -> RunView:
    """Return a run like its siblings but for the metrics named."""
    return view(policy(**changes), SIBLINGS)


def test_a_healthy_policy_has_no_trouble() -> None:
    assert troubles(case()) == set()
    assert {"primary_improved", "reward_improved", "entropy_healthy"} <= set(found(case()))
    assert troubles(view(policy())) == set()  # nor when it is alone


# ----------------------------------------------------------------------------------------------------------------- KL
def test_a_policy_that_does_not_move() -> None:
    still = case(kl=0.01 + noise(0.001), reward=0.2 + noise(0.05), task=0.1 + noise(0.01, n=40))
    finding = found(still)["kl_too_low"]
    assert finding.step is None
    assert finding.evidence["siblings"] == 3
    assert found(still)["plateau_early"].consequence_of == "kl_too_low"


def test_a_low_kl_that_learns_or_has_no_siblings_is_not_too_low() -> None:
    assert "kl_too_low" not in found(case(kl=0.01 + noise(0.001)))
    assert "kl_too_low" not in found(case(kl=0.5 * PART**2))
    assert "no sibling" in skipped(view(policy(kl=0.01 + noise(0.001))))["kl_too_low"]


def test_kl_spikes_need_two_points_and_a_return() -> None:
    kl = policy()["train/kl"].copy()
    kl[180:184] *= [15, 12, 8, 4]
    assert found(case(kl=kl))["kl_spike"].step == 180
    one_point = policy()["train/kl"].copy()
    one_point[180] *= 15
    assert "kl_spike" not in found(case(kl=one_point))


def test_kl_estimates_below_zero_are_no_spikes() -> None:
    assert troubles(view(policy(kl=noise(0.01)))) == set()


def test_a_runaway_kl_with_and_without_siblings() -> None:
    kl = policy()["train/kl"] * np.exp(4 * np.clip((PART - 0.5) / 0.5, 0, 1))
    for of in (case(kl=kl), view(policy(kl=kl))):
        assert found(of)["kl_runaway"].step == pytest.approx(0.6 * N, abs=0.05 * N)
    assert "kl_runaway" not in found(case(kl=policy()["train/kl"] * 3))
    assert "kl_runaway" not in found(view(policy(kl=2 * PART + noise(0.02))))  # steady growth


def test_the_kl_of_an_autoencoder_is_not_a_policys() -> None:
    reason = skipped(view({"train/loss": falling(), "train/kl_loss": growing()}))["kl_spike"]
    assert "no policy's metrics" in reason


# ------------------------------------------------------------------------------------------------- entropy and clipping
COLLAPSE = (1.5 - 0.3 * PART) * (0.04 + 0.96 * np.exp(-np.clip(PART - 0.5, 0, 1) / 0.04)) + noise(0.005)


def test_entropy_collapse_and_its_onset() -> None:
    finding = found(case(entropy=COLLAPSE))["entropy_collapse"]
    assert finding.step == pytest.approx(0.51 * N, abs=0.03 * N)
    assert finding.severity == "ugly"


@pytest.mark.parametrize(
    "entropy",
    [
        1.5 * np.exp(-PART) + noise(0.03),  # a gentle decline
        1.5 - 1.45 * np.exp(-(((PART - 0.5) / 0.05) ** 2)) + noise(0.03),  # it comes back
        0.02 + noise(0.002),  # low by nature
    ],
)
def test_no_entropy_collapse(entropy: Any) -> None:
    assert "entropy_collapse" not in found(case(entropy=entropy))


def _sb3(entropy_loss: Any, **more: Any) -> RunView:
    return view({"rollout/ep_rew_mean": growing(0, 200, 5), "train/entropy_loss": entropy_loss, **more})


def test_stable_baselines_logs_the_negative_entropy() -> None:
    assert "entropy_collapse" in found(_sb3(-COLLAPSE))
    assert "entropy_collapse" not in found(_sb3(-(0.69 - 0.3 * PART)))
    assert "entropy_collapse" in found(_sb3(COLLAPSE))  # a framework that names the entropy itself so


def test_continuous_actions_are_judged_by_their_standard_deviation() -> None:
    differential = -(1.4 - 3 * PART)
    assert "differential entropy" in skipped(_sb3(differential))["entropy_collapse"]
    sb3 = {"train/clip_fraction": 0.1 + noise(0.01), "train/std": 1 - 0.5 * PART}
    assert "entropy_collapse" not in found(_sb3(differential, **sb3))
    assert "entropy_collapse" in found(_sb3(differential, **{**sb3, "train/std": COLLAPSE}))
    assert skipped(view({"train/loss": falling()}))["entropy_collapse"] == "no metric for the role entropy"


def test_clipping_over_a_sixth_of_the_run() -> None:
    clip = 0.1 + 0.4 * np.clip((PART - 0.6) / 0.1, 0, 1) + noise(0.01)
    assert found(case(clip=clip))["clipfrac_high"].step == pytest.approx(0.6375 * N, abs=0.03 * N)
    assert "clipfrac_high" in found(case(clip=100 * clip))  # percent
    brief = 0.1 + 0.4 * (step(0.6) - step(0.7)) + noise(0.01)
    assert "clipfrac_high" not in found(case(clip=brief))


# -------------------------------------------------------------------------------------------------------------- reward
def test_reward_up_and_task_down_is_hacking() -> None:
    part = np.linspace(0, 1, 40)
    reward = growing(0.2, 1.0, 0.03) + 0.8 * np.clip((PART - 0.5) / 0.5, 0, 1)
    task = growing(0.1, 0.8, 0.01, n=40) - 0.5 * np.clip((part - 0.5) / 0.5, 0, 1)
    finding = found(case(reward=reward, task=task))["reward_hacking"]
    assert finding.step == pytest.approx(0.5 * N, abs=0.06 * N)
    assert finding.metrics == ("train/reward", "eval/accuracy")
    assert "reward_improved" not in found(case(reward=reward, task=task))


def test_more_reward_than_the_siblings_and_less_of_the_task_is_hacking() -> None:
    hacked = case(reward=growing(0.2, 2.6, 0.05), task=growing(0.1, 0.3, 0.01, n=40))
    assert "reward_hacking" in found(hacked)


def test_noise_of_the_task_and_a_common_fall_are_no_hacking() -> None:
    assert "reward_hacking" not in found(case(task=growing(0.1, 0.8, 0.08, n=40)))
    fall = 1 - np.clip((PART - 0.6) / 0.2, 0, 1)
    both = found(
        case(reward=growing(0.2, 1.4, 0.05) * fall, task=growing(0.1, 0.8, 0.01, n=40) * fall[:: N // 40][:40])
    )
    assert "reward_hacking" not in both
    assert "reward_collapse" in both
    assert skipped(view({"train/reward": growing()}))["reward_hacking"] == "no metric for the role task"


@pytest.mark.parametrize(("start", "gain"), [(0.0, 1.0), (0.0, 100.0), (-400.0, 350.0)])
def test_reward_collapse_on_any_scale(start: float, gain: float) -> None:
    shape = growing(scale=0.03) * (1 - 0.9 * np.clip((PART - 0.7) / 0.1, 0, 1))
    assert found(case(reward=start + gain * shape))["reward_collapse"].step == pytest.approx(0.715 * N, abs=0.03 * N)


def test_a_dip_and_noise_are_no_reward_collapse() -> None:
    dip = growing(scale=0.05) * (1 - 0.9 * np.exp(-(((PART - 0.6) / 0.03) ** 2)))
    assert "reward_collapse" not in found(case(reward=dip))
    assert "reward_collapse" not in found(case(reward=0.5 + noise(0.3)))
    assert "needs 12" in skipped(view({"reward": [1.0, 2.0]}))["reward_collapse"]


VANISHING = 0.4 * (0.02 + 0.98 * np.exp(-np.clip(PART - 0.5, 0, 1) / 0.03)) * np.exp(noise(0.05))


def test_all_equal_groups_of_an_unsolved_task() -> None:
    finding = found(case(std=VANISHING, reward=growing(0.2, 0.7, 0.02)))["reward_std_collapse"]
    assert finding.step == pytest.approx(0.51 * N, abs=0.03 * N)
    alone = view(policy(std=VANISHING, reward=growing(0.1, 0.5, 0.01)))
    assert "reward_std_collapse" in found(alone)


def test_all_equal_groups_of_a_solved_task_are_fine() -> None:
    assert "reward_std_collapse" not in found(case(std=VANISHING))
    alone = {"train/reward": 100 + growing(0, 80), "train/reward_std": VANISHING}
    assert "ceiling" in skipped(view(alone))["reward_std_collapse"]


# -------------------------------------------------------------------------------------------------------------- length
def test_length_explosion_by_factor_or_up_to_the_cap() -> None:
    grown = 200 * np.exp(1.6 * np.clip((PART - 0.4) / 0.3, 0, 1)) + noise(5)
    assert found(case(length=grown))["length_explosion"].step == pytest.approx(0.463 * N, abs=0.03 * N)
    doubled = 200 * (1 + step(0.5)) + noise(5)
    assert "length_explosion" not in found(case(length=doubled))
    capped = view(policy(length=doubled), SIBLINGS, config={"max_completion_length": 410})
    assert "length_explosion" in found(capped)
    assert "needs 10" in skipped(view({"response_length/mean": [1.0] * 4}))["length_explosion"]


def test_a_reward_that_rises_while_the_task_falls_below_its_own_start() -> None:
    rng = np.random.default_rng(5)
    solved = (rng.random(N) < np.where(PART < 0.05, 0.5, 0.0)).astype(float)
    shaped = {"charts/episodic_return": -9 - 8 * np.exp(-40 * PART) + noise(0.2), "charts/success_rate": solved}
    of = found(view({**shaped, "losses/entropy": growing(0.69, 0.5)}))
    assert of["reward_hacking"].severity == "ugly"
    assert "below its own start" in of["reward_hacking"].title
    learned = {**shaped, "charts/success_rate": (rng.random(N) < 0.3 + 0.5 * PART).astype(float)}
    assert "reward_hacking" not in found(view(learned))
    level = {**shaped, "charts/success_rate": (rng.random(N) < 0.5).astype(float)}
    assert "reward_hacking" not in found(view(level))


def test_a_jump_that_stays_below_a_usual_target_is_no_spike() -> None:
    kl = np.full(N, 1.3e-4) * np.exp(noise(0.1))
    kl[150:153] = 1.1e-3
    run_of = {"losses/approx_kl": kl, "charts/episodic_return": growing(0, 100)}
    assert "kl_spike" not in found(view(run_of))
    assert "kl_spike" in found(view({**run_of, "losses/approx_kl": 100 * kl}))


def test_a_kl_below_zero_is_no_yardstick_and_a_finding_where_it_falls_on() -> None:
    reward = growing(0, 3, 0.02)
    falls = {"objective/kl": -0.2 - 4.7 * PART + noise(0.05), "objective/scores": reward}
    finding = found(view(falls))["kl_runaway"]
    assert (finding.severity, "no divergence is negative" in finding.title) == ("bad", True)
    assert "below zero" in skipped(view(falls))["kl_spike"]
    steady = {"objective/kl": 3 + noise(0.05), "objective/scores": reward}
    assert "kl_runaway" not in found(view(steady, (falls, falls)))


def test_a_kl_that_grows_while_the_reward_has_stopped() -> None:
    idle = {"objective/kl": 0.7 + 47 * PART + noise(0.3), "objective/scores": growing(1, 3, 0.05)}
    finding = found(view(idle))["kl_runaway"]
    assert finding.step is not None
    assert 0.2 * N < finding.step < 0.6 * N
    paid = {**idle, "objective/scores": 1 + 2 * PART + noise(0.05)}
    assert "kl_runaway" not in found(view(paid))
    assert "kl_runaway" not in found(view({**idle, "objective/kl": 0.01 + 0.5 * PART + noise(0.003)}))


def test_a_kl_that_dies_away_is_not_called_steady() -> None:
    steady: dict[str, Any] = {"kl": 0.01 * (1 + noise(0.05)), "reward": growing(), "entropy": falling(2, 1.8)}
    assert "kl_stable" in found(view(steady))
    dies = {**steady, "kl": 0.01 * np.clip(1.6 * (1 - PART), 1e-3, 1)}
    assert "kl_stable" not in found(view(dies))


def test_a_kl_of_the_last_update_that_grows_within_what_is_usual_is_bad_and_beyond_it_ugly() -> None:
    grown = 2e-4 + 0.012 * PART**8 + noise(5e-5)
    within = found(view({"actor/ppo_kl": grown, "reward": growing()}))["kl_runaway"]
    assert within.severity == "bad"
    beyond = found(view({"actor/ppo_kl": 20 * grown, "reward": growing()}))["kl_runaway"]
    assert beyond.severity == "ugly"
