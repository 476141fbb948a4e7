"""The real wandb SDK reads from the test server what was put there: the server speaks W&B's language.

One SDK session for all of it, because each start costs a second and more.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from repository import EXAMPLES
from wandb_server import EPOCH, Export, File, Run, Server, Store, Sweep, User
from wandb_server.load import load
from wandb_toolkit.model import Run as ModelRun
from wandb_toolkit.sources.base import RunQuery, history_of
from wandb_toolkit.sources.local.source import LocalSource

COUNT = 1000
LIVE = 700  # the first row of run `tail` that is not exported


def logged() -> list[dict[str, Any]]:
    """Return rows with what makes histories hard: rare keys, NaN, text, media, nested dicts."""
    rows: list[dict[str, Any]] = []
    for step in range(COUNT):
        row: dict[str, Any] = {"_step": step, "_timestamp": 1.7e9 + step, "train/loss": 1 / (step + 1), "count": step}
        if step % 50 == 0:
            row["eval/acc"] = 0.5 + step / 4000
        if step % 100 == 7:
            row["img"] = {"_type": "image-file", "path": f"media/images/img_{step}.png"}
        if step % 10 == 3:
            row["nested"] = {"a": step, "b": {"c": step * 0.5}}
        row["note"] = f"row {step}"
        rows.append(row)
    rows[5]["train/loss"] = math.nan
    rows[6]["train/loss"] = math.inf
    return rows


ROWS = logged()


def make_store() -> Store:
    """Return the store that these tests read."""
    store = Store(viewer=User("ada", "Ada L."), teams=["lab"])
    files = [File("config.yaml", b"lr: 1\n"), File("media/images/ü b_7.png", b"\x89PNG\r\n"), File("empty.txt", b"")]
    events = [{"_timestamp": 1.7e9 + n, "_runtime": float(n), "system.cpu": n / 2} for n in range(40)]
    store.project("lab", "grid").add(
        Run(
            "whole",
            ROWS,
            display_name="all exported",
            config={"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.99]}, "none": None},
            tags=["base", "long"],
            group="g1",
            job_type="train",
            notes="a note",
            user=User("ada", "Ada L."),
            events=events,
            files=files,
            console=["first line", "second line"],
            export=Export(files=3, row_group=100),
        ),
        Run("tail", ROWS, state="running", sweep="sw1", export=Export(rows=LIVE, files=2, row_group=100)),
        Run("live", ROWS, state="crashed", sweep="sw1", export=Export(rows=0)),
        Run("plain", [{"loss": n} for n in range(3)], display_name=None, export=Export(flat=True)),
    )
    store.project("lab", "grid").sweeps["sw1"] = Sweep("sw1", display_name="a sweep", best_loss=0.25)
    many = [
        Run(f"r{n:03}", [{"loss": n}], config={"lr": n / 10}, state="failed" if n % 3 == 0 else "finished")
        for n in range(120)
    ]
    store.project("lab", "many").add(*many)
    return load(EXAMPLES, store, entity="ada")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The server, running."""
    with Server(make_store()) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The SDK's Api, its settings and caches in folders of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CACHE_DIR", "WANDB_DIR", "WANDB_CONFIG_DIR", "HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        for name in ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_MODE"):
            patch.delenv(name, raising=False)
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        import wandb

        yield wandb.Api(overrides={"base_url": server.url}, api_key=server.key, timeout=20)
        wandb.teardown()


@pytest.fixture(autouse=True)
def _untroubled(server: Server) -> Iterator[None]:
    server.record.clear()
    yield
    assert server.record.leaks == []
    server.reset()


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without padding, non-finite numbers as text: Parquet has NaN, live data "NaN"."""
    return [{key: _plain(value) for key, value in row.items() if value is not None} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def holding(*keys: str) -> list[dict[str, Any]]:
    """Return what was logged of the keys, in rows that hold them all."""
    return [{"_step": row["_step"], **{key: row[key] for key in keys}} for row in ROWS if all(k in row for k in keys)]


def test_who_and_what(api: Any) -> None:
    assert (api.default_entity, api.viewer.username, api.viewer.teams) == ("ada", "ada", ["ada", "lab"])
    assert sorted(project.name for project in api.projects("lab")) == ["grid", "many"]
    assert [project.name for project in api.projects("ada", per_page=1)] == ["grpo-digits"]


def test_runs_filtered_ordered_paged(api: Any, server: Server) -> None:
    runs = api.runs("lab/many", filters={"state": "failed", "config.lr.value": {"$gte": 2}}, order="-config.lr.value")
    assert [run.id for run in runs] == [f"r{n:03}" for n in range(119, 19, -1) if n % 3 == 0]
    server.record.clear()
    listed = api.runs("lab/many", order="+summary_metrics.loss", per_page=50)
    assert len(listed) == 120
    assert [run.id for run in listed] == [f"r{n:03}" for n in range(120)]
    assert server.record.by_operation()["Runs"] == 3


def test_run(api: Any) -> None:
    run = api.run("lab/grid/whole")
    assert (run.id, run.name, run.state, run.created_at) == (
        "whole",
        "all exported",
        "finished",
        "2026-01-01T00:00:00Z",
    )
    assert (run.tags, run.group, run.job_type, run.notes) == (["base", "long"], "g1", "train", "a note")
    assert run.user.username == "ada"
    assert run.config == {"lr": 0.1, "opt": {"name": "adam", "betas": [0.9, 0.99]}, "none": None}
    assert (run.summary["train/loss"], run.summary["eval/acc"]) == (1 / COUNT, 0.5 + 950 / 4000)
    assert run.summary["nested"]["b"]["c"] == 993 * 0.5
    assert (run.lastHistoryStep, run.history_keys["keys"]["eval/acc"]["typeCounts"][0]["count"]) == (COUNT - 1, 20)
    assert run.system_metrics["system.cpu"] == 19.5
    assert api.run("lab/grid/plain").name is None


def test_sampled(api: Any) -> None:
    run = api.run("lab/grid/whole")
    assert run.history(keys=["eval/acc"], pandas=False) == holding("eval/acc")
    some = run.history(keys=["train/loss", "count"], samples=50, pandas=False)
    assert len(some) == 50
    assert [some[0]["_step"], some[-1]["_step"]] == [0, COUNT - 1]
    assert all(row in plain(holding("train/loss", "count")) for row in some)
    assert run.history(keys=["eval/acc", "img"], pandas=False) == []  # never logged together
    assert plain(run.history(samples=COUNT, pandas=False)) == plain(ROWS)
    assert run.history(stream="events", samples=100)["system.cpu"].tolist() == [n / 2 for n in range(40)]


@pytest.mark.parametrize("run_id", ["whole", "live"])
def test_scanned(api: Any, run_id: str) -> None:
    run = api.run(f"lab/grid/{run_id}")
    assert plain(list(run.scan_history())) == plain(ROWS)
    for keys in (["train/loss"], ["eval/acc"], ["count", "note"], ["img"]):
        scanned = [row for row in plain(list(run.scan_history(keys=keys))) if len(row) > 1]
        assert scanned == plain(holding(*keys))
    assert plain(list(run.scan_history(min_step=990, max_step=995, use_cache=False))) == plain(ROWS[990:995])


def test_scanned_over_the_seam(api: Any) -> None:
    """Exported rows, then live ones. The pages meet at the seam: a page across it comes with rows twice."""
    run = api.run("lab/grid/tail")
    assert plain(list(run.scan_history(page_size=LIVE))) == plain(ROWS)
    keyed = plain(list(run.scan_history(keys=["train/loss"], page_size=LIVE)))
    assert keyed == plain(holding("train/loss"))
    assert len(list(run.scan_history(keys=["count"], page_size=COUNT))) == COUNT + LIVE


def test_exports(api: Any, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    result = api.run("lab/grid/whole").download_history_exports(tmp_path)
    assert len(result.paths) == 3
    tables = sorted((pq.read_table(path) for path in result.paths), key=lambda table: table["_step"][0].as_py())
    assert [step for table in tables for step in table["_step"].to_pylist()] == list(range(COUNT))
    assert tables[0]["eval/acc"].null_count == tables[0].num_rows - 7
    assert tables[0]["nested"].to_pylist()[3] == {"a": 3, "b": {"c": 1.5}}


def test_files(api: Any, server: Server, tmp_path: Path) -> None:
    run = api.run("lab/grid/whole")
    assert [(file.name, file.size) for file in run.files()] == [
        ("config.yaml", 6),
        ("empty.txt", 0),
        ("media/images/ü b_7.png", 6),
    ]
    [image] = run.files(pattern="media/%.png")
    image.download(str(tmp_path)).close()
    assert (tmp_path / image.name).read_bytes() == b"\x89PNG\r\n"
    assert run.file("config.yaml").md5
    hosts = [(call.host, call.status) for call in server.record.calls if call.path.endswith(".png")]
    assert hosts == [("api", 302), ("storage", 200)]


def test_console_and_sweeps(api: Any) -> None:
    run = api.run("lab/grid/whole")
    assert [line.content for line in run.console_logs()] == ["first line", "second line"]
    assert [line.content for line in run.console_logs(last=1)] == ["second line"]
    [sweep] = api.project("grid", "lab").sweeps()
    assert (sweep.id, sweep.name, {run.id for run in sweep.runs}) == ("sw1", "a sweep", {"tail", "live"})
    assert api.run("lab/grid/tail").sweep.id == "sw1"


def test_the_same_runs_as_on_disk(api: Any) -> None:
    """Runs loaded from logs and read back by the SDK are what the local source reads."""
    source = LocalSource(EXAMPLES)
    local = {run.id: run for run in source.runs(RunQuery())}
    served = {run.id: run for run in api.runs("ada/grpo-digits", lazy=False)}
    assert set(served) == set(local)
    for run_id, run in local.items():
        remote = served[run_id]
        assert (remote.name, remote.state, tuple(remote.tags)) == (run.name, run.state, run.tags)
        assert (remote.group, remote.job_type) == (run.group, run.job_type)
        assert remote.config == dict(run.config)
        summary = {key: _plain(value) for key, value in run.summary.items()}
        assert {key: value for key, value in remote.summary_metrics.items() if key != "_wandb"} == summary
        assert run.created_at is not None
        assert remote.created_at == run.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")
        _same_history(source, run, list(remote.scan_history()))


def _same_history(source: LocalSource, run: ModelRun, rows: list[dict[str, Any]]) -> None:
    history = history_of(source, run)
    assert history.series
    for name, series in history.series.items():
        points = [(row["_step"], _plain(row[name])) for row in rows if row.get(name) is not None]
        assert points == [(x, _plain(y)) for x, y in zip(series.x.tolist(), series.value.tolist(), strict=True)], name


def test_errors(api: Any, server: Server) -> None:
    import wandb

    with pytest.raises(wandb.errors.AuthenticationError):
        wandb.Api(overrides={"base_url": server.url}, api_key="f" * 40)
    with pytest.raises(ValueError, match="nope"):
        list(api.runs("lab/nope"))
    with pytest.raises(wandb.errors.CommError):
        api.run("lab/grid/nope")
    server.fault("status", 429, times=1, headers={"Retry-After": "0"})
    assert api.runs("lab/grid", filters={"display_name": "tail"})[0].created_at == EPOCH.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert server.record.faults_met == 1
