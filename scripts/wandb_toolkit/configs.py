"""Configs side by side: what differs, what is only a seed, what only names a run."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from wandb_toolkit.text import clean

VALUE_LENGTH = 60  # characters of a config value that are kept

_SEED = re.compile(
    r"(^|[._-])((random|rng|global|manual|torch|numpy|np|env|data|train|py)[._-]?)?seeds?$", re.IGNORECASE
)
# Keys that name a run, or say where it ran and wrote: they cannot explain a difference.
_BOOKKEEPING = re.compile(
    r"(^|[._-])("
    r"run_?(name|id)|exp(eriment)?_?(name|id)|display_?name|wandb_?\w*|notes|description|comment|tags"
    r"|(output|log(ging)?|save|run|ckpt|checkpoint|work|cache|tensorboard|results?|local)_?(dir(ectory)?|path|folder)"
    r"|host(name)?|port|pid|uuid|job_?id|timestamp|start_?time|date|time"
    r")$",
    re.IGNORECASE,
)


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested config with its keys joined by ".", W&B's own `_wandb` left out."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        name = f"{prefix}{key}"
        if name == "_wandb" or name.startswith("_wandb."):
            continue
        if isinstance(value, Mapping) and value:
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = value
    return flat


def is_seed(key: str) -> bool:
    """Whether a config key sets a random seed."""
    return _SEED.search(key) is not None


def is_bookkeeping(key: str) -> bool:
    """Whether a config key only names the run, or says where it ran and wrote."""
    return _BOOKKEEPING.search(key) is not None


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys whose values differ → each config's value, long ones cut; None where it is not set.

    Keys that can explain a difference come first, then seeds, then bookkeeping; within these, those set most often.
    """
    flats = [{key: value for key, value in flatten(config).items() if value is not None} for config in configs]
    held = Counter(key for flat in flats for key in flat)
    found: dict[str, list[Any]] = {}
    for key in sorted(held, key=lambda k: (is_bookkeeping(k), is_seed(k), -held[k], k)):
        if len({_token(flat[key]) if key in flat else None for flat in flats}) > 1:
            found[key] = [_cut(flat.get(key)) for flat in flats]
    return found


def configuration_of(config: Mapping[str, Any]) -> str | None:
    """Return what identifies a configuration whatever its seed; None for a config that says nothing."""
    settings = {
        key: _token(value)
        for key, value in flatten(config).items()
        if value is not None and not is_seed(key) and not is_bookkeeping(key)
    }
    return json.dumps(settings, sort_keys=True) if settings else None


def _token(value: Any) -> str:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return repr(float(value))  # 1 and 1.0 are one setting
    return json.dumps(value, sort_keys=True, default=str)


def _cut(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clean(value if isinstance(value, str) else json.dumps(value, default=str), VALUE_LENGTH)
