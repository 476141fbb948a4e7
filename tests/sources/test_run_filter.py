"""--filter: the grammar, what it means for runs, the same on servers, and what is said of mistakes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wandb_runs as logs
from wandb_toolkit.commands import generate_plots, get_history, list_runs, wandb_report
from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.run_filter import parse_filter
from wandb_toolkit.sources.server.filters import split_filter

RUN = Run(
    "id1", "my run", None, "p", "finished", datetime(2026, 1, 5, tzinfo=UTC), tags=("base", "x"), group="g", steps=100,
    config={"lr": 0.001, "layers": [2, 4], "opt": {"name": "adam", "amp": True}, "note": "7", "a.b": 1, "none": None},
    summary={"eval/acc": 0.85, "nan": float("nan")},
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("config.lr>=0.001 and summary.eval/acc>0.8 and state==finished", True),
        ("config.lr>0.001", False),
        ("config.lr<1e-2", True),
        ("config.lr = .001", True),
        ("config.opt.name == adam", True),
        ("config.opt.name != adam", False),
        ("config.opt.amp == true", True),
        ("config.opt.amp == 1", False),
        ("config.note > 6", True),  # a number written as text
        ("config.layers == 4", True),
        ("config.a.b == 1", True),
        ("config.nothing == 1", False),
        ("config.nothing != 1", True),
        ("config.none == null", True),
        ("summary.nan > 0 or summary.nan <= 0", False),
        ("summary.nan == NaN", True),
        ("summary.eval/acc == NaN", False),
        ("summary.nan != nan", False),
        ("name == 'my run'", True),
        ('name ~ "my*"', True),
        ("tag in (other, x)", True),
        ("tag == base and tag != y", True),
        ("not (state == crashed or group == g)", False),
        ("not state==crashed and group == g", True),
        ("state==crashed or state==finished and steps>=100", True),
        ("created_at >= 2026-01-05 and created_at < 2026-01-06T12:00", True),
        ("group == null", False),
        ("sweep == null", True),
        ("state==finished AND steps<1000", True),
    ],
)
def test_conditions(text: str, met: bool) -> None:
    assert parse_filter(text).matches(RUN) is met


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("", "blank", None),
        ("config.lr", "operator is expected", 9),
        ("config.lr >=", "value is expected", 12),
        ("config.lr == 1 state==x", "and, or or the end", 15),
        ("(config.lr == 1", "closing parenthesis", 15),
        ("stat == x", "no field 'stat'", 0),
        ("config. == x", "no field 'config.'", 0),
        ("state in finished", "list in parentheses", 9),
        ("created_at > soon", "no date", 13),
        ("name == 'open", "quote is not closed", 8),
        ("(" * 60 + "state==x" + ")" * 60, "nested deeper", None),
    ],
)
def test_mistakes_are_shown_at_their_place(text: str, said: str, place: int | None) -> None:
    with pytest.raises(UsageError) as raised:
        parse_filter(text)
    assert said in raised.value.message
    if place is not None:
        assert raised.value.hint.splitlines()[1] == " " * place + "^"


@given(st.text(alphabet="config.lr<>=!~()'\", andornot0123456789\\\n\x00é", max_size=60))
def test_any_text_is_a_condition_or_a_usage_error(text: str) -> None:
    try:
        found = parse_filter(text)
    except UsageError:
        return
    assert found.matches(RUN) in (True, False)


def test_what_a_server_can_tell_is_told_to_it() -> None:
    told, left = split_filter(parse_filter("config.lr>=0.001 and state==finished and tag==x and summary.eval/acc>0.8"))
    assert told == [
        {"config.lr.value": {"$gte": 0.001}}, {"state": "finished"}, {"tags": {"$in": ["x"]}},
        {"$or": [{"summary_metrics.eval/acc": {"$gt": 0.8}}, {"summary_metrics.eval/acc": "Infinity"}]},
    ]  # fmt: skip
    assert left == []
    told, left = split_filter(
        parse_filter("config.opt.name==adam and (state==a or state==b) and name~'x*' and state!=c")
    )
    assert (told, len(left)) == ([{"state": {"$ne": "c"}}], 3)


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for n in range(4):
        rows = [logs.history({"loss": 1.0 / (row + 1), "acc": n / 10}, row) for row in range(12)]
        head = logs.run(
            f"r{n}", config={"lr": 10.0**-n, "opt": {"name": "adam" if n % 2 else "sgd"}}, summary={"acc": n / 10}
        )
        logs.write_run(tmp_path, [head, *rows, logs.exit_()], f"r{n}")
    return str(tmp_path)


def test_every_command_that_chooses_runs_takes_it(
    folder: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def answer(main: Any, *words: str) -> Any:
        assert main([folder, *words, "--json", "-q"]) == 0
        return json.loads(capsys.readouterr().out)

    where = ["--filter", "config.lr<0.5 and config.opt.name==adam"]
    assert {run["id"] for run in answer(list_runs.main, *where)} == {"r1", "r3"}
    assert {run["id"] for run in answer(wandb_report.main, *where)["runs"]} == {"r1", "r3"}
    assert {row["run"] for row in answer(get_history.main, "--metrics", "loss", *where)} == {"r1", "r3"}
    drawn = answer(generate_plots.main, "--metrics", "loss", *where, "--output", str(tmp_path / "out"))
    assert {run["id"] for run in drawn["runs"]} == {"r1", "r3"}
    assert answer(get_history.main, "r1,r2", "--metrics", "loss", *where)[0]["run"] == "r1"


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("config.opt.nam==adam", 4, "config.opt.name"),
        ("config.nosuch!=1", 4, "no run has config.nosuch"),
        ("config.lr>5", 4, "There are 4 runs without it"),
        ("config.lr>>5", 2, "value is expected"),
    ],
)
def test_what_nothing_meets(folder: str, capsys: pytest.CaptureFixture[str], where: str, code: int, said: str) -> None:
    assert list_runs.main([folder, "--filter", where]) == code
    assert said in capsys.readouterr().err
