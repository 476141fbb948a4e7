"""How the process ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from wandb_toolkit.detectors.base import NotApplicable, RunView, detector, finding
from wandb_toolkit.model import Finding

_LAST_LINE_OF_TRACEBACK = re.compile(r"^(?:[\w.]*\.)?[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Failure|Timeout)\b.*")
_TELLING = re.compile(
    r"out of memory|segmentation fault|core dumped|\bkilled\b|oom-kill|sigkill|sigterm|nccl.*(?:error|timeout)"
    r"|no space left|bus error|cancelled at|due to time limit|preempt",
    re.IGNORECASE,
)


def last_error(lines: Sequence[str]) -> str | None:
    """Return the line of a log's tail that names the error: the last telling one, else a traceback's last line."""
    for line in reversed(lines):
        text = line.strip()
        if _LAST_LINE_OF_TRACEBACK.match(text) or _TELLING.search(text):
            return text[:300]
    return None


@detector("crashed", "The process ended by an error or was killed", "ugly")
def crashed(view: RunView) -> Finding | None:
    """The process ended by an exception or was killed: a non-zero exit code, or no exit record.

    A run that stopped early with exit code 0 is not crashed.
    """
    run = view.run
    if run.state in ("running", "pending"):
        raise NotApplicable(f"the run is {run.state}")
    if run.state == "finished" and not run.exit_code:
        return None
    step = view.last_step
    where = f"at step {step:,}" if step is not None else "before it logged anything"
    error = last_error(view.log_tail)
    evidence: dict[str, Any] = {"state": run.state, "exit_code": run.exit_code, "last_step": step, "error": error}
    if run.last_activity:
        evidence["last_activity"] = run.last_activity.isoformat()
    if run.exit_code:
        how = f"ended with exit code {run.exit_code}"
    elif run.state == "killed":
        how = "was killed"
    elif run.state == "preempted":
        how = "was preempted"
    elif run.exit_code is None and run.state == "crashed":
        how = "stopped without an exit record (killed, out of memory, or the machine went away)"
        evidence["basis"] = "no exit record and no recent write; a kill and a hang look alike from here"
    else:
        how = "failed"
    advice = "Resume from the last checkpoint once the cause is fixed."
    if error and "memory" in error.lower():
        advice = "Lower the batch size or sequence length, or use gradient checkpointing; then resume from the last checkpoint."
    elif not error:
        advice = "The log's tail names no error: look at the job scheduler and the kernel log (OOM killer, time limit), then resume."
    title = f"The run {how} {where}" + (f": {error}" if error else "")
    return finding("crashed", title, step=step, evidence=evidence, advice=advice)
