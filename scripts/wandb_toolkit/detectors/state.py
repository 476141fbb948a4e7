"""How the process ended, and whether it still lives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from wandb_toolkit.detectors.base import COUNTERS, EPOCHS, NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding
from wandb_toolkit.detectors.length import flat_config
from wandb_toolkit.model import Finding
from wandb_toolkit.text import quoted

_TRACEBACK_END = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Timeout|Warning)(?::.*)?$"
)
_TELLING = re.compile(
    r"out of memory|segmentation fault|core dumped|^killed$|\d+ killed\b|killed by|oom-kill|sigkill|sigterm|signal 9"
    r"|nccl.*(?:error|timeout)|no space left|bus error|cancelled at|due to time limit|fatal error",
    re.IGNORECASE,
)


def last_error(lines: Sequence[str]) -> str | None:
    """Return the last line of a log's tail that names an error: a traceback's end, or an out-of-memory message."""
    for line in reversed(lines):
        text = line.strip()
        if _TELLING.search(text) or (_TRACEBACK_END.match(text) and "Warning" not in text.partition(":")[0]):
            return text[:300]
    return None


_COMPLETE = re.compile(r"train_runtime|training (?:is )?(?:complete|completed|finished|done)\b", re.IGNORECASE)
_PLANNED_STEPS = ("max_steps", "total_timesteps", "max_iters", "total_steps", "train_steps", "num_training_steps")
_PLANNED_EPOCHS = ("num_train_epochs", "num_epochs", "max_epochs", "total_epochs", "epochs")
QUOTED = 160  # characters of an error in a sentence
_BY_USER = (130, 255)  # the shell's code for SIGINT, and the SDK's for a KeyboardInterrupt


def by_user(view: RunView) -> bool:
    """Tell whether the user stopped the run: its last error is a KeyboardInterrupt, or its exit code says so."""
    error = last_error(view.log_tail) or ""
    if error.startswith("KeyboardInterrupt"):
        return True
    return not error and view.run.exit_code in _BY_USER


def complete(view: RunView) -> str:
    """Return what says that training went through to its planned end, "" where nothing does."""
    if any(_COMPLETE.search(line) for line in view.log_tail):
        return "the console ends with the trainer's closing summary"
    planned = dict(flat_config(view.run.config))
    for names, counters in ((_PLANNED_EPOCHS, EPOCHS), (_PLANNED_STEPS, COUNTERS)):
        goals = [value for name in names if isinstance(value := planned.get(name), (int, float)) and value > 0]
        for counter in counters:
            series = view.history.get(counter)
            if goals and series is not None and len(series) > 2 and series.value[-1] >= 0.995 * goals[0]:
                return f"{counter} reached {float(series.value[-1]):.6g} of {goals[0]:.6g}"
    return ""


def _ended_otherwise(view: RunView) -> bool:
    return view.run.state in ("crashed", "failed", "killed")


@detector(
    "interrupted",
    "The user stopped the run",
    "note",
    label="the interruption by the user",
    needs="how the process ended",
    about="state",
)
def interrupted(view: RunView) -> Finding | None:
    """A KeyboardInterrupt (Ctrl-C) or SIGINT ended the run: a decision, not a failure."""
    if not _ended_otherwise(view) or not by_user(view):
        return None
    step = view.last_step
    where = f"at step {step:,}" if step is not None else "before it logged anything"
    return finding(
        "interrupted",
        f"The user stopped the run (Ctrl-C) {where}",
        step=step,
        evidence={"state": view.run.state, "exit_code": view.run.exit_code, "error": last_error(view.log_tail)},
        advice="Resume it from its last checkpoint if it was going well.",
    )


@detector(
    "process_left_open",
    "Training was complete when the process ended",
    "note",
    label="the process left open",
    needs="how the process ended",
    about="state",
)
def process_left_open(view: RunView) -> Finding | None:
    """No exit record, but training had reached its planned end: only the process stayed open or was closed later."""
    if view.run.state != "crashed" or view.run.exit_code or by_user(view) or last_error(view.log_tail):
        return None
    basis = complete(view)
    if not basis:
        return None
    return finding(
        "process_left_open",
        f"Training was complete ({basis}); the process never wrote its exit record",
        step=view.last_step,
        evidence={"state": view.run.state, "basis": basis},
        advice="Call wandb.finish() at the end of the script or notebook.",
    )


@detector(
    "crashed",
    "The process ended by an error or was killed",
    "ugly",
    label="the crash",
    needs="how the process ended",
    explains=("undertrained",),
    about="state",
    mark="crashed",
)
def crashed(view: RunView) -> Finding | None:
    """The process ended by an exception or was killed: a non-zero exit code, or no exit record.

    A run that stopped early with exit code 0 is not crashed.
    """
    run = view.run
    if run.state in ("running", "pending"):
        raise NotApplicable(f"the run is {run.state}")
    if run.state == "finished" and not run.exit_code:
        return None
    if by_user(view):
        raise NotApplicable("the user stopped the run")
    if run.state == "crashed" and not run.exit_code and not last_error(view.log_tail) and complete(view):
        raise NotApplicable("training was complete")
    step = view.last_step
    where = f"at step {step:,}" if step is not None else "before it logged anything"
    error = last_error(view.log_tail)
    evidence: dict[str, Any] = {"state": run.state, "exit_code": run.exit_code, "last_step": step, "error": error}
    if basis := complete(view):
        evidence["training_complete"] = basis  # what failed came after it
    if run.last_activity:
        evidence["last_activity"] = run.last_activity.isoformat()
    if run.exit_code:
        how = f"ended with exit code {run.exit_code}"
    elif run.state in ("killed", "preempted"):
        how = f"was {run.state}"
    elif run.state == "crashed":
        how = "stopped without an exit record (killed, out of memory, or the machine went away)"
        evidence["basis"] = "no exit record and no recent write; a kill and a hang look alike from here"
    else:
        how = "failed"
    if error and "memory" in error.lower():
        advice = "Lower the batch size or sequence length, or checkpoint gradients; resume from the last checkpoint."
    elif error:
        advice = "Fix what the log's last error names, then resume from the last checkpoint."
    else:
        advice = (
            "The log's tail names no error: look at the scheduler's and the kernel's log (out-of-memory killer, "
            "time limit), then resume from the last checkpoint."
        )
    # A stranger's words: quoted, on one line, and short; whole in the evidence.
    title = f"The run {how} {where}" + (f"; its log says {quoted(error, QUOTED)}" if error else "")
    # Without an exit record it may as well hang, or have lost its connection.
    unsure = run.state == "crashed" and not run.exit_code
    return finding("crashed", title, step=step, evidence=evidence, advice=advice, margin=1.4 if unsure else None)


@detector(
    "stalled",
    "A running run from which nothing comes",
    "ugly",
    needs="a running run, and the time of its last sign of life",
    about="state",
    mark="stalled",
)
def stalled(view: RunView, intervals: float = 60, minutes: float = 90) -> Finding | None:
    """The run counts as running but nothing has come from it for far longer than its own logging interval.

    Both limits are by definition: 60 intervals (a run that logs each minute may pause for an evaluation) and 90
    minutes (a checkpoint of a large model takes that long at worst).
    """
    run = view.run
    if run.state != "running":
        raise NotApplicable(f"the run is {run.state}, not running")
    if view.now is None or run.last_activity is None:
        raise NotApplicable("no time of the last sign of life")
    silent = (view.now - run.last_activity).total_seconds()
    interval = _interval(view)
    limit = max(minutes * 60, intervals * interval if interval else 0.0)
    if silent < limit:
        return None
    step = view.last_step
    usual = f"; it used to log every {interval:.3g} s" if interval else ""
    return finding(
        "stalled",
        f"Nothing has come from this running run for {silent / 3600:.1f} h{usual}",
        step=step,
        evidence={"silent_seconds": silent, "interval_seconds": interval, "intervals": intervals, "minutes": minutes},
        advice="Look whether the process still lives (a hung collective, a lost node); if not, resume it.",
        margin=silent / limit,
    )


def _interval(view: RunView) -> float | None:
    """Return the usual seconds between two logged rows."""
    for key in ("_timestamp", "_runtime"):
        series = view.history.get(key)
        if series is not None and len(series) > 3:
            return float(np.median(np.diff(series.value)))
    if view.run.duration and view.run.rows and view.run.rows > 1:
        return view.run.duration / view.run.rows
    return None
