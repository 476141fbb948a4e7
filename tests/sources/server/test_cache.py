"""The cache: only what has ended, never stale, and never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api_cases import Command
from repository import SCRIPTS
from wandb_server import EPOCH, Export, Run, Server, Store
from wandb_toolkit.sources.http.cache import Cache, cache_folder

DRAW = ["--metrics", "loss", "--full-res", "--json"]


def rows(count: int, factor: float = 1.0) -> list[dict[str, Any]]:
    return [{"_step": n, "loss": n * factor} for n in range(count)]


def make_store() -> Store:
    """Return two projects whose names run into each other."""
    store = Store()
    store.project("a", "b_c").add(Run("one", rows(500)))
    store.project("a_b", "c").add(Run("one", rows(500, 2.0)))
    return store


@pytest.fixture
def run(server: Server) -> Run:
    """A run as new, ended."""
    fresh = Run("one", rows(500), export=Export())
    server.store.project("a", "b_c").add(fresh)
    return fresh


def drawn(command: Command, target: str = "a/b_c", *more: str) -> tuple[int, float]:
    found = command("generate_plots", target, "one", *DRAW, *more)
    assert found.code == 0, found.err
    [shown] = found.json["plots"][0]["runs"]
    return shown["points"], shown["last"]


def last(command: Command, target: str = "a/b_c", *more: str) -> tuple[int, float]:
    info = command("list_metrics", target, "one", "--json", *more).json["loss"]
    return info["non_null_count"], info["last"]


def test_an_ended_run_is_read_once(command: Command, server: Server, run: Run) -> None:
    for read in (drawn, last):
        first = read(command)
        assert server.record.by_operation()["ParquetHistory"] == 1
        assert read(command) == first == (500, 499.0)
        assert server.record.by_operation()["ParquetHistory"] == 0
        assert server.record.count("storage") == 0
        assert read(command, "a/b_c", "--no-cache") == first
        assert server.record.by_operation()["ParquetHistory"] == 1


def test_two_projects_of_similar_names(command: Command, run: Run) -> None:
    for read in (drawn, last):
        assert read(command) == (500, 499.0)
        assert read(command, "a_b/c") == (500, 998.0)
        assert read(command) == (500, 499.0)


def grown(run: Run) -> None:
    run.set_history(rows(700))


def resumed(run: Run) -> None:
    run.set_history(rows(600))
    run.state = "running"


def rewound(run: Run) -> None:
    """As many rows as before, other values: only the heartbeat tells."""
    run.set_history(rows(500, 3.0))
    run.heartbeat_at = EPOCH + timedelta(hours=3)


def rewound_further(run: Run) -> None:
    run.set_history(rows(200))


def gone_on(run: Run) -> None:
    """Resumed and ended again."""
    run.set_history(rows(900))
    run.heartbeat_at = EPOCH + timedelta(hours=9)


@pytest.mark.parametrize("change", [grown, resumed, rewound, rewound_further, gone_on])
@pytest.mark.parametrize("read", [drawn, last])
def test_a_run_that_changed_is_read_anew(command: Command, run: Run, read: Any, change: Any) -> None:
    assert read(command) == (500, 499.0)
    change(run)
    expected = (len(run.rows), run.rows.last_values["loss"])
    assert read(command) == expected
    assert read(command) == expected


def test_a_running_run_is_never_kept(command: Command, server: Server, run: Run) -> None:
    run.state = "running"
    for read in (drawn, last):
        assert read(command)[0] == 500
        assert read(command)[0] == 500
        assert server.record.by_operation()["ParquetHistory"] == 1
    assert not [path for path in (Path.cwd().parent / "cache").rglob("*") if path.is_file()]


def test_a_run_whose_values_change_unseen(command: Command, run: Run) -> None:
    """Two runs of one name: one was deleted, the other made with its id. Its start tells them apart."""
    assert last(command) == (500, 499.0)
    run.created_at += timedelta(days=1)
    run.set_history(rows(500, 5.0))
    assert last(command) == (500, 499 * 5.0)


def test_damaged_entries_are_read_anew(command: Command, run: Run) -> None:
    for read in (drawn, last):
        assert read(command) == (500, 499.0)
    entries = [path for path in (Path.cwd().parent / "cache").rglob("*") if path.is_file()]
    assert entries
    for spoil in (b"", b"PK\x03\x04 no zip", b"[]\n{}"):
        for path in entries:
            path.write_bytes(spoil)
        for read in (drawn, last):
            assert read(command) == (500, 499.0)


@pytest.mark.parametrize("place", ["a file", "read-only", "no home"])
def test_a_folder_that_cannot_be_written(
    command: Command, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    if place == "a file":
        (tmp_path / "taken").write_text("x")
        monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path / "taken"))
    elif place == "read-only":
        monkeypatch.setenv("WANDB_TOOLKIT_CACHE", "/proc/none")
    else:
        monkeypatch.delenv("WANDB_TOOLKIT_CACHE")
        monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert last(command) == (500, 499.0)
    assert drawn(command, "a/b_c", "--output", str(tmp_path / place)) == (500, 499.0)


def test_several_processes_at_once(server: Server, run: Run, tmp_path: Path) -> None:
    words = [sys.executable, str(SCRIPTS / "list_metrics.py"), "a/b_c", "one", "--json"]
    started = [
        subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) for _ in range(4)
    ]
    outcomes = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0] * 4, outcomes
    assert len({out for out, _ in outcomes}) == 1
    assert not list((tmp_path / "cache").rglob("*.tmp"))


def test_what_is_unused_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_bytes=100_000)
    for number in range(30):
        cache.put(["series", number], {"x": np.arange(500.0), "value": np.arange(500.0) * number})
        for path in tmp_path.rglob("*.npz"):  # time is coarse: make the order plain
            os.utime(path, (number, number) if path.stat().st_mtime > 1000 else None)
    again = Cache(tmp_path, max_bytes=100_000)
    again.put(["one more"], {"x": np.arange(3.0)})
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.npz")) <= 110_000
    newest = again.get(["series", 29])
    assert newest is None or newest["value"][1] == 29
    assert again.get(["series", 0]) is None
    assert again.get(["one more"]) is not None


def test_one_entry_never_takes_it_all(tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_bytes=10_000)
    cache.put(["large"], {"x": np.zeros(1_000)})
    assert cache.get(["large"]) is None


def test_abandoned_files_are_cleared_away(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    old, new = tmp_path / "ab" / "old.tmp", tmp_path / "ab" / "new.tmp"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    Cache(tmp_path).put_text(["a"], "text")
    assert (old.exists(), new.exists()) == (False, True)


def test_where_it_lies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_TOOLKIT_CACHE", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "wandb-toolkit"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "wandb-toolkit"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "wandb-toolkit"
    cache = Cache(tmp_path / "new")
    cache.put_text(["a"], "ünï\n")
    assert cache.get_text(["a"]) == "ünï\n"
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0


def test_a_second_report_asks_for_no_histories(command: Command, server: Server, run: Run) -> None:
    words = ("wandb_report", "a/b_c", "--json", "--as-of", "2026-11-30")
    first = command(*words)
    asked = server.record.by_operation()["EachRun"]
    again = command(*words)
    assert again.json == first.json
    assert 0 < server.record.by_operation()["EachRun"] < asked
    gone_on(run)
    assert command(*words).json["runs"][0]["steps"] != first.json["runs"][0]["steps"]
