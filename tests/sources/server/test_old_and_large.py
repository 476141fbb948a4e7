"""Servers of years ago, very many runs, units that only a fault would reach."""

from __future__ import annotations

import json
import tracemalloc
from datetime import timedelta
from typing import Any

import pytest

from api_cases import Command
from wandb_server import EPOCH, OLD_SERVER, File, Run, Server, Store
from wandb_toolkit.errors import ServerError
from wandb_toolkit.sources.base import RunQuery
from wandb_toolkit.sources.http.auth import Credentials
from wandb_toolkit.sources.http.cache import Cache
from wandb_toolkit.sources.http.connection import Connection
from wandb_toolkit.sources.server.filters import as_regex
from wandb_toolkit.sources.server.parquet import read_columns
from wandb_toolkit.sources.server.rows import RowColumns
from wandb_toolkit.sources.server.run import parse_time, step_metrics_of
from wandb_toolkit.sources.server.sampled_history import guessed_keys, parse_keys
from wandb_toolkit.sources.server.source import ApiSource

MANY = 300


def rows(number: int, count: int = 200) -> list[dict[str, Any]]:
    return [{"_step": n, "loss": 1 / (n + 1 + number), "acc": n / 100, "nested": {"x": n}} for n in range(count)]


def make_store() -> Store:
    """Return a few runs with everything, and many plain ones."""
    store = Store()
    store.project("ada", "p").add(
        *(
            Run(
                f"run{n}",
                rows(n),
                config={"lr": n},
                events=[{"_timestamp": EPOCH.timestamp() + s, "_runtime": s, "system.cpu": float(s)} for s in range(9)],
                files=[File("output.log", b"Traceback\nValueError: broken\n"), File("a.txt", b"x")],
                state="failed" if n else "finished",
                step_metrics={"loss": "acc"},
                created_at=EPOCH + timedelta(minutes=n),
            )
            for n in range(3)
        )
    )
    store.project("ada", "many").add(
        *(Run(f"r{n:04}", rows(n, 60), created_at=EPOCH + timedelta(minutes=n)) for n in range(MANY))
    )
    return store


@pytest.mark.parametrize(
    ("words", "lacks"),
    [
        (["list_projects"], ""),
        (["list_runs", "ada/p"], "how many rows"),
        (["list_metrics", "ada/p", "run1", "--include-system"], "which metrics a run logged"),
        (["generate_plots", "ada/p", "run0,run1", "--metrics", "loss,system.cpu"], "which metrics a run logged"),
        (["generate_plots", "ada/p", "run0", "--all-metrics", "--full-res"], "which metrics a run logged"),
        (["wandb_report", "ada/p"], "which metrics a run logged"),
        (["download_plots", "ada/p", "run1", "--pattern", "*.txt"], "how many rows"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_an_older_server_answers_as_a_new_one(command: Command, server: Server, words: list[str], lacks: str) -> None:
    new = command(*words, "--json", "--no-cache")
    server.without = OLD_SERVER
    old = command(*words, "--json", "--no-cache")
    assert (new.code, old.code) == (0, 0), old.err
    assert (lacks in old.err) if lacks else not old.err
    if words[0] == "list_metrics":
        assert old.json == new.json
    elif words[0] == "wandb_report":
        assert [old.json[part] for part in ("verdict", "bad", "ugly")] == [
            new.json[part] for part in ("verdict", "bad", "ugly")
        ]
        assert "ValueError: broken" in old.out
    elif words[0] == "generate_plots":
        assert [plot["metric"] for plot in old.json["plots"]] == [plot["metric"] for plot in new.json["plots"]]
        assert [run["points"] for plot in old.json["plots"] for run in plot["runs"]] == [
            run["points"] for plot in new.json["plots"] for run in plot["runs"]
        ]


def test_system_metrics_that_are_a_sample_say_so(command: Command, server: Server) -> None:
    run = server.store.projects["ada", "p"].runs["run0"]
    kept = run.events
    run.events = [{"_runtime": float(s), "system.cpu": float(s)} for s in range(12_000)]
    try:
        found = command("list_metrics", "ada/p", "run0", "--include-system", "--json").json
        assert (found["system.cpu"]["system"], found["system.cpu"]["exact"]) == (True, False)
        assert found["loss"]["exact"] is True
    finally:
        run.events = kept


def test_many_histories_do_not_pile_up(server: Server) -> None:
    """What is held at once does not grow with the number of runs."""
    credentials = Credentials(server.url, server.url, None)
    server.store.projects["ada", "many"].access = "public"
    source = ApiSource(Connection(credentials), server.url, "ada", "many", Cache(None))
    peaks = []
    for count in (100, MANY):
        runs = source.runs(RunQuery(limit=count))
        tracemalloc.start()
        for _, history in source.histories(runs, ["loss"], full=False):
            assert len(history["loss"]) == 60  # type: ignore[index]
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.6 * peaks[0], peaks


def test_a_report_on_many_runs_asks_little(command: Command, server: Server) -> None:
    found = command("wandb_report", "ada/many", "--max-runs", "40", "--json")
    assert len(found.json["runs"]) == 40
    assert server.record.count() < 40
    assert 1 < server.record.peak <= 10


def test_clocks_that_disagree(command: Command, server: Server) -> None:
    """A run that began after its last sign of life, and one from the future."""
    late, early = EPOCH + timedelta(days=9000), EPOCH - timedelta(days=2)
    skewed = server.store.project("ada", "skewed")
    skewed.add(Run("a", rows(0), heartbeat_at=early), Run("b", rows(1), created_at=late, state="running"))
    found = command("list_runs", "ada/skewed", "--json")
    assert [(one["id"], one["duration"] >= 0) for one in found.json] == [("b", True), ("a", True)]
    assert command("wandb_report", "ada/skewed", "--json").code == 0


# ---- units ----------------------------------------------------------------------------------------------------------


def test_globs_are_expressions_that_every_engine_takes() -> None:
    assert as_regex("a b-c#é*?[0-9][!x].+") == "^a b-c#é.*.[0-9][^x]\\.\\+$"


@pytest.mark.parametrize("value", [None, "", "{}", "[]", "no JSON", {"keys": None}, {"keys": {"a": None}}])
def test_history_keys_of_any_shape(value: Any) -> None:
    keys = parse_keys(value)
    assert set(keys.kinds) <= {"a"}


def test_history_keys() -> None:
    counts = [{"type": "number", "count": 3}, {"type": "nil", "count": 9}]
    value = {"keys": {"a": {"typeCounts": counts}, "_step": {}, "b": {"typeCounts": [{"type": "image-file"}]}}}
    keys = parse_keys(json.dumps({**value, "lastStep": 7}))
    assert (keys.counts["a"], dict(keys.kinds), keys.last_step) == (3, {"a": "number", "b": "image"}, 7)


def test_what_a_summary_lets_suppose() -> None:
    found = guessed_keys({"a": 1, "n": {"x": True}, "t": "word", "l": [1], "i": {"_type": "image-file"}, "_step": 3})
    assert found.kinds == {"a": "number", "n.x": "number", "t": "string", "l": "list", "i": "image"}


def test_rows_of_any_shape() -> None:
    columns = RowColumns()
    assert columns.add_rows(['{"_step": 1, "a": NaN}', "no JSON", None, 3, {"_step": 2, "a": "Infinity"}, "[]"]) == 2
    assert [str(value) for value in columns.columns["a"].values] == ["nan", "inf"]


def test_a_key_with_a_dot_beside_a_dict() -> None:
    """Flattened, a column "a.b" stands twice in the table."""
    import pyarrow as pa

    columns = RowColumns()
    columns.add_table(pa.table({"_step": [0, 1], "a.b": [1.0, None], "a": [None, {"b": 2.0}]}))
    assert sorted(columns.columns["a.b"].values) == [1.0, 2.0]


def one_by_one(calls: list[Any]) -> list[Any]:
    return [call() for call in calls]


@pytest.mark.parametrize("data", [b"", b"x", b"PAR1", b"x" * 5000, b"PAR1" + b"\0" * 50 + b"\xff\xff\xff\x7fPAR1"])
def test_exports_that_are_none(data: bytes) -> None:
    def fetch(start: int, length: int) -> bytes:
        return data[start : start + length]

    with pytest.raises(ServerError):
        read_columns(
            lambda length: (data[:length], len(data)), fetch, lambda paths: paths, lambda calls: [c() for c in calls]
        )


def test_an_export_read_by_ranges() -> None:
    import io

    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    names = [f"c{n}" for n in range(40)]
    pq.write_table(
        pa.table({name: [float(n) * 1.7 for n in range(20_000)] for name in names}), buffer, row_group_size=5_000
    )
    data = buffer.getvalue()
    asked: list[int] = []

    def fetch(start: int, length: int) -> bytes:
        asked.append(length)
        return data[start : start + length]

    table = read_columns(
        lambda length: (data[:length], len(data)),
        fetch,
        lambda _: ["c7", "c30"],
        lambda calls: [call() for call in calls],
    )
    assert table.column_names == ["c7", "c30"]
    assert table.column("c30").to_pylist()[-1] == 19_999 * 1.7
    assert sum(asked) < len(data) / 4


def test_times() -> None:
    assert parse_time("2026-01-01T00:00:00") == EPOCH
    assert parse_time("2026-01-01T01:00:00+01:00") == EPOCH
    assert parse_time("2026-01-01T00:00:00Z") == EPOCH
    assert [parse_time(value) for value in (None, "", "soon", 3)] == [None] * 4


def test_step_metrics_by_place_and_by_name() -> None:
    listed = [{"1": "epoch"}, {"2": "eval/*", "5": 1}, {"1": "loss", "4": "tokens"}, {"1": "x", "5": 99}, None, {}]
    assert step_metrics_of({"_wandb": {"m": listed}}) == {"eval/*": "epoch", "loss": "tokens"}
    assert step_metrics_of({"_wandb": {"m": "odd"}}) == step_metrics_of({}) == {}
