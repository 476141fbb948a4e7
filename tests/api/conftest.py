"""A server for each module's store, and the commands run against it in this process."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wandb_server import Server, Store


@dataclass(frozen=True)
class Outcome:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out, parse_constant=lambda token: pytest.fail(f"not strict: {token}"))

    @property
    def error(self) -> Any:
        """The error object on stderr."""
        return json.loads(self.err)


Command = Callable[..., Outcome]


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
