"""The skills' pages: every command in them runs as written, on local runs and on a server; names in them are right."""

from __future__ import annotations

import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repository import ROOT
from wandb_server import KEY, Server
from wandb_server.load import load
from wandb_toolkit.commands import NAMES
from wandb_toolkit.errors import Exit
from wandb_toolkit.roles import assign_roles

PAGES = [ROOT / "SKILL.md", *sorted(ROOT.glob("skills/*/SKILL.md")), *sorted(ROOT.glob("skills/*/references/*.md"))]
EXAMPLES = ROOT / "examples" / "wandb"
# What the pages' placeholders stand for, the longer names first.
WORDS = {
    "RUN_A": "grpo-base-s1",
    "RUN_B": "kl-leash",
    "METRIC_B": "train/kl",
    "METRIC": "eval/accuracy",
    "RUN": "lr-too-high",
    "TAG": "baseline",
    "GROUP": "baseline",
    "KEY": "beta",
    "TABLE": "samples",
    "FILE": "results.md",
}
SLOW = ("--html", "--all-metrics", "'*'", "'train/*'", "--full-res")  # drawn from local runs only
LINE = re.compile(r"python3 scripts/(?P<name>\w+)\.py(?P<words>[^`\n]*)")


def commands(path: Path) -> Iterator[str]:
    """Yield the command lines of a page, those in running text, too; each once."""
    yield from dict.fromkeys(match[0].strip() for match in LINE.finditer(path.read_text(encoding="utf-8")))


def filled(line: str, target: str, entity: str) -> str:
    """Return a command line with its placeholders replaced, quoted for a shell."""
    words = {"TARGET_OR_ENTITY": shlex.quote(entity), "TARGET": shlex.quote(target), **WORDS}
    for placeholder, value in words.items():
        line = re.sub(rf"(?<![A-Z_]){placeholder}(?![A-Z_])", value, line)
    left = re.findall(r"\b[A-Z]{2,}_?[A-Z]*\b", line.replace(target, ""))
    assert not left, f"what is {left}?"
    return line


CASES = {line: path for path in reversed(PAGES) for line in commands(path)}
PIPES = [line for line in CASES if "|" in line]
PLAIN = [line for line in CASES if "|" not in line]


def run(line: str) -> int:
    match = LINE.fullmatch(line)
    assert match
    assert match["name"] in NAMES
    words = shlex.split(match["words"])
    return int(importlib.import_module(f"wandb_toolkit.commands.{match['name']}").main(words))


def ends_with(line: str) -> int:
    """Return the exit code over the example runs."""
    if "--fail-on" in line:  # the latest example run was killed: ugly
        return Exit.FAILED
    return Exit.PARTIAL if "--kind bars" in line else Exit.OK  # they are of too few configurations


def test_enough_was_found() -> None:
    assert len(PLAIN) >= 25
    assert len(PIPES) >= 10
    assert {name for line in CASES for name in re.findall(r"scripts/(\w+)\.py", line)} == set(NAMES)


@pytest.mark.parametrize("line", PLAIN)
def test_commands_on_local_runs(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    if "assets/" in line:
        (tmp_path / "assets").symlink_to(CASES[line].parent / "assets")
    (tmp_path / "results.md").symlink_to(ROOT / "examples" / "results.md")
    assert run(filled(line, str(EXAMPLES), str(EXAMPLES))) == ends_with(line), capsys.readouterr().err
    assert capsys.readouterr().out.strip()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server(load(EXAMPLES)).warm() as running:
        yield running


@pytest.mark.parametrize("line", [line for line in PLAIN if "TARGET" in line and not any(w in line for w in SLOW)])
def test_commands_on_a_server(
    line: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    (tmp_path / "results.md").symlink_to(ROOT / "examples" / "results.md")
    assert run(filled(line, "ada/grpo-digits", "ada")) == ends_with(line), capsys.readouterr().err
    assert capsys.readouterr().out.strip()


@pytest.mark.skipif(not shutil.which("jq"), reason="jq is not installed")
@pytest.mark.parametrize("line", PIPES)
def test_recipes(line: str, tmp_path: Path) -> None:
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    words = ["bash", "-o", "pipefail", "-c", filled(line, str(EXAMPLES), str(EXAMPLES))]
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "null" not in done.stdout.split()


@pytest.mark.parametrize("path", sorted(ROOT.glob("skills/*/references/*.md")), ids=lambda p: str(p.relative_to(ROOT)))
def test_references_are_linked_from_their_skill(path: Path) -> None:
    assert f"(references/{path.name})" in (path.parents[1] / "SKILL.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "path", [page for page in PAGES if page.parent != ROOT], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_skill_names_its_own_scripts_only(path: Path) -> None:
    """A skill folder may come alone."""
    folder = path.parent if path.name == "SKILL.md" else path.parents[1]
    for name in re.findall(r"scripts/(\w+\.py)", path.read_text(encoding="utf-8")):
        assert (folder / "scripts" / name).is_file(), name


def test_troubleshooting_is_one_text() -> None:
    assert len({path.read_bytes() for path in ROOT.glob("skills/*/references/troubleshooting.md")}) == 1


def test_metric_names_are_recognised_as_the_page_says() -> None:
    roles = ("loss", "eval_loss", "reward", "kl", "entropy", "grad_norm")
    page = (ROOT / "skills" / "wandb" / "references" / "metric-names.md").read_text(encoding="utf-8")
    rows = [[cell.strip(" `") for cell in row.strip("|").split("|")] for row in re.findall(r"^\|.*`.*\|$", page, re.M)]
    assert len(rows) >= 12
    for framework, *cells in rows:
        named = {role: cell for role, cell in zip(roles, cells, strict=True) if cell}
        found = {role: match.metric for role, match in assign_roles(list(named.values())).items()}
        assert {role: found.get(role) for role in named} == named, framework


# ---- what an agent has to read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "most"),
    [
        ("list_projects TARGET", 300),
        ("list_runs TARGET", 2500),
        ("list_runs TARGET --fields id,state,summary_metrics.METRIC", 1200),
        ("list_metrics TARGET RUN", 5400),
        ("generate_plots TARGET RUN_A,RUN_B --metrics METRIC", 1500),
        ("wandb_report TARGET --latest 1", 5400),
        ("wandb_report TARGET --runs RUN_A,RUN_B", 6500),
    ],
)
def test_answers_stay_short(
    line: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token is three to four characters; benchmarks/economy.py counts them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").symlink_to(EXAMPLES)
    name, _, words = line.partition(" ")
    assert run(filled(f"python3 scripts/{name}.py {words}", "w", "w")) == 0
    said = capsys.readouterr()
    assert len(said.out) + len(said.err) < most
