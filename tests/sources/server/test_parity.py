"""The same runs from `.wandb` files, from the server by us, and from it by the real SDK."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api_cases import Command
from repository import EXAMPLES
from sdk_runs import FIRST_STEPS, SECOND_STEPS
from wandb_server import Export, Server, Store
from wandb_server.load import load
from wandb_toolkit.model import History, Run
from wandb_toolkit.sources.base import RunQuery, history_of
from wandb_toolkit.sources.http.auth import find_credentials
from wandb_toolkit.sources.http.cache import Cache
from wandb_toolkit.sources.http.connection import Connection
from wandb_toolkit.sources.local.source import LocalSource
from wandb_toolkit.sources.server.reader import Options
from wandb_toolkit.sources.server.source import ApiSource

ENTITY, PROJECT = "ada", "grpo-digits"
EXPORTS = {
    "whole": Export(),
    "files": Export(files=4, row_group=50),
    "flat": Export(files=2, flat=True, padded=False),
    "tail": Export(rows=90, files=2),
    "unannounced": Export(rows=90, listed_live=False),
    "live": Export(rows=0),
}


def make_store() -> Store:
    """Return the example runs."""
    return load(EXAMPLES, entity=ENTITY)


@pytest.fixture(scope="module")
def written(sdk_folder: Path) -> Iterator[Server]:
    """The runs that the SDK wrote, served."""
    with Server(load(sdk_folder, entity=ENTITY)) as running:
        yield running


def source_of(server: Server, project: str, entity: str = ENTITY, **options: Any) -> ApiSource:
    """Return the source of a project, nothing cached."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment().items():
            patch.setenv(name, value)
        credentials = find_credentials()
    connection = Connection(credentials, timeout=20)
    return ApiSource(connection, credentials.app_url, entity, project, Cache(None), Options(**options))


def exported_as(server: Server, export: Export) -> None:
    for project in server.store.projects.values():
        for run in project.runs.values():
            run.export = export


def points(history: History) -> dict[str, list[tuple[float, str]]]:
    """Return the points of each metric; a NaN equals itself as text."""
    return {
        name: [(x, repr(y)) for x, y in zip(one.x.tolist(), one.value.tolist(), strict=True)]
        for name, one in history.series.items()
    }


def same(value: Any) -> Any:
    """Return a value in which NaN equals itself."""
    if isinstance(value, Mapping):
        return {key: same(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [same(inner) for inner in value]
    return repr(value) if isinstance(value, float) else value


FACTS = ("id", "name", "project", "state", "tags", "group", "job_type", "sweep", "notes", "step_metrics")


def facts(run: Run) -> dict[str, Any]:
    found = {name: getattr(run, name) for name in FACTS}
    found["tags"] = sorted(found["tags"])
    found["step_metrics"] = dict(found["step_metrics"])
    found["summary"] = same(dict(run.summary))
    found["config"] = same(dict(run.config))
    return found


@pytest.mark.parametrize("how", EXPORTS)
def test_examples_whole_and_sampled(server: Server, how: str) -> None:
    exported_as(server, EXPORTS[how])
    local, remote = LocalSource(EXAMPLES), source_of(server, PROJECT)
    runs = {run.id: run for run in local.runs(RunQuery())}
    served = remote.runs(RunQuery())
    assert {run.id for run in served} == set(runs)
    for full in (True, False):
        for run, history in remote.histories(served, full=full):
            assert isinstance(history, History)
            expected = history_of(local, runs[run.id])
            if run.state == "crashed":  # its last row was not closed; the local source takes it for what it is
                assert abs(expected.rows - history.rows) <= 1
                steps = min(float(one.x[-1]) for one in (expected["train/loss"], history["train/loss"]))
                assert cut(history, steps) == cut(expected, steps)
                continue
            assert points(history) == points(expected)
            assert dict(history.kinds) == dict(expected.kinds)
            assert history.rows == expected.rows
            assert not any(one.sampled for one in history.series.values())


def cut(history: History, last: float) -> dict[str, list[tuple[float, str]]]:
    return {name: [point for point in found if point[0] <= last] for name, found in points(history).items()}


def test_examples_as_described(server: Server) -> None:
    local, remote = LocalSource(EXAMPLES), source_of(server, PROJECT)
    served = {run.id: run for run in remote.runs(RunQuery())}
    for run in local.runs(RunQuery()):
        mine, theirs = facts(run), facts(served[run.id])
        for moment in ("created_at", "last_activity"):  # a server's times are whole seconds
            assert abs((getattr(run, moment) - getattr(served[run.id], moment)).total_seconds()) < 2.5, moment
        assert served[run.id].duration == pytest.approx(run.duration, abs=1.5)
        if run.state == "crashed":  # killed: the summary of its last row was never written
            mine.pop("summary"), theirs.pop("summary")
        assert mine == theirs


def test_sdk_runs_as_described(written: Server, sdk_folder: Path) -> None:
    local, remote = LocalSource(sdk_folder), source_of(written, "oracle")
    others = {run.id: run for run in source_of(written, "oracle", "someone").runs(RunQuery())}
    served = {run.id: run for run in remote.runs(RunQuery())} | others
    runs = local.runs(RunQuery())
    assert {run.id for run in runs} == set(served)
    for run in runs:
        mine, theirs = facts(run), facts(served[run.id])
        if run.id == "killed01":  # just now: the log alone cannot tell yet that nobody writes to it any more
            assert (mine.pop("state"), theirs.pop("state")) == ("running", "crashed")
            mine.pop("summary"), theirs.pop("summary")
        assert mine == theirs


@pytest.mark.parametrize("how", EXPORTS)
def test_sdk_runs_history(written: Server, sdk_folder: Path, how: str) -> None:
    export = EXPORTS[how]
    exported_as(written, Export(**{**vars(export), "rows": export.rows and 6}))
    local = LocalSource(sdk_folder)
    runs = {run.id: run for run in local.runs(RunQuery())}
    for entity in (ENTITY, "someone"):
        remote = source_of(written, "oracle", entity)
        for run, history in remote.histories(remote.runs(RunQuery())):
            assert isinstance(history, History)
            expected = history_of(local, runs[run.id])
            if run.id == "killed01":
                steps = min(float(one.x[-1]) for one in (*expected.series.values(), *history.series.values()))
                assert cut(history, steps) == cut(expected, steps)
            elif (
                run.id == "resumed1"
            ):  # a step logged again: this server keeps the last row, we each metric's last value
                again = set(SECOND_STEPS) & set(FIRST_STEPS)
                for name, found in points(history).items():
                    kept = [p for p in points(expected)[name] if name in ("loss", "tokens") or p[0] not in again]
                    assert found == kept, name
            else:
                assert points(history) == points(expected)
                assert dict(history.kinds) == dict(expected.kinds)


def test_system_metrics(written: Server, sdk_folder: Path) -> None:
    local, remote = LocalSource(sdk_folder), source_of(written, "oracle", "someone")
    [mine] = [history_of(local, run, [], system=True) for run in local.runs(RunQuery(selectors=("values01",)))]
    [theirs] = [history_of(remote, run, [], system=True) for run in remote.runs(RunQuery(selectors=("values01",)))]
    assert mine.series
    assert set(mine.series) == set(theirs.series)
    for name, one in mine.series.items():
        assert theirs[name].axis == one.axis == "_runtime"
        np.testing.assert_allclose(theirs[name].x, one.x, atol=1e-6)
        assert theirs[name].value.tolist() == one.value.tolist()


@pytest.mark.parametrize("samples", [2, 7, 50, 1000])
def test_samples_are_logged_points_with_both_ends(server: Server, samples: int) -> None:
    whole, some = source_of(server, PROJECT), source_of(server, PROJECT, samples=samples)
    runs = some.runs(RunQuery(limit=3))
    for (_, history), (_, expected) in zip(some.histories(runs, full=False), whole.histories(runs), strict=True):
        assert isinstance(history, History)
        assert isinstance(expected, History)
        assert set(history) == set(expected)
        logged = points(expected)
        for name, found in points(history).items():
            assert set(found) <= set(logged[name])
            assert (found[0], found[-1]) == (logged[name][0], logged[name][-1])
            assert len(found) == min(len(logged[name]), samples)
            assert history[name].sampled == (len(logged[name]) > samples)
            assert (history[name].total or len(found)) == len(logged[name])


@pytest.mark.parametrize("name", ["list_metrics", "wandb_report", "generate_plots"])
def test_commands_say_the_same(command: Command, name: str, tmp_path: Path) -> None:
    words = {
        "list_metrics": ["grpo-base-s1"],
        "wandb_report": ["--runs", "grpobas1,grpobas2,lrhigh01"],
        "generate_plots": ["grpo-base-s1,lr-too-high", "--metrics", "train/loss,eval/*", "--output", str(tmp_path)],
    }[name]
    mine = command(name, str(EXAMPLES), *words, "--json")
    theirs = command(name, f"{ENTITY}/{PROJECT}", *words, "--json")
    assert (mine.code, theirs.code) == (0, 0), mine.err + theirs.err
    if name == "list_metrics":
        assert theirs.json == mine.json
        assert all(one["exact"] for one in theirs.json.values())
    elif name == "wandb_report":
        for part in ("verdict", "primary", "roles", "good", "bad", "ugly"):
            assert theirs.json[part] == mine.json[part]
        assert (mine.json["source"], theirs.json["source"]) == ("local", "api")
    else:
        shown = [
            [(plot["metric"], plot["x_axis"], plot["runs"]) for plot in one.json["plots"]] for one in (mine, theirs)
        ]
        assert json.dumps(shown[0]) == json.dumps(shown[1])


def test_the_sdk_reads_the_same(written: Server, server: Server, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Our reading of a whole history, and the SDK's scan of it: one SDK session."""
    exported_as(server, Export(rows=90, files=2))
    exported_as(written, Export(rows=6))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_CACHE_DIR", "WANDB_DIR", "WANDB_CONFIG_DIR", "HOME"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        patch.delenv("WANDB_BASE_URL")
        patch.delenv("WANDB_API_KEY")
        patch.setenv("WANDB_SILENT", "true")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        import wandb

        for running, entity, project in ((server, ENTITY, PROJECT), (written, "someone", "oracle")):
            api = wandb.Api(overrides={"base_url": running.url}, api_key=running.key, timeout=20)
            source = source_of(running, project, entity)
            for run, history in source.histories(source.runs(RunQuery(limit=3))):
                assert isinstance(history, History)
                theirs = api.run(f"{entity}/{project}/{run.id}")
                assert (theirs.name, theirs.state, sorted(theirs.tags)) == (run.name, run.state, sorted(run.tags))
                assert same(theirs.config) == same(dict(run.config))
                kept = {k: v for k, v in theirs.summary_metrics.items() if k != "_wandb"}
                assert as_logged(kept) == as_logged(dict(run.summary))
                flat = [dict(leaves(row)) for row in theirs.scan_history()]
                for name, found in points(history).items():
                    scanned = {row["_step"]: repr(number(row[name])) for row in flat if row.get(name) is not None}
                    numbers = {step: text for step, text in scanned.items() if text != "None"}
                    assert dict(found) == numbers, name
        wandb.teardown()


def leaves(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in row.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def number(value: Any) -> float | None:
    if isinstance(value, str):
        return WORDS.get(value)
    return float(value) if isinstance(value, (bool, int, float)) else None


def as_logged(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: as_logged(inner) for key, inner in value.items()}
    if isinstance(value, str):
        return repr(WORDS.get(value, value))
    return repr(value) if isinstance(value, float) else value
