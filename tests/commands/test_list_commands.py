"""The three list commands, through `main(argv)`, on the example runs and on runs made for one purpose."""

from __future__ import annotations

import csv
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from plot_fakes import make_run
from repository import ROOT
from wandb_toolkit.commands import list_metrics, list_projects, list_runs
from wandb_toolkit.listing.choose import best_points, limited, prefix_of, telling_metrics
from wandb_toolkit.listing.table import TableColumn, fitting, table
from wandb_toolkit.listing.tables import metrics_table, runs_table
from wandb_toolkit.model import MetricInfo

EXAMPLES = str(ROOT / "examples" / "wandb")
COMMANDS = {"list_projects": list_projects.main, "list_runs": list_runs.main, "list_metrics": list_metrics.main}
Capture = pytest.CaptureFixture[str]


def run_json(capsys: Capture, command: str, *argv: str) -> Any:
    """Run a command with --json, hold its output against the schema, and return it."""
    assert COMMANDS[command]([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda token: pytest.fail(f"{token} is no strict JSON"))
    schema = json.loads((ROOT / "docs" / "schemas" / f"{command}.schema.json").read_text())
    jsonschema.validate(found, schema, format_checker=jsonschema.FormatChecker())
    return found


def test_projects(capsys: Capture) -> None:
    [project] = run_json(capsys, "list_projects", EXAMPLES)
    assert (project["name"], project["entity"], project["run_count"]) == ("grpo-digits", None, 8)
    assert project["created_at"] < project["last_activity"]


def test_runs_newest_first_with_summary(capsys: Capture) -> None:
    runs = run_json(capsys, "list_runs", EXAMPLES)
    assert [run["created_at"] for run in runs] == sorted((run["created_at"] for run in runs), reverse=True)
    states = {run["name"]: run["state"] for run in runs}
    assert states.pop("killed") == "crashed"
    assert set(states.values()) == {"finished"}
    by_name = {run["name"]: run for run in runs}
    assert by_name["lr-too-high"]["summary_metrics"]["train/loss"] == "NaN"
    assert by_name["grpo-base-s1"]["summary_metrics"]["eval/accuracy"] > 0.9
    assert by_name["grpo-base-s1"]["group"] == "baseline"
    assert by_name["killed"]["exit_code"] is None
    assert by_name["killed"]["warnings"]


def test_run_filters_and_order(capsys: Capture) -> None:
    assert [r["name"] for r in run_json(capsys, "list_runs", EXAMPLES, "--state", "crashed")] == ["killed"]
    tagged = run_json(capsys, "list_runs", EXAMPLES, "--tag", "reward,beta")
    assert {r["name"] for r in tagged} == {"reward-hacking", "kl-leash"}
    assert len(run_json(capsys, "list_runs", EXAMPLES, "--group", "baseline")) == 4
    best = run_json(capsys, "list_runs", EXAMPLES, "--order", "-summary_metrics.eval/accuracy", "--limit", "2")
    assert {r["name"] for r in best} == {"grpo-base-s1", "grpo-base-s2"}
    low_rates = run_json(capsys, "list_runs", EXAMPLES, "--order", "+config.learning_rate")
    assert low_rates[-1]["name"] == "lr-too-high"


def test_chosen_metrics(capsys: Capture) -> None:
    [run] = run_json(capsys, "list_runs", EXAMPLES, "--metrics", "eval/accuracy", "--limit", "1")
    assert list(run["summary_metrics"]) == ["eval/accuracy"]
    assert list_runs.main([EXAMPLES, "--metrics", "eval/acuracy"]) == 4
    assert "eval/accuracy" in capsys.readouterr().err
    assert list_runs.main([EXAMPLES, "--metrics", "a,,b"]) == 2


def test_table_shows_what_differs(capsys: Capture) -> None:
    assert list_runs.main([EXAMPLES]) == 0
    out, err = capsys.readouterr()
    head = out.splitlines()[0]
    assert "eval/accuracy" in head
    assert "train/reward" in head
    assert "project" not in head  # the same for all
    assert "more summary metrics" in out
    assert "\x1b" not in out
    assert "killed" in err  # the warning about the cut-off log


def test_limit_says_what_is_left_out(capsys: Capture) -> None:
    assert list_runs.main([EXAMPLES, "--limit", "3"]) == 0
    assert "3 of 8 runs shown; --limit N shows more" in capsys.readouterr().err


def test_metrics_of_a_run(capsys: Capture) -> None:
    metrics = run_json(capsys, "list_metrics", EXAMPLES, "grpo-base-s1")
    accuracy = metrics["eval/accuracy"]
    assert accuracy["type"] == "number"
    assert accuracy["count"] == 194  # rows of the run
    assert accuracy["non_null_count"] == 33  # every evaluation, though it shares no row with the training metrics
    assert accuracy["best"] == accuracy["max"]
    assert accuracy["direction"] == "max"
    assert metrics["train/kl"]["best"] is None  # the least KL is nobody's best
    assert metrics["samples"]["type"] == "table"
    assert metrics["policy/token_probabilities"]["type"] == "image"
    assert metrics["eval/completion_length"]["type"] == "histogram"
    assert not any(name.startswith(("_", "system.")) or name.endswith(".path") for name in metrics)


def test_nonfinite_values_are_counted_and_kept_out_of_statistics(capsys: Capture) -> None:
    loss = run_json(capsys, "list_metrics", EXAMPLES, "lr-too-high")["train/loss"]
    assert loss["nonfinite_count"] > 0
    assert loss["last"] == "NaN"
    assert isinstance(loss["mean"], float)


def test_system_metrics_when_asked(capsys: Capture) -> None:
    metrics = run_json(capsys, "list_metrics", EXAMPLES, "grpo-base-s1", "--include-system", "--pattern", "system.*")
    assert metrics
    assert all(info["system"] for info in metrics.values())


def test_metric_pattern_without_a_match_names_the_nearest(capsys: Capture) -> None:
    assert list_metrics.main([EXAMPLES, "grpo-base-s1", "--pattern", "*acuracy*"]) == 4
    assert "eval/accuracy" in capsys.readouterr().err


def test_default_run_is_the_latest(capsys: Capture) -> None:
    assert list_metrics.main([EXAMPLES]) == 0
    assert capsys.readouterr().out.startswith("killed (killed01), the latest of 8 runs: crashed")


def test_one_run_directory_or_log_as_target(capsys: Capture) -> None:
    log = next(Path(EXAMPLES).glob("*grpobas2/*.wandb"))
    for target in (log, log.parent):
        assert "eval/accuracy" in run_json(capsys, "list_metrics", str(target))


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["{tmp}/absent"], 4, "There is no"),
        (["{tmp}/empty"], 4, "no W&B runs"),
        (["{tmp}/notes.wandb"], 1, "not a .wandb log"),
        (["{tmp}/zero.wandb"], 1, "empty"),
        (["{tmp}/pointer.wandb"], 1, "git lfs pull"),
        (["some-entity/some-project"], 3, "grpo-digits"),
        ([EXAMPLES, "--state", "finnished"], 2, "finished"),
        ([EXAMPLES, "--state", "running"], 4, "finished"),
        ([EXAMPLES, "--order", "beauty"], 2, "created_at"),
        ([EXAMPLES, "--limit", "0"], 2, "1 or more"),
        ([EXAMPLES, "--limt", "3"], 2, "--limit"),
        ([EXAMPLES, "--tags", "a,,b"], 2, "blank"),
    ],
)
def test_bad_input_is_explained(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], code: int, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.wandb").write_text("dear diary")
    (tmp_path / "zero.wandb").write_bytes(b"")
    (tmp_path / "pointer.wandb").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    monkeypatch.setenv("WANDB_DIR", EXAMPLES)
    argv = [word.replace("{tmp}", str(tmp_path)) for word in argv]
    assert list_runs.main(argv) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert "Traceback" not in err
    assert list_runs.main([*argv, "--json"]) == code
    error = json.loads(capsys.readouterr().err)
    assert set(error) == {"type", "message", "hint"}


def test_unknown_run_names_the_nearest(capsys: Capture) -> None:
    assert list_metrics.main([EXAMPLES, "grpo-base-s9"]) == 4
    assert "grpo-base-s1" in capsys.readouterr().err


def test_several_runs_where_one_is_wanted(capsys: Capture) -> None:
    assert list_metrics.main([EXAMPLES, "group:baseline"]) == 2
    assert "4 runs" in capsys.readouterr().err


def test_a_copy_of_a_run_directory_is_the_same_run(capsys: Capture, tmp_path: Path) -> None:
    original = next(Path(EXAMPLES).glob("*grpobas1"))
    for folder in ("wandb", "backup"):
        shutil.copytree(original, tmp_path / folder / original.name)
    log = next((tmp_path / "backup").rglob("*.wandb"))
    log.write_bytes(log.read_bytes()[: 3 * 32768])  # taken while the run was still writing
    [run] = run_json(capsys, "list_runs", str(tmp_path))
    assert run["paths"] == [str(tmp_path / "wandb" / original.name)]
    assert run["duration"] < 10
    assert run_json(capsys, "list_metrics", str(tmp_path))["eval/accuracy"]["non_null_count"] == 33


def test_strangers_names_cannot_write_to_the_terminal() -> None:
    hostile = "\x1b]0;owned\x07evil\x1b[31m\nrow\u202e"
    text = table([TableColumn("name"), TableColumn("state")], [[hostile, "running"]], None)
    assert text.splitlines()[1].split() == ["evil", "row", "running"]
    assert text.replace("\n", "").isprintable()


def test_columns_give_way_by_rank() -> None:
    columns = [
        TableColumn("name"),
        TableColumn("id", fixed=True),
        TableColumn("a", rank=1),
        TableColumn("b", rank=2),
        TableColumn("c", rank=1),
    ]
    rows = [["n" * 10, "i" * 8, "1" * 8, "2" * 8, "3" * 8]]
    assert fitting(columns, rows, 100) == {0: 10, 1: 8, 2: 8, 3: 8, 4: 8}
    assert list(fitting(columns, rows, 49)) == [0, 1, 2, 4]
    assert list(fitting(columns, rows, 39)) == [0, 1, 2]
    assert fitting(columns, rows, 18) == {0: 8, 1: 8}  # a name is cut, an id is not


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_narrow_terminals_cut_no_number(monkeypatch: pytest.MonkeyPatch, capsys: Capture, width: int) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("wandb_toolkit.listing.table.terminal_width", lambda: width)
    monkeypatch.setattr("wandb_toolkit.commands.list_runs.terminal_width", lambda: width)
    assert list_runs.main([EXAMPLES, "-q"]) == 0
    assert list_metrics.main([EXAMPLES, "grpo-base-s1", "-q"]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    rows = [line for line in out.splitlines() if line.startswith(("grpo-base-s3", "eval/a", "name ", "metric "))]
    assert max(map(len, rows)) <= max(width, 60)  # a metric's name is never cut
    accuracy = next(line for line in rows if line.startswith("eval/a"))
    assert "0.9819" in accuracy


def test_the_best_of_a_metric_is_where_its_name_says() -> None:
    infos = [
        MetricInfo(name, "number", 2, 2, min=1.0, max=3.0, first=1.0, last=3.0, min_step=0, max_step=9)
        for name in ("losses/q_values", "eval/accuracy", "train/kl", "val_loss")
    ]
    bests = best_points(infos)
    assert bests["eval/accuracy"] == (3.0, 9, "max")
    assert bests["val_loss"] == (1.0, 0, "min")
    assert bests["losses/q_values"] is None
    assert bests["train/kl"] is None


def test_order_by_what_nobody_has(capsys: Capture) -> None:
    assert list_runs.main([EXAMPLES, "--order", "-summary_metrics.eval/acuracy"]) == 4
    assert "eval/accuracy" in capsys.readouterr().err
    assert list_runs.main([EXAMPLES, "--order", "config.learning_rat"]) == 4
    assert "learning_rate" in capsys.readouterr().err


def test_a_mistyped_path_is_not_an_authentication_error(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "runs" / "wandb").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert list_runs.main(["runs/wandbb"]) == 4
    assert "wandb" in capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize(("redirect", "code"), [(">/dev/full", "1"), (">&-", "0")])
def test_output_that_cannot_be_written(redirect: str, code: str) -> None:
    script = ROOT / "scripts" / "list_projects.py"
    command = f"'{sys.executable}' '{script}' '{EXAMPLES}' {redirect}; echo $? >&2"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == code
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_table_fits_a_real_terminal(width: int) -> None:
    script = str(ROOT / "scripts" / "list_runs.py")
    leader, follower = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(width), "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, script, EXAMPLES, "-q"], stdout=follower, stderr=subprocess.PIPE, env=environ
    ) as process:
        os.close(follower)
        raw = b""
        while True:
            try:
                part = os.read(leader, 65536)
            except OSError:
                break
            if not part:
                break
            raw += part
        assert process.wait(30) == 0
    os.close(leader)
    from wandb_toolkit.text import _ESCAPES

    lines = _ESCAPES.sub("", raw.decode()).splitlines()
    assert len(lines) == 10
    assert max(map(len, lines)) <= width
    assert "eval/accuracy" in lines[0]
    assert b"\x1b[" in raw


def test_pipe_that_closes_early_is_no_error() -> None:
    script = ROOT / "scripts" / "list_metrics.py"
    command = f"'{sys.executable}' '{script}' '{EXAMPLES}' grpo-base-s1 | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_thousands_of_metrics_stay_readable() -> None:
    infos = [MetricInfo(f"gradients/layer.{n}", "histogram", 10, 10) for n in range(4900)]
    infos += [MetricInfo(f"train/m{n}", "number", 10, 10, min=0.0, max=1.0, first=0.0, last=1.0) for n in range(99)]
    infos += [MetricInfo("loss", "number", 10, 10, min=0.0, max=1.0, first=0.0, last=1.0)]
    groups = limited(infos, 60)
    assert sum(len(group.shown) for group in groups) == 60
    assert {group.prefix: group.hidden for group in groups}["gradients"] > 4800
    assert sum(len(group.shown) + group.hidden for group in groups) == 5000
    assert len(metrics_table([i for g in groups for i in g.shown], {}, None).splitlines()) == 61
    many_prefixes = [MetricInfo(f"p{n}/loss", "number", 1, 1) for n in range(500)]
    assert sum(len(group.shown) for group in limited(many_prefixes, 60)) <= 60


def test_prefix_is_w_and_bs_panel_section() -> None:
    assert [prefix_of(name) for name in ("loss", "train/a/b", "system.cpu", "a.b")] == ["", "train", "system", ""]


def test_telling_metrics_put_known_roles_first_and_constants_nowhere() -> None:
    runs = [
        {"zeta": n, "loss": n, "eval/accuracy": n / 10, "same": 1, "_step": n, "text": "x", "flag": True}
        for n in (1, 2)
    ]
    assert telling_metrics(runs) == ["eval/accuracy", "loss", "zeta"]
    assert set(telling_metrics(runs[:1])) == {"eval/accuracy", "loss", "zeta", "same"}


def test_summaries_keep_media_small(capsys: Capture) -> None:
    runs = run_json(capsys, "list_runs", EXAMPLES)
    summary = next(run["summary_metrics"] for run in runs if run["name"] == "grpo-base-s1")
    assert set(summary["eval/completion_length"]) == {"_type"}  # no bins
    assert summary["samples"]["_type"] == "table-file"


def test_an_error_of_ours_is_not_blamed_on_the_output(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: object) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr("wandb_toolkit.sources.local.source.find_run_dirs", failing)
    assert list_runs.main([EXAMPLES]) == 1
    err = capsys.readouterr().err
    assert "some/file" in err
    assert "output" not in err


def test_a_key_that_is_held_back_is_explained(capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "wandb").mkdir()
    (tmp_path / "wandb" / "settings").write_text("[default]\nbase_url = http://127.0.0.1:9\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    assert list_runs.main(["team/digits", "--timeout", "2"]) == 3
    err = capsys.readouterr().err
    assert "WANDB_BASE_URL=http://127.0.0.1:9" in err
    assert "0123456789" not in err


# ---- formats -----------------------------------------------------------------------------------------------------


def as_csv(capsys: Capture, command: str, *argv: str) -> list[dict[str, str]]:
    assert COMMANDS[command]([*argv, "--format", "csv", "-q"]) == 0
    return list(csv.DictReader(capsys.readouterr().out.splitlines()))


def test_csv_of_the_lists_has_what_json_has(capsys: Capture) -> None:
    for row, run in zip(as_csv(capsys, "list_runs", EXAMPLES), run_json(capsys, "list_runs", EXAMPLES), strict=True):
        assert (row["id"], row["created (UTC)"]) == (run["id"], run["created_at"])
        assert row["eval/accuracy"] == str(run["summary_metrics"].get("eval/accuracy", ""))
    metrics = run_json(capsys, "list_metrics", EXAMPLES, "grpo-base-s1")
    for row in as_csv(capsys, "list_metrics", EXAMPLES, "grpo-base-s1"):
        info = metrics.pop(row["metric"])
        for title in ("last", "min", "best", "best_step"):
            assert row[title] == ("" if info[title] is None else str(info[title]))
    assert not metrics
    [project] = as_csv(capsys, "list_projects", EXAMPLES)
    assert (project["project"], project["runs"]) == ("grpo-digits", "8")


@pytest.mark.parametrize("command", COMMANDS)
def test_json_is_no_table_format(command: str, capsys: Capture) -> None:
    assert COMMANDS[command]([EXAMPLES, "--json", "--format", "latex"]) == 2
    assert "--json and --format latex" in capsys.readouterr().err


def test_a_narrow_table_keeps_a_metric_and_says_what_had_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(name="a-rather-long-name-of-a-run", group="g", duration=90.0, steps=100)
    other = make_run("def456", "another-long-name-of-a-run", group="h", duration=9.0, steps=100)
    metrics = ["train/completions/" + "x" * 60, "train/loss", "eval/accuracy", "eval/loss"]
    monkeypatch.setenv("NO_COLOR", "1")
    text, count, lacking = runs_table([run, other], [dict.fromkeys(metrics, 0.25)] * 2, metrics, 80, asked=True)
    head, *_, last = text.splitlines()
    assert count == 1
    assert max(map(len, text.splitlines())) <= 80
    assert "train/completions/" in head
    assert "train/loss" not in head
    assert last.startswith("no room at 80 columns: ")
    assert all(title in lacking for title in ("group", "duration"))


@pytest.mark.parametrize("words", [["/no/such/folder"], ["--state", "zzz", str(EXAMPLES)]])
def test_debug_shows_the_traceback_and_keeps_the_exit_code(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from wandb_toolkit.commands import list_runs

    code = list_runs.main(words)
    assert code in (2, 4)
    assert "Traceback" not in capsys.readouterr().err
    assert list_runs.main([*words, "--debug"]) == code
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "error: " in err
