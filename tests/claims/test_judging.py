"""What keeps a claim from being judged, and what counts as a run's last and best value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from curves import run
from fake_source import FakeSource
from wandb_toolkit.claims.check import check
from wandb_toolkit.claims.claim import Judged
from wandb_toolkit.claims.document import document_of
from wandb_toolkit.claims.names import MetricNames, RunNames
from wandb_toolkit.claims.numbers import numbers_in, seeds_said
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, Series


def judged(
    text: str, values: Sequence[float], metric: str = "loss", state: str = "finished", total: int | None = None
) -> Judged:
    made = run(name="r-1", state=state)  # type: ignore[arg-type]
    series = Series(metric, np.arange(len(values), dtype=np.float64), np.array(values), total=total)
    source = FakeSource([(made, History({metric: series}, {metric: "number"}, len(values)))])
    [claim] = check(document_of("a.md", text.encode()), source).claims
    return claim


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        ("r-1: 0.512 <!-- wandb: r-1 loss best -->", [2.0, 0.512, 0.7], "confirmed"),
        ("r-1: 0.512 <!-- wandb: r-1 loss last -->", [2.0, 0.512, 0.7], "best_as_final"),
        ("r-1: 0.512 <!-- wandb: r-1 loss final -->", [2.0, 0.512, math.nan], "best_as_final"),
        ("r-1: 2.0 <!-- wandb: r-1 loss best -->", [2.0, 0.512, 0.7], "not_in_any_run"),
        ("r-1: 2.00 <!-- wandb: r-1 loss best -->", [2.0, 0.512, 0.7], "differs"),
        ("r-1: 1.071 <!-- wandb: r-1 loss mean -->", [2.0, 0.512, 0.7], "confirmed"),
        ("r-1: 0.7 <!-- wandb: r-1 loss -->", [math.nan] * 3, "not_in_any_run"),
        ("r-1: -0.7 <!-- wandb: r-1 loss -->", [-0.1, -0.70001], "confirmed"),
        ("r-1: −0.7 <!-- wandb: r-1 loss -->", [-0.1, -0.70001], "confirmed"),
        ("r-1: 0.00 <!-- wandb: r-1 loss -->", [0.1, 0.0004], "confirmed"),
        ("r-1: 0 <!-- wandb: r-1 loss -->", [0.9, 0.4], "confirmed"),
    ],
)
def test_last_and_best(text: str, values: list[float], verdict: str) -> None:
    found = judged(text, values)
    assert found.verdict == verdict, found.reason


def test_without_a_direction_the_lowest_may_be_the_best() -> None:
    for value in ("3.25", "1.25"):
        found = judged(f"r-1: {value} <!-- wandb: r-1 wobble best -->", [1.25, 3.25, 2.0], "wobble")
        assert found.verdict == "confirmed", found.reason


def test_a_run_that_still_runs_and_a_sample_contradict_nobody() -> None:
    text = "r-1: 0.4 <!-- wandb: r-1 loss last -->"
    assert judged(text, [2.0, 0.7]).verdict == "not_in_any_run"
    assert judged(text, [2.0, 0.7], state="running").verdict == "not_decidable"
    assert judged(text, [2.0, 0.7], total=900).verdict == "not_decidable"


def test_a_run_that_cannot_be_read_is_listed() -> None:
    source = FakeSource([(run(name="r-1"), ToolkitError("broken"))])
    found = check(document_of("a.md", b"r-1: 0.4 <!-- wandb: r-1 loss last -->"), source)
    assert [one.verdict for one in found.claims] == ["not_decidable"]
    assert [error.message for _, error in found.failed] == ["broken"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("on 2024-05-06 at 12:30, version 1.2.3, v2.5, #12", []),
        ("1,234.5 and 12k and 0,5", [1234.5, 12000.0, 0.5]),
        ("a-1 b_2 c3 4d net/5 x.6", []),
        ("[0.1, 0.2] (0.3) 0.4, 0.5; 0.6.", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        ("-1 – 2 −3 a-4", [-1.0, 2.0, -3.0]),
        ("1e-10 2E+3 3×10^-2 4 · 10⁻⁵", [1e-10, 2000.0, 0.03, 4e-5]),
        ("1" * 80, []),
    ],
)
def test_numbers(text: str, values: list[float]) -> None:
    assert [one.value for one in numbers_in(text)] == pytest.approx(values)


def test_bounds() -> None:
    text = "> 0.1 and > 0.2, more than 0.3\n> > 0.4 <= 0.5 about 0.6 --> 0.7 ~0.8"
    assert [one.bound for one in numbers_in(text)] == ["", ">", ">", "", "<", "~", "", "~"]


def test_numbers_of_seeds() -> None:
    said = ("over three seeds", "n = 5", "3 random seeds and 5 runs", "no seeds", "10 independent runs")
    assert [seeds_said(text) for text in said] == [3, 5, None, None, 10]


def test_names_are_whole_words() -> None:
    runs = RunNames([run(name="net-1"), replace(run(name="net-1-long"), id="other")])
    text = "net-1-long, a/net-1, net-12, net-1."
    assert [one.text for one in runs.mentions(text, 0, len(text))] == ["net-1-long", "net-1"]
    metrics = MetricNames(["eval/accuracy", "train/accuracy", "f1"])
    assert metrics.of_words("Eval accuracy") == (("eval/accuracy",), True)
    assert metrics.of_words("Acc.") == (("eval/accuracy", "train/accuracy"), False)
    text = "accuracy, eval_accuracy, inaccuracy, F1"
    assert [one.metrics for one in metrics.mentions(text, 0, len(text))] == [
        ("eval/accuracy", "train/accuracy"), ("eval/accuracy",), ("f1",),
    ]  # fmt: skip
