"""One log of a gigabyte, and a folder of 2,000 runs: the first read, and the next ones, which the cache makes short.

    python benchmarks/large_local.py [--cache FOLDER] [--rows 600000] [--runs 2000] [--repeat 3]

The logs are written once, in about half a minute, as the SDK's Go core lays them out: a summary record beside each row.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from processes import PYTHON, ROOT, SCRIPTS, Cost, measure, table
from startup import write_runs

sys.path.insert(0, str(ROOT / "tests"))
import wandb_runs as w

METRICS = 20
NAMES = [*(f"group{m % 4}/metric_{m}" for m in range(METRICS)), "_step", "_timestamp", "_runtime"]
_AT_ONCE = 1000  # rows written together, framed as one log and moved to their place


def records(rows: int) -> Iterator[bytes]:
    """Yield a run's records; the order of keys differs from row to row."""
    rng = random.Random(1)  # noqa: S311 a benchmark's data
    keys = [w.key(name) for name in NAMES]
    orders = [rng.sample(range(len(keys)), len(keys)) for _ in range(64)]
    yield from (w.HEADER_RECORD, w.run("big00001", name="big", project="benchmark", config={"lr": 0.1}))
    for step in range(rows):
        items = [w.field(1, key + w.field(16, b"%.16g" % value)) for key, value in zip(keys, values(step), strict=True)]
        row, summary = orders[step % 64], orders[step * 7 % 64]
        for kind, order, last in ((2, row, w.field(2, w.field(1, step))), (3, summary, b"")):
            yield w.record(kind, b"".join([items[place] for place in order]) + last, 2 * step + kind)
        if step % 1500 == 0:
            yield w.stats(w.START + step * 0.1, {"cpu": 1.5, "memory": step % 7})
    yield from (w.exit_(0, rows // 10), w.FINAL, w.FOOTER)


def values(step: int) -> list[float]:
    """Return the values of NAMES at a step."""
    metrics = [math.sin(step * (m + 1) / 1e3) + m for m in range(METRICS)]
    return [*metrics, step, w.START + step * 0.1 + 0.5, step * 0.1]


def write_large(folder: Path, rows: int) -> Path:
    """Write the large run below `folder` unless it is there; return the folder."""
    if not folder.exists():
        print(f"writing {rows:,} rows into {folder} ...", file=sys.stderr)
        unfinished = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(unfinished, ignore_errors=True)
        log = w.write_run(unfinished, [], "big00001", offline=True) / "run-big00001.wandb"
        with log.open("wb", buffering=1 << 20) as file:
            file.write(w.HEADER)
            rest: list[bytes] = []
            for record in records(rows):
                rest.append(record)
                if len(rest) == _AT_ONCE:
                    _append(file, rest)
                    rest = []
            _append(file, rest)
        unfinished.rename(folder)
    return folder


def _append(file: object, payloads: Sequence[bytes]) -> None:
    place = file.tell()  # type: ignore[attr-defined]
    file.write(w.framed(payloads, base=-(place - len(w.HEADER)) % w.BLOCK)[len(w.HEADER) :])  # type: ignore[attr-defined]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "wandb-toolkit-benchmark")
    parser.add_argument("--rows", type=int, default=600_000, help="of the large log")
    parser.add_argument("--runs", type=int, default=2000, help="of the folder")
    parser.add_argument("--repeat", type=int, default=3, help="rounds; medians are shown")
    args = parser.parse_args(argv)
    args.cache.mkdir(parents=True, exist_ok=True)
    large = write_large(args.cache / f"large-{args.rows}", args.rows)
    beside = args.cache / f"large-{args.rows}-summary"
    if not beside.exists():
        shutil.copytree(large, beside, copy_function=lambda source, target: Path(target).hardlink_to(source))
        [run] = beside.iterdir()
        summary = dict(zip(NAMES, [float(b"%.16g" % value) for value in values(args.rows - 1)], strict=True))
        (run / "files" / "wandb-summary.json").write_text(json.dumps(summary))
    many = args.cache / f"many-{args.runs}"
    if not many.exists():
        write_runs(many, args.runs, 100)
    ways = {
        "list_projects, large log": ["list_projects", str(large)],
        "list_runs, large log": ["list_runs", str(large)],
        "list_runs, with its wandb-summary.json": ["list_runs", str(beside)],
        "list_metrics, all 20": ["list_metrics", str(large), "latest"],
        "generate_plots, one metric": ["generate_plots", str(large), "latest", "--metrics", NAMES[5]],
        "generate_plots --all-metrics": ["generate_plots", str(large), "latest", "--all-metrics"],
        f"list_runs, {args.runs} runs": ["list_runs", str(many)],
        f"list_projects, {args.runs} runs": ["list_projects", str(many)],
    }
    rows = [["command", "wall s first", "CPU s first", "peak MB first", "wall s again", "CPU s again", "peak MB again"]]
    for title, (command, *words) in ways.items():
        first, again = [], []
        for _ in range(args.repeat):
            with tempfile.TemporaryDirectory() as folder:
                call = [PYTHON, str(SCRIPTS / f"{command}.py"), *words]
                call += ["--output", f"{folder}/out"] if command == "generate_plots" else []
                env = {"WANDB_TOOLKIT_CACHE": f"{folder}/cache"}
                first.append(measure(call, env))
                again.append(measure(call, env))
        costs = [Cost.median(first), Cost.median(again)]
        rows.append([title, *(f"{n:.{d}f}" for c in costs for n, d in ((c.wall, 2), (c.cpu, 2), (c.memory, 0)))])
        print(rows[-1], file=sys.stderr)
    size = next(large.glob("*/*.wandb")).stat().st_size / 1e6
    print(f"{args.rows:,} rows x {METRICS} metrics, {size:.0f} MB; medians of {args.repeat}\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
