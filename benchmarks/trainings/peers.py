"""Other tools that judge the log of a training, each through its own command on a run's history as a CSV file.

They judge a run by itself. A run counts as flagged when they warn or fail; their words name other things than our
diagnoses do, so the right cause is not counted.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, NotInstalledError, ask
from benchmarks.trainings.judge import Tally, expected_runs

from wandb_toolkit.points.read import Wanted, read_points
from wandb_toolkit.roles import assign_roles
from wandb_toolkit.sources import RunQuery, open_source

# Role → the column's name that runmedic, trainproof and trainspotter all take for it.
KNOWN_AS = {"loss": "train_loss", "eval_loss": "eval_loss", "learning_rate": "learning_rate", "grad_norm": "grad_norm"}


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
    try:
        # TP-NO-...: there is nothing in the log that it could judge.
        flagged = any(warns and not check.startswith("TP-NO-") for check, warns, _ in ask(name, python, file))
    except NotInstalledError:
        tally.note = "not installed"
        return
    except ValueError as error:
        flagged = False
        tally.errors.append(str(error))
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
