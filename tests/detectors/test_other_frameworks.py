"""What goes well in trainings of other kinds is no trouble: adversaries, federations, restarts, many dimensions."""

from __future__ import annotations

from typing import Any

import numpy as np

from curves import PART, N, falling, found, growing, noise, skipped, troubles, view
from wandb_toolkit.detectors.base import OBJECTIVE
from wandb_toolkit.detectors.members import member_behind
from wandb_toolkit.roles import choose_primary


def test_the_sides_of_an_adversarial_game_are_neither_praised_nor_blamed() -> None:
    for names in (("loss/D", "loss/G"), ("d_loss", "g_loss"), ("Loss_D", "Loss_G"), ("errD", "errG")):
        sides: dict[str, Any] = {
            names[0]: falling(1.3, 0.5),
            names[1]: 1 + 3 * PART + 6 * np.exp(-(((PART - 0.8) / 0.02) ** 2)) + noise(0.05),
        }
        assert choose_primary([sides]) is None
        game = view(sides)
        assert game.roles["loss"].kind == "adversary"
        assert not {"loss_divergence", "loss_spike", "loss_decreased"} & set(found(game))
        assert OBJECTIVE in skipped(game)["loss_spike"]
        assert not game.updates_policy
    assert choose_primary([["critic_loss", "generator_loss", "gradient_penalty"]]) is None
    supervised = {"train/loss": falling(1.3, 0.5), "gen_loss": falling()}
    assert "loss_decreased" in found(view(supervised))


def test_a_rounds_metric_that_is_one_clients_is_no_progress_and_a_mean_or_a_worst_is() -> None:
    rounds = 40
    clients = [growing(0.2, 0.6 + 0.05 * at, n=rounds, seed=at) for at in range(4)]
    logged: dict[str, Any] = {f"client_{at}/accuracy": one for at, one in enumerate(clients)}
    last = view({**logged, "accuracy": clients[3]})
    assert "primary_improved" not in found(last)
    assert member_behind(last, "accuracy") == "client_3/accuracy"
    for own in (np.mean(clients, axis=0), np.min(clients, axis=0)):
        whole = view({**logged, "accuracy": own})
        assert member_behind(whole, "accuracy") is None
        assert "primary_improved" in found(whole)


def test_warm_restarts_of_the_rate_are_no_loss_spikes() -> None:
    part = (np.arange(N) % (N // 4)) / (N // 4)
    bump = 0.6 * np.exp(-part * 8) * (np.arange(N) >= N // 4)
    rate = 1e-3 * 0.5 * (1 + np.cos(np.pi * part))
    loss = 2 - PART + bump + noise(0.01)
    assert "loss_spike" in found(view({"train/loss": loss, "lr": np.full(N, 1e-3)}))
    assert "loss_spike" not in found(view({"train/loss": loss, "lr": rate}))


def test_an_entropy_beyond_any_discrete_choice_needs_the_policys_std() -> None:
    policy: dict[str, Any] = {
        "entropy": falling(9, 0.4),
        "reward": growing(0, 3000, scale=20),
        "approx_kl": noise(1e-3) + 0.01,
    }
    assert "entropy_collapse" not in troubles(view(policy))
    assert "more than 500 discrete actions" in skipped(view(policy))["entropy_collapse"]
    summed: dict[str, Any] = {"objective/entropy": falling(40, 1), "objective/kl": growing(0, 10)}
    summed["objective/scores"] = growing()
    assert "entropy_collapse" in troubles(view(summed))
    assert "entropy_collapse" in troubles(view({**policy, "entropy": falling(2.0, 0.05, scale=0.002)}))


def test_a_chosen_reward_that_falls_a_little_while_pairs_are_told_apart_is_a_note() -> None:
    def run(chosen: float) -> Any:
        return view({
            "train/rewards/chosen": chosen * PART + noise(0.02),
            "train/rewards/margins": 0.9 * PART + noise(0.02, 1),
            "train/rewards/accuracies": np.clip(growing(0.5, 0.75, scale=0.03), 0, 1),
            "train/loss": falling(0.693, 0.5),
        })  # fmt: skip

    assert found(run(-0.3))["preference_degrades"].severity == "note"
    assert "loss_decreased" in found(run(-0.3))
    assert found(run(-2.5))["preference_degrades"].severity == "bad"


def test_an_eval_loss_that_rises_while_the_f1_goes_on_to_its_best_is_a_note() -> None:
    rows = 10
    risen = [0.31, 0.22, 0.19, 0.185, 0.19, 0.195, 0.2, 0.205, 0.21, 0.215]
    task = np.array([0.71, 0.82, 0.86, 0.875, 0.88, 0.884, 0.887, 0.89, 0.892, 0.894])
    train = np.linspace(1, 0.05, rows)
    run: dict[str, Any] = {"train/loss": train, "eval/loss": risen, "eval/f1": task}
    assert found(view(run))["overfitting"].severity == "note"
    run["eval/f1"] = np.where(np.arange(rows) > 3, 0.875, task)
    assert found(view(run))["overfitting"].severity == "bad"


def test_what_recommenders_federations_and_self_play_evaluate_is_what_runs_are_judged_by() -> None:
    for logged, primary in (
        (["train/bpr_loss", "valid/recall@10"], "valid/recall@10"),
        (["train_loss", "centralized_accuracy", "centralized_loss"], "centralized_accuracy"),
        (["Loss/loss", "Metrics/fid50k_full"], "Metrics/fid50k_full"),
        (["train/loss", "eval/loss", "eval/wer"], "eval/wer"),
        (["train/loss", "eval/psnr"], "eval/psnr"),
        (["train_loss", "knn_acc"], "knn_acc"),
        (["train_loss", "val_err1", "val_err5"], "val_err1"),
        (["loss/policy", "win_rate/vs_random"], "win_rate/vs_random"),
    ):
        chosen = choose_primary([logged])
        assert chosen is not None
        assert chosen.metric == primary
        assert chosen.direction == ("min" if primary.endswith(("wer", "full", "err1")) else "max")


def test_a_jump_where_a_logged_phase_or_fold_begins_is_no_spike() -> None:
    begun = np.arange(N) >= N // 2
    loss = 2 - PART + begun * 0.9 * np.exp(-(np.arange(N) - N / 2) / 25) + noise(0.01)
    spiky: dict[str, Any] = {"train/loss": loss}
    assert "loss_spike" in found(view(spiky))
    assert "loss_spike" not in found(view({**spiky, "stage": begun.astype(float)}))
    assert "loss_spike" not in found(view({**spiky, "epoch": (np.arange(N) % (N // 2)).astype(np.float64)}))
    assert "loss_spike" in found(view({**spiky, "stage": np.roll(begun, 60).astype(float)}))


def test_the_tail_of_a_losss_own_scatter_is_no_spike_and_what_stands_out_of_it_is() -> None:
    rng = np.random.default_rng(3)
    scattered = 0.05 + 0.07 * rng.standard_gamma(1.0, 1500)
    assert "loss_spike" not in found(view({"train_loss": scattered}))
    scattered[[400, 700, 900, 1200]] += 4
    assert found(view({"train_loss": scattered}))["loss_spike"].evidence["count"] == 4


def test_nothing_is_said_to_hold_while_the_reward_rose_where_it_did_not() -> None:
    wandering = 0.5 + np.convolve(noise(0.5, 4, N + 20), np.ones(20) / 20, "valid")[:N]
    calm: dict[str, Any] = {
        "kl": 0.01 * (1 + noise(0.05)),
        "entropy": 1 + noise(0.02),
        "clip_fraction": noise(0.01) + 0.1,
    }
    assert not {"kl_stable", "entropy_healthy"} & set(found(view({**calm, "reward": wandering})))
    assert {"kl_stable", "entropy_healthy"} <= set(found(view({**calm, "reward": growing()})))


def test_an_eval_loss_that_turned_a_little_ends_near_its_best_and_not_at_it() -> None:
    falls = falling(1.1, 0.5, scale=0.002, n=40)
    train = falling(1.2, 0.3, n=400)
    assert found(view({"train/loss": train, "eval/loss": falls}))["eval_follows_train"].title.endswith("is at its best")
    falls[30:] = falls[29] + np.linspace(0, 0.025, 10)
    assert (
        "ends near its best (0.5" in found(view({"train/loss": train, "eval/loss": falls}))["eval_follows_train"].title
    )


def test_a_class_that_is_never_segmented_is_found_behind_a_high_pixel_accuracy() -> None:
    rows = 60
    run: dict[str, Any] = {
        "train_loss": falling(n=rows),
        "val_pixel_acc": growing(0.6, 0.93, n=rows),
        "val_dice": np.abs(noise(1e-4, n=rows)),
    }
    assert "class_imbalance" in troubles(view(run))
    run["val_dice"] = growing(0.1, 0.8, n=rows)
    assert "class_imbalance" not in troubles(view(run))


def test_what_got_better_and_then_worse_than_at_first_is_said_with_its_best() -> None:
    part = np.linspace(0, 3, 10)
    fid = np.r_[45 + 205 * np.exp(-part), np.linspace(60, 290, 10)] * np.exp(noise(0.04, n=20))
    title = found(view({"fid": fid}))["primary_worse"].title
    assert title.startswith("fid was best (5")
    assert "and ended worse than it began: 2" in title
    worse = found(view({"fid": growing(100, 250, scale=2)}))["primary_worse"].title
    assert worse.startswith("fid ended worse than it began")
    lost = np.r_[np.linspace(-1300, -300, N // 2), np.linspace(-300, -1400, N - N // 2)] + noise(10)
    assert "lost more than it had gained after" in found(view({"rollout/ep_rew_mean": lost}))["reward_collapse"].title


def test_several_metrics_that_learned_nothing_are_listed_as_people_list() -> None:
    flat: dict[str, Any] = {"train/loss": 3 + noise(0.05), "eval/loss": 3 + noise(0.01, n=20), "eval/wer": np.ones(20)}
    title = found(view(flat))["no_learning"].title
    assert title.startswith("train/loss, eval/loss and eval/wer ")


def test_a_gain_that_annealing_brings_at_the_end_of_a_schedule_is_a_note() -> None:
    dip = 0.15 * np.sin(np.pi * PART) ** 2
    run: dict[str, Any] = {"val/acc": growing(0.4, 0.95) - dip + noise(0.004), "train/loss": falling()}
    cosine = 0.5 * (1 + np.cos(np.pi * PART))
    assert found(view({**run, "lr": cosine}))["undertrained"].severity == "note"
    assert found(view({**run, "lr": np.full(N, 1e-3)}))["undertrained"].severity == "bad"
    straight = {**run, "val/acc": 0.4 + 0.5 * PART**2 + noise(0.004)}
    assert found(view({**straight, "lr": cosine}))["undertrained"].severity == "bad"


def test_a_range_test_of_the_learning_rate_is_meant_to_diverge() -> None:
    loss = np.r_[falling(2.3, 1.4, n=200), 1.4 * np.exp(np.linspace(0, 4, 60))]
    assert "loss_divergence" in troubles(view({"train/loss": loss, "lr": np.full(260, 1e-3)}))
    test = view({"train/loss": loss, "lr": np.geomspace(1e-7, 10, 260)})
    assert not {"loss_divergence", "primary_worse", "loss_spike"} & troubles(test)


def test_a_td_loss_that_grows_with_the_values_is_no_divergence() -> None:
    loss = 0.02 + 1.1 / (1 + np.exp(-12 * (PART - 0.4))) + noise(0.02)
    run: dict[str, Any] = {"train_loss": loss, "avg_reward": growing(20, 190, scale=3)}
    assert "loss_divergence" in troubles(view(run))
    assert "loss_divergence" not in troubles(view({**run, "epsilon": np.clip(1 - 3 * PART, 0.02, 1)}))
    assert "loss_divergence" not in troubles(view(run, config={"env": "CartPole-v1"}))
