"""Names, folders, whole files, and metadata.json that nobody's entries get lost from."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plot_fakes import make_run
from repository import EXAMPLES, ROOT
from wandb_toolkit.errors import ToolkitError, UsageError
from wandb_toolkit.output import Folder, check_folder, output_folder, run_folder, safe_stem

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    "a/../b",
    "-rf",
    "con",
    "NUL.txt",
    "x" * 5000,
    "損失" * 300,
    "a\nb\x1b[31m\0c",
    'a:b*c?<>|"\\',
    "\ud800bad",
    "\u202egnp.exe",
    "trailing. ",
    ".hidden",
    "~root",
    "$HOME`id`",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_becomes_one_harmless_part(name: str, tmp_path: Path) -> None:
    stem = safe_stem(name)
    assert stem
    assert not set(stem) & set('/\\:*?<>|"\0\n\x1b$`~ ')
    assert not stem.startswith((".", "-"))
    assert ".." not in stem
    assert len(stem.encode()) < 200
    written = Folder(tmp_path).write(f"{stem}.png", lambda path: path.write_text("x"))
    assert [p.name for p in tmp_path.iterdir()] == [written["file"]]


def test_plain_names_stay_readable() -> None:
    assert safe_stem("loss") == "loss"
    assert safe_stem("train/loss") == "train__loss"
    assert safe_stem("eval/R2.score") == "eval__R2.score"
    assert safe_stem("損失") == "損失"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=30), st.text(max_size=30))
def test_distinct_names_have_distinct_stems(one: str, other: str) -> None:
    assert (safe_stem(one) == safe_stem(other)) == (one == other)


def test_the_classic_collisions() -> None:
    names = ["a/b c", "a_b_c", "a/b_c", "a__b_c", "a b c", "a/b/c", "a__b__c", "a:b:c", "a//b", "a/b/"]
    assert len({safe_stem(name) for name in names}) == len(names)
    forged = safe_stem("a b")
    assert safe_stem(forged) != forged


def test_names_that_differ_in_case_only_get_different_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    names = [folder.claim(name, safe_stem(name), ".png") for name in ("Loss", "loss", "LOSS")]
    assert len({name.casefold() for name in names}) == 3
    assert names == [folder.claim(name, safe_stem(name), ".png") for name in ("Loss", "loss", "LOSS")]


def test_a_later_call_keeps_away_from_recorded_names(tmp_path: Path) -> None:
    first = Folder(tmp_path)
    first.write("Loss.png", lambda path: path.write_text("x"))
    first.record("plots", {"Loss.png": {"owner": "Loss"}}, [make_run()], "here")
    for section in ("plots", "downloads"):
        later = Folder(tmp_path)
        later.reserve(section)
        assert later.claim("loss", "loss", ".png") != "loss.png"
        assert later.claim("x", "metadata", ".json") != "metadata.json"
    again = Folder(tmp_path)
    again.reserve("plots")
    assert again.claim("Loss", "Loss", ".png") == "Loss.png"


def test_folders_follow_the_rule() -> None:
    assert run_folder(make_run("abc", "my run")).as_posix() == "wandb_plots/local_demo/my_run_abc"
    assert output_folder([make_run("abc", "r", entity="me")]).as_posix() == "wandb_plots/me_demo/r_abc"
    pair = [make_run("abc"), make_run("def")]
    several = output_folder(pair)
    assert several.as_posix().startswith("wandb_plots/local_demo/compare_")
    assert several == output_folder(pair[::-1])
    assert several != output_folder([*pair, make_run("ghi")])
    escape = output_folder([make_run("../x", "../../../escaped", entity="..", project="../..")])
    assert ".." not in escape.parts
    assert len(escape.parts) == 3


def test_an_output_that_is_a_file_is_refused_before_any_work(tmp_path: Path) -> None:
    file = tmp_path / "taken"
    file.write_text("mine")
    for path in (file, file / "below" / "it"):
        with pytest.raises(UsageError, match="is a file, not a folder") as caught:
            check_folder(path)
        assert "--output" in caught.value.hint
    with pytest.raises(UsageError, match="cannot be used"):
        check_folder(tmp_path / ("x" * 300))
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="broken link"):
        check_folder(tmp_path / "dangling")
    check_folder(tmp_path / "new" / "deep")
    assert file.read_text() == "mine"
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_writable_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ToolkitError, match="not writable") as caught:
        check_folder(tmp_path / "new")
    assert caught.value.exit_code == 1


def test_a_failed_write_leaves_the_good_file_and_no_temporary_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a.png", lambda path: path.write_text("good"))

    def half(path: Path) -> None:
        path.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(ToolkitError, match="No space left") as caught:
        folder.write("a.png", half)
    assert "disk space" in caught.value.hint

    def interrupted(path: Path) -> None:
        path.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        folder.write("a.png", interrupted)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_text() == "good"


def test_links_inside_the_folder_lead_nowhere_else(tmp_path: Path) -> None:
    out, outside = tmp_path / "out", tmp_path / "outside"
    out.mkdir()
    outside.mkdir()
    (outside / "victim").write_text("precious")
    (out / "train").symlink_to(outside)
    (out / "a.png").symlink_to(outside / "victim")
    folder = Folder(out)
    with pytest.raises(ToolkitError, match="leads out"):
        folder.write("train/deep/loss.png", lambda path: path.write_text("x"))
    folder.write("a.png", lambda path: path.write_text("x"))
    assert (outside / "victim").read_text() == "precious"
    assert [p.name for p in outside.iterdir()] == ["victim"]
    assert not (out / "a.png").is_symlink()


def test_sections_extend_metadata_and_do_not_clobber_each_other(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Folder(tmp_path).write(name, lambda path: path.write_text("x"))
    one, two = make_run("one"), make_run("two", entity="me")
    Folder(tmp_path).record("plots", {"a.png": {"owner": "a"}}, [one], "here", smoothing={"method": "none"})
    Folder(tmp_path).record("downloads", {"b.png": {"owner": "b"}}, [two], "there")
    Folder(tmp_path).record("plots", {"c.png": {"owner": "c"}}, [one], "here")
    known = json.loads((tmp_path / "metadata.json").read_text())
    assert set(known["plots"]["files"]) == {"a.png", "c.png"}
    assert known["plots"]["smoothing"] == {"method": "none"}
    assert set(known["downloads"]["files"]) == {"b.png"}
    assert set(known["runs"]) == {"local/demo/one", "me/demo/two"}
    assert known["runs"]["local/demo/one"]["created_at"] == "2026-01-02T03:04:05Z"
    assert known["tool"] == "wandb-toolkit"
    assert known["updated_at"].endswith("Z")
    (tmp_path / "a.png").unlink()
    Folder(tmp_path).record("plots", {}, [one], "here")
    assert set(json.loads((tmp_path / "metadata.json").read_text())["plots"]["files"]) == {"c.png"}


@pytest.mark.parametrize("content", [b"", b"{half", b'{"mine": 1}', b"[]", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_or_foreign_metadata_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.json").write_bytes(content)
    for count in (1, 2):
        warnings = Folder(tmp_path).record("plots", {}, [make_run()], "here")
        assert len(warnings) == 1
        assert f"metadata.old-{count}.json" in warnings[0]
        assert (tmp_path / f"metadata.old-{count}.json").read_bytes() == content
        assert "plots" in json.loads((tmp_path / "metadata.json").read_text())
        (tmp_path / "metadata.json").write_bytes(content)


def _record_many(folder: str, who: int) -> None:
    for i in range(10):
        name = f"{who}-{i}.png"
        Folder(Path(folder)).write(name, lambda path: path.write_text("x"))
        Folder(Path(folder)).record("plots", {name: {"owner": name}}, [make_run(f"run{who}")], "here")


def test_processes_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_record_many, args=(str(tmp_path), who)) for who in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    known = json.loads((tmp_path / "metadata.json").read_text())
    assert len(known["plots"]["files"]) == 20
    assert len(known["runs"]) == 2
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_what_killed_commands_left_goes_and_all_else_stays(tmp_path: Path) -> None:
    old = [tmp_path / ".wandb-toolkit-abcd1234.png", tmp_path / ".wandb-toolkit-a_b_c_d_"]
    kept = [tmp_path / ".wandb-toolkit-abcd1234.png.mine", tmp_path / ".wandb-toolkit-notes.txt", tmp_path / "a.png"]
    fresh = tmp_path / ".wandb-toolkit-zzzz1234.png"
    for path in (*old, *kept, fresh):
        path.write_text("x")
    for path in (*old, *kept[1:]):
        os.utime(path, (1, 1))
    Folder(tmp_path).reserve("plots")
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (*kept, fresh)}


def test_a_pipe_in_the_folder_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "metadata.json")
    os.mkfifo(tmp_path / "train__loss.png")
    words = ["generate_plots.py", str(EXAMPLES), "grpo-base-s1", "--metrics", "train/loss", "--output", str(tmp_path)]
    script, *rest = words
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / script, *rest], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "metadata.json is no file; it is now metadata.old-1.json" in done.stderr
    assert json.loads((tmp_path / "metadata.json").read_text())["plots"]["files"]


def test_metadata_shows_what_hides_in_strangers_names(tmp_path: Path) -> None:
    hidden = "a\u202eb\x9b\u200b\U000e0041"
    Folder(tmp_path).record("plots", {}, [make_run(name=hidden)], "src")
    text = (tmp_path / "metadata.json").read_text(encoding="utf-8")
    assert not set(hidden[1:2] + hidden[3:]) & set(text)
    assert [run["name"] for run in json.loads(text)["runs"].values()] == [hidden]
