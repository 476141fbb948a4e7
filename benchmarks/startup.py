"""How soon the commands answer: `--help` of every script, and `list_runs` over many local runs.

python benchmarks/startup.py [--runs 200] [--rows 300] [--repeat 7]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from processes import PYTHON, ROOT, SCRIPTS, Cost, measure, table

sys.path.insert(0, str(ROOT / "tests"))
import wandb_runs

COMMANDS = ("list_projects", "list_runs", "list_metrics", "download_plots", "generate_plots", "wandb_report")


def write_runs(folder: Path, runs: int, rows: int) -> None:
    """Write runs of 8 metrics as the SDK's Go core does, a summary record beside each row."""
    names = [f"train/metric_{number}" for number in range(8)]
    for number in range(runs):
        run_id, start = f"run{number:05d}", wandb_runs.START + number * 1000
        records = [wandb_runs.run(run_id, start=start, name=f"run {number}", project="p", config={"lr": number})]
        for step in range(rows):
            values = dict.fromkeys(names, step * 0.01 + number)
            both = {"_step": step, "_runtime": step * 1.5, "_timestamp": start + step * 1.5, **values}
            records += [wandb_runs.history(both, step), wandb_runs.summary(both)]
        wandb_runs.write_run(folder / "wandb", [*records, wandb_runs.exit_(0, rows)], run_id, offline=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rows", type=int, default=300, help="history rows a run")
    parser.add_argument("--repeat", type=int, default=7, help="times each; medians are shown")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_runs(folder, args.runs, args.rows)
        words = {"python -c pass": [PYTHON, "-c", "pass"]}
        words |= {f"{command} --help": [PYTHON, str(SCRIPTS / f"{command}.py"), "--help"] for command in COMMANDS}
        listing = [PYTHON, str(SCRIPTS / "list_runs.py"), str(folder), "--no-cache"]
        words[f"list_projects, {args.runs} runs"] = [
            PYTHON,
            str(SCRIPTS / "list_projects.py"),
            str(folder),
            "--no-cache",
        ]
        words[f"list_runs, {args.runs} runs"] = listing
        words[f"list_runs --limit {args.runs}"] = [*listing, "--limit", str(args.runs)]
        words[f"list_runs --limit {args.runs} --json"] = [*listing, "--limit", str(args.runs), "--json"]
        rows = [["command", "wall s", "CPU s", "peak MB"]]
        for label, line in words.items():
            cost = Cost.median([measure(line, {"COLUMNS": "120"}) for _ in range(args.repeat)])
            rows.append([label, f"{cost.wall:.3f}", f"{cost.cpu:.3f}", f"{cost.memory:.0f}"])
    print(f"{args.runs} runs of {args.rows} rows; medians of {args.repeat}\n")
    print(table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
