"""Which runs belong together: those with the same values of some keys, or of the whole config but some keys."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wandb_toolkit.configs import differences, flatten, tells_nothing, token
from wandb_toolkit.errors import UsageError, did_you_mean
from wandb_toolkit.model import Run
from wandb_toolkit.plots.labels import config_text
from wandb_toolkit.text import clean

ALL_BUT = "all-but:"
HELP = "config.A,config.B, group, job_type, sweep, or all-but:config.seed"
_ATTRIBUTES = ("group", "job_type", "sweep")


@dataclass(frozen=True)
class GroupKeys:
    """What --group-by names: keys, or with `but` all keys of the config but these."""

    text: str
    keys: tuple[str, ...]
    but: bool = False

    def settled(self, runs: Sequence[Run]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the keys to group these runs by, and those that differ and yet are not looked at.

        With `but`, keys that only name a run or say where it ran and wrote are not looked at.

        Raises:
            UsageError: no run has a key that was named; the hint has the nearest.
        """
        flats = [flatten(run.config) for run in runs]
        for key in self.keys:
            if all(value_of(run, key) is None for run in runs):
                raise UsageError(f"None of the runs has {key}.", did_you_mean(key, names_of(runs), "config key"))
        if not self.but:
            return self.keys, ()
        left_out = tuple(key.removeprefix("config.") for key in self.keys)
        varied = [
            name
            for name in differences([run.config for run in runs])
            if not any(name == key or name.startswith(f"{key}.") for key in left_out)
        ]
        idle = {name for name in varied if all(tells_nothing(name, flat[name]) for flat in flats if name in flat)}
        return tuple(f"config.{name}" for name in varied if name not in idle), tuple(n for n in varied if n in idle)


def parse_group_keys(text: str, parts: Sequence[str]) -> GroupKeys:
    """Return what `text`, split at its commas into `parts`, means.

    Raises:
        UsageError: runs cannot be grouped by that.
    """
    but = text.startswith(ALL_BUT)
    keys = tuple(dict.fromkeys([parts[0].removeprefix(ALL_BUT), *parts[1:]]))
    for key in keys:
        if not is_group_key(key) or (but and key in _ATTRIBUTES):
            raise UsageError(f"Runs cannot be grouped by {text!r}: {key!r} is not a key for that.", f"Give {HELP}.")
    return GroupKeys(text, keys, but)


def is_group_key(key: str) -> bool:
    """Whether runs can be grouped by this."""
    return key in _ATTRIBUTES or (key.startswith("config.") and len(key) > len("config."))


def names_of(runs: Sequence[Run]) -> list[str]:
    """Return the config keys that runs can be grouped by."""
    return list(dict.fromkeys(f"config.{name}" for run in runs for name in flatten(run.config)))


def value_of(run: Run, key: str) -> Any:
    """Return what a run has under a group key, None for nothing."""
    if key in _ATTRIBUTES:
        return getattr(run, key) or None
    config = {**flatten(run.config), **run.config}
    return config.get(key.removeprefix("config."))


def groups_of(runs: Sequence[Run], keys: Sequence[str]) -> dict[str, list[int]]:
    """Return label → places in `runs`, in the order of the runs; those that have no value come last, as one group."""
    found: dict[tuple[str, ...], list[int]] = {}
    labels: dict[tuple[str, ...], str] = {}
    short = Counter(key.rpartition(".")[2] for key in keys)
    for i, run in enumerate(runs):
        values = [value_of(run, key) for key in keys]
        tokens = tuple(token(value) for value in values)
        if tokens not in found:
            pairs = zip(keys, values, strict=True)
            parts = [_label(key, value, whole=short[key.rpartition(".")[2]] > 1) for key, value in pairs]
            labels[tokens] = ", ".join(parts) or "all settings equal"
        found.setdefault(tokens, []).append(i)
    nothing = tuple(token(None) for _ in keys)
    missing = found.pop(nothing, None)
    ordered = {**found, nothing: missing} if missing else found
    result: dict[str, list[int]] = {}
    for tokens, places in ordered.items():
        label = labels[tokens]
        result[label if label not in result else f"{label} ({len(result)})"] = places
    return result


def _label(key: str, value: Any, *, whole: bool) -> str:
    name = key.removeprefix("config.")
    name = clean(name if whole else name.rpartition(".")[2], 24)
    if value is None:
        return f"no {name}"
    text = config_text(value if isinstance(value, (bool, int, float, str)) else json.dumps(value, default=str))
    return f"{name}={text}" if key.startswith("config.") else text
