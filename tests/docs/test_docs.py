"""The pages: links lead somewhere, commands run as written, generated parts are fresh, schemas hold what is printed."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from benchmarks.diagnoses.troubles import TROUBLES

from repository import ROOT
from wandb_toolkit.commands import NAMES
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.errors import Exit

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SKILL.md", "examples/README.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("skills/**/*.md")),
]
REMAKE = "run: .venv/bin/python docs/make_pages.py"


def ids(value: object) -> str:
    return str(value.relative_to(ROOT)) if isinstance(value, Path) else str(value)[:60]


def shell_blocks(text: str) -> list[str]:
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def runnable_lines() -> Iterator[str]:
    """Yield the commands of README.md's blocks that are marked as runnable, each a pipeline of its own."""
    for block in re.findall(r"<!-- runnable -->\n+```sh\n(.*?)```", README, re.DOTALL):
        yield from (line for line in block.replace("|\n", "| ").splitlines() if line and not line.startswith("#"))


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_pages", ROOT / "docs" / "make_pages.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder where README's relative paths lead to this repository, and `python3` is this interpreter."""
    folder = tmp_path / "a checkout"
    folder.mkdir()
    for name in ("scripts", "examples"):
        (folder / name).symlink_to(ROOT / name)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (tmp_path / "bin" / "python3").chmod(0o755)
    return folder


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_links_lead_somewhere(path: Path) -> None:
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?://|#", link):
            assert (path.parent / link.split("#")[0]).exists(), link


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_paths_named_are_there(path: Path) -> None:
    for name in re.findall(
        r"`((?:docs|tests|scripts|skills|examples)/[\w./-]+\.\w+)`", path.read_text(encoding="utf-8")
    ):
        assert (ROOT / name).exists() or (path.parent / name).exists(), name


def test_main_job_and_tests_are_the_first_two_commands() -> None:
    commands = [line for block in shell_blocks(README) for line in block.splitlines() if line.strip()]
    assert commands[:2] == ["bash .venv-setup.sh demo", "bash .venv-setup.sh test"]
    before = README[: README.index(commands[0])]
    assert "```" not in before.removesuffix("```sh\n"), "another block comes first"


def test_ci_runs_the_test_command_as_written() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    assert "check bash .venv-setup.sh test" in lines


def test_every_command_block_is_marked_or_a_known_one() -> None:
    marked = len(re.findall(r"<!-- runnable -->", README))
    assert len(shell_blocks(README)) == marked + 2
    assert {name for line in runnable_lines() for name in re.findall(r"scripts/(\w+)\.py", line)} == set(NAMES)


@pytest.mark.parametrize("line", list(runnable_lines()), ids=ids)
def test_readme_commands_run(line: str, checkout: Path) -> None:
    if "| jq" in line.replace("|  jq", "| jq") and not shutil.which("jq"):
        pytest.skip("jq is not installed")
    env = {**os.environ, "PATH": f"{checkout.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    bash = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(bash, cwd=checkout, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "null" not in done.stdout.split()


def test_flags_are_documented(pages: ModuleType) -> None:
    written = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for name in NAMES:
        section = re.search(rf"^## {name}\n(.*?)(?=^## )", written, re.DOTALL | re.MULTILINE)
        assert section, f"{name}: {REMAKE}"
        for action in pages.own_actions(pages.parser_of(name)):
            for option in action.option_strings or [action.dest]:
                assert f"`{option}`" in section[1], f"{name} {option}: {REMAKE}"


def test_commands_page_is_fresh(pages: ModuleType) -> None:
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == pages.commands_page(), REMAKE


def test_outputs_in_readme_are_fresh(pages: ModuleType) -> None:
    assert len(pages.OUTPUT.findall(README)) >= 4
    for page in pages.PAGES:
        text = page.read_text(encoding="utf-8")
        assert pages.with_outputs(text) == text, REMAKE


def test_exit_codes_named_in_readme_are_those_there_are() -> None:
    said = re.search(r"^Exit codes: (.*?)\n\n", README, re.DOTALL | re.MULTILINE)
    assert said
    assert [int(code) for code in re.findall(r"\b\d+\b", said[1])] == [int(code) for code in Exit]


def test_pictures_are_small_and_shown(pages: ModuleType) -> None:
    gallery = ROOT / "docs" / "gallery"
    text = (gallery / "README.md").read_text(encoding="utf-8")
    made = {path.name for path in gallery.glob("*.png")}
    assert made == set(re.findall(r"\]\((\w+\.png)\)", text))
    assert all((gallery / name).stat().st_size < 150_000 for name in made)
    maker = (gallery / "make.py").read_text(encoding="utf-8")
    assert made == set(re.findall(r'"(\w+\.png)": ', maker))


def test_the_page_of_diagnoses_shows_each_picture_and_each_trouble_of_the_labelled_runs() -> None:
    gallery = ROOT / "docs" / "gallery"
    text = (gallery / "diagnoses.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"\]\(diagnoses/(\w+)\.png\)", text))
    assert shown == {path.stem for path in (gallery / "diagnoses").glob("*.png")}
    assert set(TROUBLES) <= shown <= set(DETECTORS)
    assert all(f"## {DETECTORS[id_].title}\n" in text for id_ in shown)
