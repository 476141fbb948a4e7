"""What the report says of each training of a set, held against what is known of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.processes import PYTHON, SCRIPTS

SECONDS = 600.0
IGNORED = frozenset({"throughput_drop"})  # on a machine that is shared, speed wanders


@dataclass
class Tally:
    """Counts over the runs of a set."""

    HEAD: ClassVar[list[str]] = [
        "judge",
        "faulty runs flagged",
        "with the right cause",
        "called good",
        "healthy runs flagged",
        "primary metric right",
    ]

    faulty: int = 0
    flagged: int = 0
    right: int = 0
    good: int | None = None  # faulty runs that were called good; None: the judge calls nothing good
    healthy: int = 0
    alarms: int = 0
    primary: int | None = None  # of `ranked` runs
    ranked: int = 0
    labels: dict[str, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))  # fault → runs, flagged
    errors: list[str] = field(default_factory=list)
    note: str = ""  # why there is nothing to count

    def row(self, name: str) -> list[str]:
        """Return the tally as a row of a table."""
        if self.note:
            return [name, self.note, *[""] * 4]
        right = "–" if self.good is None else f"{self.right} of {self.faulty}"
        good = "–" if self.good is None else str(self.good)
        primary = "–" if self.primary is None else f"{self.primary} of {self.ranked}"
        return [name, f"{self.flagged} of {self.faulty}", right, good, f"{self.alarms} of {self.healthy}", primary]

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, JSON-ready."""
        names = ("faulty", "flagged", "right", "good", "healthy", "alarms", "primary", "ranked", "note")
        return {name: getattr(self, name) for name in names}


def expected_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the healthy and the faulty runs of a set by their directory, each run once."""
    document = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    runs: dict[str, dict[str, Any]] = {}
    known: set[tuple[str, str]] = set()
    for place, about in document["runs"].items():
        key = (about["project"], about["id"])
        if about["kind"] in ("healthy", "fault") and key not in known:
            known.add(key)
            runs[place.removeprefix("runs/")] = about
    return runs


def judge(folder: Path, *, alone: bool) -> Tally:
    """Return how the report does: a project's runs read together, or each `alone`."""
    tally = Tally(good=0, primary=0)
    runs = expected_runs(folder)
    projects = {about["project"] for about in runs.values()}
    reports = {project: _report(folder / project / "wandb", "--max-runs", "500") for project in projects if not alone}
    for place, about in runs.items():
        report = _report(folder / place) if alone else reports[about["project"]]
        run = next((one for one in report.get("runs", ()) if one["id"] == about["id"]), None)
        _count(tally, about, run, report.get("primary"))
    return tally


def _count(
    tally: Tally, about: Mapping[str, Any], run: Mapping[str, Any] | None, primary: Mapping[str, Any] | None
) -> None:
    ids = {one["id"] for one in (run or {}).get("findings", ()) if one["severity"] in ("bad", "ugly")}
    verdict = run["verdict"] if run else "not read"
    what = f"{about['project']}/{about.get('variant') or about['name']}"
    if about["kind"] == "fault":
        groups = about["diagnoses"]
        right = bool(groups) and all(ids & set(group) for group in groups)
        tally.faulty += 1
        tally.flagged += bool(ids)
        tally.right += right
        tally.good = (tally.good or 0) + (verdict == "good")
        label = tally.labels[about["label"] or "?"]
        label[0] += 1
        label[1] += right
        if not right:
            tally.errors.append(
                f"missed {what} ({about['label']}): {verdict}, {', '.join(sorted(ids)) or 'nothing found'}"
            )
    else:
        true = {id_ for group in about["diagnoses"] for id_ in group} | set(about["also_true"])
        false = ids - true - IGNORED
        tally.healthy += 1
        tally.alarms += bool(false)
        if false:
            tally.errors.append(f"false {what}: {', '.join(sorted(false))}")
    if about.get("primary") and primary:
        direction = about.get("direction")
        tally.ranked += 1
        right = primary["metric"] in about["primary"] and direction in (None, "both", primary["direction"])
        tally.primary = (tally.primary or 0) + right


def _report(*words: str | Path) -> dict[str, Any]:
    command = [PYTHON, str(SCRIPTS / "wandb_report.py"), *map(str, words), "--json", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)  # noqa: S603 ours
    if done.returncode not in (0, 6):
        print(f"{words[0]}: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return {}
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def faults_table(tallies: Mapping[str, Tally]) -> list[list[str]]:
    """Return for each fault how many of its runs each judge found: ours the right cause, the others anything at all."""
    counted = {name: tally for name, tally in tallies.items() if not tally.note}
    labels = sorted({label for tally in counted.values() for label in tally.labels})
    rows = [["fault", *counted]]
    for label in labels:
        cells = [tally.labels.get(label, [0, 0]) for tally in counted.values()]
        rows.append([label, *(f"{found} of {runs}" for runs, found in cells)])
    return rows
