"""export_runs into an object store: what is there is whole, is not written again, and is never another's."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as logs
from wandb_toolkit.commands import export_runs
from wandb_toolkit.errors import Exit

fsspec = pytest.importorskip("fsspec")
URL = "memory://bucket/sets/one"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def store() -> Any:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    return memory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "b"):
        rows = [logs.history({"loss": 1 / (n + 1)}, n) for n in range(5)]
        logs.write_run(tmp_path / "my runs", [logs.run(name, project="p"), *rows, logs.exit_()], name)
    return tmp_path / "my runs"


def export(capsys: Capture, *words: str | Path, code: int = 0) -> Any:
    assert export_runs.main([*map(str, words), "--json", "-q"]) == code
    printed = capsys.readouterr()
    return json.loads(printed.err if code else printed.out)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_it_holds_what_a_folder_would(store: Any, folder: Path, tmp_path: Path, capsys: Capture, form: str) -> None:
    found = export(capsys, folder, "--output", URL, "--format", form)
    assert found["output_dir"] == URL
    assert found["manifest"] == f"{URL}/manifest.json"
    beside = tmp_path / "beside"
    export(capsys, folder, "--output", beside, "--format", form)
    there = {path.removeprefix("/bucket/sets/one/"): store.cat_file(path) for path in store.find("/bucket")}
    assert there == {str(p.relative_to(beside)): p.read_bytes() for p in beside.rglob("*") if p.is_file()}


def test_again_only_what_changed_is_written(store: Any, folder: Path, capsys: Capture) -> None:
    export(capsys, folder, "--output", URL)
    store.rm_file("/bucket/sets/one/history/project=p/run=b/points.parquet")
    again = export(capsys, folder, "--output", URL)
    assert ([run["id"] for run in again["written"]], [run["id"] for run in again["unchanged"]]) == (["b"], ["a"])
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(store.cat_file("/bucket/sets/one/runs.parquet")))
    assert sorted(table["id"].to_pylist()) == ["a", "b"]


def test_another_datasets_place_is_refused(store: Any, folder: Path, capsys: Capture) -> None:
    store.pipe_file("/bucket/sets/one/thesis.txt", b"mine")
    error = export(capsys, folder, "--output", URL, code=Exit.USAGE)
    assert error["message"] == f"{URL} holds files, but no export."
    assert store.find("/bucket") == ["/bucket/sets/one/thesis.txt"]
    export(capsys, folder, "--output", f"{URL}/b")
    error = export(capsys, folder, "--output", f"{URL}/b", "--format", "csv", code=Exit.USAGE)
    assert "holds an export of" in error["message"]


def test_without_the_right_to_write_nothing_counts_as_done(
    store: Any, folder: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, left = type(store).put_file, [3]

    def refusing(self: Any, here: str, there: str, *args: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise PermissionError("AccessDenied for key=AKIA")
        return put(self, here, there, *args, **more)

    monkeypatch.setattr(type(store), "put_file", refusing)
    error = export(capsys, folder, "--output", URL, code=Exit.AUTH)
    assert error["message"].startswith(f"No right to write {URL}/")
    monkeypatch.undo()
    assert len(export(capsys, folder, "--output", URL)["written"]) >= 1
    assert len(export(capsys, folder, "--output", URL)["unchanged"]) == 2


def test_a_file_on_another_host_takes_its_name_when_it_is_whole(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    url = f"file://{tmp_path}/the set"
    assert len(export(capsys, folder, "--output", url)["written"]) == 2
    assert len(export(capsys, folder, "--output", url)["unchanged"]) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_an_unknown_protocol_is_a_usage_error(folder: Path, capsys: Capture) -> None:
    assert "Protocol not known" in export(capsys, folder, "--output", "nosuch://a/b", code=Exit.USAGE)["message"]
