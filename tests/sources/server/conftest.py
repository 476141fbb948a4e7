"""A server for each module's store, and the commands run against it in this process."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_cases import Command, Outcome
from wandb_server import Server, Store


@pytest.fixture(scope="module")
def running(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server of the module's `make_store`."""
    store: Store = request.module.make_store()
    with Server(store) as server:
        yield server


@pytest.fixture
def server(running: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    """The server as new, named by the environment; a cache and a working folder of the test's own."""
    running.reset()
    for name, value in running.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    yield running
    assert running.record.leaks == []
    running.reset()


@pytest.fixture
def command(server: Server, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command by name; forgets the requests before it."""

    def run(name: str, *words: str) -> Outcome:
        server.record.clear()
        capsys.readouterr()
        code = importlib.import_module(f"wandb_toolkit.commands.{name}").main(list(words))
        captured = capsys.readouterr()
        return Outcome(int(code), captured.out, captured.err)

    return run
