"""The commands: each a parser, `run(args)` and `main(argv)`; `main` here chooses among them."""

from __future__ import annotations

import importlib
import sys

from wandb_toolkit import __version__

NAMES = ("list_projects", "list_runs", "list_metrics", "download_plots", "generate_plots", "wandb_report")


def main(argv: list[str] | None = None) -> int:
    """Run ``wandb-toolkit <command> ...``; dashes and underscores are alike, ``report`` is wandb_report."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0].replace("-", "_") if words else ""
    name = "wandb_report" if name == "report" else name
    if name in NAMES:
        return int(importlib.import_module(f"wandb_toolkit.commands.{name}").main(words[1:]))
    if name == "__version":
        print(f"wandb-toolkit {__version__}")
        return 0
    usage = "usage: wandb-toolkit <command> [options]\ncommands: " + ", ".join(n.replace("_", "-") for n in NAMES)
    if name in ("__help", "_h"):
        print(usage)
        return 0
    print(f"error: {'no command given' if not words else f'unknown command {words[0]!r}'}\n{usage}", file=sys.stderr)
    return 2
