"""The registry, an examination as a whole, and what follows from what."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from curves import PART, N, falling, growing, history, noise, run, step, view
from repository import ROOT
from wandb_toolkit import jsontext
from wandb_toolkit.detectors import DETECTORS, Detector, Examination, NotApplicable, RunView, examine
from wandb_toolkit.detectors.folding import consequences_of, fold
from wandb_toolkit.model import Finding, History
from wandb_toolkit.roles import ROLES, assign_roles

DIAGNOSES = {id_ for id_, each in DETECTORS.items() if each.severity != "good"}
STATES = {"crashed", "interrupted"}  # also what a run's state and an error are called


def test_every_diagnosis_has_a_detector_that_says_what_it_claims() -> None:
    assert len(DIAGNOSES) > 30
    for id_, each in DETECTORS.items():
        assert each.id == id_
        assert each.check.__doc__
        assert set(each.roles) <= set(ROLES)


def test_what_is_declared_names_what_there_is() -> None:
    for each in DETECTORS.values():
        assert {*each.explains, *each.follows} <= DIAGNOSES, each.id
        assert set(each.takes_back) <= set(DETECTORS) - DIAGNOSES, each.id
        assert set(each.lens) <= set(ROLES), each.id


def test_a_diagnosis_is_declared_in_its_family_and_nowhere_else() -> None:
    package = ROOT / "scripts" / "wandb_toolkit"
    homes = {inspect.getsourcefile(each.check) for each in DETECTORS.values()}
    spelled = re.compile("|".join(rf"[\"']{id_}[\"']" for id_ in sorted(set(DETECTORS) - STATES)))
    for path in package.rglob("*.py"):
        if str(path) not in homes:
            code = "\n".join(line.partition("#")[0] for line in path.read_text().splitlines())
            assert not spelled.search(code), f"{path}: {spelled.findall(code)}"


def test_a_consequence_is_folded_only_under_a_cause_as_severe() -> None:
    ugly = Finding("loss_divergence", "ugly", "diverged")
    bad = Finding("overfitting", "bad", "overfits")
    [first, second] = fold([bad, replace(ugly, id="plateau_early")])
    assert (first.severity, first.consequence_of, second.consequence_of) == ("ugly", None, None)
    [cause, effect] = fold([Finding("plateau_early", "bad", "stops"), ugly])
    assert (cause.id, effect.consequence_of) == ("loss_divergence", "loss_divergence")


def test_what_follows_may_be_told_from_either_side() -> None:
    assert "far_from_siblings" in DETECTORS["crashed"].explains + consequences_of("crashed")
    found = fold([Finding(id_, "bad", id_) for id_ in ("plateau_early", "far_from_siblings", "kl_too_low")])
    assert {f.id for f in found if f.consequence_of == "kl_too_low"} == {"plateau_early", "far_from_siblings"}


def test_a_consequence_of_a_consequence_is_led_to_its_root() -> None:
    found = fold([Finding(id_, "bad", id_) for id_ in ("plateau_early", "metric_frozen", "reward_std_collapse")])
    assert {f.id: f.consequence_of for f in found} == {
        "reward_std_collapse": None,
        "metric_frozen": "reward_std_collapse",
        "plateau_early": "reward_std_collapse",
    }


def test_every_detector_passes_fires_or_is_skipped_with_a_reason() -> None:
    examined = examine(view({"train/loss": falling(), "eval/loss": falling(n=20)}), strict=True)
    heard = [f.id for f in examined.findings] + [s.id for s in examined.skipped] + list(examined.passed)
    assert len(heard) == len(set(heard))
    assert set(heard) >= DIAGNOSES - {"worse_than_baseline"}, "nobody gave a baseline"
    assert all(each.reason for each in examined.skipped)
    assert not any(DETECTORS[id_].severity == "good" for id_ in examined.passed)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0],
        [1.0, 2.0],
        [1.0] * 50,
        [0.0] * 50,
        [-1.0] * 50,
        [0.0] * 49 + [1.0],
        [float("nan")] * 50,
        [float("inf"), -1.0] * 30,
        [1e300, -1e300] * 30,
        [1e-320] * 50,
    ],
)
def test_odd_series_of_every_role_fail_no_detector(values: list[float]) -> None:
    names = [
        "train/loss", "eval/loss", "train/reward", "eval/accuracy", "train/kl", "train/entropy", "train/clip_fraction",
        "train/grad_norm", "train/learning_rate", "train/num_tokens", "train/reward_std", "train/advantages_std",
        "train/completions/mean_length", "train/completions/clipped_ratio", "tokens_per_second", "_runtime",
    ]  # fmt: skip
    odd: dict[str, Any] = dict.fromkeys(names, values)
    for siblings in ((), (odd, odd), ({name: list(PART) for name in names},) * 2):
        examined = examine(view(odd, siblings, config={"max_completion_length": "long"}), strict=True)
        json.loads(jsontext.dumps([f.evidence for f in examined.findings]))


def test_a_run_without_metrics_passes_nothing_it_did_not_check() -> None:
    examined = examine(RunView(run(), History({}), {}), strict=True)
    assert examined.findings == ()
    assert {DETECTORS[id_].about for id_ in examined.passed} == {"state"}  # it ended well, that much is known


def test_one_step_and_uneven_steps() -> None:
    metrics = history({"train/loss": falling(), "train/grad_norm": 1 + noise(0.1)})
    uneven = {
        name: replace(series, x=np.cumsum(np.random.default_rng(1).integers(1, 90, N)).astype(float))
        for name, series in metrics.series.items()
    }
    for series in (uneven, {name: replace(s, x=s.x[:1], value=s.value[:1]) for name, s in uneven.items()}):
        of = History(series)
        found = examine(RunView(run(), of, assign_roles(of)), strict=True).findings
        assert all(finding.severity == "good" for finding in found)


def test_an_unexpected_failure_is_a_skip_and_lets_the_others_speak() -> None:
    def broken(_: RunView) -> Finding | None:
        raise ZeroDivisionError("oh")

    def fine(_: RunView) -> Finding | None:
        return Finding("fine", "bad", "fine")

    both = [Detector("broken", "", "ugly", (), broken, ""), Detector("fine", "", "bad", (), fine, "")]
    examined = examine(view({}), both)
    assert isinstance(examined, Examination)
    assert examined.skipped[0].reason == "the detector failed: ZeroDivisionError: oh"
    assert [finding.id for finding in examined.findings] == ["fine"]
    with pytest.raises(ZeroDivisionError):
        examine(view({}), both, strict=True)


def test_a_missing_role_is_named_in_the_skip() -> None:
    with pytest.raises(NotApplicable, match="no metric for the role kl"):
        DETECTORS["kl_spike"](view({"train/loss": falling()}))


def test_causes_lead_and_consequences_are_folded_under_them() -> None:
    ids = ["undertrained", "loss_spike", "loss_divergence", "crashed", "nan_or_inf", "kl_stable"]
    severities: dict[str, Any] = {"undertrained": "bad", "loss_spike": "bad", "kl_stable": "good"}
    folded = fold([Finding(id_, severities.get(id_, "ugly"), id_) for id_ in ids])
    assert folded[0].id == "nan_or_inf"
    causes = {finding.id: finding.consequence_of for finding in folded}
    assert causes == {
        "nan_or_inf": None, "loss_divergence": "nan_or_inf", "crashed": "nan_or_inf", "undertrained": "nan_or_inf",
        "loss_spike": "loss_divergence", "kl_stable": None,
    }  # fmt: skip


def test_a_real_chain_is_folded() -> None:
    loss = falling() + 3 * step(0.6)
    norm = np.exp(noise(0.1)) * (1 + 30 * step(0.6))
    examined = examine(view({"train/loss": loss, "train/grad_norm": norm}), strict=True)
    assert examined.findings[0].id == "loss_divergence"
    assert {f.consequence_of for f in examined.findings if f.id in ("grad_norm_explosion", "loss_spike")} == {
        "loss_divergence"
    }


def test_titles_and_advice_are_for_people() -> None:
    for finding in examine(view({"train/loss": falling() + 3 * step(0.6)}, state="crashed"), strict=True).findings:
        assert 10 < len(finding.title) < 300
        assert finding.title[0] != " "
        assert finding.advice


def test_long_histories_are_examined_whole() -> None:
    n = 100_000
    long = {
        "train/loss": falling(n=n), "eval/loss": falling(n=n), "train/grad_norm": np.exp(noise(0.2, n=n)),
        "train/reward": growing(n=n), "train/kl": 0.1 + 0.01 * np.abs(noise(1, n=n)),
        "train/entropy": growing(1, 0.6, n=n),
    }  # fmt: skip
    series = {name: replace(history({name: y})[name], x=np.arange(float(n)), value=y) for name, y in long.items()}
    examined = examine(RunView(run(), History(series), assign_roles(series)), strict=True)
    assert len(examined.passed) > 10
