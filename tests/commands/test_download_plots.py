"""download_plots through `main(argv)`."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fake_source import FakeSource
from plot_fakes import Outcome, call, check_schema, line, make_history, make_run
from wandb_toolkit.commands import download_plots, generate_plots
from wandb_toolkit.downloads.images import problem_with
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import RunFile

Fetch = Callable[..., Outcome]
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"></svg>'


def image(kind: str = "png", shade: int = 0) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), (shade, 200, 90)).save(out, kind)
    return out.getvalue()


PNG = image()


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Fetch:
    monkeypatch.chdir(tmp_path)

    def run(source: FakeSource | None, *argv: str | Path) -> Outcome:
        return call(download_plots.main, monkeypatch, capsys, source, *argv)

    return run


def source_of(stored: dict[str, bytes], facts: dict[str, dict[str, object]] | None = None) -> FakeSource:
    return FakeSource([(make_run(), make_history(line("loss", [1, 2])))], stored, facts or {})


def names_in(folder: str) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir() if path.name != "metadata.json")


def test_images_of_every_usual_type_are_copied_flat(fetch: Fetch) -> None:
    kinds = {"png": "png", "jpg": "jpeg", "jpeg": "jpeg", "gif": "gif", "webp": "webp", "bmp": "bmp", "tif": "tiff"}
    stored = {f"media/images/val/{ext}_0.{ext}": image(kind) for ext, kind in kinds.items()}
    stored |= {
        "media/images/val/UPPER.PNG": PNG,
        "figures/plot.svg": SVG,
        "output.log": b"x",
        "media/table/t.table.json": b"{}",
    }
    facts: dict[str, dict[str, object]] = {
        "media/images/val/png_0.png": {"key": "val/png", "step": 3, "caption": "hello\x1b[31m"}
    }
    done = fetch(source_of(stored, facts=facts), "x", "--json")
    assert done.code == 0
    check_schema("download_plots", done.json)
    assert len(done.json["downloaded"]) == 9
    assert names_in(done.json["output_dir"])[:2] == ["figures__plot.svg", "val__UPPER.PNG"]
    for one in done.json["downloaded"]:
        data = Path(one["file"]).read_bytes()
        assert data == stored[one["source"]]
        assert (len(data), hashlib.sha256(data).hexdigest()) == (one["size"], one["sha256"])
    logged = next(one for one in done.json["downloaded"] if one["source"].endswith("png_0.png"))
    assert (logged["key"], logged["step"]) == ("val/png", 3)
    known = json.loads(Path(done.json["metadata"]).read_text())["downloads"]["files"]
    assert known["val__png_3.png"]["step"] == 3
    text = fetch(source_of(stored, facts=facts), "x", "--output", "again").out
    assert "again/val__png_3.png" in text
    assert "val/png step 3, 'hello'" in text
    assert text.splitlines()[-1].startswith("9 downloaded, 0 skipped, 0 failed")


def test_names_tell_step_and_place_in_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import wandb_runs as w

    names = [f"media/images/val/pics_{n}_{n:020x}.png" for n in range(2)]
    media = {"_type": "images/separated", "filenames": [*names, names[0]], "captions": ["a", "b", "c"]}
    rows = [w.history({"_step": step, "val/pics": media}, flat=True) for step in (10, 200)]
    run_dir = w.write_run(tmp_path / "runs", [w.run(), *rows, w.exit_()], files=dict.fromkeys(names, ""))
    for shade, name in enumerate(names):
        (run_dir / "files" / name).write_bytes(image(shade=shade))
    out = tmp_path / "out"
    assert download_plots.main([str(tmp_path / "runs"), "latest", "--output", str(out), "--sheet", "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    check_schema("download_plots", found)
    assert [(Path(one["file"]).name, one["caption"]) for one in found["downloaded"]] == [
        (f"val__pics_{step}_{index}_{index % 2:020x}.png", caption)
        for step in (10, 200)
        for index, caption in enumerate("abc")
    ]
    [sheet] = found["sheets"]
    assert sheet["steps"] == [10, 10, 10, 200, 200, 200]
    known = json.loads((out / "metadata.json").read_text())["downloads"]["files"]
    assert known[f"val__pics_200_1_{1:020x}.png"]["index"] == 1
    download_plots.main([str(tmp_path / "runs"), "latest", "--output", str(out), "--step", "last", "--json", "-q"])
    again = json.loads(capsys.readouterr().out)
    assert ([one["step"] for one in again["skipped"]], again["downloaded"]) == ([200, 200, 200], [])


def test_equal_basenames_and_hostile_names_stay_apart_and_inside(fetch: Fetch, tmp_path: Path) -> None:
    stored = {
        name: image(shade=i)
        for i, name in enumerate(
            ["a/x.png", "b/x.png", "x.png", "a__x.png", "X.png", "media/images/x.png", "a/b c.png",
             "a_b_c.png", "..png", "con.png", "y" * 200 + ".png", "-rf.png"]
        )
    }  # fmt: skip
    done = fetch(source_of(stored), "x", "--output", "out", "--json")
    assert done.code == 0
    assert len(done.json["downloaded"]) == len(stored)
    assert len({name.casefold() for name in names_in("out")}) == len(stored)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    for one in done.json["downloaded"]:
        assert Path(one["file"]).read_bytes() == stored[one["source"]]
    again = fetch(source_of(stored), "x", "--output", "out", "--json")
    assert not again.json["downloaded"]
    assert {one["reason"] for one in again.json["skipped"]} == {"already there"}
    few = fetch(source_of(stored), "x", "--output", "out", "--pattern", "*x.png", "--json")
    assert not few.json["downloaded"]


def test_a_name_that_means_harm_is_refused_and_the_rest_continues(fetch: Fetch, tmp_path: Path) -> None:
    stored = dict.fromkeys(
        ["../../up.png", "/abs.png", "a\\..\\b.png", "new\nline.png", "\u202egnp.png", "ok.png"], PNG
    )
    done = fetch(source_of(stored), "x", "--output", "out", "--json")
    assert done.code == 6
    assert names_in("out") == ["ok.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    reasons = {one["source"]: one["reason"] for one in done.json["failed"]}
    assert "leads out" in reasons["../../up.png"]
    assert "control characters" in reasons["new\nline.png"]
    assert len(reasons) == 5


def test_absurd_sizes_are_refused(fetch: Fetch) -> None:
    huge = PNG[:16] + (100_000).to_bytes(4, "big") + (100_000).to_bytes(4, "big") + PNG[24:]
    source = source_of({"bomb.png": huge, "ok.png": PNG, "large.png": image("bmp")})
    source.sizes["large.png"] = 3_000_000
    done = fetch(source, "x", "--output", "out", "--max-mb", "2", "--json")
    assert done.code == 6
    reasons = {one["source"]: one["reason"] for one in done.json["failed"]}
    assert reasons["bomb.png"].startswith("it claims 100,000 x 100,000 pixels (--max image-pixels=N")
    assert "3.0 MB is more than 2 MB" in reasons["large.png"]
    assert names_in("out") == ["ok.png"]


def test_a_cut_download_and_a_wrong_md5_are_refused(fetch: Fetch) -> None:
    source = source_of({"cut.png": PNG, "md5.png": PNG, "ok.png": PNG}, facts={"md5.png": {"md5": "AAAA"}})
    source.sizes["cut.png"] = len(PNG) + 5
    done = fetch(source, "x", "--output", "out", "--json")
    assert done.code == 6
    reasons = {one["source"]: one["reason"] for one in done.json["failed"]}
    assert f"{len(PNG)} bytes came, the run has {len(PNG) + 5}" in reasons["cut.png"]
    assert "md5" in reasons["md5.png"]


LOGGED: dict[str, dict[str, object]] = {
    f"media/images/{key}_{step}.png": {"key": key, "step": step, "caption": f"{key} at {step}"}
    for key, steps in (("val/good", (0, 10, 20)), ("val/bad", (5, 15)), ("conf", (10,)))
    for step in steps
}


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        (["--keys", "val/*", "--step", "last"], [("val/bad", 15), ("val/good", 20)]),
        (["--keys", "conf,val/good"], [("conf", 10), ("val/good", 0), ("val/good", 10), ("val/good", 20)]),
        (["--step", "10"], [("conf", 10), ("val/good", 10)]),
        (["--step", "6:15"], [("conf", 10), ("val/bad", 15), ("val/good", 10)]),
        (["--step", ":5"], [("val/bad", 5), ("val/good", 0)]),
        (["--step", "99"], []),
    ],
)
def test_keys_and_steps_choose(fetch: Fetch, flags: list[str], found: list[tuple[str, int]]) -> None:
    stored = {**dict.fromkeys(LOGGED, PNG), "plain.png": PNG}
    done = fetch(source_of(stored, facts=LOGGED), "x", "--output", "out", *flags, "--json")
    assert done.code == 0
    check_schema("download_plots", done.json)
    assert [(one["key"], one["step"]) for one in done.json["downloaded"]] == found


def test_an_unknown_key_names_the_nearest(fetch: Fetch) -> None:
    done = fetch(source_of(dict.fromkeys(LOGGED, PNG), facts=LOGGED), "x", "--keys", "val/god")
    assert done.code == 4
    assert "val/good" in done.err
    for bad in ("", ":", "1:x", "9:3", "-1"):
        assert fetch(source_of({}), "x", f"--step={bad}").code == 2


def test_a_sheet_shows_each_key_step_after_step(fetch: Fetch) -> None:
    stored = {name: image(shade=at * 40) for at, name in enumerate(LOGGED)}
    done = fetch(source_of(stored, facts=LOGGED), "x", "--output", "out", "--keys", "val/*", "--sheet", "--json")
    assert done.code == 0
    check_schema("download_plots", done.json)
    sheets = {one["key"]: one for one in done.json["sheets"]}
    assert sheets["val/good"]["steps"] == [0, 10, 20]
    assert sheets["val/bad"]["left_out"] == 0
    with Image.open(sheets["val/good"]["file"]) as picture:
        assert picture.info["Description"] == sheets["val/good"]["alt"]
        assert "3 images" in sheets["val/good"]["alt"]
    known = json.loads(Path("out/metadata.json").read_text())["downloads"]["files"]
    assert known["sheet__val__good.png"]["steps"] == [0, 10, 20]
    again = fetch(source_of(stored, facts=LOGGED), "x", "--output", "out", "--keys", "val/*", "--sheet", "--json")
    assert [one["file"] for one in again.json["sheets"]] == [one["file"] for one in done.json["sheets"]]


def test_an_image_of_very_many_pixels_is_not_on_the_sheet(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_TOOLKIT_MAX_SHEET_PIXELS", "100")
    large, small = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (20, 20)).save(large, "PNG")
    Image.new("RGB", (5, 5)).save(small, "PNG")
    stored = {"media/images/val/a_0.png": large.getvalue(), "media/images/val/b_1.png": small.getvalue()}
    facts: dict[str, Any] = {name: {"key": "val", "step": at} for at, name in enumerate(stored)}
    done = fetch(source_of(stored, facts=facts), "x", "--output", "out", "--keys", "val", "--sheet", "--json")
    assert len(done.json["downloaded"]) == 2
    assert [one["steps"] for one in done.json["sheets"]] == [[1]]
    assert "1 image of val left out of its sheet" in done.err


def test_what_pillow_says_of_sizes_and_palettes_does_not_reach_the_user(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15)  # of more it warns, and refuses twice as many
    stored = {}
    for at, (mode, side) in enumerate([("RGB", 5), ("RGB", 9), ("P", 3)]):
        out = io.BytesIO()
        extra = {"transparency": b"\0\1"} if mode == "P" else {}
        Image.new(mode, (5, side) if mode == "RGB" else (side, side)).save(out, "PNG", **extra)
        stored[f"media/images/val/{at}_{at}.png"] = out.getvalue()
    facts: dict[str, Any] = {name: {"key": "val", "step": at} for at, name in enumerate(stored)}
    done = fetch(source_of(stored, facts=facts), "x", "--output", "out", "--keys", "val", "--sheet", "--json")
    assert [one["steps"] for one in done.json["sheets"]] == [[0, 2]]
    assert "Warning" not in done.err


def test_a_long_sheet_keeps_first_last_and_what_lies_between(tmp_path: Path) -> None:
    from wandb_toolkit.plots.figures.contact_sheet import Picture, choose

    chosen = choose([Picture(tmp_path, step, None) for step in range(1000, -1, -1)], 11)
    assert [one.step for one in chosen] == [*range(0, 1001, 100)]


def test_images_inside_tables_are_said(fetch: Fetch) -> None:
    new = json.dumps({"columns": ["i", "img"], "data": [[1, "Image"], [2, "Image"]]}).encode()
    old = {"_type": "image-file", "path": "media/images/cell.png", "caption": "a cat"}
    stored = {
        "media/table/preds_3.table.json": new,
        "media/table/old_4.table.json": json.dumps({"columns": ["pic"], "data": [[old]]}).encode(),
        "media/table/broken.table.json": b"{",
        "media/images/cell.png": PNG,
    }
    facts: dict[str, dict[str, object]] = {"media/table/preds_3.table.json": {"key": "preds", "step": 3}}
    done = fetch(source_of(stored, facts), "x", "--output", "out", "--json")
    check_schema("download_plots", done.json)
    about = {one["column"]: (one["key"], one["step"], one["images"], one["in_files"]) for one in done.json["tables"]}
    assert about == {"img": ("preds", 3, 2, 0), "pic": (None, None, 1, 1)}
    assert "pic, row 0: a cat" in done.json["downloaded"][0]["caption"]
    text = fetch(source_of(stored, facts), "x", "--output", "out2").out
    assert "table preds (step 3), column img: 2 images in the table's artifact" in text


def test_what_the_digest_says_is_there_is_not_fetched_again(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    facts: dict[str, dict[str, object]] = {"a.png": {"sha256": hashlib.sha256(PNG).hexdigest()}}
    assert fetch(source_of({"a.png": PNG}, facts), "x", "--output", "out").code == 0
    monkeypatch.setattr(FakeSource, "fetch", None)
    done = fetch(source_of({"a.png": PNG}, facts), "x", "--output", "out", "--json")
    assert [one["reason"] for one in done.json["skipped"]] == ["already there"]


def test_files_come_at_the_same_time_and_in_order(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    barrier = threading.Barrier(4, timeout=20)
    whole = FakeSource.fetch

    def together(self: FakeSource, file: RunFile, destination: Path) -> None:
        barrier.wait()
        whole(self, file, destination)

    monkeypatch.setattr(FakeSource, "fetch", together)
    stored = {f"{at}.png": PNG for at in range(8)}
    done = fetch(source_of(stored), "x", "--output", "out", "--jobs", "4", "--json")
    assert [one["source"] for one in done.json["downloaded"]] == list(stored)


def test_an_interrupt_records_what_is_there(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FakeSource.fetch

    def second_time_unlucky(self: FakeSource, file: RunFile, destination: Path) -> None:
        if file.name == "b.png":
            raise KeyboardInterrupt
        whole(self, file, destination)

    monkeypatch.setattr(FakeSource, "fetch", second_time_unlucky)
    done = fetch(source_of({"a.png": PNG, "b.png": PNG, "c.png": PNG}), "x", "--output", "out", "--jobs", "1")
    assert done.code == 130
    known = json.loads(Path("out/metadata.json").read_text())["downloads"]["files"]
    assert sorted(known) == names_in("out")
    assert "a.png" in known


def test_what_is_no_image_is_refused_and_the_rest_continues(fetch: Fetch) -> None:
    stored = {
        "bad_html.png": b"<!DOCTYPE html><html>Sign in</html>",
        "bad_empty.png": b"",
        "bad_cut.png": PNG[:-20],
        "bad_head.png": PNG[:10],
        "bad_type.png": image("jpeg"),
        "bad_cut.jpg": image("jpeg")[:-30],
        "bad_cut.gif": image("gif")[:-3],
        "bad_cut.webp": image("webp")[:-3],
        "bad_cut.bmp": image("bmp")[:-3],
        "bad_html.svg": b"<html><svg></svg></html>",
        "bad_noise.tiff": b"\0" * 100,
        "good.png": PNG,
    }
    done = fetch(source_of(stored), "x", "--output", "out", "--json")
    assert done.code == 6
    check_schema("download_plots", done.json)
    assert names_in("out") == ["good.png"]
    reasons = {one["source"]: one["reason"] for one in done.json["failed"]}
    assert set(reasons) == {name for name in stored if name.startswith("bad")}
    assert reasons["bad_html.png"] == "the content is HTML, not PNG"
    assert reasons["bad_empty.png"] == "the file is empty"
    assert reasons["bad_cut.png"] == "the PNG is cut off"
    assert reasons["bad_type.png"] == "the content is JPEG, not PNG"


def test_a_failing_fetch_and_a_wrong_digest_leave_the_rest(fetch: Fetch, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = FakeSource.fetch

    def sometimes(self: FakeSource, file: RunFile, destination: Path) -> None:
        if file.name == "a.png":
            destination.write_bytes(PNG[:5])
            raise ToolkitError("a.png cannot be copied: it vanished")
        whole(self, file, destination)

    monkeypatch.setattr(FakeSource, "fetch", sometimes)
    stored = {"a.png": PNG, "b.png": PNG, "c.png": PNG}
    done = fetch(source_of(stored, facts={"b.png": {"sha256": "0" * 64}}), "x", "--output", "out", "--json")
    assert done.code == 6
    assert [one["source"] for one in done.json["failed"]] == ["a.png", "b.png"]
    assert "sha256" in done.json["failed"][1]["reason"]
    assert names_in("out") == ["c.png"]


def test_what_is_there_stays_unless_forced(fetch: Fetch) -> None:
    stored = {"a.png": PNG}
    Path("out").mkdir()
    Path("out/a.png").write_bytes(b"mine")
    done = fetch(source_of(stored), "x", "--output", "out", "--json")
    assert done.code == 0
    assert "--force" in done.json["skipped"][0]["reason"]
    assert done.json["metadata"] is None
    assert Path("out/a.png").read_bytes() == b"mine"
    check_schema("download_plots", done.json)
    forced = fetch(source_of(stored), "x", "--output", "out", "--force", "--json")
    assert len(forced.json["downloaded"]) == 1
    assert Path("out/a.png").read_bytes() == PNG


def test_nothing_to_find_is_no_error_and_says_what_there_is(fetch: Fetch, tmp_path: Path) -> None:
    stored = {"media/videos/a.mp4": b"v", "media/videos/b.mp4": b"v", "media/table/t.table.json": b"{}"}
    done = fetch(source_of(stored), "x")
    assert done.code == 0
    assert done.out.startswith("No plot files found in first (abc123).")
    assert "1 table, 2 videos" in done.out
    as_json = fetch(source_of(stored), "x", "--pattern", "*.wav", "--json")
    assert as_json.code == 0
    assert as_json.json["downloaded"] == []
    assert as_json.json["files_of_run"] == {"table": 1, "video": 2}
    check_schema("download_plots", as_json.json)
    assert not any(tmp_path.iterdir())
    assert "no files at all" in fetch(source_of({}), "x").out


@pytest.mark.parametrize(
    ("pattern", "found"),
    [("*.mp4", ["media/videos/a.mp4"]), ("media/im*", ["media/images/a.png"]), ("a.png", ["media/images/a.png"])],
)
def test_a_pattern_chooses_any_files(fetch: Fetch, pattern: str, found: list[str]) -> None:
    stored = {"media/videos/a.mp4": b"v", "media/images/a.png": PNG, "b.png": PNG}
    done = fetch(source_of(stored), "x", "--pattern", pattern, "--json")
    assert [one["source"] for one in done.json["downloaded"]] == found


def test_plots_and_downloads_share_a_folder_and_its_metadata(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = source_of({"loss.png": PNG})
    plot = call(generate_plots.main, monkeypatch, capsys, source, "x", "--metrics", "loss", "--json").json
    done = fetch(source, "x", "--json").json
    again = call(generate_plots.main, monkeypatch, capsys, source, "x", "--metrics", "loss", "--json").json
    assert plot["output_dir"] == done["output_dir"]
    assert again["plots"][0]["file"] == plot["plots"][0]["file"] != done["downloaded"][0]["file"]
    assert Path(done["downloaded"][0]["file"]).read_bytes() == PNG
    known = json.loads(Path(done["metadata"]).read_text())
    assert list(known["plots"]["files"]) == ["loss.png"]
    assert [info["source"] for info in known["downloads"]["files"].values()] == ["loss.png"]
    for section in ("plots", "downloads"):
        for name, info in known[section]["files"].items():
            assert hashlib.sha256(Path(done["output_dir"], name).read_bytes()).hexdigest() == info["sha256"]


def test_bad_arguments(fetch: Fetch, tmp_path: Path) -> None:
    source = source_of({"a.png": PNG})
    source.content.append((make_run("def456", "second"), make_history(line("loss", [1]))))
    (tmp_path / "taken").write_text("mine")
    for argv, word in (
        (("x", "first,second"), "takes one"),
        (("x",), "Which of the 2 runs"),
        (("x", "first", "--output", "taken"), "is a file"),
        (("x", "first", "--output", "taken/below"), "is a file"),
        (("x", "first", "--pattern", " "), "--pattern is blank"),
    ):
        done = fetch(source, *argv)
        assert done.code == 2, argv
        assert word in done.err
        assert "Traceback" not in done.err
    missing = fetch(source, "x", "frist")
    assert missing.code == 4
    assert "first" in missing.err
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_text_that_looks_like_svg_must_be_svg(tmp_path: Path) -> None:
    file = tmp_path / "x"
    for content, problem in (
        (SVG, ""),
        (b"\xef\xbb\xbf\n<svg/>", ""),
        (SVG[:-10], "the SVG is cut off"),
        (b"hello", "the content is no image, not SVG"),
    ):
        file.write_bytes(content)
        assert problem_with(file, "x.svg") == problem
    assert problem_with(file, "notes.txt") == ""
