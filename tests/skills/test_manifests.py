"""Manifests and SKILL.md files: what clients require of them, and that they say what is there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import wandb_toolkit
from repository import ROOT

SKILLS = [ROOT / "SKILL.md", *sorted(ROOT.glob("skills/*/SKILL.md"))]
PAGES = [*SKILLS, *sorted(ROOT.glob("skills/*/references/*.md"))]


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def manifest(name: str) -> Any:
    return json.loads((ROOT / ".claude-plugin" / name).read_text())


def frontmatter(path: Path) -> dict[str, Any]:
    head = re.match(r"---\n(.*?)\n---\n", path.read_text(), re.DOTALL)
    assert head
    fields = yaml.safe_load(head[1])
    assert isinstance(fields, dict)
    return fields


def test_one_version_everywhere() -> None:
    market = manifest("marketplace.json")
    (entry,) = market["plugins"]
    versions = {manifest("plugin.json")["version"], market["metadata"]["version"], entry["version"]}
    assert versions == {wandb_toolkit.__version__}


def test_marketplace_offers_this_repository() -> None:
    plugin, market = manifest("plugin.json"), manifest("marketplace.json")
    (entry,) = market["plugins"]
    assert entry["source"] == "./"
    for key in ("name", "description", "author", "license"):
        assert entry[key] == plugin[key]
    assert plugin["name"] == market["name"] == "wandb-toolkit"


@pytest.mark.parametrize("path", SKILLS, ids=ids)
def test_frontmatter(path: Path) -> None:
    fields = frontmatter(path)
    assert fields["name"] == ("wandb-toolkit" if path.parent == ROOT else path.parent.name)
    assert fields["license"] == "MIT"
    assert 1 <= len(fields["description"]) <= 1024
    assert not set("<>") & set(fields["description"])
    assert "Use when" in fields["description"]
    assert re.match(r"[A-Z][a-z]+s ", fields["description"])  # third person: "Reads", "Judges"
    assert not re.search(r"\b(I|you|your)\b", fields["description"])
    assert set(fields) <= {"name", "description", "license", "metadata", "allowed-tools"}
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", fields["name"])
    assert len(fields["name"]) <= 64


@pytest.mark.parametrize("path", SKILLS, ids=ids)
def test_frontmatter_is_read_alike_by_every_yaml_reader(path: Path) -> None:
    """Some clients read a line as "key: value" and no more: one line a field, nothing that needs quoting."""
    head = path.read_text().split("---\n")[1]
    for line in head.splitlines():
        key, colon, value = line.partition(": ")
        assert colon
        assert key in {"name", "description", "license"}
        assert ": " not in value
        assert " #" not in value
        assert value[0] not in "\"'[{|>&*!%@`"


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_pages_are_short_and_their_links_lead_somewhere(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 200
    assert all(
        len(line) <= 130 or line.startswith(("|", "description:", "- [", "python3")) for line in text.splitlines()
    )
    assert "CLAUDE_" not in text  # variables that other clients do not fill in
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        target = (path.parent / link).resolve()
        assert target.is_file(), link
        assert path.parent == ROOT or target.is_relative_to(path.parent), link


@pytest.mark.parametrize("path", SKILLS, ids=ids)
def test_commands_named_are_there(path: Path) -> None:
    text = path.read_text()
    scripts = set(re.findall(r"(?:python3|bash) ([\w./-]+\.(?:py|sh))", text))
    assert len(scripts) >= 2
    for script in scripts:
        assert (path.parent / script).is_file(), script


@pytest.mark.parametrize("skill", ["wandb", "wandb-plot"])
def test_an_editable_installation_in_a_skill_points_at_the_repository(skill: str) -> None:
    folder = ROOT / "skills" / skill
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    [only] = project["project"]["dependencies"]
    name, _, place = only.partition(" @ ")
    assert place == "{root:parent:parent:uri}"
    assert tomllib.loads((folder.parent.parent / "pyproject.toml").read_text())["project"]["name"] == name
    assert "/skills/*/.venv/" in (ROOT / ".gitignore").read_text().splitlines()
