"""Fit random features to a few noisy points until they overfit, and log it with wandb, offline: a log of about 20 kB.

The result is the file `assets/example.wandb` of each skill, so that a skill folder copied alone has a run to try::

    python examples/tiny_run.py
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from train_grpo import private_settings

ROOT = Path(__file__).resolve().parents[1]
TARGETS = [ROOT / "skills" / skill / "assets" / "example.wandb" for skill in ("wandb", "wandb-plot")]
CONFIG = {"learning_rate": 0.2, "features": 200, "points": 24, "noise": 0.6, "seed": 1, "steps": 48}


def train(log: Callable[[dict[str, float]], object]) -> None:
    """Fit by gradient descent; `log` gets one row a call."""
    rng = np.random.default_rng(CONFIG["seed"])
    count = int(CONFIG["features"])
    frequency, phase = rng.normal(0, 9, count), rng.uniform(0, 2 * np.pi, count)

    def data(points: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
        x = rng.uniform(-1, 1, points)
        return np.cos(np.outer(x, frequency) + phase) * np.sqrt(2 / count), np.sin(3 * x) + rng.normal(0, noise, points)

    (seen, y), (unseen, truth) = data(int(CONFIG["points"]), CONFIG["noise"]), data(400, 0.0)
    weights = np.zeros(count)
    for step in range(int(CONFIG["steps"])):
        error = seen @ weights - y
        row = {"train/loss": float(np.mean(error**2))}
        if step % 2 == 0:
            row["eval/loss"] = float(np.mean((unseen @ weights - truth) ** 2))
        log(row)
        for _ in range(10):
            weights -= CONFIG["learning_rate"] * 2 * seen.T @ (seen @ weights - y) / len(y)


def main() -> None:
    """Write the log into each skill's folder."""
    import wandb

    with tempfile.TemporaryDirectory() as folder:
        settings = private_settings()
        settings.program = "tiny_run.py"
        settings.console = "off"
        settings.x_disable_stats = True
        with wandb.init(
            project="overfit",
            name="tiny-overfit",
            id="tinyover",
            config=CONFIG,
            dir=folder,
            mode="offline",
            settings=settings,
        ) as run:
            train(run.log)
        (written,) = Path(folder).rglob("*.wandb")
        for target in TARGETS:
            target.parent.mkdir(exist_ok=True)
            shutil.copyfile(written, target)
            print(f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
