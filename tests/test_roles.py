"""Roles: what the frameworks log, what must never be taken, which way is better, what runs are ranked by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from repository import EXAMPLES
from wandb_toolkit.commands import wandb_report
from wandb_toolkit.errors import NotFoundError, UsageError
from wandb_toolkit.roles import ROLES, assign_roles, choose_primary, direction_of, load_patterns, words_of

FRAMEWORKS: dict[str, tuple[str, dict[str, str]]] = {
    "TRL GRPO": (
        (
            "train/loss train/reward train/reward_std train/kl train/entropy train/grad_norm train/learning_rate "
            "train/num_tokens train/completions/mean_length train/completions/clipped_ratio "
            "train/completions/max_length train/clip_ratio/low_mean train/clip_ratio/region_mean "
            "train/rewards/accuracy_reward/mean train/step_time train/rewards/accuracy_reward/std "
            "train/rewards/format_reward/mean train/frac_reward_zero_std train/epoch"
        ),
        {
            "loss": "train/loss", "reward": "train/reward", "reward_std": "train/reward_std", "kl": "train/kl",
            "entropy": "train/entropy", "grad_norm": "train/grad_norm", "lr": "train/learning_rate",
            "tokens": "train/num_tokens", "length": "train/completions/mean_length",
            "truncation": "train/completions/clipped_ratio", "clip_fraction": "train/clip_ratio/region_mean",
            "task": "train/rewards/accuracy_reward/mean", "throughput": "train/step_time",
            "zero_std": "train/frac_reward_zero_std",
        },
    ),
    "TRL PPO": (
        (
            "objective/kl objective/entropy objective/rlhf_reward objective/scores policy/approxkl_avg "
            "policy/clipfrac_avg loss/policy_avg loss/value_avg val/clipfrac_avg policy/entropy_avg val/ratio "
            "val/ratio_var lr eps episode"
        ),
        {
            "kl": "objective/kl", "entropy": "objective/entropy", "reward": "objective/scores", "lr": "lr",
            "clip_fraction": "policy/clipfrac_avg", "loss": "loss/policy_avg", "importance_ratio": "val/ratio",
        },
    ),
    "TRL DPO": (
        (
            "train/loss eval/loss train/rewards/chosen train/rewards/rejected train/rewards/margins "
            "eval/rewards/accuracies train/rewards/accuracies train/logps/chosen eval/runtime "
            "eval/samples_per_second train/learning_rate"
        ),
        {
            "loss": "train/loss", "eval_loss": "eval/loss", "lr": "train/learning_rate",
            "task": "eval/rewards/accuracies", "chosen_reward": "train/rewards/chosen",
            "rejected_reward": "train/rewards/rejected", "margin": "train/rewards/margins",
            "preference_accuracy": "train/rewards/accuracies", "chosen_logp": "train/logps/chosen",
        },
    ),
    "veRL": (
        (
            "actor/pg_loss actor/kl_loss actor/kl_coef actor/ppo_kl actor/entropy actor/pg_clipfrac "
            "actor/pg_clipfrac_lower actor/grad_norm actor/lr critic/score/mean critic/score/max "
            "critic/rewards/mean critic/advantages/mean critic/vf_loss critic/vf_explained_var critic/lr "
            "critic/grad_norm response_length/mean response_length/clip_ratio prompt_length/mean "
            "prompt_length/clip_ratio perf/throughput perf/time_per_step val-core/gsm8k/acc/mean@1 "
            "val-core/gsm8k/acc/best@8/std timing_s/step"
        ),
        {
            "loss": "actor/pg_loss", "kl": "actor/kl_loss", "entropy": "actor/entropy", "grad_norm": "actor/grad_norm",
            "clip_fraction": "actor/pg_clipfrac", "lr": "actor/lr", "reward": "critic/score/mean",
            "length": "response_length/mean", "truncation": "response_length/clip_ratio",
            "throughput": "perf/throughput",
            "explained_variance": "critic/vf_explained_var", "task": "val-core/gsm8k/acc/mean@1",
        },
    ),
    "OpenRLHF": (
        (
            "train/policy_loss train/critic_loss train/kl train/reward train/return train/response_length "
            "train/actor_lr train/critic_lr eval/eval_math_pass1"
        ),
        {
            "loss": "train/policy_loss", "kl": "train/kl", "reward": "train/reward", "length": "train/response_length",
            "lr": "train/actor_lr", "task": "eval/eval_math_pass1",
        },
    ),
    "NeMo RL": (
        (
            "train/loss train/grad_norm train/lr train/probs_ratio train/probs_ratio_clamped train/kl_penalty "
            "train/token_mult_prob_error train/gen_kl_error train/sampling_importance_ratio train/approx_entropy "
            "train/reward train/mean_prompt_length train/mean_gen_tokens_per_sample validation/accuracy "
            "validation/avg_length performance/tokens_per_sec_per_gpu"
        ),
        {
            "loss": "train/loss", "grad_norm": "train/grad_norm", "lr": "train/lr", "kl": "train/kl_penalty",
            "importance_ratio": "train/sampling_importance_ratio", "entropy": "train/approx_entropy",
            "reward": "train/reward", "length": "train/mean_gen_tokens_per_sample", "task": "validation/accuracy",
            "throughput": "performance/tokens_per_sec_per_gpu",
        },
    ),
    "slime": (
        (
            "train/loss train/pg_loss train/entropy_loss train/pg_clipfrac train/ppo_kl train/kl_loss "
            "train/grad_norm train/lr-pg_0 rollout/raw_reward rollout/rewards rollout/response_lengths "
            "rollout/truncated eval/aime"
        ),
        {
            "loss": "train/loss", "entropy": "train/entropy_loss", "clip_fraction": "train/pg_clipfrac",
            "kl": "train/kl_loss", "lr": "train/lr-pg_0", "reward": "rollout/raw_reward",
            "length": "rollout/response_lengths", "task": "eval/aime", "grad_norm": "train/grad_norm",
            "truncation": "rollout/truncated",
        },
    ),
    "Stable-Baselines3": (
        (
            "rollout/ep_rew_mean rollout/ep_len_mean rollout/success_rate train/loss train/value_loss "
            "train/entropy_loss train/policy_gradient_loss train/approx_kl train/clip_fraction train/clip_range "
            "train/explained_variance train/learning_rate train/std time/fps time/total_timesteps "
            "eval/mean_reward"
        ),
        {
            "loss": "train/loss", "reward": "rollout/ep_rew_mean", "task": "rollout/success_rate",
            "entropy": "train/entropy_loss", "kl": "train/approx_kl", "clip_fraction": "train/clip_fraction",
            "explained_variance": "train/explained_variance", "lr": "train/learning_rate", "throughput": "time/fps",
            "policy_std": "train/std",
        },
    ),
    "CleanRL": (
        (
            "charts/episodic_return charts/episodic_length charts/SPS charts/learning_rate losses/value_loss "
            "losses/policy_loss losses/entropy losses/old_approx_kl losses/approx_kl losses/clipfrac "
            "losses/explained_variance"
        ),
        {
            "loss": "losses/policy_loss", "reward": "charts/episodic_return", "entropy": "losses/entropy",
            "kl": "losses/approx_kl", "clip_fraction": "losses/clipfrac", "throughput": "charts/SPS",
            "explained_variance": "losses/explained_variance", "lr": "charts/learning_rate",
        },
    ),
    "RLlib": (
        (
            "episode_reward_mean episode_reward_max episode_len_mean "
            "info/learner/default_policy/learner_stats/total_loss info/learner/default_policy/learner_stats/kl "
            "info/learner/default_policy/learner_stats/cur_kl_coeff "
            "info/learner/default_policy/learner_stats/entropy "
            "info/learner/default_policy/learner_stats/entropy_coeff "
            "info/learner/default_policy/learner_stats/vf_explained_var "
            "info/learner/default_policy/learner_stats/grad_gnorm"
        ),
        {
            "reward": "episode_reward_mean", "loss": "info/learner/default_policy/learner_stats/total_loss",
            "kl": "info/learner/default_policy/learner_stats/kl",
            "entropy": "info/learner/default_policy/learner_stats/entropy",
            "grad_norm": "info/learner/default_policy/learner_stats/grad_gnorm",
            "explained_variance": "info/learner/default_policy/learner_stats/vf_explained_var",
        },
    ),
    "HF Trainer": (
        (
            "train/loss train/grad_norm train/learning_rate train/epoch train/global_step eval/loss eval/accuracy "
            "eval/runtime eval/samples_per_second eval/steps_per_second train/total_flos train/train_loss "
            "train/train_runtime train/train_samples_per_second"
        ),
        {
            "loss": "train/loss", "eval_loss": "eval/loss", "grad_norm": "train/grad_norm", "lr": "train/learning_rate",
            "task": "eval/accuracy",
        },
    ),
    "Lightning": (
        "train_loss_step train_loss_epoch val_loss val_acc epoch trainer/global_step lr-AdamW",
        {"loss": "train_loss_step", "eval_loss": "val_loss", "task": "val_acc", "lr": "lr-AdamW"},
    ),
    "Keras": (
        "loss accuracy val_loss val_accuracy epoch lr",
        {"loss": "loss", "eval_loss": "val_loss", "task": "val_accuracy", "lr": "lr"},
    ),
    "fastai": (
        "train_loss raw_loss valid_loss accuracy lr_0 mom_0 wd_0 epoch",
        {"loss": "train_loss", "eval_loss": "valid_loss", "task": "accuracy", "lr": "lr_0"},
    ),
    "YOLO": (
        (
            "train/box_loss train/cls_loss train/dfl_loss val/box_loss metrics/precision(B) metrics/mAP50(B) "
            "metrics/mAP50-95(B) lr/pg0 lr/pg1"
        ),
        {"loss": "train/box_loss", "eval_loss": "val/box_loss", "task": "metrics/mAP50-95(B)", "lr": "lr/pg0"},
    ),
    "nanoGPT": (
        "iter train/loss val/loss lr mfu",
        {"loss": "train/loss", "eval_loss": "val/loss", "lr": "lr", "throughput": "mfu"},
    ),
    "Megatron-LM": (
        (
            "lm-loss-training/lm_loss lm_loss_validation/lm_loss_validation grad-norm learning-rate loss-scale "
            "throughput"
        ),
        {
            "loss": "lm-loss-training/lm_loss", "eval_loss": "lm_loss_validation/lm_loss_validation",
            "grad_norm": "grad-norm", "lr": "learning-rate", "throughput": "throughput",
        },
    ),
    "NeMo": (
        "reduced_train_loss val_loss grad_norm lr consumed_samples train_step_timing_in_s global_step",
        {
            "loss": "reduced_train_loss", "eval_loss": "val_loss", "grad_norm": "grad_norm", "lr": "lr",
            "throughput": "train_step_timing_in_s",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_roles_of_a_framework(framework: str) -> None:
    keys, expected = FRAMEWORKS[framework]
    found = {role: match.metric for role, match in assign_roles(keys.split()).items()}
    assert found == expected
    shouted = assign_roles([key.upper() for key in keys.split()])
    assert {role: match.metric.lower() for role, match in shouted.items()} == {
        r: m.lower() for r, m in expected.items()
    }


@pytest.mark.parametrize(
    ("role", "keys"),
    [
        (
            "reward",
            "train/rewards/format/mean train/reward_std train/rewards/chosen eval/reward reward_scale reward_loss",
        ),
        (
            "loss",
            "train/loss_scale value_loss train/value_loss val/ppl eval/loss loss_weight train/entropy_loss kl_loss",
        ),
        ("eval_loss", "eval/runtime train/loss val/ppl best_val_loss val/value_loss eval/samples_per_second"),
        ("task", "eval/accuracy_std eval/runtime train/rewards/format/mean eval/loss"),
        ("kl", "kl_coef train/kl_beta target_kl objective/non_score_reward vae/kl"),
        ("entropy", "cross_entropy train/cross_entropy_loss entropy_coef train/ent_coef eval/entropy"),
        (
            "clip_fraction",
            "train/completions/clipped_ratio response_length/clip_ratio val/clipfrac_avg train/clip_range",
        ),
        (
            "grad_norm",
            "layers/0/grad_norm layer12.grad_norm max_grad_norm critic/grad_norm param_norm gradients/a.weight",
        ),
        ("lr", "critic/lr lr_scale train/critic_lr"),
        ("length", "rollout/ep_len_mean prompt_length/mean charts/episodic_length response_length/max"),
        ("throughput", "eval/samples_per_second eval/steps_per_second train/train_samples_per_second"),
        ("tokens", "tokens_per_second eval/num_tokens"),
    ],
)
def test_what_only_looks_like_a_role(role: str, keys: str) -> None:
    assert role not in assign_roles(keys.split())


def test_wandbs_own_keys_play_no_role() -> None:
    assert assign_roles(["_runtime", "_step", "_timestamp", "system.cpu", "gradients/loss", "parameters/loss"]) == {}


def test_signs_and_kinds_are_data() -> None:
    sb3 = assign_roles(FRAMEWORKS["Stable-Baselines3"][0].split())
    assert sb3["entropy"].sign == -1
    assert sb3["loss"].kind == "policy"
    assert sb3["kl"].kind == "old"
    assert sb3["throughput"].kind == "average"
    assert assign_roles(FRAMEWORKS["slime"][0].split())["entropy"].sign == 1
    assert assign_roles(["train/loss", "eval/loss"])["loss"].kind == ""
    assert "HF Trainer" in assign_roles(["train/loss"])["loss"].why


def test_overrides_win_and_are_never_replaced_by_a_guess() -> None:
    metrics = ["train/loss", "my/odd", "train/entropy_loss"]
    assert assign_roles(metrics, {"loss": "my/odd"})["loss"].metric == "my/odd"
    assert "loss" not in assign_roles(metrics, {"loss": "absent"})
    assert assign_roles(metrics, {"entropy": "train/entropy_loss"})["entropy"].sign == -1
    with pytest.raises(UsageError, match="no role 'los'"):
        assign_roles(metrics, {"los": "my/odd"})


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        ("eval/loss", "min"), ("val_accuracy", "max"), ("error_rate", "min"), ("eval/accuracy_loss", "min"),
        ("val/ppl", "min"), ("train/reward", "max"), ("neg_mean_squared_error", "max"), ("pass@8", "max"),
        ("metrics/mAP50-95(B)", "max"), ("fid_score", "min"), ("loss/dataloader_idx_0", "min"), ("wer", "min"),
        ("charts/episodic_return", "max"), ("GA - 1/solution_fitness", "max"), ("time_to_solve", "min"),
        ("tokens_per_second", "max"), ("val_loss_improvement_error", "min"),
    ],
)  # fmt: skip
def test_direction(metric: str, direction: str) -> None:
    assert direction_of(metric)[0] == direction


def test_a_direction_that_nothing_tells_is_called_assumed() -> None:
    assert direction_of("foo/bar") == ("max", "assumed: its name does not tell")
    assert direction_of("eval/loss")[1] == '"loss": lower is better'


@pytest.mark.parametrize(
    ("metrics", "chosen"),
    [
        ("train/loss eval/loss eval/accuracy train/reward eval/accuracy_stderr", "eval/accuracy"),
        ("train/loss eval/loss train/reward", "train/reward"),
        ("train/reward eval/mean_reward", "eval/mean_reward"),
        ("train/loss eval/loss", "eval/loss"),
        ("train/loss lr grad_norm", "train/loss"),
        ("win_rate train/reward", "win_rate"),
        ("eval/gsm8k/exact_match train/reward", "eval/gsm8k/exact_match"),
        ("train/reward train/rewards/accuracy_reward/mean train/rewards/format_reward/mean",
         "train/rewards/accuracy_reward/mean"),
        ("val/ppl epoch", "val/ppl"),
    ],
)  # fmt: skip
def test_primary(metrics: str, chosen: str) -> None:
    primary = choose_primary([metrics.split()])
    assert primary is not None
    assert primary.metric == chosen


def test_the_primary_is_what_most_runs_share() -> None:
    runs = [["eval/accuracy", "eval/loss"], ["eval/loss"], ["eval/loss", "train/loss"]]
    primary = choose_primary(runs)
    assert primary is not None
    assert (primary.metric, primary.direction) == ("eval/loss", "min")
    assert "all runs have it" in primary.why


def test_no_primary_and_a_given_one() -> None:
    assert choose_primary([["epoch", "_step", "train/loss_scale"]]) is None
    assert choose_primary([]) is None
    given = choose_primary([["a"]], "my/error")
    assert given is not None
    assert (given.metric, given.direction) == ("my/error", "min")
    assert given.why.startswith("given by you")


def test_words_of_a_key() -> None:
    assert words_of("Train/gradNorm") == words_of("train_grad-norm") == words_of("train.grad norm") == "train grad norm"
    assert words_of("metrics/mAP50-95(B)") == "metrics map50 95 b"


def test_a_users_file_is_tried_first(tmp_path: Path) -> None:
    own = tmp_path / "roles.toml"
    own.write_text('[loss]\npatterns = [{ match = "my objective" }]\n[direction]\nmin = ["gizmo"]\n')
    patterns = load_patterns(own)
    assert assign_roles(["train/loss", "my/objective"], patterns=patterns)["loss"].metric == "my/objective"
    assert assign_roles(["train/loss"], patterns=patterns)["loss"].metric == "train/loss"
    assert assign_roles(["eval/loss"], patterns=patterns).keys() == {"eval_loss"}
    assert direction_of("gizmo", patterns)[0] == "min"


@pytest.mark.parametrize(
    ("text", "says"),
    [("[los]\n", "names no role"), ("not toml", "cannot be read"), ('[loss]\npatterns = ["x"]\n', "form")],
)
def test_a_bad_file_is_explained(tmp_path: Path, text: str, says: str) -> None:
    own = tmp_path / "roles.toml"
    own.write_text(text)
    with pytest.raises(UsageError, match=says):
        load_patterns(own)
    with pytest.raises(NotFoundError):
        load_patterns(tmp_path / "absent.toml")


def test_every_pattern_names_its_framework() -> None:
    patterns = load_patterns()
    assert set(ROLES) == set(patterns.roles)
    assert all(pattern.source != "your roles file" for each in patterns.roles.values() for pattern in each)
    assert {pattern.kind for each in patterns.roles.values() for pattern in each} <= {
        "", "policy", "old", "average", "seconds", "adversary",
    }  # fmt: skip


def test_the_report_takes_a_roles_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[task]\npatterns = [{ match = "train reward std", from = "us" }]\n', encoding="utf-8")
    runs = str(EXAMPLES)
    assert wandb_report.main([runs, "--latest", "1", "--roles", str(own), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["roles"]["task"] == "train/reward_std"
    assert wandb_report.main([runs, "--roles", str(tmp_path / "none.toml")]) == 4
    assert "no roles file" in capsys.readouterr().err


# What a run logs → what its runs are ranked by, and which way is better.
PRIMARIES = {
    "metrics/mAP_0.5 metrics/mAP_0.5:0.95 x/lr0 train/obj_loss val/obj_loss": ("metrics/mAP_0.5:0.95", "max"),
    "val/bbox_mAP train/s0.acc": ("val/bbox_mAP", "max"),
    "val/losses val/wer": ("val/wer", "min"),
    "train-logloss val-logloss best_score best_iteration": ("val-logloss", "min"),
    "validation_0-logloss validation_1-logloss": ("validation_1-logloss", "min"),
    "valid_0_binary_logloss train_binary_logloss valid_0-auc": ("valid_0-auc", "max"),
    "epoch/val_accuracy epoch/val_loss epoch/loss batch/loss": ("epoch/val_accuracy", "max"),
    "eval/rewards/accuracies eval/mean_token_accuracy train/loss": ("eval/rewards/accuracies", "max"),
    "objective/verifiable_correct_rate avg_all_rewards": ("objective/verifiable_correct_rate", "max"),
    "current_checkpoint_win_rate avg_current_checkpoint_reward": ("current_checkpoint_win_rate", "max"),
    "return_mean test_return_mean": ("test_return_mean", "max"),
    "D4rl_Score reward": ("D4rl_Score", "max"),
    "round/accuracy round/loss client/3/accuracy": ("round/accuracy", "max"),
    "tot/train tot/val": ("tot/val", "min"),
    "train/ploss_0 train/acc_0": ("train/ploss_0", "min"),
    "train-loss/loss train-loss/kld": ("train-loss/loss", "min"),
    "train/rollout/ep_rew_mean train/learning_rate": ("train/rollout/ep_rew_mean", "max"),
}


@pytest.mark.parametrize("names", PRIMARIES)
def test_what_runs_are_ranked_by(names: str) -> None:
    primary = choose_primary([names.split()])
    assert primary is not None
    assert (primary.metric, primary.direction) == PRIMARIES[names]


def test_wrappers_prefixes_and_agents_numbers_change_no_role() -> None:
    names = "train/objective/scores train/objective/kl train/val/ratio losses/entropy_0 losses/0/clipfrac"
    roles = {role: match.metric for role, match in assign_roles(names.split()).items()}
    assert roles["reward"] == "train/objective/scores"
    assert roles["importance_ratio"] == "train/val/ratio"
    assert roles["entropy"] == "losses/entropy_0"
    assert roles["clip_fraction"] == "losses/0/clipfrac"


def test_a_critics_val_loss_is_no_evaluation() -> None:
    assert "eval_loss" not in assign_roles(["train/pg_loss", "val_loss", "reward"])
    assert assign_roles(["train_loss", "val_loss"])["eval_loss"].metric == "val_loss"


def test_a_latent_kl_or_an_imitation_loss_that_is_off_plays_no_role() -> None:
    assert "kl" not in assign_roles(["loss", "loss_kl"])
    assert assign_roles(["Loss/surrogate", "Loss/imitation"])["loss"].metric == "Loss/surrogate"


def test_a_policy_s_objective_is_nothing_to_rank_by() -> None:
    ppo = ["losses/policy_loss", "losses/approx_kl", "losses/clipfrac", "charts/SPS"]
    assert choose_primary([ppo]) is None
    ranked = choose_primary([[*ppo, "charts/episodic_return"]])
    assert ranked is not None
    assert ranked.metric == "charts/episodic_return"
