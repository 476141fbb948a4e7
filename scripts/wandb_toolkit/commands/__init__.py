"""The commands: each a parser, `run(args)` and `main(argv)`; `main` here chooses among them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from wandb_toolkit import __version__
from wandb_toolkit.errors import Exit, ToolkitError, UsageError, nearest


@dataclass(frozen=True)
class Command:
    """One command, declared here: the module of its name below this package has the parser and what it does."""

    name: str
    what: str  # one line of `wandb-toolkit --help`
    skill: str  # whose folder has its launcher
    document: str = "object"  # its JSON: "object", "list", or "by name"


COMMANDS = (
    Command("list_projects", "which projects there are", "wandb-plot", "list"),
    Command("list_runs", "a project's runs, the newest first", "wandb-plot", "list"),
    Command("list_metrics", "what a run logged, with statistics", "wandb-plot", "by name"),
    Command("show_run", "a run's config, code, machine, files, console; how two differ", "wandb-plot"),
    Command("get_history", "the points of metrics: CSV, a table, JSON", "wandb-plot", "list"),
    Command("export_runs", "many runs as a dataset: Parquet, CSV or JSON lines", "wandb-plot"),
    Command("generate_plots", "draw metrics of one or more runs", "wandb-plot"),
    Command("download_plots", "copy the images of a run", "wandb-plot"),
    Command("wandb_report", "judge runs: good, bad, ugly, what to try next (also: report)", "wandb"),
    Command("check_claims", "are the numbers in a text those of the runs?", "wandb"),
)
NAMES = tuple(command.name for command in COMMANDS)


def overview() -> str:
    """Return the text of `wandb-toolkit --help`."""
    listed = [(command.name.replace("_", "-"), command.what) for command in COMMANDS]
    listed.append(("completion", "completions for a shell: bash or zsh"))
    lines = "\n".join(f"  {name:<16} {what}" for name, what in listed)
    return f"""\
usage: wandb-toolkit <command> [options]

examples:
  wandb-toolkit list-runs ./wandb
  wandb-toolkit generate-plots ./wandb latest --metrics train/loss
  wandb-toolkit report ./wandb --latest 3

commands (each has --help):
{lines}

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
        print(f"wandb-toolkit {__version__}" if name == "__version" else overview())
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
