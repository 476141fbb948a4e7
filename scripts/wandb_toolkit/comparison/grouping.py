"""Runs by configuration: which of them are seeds of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from wandb_toolkit.comparison.cost import TOO_SHORT
from wandb_toolkit.comparison.entry import Entry
from wandb_toolkit.comparison.uncertainty import centre
from wandb_toolkit.configs import seeds_of
from wandb_toolkit.model import Direction

_GIVEN_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")  # as W&B names runs
_NO_SETTING = frozenset({"seed", "run", "s", "id", "exp", "trial", "rank", "copy", "resume", "resumed"})


def by_configuration(ranked: Iterable[Entry], direction: Direction) -> list[list[Entry]]:
    """Return runs by configuration, the best first; one without a config, or still running, is alone."""
    groups: dict[object, list[Entry]] = {}
    for entry in ranked:
        run = entry.report.run
        whole = entry.configuration and entry.over
        where = (run.entity, run.project, entry.configuration) if whole else id(entry)
        groups.setdefault(where, []).append(entry)
    sign = -1 if direction == "max" else 1
    told_apart = [part for group in groups.values() for part in _by_name(_by_length(group))]
    return sorted(told_apart, key=lambda group: sign * centre([e.end for e in group]))


def _by_length(group: list[Entry]) -> list[list[Entry]]:
    """Return the runs of about one length together: a run of a few rows is not a seed beside a full one."""
    longest = max((e.level.last_step for e in group if e.level), default=0)
    # A training that failed by itself ended early for that reason.
    whole = [e for e in group if e.level and (e.level.last_step >= TOO_SHORT * longest or not e.sound)]
    return [part for part in (whole, *([e] for e in group if e not in whole)) if part]


def _by_name(groups: list[list[Entry]]) -> list[list[Entry]]:
    """Tell runs of one config apart by their names where nothing in the config is a seed: "swiglu" is not "geglu"."""
    result: list[list[Entry]] = []
    for group in groups:
        seeds = {json.dumps(seeds_of(e.report.run.config), sort_keys=True, default=str) for e in group}
        stems = {_stem(e.report.run.name) for e in group}
        if len(group) < 2 or len(seeds) > 1 or len(stems) < 2 or "" in stems:
            result.append(group)
            continue
        result += [[e for e in group if _stem(e.report.run.name) == stem] for stem in sorted(stems)]
    return result


def _stem(name: str) -> str:
    """Return what a run's name says of its settings: without numbers, seeds and W&B's own "dulcet-sea-12"."""
    if _GIVEN_NAME.fullmatch(name):
        return ""
    return " ".join(word for word in re.findall(r"[a-z]+", name.lower()) if word not in _NO_SETTING)
