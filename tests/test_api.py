"""`import wandb_toolkit as wt`: what it offers, frames with right values and types; it stays quick and quiet."""

from __future__ import annotations

import inspect
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

import wandb_runs as logs
import wandb_toolkit as wt
from repository import ROOT
from wandb_toolkit.errors import NotFoundError, UsageError

EXAMPLES = ROOT / "examples" / "wandb"
# Every exported name and its parameters, so that a change is a choice.
SIGNATURES = {
    "projects": "entity, source, timeout",
    "runs": "target, runs, filter, state, tags, order, limit, source, timeout",
    "history": "target, runs, metrics, long, filter, x_axis, samples, smoothed, last, source, timeout",
    "table": "target, run, key, step, source, timeout",
    "report": "target, runs, filter, primary, goal, roles, baseline, replay, forecast, max_runs, window, now, source, "
    "timeout",
    "plot": "target, runs, metric, kind, x, group_by, color_by, filter, x_axis, ema_weight, full_res, theme, source, "
    "timeout",
    "check_claims": "file, target, source, timeout",
}


def test_the_public_names_and_their_parameters() -> None:
    assert set(wt.__all__) == {*SIGNATURES, "Report", "ToolkitError", "__version__"}
    for name, parameters in SIGNATURES.items():
        assert ", ".join(inspect.signature(getattr(wt, name)).parameters) == parameters
    members = {name for name in dir(wt.Report) if not name.startswith("_")}
    assert members == {"findings", "to_dict", "to_html", "to_markdown"}
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        wt.nothing  # noqa: B018


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys; sys.path.insert(0, 'scripts'); import wandb_toolkit; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not re.search(r"'(pandas|numpy|matplotlib|wandb|pyarrow)'", done.stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(3):
        config = {
            "lr": 10.0**-n,
            "layers": [1, 2],
            "opt": {"name": "adam"},
            **({"depth": n} if n else {}),
            "amp": n > 0,
        }
        rows = []
        for row in range(10):
            rows.append(logs.history({"loss": math.nan if row == 4 else 10.0 - row}, 2 * row))
            if row % 5 == 0:
                rows.append(logs.history({"acc": row / 10}, 2 * row + 1))
        head = logs.run(f"r{n}", name=f"run {n}", config=config, summary={"acc": n / 10}, tags=["x"] if n else [])
        logs.write_run(tmp_path, [head, *rows, logs.exit_()], f"r{n}")
    return tmp_path


def test_runs_are_rows_with_their_types(folder: Path) -> None:
    frame = wt.runs(folder, order="+name")
    assert frame.index.tolist() == ["r0", "r1", "r2"]
    assert frame["config.lr"].tolist() == [1.0, 0.1, 0.01]
    assert frame["config.opt.name"].tolist() == ["adam"] * 3
    assert frame["config.layers"].tolist() == [[1, 2]] * 3
    assert (str(frame["config.depth"].dtype), frame["config.depth"].isna().tolist()) == ("Int64", [True, False, False])
    assert (str(frame["config.amp"].dtype), str(frame["summary.acc"].dtype)) == ("bool", "float64")
    assert str(frame["created_at"].dtype).endswith("UTC]")
    assert wt.runs(folder, filter="config.lr<0.5").index.tolist() != []
    assert (
        len(wt.runs(folder, "r1,r2")) == len(wt.runs(folder, ["r1", "r2"])) == len(wt.runs(folder, frame.iloc[1:])) == 2
    )


def test_every_point_once_and_nothing_filled_in(folder: Path) -> None:
    frame = wt.history(folder, "r*", ["loss", "acc"])
    assert len(frame) == 36
    mine = frame[frame["run"] == "r1"]
    assert mine["_step"].tolist()[:4] == [0, 1, 2, 4]
    assert mine["loss"].notna().sum() == 9
    assert mine["acc"].dropna().tolist() == [0.0, 0.5]
    long = wt.history(folder, "r1", long=True)
    assert len(long[long["metric"] == "loss"]) == 10  # the logged NaN among them
    assert len(long[long["metric"] == "acc"]) == 2
    with pytest.raises(wt.ToolkitError, match="No metric called 'los'"):
        wt.history(folder, "r1", "los")


def test_points_of_the_examples_have_the_training_s_own_step() -> None:
    frame = wt.history(EXAMPLES, "grpo-base-s1", "train/loss", last=3, smoothed=True)
    assert list(frame.columns) == [
        "run",
        "name",
        "train/global_step",
        "_step",
        "runtime",
        "timestamp",
        "train/loss",
        "train/loss (smoothed)",
    ]
    assert frame["train/global_step"].tolist() == [316, 318, 320]


def test_a_report_and_its_forms(capsys: pytest.CaptureFixture[str]) -> None:
    report = wt.report(EXAMPLES, "lr-too-high")
    assert report.verdict == "ugly"
    found = report.findings()
    assert "nan_or_inf" in found["id"].tolist()
    assert report.to_dict()["runs"][0]["id"] == "lrhigh01"
    assert report._repr_markdown_().startswith("# W&B report")
    assert report.to_html().startswith("<!doctype html>")
    assert repr(report) == "<wandb_toolkit Report: ugly, 1 runs>"
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_figure_and_a_table() -> None:
    figure = wt.plot(EXAMPLES, "grpo-base-*", "train/reward")
    assert len([line for line in figure.axes[0].lines if line.get_gid()]) >= 3
    with pytest.raises(wt.ToolkitError, match="No metric called"):
        wt.plot(EXAMPLES, "grpo-base-s1", "train/rewar")
    table = wt.table(EXAMPLES, "grpo-base-s1", "samples")
    assert table.shape == (16, 5)
    with pytest.raises(wt.ToolkitError, match="logged no table"):
        wt.table(EXAMPLES, "grpo-base-s1", "sample")
    assert wt.projects(str(EXAMPLES))["name"].tolist() == ["grpo-digits"]


def test_the_page_s_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(blocks) >= 4
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    exec("\n".join(blocks), {})
    assert (tmp_path / "reward.png").stat().st_size > 10_000


def test_plot_draws_settings_against_results() -> None:
    figure = wt.plot(EXAMPLES, None, "eval/accuracy", kind="scatter", x="config.learning_rate")
    assert "eval/accuracy against config.learning_rate" in [text.get_text() for text in figure.texts]
    figure = wt.plot(EXAMPLES, kind="parallel", group_by="all-but:config.seed", theme="dark")
    assert any(str(text.get_gid()) == "name:eval/accuracy" for text in figure.texts)
    with pytest.raises(UsageError, match="4 completed configurations"):
        wt.plot(EXAMPLES, None, "eval/accuracy", kind="bars")
    with pytest.raises(UsageError, match="no kind 'grid'"):
        wt.plot(EXAMPLES, None, "eval/accuracy", kind="grid")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="are for results"):
        wt.plot(EXAMPLES, None, "eval/accuracy", x="config.lr")
    with pytest.raises(NotFoundError, match=r"config\.learning_rat"):
        wt.plot(EXAMPLES, None, "eval/accuracy", kind="scatter", x="config.learning_rat")


def test_runs_are_ordered_by_whole_histories(tmp_path: Path) -> None:
    for name, values in (("a", [0.2, 0.9, 0.1]), ("b", [0.5, 0.6, 0.7]), ("c", [])):
        rows = [logs.history({"eval/accuracy": value}, n) for n, value in enumerate(values)]
        logs.write_run(tmp_path, [logs.run(name, project="p"), *rows, logs.exit_()], name)
    frame = wt.runs(tmp_path, order="best.eval/accuracy")
    assert list(frame.index) == ["a", "b", "c"]
    assert frame["best.eval/accuracy"].tolist()[:2] == [0.9, 0.7]
    assert math.isnan(frame["best.eval/accuracy"]["c"])
    assert list(wt.runs(tmp_path, order="-last.eval/accuracy", limit=1).index) == ["b"]
    with pytest.raises(NotFoundError, match="No run has the numeric metric"):
        wt.runs(tmp_path, order="best.nothing")
