"""The index of many or large logs: the same runs without reading a log, and never a stale one."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as w
from wandb_toolkit.commands.list_projects import main as list_projects
from wandb_toolkit.commands.list_runs import main as list_runs
from wandb_toolkit.sources.http.cache import Cache
from wandb_toolkit.sources.local import index
from wandb_toolkit.sources.wandb_log import scan

Read = Callable[..., Any]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache's folder; an index is kept of three logs and more, however new they are."""
    monkeypatch.setattr(index, "MANY", 3)
    monkeypatch.setattr(index, "_SETTLED", -1)
    monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> Read:
    """Return list_runs' JSON, without what passes with time."""

    def read(folder: Path, *flags: str) -> Any:
        assert list_runs([str(folder), "--json", *flags]) == 0
        return json.loads(capsys.readouterr().out)

    return read


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """Return a function after whose call the logs that are read are noted in its result."""

    def watch() -> list[Path]:
        seen: list[Path] = []

        def noted(read: Read) -> Read:
            def call(path: Path, **what: Any) -> Any:
                seen.append(path)
                return read(path, **what)

            return call

        monkeypatch.setattr(index, "scan_log", noted(scan.scan_log))
        monkeypatch.setattr(index, "read_head", noted(scan.read_head))
        return seen

    return watch


def several(folder: Path) -> None:
    """Write runs of every kind: damaged, rewound, forked, resumed, cut off, with odd configs."""
    config = {"lr": float("nan"), "deep": {"x": [1, None, "é\udc80"]}, "big": 10**30, "": {}}
    git = w.field(1, "https://example.org/a.git")
    rows = [*w.rows(5), w.summary({"loss": 2, "odd": float("inf"), ("a", "b"): "x"}), w.metric("loss", "epoch")]
    w.write_run(folder, [w.run("one", name="n", tags=["a", "b"], config=config), *rows, w.exit_(3, 9)], "one")
    w.write_run(folder, [w.run("two", branch=("one", 3.0)), *rows], "two")
    w.write_run(
        folder,
        [w.run("one", branch=("one", 3.0), start=w.START + 99), *w.rows(3, first=4)],
        "one",
        at="20231115_000000",
    )
    w.write_run(folder, [w.run("git", group="g", notes="n") + w.field(17, w.field(21, git)), *rows, w.exit_()], "git")
    w.write_run(folder, None, "none")
    w.write_run(folder, [*w.rows(2)], "nameless", files={"config.yaml": "lr: {value: 1}"})
    broken = w.write_run(folder, [w.run("bad"), *w.rows(900), w.exit_()], "bad") / "run-bad.wandb"
    data = bytearray(broken.read_bytes())
    data[3000] ^= 1
    broken.write_bytes(data[:-9])
    (w.write_run(folder, [w.run("empty")], "empty") / "run-empty.wandb").write_bytes(b"")


def test_the_same_answers_without_reading_a_log(
    tmp_path: Path, cache: Path, listed: Read, unread: Callable[[], list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    several(tmp_path / "runs")
    plain = listed(tmp_path / "runs", "--no-cache")
    assert not cache.exists()
    assert listed(tmp_path / "runs") == plain
    seen = unread()
    assert listed(tmp_path / "runs") == plain
    assert {path.name for path in seen} <= {"run-empty.wandb"}  # an error is not kept
    assert list_projects([str(tmp_path / "runs")]) == 0
    capsys.readouterr()
    assert {path.name for path in seen} <= {"run-empty.wandb"}


def change(log: Path, how: str) -> None:
    before = log.stat()
    new = [w.run("two", name="changed"), *w.rows(5), w.summary({"loss": 7})]
    if how == "appended":
        data = bytes(w.framed(new))[7:]
        log.write_bytes(log.read_bytes() + data)
    elif how == "rewritten in place, its time set back":
        data = bytes(w.framed([w.run("two", name="changed")])).ljust(before.st_size, b"\0")
        with log.open("r+b") as file:
            file.write(data)
        os.utime(log, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif how == "replaced":
        other = log.with_suffix(".new")
        other.write_bytes(bytes(w.framed([w.run("two", name="changed")])).ljust(before.st_size, b"\0"))
        os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
        other.replace(log)
    else:
        log.write_bytes(bytes(w.framed(new)))


@pytest.mark.parametrize("how", ["appended", "rewritten in place, its time set back", "replaced", "shorter"])
def test_a_log_that_changed_is_read_again(
    tmp_path: Path, cache: Path, listed: Read, unread: Callable[[], list[Path]], how: str
) -> None:
    several(tmp_path / "runs")
    listed(tmp_path / "runs")
    [log] = (tmp_path / "runs").glob("*/run-two.wandb")
    change(log, how)
    seen = unread()
    found = listed(tmp_path / "runs")
    assert found == listed(tmp_path / "runs", "--no-cache")
    assert "changed" in {run["name"] for run in found} or how == "appended"
    assert log in seen


def test_runs_that_come_and_go(tmp_path: Path, cache: Path, listed: Read) -> None:
    several(tmp_path / "runs")
    before = listed(tmp_path / "runs")
    [gone] = (tmp_path / "runs").glob("*/run-two.wandb")
    gone.unlink()
    w.write_run(tmp_path / "runs", [w.run("new"), *w.rows(2)], "new")
    after = listed(tmp_path / "runs")
    assert {run["id"] for run in after} == {run["id"] for run in before} | {"new"}
    assert after == listed(tmp_path / "runs", "--no-cache")


def test_what_changed_a_moment_ago_is_not_kept(
    tmp_path: Path, cache: Path, listed: Read, unread: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "_SETTLED", 3_000_000_000)
    several(tmp_path / "runs")
    listed(tmp_path / "runs")
    seen = unread()
    listed(tmp_path / "runs")
    assert len(seen) > 5


@pytest.mark.parametrize("seed", range(6))
def test_a_damaged_or_strange_index_is_no_error(tmp_path: Path, cache: Path, listed: Read, seed: int) -> None:
    several(tmp_path / "runs")
    plain = listed(tmp_path / "runs")
    [kept] = cache.glob("??/*")
    text = kept.read_text().partition("\n")[2]
    rng = random.Random(seed)
    strange = ["[]", "3", "{", json.dumps({path: [] for path in json.loads(text)}), text.replace('"run"', '"ran"')]
    other = rng.choice(strange) if seed % 2 else "".join(rng.choice(strange)[: rng.randrange(99)])
    if seed == 0:
        kept.write_bytes(b"\xff\0")
    else:
        entry = Cache(cache)
        logs = index.Logs(entry, tmp_path / "runs")
        entry.put_text(logs._key(), other)
    assert listed(tmp_path / "runs") == plain


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, cache: Path, listed: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    several(tmp_path / "runs")
    cache.write_text("a file where the folder should be")
    assert listed(tmp_path / "runs") == listed(tmp_path / "runs", "--no-cache")
    assert cache.is_file()


def test_few_small_logs_leave_no_trace_and_a_large_one_is_kept(
    tmp_path: Path, cache: Path, listed: Read, unread: Callable[[], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    w.write_run(tmp_path / "runs", [w.run("one"), *w.rows(50), w.summary({"loss": 3}), w.exit_()], "one")
    plain = listed(tmp_path / "runs")
    assert not cache.exists()
    monkeypatch.setattr(scan, "LARGE", 1000)
    assert listed(tmp_path / "runs") == plain
    seen = unread()
    assert listed(tmp_path / "runs") == plain
    assert not seen
