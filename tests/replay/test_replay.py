"""Ended runs looked at as a watcher would have seen them: nothing of the future is known, and the sums are right."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import wandb_runs as logs
from curves import falling, noise
from wandb_toolkit.commands.wandb_report import main
from wandb_toolkit.errors import Exit
from wandb_toolkit.model import History, Primary, Run, Series
from wandb_toolkit.replay.prefix import Past, places
from wandb_toolkit.replay.replay import PREFIXES, Glance, _All, _looks
from wandb_toolkit.reports.build import ReportOptions

START = datetime(2026, 1, 1, tzinfo=UTC)
N = 240


def past(name: str, minutes: float, loss: np.ndarray, state: str = "finished") -> Past:
    """Return a run that logged a row each second."""
    x = np.arange(len(loss), dtype=np.float64)
    started = START + timedelta(minutes=minutes)
    clock = started.timestamp() + x
    norm = 1 + noise(0.05, len(name), len(loss))
    series = {
        "train/loss": Series("train/loss", x, loss),
        "train/grad_norm": Series("train/grad_norm", x, norm),
        "_timestamp": Series("_timestamp", x, clock),
    }
    config = {"lr": 0.1}
    run = Run(name, name, None, "p", state, started, config=config, duration=float(len(loss)))  # type: ignore[arg-type]
    return Past(run, History(series))


def runs() -> list[Past]:
    bad = falling(n=N, seed=3)
    bad[120:] += np.linspace(0, 40, N - 120)
    good = [past(f"good{n}", n * 2.0, falling(n=N, seed=n)) for n in range(4)]
    return [*good, past("bad", 9.0, bad, "crashed")]


def poisoned(one: Past, after: float) -> Past:
    """Return the run with everything that it logged after a step replaced by nonsense, and another end."""
    series = {
        name: replace(s, value=np.where(s.x > after, 1e9 if name == "_timestamp" else np.nan, s.value))
        for name, s in one.history.series.items()
    }
    run = replace(one.run, state="failed", exit_code=1, summary={"train/loss": 1e9}, steps=10**9, notes="broke")
    return Past(run, History(series))


def looks(pasts: list[Past], at: int) -> list[Glance]:
    return list(_looks(_All(pasts, Primary("train/loss", "min", ""), ReportOptions(START)), at))


def test_a_look_knows_nothing_of_what_came_later() -> None:
    pasts = runs()
    whole = looks(pasts, 4)
    assert any(verdict == "ugly" for _, verdict, _, _ in whole)
    for count in (3, 6, 9):
        step = float(places(pasts[4].last, PREFIXES)[count - 1])
        spoilt = [*pasts[:4], poisoned(pasts[4], step)]
        assert looks(spoilt, 4)[:count] == whole[:count]


def test_a_look_knows_of_others_what_they_had_logged_by_then_and_of_later_ones_nothing() -> None:
    pasts = runs()
    own = looks(pasts, 2)
    for count in (2, 5, 8):
        moment = pasts[2].started + float(places(pasts[2].last, PREFIXES)[count - 1])
        spoilt = list(pasts)
        for at in (0, 1):
            spoilt[at] = poisoned(pasts[at], pasts[at].step_at(moment))
            spoilt[at] = replace(spoilt[at], run=pasts[at].run)  # how it had ended by then is known
        for at in (3, 4):  # these started later
            spoilt[at] = poisoned(pasts[at], -1)
        assert looks(spoilt, 2)[:count] == own[:count]


def test_time_and_steps_go_together() -> None:
    one = past("x", 1.0, falling(n=100))
    assert one.seconds_at(40) == 40
    assert one.step_at(one.started + 40.5) == 40
    assert one.step_at(one.started - 1) == -1
    assert len(one.until(40).series["train/loss"]) == 41
    assert places(99, 3).tolist() == [33, 66, 99]


def test_what_stopping_saves_and_costs(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    for at, one in enumerate(runs()):
        rows = [
            logs.history({"train/loss": float(value), "_timestamp": logs.START + 500 * at + step}, step)
            for step, value in enumerate(one.history.series["train/loss"].value)
        ]
        head = logs.run(one.run.id, name=one.run.name, config={"lr": 0.1}, start=logs.START + 500 * at)
        machine = {"wandb-metadata.json": '{"gpu": "NVIDIA H100", "gpu_count": 8}'} if one.run.id == "bad" else {}
        logs.write_run(tmp_path, [head, *rows, logs.exit_()], one.run.id, files=machine)
    assert main([str(tmp_path), "--replay", "--json"]) == Exit.OK
    found = json.loads(capsys.readouterr().out)["replay"]
    policies = {one["name"]: one for one in found["policies"]}
    stopped = {one["name"]: one["stopped"] for one in found["runs"]}
    assert 120 <= stopped["bad"]["ugly"] <= 220
    assert all(stopped[f"good{n}"]["ugly"] is None for n in range(4))
    ugly = policies["ugly"]
    assert (ugly["stopped"], ugly["wrongly"], ugly["best_third"]) == (1, [], 2)
    assert ugly["steps_saved"] == 239 - stopped["bad"]["ugly"]
    assert ugly["share_saved"] == pytest.approx(ugly["steps_saved"] / (5 * 239))
    assert ugly["hours_saved"] == pytest.approx(ugly["steps_saved"] / 3600)
    assert ugly["gpu_hours_saved"] == pytest.approx(8 * ugly["hours_saved"])
    assert ugly["gpu_runs"] == 1
    assert {one["name"] for one in found["runs"] if one["best"]} < {f"good{n}" for n in range(4)}
    assert main([str(tmp_path), "--replay", "--full"]) == Exit.OK
    text = capsys.readouterr().out
    assert "## When the runs could have been stopped" in text
    assert "`--fail-on ugly`: 1 run stopped" in text
    assert "GPU hours)" in text
    assert main([str(tmp_path), "--replay", "--watch"]) == Exit.USAGE
