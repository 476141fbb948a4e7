"""The versions of artifacts that runs used, from local logs and, through the wandb package, from a server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as logs
from api_cases import Command
from repository import ROOT
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


def check(document: Any) -> None:
    found = document["changes"]
    assert [(one["part"], one["key"]) for one in found["differences"]] == [("artifact", "dataset digits")]
    assert found["suspects"][0]["keys"] == ["artifact dataset digits"]
    assert not any("artifacts" in text for text in found["unrecorded"])


WORDS = ("--runs", "bad", "--baseline", "good0,good1", "--json")


def test_in_local_logs(command: Command, folder: Path) -> None:
    check(command("wandb_report", str(folder), *WORDS).json)


def test_on_a_server_through_the_package(server: Server, folder: Path, tmp_path: Path) -> None:
    load(folder, server.store)
    names = ("HOME", "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR")
    # A process of its own: the package starts a service that would outlive the test in this one.
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "wandb_report.py"), "team/p", *WORDS],
        env={**os.environ, **dict.fromkeys(names, str(tmp_path))}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))
    assert server.record.leaks == []
