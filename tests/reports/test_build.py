"""Runs and histories in, judgements out: verdicts, errors, memory, and what the sections say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from report_cases import ACCURACY, LOSS, NOW, a_finding, a_run, curve, judged, memory_source, rising
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.detectors.phrases import told
from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import History, Report, Run, Skipped
from wandb_toolkit.reports import read
from wandb_toolkit.reports.build import ReportOptions, build_report, overall, verdict_of
from wandb_toolkit.reports.rl_summary import look_through
from wandb_toolkit.reports.sentences import good_sentences, trouble_sentences

LOSS_CURVE = 2.0 - rising(1.0, 200)


def report_of(
    *content: tuple[Any, Mapping[str, Any] | ToolkitError],
    on_run: Callable[[Run], object] = lambda _: None,
    **options: Any,
) -> Report:
    source = memory_source(content)
    return build_report(source, source.all, ReportOptions(NOW, **options), on_run).report


def test_a_healthy_run_is_good() -> None:
    seen: list[Run] = []
    found = report_of((a_run(), {"train/loss": LOSS_CURVE, "lr": np.full(200, 1e-3)}), on_run=seen.append)
    assert found.verdict == "good"
    assert found.primary is not None
    assert (found.primary.metric, found.primary.direction) == ("train/loss", "min")
    assert found.roles["loss"] == "train/loss"
    assert found.good[0].startswith("`train/loss` fell from ")
    assert found.comparison is not None
    assert found.comparison.best == "id-one"
    assert [run.name for run in seen] == ["one"]
    assert found.metrics == ("train/loss", "lr")


def test_a_run_of_which_nothing_could_be_judged_is_never_good() -> None:
    for content in ({}, {"some/number": [1.0, 2.0]}):
        found = report_of((a_run(), content))
        assert found.verdict == "unknown"
        assert found.good == ()


def test_nan_is_ugly_and_named_with_its_step() -> None:
    values = LOSS_CURVE.copy()
    values[150:] = np.nan
    found = report_of((a_run("bad"), {"train/loss": values}), (a_run("well"), {"train/loss": LOSS_CURVE}))
    assert found.verdict == "ugly"
    assert [r.verdict for r in found.runs] == ["ugly", "good"]
    assert any(s.startswith("`bad`: `train/loss`") and "150" in s for s in found.ugly)
    assert found.comparison is not None
    assert found.comparison.best == "id-well"


def test_a_run_that_cannot_be_read_is_listed_and_the_rest_reported() -> None:
    found = report_of((a_run("lost"), ToolkitError("the log is damaged")), (a_run("fine"), {"train/loss": LOSS_CURVE}))
    assert found.errors == ({"run": "id-lost", "name": "lost", "message": "the log is damaged"},)
    assert [one.run.name for one in found.runs] == ["fine"]


def test_where_no_run_can_be_read_that_is_the_error() -> None:
    with pytest.raises(ToolkitError, match="None of the 2 runs could be read: gone"):
        report_of((a_run("a"), ToolkitError("gone")), (a_run("b"), ToolkitError("gone")))


@pytest.mark.parametrize("options", [{"primary": "train/los"}, {"overrides": {"grad_norm": "train/los"}}])
def test_a_metric_that_no_run_has_names_the_nearest(options: dict[str, Any]) -> None:
    with pytest.raises(NotFoundError, match="'train/los'") as error:
        report_of((a_run(), {"train/loss": LOSS_CURVE}), **options)
    assert "train/loss" in error.value.hint


def test_a_chosen_primary_is_read_again_where_it_was_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    content = {"train/loss": LOSS_CURVE, "odd/quantity": rising(3.0, 200)}
    source = memory_source([(a_run("a"), content), (a_run("b"), {"train/loss": LOSS_CURVE})])
    found = build_report(source, source.all, ReportOptions(NOW, primary="odd/quantity")).report
    assert found.comparison is not None
    assert [line.value is None for line in found.comparison.runs] == [False, True]
    monkeypatch.setattr(read, "OTHERS", 0)
    readings, _ = read.read_runs(source, source.all, {}, None, lambda _: None)
    assert "odd/quantity" not in readings[0].history
    assert "odd/quantity" in read.fill(source, readings, "odd/quantity")[0].history


def test_memory_is_bounded_by_thinning_and_reading_again() -> None:
    long = np.linspace(5, 1, 20_000)
    source = memory_source([(a_run(f"r{i}"), {"train/loss": long}) for i in range(3)])
    readings, _ = read.read_runs(source, source.all, {}, None, lambda _: None, points_held=30_000)
    assert [one.thinned for one in readings] == [False, True, True]
    assert len(readings[1].history["train/loss"]) == read.POINTS_THINNED
    assert [len(one.history["train/loss"]) for one in read.complete(source, readings)] == [20_000] * 3


def test_only_runs_of_the_same_project_are_siblings() -> None:
    too_low = {"train/kl": np.full(100, 1e-6), "train/reward": rising(0.0), "eval/accuracy": np.full(100, 0.1)}
    moving = {"train/kl": 0.1 + rising(0.1), "train/reward": rising(1.0), "eval/accuracy": rising(0.9)}
    together = report_of((a_run("stuck"), too_low), (a_run("a"), moving), (a_run("b"), moving))
    assert "kl_too_low" in {f.id for f in together.runs[0].findings}
    apart = report_of((a_run("stuck", project="x"), too_low), (a_run("a"), moving), (a_run("b"), moving))
    assert "kl_too_low" not in {f.id for f in apart.runs[0].findings}


def test_the_console_is_read_of_broken_runs_only() -> None:
    source = memory_source(
        [(a_run("ok"), {"loss": LOSS_CURVE}), (a_run("bad", state="failed", exit_code=1), {"loss": LOSS_CURVE})]
    )
    found = build_report(source, source.all, ReportOptions(NOW)).report
    assert [run for run, keys in source.asked if keys == ["console"]] == ["id-bad"]
    assert any("ValueError: no such column" in text for text in found.ugly)


def test_verdicts_come_from_causes_only() -> None:
    consequence = a_finding("crashed", "ugly", consequence_of="overfitting")
    assert verdict_of(judged("x", a_finding("overfitting"), consequence)) == "bad"
    assert verdict_of(judged("x", a_finding("nan_or_inf", "ugly"), a_finding("overfitting"))) == "ugly"
    assert verdict_of(judged("x", passed=("overfitting",))) == "unknown"  # nothing shows that it learned
    assert verdict_of(judged("x", a_finding("loss_decreased", "good"))) == "good"
    assert verdict_of(judged("x", a_finding("kl_stable", "good"))) == "unknown"
    assert verdict_of(judged("x", passed=("crashed", "stalled"))) == "unknown"
    assert overall(["good", "unknown"]) == "good"
    assert overall(["good", "bad", "ugly"]) == "ugly"
    assert overall([]) == "unknown"


def test_the_same_finding_in_several_runs_is_one_sentence_and_consequences_are_folded() -> None:
    spike = a_finding("loss_spike", title="train/loss jumps", metrics=("train/loss",))
    reports = [judged(n, spike, verdict="bad") for n in ("a", "b", "c")]
    (text,) = trouble_sentences(reports, "bad")
    assert "in 3 runs (`a`, `b` and `c`)" in text
    assert text.endswith("`a`: `train/loss` jumps.")
    cause, effect = a_finding("nan_or_inf", "ugly"), a_finding("crashed", "ugly", consequence_of="nan_or_inf")
    folded = trouble_sentences([judged("a", cause, effect), judged("b")], "ugly")
    assert folded == ("`a`: nan_or_inf was seen. Likely cause of the crash.",)


def test_runs_that_ended_by_different_errors_are_told_apart() -> None:
    ended = [a_finding("crashed", "ugly", f"ended: {e}", evidence={"error": e}) for e in ("KeyError", "OOM", "OOM")]
    said = trouble_sentences([judged(str(i), one) for i, one in enumerate(ended)], "ugly")
    assert len(said) == 2


def test_metrics_in_a_title_become_code_spans_once_each() -> None:
    finding = a_finding(
        "x", title="train/loss and train/loss_avg (train/loss) rose", metrics=("train/loss", "train/loss_avg")
    )
    assert told(finding, judged("a")) == "`train/loss` and `train/loss_avg` (`train/loss`) rose"


def test_good_names_the_best_run_and_the_healthy_ones() -> None:
    reports = [judged("a"), judged("b", a_finding("overfitting"), verdict="bad")]
    series = [curve(rising(0.5)), curve([*rising(0.9), *np.full(40, 0.6)])]
    said = good_sentences(reports, series, ACCURACY, compare(reports, series, ACCURACY))
    assert "in `b`, the best run (judged bad); its best point is 0.89" in said[0]
    assert said[1] == "`a` is healthy: 1 check found no fault."


def test_a_metric_that_broke_or_a_loss_of_exactly_zero_is_no_progress() -> None:
    broke = judged("a", a_finding("nan_or_inf", "ugly", metrics=(ACCURACY.metric,)), verdict="ugly")
    nothing = judged("a", a_finding("no_learning"), verdict="bad")
    for report in (broke, nothing):
        series = [curve(rising(0.5))]
        assert good_sentences([report], series, ACCURACY, compare([report], series, ACCURACY)) == ()
    fell = [curve([*np.linspace(2, 1, 20), *np.zeros(30)], LOSS.metric)]
    zero = [judged("a", verdict="bad")]
    assert good_sentences(zero, fell, LOSS, compare(zero, fell, LOSS)) == ()


def test_a_best_point_is_named_where_it_is_no_chance_and_much_was_lost_again() -> None:
    rng = np.random.default_rng(4)
    noisy = curve(1 + 0.7 * np.exp(-np.linspace(0, 20, 600)) + rng.normal(0, 0.06, 600), LOSS.metric)
    turned = curve([*np.linspace(1.6, 0.2, 300), *np.linspace(0.2, 0.35, 100)], LOSS.metric)
    for series, named in ((noisy, False), (turned, True)):
        (said, *_) = good_sentences([judged("a")], [series], LOSS, compare([judged("a")], [series], LOSS))
        assert ("its best point is" in said) is named


def test_a_best_run_that_gained_nothing_is_not_praised() -> None:
    reports, series = [judged("a", verdict="bad")], [curve(np.full(50, 0.5))]
    assert good_sentences(reports, series, ACCURACY, compare(reports, series, ACCURACY)) == ()


def test_the_lens_judges_by_findings_and_appears_for_rl_only() -> None:
    roles = {"reward": "train/reward", "kl": "train/kl", "task": "eval/accuracy"}
    content = {"train/reward": rising(1.0), "train/kl": rising(0.1), "eval/accuracy": [0.1, 0.2]}
    history = History({name: curve(values, name) for name, values in content.items()})
    high = judged("high", a_finding("kl_runaway", "ugly"), roles=roles)
    low = judged("low", roles=roles, passed=("kl_runaway", "reward_collapse"))
    reward, kl = look_through([high, low], [history, history], roles, 1)
    assert (reward.role, reward.run) == ("reward", "low")
    assert "task metric `eval/accuracy` 0.1 → 0.2 (2 points only)" in reward.text
    assert reward.text.endswith("no fault found")
    assert kl.text.endswith("runaway KL in `high`")
    none = judged("none", roles=roles)
    _, kl = look_through([none, high, low], [History({}), history, history], roles, 0)
    assert kl.run == "low"  # no best run has it: a run that there is, no mean of several
    task_alone = History({"train/reward": history["train/reward"]})
    reward, _ = look_through([high, low], [history, task_alone], roles, 1)
    assert "0.1 → 0.2 (2 points only) in `high`" in reward.text
    assert look_through([low], [history], {"loss": "train/loss", "grad_norm": "g"}, None) == ()


def test_the_lens_shows_nan_and_clears_no_role_of_a_broken_run_quite() -> None:
    roles = {"reward": "train/reward", "kl": "train/kl"}
    content = {"train/reward": rising(1.0), "train/kl": [*rising(0.1), *np.full(30, np.nan)]}
    history = History({name: curve(values, name) for name, values in content.items()})
    sick = judged("a", a_finding("nan_or_inf", "ugly"), verdict="ugly", roles=roles, passed=("reward_collapse",))
    reward, kl = look_through([sick], [history], roles, 0)
    assert reward.text.endswith("no fault of its own")
    assert kl.end is not None
    assert np.isnan(kl.end)


def test_the_lens_undoes_the_frameworks_sign_and_says_why_it_could_not_judge() -> None:
    from dataclasses import replace

    from wandb_toolkit.model import RoleMatch

    skipped = (Skipped("entropy_collapse", "only 3 points"),)
    match = RoleMatch("entropy", "train/entropy_loss", "SB3", sign=-1)
    one = replace(judged("a", passed=()), roles=(match,), skipped=skipped)
    history = History({"train/entropy_loss": curve([-1.5, -1.0, -0.5], "train/entropy_loss")})
    (line,) = look_through([one], [history], {"entropy": "train/entropy_loss", "reward": "r"}, None)
    assert (line.start, line.end) == (1.5, 0.5)
    assert "logged as its negative" in line.text
    assert "not judged (only 3 points)" in line.text


def test_every_fault_has_a_name_that_fits_into_a_sentence() -> None:
    from wandb_toolkit.detectors import DETECTORS
    from wandb_toolkit.detectors.phrases import label

    plain = {"loss spike", "overfitting", "entropy collapse", "reward hacking", "stalled"}
    for one in DETECTORS.values():
        if one.severity != "good":
            assert label(one.id) != one.id.replace("_", " ") or label(one.id) in plain, one.id


def test_a_run_that_cannot_be_judged_has_no_progress_to_tell() -> None:
    few = [0.5, 0.4, 0.45]
    source = memory_source([(a_run("short"), {"train/loss": np.array(few)})])
    report = build_report(source, source.all, ReportOptions(NOW)).report
    assert (report.verdict, report.good) == ("unknown", ())


def test_the_siblings_of_very_many_runs_are_a_sample_of_the_same_task() -> None:
    from wandb_toolkit.detectors.base import SIBLINGS_MOST
    from wandb_toolkit.reports import judge

    content = [
        (a_run(f"r{n}", id=f"r{n}", config={"env_id": "ab"[n % 2], "seed": n}), {"train/loss": 2.0 - rising(1.0, 20)})
        for n in range(300)
    ]
    source = memory_source(content)
    beside: list[list[str]] = []
    found = judge._beside

    def noted(readings: Any) -> Any:
        chosen = found(readings)
        beside.extend([readings[at].run.id for at in each] for each in chosen)
        return chosen

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "_beside", noted)
        build_report(source, source.all, ReportOptions(NOW))
    assert len(beside) == 300
    for run, ids in zip(source.all, beside, strict=True):
        assert SIBLINGS_MOST // 2 < len(ids) <= SIBLINGS_MOST + 1
        assert {int(id_[1:]) % 2 for id_ in ids} == {int(run.id[1:]) % 2}


def test_a_run_without_the_metric_that_ranks_is_judged_by_its_own() -> None:
    accuracy, error = rising(1.0, 40), 0.9 - 0.8 * rising(1.0, 40)
    content = [(a_run(f"a{n}", id=f"a{n}"), {"val/accuracy": accuracy}) for n in range(3)]
    content.append((a_run("b", id="b"), {"val_error": error}))
    source = memory_source(content)
    report = build_report(source, source.all, ReportOptions(NOW)).report
    assert report.primary is not None
    assert report.primary.metric == "val/accuracy"
    judged = {one.run.id: one.primary.metric for one in report.runs if one.primary}
    assert judged == {"a0": "val/accuracy", "a1": "val/accuracy", "a2": "val/accuracy", "b": "val_error"}
    given = build_report(source, source.all, ReportOptions(NOW, primary="val/accuracy")).report
    assert {one.primary.metric for one in given.runs if one.primary} == {"val/accuracy"}
