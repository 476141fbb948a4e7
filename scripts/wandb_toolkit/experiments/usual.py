"""Settings outside the range that they have in practice → the usual values, as one experiment.

The ranges are data: `usual.toml` beside this module.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wandb_toolkit import configs
from wandb_toolkit.detectors.phrases import told
from wandb_toolkit.experiments.from_comparison import titled
from wandb_toolkit.experiments.from_healthy import NEAR
from wandb_toolkit.experiments.programs import programs_of
from wandb_toolkit.experiments.settings import Setting, find_setting
from wandb_toolkit.model import Experiment, Finding, RunReport
from wandb_toolkit.text import number, quoted

MOST_SETTINGS = 3  # changed at once: more than these, and the config is of another program
WARM = 0.5  # of the run: a longer warm-up leaves no training
SHORT_WARM_UP = 0.05  # of the run


@dataclass(frozen=True)
class Unusual:
    """A setting outside its range."""

    setting: Setting
    to: float
    why: str  # what is usual, in words


@cache
def ranges() -> Mapping[str, Any]:
    """Return what usual.toml says."""
    return tomllib.loads(Path(__file__).with_name("usual.toml").read_text(encoding="utf-8"))


def unusual_settings(finding: Finding, report: RunReport, healthy: Sequence[RunReport] = ()) -> list[Unusual]:
    """Return the settings of a run that are outside their range on the side that can cause the finding.

    Those that a `healthy` run has too are not the cause.
    """
    config = report.run.config
    found: list[Unusual] = []
    for entry in _fitting(report):
        setting = find_setting(config, entry["setting"])
        side = _side(setting, entry)
        if setting is None or not side or _cause_of(finding) not in _caused(entry[side]):
            continue
        if not _cleared(float(setting.value), entry["setting"], side, healthy):
            found.append(_unusual(setting, entry))
    return [*_longer_than_the_run(finding, config), *found][:MOST_SETTINGS]


def _cause_of(finding: Finding) -> str:
    """Return the id under which usual.toml lists what can cause a finding: equal rewards are no matter of step size."""
    return "equal_rewards" if str(finding.evidence.get("role", "")).endswith("std") else finding.id


def _fitting(report: RunReport) -> list[Mapping[str, Any]]:
    """Return the ranges that hold for a run's kind of training, one a setting."""
    programs = programs_of(report)
    fits: dict[str, Mapping[str, Any]] = {}
    for entry in ranges()["usual"]:
        if "program" not in entry or entry["program"] in programs:
            fits.setdefault(entry["setting"], entry)
    return list(fits.values())


def _side(setting: Setting | None, entry: Mapping[str, Any]) -> str:
    """Return on which side of its range a setting is, "" where it is inside or no number."""
    value = _number(setting.value) if setting else None
    if value is None:
        return ""
    off = value == entry.get("off")
    return "above" if off or value > entry["high"] else "below" if value < entry["low"] else ""


def _unusual(setting: Setting, entry: Mapping[str, Any]) -> Unusual:
    usual = f"{number(entry['low'])} to {number(entry['high'])}"
    if entry["low"] == entry["high"]:
        usual = _like(setting, entry["to"])
    return Unusual(setting, float(entry["to"]), f"{quoted(setting.key)} is usually {usual}")


def doubted(report: RunReport) -> Unusual | None:
    """Return a setting so far out of range that a gain alone does not prove success, None without one."""
    for entry in _fitting(report):
        setting = find_setting(report.run.config, entry["setting"])
        if setting is not None and "grave" in entry and _side(setting, entry) == entry["grave"]:
            return _unusual(setting, entry)
    return None


def settle_doubt(report: RunReport, goal: str, who: str, runs: int) -> Experiment | None:
    """Return the run with the usual value of the setting for which it was not called good, None for other runs."""
    doubt = doubted(report) if report.verdict == "unknown" else None
    if doubt is None:
        return None
    change = f"{quoted(doubt.setting.key)} from {number(doubt.setting.value)} to {_like(doubt.setting, doubt.to)}"
    return Experiment(
        title=titled(who, change, runs),
        why=f"{doubt.why}; whether {goal} could end better with such a value is not known",
        change=change,
        expect=f"{goal} ends clearly better",
        refute=f"{goal} ends where it did: then the unusual value suits this task",
        runs=(report.run.id,),
    )


def with_usual(
    finding: Finding, report: RunReport, reports: Sequence[RunReport], who: str, goal: str
) -> Iterator[Experiment]:
    """Yield the run with the usual values in place of those outside their range, where there are any."""
    task = configs.task_of(report.run.config)
    healthy = [
        other
        for other in reports
        if other.verdict == "good" and configs.same_task(configs.task_of(other.run.config), task)
    ]
    unusual = unusual_settings(finding, report, healthy)
    if not unusual:
        return
    changes = [
        f"{quoted(one.setting.key)} from {number(one.setting.value)} to {_like(one.setting, one.to)}" for one in unusual
    ]
    change = ", ".join(changes)
    cause = "this setting is not the cause" if len(unusual) == 1 else "none of these settings is the cause"
    yield Experiment(
        title=titled(who, change, len(reports)),
        why="; ".join([told(finding, report), *(one.why for one in unusual)]),
        change=change,
        expect=f"the fault does not show, and {goal} ends better",
        refute=f"the fault comes back: then {cause}",
        finding=finding.id,
        runs=(report.run.id,),
    )


def usual_most(report: RunReport, name: str) -> float:
    """Return the upper end of a setting's usual range for a run's kind of training."""
    return next((float(entry["high"]) for entry in _fitting(report) if entry["setting"] == name), math.inf)


def is_idle(report: RunReport) -> bool:
    """Return whether a run has a fault that too small steps cause."""
    return any(finding.id in _caused(["idle"]) for finding in report.findings)


def _cleared(value: float, name: str, side: str, healthy: Sequence[RunReport]) -> bool:
    """Return whether a healthy run has nearly the same value, or one still further out."""
    for other in healthy:
        setting = find_setting(other.run.config, name)
        theirs = _number(setting.value) if setting else None
        if theirs is not None and (theirs >= value / NEAR if side == "above" else theirs <= value * NEAR):
            return True
    return False


def _longer_than_the_run(finding: Finding, config: Mapping[str, Any]) -> Iterator[Unusual]:
    """Yield a warm-up, or a time before learning starts, that leaves little or nothing of the run."""
    steps = find_setting(config, "steps")
    length = _number(steps.value) if steps else None
    if steps is None or length is None or length < 2 or "epoch" in steps.key or finding.id not in _caused(["idle"]):
        return
    for name in ("warmup", "learning_starts"):
        setting = find_setting(config, name)
        value = _number(setting.value) if setting else None
        if setting is not None and value is not None and value > max(WARM * length, 1.0):
            why = (
                f"{quoted(setting.key)} takes {min(value / length, 1):.0%} of the {quoted(steps.key)}, {number(length)}"
            )
            yield Unusual(setting, float(round(SHORT_WARM_UP * length)), why)


def _caused(names: Sequence[str]) -> set[str]:
    """Return the ids of findings; names of [causes] stand for several."""
    causes = ranges()["causes"]
    return {id_ for name in names for id_ in causes.get(name, [name])}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (bool, int, float)) and math.isfinite(value) else None


def _like(setting: Setting, value: float) -> str:
    """Return a new value in the form of the old one."""
    return number(bool(value) if isinstance(setting.value, bool) else float(value))
