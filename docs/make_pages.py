"""Write docs/commands.md, and the outputs shown in other pages: `.venv/bin/python docs/make_pages.py`.

commands.md is read from the commands' parsers rather than from `--help`, whose layout differs between versions of
Python. In the others, a comment before a block says which command's output it shows, and between which lines::

    <!-- output: wandb_report examples/wandb | ^## Good | ^## Bad -->

from the first line that matches to before the next that does; both patterns may be left out.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import re
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGES = (ROOT / "README.md", HERE / "changes.md", HERE / "replay.md", HERE / "claims.md")
OUTPUT = re.compile(r"<!-- output: (?P<what>.+?) -->\n+```\n(?P<block>.*?)```\n", re.DOTALL)
HEAD = """\
# Commands

<!-- Written by docs/make_pages.py. Do not edit: run it again. -->

What `--help` says, in one page. Each command is a script (`python3 scripts/list_runs.py ...`), and a name on the PATH
once the package is installed.
"""


def with_outputs(text: str) -> str:
    """Return a page's text with every output as it is now."""
    return OUTPUT.sub(lambda match: f"<!-- output: {match['what']} -->\n\n```\n{output(match['what'])}```\n", text)


def output(what: str) -> str:
    """Return what a command prints, run in the repository's folder, between the lines wanted."""
    line, first, last = (part.strip() for part in f"{what} | | ".split("|")[:3])
    name, *words = shlex.split(line)
    said = io.StringIO()
    command = importlib.import_module(f"wandb_toolkit.commands.{name}")
    with contextlib.chdir(ROOT), contextlib.redirect_stdout(said), contextlib.redirect_stderr(io.StringIO()):
        code = command.main(words)
    if code and name != "check_claims":  # which ends with 1 where a claim is wrong
        raise RuntimeError(f"{line} ended with {code}")
    lines = said.getvalue().splitlines()
    begin = next(at for at, text in enumerate(lines) if re.search(first, text))
    ends = (at for at, text in enumerate(lines[begin + 1 :], begin + 1) if last and re.search(last, text))
    return "\n".join(lines[begin : next(ends, len(lines))]).rstrip() + "\n"


def commands_page() -> str:
    """Return the page of all commands and flags."""
    commands = importlib.import_module("wandb_toolkit.commands")
    parsers = [parser_of(name) for name in commands.NAMES]
    parts = [HEAD, *map(_section, parsers), _common(parsers[0])]
    return "\n".join(parts)


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return a command's parser."""
    made = importlib.import_module(f"wandb_toolkit.commands.{name}").build_parser()
    assert isinstance(made, argparse.ArgumentParser)
    return made


def own_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments that are not those of every command, old names of flags left out."""
    return [action for action, shared in _actions(parser) if not shared and action.help != argparse.SUPPRESS]


def common_actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return the arguments that every command takes."""
    return [action for action, shared in _actions(parser) if shared]


def _actions(parser: argparse.ArgumentParser) -> list[tuple[argparse.Action, bool]]:
    """Return each argument, and whether every command has it. argparse has no public way to ask."""
    groups = parser._action_groups  # noqa: SLF001
    shared = {id(a) for group in groups if group.title == "common" for a in group._group_actions}  # noqa: SLF001
    general = {"--help", "--version"}
    return [(a, id(a) in shared or bool(general & set(a.option_strings))) for a in parser._actions]  # noqa: SLF001


def _section(parser: argparse.ArgumentParser) -> str:
    what, _, examples = (parser.description or "").partition("\n\nexamples:\n")
    code = "\n".join(line.strip() for line in examples.splitlines())
    return f"## {parser.prog}\n\n{what}\n\n```\n{code}\n```\n\n{_table(own_actions(parser))}\n"


def _common(parser: argparse.ArgumentParser) -> str:
    codes = (parser.epilog or "").removeprefix("exit codes:\n")
    each = re.findall(r"(\d+) (.+?)(?=\s{2,}\d|\n|$)", codes)
    rows = "\n".join(f"| {code} | {meaning.strip()} |" for code, meaning in each)
    table = _table(common_actions(parser))
    return f"## Every command\n\n{table}\n\n| exit code | meaning |\n|---|---|\n{rows}\n"


def _table(actions: Iterable[argparse.Action]) -> str:
    rows = [f"| {_name(action)} | {_cell(action.help or '')} |" for action in actions]
    return "\n".join(["| argument | meaning |", "|---|---|", *rows])


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"`{action.dest}`" + (" (optional)" if action.nargs == "?" else "")
    names = ", ".join(f"`{option}`" for option in action.option_strings)
    if action.nargs == 0:
        return names
    value = "\\|".join(map(str, action.choices)) if action.choices else action.metavar or action.dest.upper()
    return f"{names} {value}"


def _cell(text: str) -> str:
    plain = text.replace("%%", "%").replace("|", "\\|")
    return re.sub(r"<(\w+)>", r"&lt;\1&gt;", re.sub(r"(?<![\w`])(--[\w-]+)", r"`\1`", plain)).replace("*", "\\*")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "scripts"))
    (HERE / "commands.md").write_text(commands_page(), encoding="utf-8")
    for page in PAGES:
        page.write_text(with_outputs(page.read_text(encoding="utf-8")), encoding="utf-8")
