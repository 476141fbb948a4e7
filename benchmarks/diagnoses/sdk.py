"""The same labelled runs written by the real wandb SDK, offline: many runs in a process, any number of processes.

python -m benchmarks.diagnoses.sdk --seed 1 --projects 10 --out FOLDER

Runs without an exit record (crashed, killed, still running) are left out: how a log without one reads depends on the
clock. Folder/wandb holds the runs, Folder/labels-SEED.json what is wrong with each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.diagnoses.project import LabelledProject, make_project
from benchmarks.diagnoses.source import logged, seconds_since_start, started

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft

ROOT = Path(__file__).parents[2]


def with_exit_record(project: LabelledProject) -> LabelledProject:
    """Return the project without the runs that have none."""
    return replace(project, runs=tuple(run for run in project.runs if run.draft.exit_code is not None))


def write(project: LabelledProject, folder: Path) -> None:
    """Write the project's runs below `folder`, in this process."""
    import wandb

    settings = wandb.Settings(
        x_disable_stats=True, x_disable_meta=True, disable_git=True, save_code=False, console="off", silent=True
    )
    for one in project.runs:
        how: dict[str, Any] = {"mode": "offline", "project": project.name, "dir": str(folder), "settings": settings}
        run = wandb.init(id=one.id, name=one.id, config=one.draft.config, reinit="finish_previous", **how)
        for step, row in _rows(one.draft):
            run.log(row, step=step)
        run.finish(exit_code=one.draft.exit_code)


def _rows(draft: Draft) -> list[tuple[int, dict[str, float]]]:
    begin, when = started(draft).timestamp(), seconds_since_start(draft)
    rows: list[dict[str, float]] = [{"_timestamp": begin + float(seconds)} for seconds in when]
    for key, at, values in logged(draft):
        for row, value in zip(at.tolist(), values.tolist(), strict=True):
            rows[row][key] = value
    return list(zip(draft.steps.tolist(), rows, strict=True))


def write_in_processes(seeds: range, folder: Path, jobs: int = 2) -> None:
    """Write the projects of the seeds by several processes that know of no account.

    Raises:
        RuntimeError: one of them failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": os.environ.get("PATH", ""),
        "HOME": str(folder),
        "WANDB_MODE": "offline",
        "WANDB_ERROR_REPORTING": "false",
        "PYTHONWARNINGS": "ignore",
    }
    processes = []
    for job in range(jobs):
        words = [sys.executable, "-m", "benchmarks.diagnoses.sdk", "--out", str(folder), "--step", str(jobs)]
        words += ["--seed", str(seeds.start + job), "--projects", str(len(seeds) - job)]
        process = subprocess.Popen(  # noqa: S603 - ourselves
            words, cwd=ROOT, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        processes.append(process)
    for process in processes:
        _, said = process.communicate()
        if process.returncode:
            raise RuntimeError(said.decode()[-2000:])


def main(argv: list[str] | None = None) -> int:
    """Write the projects and their labels."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.diagnoses.sdk", description=__doc__)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--projects", type=int, default=10)
    parser.add_argument("--step", type=int, default=1, help="every so many seeds")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    given = parser.parse_args(argv)
    labels: dict[str, dict[str, int | None]] = {}
    for seed in range(given.seed, given.seed + given.projects, given.step):
        project = with_exit_record(make_project(seed))
        write(project, given.out)
        labels |= {one.id: one.truth.labels for one in project.runs}
    (given.out / f"labels-{given.seed}.json").write_text(json.dumps(labels, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
