"""get_history through `main(argv)`: every point once, joined on steps; the rows that are asked for, and no others."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path
from typing import Any

import pytest

import wandb_runs as logs
from plot_fakes import check_schema
from repository import ROOT
from wandb_toolkit.commands import get_history
from wandb_toolkit.model import History, Series
from wandb_toolkit.points.rows import along, joined

EXAMPLES = str(ROOT / "examples" / "wandb")
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Two runs whose loss and evaluation are logged in calls of their own, one second apart; one value is NaN."""
    for name, offset in (("a", 0.0), ("b", 10.0)):
        records = [logs.run(name, name=f"run {name}")]
        for row in range(20):
            loss = math.nan if row == 7 else offset + 20 - row
            records.append(
                logs.history(
                    {"loss": loss, "n": row * 50, "_runtime": 2.0 * row, "_timestamp": logs.START + 2 * row}, 2 * row
                )
            )
            if row % 5 == 0:
                records.append(
                    logs.history(
                        {"val/acc": row / 20, "_runtime": 2.0 * row + 1, "_timestamp": logs.START + 2 * row + 1},
                        2 * row + 1,
                    )
                )
        logs.write_run(tmp_path, [*records, logs.exit_()], name)
    return str(tmp_path)


def lines(capsys: Capture, *words: str) -> list[dict[str, str]]:
    assert get_history.main([*words, "-q"]) == 0
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def rows(capsys: Capture, *words: str) -> Any:
    assert get_history.main([*words, "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    check_schema("get_history", found)
    return found


def test_metrics_of_separate_calls_are_joined_with_nothing_dropped(folder: str, capsys: Capture) -> None:
    found = lines(capsys, folder, "a", "--metrics", "loss,val/acc")
    assert len(found) == 24
    assert [row["_step"] for row in found[:3]] == ["0", "1", "2"]
    assert (found[0]["loss"], found[0]["val/acc"]) == ("20.0", "")
    assert (found[1]["loss"], found[1]["val/acc"]) == ("", "0.0")
    assert next(row["loss"] for row in found if row["_step"] == "14") == "NaN"
    assert [row["loss"] for row in found if row["loss"]] == [
        *[f"{20.0 - n}" for n in range(7)],
        "NaN",
        *[f"{20.0 - n}" for n in range(8, 20)],
    ]


def test_several_runs_have_columns_that_tell_them_apart(folder: str, capsys: Capture) -> None:
    found = lines(capsys, folder, "a,b", "--metrics", "val/*")
    assert [(row["run"], row["name"], row["val/acc"]) for row in found][::4] == [
        ("a", "run a", "0.0"),
        ("b", "run b", "0.0"),
    ]
    assert len(found) == 8
    long = lines(capsys, folder, "a,b", "--metrics", "loss,val/acc", "--long", "--first", "2")
    assert [(row["run"], row["metric"], row["value"]) for row in long] == [
        ("a", "loss", "20.0"), ("a", "val/acc", "0.0"), ("b", "loss", "30.0"), ("b", "val/acc", "0.0"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "steps"),
    [
        (["--first", "2"], [0, 2]),
        (["--last", "2"], [36, 38]),
        (["--every", "8"], [0, 16, 32]),
        (["--around", "11", "--rows", "3"], [8, 10, 12]),
        (["--since", "30", "--until", "34"], [30, 32, 34]),
        (["--since", "34s"], [34, 36, 38]),
        (["--until", "0.1m"], [0, 2, 4, 6]),
        (["--since", "2023-11-14T22:13:56"], [36, 38]),
        (["--samples", "3"], [0, 20, 38]),
        (["--x-axis", "n", "--around", "500", "--rows", "1"], [20]),
        (["--at-best", "loss"], [38]),
    ],
)
def test_the_rows_that_are_asked_for(folder: str, capsys: Capture, flags: list[str], steps: list[int]) -> None:
    assert [row["log_step"] for row in rows(capsys, folder, "a", "--metrics", "loss", *flags)] == steps


def test_all_metrics_where_one_is_best(folder: str, capsys: Capture) -> None:
    [best] = rows(capsys, folder, "a", "--metrics", "loss", "--at-best", "val/acc")
    assert best["log_step"] == 31
    assert best["values"] == {"loss": 5.0, "val/acc": 0.75}  # the loss as last logged until then


def test_an_axis_of_the_training_s_own_stands_beside_the_step(capsys: Capture) -> None:
    [row] = rows(capsys, EXAMPLES, "grpo-base-s1", "--metrics", "train/*", "--around", "100", "--rows", "1")
    assert (row["step"], row["step_metric"]) == (100, "train/global_step")
    assert row["log_step"] != 100
    text = lines(capsys, EXAMPLES, "grpo-base-s1", "--metrics", "train/loss", "--first", "1")
    assert list(text[0]) == ["train/global_step", "_step", "train/loss"]


def test_smoothed_values_are_those_that_figures_draw(folder: str, capsys: Capture) -> None:
    from wandb_toolkit.plots.smoothing import Smoothing
    from wandb_toolkit.sources.base import RunQuery, history_of
    from wandb_toolkit.sources.local.source import LocalSource

    found = lines(capsys, folder, "a", "--metrics", "val/acc", "--smoothed")
    source = LocalSource(Path(folder))
    series = history_of(source, source.runs(RunQuery(selectors=("a",)))[0])["val/acc"]
    drawn = Smoothing().apply(series.x, series.value, float(series.x[-1] - series.x[0]))
    assert drawn is not None
    assert [float(row["val/acc (smoothed)"]) for row in found] == pytest.approx(drawn.tolist())


def test_system_metrics_are_rows_in_time(capsys: Capture) -> None:
    found = rows(capsys, EXAMPLES, "grpo-base-s1", "--metrics", "system.cpu", "--first", "1")
    assert (found[0]["step_metric"], found[0]["log_step"]) == ("_runtime", None)
    assert get_history.main([EXAMPLES, "grpo-base-s1", "--metrics", "system.cpu,train/loss"]) == 2
    assert "sampled by time" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["a", "--metrics", "los"], 4, "loss"),
        (["a", "--metrics", "loss", "--at-best", "val/ac"], 4, "val/acc"),
        (["a", "--metrics", "loss", "--x-axis", "m"], 4, "no metric called 'm'"),
        (["a", "--first", "1", "--last", "1"], 2, "--first and --last"),
        (["a", "--rows", "3"], 2, "--around"),
        (["a", "--since", "soon"], 2, "'soon' is not a step"),
        (["a", "--json", "--format", "csv"], 2, "two formats"),
        (["c"], 4, "No run is called 'c'"),
    ],
)
def test_bad_arguments(folder: str, capsys: Capture, words: list[str], code: int, said: str) -> None:
    assert get_history.main([folder, *words]) == code
    assert said in capsys.readouterr().err


def test_tables_and_markdown(folder: str, capsys: Capture) -> None:
    get_history.main([folder, "a", "--metrics", "loss", "--last", "1", "--format", "markdown"])
    assert capsys.readouterr().out.splitlines() == ["| _step | loss |", "| -: | -: |", "| 38 | 1 |"]
    get_history.main([folder, "a", "--metrics", "loss", "--last", "1", "--format", "table"])
    assert capsys.readouterr().out.split() == ["_step", "loss", "38", "1"]


def test_an_axis_between_its_rows_is_in_proportion_unless_it_falls() -> None:
    import numpy as np

    steps = np.array([0.0, 1, 2, 3, 9])
    rising = Series("n", np.array([0.0, 2, 4]), np.array([0.0, 100, 200]))
    assert along(rising, steps)[:4].tolist() == [0, 50, 100, 150]
    assert math.isnan(along(rising, steps)[4])
    falling = Series("n", np.array([0.0, 2, 4]), np.array([5.0, 1, 7]))
    assert np.isnan(along(falling, steps)).tolist() == [False, True, False, True, True]
    from curves import run

    nothing = joined(run(), History({}), ["x"])
    assert (len(nothing), nothing.there["x"].tolist()) == (0, [])


def test_what_is_no_number_in_one_run_is_said(tmp_path: Path, capsys: Capture) -> None:
    for name, value in (("a", 1.5), ("b", "text")):
        logs.write_run(tmp_path, [logs.run(name), logs.history({"v": value, "w": 2.0}, 0), logs.exit_()], name)
    assert get_history.main([str(tmp_path), "a,b", "--metrics", "v,w"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == ["run,name,_step,v,w", "a,a,0,1.5,2.0", "b,b,0,,2.0"]
    assert "b: v is of the kind string there" in err
    assert get_history.main([str(tmp_path), "b", "--metrics", "v"]) == 2


def test_nothing_in_a_range_says_where_the_run_is(folder: str, capsys: Capture) -> None:
    assert get_history.main([folder, "a", "--metrics", "loss", "--since", "500"]) == 0
    out, err = capsys.readouterr()
    assert out == "_step,loss\n"
    assert "_step goes from 0 to 38" in err
    assert get_history.main([folder, "a", "--metrics", "loss", "--around", "nan"]) == 2
    assert "'nan' is not a step" in capsys.readouterr().err


def test_best_of_what_has_no_better_way_is_a_guess_that_is_said(folder: str, capsys: Capture) -> None:
    assert get_history.main([folder, "a", "--metrics", "n", "--at-best", "n"]) == 0
    assert "which way is better in n:" in capsys.readouterr().err


# ---- tables ------------------------------------------------------------------------------------------------------


def test_tables_are_rows_of_their_steps(tmp_path: Path, capsys: Capture) -> None:
    def logged(name: str) -> dict[str, Any]:
        return {"_type": "table-file", "path": f"media/table/{name}", "ncols": 3, "nrows": 2}

    tables = {
        3: {"columns": ["q", "q", "n"], "data": [["a\u202eb", "x, y", 1], ["c", None, 2.5]]},
        12: {
            "columns": ["q", "picture"],
            "data": [["d", {"_type": "image-file", "path": "media/images/p.png"}], ["e"]],
        },
    }
    names = {step: f"eval/samples_{step}_0123456789abcdefabcd.table.json" for step in tables}
    records = [logs.history({"eval/samples": logged(names[step]), "loss": 1.0}, step) for step in tables]
    files = {f"media/table/{names[step]}": json.dumps(table) for step, table in tables.items()}
    logs.write_run(tmp_path, [logs.run("r"), *records, logs.exit_()], "r", files=files)
    logs.write_run(tmp_path, [logs.run("other"), logs.history({"loss": 1.0}, 0), logs.exit_()], "other")
    words = [str(tmp_path), "r", "--table", "eval/samples"]
    assert lines(capsys, *words) == [{"q": "d", "picture": "media/images/p.png"}, {"q": "e", "picture": ""}]
    [first, second] = lines(capsys, *words, "--step", "3")
    assert list(first.values())[1:] == ["x, y", "1"]
    assert list(second.values()) == ["c", "", "2.5"]
    assert "\u202e" not in first["q"]
    found = rows(capsys, *words, "--step", "all")
    assert [(row["log_step"], len(row["values"])) for row in found] == [(3, 3), (3, 3), (12, 2), (12, 2)]
    assert found[0]["values"]["q (2)"] == "x, y"
    assert get_history.main([str(tmp_path), "*", "--table", "eval/samples"]) == 0
    assert "logged no table" in capsys.readouterr().err
    for more, code, text in (
        (["--table", "eval/sample"], 4, "Nearest tables: eval/samples"),
        (["--table", "eval/samples", "--step", "4"], 4, "It did at 3, 12."),
        (["--table", "eval/samples", "--long"], 2, "--long is about metrics"),
        (["--table", "eval/samples", "--step", "x"], 2, "'x' is not last, all or a step"),
        (["--step", "3"], 2, "--step says which --table"),
    ):
        assert get_history.main([str(tmp_path), "r", *more]) == code
        assert text in capsys.readouterr().err
