"""After a crash: what is left to resume, and what is to be tried before the run is started again."""

from __future__ import annotations

from typing import Any

import pytest

from report_cases import a_finding, judged, proposed
from wandb_toolkit.experiments.restart import left_of, waits
from wandb_toolkit.model import Finding, RunReport

LEARNED = a_finding("loss_decreased", "good")


def crash(step: int = 500, **evidence: Any) -> Finding:
    return a_finding("crashed", "ugly", "The run stopped", step=step, evidence=evidence)


def crashed(*findings: Finding, config: dict[str, Any] | None = None, **facts: Any) -> RunReport:
    given = {"verdict": "ugly", "state": "crashed", "duration": 9000.0, "rows": 500, **facts}
    return judged("run", *findings, config=config or {}, **given)


@pytest.mark.parametrize(
    ("config", "findings", "seconds", "left"),
    [
        ({}, (LEARNED,), 9000.0, "checkpoint"),
        ({"save_steps": 100}, (LEARNED,), 60.0, "checkpoint"),
        ({"save_steps": 1000}, (LEARNED,), 9000.0, "nothing"),
        ({"trainer": {"save_freq": 1000}}, (LEARNED,), 9000.0, "nothing"),
        ({"save_steps": 100, "save_strategy": "no"}, (LEARNED,), 9000.0, "nothing"),
        ({}, (LEARNED,), 60.0, "nothing"),
        ({}, (), 9000.0, "nothing"),
    ],
    ids=["a long run", "saved", "not yet saved", "verl", "never saves", "a short run", "nothing learned"],
)
def test_what_is_left_of_a_run_that_crashed(
    config: dict[str, Any], findings: tuple[Finding, ...], seconds: float, left: str
) -> None:
    one = crash(500)
    report = crashed(one, *findings, config=config, duration=seconds)
    assert left_of(one, report) == left
    (first, *_) = proposed(report)
    resumes = "from the last checkpoint" in " ".join(e.change for e in proposed(report))
    assert resumes == (left == "checkpoint"), first.change


def test_a_run_that_learned_nothing_is_mended_before_it_is_started_again() -> None:
    found = proposed(crashed(crash(), a_finding("no_learning"), config={"lr": 1e-3}))
    assert found[0].finding == "no_learning"
    assert [e.change for e in found if e.finding == "crashed"] == [
        "memory use and console output kept in the next run, whatever it changes"
    ]


def test_an_unexplained_end_comes_second_where_most_of_the_plan_brought_nothing() -> None:
    late, early = crashed(crash(45), config={"total_iters": 50}), crashed(crash(5), config={"total_iters": 50})
    assert waits(late.findings[0], late)
    assert not waits(early.findings[0], early)
    assert proposed(late)[0].finding is None
    assert "crashed" in [e.finding for e in proposed(late)]
    (first, *_) = proposed(early)
    assert first.change == "the same config again from the start, with memory use and console output kept"


def test_an_error_that_the_log_names_comes_first() -> None:
    report = crashed(crash(45, error="KeyError: 'x'"), config={"total_iters": 50})
    (first, *_) = proposed(report)
    assert first.change.endswith("prove it with a run of a few steps, then start again")


def test_an_error_after_training_repeats_no_step() -> None:
    one = crash(156, error="ValueError: evaluation requires an eval_dataset.", training_complete="epoch reached 1 of 1")
    report = crashed(one, LEARNED)
    assert left_of(one, report) == "complete"
    (first, *_) = proposed(report)
    assert "no step of training needs repeating" in first.change
    assert "resume" not in first.change


def test_a_fault_of_training_comes_before_the_ends_of_several_other_runs() -> None:
    error = crash(7, error="KeyError: 'x'")
    ended = [judged(f"r{at}", error, LEARNED, verdict="ugly", state="failed") for at in range(3)]
    sick = judged("sick", a_finding("reward_hacking", "ugly"), verdict="ugly")
    assert [e.finding for e in proposed(*ended, sick)][:2] == ["reward_hacking", "crashed"]


def test_a_bad_training_that_was_killed_is_mended_first_and_started_again_after() -> None:
    ended = a_finding("crashed", "ugly", step=60)
    spoilt = judged("a", a_finding("grad_norm_explosion", step=40), ended, verdict="ugly", state="crashed")
    other = judged("b", ended, verdict="ugly", state="crashed")
    found = [experiment.finding for experiment in proposed(spoilt, other)]
    assert found[0] == "grad_norm_explosion"
    assert "crashed" in found[1:]
