"""Runs in an object store: copied once, copied again where they changed, and read as local runs are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from repository import EXAMPLES
from wandb_toolkit.commands import download_plots, list_runs, wandb_report
from wandb_toolkit.errors import Exit

fsspec = pytest.importorskip("fsspec")
URL = "memory://bucket/team/wandb"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path / "cache"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.put(str(EXAMPLES), "/bucket/team/wandb", recursive=True)
    return memory


def listed(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    assert list_runs.main([*words, "--json", "-q"]) == 0
    return [{**run, "paths": len(run["paths"])} for run in json.loads(capsys.readouterr().out)]


def test_a_stores_runs_are_what_the_folders_are(store: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(capsys, URL) == listed(capsys, str(EXAMPLES))
    assert wandb_report.main([URL, "--fields", "verdict,source,target"]) == 0
    assert json.loads(capsys.readouterr().out) == {"verdict": "ugly", "source": "local", "target": URL}


def test_only_what_changed_is_copied_again(
    store: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    get_file = type(store).get_file

    def counted(self: Any, path: str, *args: Any, **more: Any) -> Any:
        copied.append(path)
        return get_file(self, path, *args, **more)

    monkeypatch.setattr(type(store), "get_file", counted)
    listed(capsys, URL)
    assert copied
    assert not [path for path in copied if "/media/" in path]
    copied.clear()
    listed(capsys, URL)
    assert copied == []
    [log] = [path for path in store.find("/bucket") if path.endswith("grpobas1.wandb")]
    store.pipe_file(log, store.cat_file(log)[:20_000])
    [cut] = [run for run in listed(capsys, URL) if run["id"] == "grpobas1"]
    assert copied == [log]
    assert cut["steps"] < 193
    store.rm(str(Path(log).parent), recursive=True)
    assert "grpobas1" not in [run["id"] for run in listed(capsys, URL)]


def test_images_are_copied_when_they_are_asked_for(store: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert download_plots.main([URL, "grpo-base-s1", "--output", str(out), "-q"]) == 0
    assert len(list(out.glob("*.png"))) == 5


def test_without_the_cache_nothing_stays(store: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert wandb_report.main([URL, "--runs", "grpobas1", "--no-cache", "--json"]) == 0
    assert not (tmp_path / "cache").exists()


def test_names_that_lead_out_are_passed_over(store: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for name in ("../up.wandb", "a/../../../evil.wandb"):
        store.store[f"/bucket/team/wandb/{name}"] = store.store[next(iter(store.store))]
    listed(capsys, URL)
    assert not list(tmp_path.rglob("up.wandb"))
    assert not list(tmp_path.rglob("evil.wandb"))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["memory://bucket/nothing"], Exit.NOT_FOUND, "no files at or below memory://bucket/nothing"),
        (["unheard://ada:hunter2@host/runs"], Exit.USAGE, "unheard://host/runs"),
        ([URL, "--source", "api"], Exit.USAGE, "reads W&B servers"),
    ],
)
def test_what_cannot_be_read_is_said(
    store: Any, capsys: pytest.CaptureFixture[str], words: list[str], code: int, message: str
) -> None:
    assert list_runs.main(words) == code
    said = capsys.readouterr()
    assert message in said.err
    assert "hunter2" not in said.err
    assert not said.out


def test_a_store_that_refuses_is_an_authentication_error(
    store: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(store), "find", refused)
    assert list_runs.main([URL]) == Exit.AUTH
    assert "No right to read" in capsys.readouterr().err
