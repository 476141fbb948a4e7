"""Measures the bands of `wandb_report --forecast` on generated runs, or on the runs of folders."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from benchmarks.forecast.measure import PARTS, Outcome, of_folder, of_generated
from benchmarks.processes import table

NAMES = {"siblings": "siblings' increments", "course": "own course, siblings too few", "alone": "own course alone"}


def main(argv: list[str] | None = None) -> int:
    """Print coverage, width, chances and times as Markdown."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.forecast", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of local runs (default: generated runs)")
    parser.add_argument("--seed", type=int, default=1, help="the first seed; each seed is one project")
    parser.add_argument("--projects", type=int, default=150, help="how many projects (5 to 8 runs each)")
    given = parser.parse_args(argv)
    if given.folders:
        found = [one for folder in given.folders for one in of_folder(folder)]
        what = f"{len(given.folders)} folder{'' if len(given.folders) == 1 else 's'}"
    else:
        found = list(of_generated(given.seed, given.projects))
        what = f"{given.projects} projects from seed {given.seed}"
    print(f"{what}; {sum(one.method != 'alone' for one in found)} cuts of finished runs\n")
    print(table(bands(found)))
    print("\n".join(["", *chances_and_times(found)]))
    return 0


def bands(found: Sequence[Outcome]) -> list[list[str]]:
    """Return a row for each method and cut: how many forecasts, how many bands held, how wide they were."""
    rows = [["method", "cut at", "forecasts", "level inside the band", "median width, of the run's range"]]
    for method, name in NAMES.items():
        for part in (*PARTS, None):
            own = [one for one in found if one.method == method and part in (one.part, None)]
            if own:
                held = sum(one.inside for one in own) / len(own)
                width = float(np.median([one.width for one in own]))
                rows.append([name, f"{part:.0%}" if part else "all", str(len(own)), f"{held:.0%}", f"{width:.2f}"])
    return rows


def chances_and_times(found: Sequence[Outcome]) -> list[str]:
    """Return in sentences how many cuts had no forecast, how chances came true, and how good the times were."""
    told = [(one.chance, one.beat) for one in found if one.chance is not None]
    said = [f"No forecast: {sum(one.method == 'none' for one in found)} cuts."]
    for low, high in ((0.0, 0.2), (0.2, 0.5), (0.5, 1.01)):
        own = [(chance, beat) for chance, beat in told if low <= chance < high]
        if own:
            mean, came = (float(np.mean(column)) for column in zip(*own, strict=True))
            said.append(f"Chance to beat the best {low:.0%} to {min(high, 1):.0%}: {len(own)} cuts, "
                        f"{mean:.0%} on average, {came:.0%} did.")  # fmt: skip
    ends = np.array([one.end for one in found if one.end is not None])
    if len(ends):
        near = float(np.mean(np.abs(ends - 1) <= 0.1))
        said.append(f"Last step: {len(ends)} cuts, {near:.0%} within a tenth of what it was.")
    times = np.array([one.time for one in found if one.time is not None])
    if len(times):
        near = float(np.mean(np.abs(np.log(np.maximum(times, 1e-9))) <= np.log(1.25)))
        said.append(f"Time to the end: {len(times)} cuts, {near:.0%} within a quarter of what it took.")
    return said


if __name__ == "__main__":
    raise SystemExit(main())
