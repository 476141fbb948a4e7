"""list_projects: which projects there are."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli.formats import add_format_flag, format_of
from wandb_toolkit.errors import Exit, NotFoundError, did_you_mean

EXAMPLES = """\
list_projects ~/experiments
list_projects my-team
list_projects examples/wandb --json | jq -r '.[].name'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("list_projects", "List the W&B projects, the most recently active first.", EXAMPLES)
    parser.add_argument(
        "path",
        nargs="?",
        help="a folder above W&B runs, or an entity of the server (default: your entity there; without an API key "
        "$WANDB_DIR, else the current folder)",
    )
    parser.add_argument("--entity", help="only this entity's projects (local: runs that name no entity)")
    parser.add_argument("--limit", type=cli.positive_int, default=100, metavar="N", help="at most N projects (100)")
    add_format_flag(parser)
    cli.add_common_flags(parser, lists=True)
    return parser


def run(args: argparse.Namespace) -> Exit:
    """List the projects."""
    from wandb_toolkit.listing import tables
    from wandb_toolkit.listing.table import terminal_width

    kind = format_of(args)
    source, _ = cli.open_source(args, args.path, of_entity=True)
    projects = source.projects(args.entity)
    if not projects and source.kind == "api":
        raise NotFoundError(f"No visible projects for {args.entity or source.description}.")
    if not projects:
        entities = sorted({project.entity or "local" for project in source.projects()})
        raise NotFoundError(f"No project of the entity {args.entity!r}.", did_you_mean(args.entity, entities, "entity"))
    for line in source.warnings:
        cli.warn(line, args)
    shown = projects[: args.limit]
    cli.emit(
        args,
        [tables.project_json(one) for one in shown],
        lambda: tables.projects_table(shown, terminal_width(), kind),
    )
    note = tables.left_out(len(shown), len(projects), "project", "--limit N shows more")
    if note and not args.quiet:
        print(note, file=sys.stderr)
    return Exit.OK


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return cli.run_command(build_parser(), run, argv)
