"""export_runs through `main(argv)`: a dataset that holds every point, and that only changes where runs did."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as logs
from plot_fakes import check_schema
from repository import ROOT
from wandb_toolkit.commands import export_runs
from wandb_toolkit.errors import Exit, ToolkitError

EXAMPLES = ROOT / "examples" / "wandb"
Capture = pytest.CaptureFixture[str]


def export(capsys: Capture, *words: str | Path, code: int = 0) -> Any:
    assert export_runs.main([*map(str, words), "--json", "-q"]) == code, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    check_schema("export_runs", found)
    return found


def refused(capsys: Capture, *words: str | Path) -> str:
    assert export_runs.main([*map(str, words)]) == Exit.USAGE
    return capsys.readouterr().err


def records(run_id: str, count: int, **more: Any) -> list[bytes]:
    rows = [
        logs.history({"loss": math.nan if n == 3 else 1 / (n + 1), **({"acc": n / 10} if n % 2 else {})}, 10 * n)
        for n in range(count)
    ]
    config = {"lr": 0.1, "layers": [64, 64], "hub_token": "swordfish", **more}
    return [logs.run(run_id, name=f"run {run_id}", project="p", config=config), *rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs that have ended, the second with another type of learning rate."""
    logs.write_run(tmp_path / "wandb", [*records("a", 6), logs.summary({"acc": 0.5}), logs.exit_()], "a")
    logs.write_run(tmp_path / "wandb", [*records("b", 4, lr=1, warm=True), logs.exit_()], "b")
    return tmp_path / "wandb"


def points(dataset: Path, run: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(
        dataset / "history" / "project=p" / f"run={run}" / "points.parquet", partitioning=None
    ).to_pylist()
    return rows


def test_every_point_is_there_and_a_null_is_no_nan(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    import pyarrow.parquet as pq

    found = export(capsys, folder, "--output", tmp_path / "out")
    assert [(run["id"], run["points"]) for run in found["written"]] in ([("a", 9), ("b", 6)], [("b", 6), ("a", 9)])
    rows = points(tmp_path / "out", "a")
    assert [row["_step"] for row in rows] == [0, 10, 20, 30, 40, 50]
    assert [row["acc"] for row in rows] == [None, 0.1, None, 0.3, None, 0.5]
    assert math.isnan(rows[3]["loss"])
    assert [row["loss"] for row in rows if row["_step"] != 30] == [1.0, 1 / 2, 1 / 3, 1 / 5, 1 / 6]
    table = pq.read_table(tmp_path / "out" / "runs.parquet")
    by_id = {row["id"]: row for row in table.to_pylist()}
    assert (by_id["a"]["config.lr"], by_id["b"]["config.lr"], by_id["a"]["summary.acc"]) == (0.1, 1.0, 0.5)
    assert (by_id["a"]["config.warm"], by_id["b"]["config.warm"]) == (None, True)
    assert (by_id["a"]["config.layers"], by_id["a"]["config.hub_token"]) == ("[64, 64]", "***")
    schema = json.loads((tmp_path / "out" / "schema.json").read_text())
    assert schema["runs"]["columns"].keys() == set(table.column_names)
    assert schema["runs"]["columns"]["config.warm"] == "bool"


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_text_formats_hold_the_same(form: str, folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    export(capsys, folder, "--output", out, "--format", form)
    path = out / "history" / "project=p" / "run=a" / f"points.{form}"
    if form == "csv":
        rows: list[Any] = list(csv.DictReader(io.StringIO(path.read_text())))
        assert [row["loss"] for row in rows] == ["1.0", "0.5", repr(1 / 3), "NaN", "0.2", repr(1 / 6)]
        assert [row["acc"] for row in rows] == ["", "0.1", "", "0.3", "", "0.5"]
    else:
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert [row["loss"] for row in rows] == [1.0, 0.5, 1 / 3, "NaN", 0.2, 1 / 6]
        assert ["acc" in row for row in rows] == [False, True, False, True, False, True]
    before = (out / f"runs.{form}").read_bytes()
    export(capsys, folder, "a", "--output", out, "--format", form)  # the other run's row is read back as it was
    assert (out / f"runs.{form}").read_bytes() == before


def test_again_reads_only_what_changed(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    log = logs.write_run(folder, records("c", 3), "c") / "run-c.wandb"
    export(capsys, folder, "--output", out)
    old = {path: path.stat().st_mtime_ns for path in out.rglob("points.*")}
    logs.write_log(log, [*records("c", 5), logs.exit_()])
    found = export(capsys, folder, "--output", out)
    assert {run["id"] for run in found["unchanged"]} == {"a", "b"}
    assert [run["id"] for run in found["written"]] == ["c"]
    assert len(points(out, "c")) == 5
    changed = {path.parent.name for path in old if path.stat().st_mtime_ns != old[path]}
    assert changed == {"run=c"}
    # A rewound run has fewer rows; a file that somebody removed is written again.
    logs.write_log(log, [*records("c", 2), logs.exit_()])
    (out / "history" / "project=p" / "run=b" / "points.parquet").unlink()
    assert {run["id"] for run in export(capsys, folder, "--output", out)["written"]} == {"b", "c"}
    assert (len(points(out, "b")), len(points(out, "c"))) == (4, 2)
    # Other metrics: all anew.
    assert len(export(capsys, folder, "--output", out, "--metrics", "los*")["written"]) == 3
    assert set(points(out, "a")[0]) == {"_step", "_runtime", "_timestamp", "loss"}


def test_after_an_interruption_the_rest_is_written(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wandb_toolkit.export import write

    out, write_run = tmp_path / "out", write._write_run

    def disk_is_full(run: Any, *rest: Any) -> Any:
        if (out / "history").exists():
            raise ToolkitError("No space left.")
        return write_run(run, *rest)

    monkeypatch.setattr(write, "_write_run", disk_is_full)
    assert export_runs.main([str(folder), "--output", str(out)]) == Exit.FAILED
    monkeypatch.undo()
    found = export(capsys, folder, "--output", out)
    assert (len(found["written"]), len(found["unchanged"])) == (1, 1)
    assert sorted(map(len, (points(out, "a"), points(out, "b")))) == [4, 6]


def test_folders_that_hold_something_else_are_left_alone(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("mine")
    assert "holds files, but no export" in refused(capsys, folder, "--output", out)
    (out / "thesis.tex").unlink()
    export(capsys, folder, "--output", out)
    assert "holds an export of" in refused(capsys, folder, "--output", out, "--format", "csv")
    assert "holds an export of" in refused(capsys, EXAMPLES, "--output", out)
    (out / "manifest.json").write_text("{")
    assert "is not the manifest of an export" in refused(capsys, folder, "--output", out)
    (out / "manifest.json").unlink()
    assert refused(capsys, folder, "--output", "  ")
    assert len(points(out, "a")) == 6


def test_a_run_that_cannot_be_read_leaves_the_others(folder: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    logs.write_run(folder, [logs.run("a", entity="else", project="p"), *records("x", 2)[1:], logs.exit_()], "x")
    found = export(capsys, folder, "--output", out, code=Exit.PARTIAL)
    [failed] = found["failed"]
    assert failed["id"] == "a"
    assert "same project and id" in failed["message"]
    assert {run["id"] for run in found["written"]} == {"a", "b"}


def test_the_page_s_queries_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    export(capsys, EXAMPLES, "--output", "dataset")
    names: dict[str, Any] = {}
    exec("\n".join(blocks), names)
    assert len(names["best"]) == 8
    assert names["best"][0][1] == pytest.approx(0.9912, abs=0.02)
    assert len(names["rates"]) >= 2
    assert set(names["table"]["run"]) == {path.name.rsplit("-", 1)[1] for path in EXAMPLES.glob("*run-*")}
