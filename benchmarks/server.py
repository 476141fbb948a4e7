"""Reading a W&B server: our scripts beside the loop that a user of W&B's SDK would write, as whole processes.

python benchmarks/server.py [--latency 0 0.06] [--repeat 3] [--save] [--only list]

The server of the tests answers on loopback. Requests and bytes are counted there. --save keeps the figures in
benchmarks/results-server.json; where there are any from before, they are printed beside the new ones.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

from processes import PYTHON, ROOT, SCRIPTS, measure, table

if TYPE_CHECKING:
    from wandb_server import Export, Run, Store

RESULTS = Path(__file__).with_name("results-server.json")
METRICS = ["train/loss", "eval/accuracy", "train/reward", "train/kl", "train/entropy"]
SLOW = 60.0  # seconds; a way that takes longer is not repeated
SDK = f"""
import os, sys, wandb
api = wandb.Api(api_key=os.environ["WANDB_API_KEY"], overrides={{"base_url": os.environ["WANDB_BASE_URL"]}})
KEYS = {METRICS!r}
"""
DRAW = """
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt
for key in KEYS:
    figure, axes = plt.subplots()
    for name, frame in frames.items():
        axes.plot(frame["_step"], frame[key], alpha=0.3)
        axes.plot(frame["_step"], frame[key].ewm(alpha=0.01).mean(), label=name)
    axes.legend(); figure.savefig(f"{sys.argv[1]}/{key.replace('/', '_')}.png", dpi=150); plt.close(figure)
"""
READ = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
from wandb_toolkit.sources import ReadOptions, RunQuery, open_source
source, _ = open_source(sys.argv[1], reading=ReadOptions(cache=False))
runs = source.runs(RunQuery(selectors=(sys.argv[2],)))
keys = sys.argv[4:]
for run, history in source.histories(runs, keys, full=sys.argv[3] == "full"):
    assert set(history) == set(keys), history
"""


FRAME = f"""
import sys
sys.path.insert(0, {str(SCRIPTS)!r})
import wandb_toolkit as wt
"""


@dataclass(frozen=True)
class Task:
    """The same work done in two ways or more; the first is the SDK's."""

    name: str
    title: str
    ways: dict[str, list[str]]  # OUT stands for an empty folder


def script(name: str, *words: str) -> list[str]:
    """Return the command line of one of our scripts."""
    return [PYTHON, str(SCRIPTS / f"{name}.py"), *words]


def sdk(code: str) -> list[str]:
    """Return the command line of a loop over the SDK."""
    return [PYTHON, "-c", SDK + code, "OUT"]


def tasks() -> list[Task]:
    """Return what is measured."""
    four = "api.runs('ada/bench', per_page=4)[:4]"
    one = METRICS[0]
    return [
        Task(
            "list",
            "list 100 runs with 5 summary values",
            {
                "SDK loop": sdk(
                    "for run in api.runs('ada/bench', per_page=100)[:100]:\n"
                    "    print(run.name, run.state, [run.summary.get(key) for key in KEYS])"
                ),
                "list_runs --metrics": script("list_runs", "ada/bench", "--metrics", ",".join(METRICS)),
                "list_runs": script("list_runs", "ada/bench"),
                "list_runs --json": script("list_runs", "ada/bench", "--json"),
            },
        ),
        Task(
            "plots",
            "5 metrics of 4 runs",
            {
                "SDK loop, drawn": sdk(f"frames = {{r.name: r.history(keys=KEYS) for r in {four}}}\n{DRAW}"),
                "generate_plots": script(
                    "generate_plots", "ada/bench", "latest:4", "--metrics", ",".join(METRICS), "--output", "OUT"
                ),
                "SDK loop, read only": sdk(f"for run in {four}: run.history(keys=KEYS)"),
                "our sampled read": [PYTHON, "-c", READ, "ada/bench", "latest:4", "sampled", *METRICS],
            },
        ),
        Task(
            "scan",
            "one metric of 100,000 steps, every point",
            {
                "SDK scan_history": sdk(
                    f"print(len([row for row in api.run('ada/long/long').scan_history(keys=[{one!r}])]))"
                ),
                "SDK, page_size=100000": sdk(
                    f"print(len(list(api.run('ada/long/long').scan_history(keys=[{one!r}], page_size=100000))))"
                ),
                "our full read": [PYTHON, "-c", READ, "ada/long", "long", "full", one],
                "generate_plots --full-res": script(
                    "generate_plots",
                    "ada/long",
                    "long",
                    "--metrics",
                    one,
                    "--full-res",
                    "--no-cache",
                    "--output",
                    "OUT",
                ),
                "list_metrics (all 5 metrics)": script("list_metrics", "ada/long", "long", "--no-cache"),
            },
        ),
        Task(
            "scan4",
            "the same where the export is four files",
            {
                "SDK scan_history": sdk(
                    f"print(len([row for row in api.run('ada/long4/long').scan_history(keys=[{one!r}])]))"
                ),
                "our full read": [PYTHON, "-c", READ, "ada/long4", "long", "full", one],
            },
        ),
        Task(
            "report",
            "a report on 40 runs",
            {
                "SDK loop, read only": sdk(
                    "for run in api.runs('ada/bench', per_page=50)[:40]: run.config, dict(run.summary), "
                    "[run.history(keys=[key], pandas=False) for key in KEYS]"
                ),
                "wandb_report": script("wandb_report", "ada/bench", "--latest", "40"),
            },
        ),
        Task(
            "million",
            "1,000,000 steps and 20 metrics: one of them, every point, and the statistics of all",
            {
                "our full read of one": [PYTHON, "-c", READ, "ada/million", "long", "full", one],
                "list_metrics": script("list_metrics", "ada/million", "long"),
            },
        ),
        Task(
            "history",
            "histories of 100 runs, 10 metrics x 1,000 rows each, as one frame",
            {
                "SDK scan_history a run": sdk(
                    "import pandas\n"
                    "frames = [pandas.DataFrame(run.scan_history()) for run in api.runs('ada/frames')]\n"
                    "assert len(pandas.concat(frames)) == 100_000"
                ),
                "wt.history": [PYTHON, "-c", FRAME + "assert len(wt.history('ada/frames')) == 100_000"],
                "export_runs": script("export_runs", "ada/frames", "--output", "OUT"),
            },
        ),
        Task(
            "configs",
            "configs and summaries of 1,000 runs as one frame",
            {
                "SDK loop": sdk(
                    "import pandas\n"
                    "rows = [{**run.config, **dict(run.summary)} for run in api.runs('ada/thousand')]\n"
                    "assert len(pandas.DataFrame(rows)) == 1000"
                ),
                "wt.runs": [PYTHON, "-c", FRAME + "assert len(wt.runs('ada/thousand')) == 1000"],
            },
        ),
        Task(
            "export",
            "export of 50 and of 500 runs",
            {
                "export_runs, 50": script(
                    "export_runs", "ada/thousand", "run00?,run01?,run02?,run03?,run04?", "--output", "OUT"
                ),
                "export_runs, 500": script("export_runs", "ada/thousand", "run[0-4]??", "--output", "OUT"),
            },
        ),
        Task(
            "memory",
            "reports on 10 and on 100 runs",
            {
                "wandb_report, 10": script("wandb_report", "ada/bench", "--latest", "10"),
                "wandb_report, 100": script("wandb_report", "ada/bench", "--max-runs", "100"),
            },
        ),
    ]


def made_up(run_id: str, rows: int, metrics: int, number: int, export: Export) -> Run:
    """Return a run of random walks: the second metric in each tenth row, the others in every one."""
    import numpy as np

    from wandb_server import EPOCH, History, Run

    rng = np.random.default_rng(number)
    every = {METRICS[1]: 10}
    arrays = {}
    for name in [*METRICS, *(f"extra/metric-{m}" for m in range(metrics - len(METRICS)))]:
        arrays[name] = rng.normal(size=rows // every.get(name, 1)).cumsum()
    config = {"seed": number, "learning_rate": 10.0 ** -(number % 5)}
    start = EPOCH + timedelta(minutes=number)
    run = Run(run_id, History.from_arrays(arrays, every), config=config, created_at=start, export=export)
    run.summary = {**run.rows.last_values, "_step": rows - 1, **{f"extra/key-{k}": k * 0.5 for k in range(200)}}
    return run


def make_store(wanted: Sequence[Task]) -> Store:
    """Return the runs that the tasks read."""
    from wandb_server import Export, Store

    store = Store()
    names = {task.name for task in wanted}
    store.project("ada", "bench").add(*(made_up(f"run{n:03}", 1000, 5, n, Export()) for n in range(100)))
    if "history" in names:
        store.project("ada", "frames").add(*(made_up(f"run{n:03}", 1000, 10, n, Export()) for n in range(100)))
    if names & {"configs", "export"}:
        store.project("ada", "thousand").add(*(made_up(f"run{n:03}", 200, 5, n, Export()) for n in range(1000)))
    if "scan" in names:
        store.project("ada", "long").add(made_up("long", 100_000, 5, 1, Export(row_group=10_000)))
    if "scan4" in names:
        store.project("ada", "long4").add(made_up("long", 100_000, 5, 1, Export(files=4, row_group=10_000)))
    if "million" in names:
        store.project("ada", "million").add(made_up("long", 1_000_000, 20, 1, Export(files=4, row_group=100_000)))
    return store


Figures = dict[str, float]


class Served:
    """The server in a process of its own: what a child is said to take at most includes what its parent holds."""

    def __init__(self, names: Sequence[str], latency: float) -> None:
        words = [PYTHON, __file__, "--serve", *names, "--latency", str(latency)]
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)  # noqa: S603 ourselves
        assert self._process.stdout is not None
        self.environment: dict[str, str] = json.loads(self._process.stdout.readline())

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.communicate()

    def totals(self, path: str = "/_stats") -> dict[str, Any]:
        """Return what was asked of it since "/_reset"."""
        with urlopen(self.environment["WANDB_BASE_URL"] + path) as reply:  # noqa: S310 loopback
            found: dict[str, Any] = json.load(reply)
            return found


def serve(wanted: Sequence[Task], latency: float) -> int:
    """Serve until the parent ends it."""
    sys.path.insert(0, str(ROOT / "tests"))
    from wandb_server import Server

    with Server(make_store(wanted), latency=latency).warm() as server:
        print(json.dumps(server.environment()), flush=True)
        while True:
            time.sleep(3600)


def one_way(words: Sequence[str], server: Served) -> Figures:
    """Run a command line as a new user would, and return what it took."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "out").mkdir()
        env = {
            **server.environment,
            **dict.fromkeys(("HOME", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DIR"), folder),
            "WANDB_TOOLKIT_CACHE": f"{folder}/cache",
            "WANDB_ERROR_REPORTING": "false",
            "WANDB_SILENT": "true",
        }
        server.totals("/_reset")
        cost = measure([f"{folder}/out" if word == "OUT" else word for word in words], env)
        found = server.totals()
    figures = {"wall": cost.wall, "cpu": cost.cpu, "memory": cost.memory}
    return {**figures, "requests": found["requests"], "sent": found["sent"]}


def measured(task: Task, server: Served, repeat: int) -> dict[str, Figures]:
    """Return the medians of each way, the ways taking turns."""
    rounds: dict[str, list[Figures]] = {way: [] for way in task.ways}
    for _ in range(repeat):
        for way, words in task.ways.items():
            if not rounds[way] or rounds[way][0]["wall"] < SLOW:
                rounds[way].append(one_way(words, server))
    return {way: {name: median(one[name] for one in found) for name in found[0]} for way, found in rounds.items()}


def lines(task: Task, found: Mapping[str, Figures], before: Mapping[str, Figures]) -> str:
    """Return a task's table; ratios are to its first way."""
    head = ["way", "wall s", "CPU s", "requests", "MB received", "peak MB", "faster", "fewer requests"]
    rows = [[*head, "wall s before"] if before else head]
    first = next(iter(found.values()))
    for way, one in found.items():
        cells = [f"{one['wall']:.2f}", f"{one['cpu']:.2f}", f"{one['requests']:.0f}"]
        cells += [f"{one['sent'] / 1e6:.2f}", f"{one['memory']:.0f}"]
        ratios = [f"{first['wall'] / one['wall']:.1f}x", f"{first['requests'] / max(one['requests'], 1):.0f}x"]
        earlier = [f"{before[way]['wall']:.2f}" if way in before else ""] if before else []
        rows.append([way, *cells, *ratios, *earlier])
    return table(rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table for each task and latency."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [task.name for task in tasks()]
    parser.add_argument("--latency", type=float, nargs="+", default=[0.0, 0.06], help="seconds a request (0 0.06)")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown")
    parser.add_argument("--only", nargs="+", choices=names, help="these tasks")
    parser.add_argument("--save", action="store_true", help=f"keep the figures in {RESULTS.name}")
    parser.add_argument("--serve", nargs="+", choices=names, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.serve:
        return serve([task for task in tasks() if task.name in args.serve], args.latency[0])
    wanted = [task for task in tasks() if args.only is None or task.name in args.only]
    earlier = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    kept = dict(earlier)
    for latency in args.latency:
        with Served([task.name for task in wanted], latency) as server:
            for task in wanted:
                key = f"{task.name} {latency:g}"
                kept[key] = measured(task, server, args.repeat)
                shown = lines(task, kept[key], earlier.get(key, {}))
                print(f"{task.title}, {latency * 1000:.0f} ms a request:\n\n{shown}\n", flush=True)
    if args.save:
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
