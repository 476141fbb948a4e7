"""The local source: runs, selectors, state, resumed runs, files and what lies beside the logs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as w
from wandb_toolkit.errors import AuthError, Exit, NotFoundError, ToolkitError, UsageError
from wandb_toolkit.model import Run
from wandb_toolkit.sources import RunQuery, console_of, history_of, open_source
from wandb_toolkit.sources.local.run import build_run
from wandb_toolkit.sources.local.run_dirs import RunDir, find_run_dirs
from wandb_toolkit.sources.local.source import LocalSource


def only(path: Path) -> Run:
    [run] = LocalSource(path).runs(RunQuery())
    return run


def built(folder: Path, now: float) -> Run:
    return build_run(find_run_dirs(folder).dirs, now=now)


def aged(folder: Path, seconds: float) -> None:
    for log in folder.rglob("*.wandb"):
        os.utime(log, (seconds, seconds))


# State


@pytest.mark.parametrize(
    ("end", "state", "code"),
    [
        ([w.exit_(0)], "finished", 0),
        ([w.exit_(1)], "failed", 1),
        ([w.exit_(-1)], "failed", -1),
        ([w.exit_(255)], "failed", 255),
        ([w.FINAL, w.FOOTER], "crashed", None),
        ([w.record(23, b""), w.exit_(1)], "preempted", 1),
        ([w.record(23, b"")], "preempted", None),
        ([], "crashed", None),
    ],
)
def test_state_from_the_last_records(tmp_path: Path, end: list[bytes], state: str, code: int | None) -> None:
    w.write_run(tmp_path, [w.run(), *w.rows(5), *end])
    run = built(tmp_path, now=w.START + 86400)
    assert (run.state, run.exit_code) == (state, code)


def test_a_fresh_log_is_running_and_an_old_one_crashed(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run(), *w.rows(5)])
    aged(tmp_path, w.START + 5)
    running = built(tmp_path, now=w.START + 60)
    assert running.state == "running"
    assert running.warnings == ("still being written: what is there was read",)
    assert built(tmp_path, now=w.START + 3600).state == "crashed"


def test_a_copied_log_is_judged_by_the_times_inside(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run(), *w.rows(5)])
    aged(tmp_path, w.START + 10**7)  # git clone: all files are new
    run = built(tmp_path, now=w.START + 10**7 + 1)
    assert run.state == "crashed"
    assert run.last_activity is not None
    assert run.last_activity.timestamp() == w.START + 4


def test_a_slow_log_has_more_patience(tmp_path: Path) -> None:
    records = [w.history({"_step": at, "loss": 1, "_timestamp": w.START + at * 1800}) for at in range(4)]
    w.write_run(tmp_path, [w.run(), *records])
    aged(tmp_path, w.START + 3 * 1800)
    assert built(tmp_path, now=w.START + 3 * 1800 + 2000).state == "running"
    assert built(tmp_path, now=w.START + 3 * 1800 + 86400).state == "crashed"


def test_a_log_without_history(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.HEADER_RECORD, w.run(), w.exit_(0)])
    run = only(tmp_path)
    assert (run.state, run.steps, run.rows) == ("finished", None, 0)
    source = LocalSource(tmp_path)
    assert not history_of(source, source.runs(RunQuery())[0]).series


def test_cut_off_log_says_so(tmp_path: Path) -> None:
    place = w.write_run(tmp_path, [w.run(), *w.rows(5)])
    log = place / "run-abcd1234.wandb"
    log.write_bytes(log.read_bytes()[:-3])
    run = built(tmp_path, now=w.START + 86400)
    assert (run.state, run.rows) == ("crashed", 4)
    assert "ends inside a record" in run.warnings[0]


def test_damage_is_a_warning_of_the_run(tmp_path: Path) -> None:
    place = w.write_run(tmp_path, [w.run(), *w.rows(5), w.exit_()])
    log = place / "run-abcd1234.wandb"
    data = bytearray(log.read_bytes())
    data[len(w.framed([w.run(), *w.rows(2)])) + 10] ^= 1
    log.write_bytes(data)
    run = only(tmp_path)
    assert (run.state, run.rows) == ("finished", 4)
    assert "skipped 1 damaged stretch" in run.warnings[0]


# What lies beside


BESIDE = {
    "config.yaml": "lr:\n  value: 0.5\n",
    "wandb-summary.json": '{"loss": NaN, "_step": 7, "_timestamp": 1700000500, "_runtime": 500, "_wandb": {}}',
    "wandb-metadata.json": '{"startedAt": "2023-11-14T22:13:20.000000"}',
    "output.log": "one\ntwo\n",
}


@pytest.mark.parametrize("log", ["missing", "empty", "lfs", "text"])
def test_without_a_readable_log_the_files_beside_speak(tmp_path: Path, log: str) -> None:
    place = w.write_run(tmp_path, None, files=BESIDE)
    content = {"empty": b"", "lfs": b"version https://git-lfs.github.com/spec/v1\n", "text": b"hello"}.get(log)
    if content is not None:
        (place / "run-abcd1234.wandb").write_bytes(content)
    source = LocalSource(tmp_path)
    [run] = source.runs(RunQuery())
    assert (run.id, run.name, run.state, run.config) == ("abcd1234", "abcd1234", "finished", {"lr": 0.5})
    assert repr(dict(run.summary)) == "{'loss': nan, '_step': 7, '_timestamp': 1700000500, '_runtime': 500}"
    assert run.created_at is not None
    assert run.created_at.timestamp() == w.START
    assert run.warnings
    assert console_of(source, run) == ["one", "two"]
    [(_, history)] = source.histories([run])
    assert isinstance(history, ToolkitError)


def test_a_killed_runs_summary_is_ahead_of_its_log(tmp_path: Path) -> None:
    files = {"wandb-summary.json": '{"loss": 9, "_step": 50}'}
    w.write_run(tmp_path, [w.run(), *w.rows(5), w.summary({"loss": 2, "_step": 4, "early": 1})], files=files)
    assert dict(only(tmp_path).summary) == {"loss": 9, "_step": 50, "early": 1}


def test_an_older_summary_file_is_not_believed(tmp_path: Path) -> None:
    files = {"wandb-summary.json": '{"loss": 9, "_step": 3}', "config.yaml": "lr:\n  value: 1\n"}
    w.write_run(tmp_path, [w.run(config={"lr": 2}), w.summary({"loss": 2, "_step": 4})], files=files)
    run = only(tmp_path)
    assert dict(run.summary) == {"loss": 2, "_step": 4}
    assert run.config == {"lr": 2}


def test_the_summary_is_read_once_and_only_when_looked_at(tmp_path: Path) -> None:
    place = w.write_run(tmp_path, [w.run(), w.summary({"loss": 2, "_wandb": {"runtime": 1}})])
    run = only(tmp_path)
    assert isinstance(run.summary, Mapping)
    assert (len(run.summary), list(run.summary), run.summary["loss"]) == (1, ["loss"], 2)
    (place / "run-abcd1234.wandb").unlink()
    assert run.summary == {"loss": 2}
    assert "_wandb" not in run.summary


# Resumed runs, projects and names


def test_resumed_run_with_overlapping_steps(tmp_path: Path) -> None:
    first = [w.run(start=w.START, config={"lr": 1, "a": 1}), *w.rows(94), w.summary({"only": 1, "loss": 1})]
    later = w.START + 9000
    second = [w.history({"_step": s, "loss": 1000 + s, "_timestamp": later + s}) for s in range(65, 100)]
    w.write_run(tmp_path, first, at="20231114_221320")
    w.write_run(tmp_path, [w.run(start=later, config={"lr": 2}), *second, w.exit_(0)], at="20231115_004320")
    source = LocalSource(tmp_path)
    [run] = source.runs(RunQuery())
    assert (run.state, run.steps, len(run.paths), run.config) == ("finished", 99, 2, {"lr": 2, "a": 1})
    assert run.created_at is not None
    assert run.created_at.timestamp() == w.START
    history = history_of(source, run, ["loss"])
    assert history["loss"].x.tolist() == list(range(100))
    assert history["loss"].value.tolist() == [s / 2 for s in range(65)] + [1000 + s for s in range(65, 100)]
    assert history.rows == 100
    info = source.metrics(run)["loss"]
    assert (info.count, info.non_null_count, info.max, info.max_step) == (100, 100, 1099, 99)


def test_one_part_of_a_resumed_run_may_be_unreadable(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run(), *w.rows(3), w.exit_()], at="20231115_000000")
    broken = w.write_run(tmp_path, None, at="20231114_000000")
    (broken / "run-abcd1234.wandb").write_bytes(b"")
    source = LocalSource(tmp_path)
    runs = source.runs(RunQuery())
    assert {run.state for run in runs} <= {"finished", "crashed"}
    assert any(run.rows == 3 for run in runs)


def test_one_id_in_two_projects_is_two_runs(tmp_path: Path) -> None:
    w.write_run(tmp_path / "a", [w.run(project="one"), *w.rows(1), w.exit_()])
    w.write_run(tmp_path / "b", [w.run(project="two"), *w.rows(2), w.exit_()])
    source = LocalSource(tmp_path)
    assert sorted(str(run.project) for run in source.runs(RunQuery())) == ["one", "two"]
    with pytest.raises(UsageError, match="2 runs share the run id 'abcd1234'") as caught:
        source.runs(RunQuery(selectors=("abcd1234",)))
    assert "one/abcd1234" in caught.value.hint
    [run] = LocalSource(tmp_path, project="two").runs(RunQuery(selectors=("abcd1234",)))
    assert run.rows == 2


@pytest.mark.parametrize("run_id", ["..", "a b", "run-x", "日本", "a.b", "x" * 100, "-rf", "a%2Fb"])
def test_ids_with_odd_characters(tmp_path: Path, run_id: str) -> None:
    w.write_run(tmp_path, [w.run(run_id), *w.rows(2), w.exit_()], run_id)
    source = LocalSource(tmp_path)
    [run] = source.runs(RunQuery(selectors=(run_id,)))
    assert run.id == run_id
    assert history_of(source, run).rows == 2


def three(folder: Path) -> LocalSource:
    for number, name in enumerate(["base", "idofnone", "latest"]):
        start = w.START + number * 100
        w.write_run(
            folder, [w.run(f"run0000{number}", start=start, name=name), *w.rows(1), w.exit_()], f"run0000{number}"
        )
    return LocalSource(folder)


@pytest.mark.parametrize("selector", ["run00001", " run00001 ", "idofnone", "idof*", "run00001,idofnone"])
def test_ids_and_names_mean_the_same_run(tmp_path: Path, selector: str) -> None:
    assert [run.id for run in three(tmp_path).runs(RunQuery(selectors=(selector,)))] == ["run00001"]


def test_latest_is_the_most_recent_start(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run("newer001", start=w.START + 50), w.exit_()], "newer001", at="20200101_000000")
    w.write_run(tmp_path, [w.run("older001", start=w.START), w.exit_()], "older001", at="20250101_000000")
    w.write_run(tmp_path, None, "nolog001", files={"wandb-metadata.json": '{"startedAt": "2023-11-14T22:14:30Z"}'})
    for selectors in (("latest",), ("latest:1",)):
        assert [run.id for run in LocalSource(tmp_path).runs(RunQuery(selectors=selectors))] == ["nolog001"]
    assert [r.id for r in LocalSource(tmp_path).runs(RunQuery(limit=2))] == ["nolog001", "newer001"]


def test_a_run_that_is_called_latest_wins_over_the_word(tmp_path: Path) -> None:
    three(tmp_path)
    w.write_run(tmp_path, [w.run("newest01", start=w.START + 999), w.exit_()], "newest01")
    assert [run.id for run in LocalSource(tmp_path).runs(RunQuery(selectors=("latest",)))] == ["run00002"]
    assert [run.id for run in LocalSource(tmp_path).runs(RunQuery(selectors=("latest:1",)))] == ["newest01"]


def test_a_display_name_that_is_another_runs_id(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run("aaaa0001", name="bbbb0002"), w.exit_()], "aaaa0001")
    w.write_run(tmp_path, [w.run("bbbb0002", name="aaaa0001"), w.exit_()], "bbbb0002")
    for run_id in ("aaaa0001", "bbbb0002"):
        assert [run.id for run in LocalSource(tmp_path).runs(RunQuery(selectors=(run_id,)))] == [run_id]


def test_conditions_hold_for_selected_runs_too(tmp_path: Path) -> None:
    assert three(tmp_path).runs(RunQuery(selectors=("run00001",), states=frozenset({"failed"}))) == []


def test_unknown_run_names_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="No run is called 'bse'") as caught:
        three(tmp_path).runs(RunQuery(selectors=("bse",)))
    assert "base" in caught.value.hint


def test_projects(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run("a0000001", project="p", entity="e"), *w.rows(2)], "a0000001")
    w.write_run(tmp_path, [w.run("a0000002", project="p"), *w.rows(3)], "a0000002")
    w.write_run(tmp_path, [w.run("a0000003"), *w.rows(9)], "a0000003")
    found = LocalSource(tmp_path).projects()
    assert [(one.entity, one.name, one.run_count) for one in found] == [
        (None, "(no project)", 1),
        (None, "p", 1),
        ("e", "p", 1),
    ]
    assert [one.entity for one in LocalSource(tmp_path).projects("e")] == ["e"]
    assert len(LocalSource(tmp_path).projects("local")) == 2


# Metrics and files


def test_statistics_are_over_the_finite_values(tmp_path: Path) -> None:
    values = [3, float("nan"), 1, float("inf"), 2]
    w.write_run(tmp_path, [w.run(), *[w.history({"_step": s * 2, "x": v, "t": "a"}) for s, v in enumerate(values)]])
    source = LocalSource(tmp_path)
    infos = source.metrics(source.runs(RunQuery())[0])
    info = infos["x"]
    assert (info.min, info.max, info.mean, info.nonfinite_count, info.min_step) == (1, 3, 2, 2, 4)
    assert (info.first, info.last, info.count, info.non_null_count) == (3, 2, 5, 5)
    assert (infos["t"].kind, infos["t"].min, infos["t"].non_null_count) == ("string", None, 5)
    assert set(infos) == {"x", "t"}


def test_files_with_what_the_log_says_of_them(tmp_path: Path) -> None:
    media = {"_type": "images/separated", "filenames": ["media/images/a.png", "media/images/b.png"], "captions": ["A"]}
    records = [w.run(), w.history({"_step": 3, "pics": media}, flat=True), *w.rows(1, first=4), w.exit_()]
    files = {"media/images/a.png": "1", "media/images/b.png": "22", "config.yaml": "", "odd name?.txt": "x"}
    w.write_run(tmp_path, records, files=files)
    source = LocalSource(tmp_path)
    found = {one.name: (one.size, one.key, one.step, one.caption) for one in source.files(source.runs(RunQuery())[0])}
    assert found["media/images/a.png"] == (1, "pics", 3, "A")
    assert found["media/images/b.png"] == (2, "pics", 3, None)
    assert set(found) == set(files)


def test_media_come_in_logged_order_with_the_step_and_the_place_in_their_list(tmp_path: Path) -> None:
    """The SDK names a file by the counter before `step=` moves it; equal images of a list are one file."""

    def logged(step: int, *names: str) -> bytes:
        return w.history({"_step": step, "pics": {"_type": "images/separated", "filenames": list(names)}}, flat=True)

    names = [f"media/images/pics_{n}_{'0' * 19}{n}.png" for n in range(3)]
    records = [w.run(), logged(0, names[0]), logged(1000, names[1], names[0]), logged(20, names[2], names[2])]
    w.write_run(tmp_path, [*records, w.exit_()], files=dict.fromkeys([*names, "media/images/own.png"], "x"))
    source = LocalSource(tmp_path)
    found = [(one.name[-5:], one.key, one.step, one.index) for one in source.files(source.runs(RunQuery())[0])]
    assert found == [
        ("n.png", None, None, None),
        ("0.png", "pics", 0, 0),
        ("2.png", "pics", 20, 0),
        ("2.png", "pics", 20, 1),
        ("1.png", "pics", 1000, 0),
        ("0.png", "pics", 1000, 1),
    ]


def test_links_out_of_the_run_are_left_out(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.png").write_text("private")
    runs = tmp_path / "runs"
    place = w.write_run(runs, [w.run(), w.exit_()], files={"real.png": "x"})
    (place / "files" / "key.png").symlink_to(secret / "key.png")
    (place / "files" / "folder").symlink_to(secret)
    (place / "files" / "inside.png").symlink_to("real.png")
    os.mkfifo(place / "files" / "pipe.png")
    other = w.write_run(runs, [w.run("other001"), w.exit_()], "other001")
    (other / "files").rmdir()
    (other / "files").symlink_to(secret)
    source = LocalSource(runs)
    found = {run.id: [file.name for file in source.files(run)] for run in source.runs(RunQuery())}
    assert found == {"abcd1234": ["inside.png", "real.png"], "other001": []}


def test_fetch_that_fails_is_an_error_of_ours(tmp_path: Path) -> None:
    place = w.write_run(tmp_path, [w.run(), w.exit_()], files={"a.png": "x"})
    source = LocalSource(tmp_path)
    [file] = source.files(source.runs(RunQuery())[0])
    source.fetch(file, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "x"
    (place / "files" / "a.png").unlink()
    with pytest.raises(ToolkitError, match=r"a\.png cannot be copied"):
        source.fetch(file, tmp_path / "copy")


# What the user names


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no W&B runs at or below") as caught:
        LocalSource(tmp_path).runs(RunQuery())
    assert "run-*" in caught.value.hint


@pytest.mark.parametrize(("content", "says"), [(b"", "is empty"), (b"text", "is not a .wandb log")])
def test_a_named_file_that_is_no_log(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.wandb"
    path.write_bytes(content)
    with pytest.raises(ToolkitError, match=says):
        LocalSource(path).runs(RunQuery())


def test_names_that_are_found_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w.write_run(tmp_path / "wandb", [w.run(project="p", entity="e"), w.exit_()])
    monkeypatch.chdir(tmp_path)
    source, selectors = open_source("e/p")
    assert (len(source.runs(RunQuery())), selectors) == (1, ())
    assert open_source("e/p/abcd1234", "local")[1] == ("abcd1234",)
    assert len(open_source(None)[0].runs(RunQuery())) == 1
    with pytest.raises(NotFoundError, match=r"No local runs of 'e/q'") as caught:
        open_source("e/q", "local")
    assert "e/p (1)" in caught.value.hint


def test_entity_local_stands_for_runs_without_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w.write_run(tmp_path, [w.run(project="p"), w.exit_()])
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    assert len(open_source("local/p", "local")[0].runs(RunQuery())) == 1


def test_a_project_that_is_not_here_needs_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AuthError) as caught:
        open_source("someone/project", "auto")
    assert caught.value.exit_code == Exit.AUTH


def test_json_of_what_is_read_is_strict_where_it_can_be(tmp_path: Path) -> None:
    w.write_run(tmp_path, [w.run(config={"a": {"b": [1, None, "x"]}}), w.exit_()])
    run = only(tmp_path)
    config: Any = run.config
    assert json.loads(json.dumps(config, allow_nan=False)) == {"a": {"b": [1, None, "x"]}}


def test_a_run_dir_shows_as_what_was_found(tmp_path: Path) -> None:
    log = w.write_log(tmp_path / "run-x.wandb", [w.run(), w.exit_()])
    assert only(log).paths == (str(log),)
    assert RunDir(tmp_path, None, "x", None).shown == tmp_path
