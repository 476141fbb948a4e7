#!/usr/bin/env python3
"""The main job on the runs in examples/: list them, report on them, plot what tells them apart.

Everything is written below ./wandb_plots of the current folder. `bash .venv-setup.sh demo` runs it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "wandb"
METRICS = ("eval/accuracy", "train/reward", "train/reward_std", "train/kl", "train/entropy", "train/grad_norm")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration and return the exit code of the first step that failed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(argv)
    from wandb_toolkit.cli.app import show_error
    from wandb_toolkit.commands import generate_plots, list_runs, wandb_report
    from wandb_toolkit.errors import ToolkitError

    try:
        folder = _folder()
    except ToolkitError as error:
        show_error(error, as_json=False)
        return int(error.exit_code)
    runs = str(_near(EXAMPLES))
    report, data = str(folder / "report.md"), str(folder / "report.json")
    plots = [runs, "*", "--metrics", ",".join(METRICS), "--output", str(folder), "--quiet"]
    steps: tuple[tuple[Callable[[Sequence[str]], int], list[str], Callable[[str], bool]], ...] = (
        (list_runs.main, [runs, "--quiet"], _any),
        (wandb_report.main, [runs, "--out", data], _path),  # its summary is that of the next step
        (wandb_report.main, [runs, "--out", report], _any),
        (generate_plots.main, plots, _path),  # without the sentences on each
    )
    for command, words, shown in steps:
        code = _step(command, words, shown)
        if code:
            return code
    print(f"\nThe report, its JSON and {len(METRICS)} plots are in {folder}")
    return 0


def _folder() -> Path:
    """Return where the runs' files go by default."""
    from wandb_toolkit.output import output_folder
    from wandb_toolkit.sources import RunQuery, open_source

    source, _ = open_source(str(EXAMPLES), "local")
    return output_folder(source.runs(RunQuery()))


def _near(path: Path) -> Path:
    """Return the path as one would type it here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _any(_: str) -> bool:
    return True


def _path(line: str) -> bool:
    return "wandb_plots" in line


def _step(command: Callable[[Sequence[str]], int], words: list[str], shown: Callable[[str], bool]) -> int:
    """Show the command line, run it, and print those lines of its output that are wanted here."""
    name = command.__module__.rpartition(".")[2]
    print(f"\n$ {shlex.join([name, *words])}", flush=True)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        code = command(words)
    print("\n".join(filter(shown, said.getvalue().splitlines())), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
