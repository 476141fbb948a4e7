"""How often each diagnosis is made before a labelled run's end, and is gone there.

`python -m benchmarks.diagnoses.early`: runs that have ended are looked at as `wandb_report --replay` does. `--write`
keeps the counts in early.json beside this module; `docs/make_diagnoses.py` puts them into docs/diagnoses.md.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.diagnoses.project import make_project
from benchmarks.diagnoses.source import NOW, MemorySource
from benchmarks.processes import table

from wandb_toolkit.replay.replay import PREFIXES, look_back
from wandb_toolkit.reports.build import ReportOptions, build_report

KEPT = Path(__file__).with_name("early.json")
SEED, PROJECTS = 80_000, 150


@dataclass
class Counts:
    """Over the runs seen; by diagnosis where it is a counter."""

    runs: int = 0
    healthy_runs: int = 0
    fired: Counter[str] = field(default_factory=Counter)  # runs in which it was made before the end
    gone: Counter[str] = field(default_factory=Counter)  # of these, at whose end it was not found
    healthy: Counter[str] = field(default_factory=Counter)  # of these, with nothing wrong

    def add(self, other: Counts) -> None:
        """Add what was counted on other runs."""
        self.runs += other.runs
        self.healthy_runs += other.healthy_runs
        for name in ("fired", "gone", "healthy"):
            getattr(self, name).update(getattr(other, name))


def count(seed: int) -> Counts:
    """Return the counts of the project of a seed."""
    project, found = make_project(seed), Counts()
    labels = {one.id: one.truth for one in project.runs}
    source, options = MemorySource(project), ReportOptions(NOW)
    pasts, looks = look_back(build_report(source, source.all, options), options)
    for past, look in zip(pasts, looks, strict=True):
        early = frozenset[str]().union(*(ids for _, _, ids, _ in look[:-1]))
        truth = labels[past.run.id]
        sound = not truth.labels and not truth.unclear
        found.runs += 1
        found.healthy_runs += sound
        found.fired.update(early)
        found.gone.update(early - look[-1][2])
        found.healthy.update(early if sound else ())
    return found


def document(found: Counts, command: str) -> dict[str, Any]:
    """Return what early.json holds."""
    ids = sorted(found.fired)
    each = {id_: {"fired": found.fired[id_], "gone": found.gone[id_], "healthy": found.healthy[id_]} for id_ in ids}
    return {
        "command": command, "runs": found.runs, "healthy": found.healthy_runs, "looks": PREFIXES, "diagnoses": each,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Print the counts as Markdown, the most often taken back first."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnoses.early", description=__doc__)
    parser.add_argument("--seed", type=int, default=SEED, help="the first seed; each seed is one project")
    parser.add_argument("--projects", type=int, default=PROJECTS, help="how many projects (5 to 8 runs each)")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--write", action="store_true", help=f"keep them in {KEPT.name}")
    given = parser.parse_args(argv)
    seeds = range(given.seed, given.seed + given.projects)
    total = Counts()
    if given.jobs > 1:
        with ProcessPoolExecutor(given.jobs) as pool:
            for one in pool.map(count, seeds, chunksize=4):
                total.add(one)
    else:
        for seed in seeds:
            total.add(count(seed))
    command = f"python -m benchmarks.diagnoses.early --seed {given.seed} --projects {given.projects} --write"
    made = document(total, command)
    rows = [["diagnosis", "made early", "gone at the end", "in healthy runs"]]
    ranked = sorted(made["diagnoses"].items(), key=lambda item: (-item[1]["gone"] / item[1]["fired"], item[0]))
    rows += [[f"`{id_}`", str(one["fired"]), str(one["gone"]), str(one["healthy"])] for id_, one in ranked]
    print(f"{total.runs} ended runs, {total.healthy_runs} of them healthy\n")
    print(table(rows))
    if given.write:
        KEPT.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
