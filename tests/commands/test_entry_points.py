"""What an installed package offers: `wandb-toolkit <command>` their names, completions, help, mistyped flags."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
import tomllib

import pytest

import wandb_toolkit
from repository import ROOT
from wandb_toolkit import commands
from wandb_toolkit.cli import app as cli
from wandb_toolkit.commands import NAMES
from wandb_toolkit.errors import Exit

EXAMPLES = str(ROOT / "examples" / "wandb")
Capture = pytest.CaptureFixture[str]


def test_entry_points_of_the_wheel() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == {"wandb-toolkit", *NAMES}
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("word", ["list-runs", "list_runs"])
def test_commands_by_either_name(word: str, capsys: Capture) -> None:
    assert commands.main([word, EXAMPLES, "--fields", "id", "-q"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 8
    assert commands.main(["report", "--help"]) == 0
    assert "usage: wandb_report" in capsys.readouterr().out


def test_version_and_help(capsys: Capture) -> None:
    assert commands.main(["--version"]) == 0
    assert capsys.readouterr().out == f"wandb-toolkit {wandb_toolkit.__version__}\n"
    assert commands.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name.replace("_", "-") in text for name in NAMES)
    for name in NAMES:
        assert commands.main([name, "--version"]) == 0
        assert capsys.readouterr().out == f"wandb-toolkit {wandb_toolkit.__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["lst-runs"], "list-runs"),
        (["generate"], "generate-plots"),
        ([], "list-metrics"),
        (["completion", "csh"], "bash"),
    ],
)
def test_unknown_commands(words: list[str], said: str, capsys: Capture) -> None:
    assert commands.main(words) == Exit.USAGE
    assert said in capsys.readouterr().err
    assert commands.main([*words, "--json"]) == Exit.USAGE
    assert set(json.loads(capsys.readouterr().err)) == {"type", "message", "hint"}


@pytest.mark.parametrize("name", NAMES)
def test_mistyped_flags_name_the_nearest(name: str, capsys: Capture) -> None:
    for typo, flag in (("--quite", "--quiet"), ("--no_cache", "--no-cache"), ("--feilds=id", "--fields")):
        assert commands.main([name, EXAMPLES, typo]) == Exit.USAGE
        assert f"Did you mean {flag}?" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_help_begins_with_examples_that_parse(name: str, capsys: Capture) -> None:
    assert commands.main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert text.index("examples:") < text.index("positional arguments" if "positional" in text else "options:")
    parser = importlib.import_module(f"wandb_toolkit.commands.{name}").build_parser()
    lines = re.findall(rf"^  {name} (.+)$", text, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        parser.parse_args(cli._joined([word.strip("'") for word in line.split(" | ")[0].split()]))


# ---- completions -------------------------------------------------------------------------------------------------


def complete(script: str, words: list[str]) -> list[str]:
    """Return what bash would offer for the last of `words`."""
    line = " ".join(words)
    code = f"""{script}
COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; COMP_LINE="{line}"
$(complete -p {words[0]} | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' "${{COMPREPLY[@]}}" """
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.split()


def test_completion_in_bash(capsys: Capture) -> None:
    pytest.importorskip("shtab")
    assert commands.main(["completion", "bash"]) == 0
    script = capsys.readouterr().out
    assert "list-runs" in complete(script, ["wandb-toolkit", "list-r"])
    assert complete(script, ["wandb-toolkit", "list-runs", "--jsonl"]) == ["--jsonl"]
    assert complete(script, ["list_metrics", "--patt"]) == ["--pattern"]


def test_completion_in_zsh_names_every_command(capsys: Capture) -> None:
    pytest.importorskip("shtab")
    assert commands.main(["completion", "zsh"]) == 0
    assert {f"#compdef {name}" for name in ("wandb-toolkit", *NAMES)} <= set(capsys.readouterr().out.splitlines())


def test_completion_without_shtab(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    monkeypatch.delitem(sys.modules, "wandb_toolkit.commands.completion", raising=False)
    monkeypatch.delattr(commands, "completion", raising=False)
    assert commands.main(["completion", "bash"]) == Exit.FAILED
    assert "pip install shtab" in capsys.readouterr().err
