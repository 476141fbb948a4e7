"""Runs of the real SDK: what was logged, what `wandb leet inspect` shows, and what is read agree value by value."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import sdk_runs
from sdk_runs import CALLS, CONFIG, FIRST_STEPS, KILLED_KEYS, KILLED_ROWS, SECOND_STEPS, UPDATES, killed_row
from wandb_toolkit.model import History, Run
from wandb_toolkit.sources import RunQuery, console_of, history_of
from wandb_toolkit.sources.history import merge_history
from wandb_toolkit.sources.local.run import build_run
from wandb_toolkit.sources.local.run_dirs import find_run_dirs
from wandb_toolkit.sources.local.source import LocalSource
from wandb_toolkit.sources.wandb_log.scan import scan_log

WANDB = Path(sys.executable).with_name("wandb")  # not resolved: the interpreter of an environment is a link
Points = list[tuple[float, float]]


@pytest.fixture(scope="module")
def source(sdk_folder: Path) -> LocalSource:
    return LocalSource(sdk_folder)


def run_of(source: LocalSource, run_id: str) -> Run:
    return source.runs(RunQuery(selectors=(run_id,)))[0]


def points(history: History, name: str) -> Points:
    series = history[name]
    return list(zip(series.x.tolist(), series.value.tolist(), strict=True))


def same(one: Any, other: Any) -> bool:
    """Equality in which NaN equals NaN, and the SDK's "NaN" texts equal the numbers."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    one, other = (float(v) if v in ("NaN", "Infinity", "-Infinity") else v for v in (one, other))
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return bool(one == other)


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict) and value:
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def logged() -> dict[str, Points]:
    """Return the numeric points of the calls, by metric."""
    found: dict[str, Points] = {}
    for step, data, _ in CALLS:
        for name, value in flat(data):
            if isinstance(value, (int, float)):
                found.setdefault(name, []).append((float(step), float(value)))
    return found


def test_history_is_what_was_logged(source: LocalSource) -> None:
    history = history_of(source, run_of(source, "values01"))
    expected = logged()
    assert {name for name in history.series if not name.startswith("deep.")} == expected.keys()
    for name, wanted in expected.items():
        assert same(points(history, name), wanted), name


def test_kinds_of_what_is_no_number(source: LocalSource) -> None:
    history = history_of(source, run_of(source, "values01"))
    others = {name: kind for name, kind in history.kinds.items() if kind != "number"}
    assert others == {
        "text": "string",
        "long text": "string",
        "nested.deep.text": "string",
        "list": "list",
        "image": "image",
        "images": "image",
        "deep.image": "image",
        "table": "table",
        "histogram": "histogram",
    }


@pytest.mark.parametrize("name", [*logged(), "image", "deep.image", "text", "histogram", "list"])
def test_a_metric_read_alone_is_the_same(source: LocalSource, name: str) -> None:
    run = run_of(source, "values01")
    alone, whole = history_of(source, run, [name]), history_of(source, run)
    assert alone.kinds == {name: whole.kinds[name]}
    assert alone.rows == whole.rows
    if name in whole:
        assert same(points(alone, name), points(whole, name))
    else:
        assert not alone.series


def test_run_fields(source: LocalSource) -> None:
    run = run_of(source, "values01")
    assert (run.name, run.entity, run.project) == ("every kind of value", "someone", sdk_runs.PROJECT)
    assert (run.tags, run.group, run.job_type) == (("tag one", "tag,two"), "kinds", "train")
    assert run.notes == "a note\nof two lines"
    assert (run.state, run.exit_code, run.steps) == ("finished", 0, sdk_runs.HISTOGRAM_AT)
    assert run.config == {
        **CONFIG,
        **UPDATES,
        "model": {"layers": [3], "name": "tiny"},
        "bad": None,
    }  # NaN: the SDK's doing
    assert run.created_at is not None
    assert run.last_activity is not None
    assert run.duration is not None
    assert 0 < run.duration < 60
    assert abs(run.duration - (run.last_activity - run.created_at).total_seconds()) < 2


def test_summary_holds_last_values_and_what_was_set(source: LocalSource) -> None:
    summary = run_of(source, "values01").summary
    for name, wanted in logged().items():
        found: Any = summary
        for part in [name] if name in summary else name.split("."):
            found = found[part]
        assert same(float(found), wanted[-1][1]), name
    assert (summary["best"], summary["extra"]) == (0.75, {"x": 1})
    assert summary["image"]["_type"] == "image-file"
    assert summary["histogram"]["_type"] == "histogram"


def test_system_metrics_against_seconds(source: LocalSource) -> None:
    history = history_of(source, run_of(source, "values01"), [], system=True)
    memory = next(one for name, one in history.series.items() if name.startswith("system.") and "memory" in name)
    assert memory.axis == "_runtime"
    assert len(memory) > 1
    assert 0 < memory.x[0] < 60


def test_console_as_a_terminal_shows_it(source: LocalSource) -> None:
    assert console_of(source, run_of(source, "values01")) == ["first line", "progress 100%", "red last line"]


def test_media_files_know_their_metric(source: LocalSource) -> None:
    files = {(file.key, file.step): file for file in source.files(run_of(source, "values01")) if file.key}
    assert set(files) == {("image", 22), ("deep.image", 22), ("images", 22), ("table", 23)}
    assert files["image", 22].caption == "black"
    listed = [file for file in source.files(run_of(source, "values01")) if file.key == "images"]
    assert [(file.step, file.index) for file in listed] == [(22, 0), (22, 1)]
    assert len({file.name for file in listed}) == 2
    assert all(file.size == Path(file.location).stat().st_size for file in files.values())


def test_resumed_run_is_one_run_and_later_steps_win(source: LocalSource) -> None:
    run = run_of(source, "resumed1")
    assert len(run.paths) == 2
    assert (run.name, run.state, run.exit_code) == ("after", "finished", 0)
    assert run.config["lr"] == 2
    assert run.steps == SECOND_STEPS[-1]
    history = history_of(source, run)
    wanted = {float(step): 1.0 + step for step in FIRST_STEPS} | {float(step): 100.0 + step for step in SECOND_STEPS}
    assert dict(points(history, "loss")) == wanted
    assert history.rows == len(wanted)
    assert len(points(history, "epoch")) == len(FIRST_STEPS)


def test_defined_axes_and_summary_of_the_best(source: LocalSource) -> None:
    run = run_of(source, "resumed1")
    assert run.step_metrics == {"loss": "tokens", "eval/*": "epoch"}
    assert run.summary["accuracy"] == {"max": 0}


def test_exit_codes(source: LocalSource, sdk_folder: Path) -> None:
    raised = run_of(source, "raised01")
    assert (raised.state, raised.exit_code) == ("failed", 1)
    assert console_of(source, raised)[-1] == "RuntimeError: on purpose"
    first = min(
        (found for found in find_run_dirs(sdk_folder).dirs if found.run_id == "resumed1"), key=lambda d: d.folder
    )
    assert (build_run([first]).state, build_run([first]).exit_code) == ("failed", 3)


def test_killed_run_keeps_all_that_reached_the_disk(source: LocalSource, sdk_folder: Path) -> None:
    run = run_of(source, "killed01")
    assert run.exit_code is None
    assert run.last_activity is not None
    [found] = [found for found in find_run_dirs(sdk_folder).dirs if found.run_id == "killed01"]
    end = run.last_activity.timestamp()
    assert build_run([found], now=end + 5).state == "running"
    assert build_run([found], now=end + 3600).state == "crashed"
    history = history_of(source, run)
    assert KILLED_ROWS * 0.8 < history.rows <= KILLED_ROWS + 1
    for number in range(KILLED_KEYS):
        name = f"group/metric_{number}"
        assert points(history, name) == [(float(s), killed_row(s)[name]) for s in range(history.rows)]


@pytest.fixture(scope="module")
def inspected(sdk_folder: Path) -> dict[Path, list[dict[str, Any]]]:
    """Each log's records as the wandb command shows them."""
    started = {
        log: subprocess.Popen(
            [WANDB, "leet", "inspect", "--json", log], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        for log in sorted(sdk_folder.glob("*/*.wandb"))
    }
    return {
        log: [json.loads(line) for line in process.communicate()[0].splitlines()] for log, process in started.items()
    }


def test_history_agrees_with_inspect(inspected: dict[Path, list[dict[str, Any]]]) -> None:
    compared = 0
    for log, records in inspected.items():
        merged = merge_history([scan_log(log, keys=None)])
        seen: dict[str, Points] = {}
        media: set[str] = set()
        rows = [dict(flat(one["history"].get("item", {}))) for one in records if one["type"] == "history"]
        for row in rows:
            media |= {name.removesuffix("._type") for name in row if name.endswith("._type")}
            for name, value in row.items():
                if isinstance(value, (int, float)) or value in ("NaN", "Infinity", "-Infinity"):
                    seen.setdefault(name, []).append((row["_step"], float(value)))
        wanted = {name: one for name, one in seen.items() if not any(name.startswith(f"{m}.") for m in media)}
        assert merged.series.keys() == wanted.keys()
        assert merged.rows == len(rows)
        for name, series in merged.series.items():
            assert same(list(zip(series.x.tolist(), series.value.tolist(), strict=True)), wanted[name]), (
                log.name,
                name,
            )
            compared += len(series)
    assert compared > 1000


def test_summary_and_config_agree_with_inspect(inspected: dict[Path, list[dict[str, Any]]]) -> None:
    for log, records in inspected.items():
        scan = scan_log(log, summary=True)
        for kind, found in (("summary", scan.summary), ("config", scan.config)):
            wanted: dict[str, Any] = {}
            for one in records:
                bodies = (
                    [one["run"].get(kind, {})] if one["type"] == "run" else [one[kind]] if one["type"] == kind else []
                )
                for body in bodies:
                    for name, value in body.get("update", {}).items():
                        wanted = {n: v for n, v in wanted.items() if not n.startswith(f"{name}.")}
                        wanted |= dict(flat({name: value}))
            assert same(dict(flat(found)), wanted), (log.name, kind)
