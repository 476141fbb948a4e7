"""What kind of training a run is, by its config and roles: what may be proposed to it depends on that."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from wandb_toolkit import configs
from wandb_toolkit.experiments.settings import find_setting
from wandb_toolkit.model import RunReport

_BOOSTERS = re.compile(
    r"(^|[./])(num_leaves|num_boost_round|booster|boosting(_type)?|gradient_booster|tree_method|min_child_weight"
    r"|min_child_samples|min_data_in_leaf|eta)([./]|$)"
)
_GROUPED = re.compile(r"(^|[./])(num_generations|n_samples_per_prompt|rollout\.n|group_size|num_samples_per_prompt)$")
_LANGUAGE = re.compile(r"(^|[./])(per_device_train_batch_size|lr_scheduler_type|vocab_size|max_position_embeddings)$")
_POLICY = re.compile(
    r"(^|[./])(total_timesteps|gae_lambda|env_?id|env_?name|ent_coef|replay_buffer\w*)$", re.IGNORECASE
)
_VALUES = re.compile(
    r"(^|[./])(epsilon_(start|finish|anneal\w*)|target_update\w*|target_network_\w+)$"
)  # of Q-learning
_CONTINUAL = re.compile(
    r"(^|[./_])(continual(_learning)?|drift(_detection)?|ewc(_lambda)?|lwf|task_incremental)([./_]|$)"
)
_OPTIMIZER = re.compile(r"(^|[./])(optim|optimizer|optimizer_name|solver|opt)$", re.IGNORECASE)


def is_boosting(config: Mapping[str, Any]) -> bool:
    """Whether trees are added one a round: no gradient norm, no batches, and its rounds are its checkpoints."""
    return any(_BOOSTERS.search(key) for key in configs.flatten(config))


def records_settings(config: Mapping[str, Any]) -> bool:
    """Return whether a config says how a run was trained, so that it can be repeated."""
    names = ("learning_rate", "batch_size", "steps")
    return is_boosting(config) or any(find_setting(config, name) for name in names)


def programs_of(report: RunReport) -> tuple[str, ...]:
    """Return what usual.toml calls a run's kind of training, the narrowest first; () where nothing tells."""
    flat = configs.flatten(report.run.config)
    roles = {match.role for match in report.roles}

    def any_key(pattern: re.Pattern[str]) -> bool:
        return any(pattern.search(key) for key in flat)

    if is_boosting(report.run.config):
        return ("boosting",)
    found = []
    if roles & {"margin", "preference_accuracy"}:
        found.append("preference")
    if any_key(_GROUPED) or "zero_std" in roles:
        found.append("grouped")
    if any_key(_LANGUAGE):
        found.append("language")
    if not found and (any_key(_POLICY) or any_key(_VALUES) or roles & {"clip_fraction", "explained_variance"}):
        found.append("policy")
    if any_key(_CONTINUAL):
        found.append("continual")
    optimizers = " ".join(str(value) for key, value in flat.items() if _OPTIMIZER.search(key)).lower()
    return (*found, *(name for name in ("sgd", "adam") if name in optimizers))
