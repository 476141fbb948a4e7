"""Short names that tell the runs of one figure apart: what differs in their names, else in their configs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from wandb_toolkit.configs import differences
from wandb_toolkit.model import Run
from wandb_toolkit.text import clean, number

LIMIT = 34  # characters of a label
_MOST_KEYS = 3  # config values in a label
_PARTS = re.compile(r"[^\s/_:;,|.-]+|[\s/_:;,|.-]+")


def run_labels(runs: Sequence[Run]) -> list[str]:
    """Return a short name for each run that no other of them has.

    Display names where they differ, without the parts that all share where they are too long; equal names get the
    config values that differ, else the run's id.
    """
    names = [clean(run.name) for run in runs]
    if len(set(names)) == len(names):
        if max(map(len, names), default=0) > LIMIT:
            names = _without_common_parts(names)
        return _unique([_cut(name) for name in names], runs)
    told = _by_config(runs, names)
    return _unique([_cut(label) for label in told], runs)


def _unique(labels: Sequence[str], runs: Sequence[Run]) -> list[str]:
    seen = Counter(labels)
    return [label if seen[label] == 1 else f"{label} · {run.id}" for label, run in zip(labels, runs, strict=True)]


def _cut(name: str) -> str:
    """Cut in the middle: names of a sweep often differ at their ends."""
    if len(name) <= LIMIT:
        return name
    tail = LIMIT // 2
    return f"{name[: LIMIT - tail - 1]}…{name[-tail:]}"


def _without_common_parts(names: Sequence[str]) -> list[str]:
    """Return the names without the words that all of them start and end with."""
    if len(names) < 2:
        return list(names)
    split = [_PARTS.findall(name) for name in names]
    shortest = min(map(len, split))
    head = next((i for i in range(shortest) if len({words[i] for words in split}) > 1), shortest)
    tail = next((i for i in range(shortest - head) if len({words[-1 - i] for words in split}) > 1), 0)
    kept = ["".join(words[head : len(words) - tail]) for words in split]
    before, after = "…" if head else "", "…" if tail else ""
    return [f"{before}{part}{after}" if part else name for part, name in zip(kept, names, strict=True)]


def _by_config(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    """Return labels with the first config values that differ, where they tell equal names apart."""
    found = differences([run.config for run in runs])
    chosen: list[str] = []
    labels = list(names)
    for key in found:
        if len(chosen) == _MOST_KEYS or len(set(labels)) == len(labels):
            break
        trial = [*chosen, key]
        candidate = [_label(name, i, trial, found) for i, name in enumerate(names)]
        if len(set(candidate)) > len(set(labels)):
            chosen, labels = trial, candidate
    return labels


def _label(name: str, i: int, keys: Sequence[str], found: dict[str, list[object]]) -> str:
    told = " ".join(f"{key.rpartition('.')[2]}={config_text(found[key][i])}" for key in keys)
    return f"{told} · {name}" if len(told) + len(name) + 3 <= LIMIT else told


def config_text(value: object) -> str:
    """Return a config value as a label shows it."""
    return "none" if value is None else clean(number(value), 24)
