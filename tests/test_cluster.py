"""--dask: what a cluster of two workers makes is what one process makes, whatever becomes of the cluster."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repository import EXAMPLES
from wandb_toolkit import cluster as clusters
from wandb_toolkit.cluster import Cluster
from wandb_toolkit.commands import export_runs, wandb_report
from wandb_toolkit.errors import Exit, ServerError, UsageError

distributed = pytest.importorskip("distributed")
Capture = pytest.CaptureFixture[str]


def made() -> Any:
    return distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", silence_logs=50)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with made() as two:
        yield two.scheduler_address


def doubled(shared: int) -> int:
    return 2 * shared


def added(state: int, item: int) -> int:
    return state + item


def fatal_once(state: Path, item: int) -> int:
    """End the worker at the third item, the first time."""
    if item == 3 and not state.exists():
        state.write_text("")
        os.kill(os.getpid(), signal.SIGKILL)
    return item * item


def same(state: Any) -> Any:
    return state


def report(capsys: Capture, *words: str) -> Any:
    code = wandb_report.main([str(EXAMPLES), "--json", "--as-of", "2026-11-22", "--replay", *words])
    printed = capsys.readouterr()
    assert code == 0, printed.err
    found = json.loads(printed.out)
    del found["command"]
    return found


def test_a_report_and_a_replay_are_what_one_process_makes(
    address: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wandb_toolkit.workers._TRIED", 1)
    monkeypatch.setattr("wandb_toolkit.workers._WORTH", 0.0)
    assert report(capsys, "--dask", address) == report(capsys, "--jobs", "1")


def test_an_export_is_what_one_process_writes(address: str, tmp_path: Path, capsys: Capture) -> None:
    for name, words in (("one", ()), ("two", ("--dask", address))):
        assert export_runs.main([str(EXAMPLES), "--output", str(tmp_path / name), "--format", "csv", *words]) == 0
    one, two = (
        {p.relative_to(d): p.read_bytes() for p in d.rglob("*.csv")} for d in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    capsys.readouterr()


def test_a_killed_workers_things_go_to_another(tmp_path: Path) -> None:
    with made() as two, Cluster(two.scheduler_address) as cluster:
        found = list(cluster.spread(same, tmp_path / "killed", fatal_once, iter(range(99)), "squares"))
    assert found == [n * n for n in range(99)]
    assert (tmp_path / "killed").exists()
    assert cluster.said == []


def test_what_a_lost_cluster_left_is_done_here() -> None:
    two = made()
    with Cluster(two.scheduler_address) as cluster:
        results = cluster.spread(doubled, 5, added, iter(range(400)), "adds")
        first = next(results)
        two.close()
        assert [first, *results] == [10 + n for n in range(400)]
    [said] = cluster.said
    assert said.startswith("the Dask cluster was lost")
    assert said.endswith("the process here adds what was left")


def test_nothing_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(clusters, "_CONNECT", 0.3)
    assert wandb_report.main([str(EXAMPLES), "--dask", "tcp://127.0.0.1:9"]) == Exit.SERVER
    assert "No Dask scheduler answers at tcp://127.0.0.1:9." in capsys.readouterr().err
    assert wandb_report.main([str(EXAMPLES), "--dask", " "]) == Exit.USAGE
    assert wandb_report.main([str(EXAMPLES), "--dask", "nosuch://a"]) == Exit.USAGE
    assert "--dask nosuch://a is not an address" in capsys.readouterr().err


def test_workers_of_another_version_are_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "__version__", "99.0")
    with pytest.raises(UsageError, match=r"has wandb_toolkit 0\.1\.0"), Cluster(address):
        pass


def test_a_cluster_without_workers_is_refused() -> None:
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as none,
        pytest.raises(ServerError, match="has no workers"),
        Cluster(none.scheduler_address),
    ):
        pass
