"""Serve the runs below a folder, or made-up ones, as a W&B server on loopback until Ctrl-C.

    python -m tests.wandb_server examples/wandb --latency 0.06 --port 8080
    python -m tests.wandb_server --runs 100 --rows 1000 --metrics 5     made-up runs in ada/bench
    python -m tests.wandb_server --runs 1 --rows 1000000 --metrics 2 --files 8

Run from the repository. Prints the two variables to set. A GET of /_stats on
the API host answers with requests, bytes and the most requests at once; /_reset sets them to zero.
"""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from pathlib import Path

import numpy as np

from . import EPOCH, KEY, OLD_SERVER, Export, History, Run, Server, Store
from .load import load


def main(argv: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.wandb_server", description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="where .wandb logs lie")
    parser.add_argument("--entity", default="ada", help="for runs that name none (default: %(default)s)")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds a request")
    parser.add_argument("--port", type=int, default=0, help="of the API host (default: any free one)")
    parser.add_argument("--poison", metavar="RUN", action="append", default=[], help="run id that always answers 502")
    parser.add_argument("--old-schema", action="store_true", help="without the fields that old servers lack")
    parser.add_argument("--rate-limit", type=int, metavar="N", help="requests in ten seconds, then 429")
    parser.add_argument("--runs", type=int, default=0, help="made-up runs to add, as ENTITY/bench")
    parser.add_argument("--rows", type=int, default=1000, help="history rows of each")
    parser.add_argument("--metrics", type=int, default=5, help="metrics of each")
    parser.add_argument("--summary-keys", type=int, default=0, help="further summary keys of each")
    parser.add_argument("--files", type=int, default=1, help="Parquet files a run's export is cut into")
    parser.add_argument("--live", type=int, default=0, help="rows at the end of each run that are not exported")
    args = parser.parse_args(argv)
    store = Store()
    if args.folder is not None:
        load(args.folder, store, entity=args.entity)
    if args.runs:
        store.project(args.entity, "bench").add(*(made_up(number, args) for number in range(args.runs)))
    if args.folder is None and not args.runs:
        parser.error("give a folder, or --runs")
    with Server(store, latency=args.latency, port=args.port).warm() as server:
        for run in args.poison:
            server.fault("status", 502, run=run)
        if args.old_schema:
            server.without = OLD_SERVER
        if args.rate_limit is not None:
            server.rate_limit = (args.rate_limit, 10.0)
        for (entity, project), found in store.projects.items():
            print(f"# {entity}/{project}: {len(found.runs)} runs")
        print(f"export WANDB_BASE_URL={server.url} WANDB_API_KEY={KEY}", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 130


def made_up(number: int, args: argparse.Namespace) -> Run:
    """Return a run of random walks: even metrics in every row, odd ones in each tenth."""
    rng = np.random.default_rng(number)
    every = {f"train/metric-{m}": 10 for m in range(1, args.metrics, 2)}
    history = {}
    for m in range(args.metrics):
        name = f"train/metric-{m}"
        history[name] = rng.normal(size=-(-args.rows // every.get(name, 1))).cumsum()
    run = Run(
        f"run{number:05d}",
        History.from_arrays(history, every),
        config={"seed": number, "learning_rate": 10.0 ** -(number % 5)},
        tags=["made-up", f"fifth-{number % 5}"],
        group=f"group-{number % 10}",
        created_at=EPOCH + timedelta(minutes=number),
        export=Export(max(0, args.rows - args.live), args.files, row_group=max(1000, args.rows // 50)),
    )
    run.summary = {**run.rows.last_values, **{f"extra/key-{k}": k * 0.5 for k in range(args.summary_keys)}}
    return run


if __name__ == "__main__":
    raise SystemExit(main())
