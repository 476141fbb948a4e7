"""Settings by meaning: which key of a config is the learning rate, the KL penalty, the number of steps."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wandb_toolkit import configs

_FILE = Path(__file__).with_name("experiments.toml")


_DUMPED = "learner."  # how XGBoost's callback logs the model's own dump beside the settings that a person chose
_FP16 = re.compile(r"^(torch\.)?(fp16|float16|half|16(-mixed|-true)?)$", re.IGNORECASE)
_SWITCH = re.compile(r"(?:use|enable|with)_(\w+)")


@dataclass(frozen=True)
class Setting:
    """A setting as a run's config has it."""

    key: str
    value: Any


@cache
def rule_book() -> Mapping[str, Any]:
    """Return what experiments.toml says."""
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def find_setting(config: Mapping[str, Any], name: str) -> Setting | None:
    """Return the config's key and value for one of the named settings, None where it has none that can be changed."""
    flat = configs.flatten(config)
    found: list[tuple[tuple[object, ...], str]] = []
    for order, ending in enumerate(rule_book()["settings"][name]):
        pattern = re.compile(rf"(^|[./]){re.escape(ending)}$", re.IGNORECASE)
        found += [
            ((key.startswith(_DUMPED), order, "critic" in key, "ref" in key.split("."), len(key), key), key)
            for key, value in flat.items()
            if pattern.search(key) and _meant(name, value) and not _switch_of(key, flat)
        ]
    if not found:
        return None
    key = min(found)[1]
    return Setting(key, _plain(flat[key]))


def find_switch(config: Mapping[str, Any], name: str) -> str | None:
    """Return the config's key that holds one of the named settings switched off, None where none does."""
    flat = configs.flatten(config)
    for ending in rule_book()["settings"][name]:
        pattern = re.compile(rf"(^|[./]){re.escape(ending)}$", re.IGNORECASE)
        switches = [switch for key in flat if pattern.search(key) and (switch := _switch_of(key, flat))]
        if switches:
            return min(switches, key=lambda key: ("critic" in key, "ref" in key.split("."), len(key), key))
    return None


def _switch_of(key: str, flat: Mapping[str, Any]) -> str | None:
    """Return the entry that says that the setting does nothing: `use_kl_loss` false beside `kl_loss_coef`."""
    last = re.split(r"[./]", key)[-1]
    for other, value in flat.items():
        switch = _SWITCH.fullmatch(re.split(r"[./]", other)[-1])
        if value is False and switch and (last.startswith(switch[1]) or (last == "kl_coef" and "kl" in switch[1])):
            return other
    return None


def _meant(name: str, value: Any) -> bool:
    """Whether the value is one; Hugging Face's max_steps of -1 says that another key decides."""
    if name == "half_precision":
        return value is True or (isinstance(value, (str, int)) and _FP16.search(str(value)) is not None)
    return value is not None and not (name == "steps" and isinstance(value, (int, float)) and value <= 0)


def _plain(value: Any) -> Any:
    """Return a number that is written as text, as boosting libraries do, as a number."""
    if isinstance(value, str):
        try:
            return int(value) if re.fullmatch(r"[+-]?\d+", value) else float(value)
        except ValueError:
            return value
    return value
