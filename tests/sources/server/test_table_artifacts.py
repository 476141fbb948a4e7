"""Tables that the SDK keeps in artifacts: their rows, and the images in their cells, from a log and from a server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sdk_runs
from api_cases import Command
from plot_fakes import check_schema
from wandb_server import Server, Store
from wandb_server.load import load


def make_store() -> Store:
    """Return an empty store; the run is added by the test that logs it."""
    return Store()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which the real SDK logged tables, offline; the run is in ``wandb`` there."""
    home = tmp_path_factory.mktemp("a home")
    words = [sys.executable, sdk_runs.__file__, "tables", str(home)]
    subprocess.run(words, env=sdk_runs.environment(home), check=True, capture_output=True, timeout=120)
    return home


def pixel(path: Path) -> int:
    from PIL import Image

    with Image.open(path) as image:
        value: Any = image.convert("RGB").getpixel((0, 0))
    return int(value[0])


def check(command: Command, out: Path, *target: str) -> None:
    """Fetch the images of the tables, and read the rows of the one that is in an artifact."""
    said = command("download_plots", *target, "--output", str(out / "none")).out
    assert "3 images in the table's artifact, which --keys eval/samples looks into" in said
    done = command("download_plots", *target, "--keys", "eval/*", "--output", str(out), "--json").json
    check_schema("download_plots", done)
    found = [(one["key"], one["step"], one["index"], pixel(Path(one["file"]))) for one in done["downloaded"]]
    assert sorted(found) == [("eval/samples", step, row, 40 * row + step) for step in (0, 5) for row in range(3)]
    assert {one["caption"].split(", ", 1)[1] for one in done["downloaded"]} == {f"img, row {n}: c{n}" for n in range(3)}
    assert [(one["images"], one["in_files"], one["in_artifact"]) for one in done["tables"]] == [(3, 0, 3)] * 2
    table = command("get_history", *target, "--table", "qa", "--format", "csv").out
    assert table.splitlines() == ["q,a", "why,42", "who,"]
    missing = command("get_history", *target, "--table", "qb")
    assert missing.code == 4
    assert "qa" in missing.err


def test_from_the_log_with_what_the_sdk_still_keeps(
    home: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(home))
    check(command, tmp_path, str(home / "wandb"))
    # A log may name any file: only the SDK's own copies are read.
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "elsewhere"))
    done = command("download_plots", str(home / "wandb"), "--keys", "eval/*", "--output", str(tmp_path / "no"))
    assert "which could not be read" in done.out
    assert command("get_history", str(home / "wandb"), "--table", "qa").code == 4


def test_from_a_server_through_the_package(
    home: Path, command: Command, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    load(home / "wandb", server.store)
    check(command, tmp_path / "api", "ada/oracle", "tables01")
    assert server.record.leaks == []
    short = ["--timeout", "3"]
    server.fault("status", 400, operation="RunOutputArtifacts", times=100)
    out = str(tmp_path / "no")
    failed = command("download_plots", "ada/oracle", "tables01", "--keys", "eval/*", "--output", out, *short)
    assert failed.code == 6
    assert "could not list the artifacts" in failed.err
