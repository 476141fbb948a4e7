"""Other tools that judge the log of a training, each through its own command on a run's history as a CSV file.

They judge a run by itself. A run counts as flagged when they warn or fail; their words name other things than our
diagnoses do, so the right cause is not counted.
"""

from __future__ import annotations

import csv
import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.trainings.judge import Tally, expected_runs

from wandb_toolkit.points.read import Wanted, read_points
from wandb_toolkit.roles import assign_roles
from wandb_toolkit.sources import RunQuery, open_source

SECONDS = 120.0
# Role → the column's name that runmedic, trainproof and trainspotter all take for it.
KNOWN_AS = {"loss": "train_loss", "eval_loss": "eval_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


def _runmedic(said: Any) -> bool:
    reports = said if isinstance(said, list) else said.get("runs", [said])
    return any(one["severity"] in ("critical", "warning") for report in reports for one in report["findings"])


def _trainproof(said: Any) -> bool:
    findings = [one for report in said["reports"] for one in report["findings"]]
    # TP-NO-...: there is nothing in the log that it could judge.
    return any(one["level"] in ("FAIL", "WARN") and not one["id"].startswith("TP-NO-") for one in findings)


def _trainspotter(said: Any) -> bool:
    return any(one["severity"] in ("error", "warning") for one in said["findings"])


# Tool → its words (FILE: the history), and whether its JSON warns.
PEERS: Mapping[str, tuple[list[str], Callable[[Any], bool]]] = {
    "runmedic": (["runmedic", "diagnose", "FILE", "--json"], _runmedic),
    "trainproof": (["trainproof", "epoch", "FILE", "--format", "csv", "--json"], _trainproof),
    "trainspotter": (["trainspotter.cli", "analyze", "FILE", "--format", "csv", "--output", "json"], _trainspotter),
}


def judge_by_peers(folder: Path, python: str) -> dict[str, Tally]:
    """Return how the other tools, installed for `python`, do on a set; what is not installed says so."""
    tallies = {name: Tally() for name in PEERS}
    with tempfile.TemporaryDirectory() as temporary:
        for number, (place, about) in enumerate(expected_runs(folder).items()):
            file = Path(temporary, f"{number}.csv")
            _write_history(folder / place, file)
            for name, tally in tallies.items():
                if not tally.note:
                    _count(tally, name, about, file, python)
    return tallies


def _count(tally: Tally, name: str, about: Mapping[str, Any], file: Path, python: str) -> None:
    words, warns = PEERS[name]
    command = [python, "-m", *(str(file) if word == "FILE" else word for word in words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603
    if "No module named" in done.stderr:
        tally.note = "not installed"
        return
    try:
        flagged = warns(json.loads(done.stdout))
    except (ValueError, KeyError, TypeError):
        flagged = False  # it could not judge this log
        tally.errors.append(f"{name}: {(done.stderr or done.stdout).strip()[-160:]}")
    if about["kind"] == "fault":
        tally.faulty += 1
        tally.flagged += flagged
        label = tally.labels[about["label"] or "?"]
        label[0] += 1
        label[1] += flagged
    else:
        tally.healthy += 1
        tally.alarms += flagged


def _write_history(run: Path, file: Path) -> None:
    """Write what `get_history` gives; loss, held-out loss, learning rate and gradient norm as all three call them.

    They are told by our own roles, so that no tool loses a run for want of a name.
    """
    source, _ = open_source(str(run))
    [rows] = read_points(source, source.runs(RunQuery()), Wanted()).rows
    roles = assign_roles(rows.values)
    names = {match.metric: KNOWN_AS[role] for role, match in roles.items() if role in KNOWN_AS}
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["step", *(names.get(metric, metric) for metric in rows.values)])
        for at, step in enumerate(rows.step.tolist()):
            values = [rows.values[metric][at] if rows.there[metric][at] else "" for metric in rows.values]
            writer.writerow([int(step), *values])
