"""Settings that go with the result: found where they do, silent where they do not, refused where nobody can tell."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest

from wandb_toolkit.comparison import hyperparameters, importance
from wandb_toolkit.comparison.hyperparameters import columns_of, holm, signals_of


def a_sweep(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    return [
        {
            "lr": float(10 ** rng.uniform(-5, -2)),
            "optimizer": str(rng.choice(["adam", "sgd", "lion"])),
            "wd": float(rng.choice([0.0, 0.1])),
            "seed": i,
            "run_name": f"r{i}",
        }
        for i in range(count)
    ]


def quality(settings: list[dict[str, Any]], noise: float = 0.1) -> list[float]:
    rng = np.random.default_rng(1)
    return [float(np.log10(s["lr"]) + 2 * (s["optimizer"] == "adam") + noise * rng.normal()) for s in settings]


def test_what_goes_with_the_result_is_found_and_seeds_and_names_are_no_settings() -> None:
    sweep = a_sweep(40)
    found = signals_of(sweep, quality(sweep), "max")
    assert not found.refused
    by_key = {one.key: one for one in found.signals}
    assert set(by_key) == {"lr", "optimizer", "wd"}
    assert by_key["lr"].strength > 0.4
    assert by_key["lr"].p < 0.05
    assert (by_key["optimizer"].kind, by_key["optimizer"].best) == ("category", "adam")
    assert by_key["optimizer"].p < 0.05
    assert by_key["wd"].p > 0.05
    assert signals_of(sweep, quality(sweep), "max") == found  # seeded


def test_with_less_is_better_the_sign_turns() -> None:
    sweep = a_sweep(30)
    losses = [-value for value in quality(sweep)]
    assert next(s for s in signals_of(sweep, losses, "min").signals if s.key == "lr").strength > 0.4


def test_what_has_no_effect_is_rarely_called_one() -> None:
    rng = np.random.default_rng(3)
    wrong = 0
    for _ in range(40):
        sweep = [{f"k{i}": float(rng.normal()) for i in range(6)} for _ in range(15)]
        wrong += signals_of(sweep, rng.normal(size=15).tolist(), "max").signals[0].p < 0.05
    assert wrong <= 5


def test_too_few_configurations_are_refused_with_the_reason() -> None:
    sweep = a_sweep(hyperparameters.FEWEST - 1)
    found = signals_of(sweep, quality(sweep), "max")
    assert (found.signals, found.count) == ((), 9)
    assert "10 needed" in found.refused
    assert "9 completed" in found.refused


def test_constant_settings_and_equal_results_are_refused() -> None:
    assert "no setting differs" in signals_of([{"lr": 1}] * 12, list(range(12)), "max").refused
    assert "same level" in signals_of(a_sweep(12), [1.0] * 12, "max").refused


def test_settings_that_vary_as_one_are_one_signal() -> None:
    sweep = [{**one, "optim.lr": one["lr"], "log_lr": np.log(one["lr"]).item()} for one in a_sweep(20)]
    (lr,) = [one for one in signals_of(sweep, quality(sweep), "max").signals if one.key == "lr"]
    assert lr.also == ("optim.lr", "log_lr")


def test_columns_are_orders_switches_or_categories() -> None:
    made = {c.key: c for c in columns_of([{"a": i, "b": i % 2 == 0, "c": f"x{i}", "d": 3.0 if i % 2 else None, "e": "k"}
                                          for i in range(10)])}  # fmt: skip
    assert made["a"].kind == "order"
    assert (made["b"].kind, made["b"].values, made["b"].also) == ("order", 2, ())
    assert (made["d"].kind, made["d"].names) == ("category", ("3.0", "not set"))
    assert "c" not in made  # as many values as runs: a name
    assert "e" not in made


def test_holm_corrects_stepwise_and_never_beyond_one() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_model_is_refused_below_twenty_configurations_and_without_its_library(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = a_sweep(12)
    few = importance.with_importance(signals_of(sweep, quality(sweep), "max"), columns_of(sweep), quality(sweep))
    assert few.model.startswith("none: a model needs 20")
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    sweep = a_sweep(30)
    found = importance.with_importance(signals_of(sweep, quality(sweep), "max"), columns_of(sweep), quality(sweep))
    assert "extra `analysis`" in found.model
    assert all(one.importance is None for one in found.signals)


def test_a_models_importances_name_what_matters_and_chance_has_none() -> None:
    pytest.importorskip("sklearn", reason="the extra `analysis` is not installed")
    sweep = a_sweep(60)
    levels = [-abs(np.log10(one["lr"]) + 3.5) for one in sweep]  # best in the middle: no order
    found = importance.with_importance(signals_of(sweep, levels, "max"), columns_of(sweep), levels)
    weights = {one.key: one.importance for one in found.signals}
    assert weights["lr"] is not None
    assert weights["lr"] > 0.3
    assert max(abs(weights[key] or 0) for key in ("wd", "optimizer")) < 0.1
    luck = np.random.default_rng(0).normal(size=60).tolist()
    nothing = importance.with_importance(signals_of(sweep, luck, "max"), columns_of(sweep), luck)
    assert nothing.model.startswith("none: a random forest")
