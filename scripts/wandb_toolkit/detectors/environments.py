"""What a policy that acts at random earns in well-known environments, and what counts as solved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wandb_toolkit.detectors.length import flat_config

_KEY = re.compile(r"(env|env_?id|env_?name|environment|gym_?id|task)", re.IGNORECASE)


@dataclass(frozen=True)
class Environment:
    """Returns of whole episodes; rewards outside `lowest` to `highest` were reshaped or scaled."""

    name: str
    random: float
    solved: float
    lowest: float
    highest: float


# `solved`: the reward threshold with which Gymnasium registers the environment (Pendulum has none: what PPO and SAC
# reach). `random`: the mean of 300 episodes of uniformly drawn actions; Lunar Lander and Bipedal Walker as their
# documentation and published baselines have them.
_KNOWN = (
    Environment("CartPole-v0", 22, 195, 7, 200),
    Environment("CartPole-v1", 22, 475, 7, 500),
    Environment("MountainCar-v0", -200, -110, -200, 0),
    Environment("Acrobot-v1", -498, -100, -500, 0),
    Environment("Pendulum-v1", -1240, -200, -2000, 0),
    Environment("LunarLander-v2", -180, 200, -1500, 350),
    Environment("LunarLander-v3", -180, 200, -1500, 350),
    Environment("BipedalWalker-v3", -100, 300, -250, 350),
    Environment("FrozenLake-v1", 0.01, 0.7, 0, 1),
)
_BY_NAME = {one.name.lower(): one for one in _KNOWN}


def environment_of(config: Mapping[str, Any]) -> Environment | None:
    """Return the environment that a config names, None where it names none that is known."""
    for key, value in flat_config(config):
        if isinstance(value, str) and _KEY.fullmatch(key):
            known = _BY_NAME.get(value.rsplit("/", 1)[-1].strip().lower())
            if known is not None:
                return known
    return None
