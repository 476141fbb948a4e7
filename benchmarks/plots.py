"""Draw every metric of a project: generate_plots beside a plain matplotlib loop on the same data.

    python benchmarks/plots.py [--metrics 200] [--runs 4] [--rows 10000] [--plain 40] [--cache FOLDER] [--keep FOLDER]

The plain loop reads with the same reader, then makes one `plt.figure` a metric, with W&B's recurrence as a Python loop
for each run. It takes minutes, so that only --plain of its figures are drawn and its drawing time is scaled up. Each
is a whole process; --keep leaves both programs' pictures to look at.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from processes import PYTHON, ROOT, SCRIPTS, table

sys.path.insert(0, str(ROOT / "tests"))

import wandb_runs as log

PLAIN = f"""
import sys, time
sys.path.insert(0, {str(SCRIPTS)!r})
from pathlib import Path
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
from wandb_toolkit.sources import RunQuery
from wandb_toolkit.sources.local.source import LocalSource

def ema(x, y, weight=0.99):
    last_y = debias = 0.0
    last_x, span, out = x[0], x[-1] - x[0], []
    for at, value in zip(x, y):
        adjusted = weight ** ((at - last_x) / span * 1000)
        last_y, debias, last_x = last_y * adjusted + value, debias * adjusted + 1, at
        out.append(last_y / debias)
    return out

folder, target, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
source = LocalSource(folder)
runs = source.runs(RunQuery())
histories = [history for _, history in source.histories(runs)]
start, busy = time.perf_counter(), time.process_time()
for metric in list(histories[0].series)[:count]:
    plt.figure(figsize=(10, 5.625), dpi=160)
    for at, (run, history) in enumerate(zip(runs, histories)):
        x, y = history[metric].x.tolist(), history[metric].value.tolist()
        plt.plot(x, y, color=f"C{{at}}", alpha=0.3, linewidth=0.9)
        plt.plot(x, ema(x, y), color=f"C{{at}}", label=run.name, linewidth=2)
    plt.title(metric)
    plt.xlabel("step")
    plt.grid(True, alpha=0.3)
    plt.legend()
    plt.savefig(target / (metric.replace("/", "__") + ".png"))
    plt.close()
print(time.perf_counter() - start, time.process_time() - busy, file=sys.stderr)
"""


@dataclass(frozen=True)
class Cost:
    """What a command with all its processes took."""

    wall: float  # seconds
    cpu: float  # seconds of all its processes
    memory: float  # megabytes at the same moment, of all its processes (shared pages count in each)
    said: str  # on stderr


def written(cache: Path, metrics: int, runs: int, rows: int) -> Path:
    """Return a folder of runs, written unless it is there."""
    folder = cache / f"plots-{metrics}x{runs}x{rows}"
    if (folder / "done").exists():
        return folder
    print(f"writing {runs} runs of {rows} rows x {metrics} metrics into {folder} ...", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    for number in range(runs):
        rng = random.Random(number)  # noqa: S311 no secret
        names = [f"{('train', 'eval', 'timing')[m % 3]}/metric_{m:03}" for m in range(metrics)]
        level = [0.0] * metrics
        payloads = [log.run(f"run{number}", name=f"seed-{number}", project="benchmark")]
        for step in range(rows):
            row: dict[str, float] = {"_step": step}
            for m, name in enumerate(names):
                level[m] += rng.gauss(0, 0.1)
                row[name] = round(level[m] + rng.gauss(0, 1), 6)
            payloads.append(log.history(row, step))
        payloads += [log.summary(row), log.exit_(0, 100), log.FINAL]
        log.write_run(folder, payloads, f"run{number}", at=f"20231114_22132{number}")
    (folder / "done").touch()
    return folder


def measure(words: Sequence[str]) -> Cost:
    """Run a command; the memory of its processes is looked at ten times a second.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    before = os.times()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)  # noqa: S603 ours
    peak = [0.0]
    ended = threading.Event()
    watcher = threading.Thread(target=_watch, args=(process.pid, peak, ended))
    watcher.start()
    _, said = process.communicate()
    ended.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{words[:3]} ended with {process.returncode}: {said[-500:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.perf_counter() - begin, cpu, peak[0], said)


def _watch(pid: int, peak: list[float], ended: threading.Event) -> None:
    while not ended.wait(0.1):
        peak[0] = max(peak[0], sum(map(_resident, _family(pid))))


def _family(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return [pid]
    return [pid, *(one for child in text.split() for one in _family(int(child)))]


def _resident(pid: int) -> float:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except (OSError, IndexError):
        return 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", type=int, default=200)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--plain", type=int, default=40, help="figures of the plain loop")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "wandb-toolkit-benchmark")
    parser.add_argument("--keep", type=Path, help="leave the pictures there")
    args = parser.parse_args(argv)
    data = written(args.cache, args.metrics, args.runs, args.rows)
    with tempfile.TemporaryDirectory() as temporary:
        out = args.keep or Path(temporary)
        (out / "plain").mkdir(parents=True, exist_ok=True)
        ours = [
            PYTHON,
            str(SCRIPTS / "generate_plots.py"),
            str(data),
            "*",
            "--all-metrics",
            "--no-cache",
            "--quiet",
            "--output",
        ]
        drawn = min(args.plain, args.metrics)
        plain = measure([PYTHON, "-c", PLAIN, str(data), str(out / "plain"), str(drawn)])
        several = measure([*ours, str(out / "ours")])
        alone = measure([*ours, str(out / "one-process"), "--jobs", "1"])
    left = args.metrics / drawn - 1
    more_wall, more_cpu = (float(text) * left for text in plain.said.split()[-2:])
    rows = [["program", "wall s", "CPU s", "peak MB", "times as fast", "CPU ratio"]]
    whole = Cost(plain.wall + more_wall, plain.cpu + more_cpu, plain.memory, "")
    scaled = f" ({drawn} figures drawn, scaled to {args.metrics})" if left else ""
    for name, cost in ((f"plain loop{scaled}", whole), ("generate_plots --jobs 1", alone), ("generate_plots", several)):
        ratios = (whole.wall / cost.wall, whole.cpu / cost.cpu)
        figures = (f"{cost.wall:.1f}", f"{cost.cpu:.1f}", f"{cost.memory:.0f}", *(f"{one:.1f}" for one in ratios))
        rows.append([name, *figures])
    cores = len(os.sched_getaffinity(0))
    print(f"{args.metrics} metrics x {args.runs} runs x {args.rows} points, {cores} cores; whole processes\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
