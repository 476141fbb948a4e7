"""The versions of artifacts that runs used, from local logs and, through the wandb package, from a server."""

from __future__ import annotations

from pathlib import Path

import pytest

import wandb_runs as logs
from api_cases import Command
from wandb_server import Server, Store
from wandb_server.load import load


def make_store() -> Store:
    """Return an empty store; the runs are added by the test that writes them."""
    return Store()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, name in enumerate(["good0", "good1", "bad"]):
        used = [
            logs.use_artifact("dataset", f"digits:v{4 if name == 'bad' else 3}"),
            logs.use_artifact("model", "base:v0"),
        ]
        rows = [logs.history({"loss": 1 / (step + 1) + (name == "bad")}, step) for step in range(30)]
        head = logs.run(name, name=name, entity="team", project="p", start=logs.START + 100 * n)
        logs.write_run(tmp_path / "wandb", [head, *used, *rows, logs.exit_()], name)
    return tmp_path / "wandb"


def check(command: Command, target: str) -> None:
    found = command("wandb_report", target, "--runs", "bad", "--baseline", "good0,good1", "--json").json["changes"]
    assert [(one["part"], one["key"]) for one in found["differences"]] == [("artifact", "dataset digits")]
    assert found["suspects"][0]["keys"] == ["artifact dataset digits"]
    assert not any("artifacts" in text for text in found["unrecorded"])


def test_in_local_logs(command: Command, folder: Path) -> None:
    check(command, str(folder))


def test_on_a_server_through_the_package(
    command: Command, server: Server, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    load(folder, server.store)
    check(command, "team/p")
    assert server.record.leaks == []
