"""Whole histories: exports and the live tail behind them, servers that export nothing or send less than asked for."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api_cases import Command
from wandb_server import OLD_SERVER, Export, History, Run, Server, Store

ROWS = 3_000
STEPS = 400_000
WALK = np.random.default_rng(1).normal(size=STEPS).cumsum()


def logged() -> list[dict[str, Any]]:
    """Return rows of everything that makes histories hard."""
    rows: list[dict[str, Any]] = []
    for step in range(ROWS):
        row: dict[str, Any] = {"_step": step, "loss": 1 / (step + 1), "flag": step % 2 == 0}
        if step % 50 == 0:
            row["eval/acc"] = step / ROWS
        if step % 3 == 1:
            row["nested"] = {"a": step, "b": {"c": step * 0.5}}
            row["dot.ted"] = -step
        if step % 100 == 7:
            row["img"] = {"_type": "image-file", "path": f"media/images/{step}.png"}
            row["words"] = [1, "x"]
        if step % 7 == 0:
            row["note"] = f"row {step}"
            row["hist"] = {"_type": "histogram", "bins": [0, 1], "values": [step]}
        if step >= ROWS - 20:
            row["late"] = step * 2.0
        rows.append(row)
    for step, value in ((5, math.nan), (6, math.inf), (ROWS - 3, math.nan), (ROWS - 2, -math.inf)):
        rows[step]["loss"] = value
    return rows


LOGGED = logged()
SPARSE = [{"_step": 10**9 * n + 7, "loss": float(n)} for n in range(300)]


def make_store() -> Store:
    """Return the hard run, one of sparse steps, one that is long."""
    store = Store()
    store.project("ada", "p").add(
        Run("hard", LOGGED),
        Run("sparse", SPARSE, export=Export(rows=0)),
        Run("empty", []),
        Run(
            "long",
            History.from_arrays({"one": WALK, **{f"other-{n}": WALK for n in range(6)}}),
            export=Export(files=2, row_group=20_000),
        ),
    )
    return store


def expected(name: str, rows: list[dict[str, Any]] = LOGGED) -> list[float]:
    found = []
    for row in rows:
        value: Any = row.get(name)
        if value is None and "." in name:
            value = row
            for part in name.split("."):
                value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found.append(float(value))
    return found


NUMERIC = ("loss", "flag", "eval/acc", "nested.a", "nested.b.c", "dot.ted", "late")
EXPORTS = {
    "one file": Export(),
    "many files, shuffled": Export(files=7, row_group=100),
    "flat, not padded": Export(files=3, flat=True, padded=False),
    "tail": Export(rows=2_000, files=3),
    "tail of one row": Export(rows=ROWS - 1),
    "one row exported": Export(rows=1),
    "tail not announced": Export(rows=2_500, files=2, listed_live=False),
    "no export": Export(rows=0),
    "no export, nothing announced": Export(rows=0, listed_live=False),
}


@pytest.mark.parametrize(
    ("how", "cap", "old"),
    [*((how, cap, False) for how in EXPORTS for cap in (None, 500)), ("no export", None, True)],
)
def test_statistics_are_exact(command: Command, server: Server, how: str, cap: int | None, old: bool) -> None:
    server.store.projects["ada", "p"].runs["hard"].export = EXPORTS[how]
    server.limits.samples = cap
    server.without = OLD_SERVER if old else ()
    found = command("list_metrics", "ada/p", "hard", "--json", "--no-cache")
    assert found.code == 0, found.err
    for name in NUMERIC:
        values = np.array(expected(name))
        finite = values[np.isfinite(values)]
        one = found.json[name]
        assert one["exact"] is True
        assert one["type"] == "number"
        assert one["non_null_count"] == len(values)
        assert one["nonfinite_count"] == len(values) - len(finite)
        assert one["count"] == ROWS
        assert one["min"] == finite.min()
        assert one["max"] == finite.max()
        assert one["mean"] == pytest.approx(finite.mean(), rel=1e-12)
        assert (one["first"], one["last"]) == (values[0], values[-1])
    kinds = {name: found.json[name]["type"] for name in ("note", "img", "hist", "words")}
    assert kinds == {"note": "string", "img": "image", "hist": "histogram", "words": "list"}
    assert found.json["img"]["non_null_count"] == 30
    assert "exact" in found.json["note"]
    assert "img.path" not in found.json


@pytest.mark.parametrize("how", ["many files, shuffled", "tail", "tail not announced", "no export"])
def test_full_resolution_draws_each_point_once(command: Command, server: Server, how: str, tmp_path: Path) -> None:
    server.store.projects["ada", "p"].runs["hard"].export = EXPORTS[how]
    server.limits.samples = 300
    words = ["ada/p", "hard", "--metrics", "loss,late", "--output", str(tmp_path / "out")]
    found = command("generate_plots", *words, "--full-res", "--json", "--no-cache")
    assert found.code == 0, found.err
    assert len(found.json["plots"]) == 2
    for plot in found.json["plots"]:
        [run] = plot["runs"]
        assert run["points"] == run["logged"] == len(expected(plot["metric"])), plot["metric"]


def test_a_capped_server_without_counts(command: Command, server: Server) -> None:
    """Nobody says how many points there are, and fewer come than asked for: the first half, asked for again, tells."""
    server.limits.samples = 200
    server.without = [*OLD_SERVER]
    found = command("list_metrics", "ada/p", "hard", "--json")
    assert found.json["loss"]["non_null_count"] == ROWS
    server.store.projects["ada", "p"].runs["hard"].export = Export(rows=0)
    plots = command("generate_plots", "ada/p", "hard", "--metrics", "loss", "--full-res", "--json")
    assert plots.json["plots"][0]["runs"][0]["points"] == ROWS


@pytest.mark.parametrize("run", ["hard", "long"])
def test_statistics_a_few_metrics_at_a_time(
    command: Command, server: Server, monkeypatch: pytest.MonkeyPatch, run: str
) -> None:
    server.store.projects["ada", "p"].runs["hard"].export = Export(files=2)
    whole = command("list_metrics", "ada/p", run, "--json", "--no-cache").json
    calls = len(server.record.calls)
    monkeypatch.setattr("wandb_toolkit.sources.server.reader.POINTS_TOGETHER", 2 * (ROWS if run == "hard" else STEPS))
    parts = command("list_metrics", "ada/p", run, "--json", "--no-cache").json
    assert len(server.record.calls) > calls
    assert json.dumps(parts) == json.dumps(whole)


def test_sparse_steps(command: Command, server: Server) -> None:
    found = command("list_metrics", "ada/p", "sparse", "--json")
    assert found.json["loss"]["non_null_count"] == len(SPARSE)
    assert found.json["loss"]["max_step"] == SPARSE[-1]["_step"]
    assert len(server.record.calls) <= 5
    server.limits.samples = 100
    again = command("list_metrics", "ada/p", "sparse", "--json", "--no-cache")
    assert again.json == found.json
    assert len(server.record.calls) < 20


def test_a_run_that_logged_nothing(command: Command) -> None:
    found = command("list_metrics", "ada/p", "empty")
    assert (found.code, found.out.strip()) == (0, "empty logged no metrics.")
    assert command("list_metrics", "ada/p", "empty", "--json").json == {}
    assert command("generate_plots", "ada/p", "empty", "--all-metrics").code == 4


def test_budget(command: Command, server: Server) -> None:
    """Over the budget the statistics are from samples, and both table and JSON say so."""
    table = command("list_metrics", "ada/p", "hard", "--budget", "2000", "--no-cache")
    assert "statistics are from samples (--budget N reads more)" in table.out.splitlines()[0]
    found = command("list_metrics", "ada/p", "hard", "--budget", "2000", "--json", "--no-cache").json
    assert server.record.count(operation="ParquetHistory") == 0
    assert found["loss"]["exact"] is False
    assert found["loss"]["non_null_count"] == ROWS
    assert found["eval/acc"]["exact"] is True  # 60 points come whole
    assert found["eval/acc"]["max"] == max(expected("eval/acc"))
    whole = command("list_metrics", "ada/p", "hard", "--budget", "1000000", "--no-cache")
    assert "over every logged point" in whole.out.splitlines()[0]


def test_one_metric_of_a_long_run_costs_its_columns(command: Command, server: Server, tmp_path: Path) -> None:
    size = sum(map(len, export_sizes(server)))
    words = ["ada/p", "long", "--metrics", "one", "--full-res", "--json", "--output", str(tmp_path)]
    found = command("generate_plots", *words)
    [run] = found.json["plots"][0]["runs"]
    assert run["points"] == run["logged"] == STEPS
    assert run["min"] == WALK.min()
    sent = server.record.sent
    assert sent < 0.4 * size, f"{sent} of {size} bytes"  # `_step` and one of seven columns, and the footers
    assert len(server.record.calls) <= 40


def export_sizes(server: Server) -> list[bytes]:
    from wandb_server.parquet import export_of

    return export_of(server.store.projects["ada", "p"].runs["long"])


def test_sampled_by_default(command: Command, server: Server, tmp_path: Path) -> None:
    words = ["ada/p", "long", "--metrics", "one,other-1,other-2", "--json", "--output", str(tmp_path)]
    found = command("generate_plots", *words)
    for plot in found.json["plots"]:
        [run] = plot["runs"]
        assert (run["points"], run["logged"]) == (1500, STEPS)
        assert (run["first"], run["last"]) == (WALK[0], WALK[-1])
    assert server.record.count() <= 3
    assert server.record.sent < 1_000_000


def test_a_sample_is_said_to_be_one_where_nobody_counts(command: Command, server: Server, tmp_path: Path) -> None:
    server.without = OLD_SERVER
    words = ["ada/p", "hard", "--metrics", "loss,eval/acc", "--json", "--output", str(tmp_path)]
    found = command("generate_plots", *words)
    shown = {plot["metric"]: (plot["runs"][0]["points"], plot["runs"][0]["logged"]) for plot in found.json["plots"]}
    assert shown == {"loss": (1500, ROWS), "eval/acc": (60, 60)}


def test_metrics_of_separate_rows_are_all_there(command: Command, server: Server, tmp_path: Path) -> None:
    """W&B joins the keys of one question: asked for together, these have no row in common."""
    words = ["ada/p", "hard", "--metrics", "eval/acc,nested.a,late", "--json", "--output", str(tmp_path)]
    found = command("generate_plots", *words)
    shown = {plot["metric"]: plot["runs"][0]["points"] for plot in found.json["plots"]}
    assert shown == {name: len(expected(name)) for name in ("eval/acc", "nested.a", "late")}
    assert server.record.count() <= 3


def test_what_has_no_line_is_said(command: Command, tmp_path: Path) -> None:
    found = command("generate_plots", "ada/p", "hard", "--metrics", "img,loss", "--output", str(tmp_path), "--json")
    assert (found.code, [one["metric"] for one in found.json["skipped"]]) == (6, ["img"])
    assert "is an image" in found.json["skipped"][0]["reason"]
    alone = command("generate_plots", "ada/p", "hard", "--metrics", "note")
    assert alone.code == 2
    assert "string" in alone.err
    near = command("generate_plots", "ada/p", "hard", "--metrics", "eval/ac", "--json")
    assert near.code == 4
    assert "eval/acc" in near.error["hint"]
    near = command("list_metrics", "ada/p", "hard", "--pattern", "los*x")
    assert near.code == 4


def test_a_growing_run_is_read_to_its_end(command: Command, server: Server) -> None:
    run = server.store.projects["ada", "p"].runs["sparse"]
    kept = run.rows
    try:
        run.state = "running"
        for count in (100, 200, 250):
            run.set_history(SPARSE[:count])
            run.export = Export(rows=count // 2)
            found = command("list_metrics", "ada/p", "sparse", "--json")
            assert found.json["loss"]["non_null_count"] == count
            assert found.json["loss"]["last"] == count - 1
    finally:
        run.state, run.export = "finished", Export(rows=0)
        run.set_history(kept)
