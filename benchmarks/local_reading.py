"""Read a run of 100,000 steps and 20 metrics, beside `wandb leet inspect --json`, which dumps it.

    python benchmarks/local_reading.py [--cache FOLDER] [--repeat 3]

The real SDK writes the run once (about a minute) into the cache folder. The readers take turns, as whole processes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import PYTHON, SCRIPTS, Cost, measure, table

STEPS, METRICS = 100_000, 20
WRITE = f"""
import math, sys, wandb
settings = wandb.Settings(console="off", x_disable_stats=True)
with wandb.init(mode="offline", project="benchmark", dir=sys.argv[1], settings=settings) as run:
    for step in range({STEPS}):
        run.log({{f"group{{m % 4}}/metric_{{m}}": math.sin(step * (m + 1) / 1e3) + m for m in range({METRICS})}})
"""
READ = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
from wandb_toolkit.sources import RunQuery
from wandb_toolkit.sources.local.source import LocalSource
source = LocalSource(Path(sys.argv[1]))
[run] = source.runs(RunQuery(selectors=("latest",)))
[(_, history)] = source.histories([run], sys.argv[2:] or None)
assert all(len(one) == {STEPS} for one in history.series.values()), history
assert len(history.series) == (len(sys.argv[2:]) or {METRICS})
"""


def written(cache: Path) -> Path:
    """Return the log, written by the SDK unless it is there."""
    found = sorted(cache.glob("wandb/offline-run-*/*.wandb"))
    if not found:
        cache.mkdir(parents=True, exist_ok=True)
        print(f"writing {STEPS} steps x {METRICS} metrics into {cache} ...", file=sys.stderr)
        env = {**os.environ, "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
        subprocess.run([PYTHON, "-c", WRITE, str(cache)], check=True, env=env)  # noqa: S603 ours
        found = sorted(cache.glob("wandb/offline-run-*/*.wandb"))
    return found[-1]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "wandb-toolkit-benchmark")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown")
    args = parser.parse_args(argv)
    log = written(args.cache)
    inspect = [str(Path(PYTHON).with_name("wandb")), "leet", "inspect", "--json", str(log)]
    readers = {
        "wandb leet inspect --json": inspect,
        "one metric": [PYTHON, "-c", READ, str(log), "group1/metric_1"],
        "two metrics": [PYTHON, "-c", READ, str(log), "group1/metric_1", "group3/metric_3"],
        "all metrics": [PYTHON, "-c", READ, str(log)],
        "list_metrics.py": [PYTHON, str(SCRIPTS / "list_metrics.py"), str(log), "latest", "--json", "--no-cache"],
        "list_runs.py": [PYTHON, str(SCRIPTS / "list_runs.py"), str(log), "--json", "--no-cache"],
    }
    costs: dict[str, list[Cost]] = {name: [] for name in readers}
    for _ in range(args.repeat):
        for name, words in readers.items():
            costs[name].append(measure(words))
    against = Cost.median(costs["wandb leet inspect --json"])
    rows = [["reader", "wall s", "CPU s", "peak MB", "wall", "CPU", "memory"]]
    for name, found in costs.items():
        cost = Cost.median(found)
        ratios = (cost.wall / against.wall, cost.cpu / against.cpu, cost.memory / against.memory)
        rows.append(
            [name, f"{cost.wall:.2f}", f"{cost.cpu:.2f}", f"{cost.memory:.0f}", *(f"{ratio:.2f}" for ratio in ratios)]
        )
    size = log.stat().st_size / 1e6
    print(f"{STEPS} steps x {METRICS} metrics, {size:.0f} MB; medians of {args.repeat}; ratios to the first line\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
