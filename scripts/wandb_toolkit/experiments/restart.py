"""What a run that ended too soon has left: a checkpoint to resume from, nothing, or a training that was complete."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from wandb_toolkit import configs
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.phrases import causes
from wandb_toolkit.experiments.settings import find_setting
from wandb_toolkit.model import Finding, RunReport

Left: TypeAlias = Literal["checkpoint", "nothing", "complete"]

SHORT = 1800.0  # seconds: so short a run is sooner repeated than resumed, where its config names no checkpoints
MOST = 0.5  # of the plan
MANY = 60  # rows, where the plan is not known
_INTERVAL = re.compile(
    r"(^|[._/-])(save|ckpt|checkpoint(ing)?)_?(model_?)?(steps|interval|freq(uency)?|every(_n_steps)?|after_n_steps)$",
    re.IGNORECASE,
)
_STRATEGY = re.compile(r"(^|[._/-])save_strategy$", re.IGNORECASE)

_WORDS: Mapping[Left, Mapping[str, str]] = {
    "checkpoint": {
        "from_there": "from the last checkpoint",
        "go_on": "then resume",
        "onward": "and continues from where it stopped",
    },
    "nothing": {
        "from_there": "from the start",
        "go_on": "then start again",
        "onward": "and reaches its planned end",
    },
}


def left_of(finding: Finding, report: RunReport) -> Left:
    """Return what a run that crashed has left: training that was complete, a checkpoint to resume from, or nothing.

    Nothing is worth resuming where nothing was learned or saved, or where the run is repeated in minutes.
    """
    if finding.evidence.get("training_complete"):
        return "complete"
    saves = _saves(report, finding.step)
    short = report.run.duration is not None and report.run.duration < SHORT
    if saves is False or (saves is None and short) or not learned(report):
        return "nothing"
    return "checkpoint"


def learned(report: RunReport) -> bool:
    """Return whether something shows that a run learned."""
    praised = (f.severity == "good" and f.id in DETECTORS and DETECTORS[f.id].learning for f in report.findings)
    return report.verdict == "good" or any(praised)


def waits(finding: Finding, report: RunReport) -> bool:
    """Return whether something else is to be tried before a run that crashed is started again.

    A fault of the training would come back; and a run that had learned nothing when most of it was over would do so
    again. An error that the log names comes first where no such fault is known.
    """
    if faults(report):
        return True
    return not finding.evidence.get("error") and not learned(report) and _far(finding, report)


def _far(finding: Finding, report: RunReport) -> bool:
    """Return whether most of a run was over; by its rows, where its plan is not known."""
    steps = find_setting(report.run.config, "steps")
    if steps and "epoch" not in steps.key.lower() and isinstance(steps.value, (int, float)) and finding.step:
        return finding.step >= MOST * steps.value
    return (report.run.rows or 0) >= MANY


def faults(report: RunReport) -> list[Finding]:
    """Return what is wrong with a run's training, consequences left out."""
    return [finding for finding in causes(report) if _of_training(finding)]


def restart_words(left: Left) -> Mapping[str, str]:
    """Return the words for the texts of the rules for a crash."""
    return _WORDS.get(left, _WORDS["nothing"])


def _of_training(finding: Finding) -> bool:
    known = DETECTORS.get(finding.id)
    return finding.severity in ("bad", "ugly") and known is not None and known.about == "training"


def _saves(report: RunReport, step: int | None) -> bool | None:
    """Return whether a checkpoint was due before the run's end by its config, None where that does not say."""
    flat = configs.flatten(report.run.config)
    if any(_STRATEGY.search(key) and str(value).lower() == "no" for key, value in flat.items()):
        return False
    every = [
        value
        for key, value in flat.items()
        if _INTERVAL.search(key) and isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0
    ]
    if not every or step is None:
        return None
    return step >= min(every)
