"""Other tools from PyPI that judge a training's log, each through its own command, on the same labelled runs.

They judge a run by itself. Each gets the run's history as a CSV file whose columns have the names that it looks for,
so that it need not guess which metric is the loss. What a check of theirs says is counted as the diagnosis of ours
that the run has, out of those that the check may mean.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.diagnoses.source import logged, seconds_since_start

from benchmarks import peers

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft
    from benchmarks.diagnoses.project import LabelledProject, LabelledRun

NAMED = ("loss", "eval_loss", "lr", "grad_norm", "throughput")  # roles that the tools know by these very names

# Tool → its check → the diagnoses that it may mean.
MEANS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "runmedic": {
        "non_finite": ("nan_or_inf",),
        "divergence": ("loss_divergence", "loss_spike"),
        "loss_spikes": ("loss_spike", "loss_divergence"),
        "no_learning": ("plateau_early", "undertrained"),
        "constant_lr_plateau": ("plateau_early",),
        "overfitting": ("overfitting",),
        "grad_spikes": ("grad_norm_explosion",),
        "slowdown": ("throughput_drop", "stalled"),
        "slow_steps": ("throughput_drop", "stalled"),
        "input_bound": ("throughput_drop",),
    },
    "trainproof": {
        "TP-NAN": ("nan_or_inf",),
        "TP-NAN-GRAD": ("nan_or_inf",),
        "TP-DIVERGE": ("loss_divergence", "loss_spike"),
        "TP-FLAT": ("plateau_early",),
        "TP-DEAD-RUN": ("plateau_early", "loss_divergence"),
        "TP-OVERFIT": ("overfitting",),
        "TP-GRAD-SPIKE": ("grad_norm_explosion",),
        "TP-STEP-CLIFF": ("throughput_drop", "stalled"),
        "TP-ZERO-LR": ("lr_schedule_mismatch",),
        "TP-ZERO-LR-PARTIAL": ("lr_schedule_mismatch",),
    },
    "trainspotter": {
        "divergence": ("nan_or_inf", "loss_divergence", "loss_spike"),
        "spikes": ("loss_spike", "loss_divergence"),
        "plateau": ("plateau_early",),
        "overfitting": ("overfitting",),
        "grad_norm": ("grad_norm_explosion",),
        "lr_schedule": ("lr_schedule_mismatch",),
        "throughput": ("throughput_drop", "stalled"),
    },
}


def looks_for(name: str) -> frozenset[str]:
    """Return the diagnoses that some check of the tool may mean."""
    return frozenset(id_ for meant in MEANS[name].values() for id_ in meant)


def by_peer(name: str, python: str, project: LabelledProject) -> Sequence[Mapping[str, int | None]]:
    """Judge each run by a tool that is installed for `python`.

    Raises:
        NotInstalledError: the tool is not installed there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        return [_findings(name, python, run, Path(temporary, f"{run.id}.csv")) for run in project.runs]


def _findings(name: str, python: str, run: LabelledRun, file: Path) -> dict[str, int | None]:
    write_history(run.draft, file)
    try:
        said = peers.ask(name, python, file)
    except ValueError:
        return {}  # nothing in this log that it can judge
    labels = run.truth.labels
    out: dict[str, int | None] = {}
    for check, warns, step in said:
        meant = MEANS[name].get(check, (check,))
        id_ = next((id_ for id_ in meant if id_ in labels), meant[0])
        if warns or id_ in labels:
            out.setdefault(id_, step)
    return out


def write_history(draft: Draft, file: Path) -> None:
    """Write a run's history as CSV: the step, the seconds since the start, and a column for each metric."""
    names = {draft.family.keys[role]: role for role in NAMED if role in draft.family.keys}
    columns: dict[str, list[str]] = {"step": [str(step) for step in draft.steps.tolist()]}
    columns["time"] = [repr(seconds) for seconds in seconds_since_start(draft).tolist()]
    for key, rows, values in logged(draft):
        cells = [""] * draft.n
        for row, value in zip(rows.tolist(), np.asarray(values, dtype=np.float64).tolist(), strict=True):
            cells[row] = repr(value)
        columns.setdefault(names.get(key, key), cells)
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
