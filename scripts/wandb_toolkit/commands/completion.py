"""Shell completions of all commands, written by shtab from the commands' own parsers."""

from __future__ import annotations

import argparse
import importlib

import shtab

from wandb_toolkit.commands import NAMES

_FILES = frozenset({"target", "path", "out", "html", "roles"})
_FOLDERS = frozenset({"output"})


def script(shell: str) -> str:
    """Return what a shell evaluates to complete ``wandb-toolkit`` and all their names."""
    whole = argparse.ArgumentParser(prog="wandb-toolkit", description="Read, plot and judge W&B runs.")
    parts = whole.add_subparsers(parser_class=argparse.ArgumentParser)
    parsers = [whole]
    for name in NAMES:
        parser = importlib.import_module(f"wandb_toolkit.commands.{name}").build_parser()
        parser.description = parser.description.partition("\n")[0]  # what zsh shows beside the name
        for action in parser._actions:  # noqa: SLF001 (argparse has no public way to ask)
            if action.dest in _FILES | _FOLDERS and action.nargs != 0:
                action.complete = shtab.FILE if action.dest in _FILES else shtab.DIRECTORY
        for word in (name.replace("_", "-"), *(["report"] if name == "wandb_report" else [])):
            about = parser.description
            parts.add_parser(word, parents=[parser], conflict_handler="resolve", description=about, help=about)
        parsers.append(parser)
    return "\n".join(shtab.complete(parser, shell) for parser in parsers)
