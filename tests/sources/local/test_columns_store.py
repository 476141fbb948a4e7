"""The kept columns of large logs: the same histories as from the log, and never those of another log."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as w
from wandb_toolkit.commands.generate_plots import main as generate_plots
from wandb_toolkit.commands.list_metrics import main as list_metrics
from wandb_toolkit.model import History
from wandb_toolkit.sources import RunQuery, history_of
from wandb_toolkit.sources.http.cache import Cache
from wandb_toolkit.sources.local import columns_store, index
from wandb_toolkit.sources.local.source import LocalSource
from wandb_toolkit.sources.wandb_log import scan


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache's folder; every log is large, and kept however new it is."""
    monkeypatch.setattr(scan, "LARGE", 0)
    monkeypatch.setattr(index, "_SETTLED", -1)
    monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def read_logs(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the history keys of each scan of a log that the store makes."""
    seen: list[Any] = []

    def noted(path: Path, **what: Any) -> scan.LogScan:
        seen.append(what.get("keys", ()))
        return scan.scan_log(path, **what)

    monkeypatch.setattr(columns_store, "scan_log", noted)
    return seen


def records_of(seed: int) -> list[bytes]:
    """Return rows with what a column may hold: gaps, texts, dicts, media, NaN, steps in no key, steps again."""
    rng = random.Random(seed)
    values: list[Callable[[], Any]] = [
        rng.random, lambda: float("nan"), lambda: "text\udc80", lambda: [1], lambda: {"x": rng.random(), "y": {"z": 1}},
        lambda: {"_type": "image-file", "path": "a"}, lambda: True, lambda: None, lambda: 10**400,
    ]  # fmt: skip
    made = [w.HEADER_RECORD, w.run(name="n", branch=("abcd1234", 5.0) if seed % 3 == 0 else None)]
    step = 0
    for _ in range(200):
        row: dict[Any, Any] = {"loss": rng.random()} if rng.random() < 0.9 else {}
        for name in rng.sample(["a", "b/c", ("d", "e"), "é", "turned"], 2):
            row[name] = rng.choice(values)() if rng.random() < 0.3 else rng.random()
        named = seed % 2 == 0 or rng.random() < 0.5
        made.append(w.history({**row, **({"_step": step} if named else {})}, step, flat=rng.random() < 0.2))
        if rng.random() < 0.1:
            made.append(w.stats(w.START + step, {"cpu": step}))
        step += rng.choice([1, 1, 2]) if rng.random() < 0.98 else -3
    return [*made, w.exit_()]


def plain(history: History) -> Any:
    series = {name: (one.x.tolist(), repr(one.value.tolist()), one.axis) for name, one in history.series.items()}
    return series, history.kinds, history.rows, history.warnings


def answers(source: LocalSource) -> Any:
    [run] = source.runs(RunQuery())
    wanted: Sequence[tuple[Sequence[str] | None, bool]] = [
        (None, False), (("loss",), False), (("a", "d.e"), False), (("a.x", "system.cpu"), False), (None, True),
    ]  # fmt: skip
    histories = [plain(history_of(source, run, keys, system=system)) for keys, system in wanted]
    return repr((histories, source.metrics(run), source.metrics(run, system=True)))


@pytest.mark.parametrize("seed", range(8))
def test_the_same_histories_from_the_log_and_from_the_store(
    tmp_path: Path, cache: Path, read_logs: list[Any], seed: int
) -> None:
    run = w.write_run(tmp_path / "runs", records_of(seed))
    if seed == 5:
        log = next(run.glob("*.wandb"))
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 1
        log.write_bytes(data)
    from_log = answers(LocalSource(tmp_path / "runs"))
    assert not cache.exists()
    answers(LocalSource(tmp_path / "runs", cache=Cache(cache)))
    read_logs.clear()
    assert answers(LocalSource(tmp_path / "runs", cache=Cache(cache))) == from_log
    assert set(read_logs) <= {()}  # for system metrics only


def test_a_choice_of_metrics_is_kept_by_itself(tmp_path: Path, cache: Path, read_logs: list[Any]) -> None:
    w.write_run(tmp_path / "runs", records_of(2))
    for keys in (("loss", "a"), ("a", "loss"), ("a",), None, ("b/c",)):
        source = LocalSource(tmp_path / "runs", cache=Cache(cache))
        [run] = source.runs(RunQuery())
        history_of(source, run, keys)
    assert read_logs == [("loss", "a"), ("a",), None]


@pytest.mark.parametrize("how", ["appended", "rewritten", "damaged entry", "damaged column", "cut entry"])
def test_what_changed_is_read_again(tmp_path: Path, cache: Path, read_logs: list[Any], how: str) -> None:
    log = next(w.write_run(tmp_path / "runs", [w.run(), *w.rows(50)]).glob("*.wandb"))
    answers(LocalSource(tmp_path / "runs", cache=Cache(cache)))
    status = log.stat()
    entries = list(cache.glob("??/*.bytes"))
    if how == "appended":
        log.write_bytes(bytes(w.framed([w.run(), *w.rows(60)])))
    elif how == "rewritten":
        with log.open("r+b") as file:
            file.write(w.framed([w.run(), *w.rows(50, name="other")])[: status.st_size])
        os.utime(log, ns=(status.st_atime_ns, status.st_mtime_ns))
    for entry in entries:
        data = bytearray(entry.read_bytes())
        if how == "damaged entry":
            data[30] ^= 1
        elif how == "damaged column":
            data[-5] ^= 1
        elif how == "cut entry":
            del data[-9:]
        entry.write_bytes(data)
    read_logs.clear()
    assert answers(LocalSource(tmp_path / "runs", cache=Cache(cache))) == answers(LocalSource(tmp_path / "runs"))
    assert None in read_logs


def test_drawing_all_metrics_reads_the_rows_once(
    tmp_path: Path,
    cache: Path,
    read_logs: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [w.history({"_step": step, "a": step, "b": step / 2, "c": -step}, step) for step in range(60)]
    w.write_run(tmp_path / "runs", [w.run(), *rows, w.summary({"a": 1, "b": 1, "c": 1}), w.exit_()])
    monkeypatch.setattr("wandb_toolkit.commands.chosen_metrics.MOST_POINTS", 61)  # one metric at a time
    assert (
        generate_plots([str(tmp_path / "runs"), "--all-metrics", "--output", str(tmp_path / "out"), "--jobs", "1"]) == 0
    )
    assert read_logs == [None]
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3
    assert list_metrics([str(tmp_path / "runs"), "latest", "--json"]) == 0
    assert read_logs == [None]
    capsys.readouterr()
    assert list_metrics([str(tmp_path / "runs"), "latest", "--json", "--no-cache"]) == 0
    assert len(read_logs) == 2
