"""A run with a fault beside a healthy one of the same task: which settings differ, or that none do."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from wandb_toolkit import configs
from wandb_toolkit.detectors.phrases import told
from wandb_toolkit.experiments.from_comparison import titled
from wandb_toolkit.experiments.settings import find_setting
from wandb_toolkit.model import Experiment, Finding, RunReport
from wandb_toolkit.text import number, quoted

MOST_KEYS = 3  # keys that differ from a healthy run: more explain nothing by themselves
ALIKE = 0.6  # of the keys that either config has: below it, the two are of other programs
NEAR = 1.5  # times: closer to a healthy run's value, a setting explains nothing


def beside_healthy(
    finding: Finding, report: RunReport, reports: Sequence[RunReport], rule: Mapping[str, Any], who: str, goal: str
) -> Experiment | None:
    """Return the run with a healthy run's settings, None where no healthy run is close enough to tell.

    Where a healthy run has the very same settings, they are not the cause: then the same config with its seed.
    `reports` are in the order of the ranking; `who` names the run, `goal` the metric that should end where the healthy
    run's did.
    """
    mine = report.run.config
    healthy = [other for other in reports if other.verdict == "good" and comparable(report, other)]
    same = configs.configuration_of(mine)
    twin = next((other for other in healthy if same and configs.configuration_of(other.run.config) == same), None)
    if twin is not None and rule.get("twin", True):
        return _same_settings(finding, report, twin, who, len(reports))
    apart = [(keys, other) for other in healthy if (keys := _explaining(_unnamed(report), _unnamed(other), rule))]
    if not rule.get("degree", False):
        apart = [(keys, other) for keys, other in apart if not any(_has_all(keys, one) for one in healthy)]
    if not apart:
        return None
    keys, other = min(apart, key=lambda pair: len(pair[0]))  # of equally near ones the best ranked
    changes = [f"{quoted(key)} from {_value(was)} to {_value(new)}" for key, (was, new) in keys.items()]
    change = f"{', '.join(changes)} (as in {quoted(other.run.name)}, which is healthy)"
    return Experiment(
        title=titled(who, change, len(reports)),
        why=told(finding, report),
        change=change,
        expect=f"the fault is gone, and {goal} ends where it did in {quoted(other.run.name)}",
        refute="the fault comes back: then "
        + ("this setting is not the cause" if len(keys) == 1 else "none of these settings is the cause"),
        finding=finding.id,
        runs=(report.run.id,),
    )


def comparable(report: RunReport, other: RunReport) -> bool:
    """Return whether two runs are of one project and one task."""
    return (other.run.entity, other.run.project) == (report.run.entity, report.run.project) and configs.same_task(
        configs.task_of(other.run.config), configs.task_of(report.run.config)
    )


def _has_all(keys: Mapping[str, tuple[Any, Any]], healthy: RunReport) -> bool:
    """Return whether a healthy run has the very values that are to explain a fault: then they do not."""
    flat = configs.flatten(healthy.run.config)
    return all(_near(was, flat.get(key)) for key, (was, _) in keys.items())


def _unnamed(report: RunReport) -> dict[str, Any]:
    """Return a run's config without entries that only repeat its name."""
    return {key: value for key, value in configs.flatten(report.run.config).items() if value != report.run.name}


def _same_settings(finding: Finding, report: RunReport, twin: RunReport, who: str, runs: int) -> Experiment:
    name = quoted(twin.run.name)
    other_seed = configs.seeds_of(twin.run.config) != configs.seeds_of(report.run.config)
    change = f"the same config {f'with the seed of {name}' if other_seed else 'again, on the code and data of ' + name}"
    return Experiment(
        title=titled(who, f"{change}, which has the same settings and is healthy", runs),
        why=told(finding, report),
        change=change,
        expect="the fault stays away: then " + ("the seed decided" if other_seed else "code or data had changed"),
        refute=f"the fault comes back: then code, data or machine differ from those of {name}, not a recorded setting",
        finding=finding.id,
        runs=(report.run.id,),
    )


def _explaining(
    mine: Mapping[str, Any], other: Mapping[str, Any], rule: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return the few keys in which two configs differ and that can explain a fault: key → (mine, the other's).

    {} where there are more than a few, where the configs are of different programs, or where the other run has a
    setting on the side from which the rule for the fault leads away.
    """
    flat, beside = configs.flatten(mine), configs.flatten(other)
    both = sum(1 for key in flat if key in beside)
    if both < ALIKE * len({*flat, *beside}):
        return {}
    found: dict[str, tuple[Any, Any]] = {}
    told_already: set[tuple[object, object]] = set()
    for key in sorted({*flat, *beside}, key=lambda k: (len(k), k)):
        was, new = flat.get(key), beside.get(key)
        if _near(was, new) or configs.is_seed(key) or any(configs.tells_nothing(key, v) for v in (was, new)):
            continue
        pair = _comparable(was), _comparable(new)
        if pair not in told_already:  # libraries log one setting under several keys
            told_already.add(pair)
            found[key] = was, new
    wrong_way = any(_against(rule, mine, key, was, new) for key, (was, new) in found.items())
    idle = "only" in rule and not any(re.search(rule["only"], key, re.IGNORECASE) for key in found)
    return {} if wrong_way or idle or len(found) > MOST_KEYS else found


def _against(rule: Mapping[str, Any], config: Mapping[str, Any], key: str, was: Any, new: Any) -> bool:
    """Return whether a change of a setting goes against the one that the rule for the fault proposes."""
    old, value = _number(was), _number(new)
    if old is None or value is None:
        return False
    ways = []
    for attempt in rule["try"]:
        setting = find_setting(config, attempt["setting"]) if "setting" in attempt else None
        if setting is not None and setting.key == key and ("factor" in attempt or "add" in attempt):
            ways.append(attempt["factor"] > 1 if "factor" in attempt else attempt["add"] > 0)
    return bool(ways) and (value > old) not in ways


def _near(one: Any, other: Any) -> bool:
    if one == other:
        return True
    first, second = _number(one), _number(other)
    if first is None or second is None or min(first, second) <= 0:
        return False
    return max(first, second) / min(first, second) < NEAR


def _number(value: Any) -> float | None:
    """Return a number, also one that is written as text, as boosting libraries do; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _comparable(value: Any) -> object:
    """Return what tells values apart: numbers to 5 digits, since single precision changes the rest."""
    found = _number(value)
    return float(f"{found:.5g}") if found is not None else repr(value)


def _value(value: Any) -> str:
    if value is None:
        return "not set"
    return number(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else quoted(value, 40)
