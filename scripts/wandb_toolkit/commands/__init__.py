"""The commands: each a parser, `run(args)` and `main(argv)`; `main` here chooses among them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from wandb_toolkit import __version__
from wandb_toolkit.errors import Exit, ToolkitError, UsageError, nearest

NAMES = ("list_projects", "list_runs", "list_metrics", "download_plots", "generate_plots", "wandb_report")

HELP = """\
usage: wandb-toolkit <command> [options]

examples:
  wandb-toolkit list-runs ./wandb
  wandb-toolkit generate-plots ./wandb latest --metrics train/loss
  wandb-toolkit report ./wandb --latest 3

commands (each has --help):
  list-projects    which projects there are
  list-runs        a project's runs, the newest first
  list-metrics     what a run logged, with statistics
  generate-plots   draw metrics of one or more runs
  download-plots   copy the images of a run
  wandb-report     judge runs: good, bad, ugly, what to try next (also: report)
  completion       completions for a shell: bash or zsh

options:
  -h, --help       this text
  --version        the version"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``wandb-toolkit <command> ...``; dashes and underscores are alike, ``report`` is wandb_report."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0].replace("-", "_") if words else ""
    name = "wandb_report" if name == "report" else name
    if name in NAMES:
        return int(importlib.import_module(f"wandb_toolkit.commands.{name}").main(words[1:]))
    if name in ("__version", "__help", "_h"):
        print(f"wandb-toolkit {__version__}" if name == "__version" else HELP)
        return Exit.OK
    from wandb_toolkit.cli import app as cli

    try:
        if name == "completion":
            print(_completion(words[1:]))
            return Exit.OK
        raise _unknown(words)
    except ToolkitError as error:
        cli.show_error(error, as_json=cli.json_wanted(words))
        return error.exit_code


def _unknown(words: Sequence[str]) -> UsageError:
    commands = [name.replace("_", "-") for name in NAMES]
    if not words:
        return UsageError("No command is given.", f"Commands: {', '.join(commands)}. --help says more.")
    near = nearest(words[0].replace("_", "-"), [*commands, "report", "completion"])
    hint = f"Did you mean {near[0]}?" if near else f"Commands: {', '.join(commands)}."
    return UsageError(f"There is no command {words[0]!r}.", hint)


def _completion(words: Sequence[str]) -> str:
    """Return the completions of all commands for a shell.

    Raises:
        UsageError: no shell is named, or one that cannot be served.
        ToolkitError: the package that writes them is not installed.
    """
    if len(words) != 1 or words[0] not in ("bash", "zsh"):
        raise UsageError(
            "Completions are made for bash or zsh.", 'For example: eval "$(wandb-toolkit completion bash)"'
        )
    try:
        from wandb_toolkit.commands import completion
    except ImportError as error:
        raise ToolkitError(
            "Completions are written by the package shtab, which is not installed.",
            "pip install shtab, or install wandb-toolkit[completion].",
        ) from error
    return completion.script(words[0])
