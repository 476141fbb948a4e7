"""The command: what it prints, where it writes, how it ends."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from fake_source import FakeSource
from loopback import document, serving
from report_cases import a_run, memory_source, rising
from repository import ROOT
from wandb_toolkit import sources
from wandb_toolkit.commands import report_watch
from wandb_toolkit.commands.wandb_report import ROLE_FLAGS, build_parser, main
from wandb_toolkit.errors import Exit, ServerError, ToolkitError
from wandb_toolkit.model import Report
from wandb_toolkit.reports.build import ReportOptions, build_report

EXAMPLES = str(ROOT / "examples" / "wandb")
SCHEMA = json.loads((ROOT / "docs" / "schemas" / "wandb_report.schema.json").read_text(encoding="utf-8"))
LOSS = 2.0 - rising(1.0, 200)
KEYS = {
    "verdict", "source", "primary", "roles", "runs", "good", "bad", "ugly", "comparison", "next_experiments", "errors",
    "generated_at", "tool_version",
}  # fmt: skip


def valid(text: str) -> dict[str, Any]:
    """Parse strict JSON and hold it against the schema."""

    def refuse(token: str) -> None:
        raise AssertionError(f"{token} is no JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refuse)
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(document)
    return document


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeSource:
    """Three runs in place of whatever the target names."""
    content = [
        (a_run(name, created_at=datetime(2025, 2, day, tzinfo=UTC), state=state), {"train/loss": LOSS * factor})
        for name, day, state, factor in (("new", 3, "finished", 1), ("mid", 2, "crashed", 2), ("old", 1, "finished", 3))
    ]
    made = memory_source(content)
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    return made


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_example_runs_are_judged_as_they_were_made(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([EXAMPLES, "--json"]) == Exit.OK
    document = valid(capsys.readouterr().out)
    assert list(document)[:3] == ["verdict", "source", "target"]
    assert set(document) >= KEYS
    assert document["primary"]["metric"] == "eval/accuracy"
    found = {run["name"]: {f["id"] for f in run["findings"] if not f["consequence_of"]} for run in document["runs"]}
    assert "nan_or_inf" in found["lr-too-high"]
    assert "entropy_collapse" in found["entropy-collapse"]
    assert "reward_hacking" in found["reward-hacking"]
    assert "kl_too_low" in found["kl-leash"]
    assert "crashed" in found["killed"]
    assert {run["name"] for run in document["runs"] if run["verdict"] == "good"} == {
        f"grpo-base-s{i}" for i in (1, 2, 3)
    }
    assert document["comparison"]["best"].startswith("grpobas")
    assert [len(group["runs"]) for group in document["comparison"]["seed_groups"]] == [3]
    assert 3 <= len(document["next_experiments"]) <= 6
    assert {e["finding"] for e in document["next_experiments"]} >= {"nan_or_inf", "kl_too_low", "reward_hacking"}


def test_markdown_is_the_default_and_stdout_holds_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([EXAMPLES]) == Exit.OK
    said = capsys.readouterr()
    assert said.out.startswith("# W&B report: ")
    assert f"`{shlex.join(['wandb_report', EXAMPLES])}`" in said.out
    assert said.err == ""


def test_the_newest_runs_are_taken_and_the_rest_is_counted(
    fake: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["x", "--max-runs", "2", "--json"]) == Exit.OK
    document = valid(capsys.readouterr().out)
    assert [run["name"] for run in document["runs"]] == ["new", "mid"]
    assert document["left_out"] == 1
    assert main(["x", "--latest", "1", "--json"]) == Exit.OK
    document = valid(capsys.readouterr().out)
    assert [run["name"] for run in document["runs"]] == ["new"]
    assert document["left_out"] == 0


def test_runs_states_and_entity_and_project_choose(fake: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x", "--runs", "old,id-new", "--json"]) == Exit.OK
    assert [run["name"] for run in valid(capsys.readouterr().out)["runs"]] == ["old", "new"]
    assert main(["--entity", "e", "--project", "p", "--state", "crashed,failed", "--json"]) == Exit.OK
    assert [run["name"] for run in valid(capsys.readouterr().out)["runs"]] == ["mid"]


def test_role_flags_and_primary_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    words = [EXAMPLES, "--latest", "2", "--primary", "train/reward", "--entropy", "train/kl", "--json"]
    assert main(words) == Exit.OK
    document = valid(capsys.readouterr().out)
    assert document["primary"]["metric"] == "train/reward"
    assert document["roles"]["entropy"] == "train/kl"
    assert document["role_reasons"]["entropy"] == "given by you"


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["x", "--entity", "e", "--project", "p"], "name two places", "one of them"),
        (["--entity", "e"], "--entity needs --project", "entity/project"),
        (["x", "--runs", "a", "--latest", "2"], "contradict", "one of them"),
        (["x", "--latest", "5", "--max-runs", "2"], "more than --max-runs 2", ""),
        (["x", "--latest", "0"], "not a whole number", "usage"),
        (["x", "--state", "finnished"], "no state 'finnished'", "finished"),
        (["x", "--runs", "a,,b"], "blank part", ""),
        (["x", "--tags", " "], "blank part", ""),
        (["x", "--primary", " "], "--primary is blank", ""),
        (["x", "--outt", "f"], "Unrecognized", "--out"),
        (["x", "--out", "/"], "is a folder", "report.md"),
        (["x", "--watch", "--as-of", "2025-01-01"], "--as-of fixes another time", "one of them"),
        (["x", "--watch", "0"], "not a number of seconds", "usage"),
        (["x", "--as-of", "yesterday"], "is not a time such as", "usage"),
        (["x", "--goal", "high"], "invalid float value", "usage"),
        (["x", "--goal", "nan"], "--goal is not a number", ""),
        (["x", "--window", "0"], "not a whole number", "usage"),
        (["x", "--fail-on", "good"], "invalid choice", "usage"),
        (["x", "--html", "page.md"], "not an HTML file name", ".html"),
        (["x", "--html", "/"], "is a folder", "report"),
        (["x", "--out", "report.html"], "cannot be written as .html", "--html FILE"),
    ],
)
def test_contradictions_are_usage_errors(
    words: list[str], message: str, hint: str, fake: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--json"]) == Exit.USAGE
    said = capsys.readouterr()
    error = json.loads(said.err)
    assert said.out == ""
    assert message in error["message"]
    assert hint in error["hint"]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["x", "--primary", "train/lss"], "train/loss"),
        (["x", "--kl", "train/lss"], "train/loss"),
        (["x", "--runs", "nwe"], "new"),
        (["x", "--state", "killed"], "There are 3 runs: 2 finished, 1 crashed; none has a tag"),
    ],
)
def test_what_is_not_there_names_what_is(
    words: list[str], hint: str, fake: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == Exit.NOT_FOUND
    assert hint in capsys.readouterr().err


def test_an_empty_folder_and_a_missing_path_are_not_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == Exit.NOT_FOUND
    assert main([str(tmp_path / "nowhere")]) == Exit.NOT_FOUND
    assert "Traceback" not in capsys.readouterr().err


def test_a_run_that_fails_to_load_is_listed_and_the_exit_code_says_partly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = memory_source([(a_run("fine"), {"train/loss": LOSS}), (a_run("lost"), ToolkitError("the log is damaged"))])
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    assert main(["x", "--json"]) == Exit.PARTIAL
    said = capsys.readouterr()
    assert valid(said.out)["errors"] == [{"run": "id-lost", "name": "lost", "message": "the log is damaged"}]
    assert "warning: lost could not be read: the log is damaged" in said.err


@pytest.mark.parametrize(
    ("name", "flags", "is_json"),
    [("r.md", [], False), ("r.json", [], True), ("r", ["--json"], True), ("r.md", ["--json"], False), ("r", [], False)],
)
def test_out_writes_the_form_that_its_name_asks_for(
    name: str,
    flags: Sequence[str],
    is_json: bool,
    fake: FakeSource,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "new folder" / name
    assert main(["x", "--out", str(path), *flags]) == Exit.OK
    text = path.read_text(encoding="utf-8")
    assert text.startswith("{" if is_json else "# W&B report")
    if is_json:
        valid(text)
    printed = capsys.readouterr().out
    if flags:
        assert valid(printed)["path"] == str(path)
    else:
        assert printed.splitlines()[0] == f"Wrote {path}"
        assert "3 runs: " in printed.splitlines()[1]
        assert len(printed.splitlines()) < 15


def test_out_without_a_folder_and_over_an_earlier_report(
    fake: FakeSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "report.md").write_text("earlier")
    assert main(["x", "--out", "report.md"]) == Exit.OK
    assert (tmp_path / "report.md").read_text().startswith("# W&B report")
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_an_output_path_that_cannot_be_fails_before_the_work(
    fake: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert main(["x", "--out", str(tmp_path / "file" / "report.md")]) == Exit.USAGE
    assert "a file, not a folder" in (said := capsys.readouterr().err)
    assert "--out " in said
    assert "--output" not in said
    assert fake.asked == []


def test_a_failed_report_leaves_the_earlier_one(fake: FakeSource, tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("earlier")
    assert main(["x", "--out", str(path), "--primary", "no/such"]) == Exit.NOT_FOUND
    assert path.read_text() == "earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]


def test_help_starts_without_the_heavy_packages() -> None:
    code = (
        "import sys; sys.path.insert(0, 'scripts'); from wandb_toolkit.commands.wandb_report import main;"
        "main(['--help']); print([m for m in ('numpy', 'pandas', 'matplotlib', 'wandb', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_flag_is_explained() -> None:
    text = build_parser().format_help()
    for word in ("state", "tags", "runs", "latest", "max-runs", "primary", "out", "entity", "project", *ROLE_FLAGS):
        assert f"--{word}" in text


@pytest.mark.parametrize(
    ("level", "state", "code"), [("ugly", "crashed", 1), ("bad", "crashed", 1), ("ugly", "finished", 0)]
)
def test_fail_on_ends_with_1_and_the_verdict_on_stdout(
    level: str, state: Any, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = memory_source([(a_run("one", state=state), {"train/loss": LOSS})])
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    assert main(["x", "--fail-on", level, "--json"]) == code
    assert valid(capsys.readouterr().out)["verdict"] == ("ugly" if code else "good")


def test_a_gate_that_judged_nothing_does_not_open(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = memory_source([(a_run("one"), {"odd": [1.0, 2.0]})])
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    assert main(["x", "--fail-on", "ugly"]) == Exit.UNJUDGED
    assert "UNKNOWN" in capsys.readouterr().out
    assert main(["x"]) == Exit.OK


def test_as_of_fixes_now_and_leaves_out_what_started_later(
    fake: FakeSource, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["x", "--as-of", "2025-02-02T12:00", "--json"]
    assert main(words) == Exit.OK
    first = capsys.readouterr().out
    document = valid(first)
    assert [run["name"] for run in document["runs"]] == ["mid", "old"]
    assert (document["generated_at"], document["as_of"]) == ("2025-02-02T12:00:00Z", True)
    assert main(words) == Exit.OK
    assert capsys.readouterr().out == first
    assert main(["x", "--as-of", "2024-01-01"]) == Exit.NOT_FOUND
    assert "No run had started at 2024-01-01" in capsys.readouterr().err


def test_a_window_is_named_in_the_headline_and_the_json(fake: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x", "--window", "50"]) == Exit.OK
    assert "the last 50 rows only (--window)" in capsys.readouterr().out.splitlines()[2]
    assert main(["x", "--window", "50", "--json"]) == Exit.OK
    assert valid(capsys.readouterr().out)["window"] == 50


def test_compare_comes_first_and_full_tells_of_each_run(fake: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x", "--compare", "--goal", "1.5"]) == Exit.OK
    out = capsys.readouterr().out
    assert out.index("## Comparison") < out.index("## Good")
    assert "### At the same cost, and up to the target" in out
    assert "To reach 1.5 (given by you): `new` " in out
    assert main(["x", "--full"]) == Exit.OK
    out = capsys.readouterr().out
    assert out.index("## Good") < out.index("## Comparison")
    assert "## Each run" in out
    assert "### `mid`: ugly, crashed" in out


def test_compare_with_one_run_says_so_and_reports(fake: FakeSource, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x", "--compare", "--runs", "new"]) == Exit.OK
    said = capsys.readouterr()
    assert "only one run" in said.err
    assert said.out.startswith("# W&B report")


def test_a_target_without_a_metric_is_a_usage_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = memory_source([(a_run("one"), {"odd": [1.0, 2.0]})])
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    assert main(["x", "--goal", "1"]) == Exit.USAGE
    assert "--primary" in capsys.readouterr().err


def test_html_is_written_beside_what_is_printed(
    fake: FakeSource, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "page.html"
    assert main(["x", "--html", str(path), "--json"]) == Exit.OK
    assert valid(capsys.readouterr().out)["html"] == str(path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["x", "--html", str(path), "--out", str(tmp_path / "r.md")]) == Exit.OK
    assert capsys.readouterr().out.splitlines()[:2] == [f"Wrote {tmp_path / 'r.md'}", f"Wrote {path}"]


def a_report() -> Report:
    """Return the report of a run that is still running."""
    run = a_run("one", state="running", last_activity=datetime.now(UTC))
    source = memory_source([(run, {"train/loss": LOSS[:60]})])
    return build_report(source, source.all, ReportOptions(datetime.now(UTC))).report


class Growing:
    """Looks that show one run further each time; the third shows it ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, stop_at: int = 0) -> None:
        self.looks, self.naps, self.stop_at = 0, [0.0][:0], stop_at
        monkeypatch.setattr(sources, "open_source", self.open)
        monkeypatch.setattr(report_watch, "sleep", self.nap)

    def open(self, *_: Any, **__: Any) -> tuple[FakeSource, tuple[str, ...]]:
        self.looks += 1
        state = "finished" if self.looks > 2 else "running"
        run = a_run("one", state=state, steps=60 * self.looks, last_activity=datetime.now(UTC))
        return memory_source([(run, {"train/loss": LOSS[: 60 * self.looks]})]), ()

    def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        if len(self.naps) == self.stop_at:
            raise KeyboardInterrupt


def test_watch_prints_what_changed_until_nothing_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Growing(monkeypatch)
    assert main(["--watch", "5", "x"]) == Exit.OK
    said = capsys.readouterr()
    assert said.out.count("# W&B report") == 1
    assert "`one`: step 60 → 120, `train/loss` " in said.out
    assert "`one`: running, now finished" in said.out
    assert "no run is running any more" in said.err
    assert seen.naps == [5.0, 5.0]


def test_watch_takes_no_target_for_its_seconds_and_json_stays_one_document(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Growing(monkeypatch)
    assert main(["--watch", "x", "--json"]) == Exit.OK
    said = capsys.readouterr()
    assert valid(said.out)["runs"][0]["state"] == "finished"
    assert "step 60 → 120" in said.err
    assert seen.naps == [60.0, 60.0]


def test_watch_auto_waits_ever_longer_while_nothing_but_progress_is_new(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Growing(monkeypatch)
    assert main(["--watch", "auto", "x"]) == Exit.OK
    assert "Watching ever more rarely" in capsys.readouterr().err
    assert seen.naps[0] == report_watch.SHORTEST
    pause = report_watch.Pause(report_watch.AUTO)
    report = a_report()
    for _ in range(20):
        pause.after(report, report)
    assert pause.seconds == report_watch.LONGEST
    ended = replace(report, runs=tuple(replace(one, verdict="ugly") for one in report.runs))
    pause.after(report, ended)
    assert pause.seconds == report_watch.SHORTEST


def test_a_watch_notifies_of_what_is_new_and_goes_on_where_nobody_listens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Growing(monkeypatch)
    broken = LOSS.copy()
    broken[70:] = float("nan")
    monkeypatch.setattr(sys.modules[__name__], "LOSS", broken)
    with serving(document({})) as server:
        assert main(["x", "--watch", "1", "--notify", f"{server.url}/hook"]) == Exit.OK
    told = [json.loads(request.body)["finding"] for request in server.requests]
    assert told.count("nan_or_inf") == 1
    capsys.readouterr()
    assert main(["x", "--watch", "1", "--notify", f"{server.url}/hook", "--notify-command", "false"]) == Exit.OK
    said = capsys.readouterr().err
    assert "127.0.0.1 was not notified" in said
    assert "false was not notified: it ended with 1" in said
    assert main(["x", "--notify", "https://example.org"]) == Exit.USAGE


def test_ctrl_c_ends_a_watch_with_what_was_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Growing(monkeypatch, stop_at=1)
    assert main(["x", "--watch", "--json"]) == Exit.INTERRUPTED
    assert valid(capsys.readouterr().out)["runs"][0]["state"] == "running"


def test_a_watch_ends_at_once_where_the_verdict_is_the_one_feared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Growing(monkeypatch)
    broken = LOSS.copy()
    broken[70:] = float("nan")
    monkeypatch.setattr(sys.modules[__name__], "LOSS", broken)
    assert main(["x", "--watch", "1", "--fail-on", "ugly"]) == Exit.FAILED
    assert seen.looks == 2
    assert "Ended: the verdict is ugly." in capsys.readouterr().err


def test_a_watch_bears_a_server_that_fails_for_a_while(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = Growing(monkeypatch)
    calls = {"count": 0}

    def flaky(*words: Any, **options: Any) -> Any:
        calls["count"] += 1
        if calls["count"] in (2, 3):
            raise ServerError("The server does not answer.")
        return seen.open(*words, **options)

    monkeypatch.setattr(sources, "open_source", flaky)
    assert main(["x", "--watch", "1"]) == Exit.OK
    assert capsys.readouterr().err.count("does not answer. Trying again.") == 2
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (_ for _ in ()).throw(ServerError("gone")))
    assert main(["x", "--watch", "1"]) == Exit.SERVER


def test_of_many_runs_those_that_failed_are_listed_together(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content: list[Any] = [(a_run(f"r{i}"), {"train/loss": LOSS[:30]}) for i in range(40)]
    content += [(a_run(f"bad{i}"), ToolkitError("the log is damaged")) for i in range(20)]
    made = memory_source(content)
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    assert main(["x", "--max-runs", "100", "--quiet"]) == Exit.PARTIAL
    said = capsys.readouterr()
    assert "20 could not be read" in said.out
    assert "- `bad0`, `bad1`, `bad2`, `bad3` and 16 more: the log is damaged." in said.out
    assert said.err == ""


@pytest.mark.parametrize("content", [{}, {"only": [1.0]}, {"train/loss": [0.5]}, {"train/loss": [float("nan")]}])
def test_thin_runs_give_a_report_in_every_form(
    content: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = memory_source([(a_run("thin"), content), (a_run("other"), {"else/where": LOSS})])
    monkeypatch.setattr(sources, "open_source", lambda *_, **__: (made, ()))
    words = ["x", "--compare", "--full", "--window", "10", "--html", str(tmp_path / "p.html"), "--json"]
    assert main(words) == Exit.OK
    valid(capsys.readouterr().out)
    assert main(words[:3]) == Exit.OK
    assert "`other`" in capsys.readouterr().out


def test_each_bad_or_ugly_finding_has_its_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    folder = tmp_path / "a folder"
    words = [EXAMPLES, "--figures", str(folder), "--json", "-q"]
    assert main(words) == Exit.OK
    document = valid(capsys.readouterr().out)
    shown = 0
    for run in document["runs"]:
        for finding in run["findings"]:
            if finding["severity"] not in ("bad", "ugly"):
                assert finding["figure"] is None
                continue
            with Image.open(finding["figure"]) as picture:
                assert picture.text["Description"].startswith(run["name"])  # type: ignore[attr-defined]
                assert picture.width >= 800
            shown += 1
    assert shown >= 10
    assert len(list(folder.glob("*.png"))) == shown
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(words) == Exit.OK
    assert valid(capsys.readouterr().out)["runs"] == document["runs"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert main([EXAMPLES, "--figures", str(folder)]) == Exit.OK
    assert f"Wrote {shown} figures in {folder}" in capsys.readouterr().out
    for wrong in (" ", __file__):
        assert main([EXAMPLES, "--figures", wrong]) == Exit.USAGE
        assert "--figures" in capsys.readouterr().err
