"""Scores the diagnoses on labelled runs of the seeds given, beside other tools."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from benchmarks.diagnoses.families import FAMILIES
from benchmarks.diagnoses.project import LabelledProject, make_project
from benchmarks.diagnoses.score import Score, diagnoses_table, judges, overall_table, score
from benchmarks.processes import table

_CHOICES = {
    "all": FAMILIES,
    "tuned": tuple(f for f in FAMILIES if not f.held_out),
    "held-out": tuple(f for f in FAMILIES if f.held_out),
}


def main(argv: list[str] | None = None) -> int:
    """Print the scores as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnoses", description=__doc__)
    parser.add_argument("--seed", type=int, required=True, help="the first seed; each seed is one project")
    parser.add_argument("--projects", type=int, default=150, help="how many projects (5 to 8 runs each)")
    parser.add_argument("--families", choices=[*_CHOICES, *[f.name for f in FAMILIES]], default="all")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--errors", action="store_true", help="list what was missed and what was wrong")
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        help="also judge by the tools installed for this interpreter: pip install runmedic trainproof trainspotter",
    )
    given = parser.parse_args(argv)
    families = _CHOICES.get(given.families) or tuple(f for f in FAMILIES if f.name == given.families)
    chunks = [range(given.seed + i, given.seed + given.projects, 4 * given.jobs) for i in range(4 * given.jobs)]
    work = partial(_score_seeds, families=[f.name for f in families], peers=given.peers)
    if given.jobs > 1:
        with ProcessPoolExecutor(given.jobs) as pool:
            parts = list(pool.map(work, chunks))
    else:
        parts = [work(chunk) for chunk in chunks]
    scores = {name: _sum([part[name] for part in parts]) for name in parts[0]}
    ours = scores["this report"]
    print(f"{given.projects} projects from seed {given.seed}, families: {given.families}; "
          f"{ours.runs} runs, {ours.healthy} of them healthy\n")  # fmt: skip
    print(table(overall_table(scores)), table(diagnoses_table(ours)), sep="\n\n")
    if given.errors:
        print("\n", "\n".join("  ".join(error) for error in sorted(ours.errors, key=lambda e: (e[3], e[2]))), sep="")
        print("\n", Counter(error[3] for error in ours.errors), file=sys.stderr)
    return 0


def _score_seeds(seeds: range, families: list[str], peers: str | None) -> dict[str, Score]:
    chosen = tuple(f for f in FAMILIES if f.name in families)
    projects: list[LabelledProject] = [make_project(seed, chosen) for seed in seeds]
    return score(projects, judges(peers))


def _sum(parts: list[Score]) -> Score:
    total = Score()
    for part in parts:
        total.right += part.right
        total.missed += part.missed
        total.wrong += part.wrong
        total.healthy += part.healthy
        total.alarms += part.alarms
        total.runs += part.runs
        total.errors += part.errors
        for id_, errors in part.onsets.items():
            total.onsets[id_] += errors
    return total


if __name__ == "__main__":
    raise SystemExit(main())
