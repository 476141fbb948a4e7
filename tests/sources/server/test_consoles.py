"""The ends of many runs' consoles: a few requests, each run its own, from whichever place the server keeps them in."""

from __future__ import annotations

import pytest

from wandb_server import OLD_SERVER, File, Run, Server, Store
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources import RunQuery, open_source

MANY = 45


def make_store() -> Store:
    """Return runs that print, every third into a file only; the last has nothing."""
    store = Store()
    rows = [{"_step": 0, "loss": 1.0}]
    for n in range(MANY):
        lines = [f"run {n} starts", f"run {n} ends"]
        files = [File("output.log", "\n".join(lines).encode())] if n % 3 == 0 else []
        run = Run(f"run{n:02}", rows, state="crashed", files=files, console=[] if files else lines)
        store.project("ada", "p").add(run)
    store.project("ada", "p").add(Run("silent", rows))
    return store


@pytest.mark.parametrize("old", [False, True])
def test_each_run_has_its_own_console(server: Server, *, old: bool) -> None:
    server.without = OLD_SERVER if old else ()
    source, _ = open_source("ada/p")
    runs = source.runs(RunQuery())
    server.record.clear()
    found = list(source.consoles(runs, 1))
    printed = {run.id: lines for run, lines in zip(runs, found, strict=True)}
    assert printed.pop("silent") == []
    assert printed == {f"run{n:02}": [f"run {n} ends"] if n % 3 == 0 or not old else [] for n in range(MANY)}
    if not old:
        in_files = MANY // 3
        assert server.record.count() - in_files <= 6, "three requests for the lines, three for the lists of files"


def test_a_console_that_fails_is_that_run_s_alone(server: Server) -> None:
    broken = server.store.projects["ada", "p"].runs["run01"]
    broken.failing["logLines"] = "out of order"
    try:
        source, _ = open_source("ada/p")
        runs = source.runs(RunQuery())
        found = {run.id: lines for run, lines in zip(runs, source.consoles(runs, 1), strict=True)}
    finally:
        broken.failing.clear()
    assert [id_ for id_, lines in found.items() if isinstance(lines, ToolkitError)] == ["run01"]
    assert found["run02"] == ["run 2 ends"]
