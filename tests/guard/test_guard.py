"""Guard: the report's findings while a training goes on, and what it never does to the training."""

from __future__ import annotations

import importlib.util
import math
import re
import warnings
from typing import Any

import numpy as np
import pytest

from repository import ROOT
from wandb_toolkit.guard import Guard
from wandb_toolkit.model import Finding


def losses(count: int, broken_from: int | None = None, seed: int = 1) -> list[float]:
    noise = np.random.default_rng(seed).normal(0, 0.02, count)
    found = [2.3 * math.exp(-n / 80) + 0.3 + float(noise[n]) for n in range(count)]
    return found if broken_from is None else [*found[:broken_from], *[math.nan] * (count - broken_from)]


def trained(guard: Guard, values: list[float], name: str = "train/loss") -> int | None:
    """Return the row at which a training stopped itself."""
    for step, value in enumerate(values):
        guard.log({name: value}, step)
        if guard.should_stop:
            return step
    return None


def test_a_healthy_training_is_never_stopped() -> None:
    for seed in range(5):
        guard = Guard(steps=400)
        assert trained(guard, losses(400, seed=seed)) is None
        assert guard.reason == ""


def test_a_loss_that_is_nan_stops_the_training_soon() -> None:
    told: list[Finding] = []
    guard = Guard(steps=400, on_finding=told.append)
    stopped = trained(guard, losses(400, broken_from=150))
    assert stopped is not None
    assert 150 <= stopped <= 165
    assert "NaN" in guard.reason
    assert [one.severity for one in told] == ["ugly"]
    assert told[0].step == 150


def test_a_finding_counts_when_a_second_look_makes_it_too() -> None:
    guard = Guard(steps=400)
    for step, value in enumerate(losses(151, broken_from=150)):
        findings = guard.log({"train/loss": value}, step)
    assert [one.severity for one in findings] == ["ugly"]
    assert not guard.should_stop
    guard.judge()
    assert guard.should_stop


def test_a_noisy_start_stops_nothing() -> None:
    for seed in range(40):
        noise = np.random.default_rng(seed).normal(0, 0.4, 60)
        guard = Guard(steps=60)
        assert trained(guard, [abs(1 + float(value)) for value in noise], "train_loss") is None


def test_divergence_is_found_by_the_reports_own_rule() -> None:
    values = losses(200) + [0.5 * 1.1**n for n in range(100)]
    stopped = trained(Guard(steps=300), values)
    assert stopped is not None
    assert stopped > 200


def test_only_the_metrics_that_are_named_are_watched() -> None:
    guard = Guard("train/*", steps=100)
    for step, value in enumerate(losses(100)):
        guard.log({"train/loss": value, "debug/x": math.nan}, step)
    assert guard.judge() == ()
    assert set(guard._rows.points) == {"train/loss", "_runtime", "_timestamp"}


def test_rows_are_what_wandb_gets() -> None:
    guard = Guard(every=1_000)
    guard.log(
        {"a": {"b": 1}, "c": np.float32(2.5), "d": np.array(3), "e": "text", "f": True, "g": np.zeros(3), "h": None}
    )
    guard.log({"a": {"b": 2}})
    guard.log({"a": {"b": 9}}, 0)  # of an earlier step
    guard.log({"c": 7}, 1)  # more of the same step
    found = {name: points.values.tolist() for name, points in guard._rows.points.items() if name[0] != "_"}
    assert found == {"a.b": [1, 2], "c": [2.5, 7], "d": [3], "f": [1]}


def test_memory_is_bounded_and_what_broke_is_kept() -> None:
    guard = Guard(every=10**9, points=1_000)
    for step in range(20_000):
        guard.log({"loss": math.nan if step == 77 else 1 / (step + 1)}, step)
    points = guard._rows.points["loss"]
    assert len(points.steps) <= 1_000
    assert points.count == 20_000
    assert any(math.isnan(value) for value in points.values)
    assert points.steps.tolist()[-100:] == list(range(19_900, 20_000))


def test_what_goes_wrong_in_here_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr("wandb_toolkit.guard.guard.Rows.history", fail)
    guard = Guard()
    with pytest.warns(RuntimeWarning, match="ValueError: a fault"):
        assert trained(guard, losses(30)) is None
    with pytest.raises(ValueError, match="a fault"):
        trained(Guard(strict=True), losses(30))


def test_a_callback_that_fails_does_not_end_the_training() -> None:
    def fail(_: Finding) -> None:
        raise OSError("no network")

    guard = Guard(steps=400, on_finding=fail)
    with pytest.warns(RuntimeWarning, match="OSError: no network"):
        assert trained(guard, losses(400, broken_from=100)) is not None


def test_the_pages_example_runs() -> None:
    page = (ROOT / "docs" / "guard.md").read_text()
    [first, *_] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found: dict[str, Any] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(first, "docs/guard.md", "exec"), found)
    assert found["guard"].should_stop
    assert found["step"] < 300


@pytest.mark.skipif(importlib.util.find_spec("transformers") is None, reason="transformers is not installed")
def test_the_transformers_callback_ends_a_training() -> None:
    from transformers import TrainerControl, TrainerState, TrainingArguments

    from wandb_toolkit.guard.transformers import GuardCallback

    callback, control = GuardCallback(Guard(steps=400)), TrainerControl()
    arguments = TrainingArguments(output_dir="unused", report_to=[])
    for step, value in enumerate(losses(400, broken_from=100)):
        state = TrainerState(global_step=step, is_world_process_zero=True)
        callback.on_log(arguments, state, control, logs={"loss": value})
    assert control.should_training_stop


@pytest.mark.skipif(
    not any(importlib.util.find_spec(name) for name in ("lightning", "pytorch_lightning")),
    reason="Lightning is not installed",
)
def test_the_lightning_callback_ends_a_training() -> None:
    from types import SimpleNamespace

    from wandb_toolkit.guard.lightning import GuardCallback

    callback = GuardCallback(Guard(steps=400))
    alone = SimpleNamespace(reduce_boolean_decision=lambda stop, **_: stop)
    trainer = SimpleNamespace(
        log_every_n_steps=1, is_global_zero=True, sanity_checking=False, should_stop=False, strategy=alone,
        callback_metrics={},
    )  # fmt: skip
    for step, value in enumerate(losses(400, broken_from=100)):
        trainer.global_step = step
        trainer.callback_metrics["train/loss"] = value
        callback.on_train_batch_end(trainer, None, None, None, step)
        if step % 50 == 0:
            callback.on_validation_start(trainer, None)
            trainer.callback_metrics["val_loss"] = value + step / 1e6
            callback.on_validation_end(trainer, None)
    assert trainer.should_stop
    assert callback.guard is not None
    assert callback.guard._rows.points["val_loss"].count == 8, "once for each validation"
