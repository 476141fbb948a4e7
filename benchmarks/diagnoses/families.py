"""The families of runs: which keys a framework logs for which role, and the scales that are usual for it.

Held-out families are for the last look only: nobody tunes a detector to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """A framework in one use. Ranges are drawn from for each project; a run varies about its project."""

    name: str
    learning: str  # "supervised" or "rl"
    keys: Mapping[str, str]  # role → key
    rows: tuple[int, int]  # how many rows a run logs
    strides: tuple[int, ...] = (1,)  # steps from row to row
    evals: tuple[int, int] = (10, 40)  # how many evaluations
    loss: tuple[float, float, float, float] = (2.0, 3.0, 0.5, 1.2)  # start from, to; end from, to
    shape: str = "exp"  # "exp" or "power"
    reward: tuple[float, float] = (0.0, 1.0)  # floor and ceiling
    start: tuple[float, float] = (0.05, 0.3)  # where the reward starts, between floor and ceiling
    end: tuple[float, float] = (0.6, 0.9)
    kl: tuple[float, float] = (0.01, 0.2)
    entropy: tuple[float, float] = (0.4, 2.0)
    length: tuple[float, float] = (150, 800)
    cap: float = 3.0  # the cap of the length, in starting lengths, at least
    seconds: tuple[float, float] = (0.5, 20.0)  # for a row
    schedules: tuple[str, ...] = ("cosine", "linear", "constant")
    negative: frozenset[str] = frozenset()  # roles logged with the opposite sign
    averaged: bool = False  # the throughput is since the start
    continuous: float = 0.0  # how often actions are continuous
    decoys: tuple[str, ...] = ()  # keys without a role
    percent: float = 0.0  # how often accuracies are in percent
    first_row: int = 0
    signed_kl: float = 0.0  # how often the k1 estimator is logged, which goes below zero
    config: Mapping[str, str] = field(default_factory=dict)  # what it calls lr, schedule, steps, cap
    held_out: bool = False


_HF = {"lr": "learning_rate", "schedule": "lr_scheduler_type", "steps": "max_steps"}

FAMILIES: tuple[Family, ...] = (
    Family(
        "nanogpt", "supervised",
        {"loss": "train/loss", "eval_loss": "val/loss", "lr": "lr", "throughput": "mfu"},
        rows=(80, 400), strides=(250, 500), evals=(80, 400), loss=(10.2, 11.0, 2.8, 3.6), shape="power",
        schedules=("cosine",), seconds=(20, 120), decoys=("iter",),
        config={"lr": "learning_rate", "steps": "max_iters", "decay": "decay_lr"},
    ),
    Family(
        "lm", "supervised",
        {"loss": "train/loss", "eval_loss": "eval/loss", "grad_norm": "train/grad_norm", "lr": "train/lr",
         "throughput": "perf/tokens_per_second"},
        rows=(300, 3000), strides=(1, 10), evals=(15, 60), loss=(9.0, 11.0, 2.2, 3.8), shape="power",
        config={"lr": "lr", "schedule": "lr_schedule", "steps": "total_steps"}, seconds=(0.4, 8),
    ),
    Family(
        "megatron", "supervised",
        {"loss": "lm loss", "eval_loss": "lm loss validation", "grad_norm": "grad-norm", "lr": "learning-rate",
         "throughput": "throughput"},
        rows=(300, 2000), strides=(1, 10), evals=(10, 40), loss=(9.5, 11.0, 1.8, 3.0), shape="power",
        decoys=("loss-scale", "batch-size"), seconds=(2, 15), first_row=1, held_out=True,
        config={"lr": "lr", "schedule": "lr_decay_style", "steps": "train_iters"},
    ),
    Family(
        "hf", "supervised",
        {"loss": "train/loss", "eval_loss": "eval/loss", "task": "eval/accuracy", "grad_norm": "train/grad_norm",
         "lr": "train/learning_rate"},
        rows=(40, 400), strides=(10, 50), evals=(8, 30), loss=(1.2, 3.0, 0.3, 0.9),
        decoys=("train/epoch", "train/global_step", "eval/runtime", "eval/samples_per_second"), config=_HF,
        first_row=1,
    ),
    Family(
        "dpo", "supervised",
        {"loss": "train/loss", "eval_loss": "eval/loss", "task": "eval/rewards/accuracies",
         "grad_norm": "train/grad_norm", "lr": "train/learning_rate"},
        rows=(60, 400), strides=(5, 10), evals=(8, 25), loss=(0.685, 0.7, 0.25, 0.5),
        decoys=("train/logits/chosen", "train/logits/rejected", "train/num_tokens"),
        config=_HF, first_row=1,
    ),
    Family(
        "lightning", "supervised",
        {"loss": "train_loss_step", "eval_loss": "val_loss", "task": "val_acc", "lr": "lr-SGD"},
        rows=(200, 1500), strides=(50,), evals=(20, 90), loss=(1.8, 4.6, 0.1, 0.9), decoys=("epoch",),
        schedules=("step", "cosine", "constant"), percent=0.2,
        config={"lr": "lr", "schedule": "scheduler", "steps": "max_steps"},
    ),
    Family(
        "keras", "supervised",
        {"loss": "epoch/loss", "eval_loss": "epoch/val_loss", "task": "epoch/val_accuracy",
         "lr": "epoch/learning_rate"},
        rows=(30, 150), evals=(30, 150), loss=(1.5, 2.4, 0.1, 0.6), decoys=("epoch/epoch",),
        schedules=("constant", "step"), seconds=(10, 90), config={"lr": "learning_rate", "schedule": "schedule"},
        held_out=True,
    ),
    Family(
        "yolo", "supervised",
        {"loss": "train/box_loss", "eval_loss": "val/box_loss", "task": "metrics/mAP50-95(B)", "lr": "lr/pg0"},
        rows=(50, 300), evals=(50, 300), loss=(2.5, 4.0, 0.7, 1.3), decoys=("train/cls_loss", "train/dfl_loss"),
        seconds=(30, 200), schedules=("linear", "cosine"), first_row=1,
        config={"lr": "lr0", "schedule": "cos_lr", "steps": "epochs"},
    ),
    Family(
        "vae", "supervised",
        {"loss": "train/loss", "eval_loss": "val/loss", "grad_norm": "train/grad_norm"},
        rows=(150, 1000), strides=(1, 100), evals=(20, 60), loss=(-100, 50, -900, -500), held_out=True,
        config={"lr": "lr"},
    ),
    Family(
        "trl_grpo", "rl",
        {"policy_loss": "train/loss", "reward": "train/reward", "reward_std": "train/reward_std", "kl": "train/kl",
         "entropy": "train/entropy", "clip": "train/clip_ratio/region_mean", "length": "train/completions/mean_length",
         "truncation": "train/completions/clipped_ratio", "grad_norm": "train/grad_norm", "lr": "train/learning_rate",
         "task": "eval/accuracy", "zero_std": "train/frac_reward_zero_std"},
        rows=(100, 900), strides=(1, 5), evals=(8, 40), seconds=(8, 60), kl=(0.01, 0.3), signed_kl=0.2,
        decoys=("train/num_tokens", "train/epoch"), config={**_HF, "cap": "max_completion_length"}, first_row=1,
    ),
    Family(
        "verl", "rl",
        {"policy_loss": "actor/pg_loss", "reward": "critic/score/mean", "kl": "actor/kl_loss", "kl_old": "actor/ppo_kl",
         "entropy": "actor/entropy", "clip": "actor/pg_clipfrac", "length": "response_length/mean",
         "truncation": "response_length/clip_ratio", "grad_norm": "actor/grad_norm", "lr": "actor/lr",
         "throughput": "perf/throughput", "task": "val-core/openai/gsm8k/acc/mean@1",
         "reward_std": "critic/rewards/std"},
        rows=(80, 600), evals=(8, 40), seconds=(30, 200), decoys=("training/epoch", "critic/score/max"),
        schedules=("constant",), config={"lr": "actor.optim.lr", "cap": "data.max_response_length"},
    ),
    Family(
        "openrlhf", "rl",
        {"policy_loss": "train/policy_loss", "reward": "train/reward", "kl": "train/kl", "clip": "train/ppo_clip_ratio",
         "length": "train/response_length", "lr": "train/actor_lr", "task": "eval/gsm8k_pass1"},
        rows=(80, 500), evals=(8, 30), seconds=(30, 200), reward=(-5.0, 5.0), schedules=("cosine", "constant"),
        decoys=("train/return", "train/total_length"), signed_kl=0.3, first_row=1, held_out=True,
        config={"lr": "actor_learning_rate", "schedule": "lr_scheduler", "cap": "generate_max_len"},
    ),
    Family(
        "slime", "rl",
        {"policy_loss": "train/pg_loss", "reward": "rollout/raw_reward", "kl": "train/kl_loss",
         "kl_old": "train/ppo_kl", "entropy": "train/entropy_loss", "clip": "train/pg_clipfrac",
         "length": "rollout/response_len/mean", "truncation": "rollout/truncated_ratio", "grad_norm": "train/grad_norm",
         "lr": "train/lr-pg_0", "throughput": "perf/tokens_per_gpu_per_sec", "task": "eval/aime"},
        rows=(80, 500), evals=(8, 30), seconds=(60, 300), schedules=("constant",),
        config={"lr": "lr", "schedule": "lr_decay_style", "cap": "rollout_max_response_len"},
    ),
    Family(
        "trl_ppo", "rl",
        {"policy_loss": "loss/policy_avg", "reward": "objective/scores", "kl": "objective/kl",
         "kl_old": "policy/approxkl_avg", "entropy": "objective/entropy", "clip": "policy/clipfrac_avg", "lr": "lr"},
        rows=(100, 600), strides=(1,), seconds=(8, 60), reward=(-3.0, 6.0), kl=(3.0, 30.0), entropy=(20, 70),
        signed_kl=0.3, decoys=("episode", "val/num_eos_tokens", "loss/value_avg"), config=_HF, held_out=True,
    ),
    Family(
        "sb3_ppo", "rl",
        {"policy_loss": "train/loss", "reward": "rollout/ep_rew_mean", "kl_old": "train/approx_kl",
         "entropy": "train/entropy_loss", "policy_std": "train/std", "clip": "train/clip_fraction",
         "lr": "train/learning_rate", "throughput": "time/fps", "task": "eval/mean_reward"},
        rows=(80, 600), strides=(2048, 8192), evals=(10, 60), seconds=(1, 12), reward=(-200.0, 300.0),
        schedules=("constant", "linear"), negative=frozenset({"entropy"}), averaged=True, continuous=0.5,
        decoys=("rollout/ep_len_mean", "train/value_loss", "train/clip_range"), first_row=1,
        config={"lr": "learning_rate"},
    ),
    Family(
        "cleanrl_ppo", "rl",
        {"policy_loss": "losses/policy_loss", "reward": "charts/episodic_return", "kl_old": "losses/approx_kl",
         "entropy": "losses/entropy", "clip": "losses/clipfrac", "lr": "charts/learning_rate",
         "throughput": "charts/SPS"},
        rows=(150, 1500), strides=(512, 2048), seconds=(0.5, 8), reward=(0.0, 500.0), schedules=("linear",),
        averaged=True, decoys=("losses/value_loss", "charts/episodic_length"), first_row=1,
        config={"lr": "learning_rate", "anneal": "anneal_lr", "total": "total_timesteps"},
    ),
    Family(
        "cleanrl_dqn", "rl",
        {"policy_loss": "losses/td_loss", "reward": "charts/episodic_return", "throughput": "charts/SPS"},
        rows=(150, 1500), strides=(100, 1000), seconds=(0.5, 5), reward=(-21.0, 21.0), averaged=True,
        decoys=("losses/q_values",), config={"lr": "learning_rate"}, first_row=1,
    ),
    Family(
        "rllib", "rl",
        {"policy_loss": "learners/default_policy/total_loss", "reward": "env_runners/episode_return_mean",
         "kl_old": "learners/default_policy/mean_kl_loss", "entropy": "learners/default_policy/entropy"},
        rows=(60, 500), seconds=(10, 60), reward=(-1000.0, 0.0), held_out=True, first_row=1,
        decoys=("learners/default_policy/vf_loss", "env_runners/episode_len_mean"), config={"lr": "lr"},
    ),
)  # fmt: skip

BY_NAME: Mapping[str, Family] = {family.name: family for family in FAMILIES}
