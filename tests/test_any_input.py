"""Whatever numbers a run has and whatever a user types, there is an answer, a skip or a plain refusal."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import curves
from report_cases import NOW, a_run, memory_source
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.forecast.forecast import forecast
from wandb_toolkit.jsontext import line
from wandb_toolkit.plots.smoothing import Smoothing
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.reports.render.report_json import report_object
from wandb_toolkit.resolve import means, parse_target, select_runs, split_names
from wandb_toolkit.sources.run_filter import parse_filter

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
SLOW = settings(QUICK, max_examples=25)

# What real curves have, and what only broken ones do: the ends of float's range, zeros of both signs, gaps.
_ODD = st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324, 1e-12])
_NUMBER = _ODD | st.floats(width=64)
_METRICS = (
    "train/loss", "eval/loss", "eval/accuracy", "train/reward", "train/reward_std", "objective/kl", "train/grad_norm",
    "train/entropy", "lr", "epoch", "step_time", "completions/mean_length", "rewards/margins", "rewards/accuracies",
    "perplexity", "system/gpu.0.gpu", "x\x1b[31m|`<b>",
)  # fmt: skip


@st.composite
def a_curve(draw: st.DrawFn) -> FloatArray:
    """A short list of anything, or a long smooth curve with anything in some places of it."""
    if draw(st.booleans()):
        return np.asarray(draw(st.lists(_NUMBER, max_size=30)), dtype=np.float64)
    scale, offset = draw(_NUMBER), draw(_NUMBER)
    n = draw(st.integers(20, 400))
    with np.errstate(all="ignore"):
        y = offset + scale * np.exp(-np.linspace(0, 6, n)) + curves.noise(0.01, draw(st.integers(0, 9)), n)
    for at, value in draw(st.lists(st.tuples(st.integers(0, n - 1), _NUMBER), max_size=8)):
        y[at : at + draw(st.sampled_from([1, 1, 50]))] = value
    return y


_RUN = st.dictionaries(st.sampled_from(_METRICS), a_curve(), max_size=6)
_STATES = st.sampled_from(["finished", "running", "crashed", "failed", "killed", "unknown"])
_SETTING = st.none() | st.booleans() | st.integers() | _NUMBER | st.text(max_size=8) | st.just([1, "x"])
_CONFIG = st.dictionaries(
    st.sampled_from(["lr", "learning_rate", "seed", "model", "a.b", "batch_size", "max_steps", "epochs"]), _SETTING
)


@SLOW
@given(_RUN, st.lists(_RUN, max_size=2), _STATES, st.lists(st.text(max_size=40), max_size=4), _CONFIG)
def test_detectors_judge_or_skip(
    own: dict[str, Any], others: list[dict[str, Any]], state: Any, log: list[str], config: dict[str, Any]
) -> None:
    curves.found(curves.view(own, tuple(others), state, tuple(log), config=config))


@SLOW
@given(st.lists(st.tuples(_RUN, _STATES, _CONFIG), min_size=1, max_size=5))
def test_runs_are_compared_and_the_report_is_strict_json(given_runs: list[tuple[dict[str, Any], Any, Any]]) -> None:
    content = [
        (a_run(str(at), state=state, config=config), values) for at, (values, state, config) in enumerate(given_runs)
    ]
    source = memory_source(content)
    built = build_report(source, [run for run, _ in content], ReportOptions(now=NOW))
    assert len(built.report.runs) == len(content)
    assert len(forecast(built).runs) == sum(state == "running" for _, state, _ in given_runs)
    assert [one for run in built.report.runs for one in run.skipped if "the detector failed" in one.reason] == []
    assert line(report_object(built.report))


@QUICK
@given(
    st.sampled_from(["twema", "ema", "gaussian", "running_mean"]),
    a_curve(),
    st.lists(_NUMBER, max_size=400),
    st.floats(0, 0.9999),
    st.integers(1, 500),
    st.floats(0.01, 1000),
)
def test_smoothers_return_as_many_points(
    method: Any, y: FloatArray, given_x: list[float], weight: float, window: int, sigma: float
) -> None:
    x = np.arange(len(y), dtype=np.float64)
    x[: len(given_x)] = np.sort(np.asarray(given_x[: len(y)], dtype=np.float64))
    smoothing = Smoothing(method, weight, window=window, sigma=sigma)
    with np.errstate(all="ignore"):
        smooth = smoothing.apply(x, y, 10.0)
    assert smooth is not None
    assert len(smooth) == len(y)


_TYPED = st.text(max_size=40) | st.text("latest0:~/\\*?[]{}@%.,-= \x00\ud800", max_size=20)


@QUICK
@given(_TYPED, _TYPED)
def test_any_target_and_selector_is_understood_or_refused(target: str, name: str) -> None:
    for call in (
        lambda: parse_target(target),
        lambda: parse_target(f"https://wandb.ai/{target}"),
        lambda: select_runs([target], [a_run(name), a_run("b")]),
        lambda: means(split_names(target), name),
    ):
        with suppress(ToolkitError):
            call()


@QUICK
@given(
    st.sampled_from(["config.a", "summary.b", "state", "name", "created", "tags", "duration"]),
    st.sampled_from(["==", "!=", "<", ">=", " in ", "~"]),
    _TYPED | _NUMBER.map(str),
    _SETTING,
)
def test_any_filter_is_answered_for_any_run(field: str, sign: str, value: str, setting: Any) -> None:
    try:
        condition = parse_filter(f"{field}{sign}{value}")
    except ToolkitError:
        return
    run = a_run("x", config={"a": setting}, summary={"b": setting})
    assert condition.matches(run) in (True, False)
