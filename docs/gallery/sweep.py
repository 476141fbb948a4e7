"""A small sweep for the pictures of settings against results: 72 real trainings, two seconds of work, logged offline.

Softmax regression on three noisy blobs: the learning rate, the optimizer, the batch size and the weight decay are drawn
at random; two seeds of each configuration. The largest rates diverge, and a run whose loss is no number ends as failed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

CONFIGURATIONS, SEEDS, STEPS = 36, 2, 60
CLASSES, FEATURES, POINTS, TESTED = 3, 12, 600, 1500
HOPELESS = 60.0  # of a loss


def write_sweep(folder: Path) -> None:
    """Write the runs below `folder`."""
    import wandb

    settings = wandb.Settings(
        x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False, console="off", silent=True
    )
    rng = np.random.default_rng(3)
    for number in range(CONFIGURATIONS):
        config: dict[str, Any] = {
            "lr": float(f"{10 ** rng.uniform(-3.5, 1.2):.3g}"),
            "optimizer": str(rng.choice(["sgd", "momentum", "adam"])),
            "batch_size": int(rng.choice([8, 32, 128])),
            "weight_decay": float(rng.choice([0, 1e-4, 1e-2, 0.3])),
        }
        for seed in range(SEEDS):
            name = f"sweep-{number:02}-s{seed}"
            run = wandb.init(
                id=name, name=name, config={**config, "seed": seed}, mode="offline", project="sweep", dir=str(folder),
                settings=settings, reinit="finish_previous",
            )  # fmt: skip
            run.finish(exit_code=0 if _train(run, config, seed) else 1)


def _train(run: Any, config: dict[str, Any], seed: int) -> bool:
    """Train and log; return whether the training ended with a loss that is a number."""
    data = np.random.default_rng(0)
    middle = data.normal(0, 0.55, (CLASSES, FEATURES))
    x, y = _drawn(middle, POINTS, data)
    tested, truth = _drawn(middle, TESTED, data)
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.5, (FEATURES, CLASSES))
    first, second = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, STEPS + 1):
        batch = rng.integers(len(x), size=config["batch_size"])
        chance = _softmax(x[batch] @ weights)
        wrong = chance.copy()
        wrong[np.arange(len(batch)), y[batch]] -= 1
        loss = float(-np.log(np.maximum(chance[np.arange(len(batch)), y[batch]], 1e-300)).mean())
        gradient = x[batch].T @ wrong / len(batch) + config["weight_decay"] * weights
        first = 0.9 * first + (0.1 if config["optimizer"] == "adam" else 1.0) * gradient
        second = 0.99 * second + 0.01 * gradient**2
        way = gradient
        if config["optimizer"] == "momentum":
            way = first
        elif config["optimizer"] == "adam":
            way = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
        weights = weights - config["lr"] * way
        accuracy = float((np.argmax(tested @ weights, axis=1) == truth).mean())
        if not math.isfinite(loss) or loss > HOPELESS:
            run.log({"train/loss": math.nan, "eval/accuracy": accuracy}, step=step)
            return False
        run.log({"train/loss": loss, "eval/accuracy": accuracy}, step=step)
    return True


def _drawn(middle: Any, count: int, rng: np.random.Generator) -> tuple[Any, Any]:
    labels = rng.integers(CLASSES, size=count)
    return middle[labels] + rng.normal(0, 1, (count, FEATURES)), labels


def _softmax(scores: Any) -> Any:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
