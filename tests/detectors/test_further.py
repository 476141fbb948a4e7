"""Diagnoses beyond the common ones: each fires, keeps quiet on a look-alike, and says where it cannot judge."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from curves import PART, N, falling, found, growing, noise, skipped, step, troubles, view
from wandb_toolkit.detectors import RunView
from wandb_toolkit.detectors.findings import _confidence
from wandb_toolkit.model import Series

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray, State

STEADY = 1 + noise(0.1)


def with_system(**metrics: FloatArray) -> RunView:
    """A healthy run with system metrics, sampled by time."""
    of = view({"train/loss": falling()})
    series = {
        f"system.{name.replace('__', '.')}": Series(name, np.linspace(0, 7200, len(y)), y, axis="_runtime")
        for name, y in metrics.items()
    }
    series = {name: replace(one, name=name) for name, one in series.items()}
    return replace(of, history=replace(of.history, series={**of.history.series, **series}), _curves={})


def test_a_vanishing_gradient() -> None:
    falls = STEADY * (1 - 0.999 * step(0.5))
    finding = found(view({"train/loss": falling(), "train/grad_norm": falls}))["grad_norm_vanishing"]
    assert finding.step == pytest.approx(0.5 * N, abs=0.05 * N)
    assert finding.evidence["confidence"] == "high"


def test_a_gradient_that_falls_with_the_loss_is_no_trouble() -> None:
    loss = 4 * np.exp(-6 * PART)
    assert not troubles(view({"train/loss": loss, "train/grad_norm": 0.9 * np.exp(-5 * PART) * STEADY}))
    solved = {
        "train/reward": growing(scale=0),
        "train/reward_std": 0.4 * (1.001 - growing(scale=0)),
        "train/kl": 0.1 * STEADY,
    }
    assert "grad_norm_vanishing" not in found(view({**solved, "train/grad_norm": STEADY * (1 - 0.999 * step(0.5))}))
    assert "grad_norm_vanishing" in skipped(view({"train/loss": loss}))


def test_responses_that_shrink() -> None:
    shrinks = 300 * (1 - 0.9 * step(0.4)) + noise(2)
    worthless = {"train/reward": 0.3 + noise(0.02, 3), "train/completions/mean_length": shrinks}
    finding = found(view(worthless))["length_collapse"]
    assert finding.step == pytest.approx(0.4 * N, abs=0.05 * N)
    assert "length_collapse" not in found(view({**worthless, "train/reward": growing()}))
    assert "length_collapse" in skipped(view({"train/completions/mean_length": shrinks}))


def test_responses_that_are_cut_off() -> None:
    reward = {"train/reward": growing()}
    cut = {"train/completions/clipped_ratio": 0.02 + 0.5 * step(0.6) + noise(0.005)}
    assert found(view({**reward, **cut}))["truncation_high"].step == pytest.approx(0.6 * N, abs=0.05 * N)
    rare = {"train/completions/clipped_ratio": 0.02 + 0.9 * (step(0.5) - step(0.55))}
    assert "truncation_high" not in found(view({**reward, **rare}))
    assert "truncation_high" in skipped(view(reward))


def test_a_policy_that_left_its_samples() -> None:
    key = "train/sampling/importance_sampling_ratio/mean"
    reward = {"train/reward": growing()}
    assert "policy_lag" in found(view({**reward, key: 1 - 0.6 * step(0.5) + noise(0.01)}))
    assert "policy_lag" in found(view({**reward, key: 1 + 1.5 * step(0.5) + noise(0.01)}))
    assert "policy_lag" not in found(view({**reward, key: 1 + noise(0.05)}))
    assert "policy_lag" in skipped(view({**reward, key: -1 + noise(0.05)}))
    assert "policy_lag" in skipped(view(reward))


def test_a_value_function_worse_than_a_constant() -> None:
    run = {"rollout/ep_rew_mean": growing(), "train/clip_fraction": 0.1 + noise(0.01)}
    key = "train/explained_variance"
    assert "value_function_poor" in found(view({**run, key: -0.5 + noise(0.1)}))
    assert "value_function_poor" not in found(view({**run, key: -1 + 1.8 * PART + noise(0.05)}))
    assert "value_function_poor" not in found(view({**run, key: 0.1 + noise(0.1)}))
    assert "value_function_poor" in skipped(view(run))


def test_a_primary_metric_that_ends_worse_than_it_began() -> None:
    assert "primary_worse" in found(
        view({"eval/accuracy": list(0.8 - 0.4 * np.linspace(0, 1, 40) + noise(0.01, n=40))})
    )
    assert "primary_worse" not in found(view({"eval/accuracy": list(0.5 + noise(0.05, n=40))}))
    assert "primary_worse" not in found(view({"train/loss": falling()}))
    assert "primary_worse" in skipped(view({"gradients/x": falling()}))


def test_nothing_was_learned() -> None:
    flat = {"train/loss": 2.3 + noise(0.02), "val/accuracy": 0.1 + noise(0.003, seed=1)}
    finding = found(view(flat))["no_learning"]
    assert set(finding.metrics) == {"train/loss", "val/accuracy"}
    assert "no_learning" not in found(view({**flat, "train/loss": falling()}))
    assert "no_learning" not in found(view({**flat, "val/accuracy": growing()}))
    risen_and_lost = 0.1 + 0.5 * np.sin(np.pi * PART) + noise(0.003)
    assert "no_learning" not in found(view({**flat, "val/accuracy": risen_and_lost}))
    assert "no_learning" in skipped(view({"train/loss": flat["train/loss"]}))
    assert "no_learning" in found(view(flat, state="crashed"))
    early = {name: values[:40] for name, values in flat.items()}
    assert "no_learning" in skipped(view(early, state="crashed"))


def test_what_explains_a_bad_end_leads() -> None:
    loss = falling() + 9 * step(0.3) * PART
    finding = found(view({"train/loss": loss}))["primary_worse"]
    assert finding.consequence_of == "loss_divergence"


def test_evaluations_that_scatter_more_than_the_runs_differ() -> None:
    def evaluated(scale: float, seed: int) -> dict[str, FloatArray]:
        return {"eval/accuracy": 0.5 + 0.1 * np.linspace(0, 1, 40) + noise(scale, seed, 40)}

    noisy = view(evaluated(0.08, 1), (evaluated(0.08, 2), evaluated(0.08, 3)))
    assert "eval_noisy" in found(noisy)
    assert "eval_noisy" not in found(view(evaluated(0.01, 1), (evaluated(0.01, 2), evaluated(0.01, 3))))
    assert "eval_noisy" in skipped(view(evaluated(0.08, 1)))
    train = [{"train/reward": growing(scale=0.5, seed=seed)} for seed in range(3)]
    assert "eval_noisy" in skipped(view(train[0], tuple(train[1:])))


def test_a_metric_that_is_stuck() -> None:
    stuck = np.where(PART < 0.4, falling(), 2.0)
    finding = found(view({"train/loss": stuck}))["metric_frozen"]
    assert finding.step == pytest.approx(0.4 * N, abs=2)
    assert "metric_frozen" in found(view({"train/reward": np.zeros(N), "train/kl": 0.1 * STEADY}))


def test_a_metric_that_stands_at_its_best_is_not_stuck() -> None:
    best = np.minimum(growing(scale=0) * 1.05, 1.0)
    assert "metric_frozen" not in found(view({"train/reward": best, "eval/accuracy": list(best[::10])}))
    assert "metric_frozen" not in found(view({"train/loss": np.maximum(falling() - 2, 0.0)}))
    assert "metric_frozen" in skipped(view({"train/loss": [1.0] * 5}))


def test_gpus_that_wait() -> None:
    busy, idle = 90 + noise(3, n=100), np.where(np.arange(100) % 4 == 0, 60.0, 0.0)

    def gpus(*use: FloatArray, memory: float = 70.0) -> RunView:
        loaded = {f"gpu__{n}__memoryAllocated": np.full(len(one), memory) for n, one in enumerate(use)}
        return with_system(**{f"gpu__{n}__gpu": one for n, one in enumerate(use)}, **loaded)

    finding = found(gpus(idle, idle))["gpu_idle"]
    assert finding.severity == "bad"
    assert "2 GPUs" in finding.title
    assert "76%" in finding.title
    assert "gpu_idle" not in found(gpus(busy, np.zeros(100)))
    pauses = np.where(np.arange(100) % 10 == 0, 0.0, busy)
    assert "gpu_idle" not in found(gpus(pauses))
    assert "gpu_idle" in skipped(gpus(busy[:5]))
    hardly = found(gpus(2 + noise(1, n=100)))["gpu_idle"]
    assert hardly.severity == "note"
    # Nothing on it, or a chip that also draws the screen and whose memory is not sampled: not the run's GPU.
    assert "gpu_idle" in skipped(gpus(idle, memory=0.0))
    assert "gpu_idle" in skipped(with_system(gpu__0__gpu=idle))


def test_memory_that_creeps() -> None:
    part = np.linspace(0, 1, 100)
    assert "memory_creep" in found(with_system(proc__memory__rssMB=4000 + 9000 * part + noise(20, n=100)))
    fills = 4000 + 9000 * (1 - np.exp(-12 * part))
    assert "memory_creep" not in found(with_system(proc__memory__rssMB=fills + noise(20, n=100)))
    assert "memory_creep" not in found(with_system(memory=20 + 30 * part))
    assert "memory_creep" in found(with_system(memory=20 + 70 * part))
    assert "memory_creep" in skipped(view({"train/loss": falling()}))


def test_confidence_grows_with_the_margin_and_the_points() -> None:
    assert _confidence(9.0, 300) == "high"
    assert _confidence(None, None) == "high"
    assert _confidence(1.3, 300) == "medium"
    assert _confidence(9.0, 20) == "medium"
    assert _confidence(1.05, 300) == "low"
    assert _confidence(9.0, 8) == "low"


def test_every_finding_says_how_sure_it_is() -> None:
    loss = falling() + 4 * step(0.5)
    for finding in found(view({"train/loss": loss, "train/grad_norm": STEADY * (1 + 50 * step(0.5))})).values():
        assert finding.evidence["confidence"] in ("high", "medium", "low")


def test_rows_that_are_episodes_do_not_slow_a_run_down() -> None:
    longer = np.where(PART < 0.5, 20.0, 200.0)  # steps of an episode, and of a row
    times = np.cumsum(longer) / 100
    of = {"charts/episodic_return": longer + noise(1), "_runtime": times}
    assert "throughput_drop" in skipped(view(of))  # nothing counts the training's steps
    slower = {**of, "global_step": np.cumsum(np.where(PART < 0.5, 20.0, 2.0))}
    assert "throughput_drop" in found(view(slower))
    assert "throughput_drop" not in found(view({**of, "global_step": np.cumsum(longer)}))


def test_the_time_before_learning_starts_is_no_yardstick() -> None:
    times = {"_timestamp": np.cumsum(np.where(PART < 0.3, 0.1, 1.0)), "charts/episodic_return": growing()}
    assert "throughput_drop" not in found(view(times))  # nothing tells which rows are training
    slower = {**times, "losses/td_loss": falling()}
    assert "throughput_drop" in found(view(slower))
    assert "throughput_drop" not in found(view(slower, config={"learning_starts": 0.3 * N}))


def test_evaluations_and_other_phases_between_the_rows_are_no_slower_training() -> None:
    rows = np.arange(N)
    other = (rows > N // 2) & (rows % 4 > 1)  # another phase's, which take ten times as long
    times = np.cumsum(np.where(other | (rows > N // 2) & (rows % 4 == 0), 1.0, 0.1))
    of = view({"_timestamp": times, "train/loss": falling()})
    assert "throughput_drop" in found(of)
    kept, loss = ~other, of.history.series["train/loss"]
    rare = replace(loss, x=loss.x[kept], value=loss.value[kept])
    seen = replace(of, history=replace(of.history, series={**of.history.series, "train/loss": rare}), _curves={})
    assert "throughput_drop" not in found(seen)


def test_ctrl_c_is_the_users_decision_and_no_crash() -> None:
    tail = ("Traceback (most recent call last):", "KeyboardInterrupt")
    stopped = replace(view({"train/loss": falling()}, state="crashed"), log_tail=tail)
    assert "interrupted" in found(stopped)
    assert "crashed" in skipped(stopped)
    killed = replace(stopped, log_tail=())
    assert "crashed" in found(killed)
    assert "interrupted" not in found(killed)
    by_code = view({"train/loss": falling()}, state="failed", exit_code=130)
    assert "interrupted" in found(by_code)


def test_a_complete_training_whose_process_stayed_open_is_no_crash() -> None:
    epochs = {"train/loss": falling(), "train/epoch": np.linspace(0, 4, N)}
    done = view(epochs, state="crashed", config={"num_train_epochs": 4})
    assert "process_left_open" in found(done)
    assert "crashed" in skipped(done)
    half = view(epochs, state="crashed", config={"num_train_epochs": 8})
    assert "crashed" in found(half)
    out_of_memory = replace(done, log_tail=("torch.OutOfMemoryError: CUDA out of memory",))
    assert "crashed" in found(out_of_memory)


def test_an_entropy_that_falls_as_every_run_s_does_while_the_task_is_learned_is_no_collapse() -> None:
    low = 1.8 * np.exp(-4 * PART)
    learned = {"losses/entropy": low, "charts/episodic_return": growing()}
    assert "entropy_collapse" in found(view(learned))
    assert "entropy_collapse" not in found(view(learned, siblings=(learned, learned, learned)))
    stuck = {"losses/entropy": low, "charts/episodic_return": 0.02 * growing()[::-1] + 1}
    assert "entropy_collapse" in found(view(stuck, siblings=(learned, learned, learned)))


def test_the_entropy_of_supervised_training_is_no_policys() -> None:
    assert "entropy_collapse" in skipped(view({"train/entropy": 1.8 * np.exp(-4 * PART), "train/loss": falling()}))


def test_a_run_that_still_improves_ahead_of_all_others_has_no_fault() -> None:
    rising = {"eval/accuracy": list(0.1 + 0.6 * np.linspace(0, 1, 40) + noise(0.005, n=40))}
    behind = {"eval/accuracy": list(0.1 + 0.4 * np.linspace(0, 1, 40) ** 0.3 + noise(0.005, 1, 40))}
    assert found(view(rising))["undertrained"].severity == "bad"
    assert found(view(rising, (behind, behind)))["undertrained"].severity == "note"
    capped = np.minimum(600 * np.linspace(0, 1, 300) ** 3 + noise(5), 500.0)
    capped[-20:] = 500.0
    assert "undertrained" not in found(view({"charts/episodic_return": capped}))


def test_a_slowdown_that_costs_little_is_a_note() -> None:
    speed = 1000 + noise(10)
    brief = found(
        view({"train/loss": falling(), "throughput": np.where((PART > 0.8) & (PART < 0.92), 0.58, 1) * speed})
    )
    assert brief["throughput_drop"].severity == "note"
    lasting = found(view({"train/loss": falling(), "throughput": np.where(PART > 0.5, 0.5, 1) * speed}))
    assert lasting["throughput_drop"].severity == "bad"


def test_a_gradient_that_grows_slowly_to_the_end() -> None:
    grows = STEADY * np.exp(np.maximum(PART - 0.4, 0) * 4)
    policy = {"train/reward": growing(), "train/kl": 0.1 * STEADY, "train/grad_norm": grows}
    finding = found(view(policy))["grad_norm_explosion"]
    assert finding.severity == "bad"
    assert "9× its early level" in finding.title
    settles = {**policy, "train/grad_norm": STEADY * (1 + np.minimum(PART * 4, 1))}
    assert "grad_norm_explosion" not in found(view(settles))


def test_an_evaluation_that_never_earned_anything() -> None:
    rewards = 10 + noise(1)
    failing = view({"rollout/ep_rew_mean": rewards, "test_return_mean": [0.0] * 5})
    assert found(failing)["metric_frozen"].title == "test_return_mean is 0 in all 5 evaluations"
    assert "metric_frozen" not in found(view({"rollout/ep_rew_mean": rewards, "test_return_mean": [0.0] * 4}))


def test_a_run_that_broke_off_in_its_warm_up_is_not_judged_by_what_it_learned() -> None:
    rate = list(2e-7 * np.linspace(0.03, 1, 33))
    pairs = {"train/loss": list(np.log(2) + noise(0.004, n=33)), "train/rewards/accuracies": [0.48, 0.5, 0.52] * 11,
             "train/rewards/margins": list(noise(0.01, n=33))}  # fmt: skip
    states: dict[State, bool] = {"crashed": False, "finished": True}
    for state, judged in states.items():
        made = found(view({**pairs, "train/learning_rate": rate}, state=state))
        assert bool({"chance_level", "preference_degrades"} & set(made)) is judged


def test_what_was_learned_and_lost_was_no_chance_level() -> None:
    lost: dict[str, FloatArray | list[float]] = {
        "train/loss": falling(6.2, 0.1),
        "eval/loss": list(5.2 + 3 * np.abs(np.linspace(-0.3, 0.7, 30))),
    }
    made = found(view(lost, config={"vocab_size": 512}))
    assert "overfitting" in made
    assert "chance_level" not in made
    never: dict[str, FloatArray | list[float]] = {
        "train/loss": 7 + noise(0.02),
        "eval/loss": list(7 + noise(0.02, n=30)),
    }
    assert "chance_level" in found(view(never, config={"vocab_size": 512}))


def test_a_gradient_that_dies_is_not_called_steady() -> None:
    dying = {"train/loss": 0.888 + noise(0.01), "eval/loss": 0.888 + noise(0.001, 2),
             "train/grad_norm": 0.02 * np.exp(-4 * PART) * STEADY}  # fmt: skip
    assert "grad_norm_stable" not in found(view(dying))
