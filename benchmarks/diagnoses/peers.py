"""Other tools from PyPI that judge a training's log, each through its own command, on the same labelled runs.

They judge a run by itself. Each gets the run's history as a CSV file whose columns have the names that it looks for,
so that it need not guess which metric is the loss. What a check of theirs says is counted as the diagnosis of ours
that the run has, out of those that the check may mean.
"""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from benchmarks.diagnoses.source import logged, seconds_since_start

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft
    from benchmarks.diagnoses.project import LabelledProject, LabelledRun

SECONDS = 60.0  # that one file may take
NAMED = ("loss", "eval_loss", "lr", "grad_norm", "throughput")  # roles that the tools know by these very names

Said: TypeAlias = tuple[str, bool, "int | None"]  # a check, whether it warns or only informs, the step that it names


@dataclass(frozen=True)
class Peer:
    """A tool: its command after ``python -m``, what its JSON says, and which diagnoses its checks may mean."""

    words: tuple[str, ...]  # FILE stands for the history
    read: Callable[[Any], Iterator[Said]]
    means: Mapping[str, tuple[str, ...]]

    @property
    def looks_for(self) -> frozenset[str]:
        """The diagnoses that some check of the tool may mean."""
        return frozenset(id_ for meant in self.means.values() for id_ in meant)


def _runmedic(document: Any) -> Iterator[Said]:
    for run in document:
        for finding in run["findings"]:
            yield finding["check"], finding["severity"] != "info", _step(finding["step"])


def _trainproof(document: Any) -> Iterator[Said]:
    for report in document["reports"]:
        for finding in report["findings"]:
            if finding["level"] in ("FAIL", "WARN"):
                yield finding["id"], True, None  # steps stand in its sentences only


def _trainspotter(document: Any) -> Iterator[Said]:
    for finding in document["findings"]:
        yield finding["detector"], finding["severity"] != "info", _step(finding["step_start"])


def _step(value: float | None) -> int | None:
    return None if value is None else int(value)


PEERS: Mapping[str, Peer] = {
    "runmedic": Peer(
        ("runmedic", "diagnose", "FILE", "--json"),
        _runmedic,
        {
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
    ),
    "trainproof": Peer(
        ("trainproof", "epoch", "FILE", "--format", "csv", "--json"),
        _trainproof,
        {
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
    ),
    "trainspotter": Peer(
        ("trainspotter.cli", "analyze", "FILE", "--format", "csv", "--output", "json"),
        _trainspotter,
        {
            "divergence": ("nan_or_inf", "loss_divergence", "loss_spike"),
            "spikes": ("loss_spike", "loss_divergence"),
            "plateau": ("plateau_early",),
            "overfitting": ("overfitting",),
            "grad_norm": ("grad_norm_explosion",),
            "lr_schedule": ("lr_schedule_mismatch",),
            "throughput": ("throughput_drop", "stalled"),
        },
    ),
}


def by_peer(name: str, python: str, project: LabelledProject) -> Sequence[Mapping[str, int | None]]:
    """Judge each run by a tool that is installed for `python`.

    Raises:
        RuntimeError: the tool is not installed there.
    """
    with tempfile.TemporaryDirectory() as temporary:
        return [_findings(name, python, run, Path(temporary, f"{run.id}.csv")) for run in project.runs]


def _findings(name: str, python: str, run: LabelledRun, file: Path) -> dict[str, int | None]:
    peer = PEERS[name]
    write_history(run.draft, file)
    words = [str(file) if word == "FILE" else word for word in peer.words]
    done = subprocess.run(  # noqa: S603 the user's own interpreter
        [python, "-m", *words], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    if "No module named" in done.stderr:
        raise RuntimeError(f"{name} is not installed for {python}: {done.stderr.strip().splitlines()[-1]}")
    if not done.stdout.strip():
        return {}  # nothing in this log that it can judge
    labels = run.truth.labels
    out: dict[str, int | None] = {}
    for check, warns, step in peer.read(json.loads(done.stdout)):
        meant = peer.means.get(check, (check,))
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
