"""Configs side by side: what differs, what is only a seed, what only names a run."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from wandb_toolkit.text import clean

# Keys whose values make another task of a run: what it learns, on which data, by which objective. Results of different
# tasks have different scales.
_TASK = re.compile(
    r"(^|[._/-])(env|env_?id|env_?name|environment|gym_?id|task|task_?name|game|datasets?|dataset_?name|train_?file"
    r"|train_?data|corpus|loss_?type|loss_?fn|objective|eval_?metric|n_?classes|num_?classes|num_?labels)$",
    re.IGNORECASE,
)
# Values that only say where and when a run was: addresses of objects, absolute paths, time stamps.
_PLACE = re.compile(
    r"<.+ at 0x[0-9a-f]+>|^(/|~/|\./|\.\./|[A-Za-z]:\\)|\d{4}-?\d\d-?\d\d[T_ -]?\d\d[:-]?\d\d", re.IGNORECASE
)
_ADDRESS = re.compile(r"<.+ at 0x[0-9a-f]+", re.IGNORECASE)  # an object's, another in every process
_ARRAY = 8  # numbers in a list from which on it is data, not a setting

VALUE_LENGTH = 60  # characters of a config value that are kept

_SEED = re.compile(
    r"(^|[._-])(((random|rng|global|manual|torch|numpy|np|env|data|train|py)[._-]?)?seeds?|random_state)$",
    re.IGNORECASE,
)
# Keys that name a run, or say where it ran and wrote: they cannot explain a difference.
_BOOKKEEPING = re.compile(
    r"(^|[._-])("
    r"run_?(name|id)|exp(eriment)?_?(name|id)|display_?name|wandb_?\w*|notes|description|comment|tags"
    r"|(output|log(ging)?|save|run|ckpt|checkpoint|work|cache|tensorboard|results?|local)_?(dir(ectory)?|path|folder)"
    r"|host(name)?|port|pid|uuid|job_?id|timestamp|start_?time|date|time"
    # How often something is logged, saved or evaluated, and which checkpoint is kept, leave the training as it is.
    r"|(logging|save|eval|evaluation|log|print|val|checkpoint|video|render)_?(steps|interval|freq(uency)?|every|strategy)"
    r"|save_(total_limit|safetensors|only_model|on_each_node)|load_best_model_at_end|metric_for_best_model"
    # Nor does whose account it uses; their values are not for showing, either.
    r"|(api|private|access)_?key|password|passwd|secret(_?key)?|credentials?|(access|auth|hf|hub|bearer)_?token"
    r"|greater_is_better|report_to|disable_tqdm|(dataloader_)?num_workers|verbos(e|ity)|log_level"
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
    return _BOOKKEEPING.search(key) is not None or re.split(r"[./]", key)[-1].startswith("_")


def tells_nothing(key: str, value: Any) -> bool:
    """Whether an entry of a config cannot explain a difference: by its key, or because its value is a place or data."""
    if is_bookkeeping(key):
        return True
    if isinstance(value, list):
        return len(value) >= _ARRAY and all(isinstance(part, (int, float)) for part in value)
    if not isinstance(value, str):
        return False
    return _ADDRESS.search(value) is not None or (_TASK.search(key) is None and _PLACE.search(value) is not None)


def seeds_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a config that set a random seed."""
    return {key: value for key, value in flatten(config).items() if is_seed(key)}


def task_of(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the entries of a config that say which task a run learns; {} where none does."""
    named = {key: value for key, value in flatten(config).items() if _TASK.search(key) and value is not None}
    return {key: token(value) for key, value in named.items() if not tells_nothing(key, value)}


def same_task(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Return whether two results of `task_of` may be compared: no key that both have differs."""
    return all(other.get(key, value) == value for key, value in one.items())


def differences(configs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys whose values differ → each config's value, long ones cut; None where it is not set.

    Keys that can explain a difference come first, then seeds, then bookkeeping; within these, those set most often.
    """
    flats = [{key: value for key, value in flatten(config).items() if value is not None} for config in configs]
    held = Counter(key for flat in flats for key in flat)
    found: dict[str, list[Any]] = {}
    idle = {k for k in held if all(tells_nothing(k, flat[k]) for flat in flats if k in flat)}
    for key in sorted(held, key=lambda k: (k in idle, is_seed(k), -held[k], k)):
        if len({token(flat[key]) if key in flat else None for flat in flats}) > 1:
            found[key] = [_cut(flat.get(key)) for flat in flats]
    return found


def configuration_of(config: Mapping[str, Any]) -> str | None:
    """Return what identifies a configuration whatever its seed; None for a config that says nothing."""
    settings = {
        key: token(value)
        for key, value in flatten(config).items()
        if value is not None and not is_seed(key) and not tells_nothing(key, value)
    }
    return json.dumps(settings, sort_keys=True) if settings else None


def configurations_of(runs: Sequence[tuple[Mapping[str, Any], str]]) -> list[str | None]:
    """Return what identifies each (config, name)'s configuration, as `configuration_of` does, names included.

    Names tell equal configs apart where several of them share a name but for its numbers, and others have another name
    ("base-s1", "base-s2", "swiglu"): what differs then is not in the config. Names that are all their own say nothing.
    """
    found = [configuration_of(config) for config, _ in runs]
    stems = [re.sub(r"\d+", "#", name.lower()) for _, name in runs]
    shared = Counter((same, stem) for same, stem in zip(found, stems, strict=True) if same is not None)
    named = {same for (same, _), count in shared.items() if count > 1}
    return [
        f"{same} {stem}" if same is not None and same in named else same
        for same, stem in zip(found, stems, strict=True)
    ]


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number, finite or not; a switch is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def token(value: Any) -> str:
    """Return a text that equal values of a config share."""
    if is_number(value) and math.isfinite(value):
        return repr(float(value))  # 1 and 1.0 are one setting
    return json.dumps(value, sort_keys=True, default=str)


def _cut(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return clean(value if isinstance(value, str) else json.dumps(value, default=str), VALUE_LENGTH)
