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
    programs = programs_of(report)
    config = report.run.config
    found: list[Unusual] = []
    judged: set[str] = set()
    for entry in ranges()["usual"]:
        name = entry["setting"]
        if name in judged or ("program" in entry and entry["program"] not in programs):
            continue
        judged.add(name)
        setting = find_setting(config, name)
        value = _number(setting.value) if setting else None
        if setting is None or value is None:
            continue
        off = value == entry.get("off")
        side = "above" if off or value > entry["high"] else "below" if value < entry["low"] else ""
        if side and finding.id in _caused(entry[side]) and not _cleared(value, name, side, healthy):
            usual = f"{number(entry['low'])} to {number(entry['high'])}"
            if entry["low"] == entry["high"]:
                usual = _like(setting, entry["to"])
            found.append(Unusual(setting, float(entry["to"]), f"{quoted(setting.key)} is usually {usual}"))
    return [*_longer_than_the_run(finding, config), *found][:MOST_SETTINGS]


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
