"""What the user typed: targets and run selectors."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from wandb_toolkit.errors import Exit, NotFoundError, ToolkitError, UsageError, did_you_mean, nearest
from wandb_toolkit.model import Run
from wandb_toolkit.resolve import Target, newest_first, parse_target, select_runs

HOST = "https://wandb.ai"


def fields(target: Target) -> tuple[str | None, str | None, str | None]:
    return target.entity, target.project, target.selector


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("project", (None, "project", None)),
        ("entity/project", ("entity", "project", None)),
        ("entity/project/abcd1234", ("entity", "project", "abcd1234")),
        ("  entity/my project  ", ("entity", "my project", None)),
        ("some-one/пр_оект.2", ("some-one", "пр_оект.2", None)),
    ],
)
def test_names(text: str, expected: tuple[str | None, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    target = parse_target(text)
    assert fields(target) == expected
    assert (target.path, target.host) == (None, None)


@pytest.mark.parametrize(
    ("rest", "selector"),
    [
        ("", None),
        ("/", None),
        ("?nw=nwuserx", None),
        ("/workspace?nw=nwuserx", None),
        ("/table", None),
        ("/sweeps", None),
        ("/runs", None),
        ("/runs/abcd1234", "abcd1234"),
        ("/runs/abcd1234/", "abcd1234"),
        ("/runs/abcd1234/overview?nw=x#frag", "abcd1234"),
        ("/runs/abcd1234/files/media/images", "abcd1234"),
        ("/sweeps/s1w2e3p4", "sweep:s1w2e3p4"),
        ("/sweeps/s1w2e3p4/workspace?a=b", "sweep:s1w2e3p4"),
        ("/groups/my%20group/workspace", "group:my group"),
        ("/reports/Title--Vmlldzo", None),
    ],
)
def test_urls(rest: str, selector: str | None) -> None:
    target = parse_target(f"{HOST}/entity/project{rest}")
    assert fields(target) == ("entity", "project", selector)
    assert target.host == HOST


def test_urls_of_other_servers() -> None:
    assert parse_target("http://localhost:8080/e/p/runs/r1").host == "http://localhost:8080"
    target = parse_target("https://user:secret@wandb.example.com/e/p%20q")
    assert (target.host, target.project) == ("https://wandb.example.com", "p q")


@pytest.mark.parametrize(
    "text", ["https://wandb.ai", f"{HOST}/entity", "ftp://wandb.ai/a/b", "https:///a/b", "http://[::1/a/b"]
)
def test_urls_that_are_none(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


@pytest.mark.parametrize("text", ["", "   ", "a//b", "a/ /b", "/".join("ab") + "/"])
def test_blank_parts(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError):
        parse_target(text)


def test_a_path_that_exists_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "entity" / "my runs").mkdir(parents=True)
    for text in ("entity/my runs", "./entity", "~/entity", ".", str(tmp_path)):
        target = parse_target(text)
        assert target.path is not None
        assert target.path.exists()
        assert target.project is None


@pytest.mark.parametrize(
    "text", ["./wnadb", "/nowhere/at/all", "~/nothing", "x/y/z/w", "run-1.wandb", "a" * 5000 + "/./x/y"]
)
def test_a_path_that_is_missing(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wandb").mkdir()
    with pytest.raises(NotFoundError) as caught:
        parse_target(text)
    assert caught.value.exit_code == Exit.NOT_FOUND
    assert caught.value.hint
    if text == "./wnadb":
        assert "wandb" in caught.value.hint


def test_text_that_no_file_system_takes() -> None:
    for text in ("a\x00b", "\udcff"):
        try:
            parse_target(text)
        except ToolkitError:
            continue


def a_run(run_id: str, name: str = "", minute: int | None = 0, **more: Any) -> Run:
    created = None if minute is None else datetime(2024, 5, 1, 12, minute, tzinfo=UTC)
    how = {"entity": None, "project": "p", "state": "finished", **more}
    return Run(id=run_id, name=name or run_id, created_at=created, **how)


RUNS = [
    a_run("aaaa1111", "base", 1, tags=("good", "big"), group="g1"),
    a_run("bbbb2222", "same", 5, sweep="s1"),
    a_run("cccc3333", "same", 3, state="crashed", group="g1"),
    a_run("dddd4444", "lr=0.1, wd=0", 9, tags=("good",)),
    a_run("eeee5555", "[x] odd*name", None),
    a_run("ffff6666", "aaaa1111", 2),
]


def chosen(*selectors: str) -> list[str]:
    return [run.id[0] for run in select_runs(selectors, RUNS)]


@pytest.mark.parametrize(
    ("selector", "ids"),
    [
        ("aaaa1111", "a"),
        (" base ", "a"),
        ("latest", "d"),
        ("latest:1", "d"),
        ("latest:3", "dbc"),
        ("latest:99", "dbcfae"),
        ("tag:good", "da"),
        ("group:g1", "ca"),
        ("sweep:s1", "b"),
        ("s*", "bc"),
        ("?ase", "a"),
        ("[ab]*1", "af"),
        ("lr=0.1, wd=0", "d"),
        ("[x] odd*name", "e"),
        ("base,bbbb2222", "ab"),
        ("tag:good,latest", "da"),
        ("latest, base ,aaaa1111", "da"),
    ],
)
def test_selectors(selector: str, ids: str) -> None:
    found = chosen(selector)
    assert sorted(found) == sorted(ids) if "[ab]" in selector else found == list(ids)


def test_several_selectors_keep_their_order_without_repeats() -> None:
    assert chosen("group:g1", "latest", "base") == ["c", "a", "d"]


@pytest.mark.parametrize("selector", ["same", "cccc3333,same"])
def test_an_ambiguous_name_lists_the_candidates(selector: str) -> None:
    with pytest.raises(UsageError, match="2 runs share the display name 'same'") as caught:
        chosen(selector)
    lines = caught.value.hint.splitlines()
    assert "run id" in lines[0]
    assert [line.split() for line in lines[1:]] == [
        ["bbbb2222", "finished", "2024-05-01", "12:05", "UTC"],
        ["cccc3333", "crashed", "2024-05-01", "12:03", "UTC"],
    ]


def test_one_id_in_two_projects_is_ambiguous() -> None:
    runs = [a_run("aaaa1111", project="one"), a_run("aaaa1111", minute=None, project="two")]
    with pytest.raises(UsageError, match="2 runs share the run id") as caught:
        select_runs(["aaaa1111"], runs)
    assert "one/aaaa1111" in caught.value.hint
    assert "narrower" in caught.value.hint


@pytest.mark.parametrize(
    "selector", ["", "  ", "base,", ",", "base,,same", "latest:0", "latest:x", "latest:-1", "latest:²"]
)
def test_selectors_that_mean_nothing(selector: str) -> None:
    with pytest.raises(UsageError):
        chosen(selector)


@pytest.mark.parametrize(
    ("selector", "hint"),
    [
        ("bsae", "base"),
        ("aaaa1112", "aaaa1111"),
        ("tag:goood", "good"),
        ("group:nothing", "g1"),
        ("sweep:zz", "s1"),
        ("zzz*", "base"),
        ("latest:", "base"),
        ("base,unknown", "base"),
    ],
)
def test_what_is_not_there_names_what_is(selector: str, hint: str) -> None:
    with pytest.raises((NotFoundError, UsageError)) as caught:
        chosen(selector)
    assert hint in caught.value.hint


def test_no_runs_at_all() -> None:
    for selector in ("latest", "x", "tag:x", "*"):
        with pytest.raises(NotFoundError):
            select_runs([selector], [])


def test_newest_first_puts_unknown_starts_last() -> None:
    assert [run.id[0] for run in newest_first(RUNS)] == list("dbcfae")


def test_nearest_names_parts_before_spelling() -> None:
    names = ["train/loss", "val/loss", "lsos", "reward", "train/rewards/mean"]
    assert nearest("loss", names)[:2] == ["val/loss", "train/loss"]
    assert "reward" in nearest("rewrd", names)
    assert nearest("REWARD", names)[0] == "reward"
    assert nearest("train/los", ["train/loss", "eval/acc"])[0] == "train/loss"
    assert nearest("zzzz", names) == []
    assert len(nearest("a", [f"a{number}" for number in range(50)], limit=3)) == 3


def test_hints_without_a_near_name_show_what_there_is() -> None:
    assert did_you_mean("zz", [], "run") == "There are no runs here."
    hint = did_you_mean("zzzz", [f"metric{number}" for number in range(20)], "metric")
    assert hint.startswith("Available metrics: metric0, ")
    assert hint.endswith("and 12 more")


def test_the_clouds_newer_address_has_a_prefix() -> None:
    target = parse_target("https://forge.coreweave.com/wandb/team/digits/runs/abc?nw=x")
    assert (target.entity, target.project, target.selector) == ("team", "digits", "abc")


@pytest.mark.parametrize("text", ["~0", "~nobody-here", "~\x00", "~\x00/x.wandb"])
def test_a_home_that_nobody_has_is_a_name_like_any(text: str) -> None:
    with pytest.raises(NotFoundError, match="There is no ~"):
        parse_target(text)
