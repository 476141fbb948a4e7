"""Every test: no settings of the person who runs it, no network. Runs of the real SDK, written once a session."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest

import sdk_runs

_FOREIGN = ("WANDB_", "XDG_", "CLAUDE_", "CODEX_")
_FOREIGN_NAMES = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "NETRC", "COLUMNS", "PYTHONWARNINGS")
_LOCAL = ("127.", "::1", "localhost")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that accepts changed reports."""
    parser.addoption("--golden", action="store_true", help="write the golden reports anew")


def pytest_configure() -> None:
    """Take Ctrl-C: a suite started in the background would hand "ignored" on to the processes it interrupts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _plot_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One font cache for all tests and the processes they start: HOME is another for each."""
    os.environ["MPLCONFIGDIR"] = str(tmp_path_factory.mktemp("matplotlib"))
    os.environ["MPLBACKEND"] = "Agg"


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An empty home, and none of the variables that change what the commands do."""
    # Where this process reached the wandb package's service: restored behind a test that ends the service, it would
    # lead the next one to a socket that is gone.
    os.environ.pop("WANDB_SERVICE", None)
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name in _FOREIGN_NAMES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that leaves the machine."""
    connect, lookup = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOCAL):
            raise OSError(f"a test tried to connect to {address}")
        connect(self, address)

    def guarded_lookup(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None and not str(host).startswith(_LOCAL):
            raise OSError(f"a test looked up {host}")
        return lookup(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_lookup)


@pytest.fixture(scope="session")
def sdk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `wandb` folder of the runs in `sdk_runs`. Read only; processes of pytest-xdist share it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "sdk"
    done = folder / "done"
    try:
        folder.mkdir()
    except FileExistsError:
        for _ in range(600):
            if done.exists():
                return folder / "wandb"
            time.sleep(0.2)
        pytest.fail("the other process did not write the runs")
    sdk_runs.write_all(folder)
    done.touch()
    return folder / "wandb"
