"""Judge sets of real trainings: python -m benchmarks.trainings FOLDER... [--alone] [--peers PYTHON] [--errors]

Without a folder, the set that `python -m benchmarks.trainings.make` trained (below the cache) is judged. `--peers` is
the Python of an environment with the other tools (`pip install -r benchmarks/trainings/peers.txt`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from benchmarks.processes import table
from benchmarks.trainings.judge import Tally, faults_table, judge
from benchmarks.trainings.make import default_folder
from benchmarks.trainings.peers import judge_by_peers


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; 0 in any case: it is a measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainings", description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="sets: folders with an expected.json")
    parser.add_argument("--alone", action="store_true", help="also each run by itself, without its siblings")
    parser.add_argument("--peers", metavar="PYTHON", help="of an environment with the other tools")
    parser.add_argument("--errors", action="store_true", help="list what was missed and what was wrong")
    parser.add_argument("--json", action="store_true", help="the counts as JSON")
    given = parser.parse_args(argv)
    for folder in given.folders or [default_folder()]:
        tallies = {"wandb_report, among siblings": judge(folder, alone=False)}
        if given.alone:
            tallies["wandb_report, each run alone"] = judge(folder, alone=True)
        if given.peers:
            tallies |= judge_by_peers(folder, given.peers)
        if given.json:
            print(json.dumps({"set": folder.name, **{name: tally.as_dict() for name, tally in tallies.items()}}))
            continue
        first = next(iter(tallies.values()))
        print(f"{folder.name}: {first.faulty} faulty and {first.healthy} healthy runs\n")
        print(table([Tally.HEAD, *(tally.row(name) for name, tally in tallies.items())]), end="\n\n")
        print(table(faults_table(tallies)), end="\n\n")
        if given.errors:
            print("\n".join(first.errors), end="\n\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
