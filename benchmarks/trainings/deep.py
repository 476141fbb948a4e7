"""Trainings by frameworks on top of PyTorch: Stable-Baselines3's PPO, Hugging Face's Trainer on a language model."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

Settings = dict[str, Any]

POLICY: Settings = {
    "env_id": "CartPole-v1",
    "learning_rate": 1e-3,
    "gamma": 0.98,
    "ent_coef": 0.0,
    "n_steps": 256,
    "n_epochs": 10,
    "max_grad_norm": 0.5,
    "total_timesteps": 25_600,
    "seed": 0,
}
LANGUAGE: Settings = {
    "learning_rate": 2e-3,
    "lr_scheduler_type": "cosine",
    "warmup_steps": 20,
    "max_steps": 240,
    "max_grad_norm": 1.0,
    "blocks": 2000,  # of the text that are trained on
    "n_embd": 64,
    "seed": 0,
}
BLOCK = 48  # characters


def ppo(run: Any, settings: Settings) -> None:
    """Train a policy; W&B takes what the framework writes for TensorBoard."""
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env
    from wandb.integration.sb3 import WandbCallback

    torch.set_num_threads(1)
    chosen = {name: value for name, value in settings.items() if name not in ("env_id", "total_timesteps")}
    environments = make_vec_env(settings["env_id"], n_envs=4, seed=settings["seed"])
    folder = str(Path(run.dir).parent / "tensorboard")  # read until the run is finished
    learner = PPO("MlpPolicy", environments, batch_size=256, tensorboard_log=folder, device="cpu", **chosen)
    learner.learn(settings["total_timesteps"], callback=WandbCallback(), log_interval=1)


def language(run: Any, settings: Settings) -> None:
    """Train a GPT-2 of two layers from random weights, character by character, on the texts of Python's own help."""
    from pydoc_data.topics import topics

    import numpy as np
    import torch
    from torch.utils.data import TensorDataset
    from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

    os.environ["WANDB_LOG_MODEL"] = "false"
    torch.set_num_threads(1)
    text = "\n".join(topics[name] for name in sorted(topics)).encode("ascii", "replace")
    count = len(text) // BLOCK
    blocks = torch.from_numpy(np.frombuffer(text, np.uint8)[: count * BLOCK].reshape(count, BLOCK).astype(np.int64))
    blocks = blocks[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    trained, held_out = TensorDataset(blocks[100 : 100 + settings["blocks"]]), TensorDataset(blocks[:100])
    torch.manual_seed(settings["seed"])
    width = settings["n_embd"]
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=128, n_positions=BLOCK, n_embd=width, n_layer=2, n_head=4,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip

    def batch(items: list[Any]) -> dict[str, Any]:
        rows = torch.stack([row for (row,) in items])
        return {"input_ids": rows, "labels": rows}

    names = ("learning_rate", "lr_scheduler_type", "warmup_steps", "max_steps", "max_grad_norm", "seed")
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, report_to=["wandb"], logging_steps=5, eval_strategy="steps", eval_steps=20,
            per_device_train_batch_size=8, per_device_eval_batch_size=100, save_strategy="no", use_cpu=True,
            disable_tqdm=True, run_name=run.name, logging_nan_inf_filter=False,
            **{name: settings[name] for name in names},
        )  # fmt: skip
        Trainer(model, arguments, data_collator=batch, train_dataset=trained, eval_dataset=held_out).train()
