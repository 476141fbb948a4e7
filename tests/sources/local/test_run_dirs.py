"""Finding run directories, and the files beside the log."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import wandb_runs as w
from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.sources.base import RunQuery, console_of
from wandb_toolkit.sources.local.run_dirs import find_run_dirs, read_config, read_json
from wandb_toolkit.sources.local.source import LocalSource


def ids(path: Path) -> list[str]:
    return [found.run_id for found in find_run_dirs(path).dirs]


LOG = [w.run(), *w.rows(2)]


def test_online_offline_and_bare_logs_at_any_depth(tmp_path: Path) -> None:
    w.write_run(tmp_path / "a" / "wandb", LOG, "online01")
    w.write_run(tmp_path / "a b" / "deep" / "wandb", LOG, "offline1", offline=True)
    w.write_log(tmp_path / "loose" / "run-bare0001.wandb", LOG)
    w.write_log(tmp_path / "loose" / "other.wandb", LOG)
    assert sorted(ids(tmp_path)) == ["bare0001", "offline1", "online01", "other"]
    assert ids(tmp_path / "a b") == ["offline1"]


def test_a_run_directory_its_files_and_the_log_itself(tmp_path: Path) -> None:
    place = w.write_run(tmp_path, LOG, "abcd1234", files={"output.log": "x"})
    for path in (place, place / "run-abcd1234.wandb"):
        [found] = find_run_dirs(path).dirs
        assert (found.run_id, found.files) == ("abcd1234", place / "files")


def test_links_count_once(tmp_path: Path) -> None:
    wandb = tmp_path / "wandb"
    place = w.write_run(wandb, LOG)
    (wandb / "latest-run").symlink_to(place.name)
    (wandb / "again").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path)
    (wandb / "linked.wandb").symlink_to(place / "run-abcd1234.wandb")
    (wandb / "dangling.wandb").symlink_to("nowhere")
    assert len(ids(tmp_path)) == 1
    assert ids(wandb / "latest-run") == ["abcd1234"]


def test_a_linked_wandb_folder_is_followed_and_no_other(tmp_path: Path) -> None:
    w.write_run(tmp_path / "disk" / "real", LOG, "onother1")
    w.write_run(tmp_path / "secret", LOG, "secret01")
    project = tmp_path / "project"
    project.mkdir()
    (project / "wandb").symlink_to(tmp_path / "disk" / "real")
    (project / "elsewhere").symlink_to(tmp_path / "secret")
    assert ids(project) == ["onother1"]


def test_folders_that_hold_no_runs_are_passed_over(tmp_path: Path) -> None:
    for name in (".git", "node_modules", ".venv"):
        w.write_run(tmp_path / name, LOG)
    (tmp_path / "x.wandb").mkdir()
    os.mkfifo(tmp_path / "pipe.wandb")
    assert ids(tmp_path) == []


def test_a_run_directory_without_its_log(tmp_path: Path) -> None:
    w.write_run(tmp_path, None, files={"wandb-summary.json": "{}"})
    [found] = find_run_dirs(tmp_path).dirs
    assert (found.run_id, found.log) == ("abcd1234", None)


def test_sweeps_from_the_folders_beside(tmp_path: Path) -> None:
    w.write_run(tmp_path / "wandb", LOG, "inasweep")
    w.write_run(tmp_path / "wandb", LOG, "alone001")
    w.write_log(tmp_path / "wandb" / "sweep-s1" / "config-inasweep.yaml", [])
    assert {found.run_id: found.sweep for found in find_run_dirs(tmp_path).dirs} == {"inasweep": "s1", "alone001": None}


def test_thousands_of_directories(tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    for number in range(3000):
        place = tmp_path / "wandb" / f"run-20240101_{number:06d}-id{number:04d}"
        place.mkdir()
        (place / f"run-id{number:04d}.wandb").write_bytes(w.HEADER)
    begin = time.perf_counter()
    assert len(ids(tmp_path)) == 3000
    assert time.perf_counter() - begin < 3


def test_a_deep_chain_of_folders(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(150):
        deep /= "d"
    w.write_run(deep, LOG)
    assert ids(tmp_path) == ["abcd1234"]


def test_a_missing_path(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        find_run_dirs(tmp_path / "nothing")


def test_folders_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w.write_run(tmp_path / "open", LOG)
    w.write_run(tmp_path / "closed", LOG, "hidden01")
    (tmp_path / "closed").chmod(0)
    root = os.geteuid() == 0
    monkeypatch.chdir(tmp_path)  # nobody may not come here by the full path
    tmp_path.chmod(0o755)
    if root:
        os.seteuid(65534)
    try:
        found = find_run_dirs(Path())
        with pytest.raises(ToolkitError, match="closed cannot be read: Permission denied"):
            find_run_dirs(Path("closed"))
    finally:
        if root:
            os.seteuid(0)
        (tmp_path / "closed").chmod(0o755)
    assert [one.run_id for one in found.dirs] == ["abcd1234"]
    assert found.warnings == ["closed cannot be read: Permission denied"]


def test_config_beside_the_log(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "wandb_version: 1\nlr:\n  desc: null\n  value: 0.1\nplain: 3\nmodel:\n  value:\n    value: 1\n"
        "own:\n  value: 1\n  other: 2\n_wandb:\n  value: {}\n"
    )
    expected = {"lr": 0.1, "plain": 3, "model": {"value": 1}, "own": {"value": 1, "other": 2}, "_wandb": {}}
    assert read_config(path) == expected


BOMB = "\n".join(["a0: &a0 [x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a\n- b",
        "a: [",
        "a: !!python/object:os.system x",
        BOMB,
        "a: &a [*a]",
        "\x00",
        "[" * 5000,
        "a: 1\n" * 2_000_000,
    ],
    ids=["empty", "list", "broken", "object", "bomb", "itself", "control", "deep", "large"],
)
def test_configs_that_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    begin = time.perf_counter()
    assert read_config(tmp_path / "config.yaml") == {}
    assert time.perf_counter() - begin < 5


def test_json_beside_the_log(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"loss": NaN, "limit": -Infinity, "text": "NaN"}')
    assert repr(read_json(path)) == "{'loss': nan, 'limit': -inf, 'text': 'NaN'}"
    for text in ("", "[1]", "{", '{"a":' * 100_000, '{"a": ' + "9" * 5000 + "}", "\udcff"):
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
        assert read_json(path) == {}


def test_pipes_and_missing_files_are_absent(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "missing"):
        assert read_json(tmp_path / name) == {}
        assert read_config(tmp_path / name) == {}


def test_links_that_lead_out_of_a_run_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"password": "hunter2"}')
    place = w.write_run(tmp_path / "runs", [w.run("r"), w.exit_()], "r")
    for name in ("wandb-summary.json", "config.yaml", "wandb-metadata.json", "output.log"):
        (place / "files" / name).symlink_to(secret)
    source = LocalSource(tmp_path / "runs")
    [run] = source.runs(RunQuery())
    assert "hunter2" not in f"{dict(run.summary)} {dict(run.config)} {console_of(source, run)}"


@pytest.mark.parametrize("tag", ["!!int ''", "!!bool foo", "!!timestamp foo", "!!float x", "!!binary '*'"])
def test_a_config_that_yaml_cannot_build_hides_no_other_run(tmp_path: Path, tag: str) -> None:
    w.write_run(tmp_path, None, "bad", files={"config.yaml": f"lr:\n  value: {tag}\n"})
    w.write_run(tmp_path, [w.run("good"), w.exit_()], "good", at="20231114_221321")
    assert {run.id for run in LocalSource(tmp_path).runs(RunQuery())} == {"bad", "good"}
