"""export_runs: many runs as a dataset that DuckDB, Polars, pandas and Spark read."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli import choosing
from wandb_toolkit.cli.cluster_flag import add_dask_flag, cluster_of
from wandb_toolkit.errors import Exit, UsageError
from wandb_toolkit.resolve import expanded
from wandb_toolkit.text import clean, plural

if TYPE_CHECKING:
    from wandb_toolkit.export.dataset import Dataset
    from wandb_toolkit.export.write import Exported

FOLDER = "wandb_export"
FORMATS = ("parquet", "csv", "jsonl")

EXAMPLES = """\
export_runs examples/wandb
export_runs my-entity/my-project --filter 'state==finished' --output dataset --metrics 'eval/*,train/loss'
export_runs ./wandb 'sweep-*' --output dataset --format csv
export_runs ./wandb --output s3://bucket/dataset
export_runs ./wandb --output dataset --json | jq '.written | length'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("export_runs", "Export runs as a dataset; again, it goes on where it ended.", EXAMPLES)
    parser.add_argument("target", help=cli.TARGET_HELP)
    parser.add_argument("run", nargs="?", help=f"{cli.RUN_HELP}; or several, comma-separated (default: all)")
    parser.add_argument(
        "--output",
        metavar="DIR",
        default=FOLDER,
        help=f"folder, or s3://, gs://, sftp:// ...: new, empty, or an export ({FOLDER})",
    )
    parser.add_argument("--format", choices=FORMATS, default="parquet", help="of the files (parquet)")
    parser.add_argument("--state", default="any", metavar="A,B", help="any, running, finished, crashed, failed, ...")
    choosing.add_filter_flag(parser)
    parser.add_argument("--metrics", metavar="A,B", help="names or globs (default: every number)")
    parser.add_argument("--no-system", action="store_true", help="leave out CPU, GPU, memory, ...")
    parser.add_argument("--no-console", action="store_true", help="leave out the console output")
    add_dask_flag(parser)
    cli.add_common_flags(parser)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """Export the runs."""
    from wandb_toolkit.export.dataset import Dataset
    from wandb_toolkit.export.store import Store
    from wandb_toolkit.export.tables import check_format
    from wandb_toolkit.export.write import Choice, Exported, export
    from wandb_toolkit.output import locked
    from wandb_toolkit.sources import RunQuery
    from wandb_toolkit.sources.fanned import fanned
    from wandb_toolkit.sources.stores import is_remote

    check_format(args.format)
    if not args.output.strip():
        raise UsageError("--output is blank.")
    metrics = tuple(cli.comma_list(args.metrics)) if args.metrics is not None else None
    choice = Choice(metrics, not args.no_system, not args.no_console)
    source, selectors = cli.open_source(args, args.target)
    if args.run is not None:
        if selectors and selectors != (args.run,):
            raise UsageError(f"The target already names the run {selectors[0]}.", "Give one of them.")
        selectors = (args.run,)
    with ExitStack() as stack:
        store = Store(args.output.strip()) if is_remote(args.output) else None
        aside = tempfile.TemporaryDirectory(prefix="wandb-toolkit-") if store else None
        folder = Path(stack.enter_context(aside)) if aside else expanded(args.output)
        dataset = Dataset.open(folder, args.format, source.description, choice.as_dict(), store)
        query = RunQuery(selectors=selectors, states=choosing.states(args.state), where=choosing.where_of(args))
        runs = choosing.runs_of(source, query)
        done = Exported()
        cluster = stack.enter_context(cluster_of(args))
        stack.enter_context(locked(folder))
        reader = fanned(source, cluster)
        new = sum(not dataset.is_done(each) for each in runs)
        export(reader, runs, dataset, choice, done, lambda found: cli.progress(found, "exporting runs", new, args))
    for line in (*done.warnings, *source.warnings):
        cli.warn(line, args)
    payload = _payload(dataset, done)
    cli.emit(args, payload, lambda: _text(payload))
    return Exit.PARTIAL if done.failed else Exit.OK


def _payload(dataset: Dataset, done: Exported) -> dict[str, Any]:
    from wandb_toolkit.export.dataset import MANIFEST, SCHEMA

    return {
        "output_dir": dataset.named(dataset.folder),
        "format": dataset.form,
        "written": done.written,
        "unchanged": done.unchanged,
        "failed": done.failed,
        "runs": dataset.named(dataset.table),
        "schema": dataset.named(dataset.folder / SCHEMA),
        "manifest": dataset.named(dataset.folder / MANIFEST),
        "warnings": done.warnings,
    }


def _text(payload: Mapping[str, Any]) -> str:
    points = sum(run["points"] for run in payload["written"])
    parts = [f"{plural(len(payload['written']), 'run')} written ({points:,} points)"] if payload["written"] else []
    parts += [f"{plural(len(payload['unchanged']), 'run')} unchanged"] if payload["unchanged"] else []
    parts += [f"{plural(len(payload['failed']), 'run')} failed"] if payload["failed"] else []
    head = ", ".join(parts) or "No run to export"
    lines = [f"{head}: {clean(payload['output_dir'])}", f"the runs: {clean(payload['runs'])}"]
    lines += [
        f"failed: {clean(run['name'])} ({clean(run['id'])}): {clean(run['message'])}" for run in payload["failed"]
    ]
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
