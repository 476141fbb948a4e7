"""generate_plots through `main(argv)`."""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fake_source import FakeSource
from plot_fakes import Outcome, call, check_schema, line, make_history, make_run, many
from repository import EXAMPLES, TESTS
from wandb_toolkit.commands import generate_plots
from wandb_toolkit.errors import ToolkitError

Run = Callable[..., Outcome]


@pytest.fixture
def plots(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)

    def run(source: FakeSource | None, *argv: str | Path) -> Outcome:
        return call(generate_plots.main, monkeypatch, capsys, source, *argv)

    return run


def two_runs() -> FakeSource:
    """Metrics at different steps, one that only the second run has, one with NaN, and things that are no numbers."""
    first = make_history(
        line("train/loss", [3, 2, 1], [0, 10, 20]),
        line("eval/acc", [0.5], [15]),
        line("system.cpu", [50, 60], [0.0, 30.0], axis="_runtime"),
        samples="table",
        note="string",
        pics="image",
    )
    second = make_history(
        line("train/loss", [3, math.nan, math.inf, 2], [0, 10, 20, 30]),
        line("eval/acc", [0.4, 0.6], [15, 30]),
        line("train/kl", [0.1, 0.2], [1, 2]),
    )
    return FakeSource([(make_run("aaa", "one"), first), (make_run("bbb", "two"), second)])


def test_one_figure_per_metric_with_every_run(plots: Run) -> None:
    done = plots(two_runs(), "x", "one,two", "--metrics", "train/loss,eval/acc,train/kl", "--json")
    assert done.code == 0
    check_schema("generate_plots", done.json)
    by_metric = {plot["metric"]: plot for plot in done.json["plots"]}
    assert list(by_metric) == ["train/loss", "eval/acc", "train/kl"]
    loss = by_metric["train/loss"]
    assert [(r["id"], r["points"], r["drawn"], r["nonfinite"]) for r in loss["runs"]] == [
        ("aaa", 3, 3, 0),
        ("bbb", 4, 4, 2),
    ]
    assert loss["runs"][1]["first_nonfinite_x"] == 10
    assert [r["points"] for r in by_metric["eval/acc"]["runs"]] == [1, 2]
    assert [r["id"] for r in by_metric["train/kl"]["runs"]] == ["bbb"]
    assert by_metric["train/kl"]["notes"] == ["not logged by one"]
    folder = Path(done.json["output_dir"])
    assert folder.parts[:2] == ("wandb_plots", "local_demo")
    assert folder.name.startswith("compare_")
    for plot in done.json["plots"]:
        data = Path(plot["file"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (plot["size"], plot["sha256"])
        with Image.open(plot["file"]) as picture:
            assert picture.info["Description"] == plot["alt"]


def test_the_text_output_names_each_file_and_says_what_it_shows(plots: Run) -> None:
    done = plots(two_runs(), "x", "one", "--metrics", "train/loss")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "wandb_plots/local_demo/one_aaa/train__loss.png"
    assert lines[1].startswith(
        "  train/loss of one, step 0 to 20: from 3 to 1 in 3 points (lowest 1 at step 20, highest 3"
    )
    assert lines[2] == "1 figure, recorded in wandb_plots/local_demo/one_aaa/metadata.json"
    assert done.err == ""


def test_all_metrics_draws_the_numbers_and_says_what_the_rest_is(plots: Run) -> None:
    done = plots(two_runs(), "x", "one", "--all-metrics", "--json")
    assert done.code == 0
    assert [p["metric"] for p in done.json["plots"]] == ["train/loss", "eval/acc"]
    reasons = {one["metric"]: one["reason"] for one in done.json["skipped"]}
    assert set(reasons) == {"samples", "note", "pics"}
    assert "is a table" in reasons["samples"]
    assert "download_plots" in reasons["pics"]
    done = plots(two_runs(), "x", "one", "--all-metrics", "--include-system", "--json")
    system = done.json["plots"][-1]
    assert (system["metric"], system["x_axis"]) == ("system.cpu", "_runtime")


@pytest.mark.parametrize(
    ("metrics", "drawn"),
    [
        ("train/*", ["train/loss", "train/kl"]),
        ("*acc,train/k?", ["eval/acc", "train/kl"]),
        ("system.*", ["system.cpu"]),
        ("system.cpu", ["system.cpu"]),
        (" train/kl , train/kl ", ["train/kl"]),
    ],
)
def test_globs_and_exact_names(plots: Run, metrics: str, drawn: list[str]) -> None:
    done = plots(two_runs(), "x", "one,two", "--metrics", metrics, "--json")
    assert done.code == 0
    assert [p["metric"] for p in done.json["plots"]] == drawn


def test_an_unknown_metric_names_the_nearest_and_draws_nothing(plots: Run, tmp_path: Path) -> None:
    done = plots(two_runs(), "x", "one,two", "--metrics", "train/loss,train/lss,*zzz")
    assert done.code == 4
    assert "'train/lss', '*zzz'" in done.err
    assert "train/loss" in done.err
    assert "Traceback" not in done.err
    assert not any(tmp_path.iterdir())


def test_what_is_no_number_is_named(plots: Run) -> None:
    done = plots(two_runs(), "x", "one", "--metrics", "pics")
    assert done.code == 2
    assert "pics is an image" in done.err
    assert "download_plots" in done.err
    done = plots(two_runs(), "x", "one", "--metrics", "pics,train/loss", "--json")
    assert done.code == 6
    assert [one["metric"] for one in done.json["skipped"]] == ["pics"]
    assert [one["metric"] for one in done.json["plots"]] == ["train/loss"]


def test_a_run_that_cannot_be_read_leaves_the_others(plots: Run) -> None:
    source = two_runs()
    source.content[0] = (source.content[0][0], ToolkitError("it is torn"))
    done = plots(source, "x", "one,two", "--metrics", "train/loss", "--json")
    assert done.code == 6
    assert done.json["errors"] == [{"run": "aaa", "message": "it is torn"}]
    assert [r["id"] for r in done.json["plots"][0]["runs"]] == ["bbb"]
    check_schema("generate_plots", done.json)
    alone = plots(source, "x", "one", "--metrics", "train/loss")
    assert alone.code == 1
    assert "it is torn" in alone.err


@pytest.mark.parametrize(
    ("flags", "smoothing"),
    [
        ([], {"method": "twema", "weight": 0.99, "viewport_scale": 1000}),
        (["--ema-weight", "0.5", "--viewport-scale", "10"], {"method": "twema", "weight": 0.5, "viewport_scale": 10}),
        (["--smooth", "7"], {"method": "running_mean", "window": 7}),
        (["--smooth", "7", "--no-ema"], {"method": "running_mean", "window": 7}),
        (["--no-ema"], {"method": "none"}),
    ],
)
def test_smoothing_flags(plots: Run, flags: list[str], smoothing: dict[str, Any]) -> None:
    done = plots(two_runs(), "x", "one", "--metrics", "train/loss", "--json", *flags)
    assert done.code == 0
    assert done.json["plots"][0]["smoothing"] == smoothing
    check_schema("generate_plots", done.json)


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        ([], "--all-metrics"),
        (["--metrics", "a,,b"], "blank"),
        (["--metrics", " "], "blank"),
        (["--metrics", "train/loss", "--ema-weight", "1"], "0 and 1"),
        (["--metrics", "train/loss", "--ema-weight", "0"], "0 and 1"),
        (["--metrics", "train/loss", "--ema-weight", "nan"], "0 and 1"),
        (["--metrics", "train/loss", "--ema-weight", "heavy"], "0 and 1"),
        (["--metrics", "train/loss", "--smooth", "0"], "1 or more"),
        (["--metrics", "train/loss", "--viewport-scale", "-1"], "above 0"),
        (["--metrics", "train/loss", "--viewport-scale", "inf"], "above 0"),
        (["--metrics", "train/loss", "--output", ""], "--output is blank"),
        (["--metrics", "train/loss", "--full-ress"], "--full-res"),
        (["--metrics", "train/loss", "--smoothing", "ema", "--smooth", "3"], "contradict"),
        (["--metrics", "train/loss", "--smoothing-weight", "1.5"], "off the slider"),
        (["--metrics", "train/loss", "--smoothing", "running", "--smoothing-weight", "1.5"], "not a number of points"),
        (["--metrics", "train/loss", "--ema-weight", "0.9", "--smoothing-weight", "0.5"], "both set"),
        (["--metrics", "train/loss", "--group-by", "name"], "cannot be grouped"),
        (["--metrics", "train/loss", "--group-by", "config.lr"], "None of the runs has config.lr"),
        (["--metrics", "train/loss", "--band", "ci"], "needs --group-by"),
        (["--metrics", "train/loss", "--color-by", "config.lr"], "None of the runs has config.lr"),
        (["--metrics", "train/loss", "--color-by", "config.lr", "--group-by", "group"], "Give one"),
        (["--metrics", "train/loss", "--ylim", "2,1"], "not below"),
        (["--metrics", "train/loss", "--ylim", ","], "LO,HI"),
        (["--metrics", "train/loss", "--ylim", "0,1", "--log-y"], "log axis"),
        (["--metrics", "train/loss", "--ylim", "0,1", "--ignore-outliers"], "Give one"),
        (["--metrics", "train/loss", "--size", "10x10"], "WIDTHxHEIGHT"),
        (["--metrics", "train/loss", "--dpi", "5"], "40 to 1200"),
        (["--metrics", "train/loss", "--dpi", "1200"], "too many"),
    ],
)
def test_bad_flags_are_usage_errors(plots: Run, tmp_path: Path, flags: list[str], word: str) -> None:
    done = plots(two_runs(), "x", "one", *flags)
    assert done.code == 2
    assert word in done.err
    assert "Traceback" not in done.err
    assert done.out == ""
    assert not any(tmp_path.iterdir())


def test_an_output_that_is_a_file_is_refused_and_kept(plots: Run, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("mine")
    done = plots(two_runs(), "x", "one", "--metrics", "train/loss", "--output", taken, "--json")
    assert done.code == 2
    assert set(done.error) == {"type", "message", "hint"}
    assert "--output" in done.error["hint"]
    assert taken.read_text() == "mine"


def test_which_run_must_be_said_where_there_are_several(plots: Run) -> None:
    done = plots(two_runs(), "x", "--metrics", "train/loss")
    assert done.code == 2
    assert "Which of the 2 runs" in done.err
    assert "one" in done.err
    source = two_runs()
    source.content.pop()
    assert plots(source, "x", "--metrics", "train/loss").code == 0


def test_groups_by_prefix(plots: Run) -> None:
    history = make_history(line("train/ppo/kl", [1, 2]), line("lr", [1, 2]), line("a/../../b", [1, 2]))
    source = FakeSource([(make_run(), history)])
    done = plots(source, "x", "--all-metrics", "--group-by-prefix", "--output", "out", "--json")
    files = [Path(p["file"]) for p in done.json["plots"]]
    assert files[:2] == [Path("out/train/ppo/kl.png"), Path("out/lr.png")]
    assert all(file.resolve().is_relative_to(Path("out").resolve()) for file in files)
    assert ".." not in files[2].parts


def test_colliding_metric_names_get_a_file_each_call_after_call(plots: Run) -> None:
    names = ["a/b c", "a_b_c", "a/b_c", "a__b_c", "A_b_c"]
    source = FakeSource([(make_run(), make_history(*[line(name, [1, 2]) for name in names]))])
    first = plots(source, "x", "--all-metrics", "--output", "out", "--json").json["plots"]
    assert len({plot["file"].casefold() for plot in first}) == len(names)
    for plot in first:
        again = plots(source, "x", "--metrics", plot["metric"], "--output", "out", "--json").json["plots"]
        assert again[0]["file"] == plot["file"]
    known = json.loads(Path("out/metadata.json").read_text())["plots"]["files"]
    assert sorted(info["metric"] for info in known.values()) == sorted(names)


def test_another_run_and_a_stranger_s_file_are_not_overwritten(plots: Run) -> None:
    source = two_runs()
    one = plots(source, "x", "one", "--metrics", "train/loss", "--output", "out", "--json").json["plots"][0]
    two = plots(source, "x", "two", "--metrics", "train/loss", "--output", "out", "--json").json["plots"][0]
    assert one["file"] != two["file"]
    assert hashlib.sha256(Path(one["file"]).read_bytes()).hexdigest() == one["sha256"]
    Path("out/eval__acc.png").write_text("my holiday")
    three = plots(source, "x", "one", "--metrics", "eval/acc", "--output", "out", "--json").json["plots"][0]
    assert three["file"] != "out/eval__acc.png"
    assert Path("out/eval__acc.png").read_text() == "my holiday"


def test_the_step_metric_that_the_run_defined_is_the_x_axis(plots: Run) -> None:
    history = make_history(
        line("train/loss", [3, 2, 1], [0, 2, 4]),
        line("eval/acc", [0.1, 0.2, 0.3], [1, 3, 5]),
        line("epoch", [10, 20, 30], [1, 3, 5]),
        line("phase", [3, 1, 2], [1, 3, 5]),
        line("_runtime", [0, 1, 2, 3, 4, 5]),
    )
    run = make_run(step_metrics={"eval/*": "epoch", "*": "never/logged"})
    for metrics in (["--metrics", "eval/acc,train/loss"], ["--all-metrics"]):
        done = plots(FakeSource([(run, history)]), "x", *metrics, "--json")
        by_metric = {plot["metric"]: plot for plot in done.json["plots"]}
        assert by_metric["eval/acc"]["x_axis"] == "epoch"
        assert by_metric["eval/acc"]["runs"][0]["max_x"] == 30
        assert "epoch 10 to 30" in by_metric["eval/acc"]["alt"]
        assert by_metric["train/loss"]["x_axis"] == "_step"
        assert "never/logged" in by_metric["train/loss"]["notes"][0]
    step = plots(FakeSource([(run, history)]), "x", "--metrics", "eval/acc", "--x-axis", "_step", "--json")
    assert step.json["plots"][0]["x_axis"] == "_step"
    timed = plots(FakeSource([(run, history)]), "x", "--all-metrics", "--x-axis", "_runtime", "--json")
    assert [plot["x_axis"] for plot in timed.json["plots"]] == ["_runtime"] * 4
    unknown = plots(FakeSource([(run, history)]), "x", "--metrics", "train/loss", "--x-axis", "epochs")
    assert unknown.code == 4
    assert "epoch" in unknown.err.splitlines()[1]
    between = plots(FakeSource([(run, history)]), "x", "--metrics", "train/loss", "--x-axis", "epoch", "--json")
    [plot] = between.json["plots"]
    assert (plot["runs"][0]["min_x"], plot["runs"][0]["max_x"]) == (25, 15)  # loss 1 at step 4, loss 2 at step 2
    assert any("2 points lie between rows with epoch; their x is in proportion" in note for note in plot["notes"])
    never = plots(FakeSource([(run, history)]), "x", "--metrics", "train/loss", "--x-axis", "phase", "--json")
    assert never.code == 6
    assert "phase" in never.json["skipped"][0]["reason"]


def test_an_interrupt_leaves_whole_files_and_true_metadata(plots: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb_toolkit.plots.figures.painter import Painter

    draw, count = Painter.draw, iter(range(9))

    def third_time_unlucky(self: Painter, *args: Any, **kwargs: Any) -> Any:
        if next(count) == 2:
            raise KeyboardInterrupt
        return draw(self, *args, **kwargs)

    monkeypatch.setattr(Painter, "draw", third_time_unlucky)
    done = plots(two_runs(), "x", "one,two", "--all-metrics", "--output", "out")
    assert done.code == 130
    known = json.loads(Path("out/metadata.json").read_text())["plots"]["files"]
    assert sorted(known) == ["eval__acc.png", "train__loss.png"]
    assert sorted(p.name for p in Path("out").iterdir()) == ["eval__acc.png", "metadata.json", "train__loss.png"]
    for name, info in known.items():
        assert hashlib.sha256(Path("out", name).read_bytes()).hexdigest() == info["sha256"]


def test_help_starts_without_heavy_imports() -> None:
    import subprocess
    import sys

    code = (
        "import sys; from wandb_toolkit.commands import generate_plots, download_plots\n"
        "generate_plots.main(['--help']); download_plots.main(['--help'])\n"
        "print(sorted({'numpy', 'pandas', 'matplotlib', 'PIL', 'wandb'} & set(sys.modules)))"
    )
    scripts = str(Path(generate_plots.__file__).parents[2])
    environment = {"PYTHONPATH": scripts, "PATH": ""}
    found = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "[]"


def test_a_real_log_is_drawn(plots: Run) -> None:
    example = EXAMPLES
    if not example.is_dir():
        pytest.skip("examples/wandb is not in this installation")
    done = plots(None, example, "latest:2", "--metrics", "train/loss,eval/accuracy", "--json")
    assert done.code == 0, done.err
    check_schema("generate_plots", done.json)
    assert len(done.json["plots"]) == 2
    assert all(len(plot["runs"]) == 2 for plot in done.json["plots"])


def test_several_processes_draw_the_same_pictures_in_the_same_order(plots: Run) -> None:
    words = ("x", "run-0,run-1", "--all-metrics", "--size", "480x300", "--json")
    alone = plots(many(12), *words, "--output", "one", "--jobs", "1").json["plots"]
    several = plots(many(12), *words, "--output", "two", "--jobs", "2").json["plots"]
    assert [p["metric"] for p in several] == [f"train/m{i:02}" for i in range(12)]
    assert [p["sha256"] for p in several] == [p["sha256"] for p in alone]
    known = json.loads(Path("two/metadata.json").read_text())["plots"]
    assert len(known["files"]) == 12
    assert known["view"]["width"] == 480


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[2]]
from plot_fakes import many
from wandb_toolkit import sources
from wandb_toolkit.commands import generate_plots

def stop():
    while len(list(Path("out").glob("*.png"))) < 4:
        time.sleep(0.02)
    os.kill(os.getpid(), int(sys.argv[3]))

if __name__ == "__main__":
    sources.open_source = lambda *_, **__: (many(150), ())
    threading.Thread(target=stop, daemon=True).start()
    words = ["x", "run-0,run-1", "--all-metrics", "--output", "out", "--jobs", "2"]
    code = generate_plots.main(words)
    import multiprocessing
    print(code, len(multiprocessing.active_children()))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_pool_leaves_whole_files_true_metadata_and_no_process(tmp_path: Path, number: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    scripts, tests = Path(generate_plots.__file__).parents[2], TESTS
    words = [sys.executable, str(script), str(scripts), str(tests), str(int(number))]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.split() == ["130", "0"], done.stderr
    assert "Traceback" not in done.stderr
    files = sorted(path.name for path in (tmp_path / "out").iterdir())
    known = json.loads((tmp_path / "out" / "metadata.json").read_text())["plots"]["files"]
    assert files == sorted([*known, "metadata.json"])
    assert 4 <= len(known) < 150
    for name, info in known.items():
        assert hashlib.sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == info["sha256"]


def _claim(folder: str, who: int, start: Any) -> None:
    from wandb_toolkit.output import Folder

    place = Folder(Path(folder))
    start.wait()
    place.place(
        f"owner-{who}",
        "loss",
        ".png",
        f"{who}".encode() * 100_000,
        lambda path: path.read_bytes()[:1] == str(who).encode(),
    )


def test_two_commands_at_once_do_not_take_each_other_s_name(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    for turn in range(3):
        folder, start = tmp_path / str(turn), context.Barrier(3)
        workers = [context.Process(target=_claim, args=(str(folder), who, start)) for who in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        assert sorted(path.read_bytes()[:1] for path in folder.iterdir()) == [b"0", b"1", b"2"]


def test_metrics_too_many_for_the_memory_are_read_some_at_a_time(plots: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    source = many(9)
    whole = plots(source, "x", "run-0,run-1", "--all-metrics", "--output", "one", "--json").json["plots"]
    for at, (run, history) in enumerate(source.content):
        summary = dict.fromkeys(history.kinds, 1.0)  # type: ignore[union-attr]
        source.content[at] = (make_run(run.id, run.name, rows=60, summary=summary, group="g"), history)
    monkeypatch.setattr("wandb_toolkit.commands.chosen_metrics.MOST_POINTS", 2 * 60 * 4)
    asked: list[int] = []
    read = FakeSource.histories

    def counted(self: FakeSource, runs: Any, keys: Any = None, **more: Any) -> Any:
        asked.append(-1 if callable(keys) else len(keys))
        return read(self, runs, keys, **more)

    monkeypatch.setattr(FakeSource, "histories", counted)
    parts = plots(source, "x", "run-0,run-1", "--all-metrics", "--output", "two", "--json").json["plots"]
    assert asked == [-1, 4, 4, 1]
    assert [p["sha256"] for p in parts] == [p["sha256"] for p in whole]


def test_groups_pages_and_looks_through_the_command(plots: Run) -> None:
    base = ("x", "run-0,run-1,run-2", "--size", "900x600", "--json")
    grouped = plots(many(2, 3), *base, "--metrics", "train/m00", "--group-by", "group", "--band", "ci", "--seed", "3")
    assert grouped.code == 0
    check_schema("generate_plots", grouped.json)
    (curve,) = grouped.json["plots"][0]["runs"]
    assert (curve["id"], curve["label"], curve["group"]["n"], curve["group"]["band"]) == (None, "g (n=3)", 3, "ci")
    by_config = plots(many(2, 3), *base, "--metrics", "train/m00", "--group-by", "config.lr")
    assert [one["label"] for one in by_config.json["plots"][0]["runs"]] == ["lr=0 (n=1)", "lr=1 (n=1)", "lr=2 (n=1)"]
    assert "single run" in by_config.json["warnings"][0]
    page = plots(many(14), *base[:1], "run-0,run-1", "--all-metrics", "--grid", "--theme", "dark", "--json")
    check_schema("generate_plots", page.json)
    assert [p["metric"] for p in page.json["plots"]] == ["train/* (1 of 2)", "train/* (2 of 2)"]
    assert [len(p["panels"]) for p in page.json["plots"]] == [12, 2]
    for kind in ("svg", "pdf"):
        done = plots(many(1), *base[:1], "run-0", "--metrics", "train/m00", "--format", kind, "--output", "v", "--json")
        assert done.json["plots"][0]["file"] == f"v/train__m00.{kind}"
        again = plots(
            many(1), *base[:1], "run-0", "--metrics", "train/m00", "--format", kind, "--output", "v", "--json"
        )
        assert again.json["plots"][0]["file"] == f"v/train__m00.{kind}"
        assert again.json["plots"][0]["sha256"] == done.json["plots"][0]["sha256"]


def test_colors_by_a_setting_and_an_axis_that_chooses_itself(plots: Run) -> None:
    base = ("x", "run-0,run-1,run-2", "--metrics", "train/m00", "--json")
    done = plots(many(1, 3), *base, "--color-by", "config.lr", "--log-y", "auto")
    check_schema("generate_plots", done.json)
    assert (done.json["color_by"], done.json["view"]["log_y"]) == ("config.lr", "auto")
    (plot,) = done.json["plots"]
    assert [one["label"] for one in plot["runs"]] == ["run-0 · lr=0", "run-1 · lr=1", "run-2 · lr=2"]
    assert "colored by config.lr" in plot["notes"]
    before_the_target = plots(many(1, 3), "--log-y", *base)
    assert before_the_target.json["view"]["log_y"] is True


def test_the_terminal_plot_comes_before_the_path(plots: Run) -> None:
    done = plots(many(1), "x", "run-0", "--metrics", "train/m00", "--term")
    lines = done.out.splitlines()
    assert lines[0] == "train/m00  by step"
    assert any(text.endswith("train__m00.png") for text in lines)


@pytest.mark.parametrize(
    ("flags", "method"),
    [
        ([], {"method": "twema", "weight": 0.99, "viewport_scale": 1000}),
        (["--smoothing-weight", "0.25"], {"method": "twema", "weight": 0.5, "viewport_scale": 1000}),
        (
            ["--smoothing", "twema", "--smoothing-weight", "1"],
            {"method": "twema", "weight": 0.999, "viewport_scale": 1000},
        ),
        (["--smoothing", "ema", "--smoothing-weight", "0.6"], {"method": "ema", "weight": 0.6}),
        (["--smoothing", "gaussian", "--smoothing-weight", "3"], {"method": "gaussian", "sigma": 3}),
        (["--smoothing", "running", "--smoothing-weight", "7"], {"method": "running_mean", "window": 7}),
        (["--smooth", "5"], {"method": "running_mean", "window": 5}),
        (["--smoothing", "none"], {"method": "none"}),
        (["--no-ema"], {"method": "none"}),
    ],
)
def test_each_smoothing_method(plots: Run, flags: list[str], method: dict[str, Any]) -> None:
    done = plots(many(1), "x", "run-0", "--metrics", "train/m00", *flags, "--json")
    assert done.json["plots"][0]["smoothing"] == method
    check_schema("generate_plots", done.json)


def test_an_axis_that_goes_back_is_put_in_order_and_said(plots: Run) -> None:
    history = make_history(
        line("loss", [5, 4, 3, 2, 1]), line("epoch", [0, 1, 2, 1, 2]), line("_runtime", [0, 1, 2, 3, 4])
    )
    done = plots(FakeSource([(make_run(), history)]), "x", "--metrics", "loss", "--x-axis", "epoch", "--json")
    (plot,) = done.json["plots"]
    assert "epoch goes back once" in plot["notes"][0]
    assert plot["runs"][0]["last"] == 1
    for word in ("runtime", "relative"):
        done = plots(FakeSource([(make_run(), history)]), "x", "--metrics", "loss", "--x-axis", word, "--json")
        assert done.json["plots"][0]["x_axis"] == "_runtime"
