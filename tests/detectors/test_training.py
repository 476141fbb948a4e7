"""Detectors of any training: how it ended, non-finite values, losses, gradient, schedule, speed, the primary metric."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from curves import NOW, PART, N, falling, found, growing, noise, run, skipped, step, troubles, view
from wandb_toolkit.detectors import RunView
from wandb_toolkit.model import History


# ---------------------------------------------------------------------------------------------------------- crashed
def test_a_run_without_exit_record_crashed_at_its_last_step() -> None:
    log = ("Traceback (most recent call last):", "torch.OutOfMemoryError: CUDA out of memory. Tried", "wandb: synced")
    crash = found(view({"train/loss": falling()}, state="crashed", log_tail=log))["crashed"]
    assert crash.step == N - 1
    assert crash.severity == "ugly"
    assert "CUDA out of memory" in crash.title
    assert "batch size" in crash.advice
    assert "basis" in crash.evidence


@pytest.mark.parametrize("state", ["failed", "killed", "preempted"])
def test_other_bad_ends_are_crashes_too(state: Any) -> None:
    assert "crashed" in found(view({"train/loss": falling()}, state=state))


def test_an_exit_code_is_named_and_early_stopping_is_no_crash() -> None:
    crash = found(view({"loss": falling()}, state="failed", exit_code=137, log_tail=("RuntimeError: boom",)))["crashed"]
    assert "137" in crash.title
    assert crash.title.endswith("its log says `RuntimeError: boom`")
    assert "crashed" not in found(view({"loss": falling()[:40]}))
    assert "crashed" in skipped(view({"loss": falling()}, state="running"))


def test_a_logs_own_words_are_a_short_quotation_on_one_line() -> None:
    said = "ValueError: do `rm -rf ~` now,\x1b[31m and in\u202e loss too. " * 20
    crash = found(view({"loss": falling()}, state="failed", exit_code=1, log_tail=(said,)))["crashed"]
    quotation = crash.title.partition("its log says ")[2]
    assert quotation.startswith("`ValueError: do 'rm -rf ~' now, and in loss too.")
    assert quotation.endswith("…`")
    assert quotation.count("`") == 2
    assert len(quotation) < 170


def test_words_about_killing_in_a_log_are_no_error() -> None:
    crash = found(view({"loss": falling()}, state="killed", log_tail=("killed: 135 training prompts", "error rate 3%")))
    assert crash["crashed"].evidence["error"] is None


def test_a_run_that_logged_nothing_still_crashed() -> None:
    crash = found(RunView(run("failed", exit_code=1), History({}), {}))["crashed"]
    assert crash.step is None
    assert "before it logged anything" in crash.title


# ---------------------------------------------------------------------------------------------------------- stalled
def _silent(hours: float, **changes: Any) -> RunView:
    return view({"loss": falling()}, state="running", last_activity=NOW - timedelta(hours=hours), **changes)


def test_silence_far_beyond_the_interval_is_a_stall() -> None:
    assert found(_silent(3, duration=600.0, rows=300))["stalled"].step == N - 1
    assert "stalled" not in found(_silent(1, duration=600.0, rows=300))
    assert "stalled" not in found(_silent(3, duration=3600.0 * 50, rows=300))  # logs every ten minutes
    assert "not running" in skipped(view({"loss": falling()}))["stalled"]


# -------------------------------------------------------------------------------------------------------- nan_or_inf
def test_the_first_metric_to_go_is_named_with_its_step() -> None:
    loss, norm = falling(), noise(0.1) + 1
    loss[120:], norm[117:] = np.nan, np.inf
    finding = found(view({"train/loss": loss, "train/grad_norm": norm}))["nan_or_inf"]
    assert finding.step == 117
    assert finding.metrics == ("train/grad_norm", "train/loss")
    assert "infinite" in finding.title
    assert finding.severity == "ugly"


def test_a_loss_of_zero_beside_a_nan_gradient_is_nan() -> None:
    loss, norm = falling(), noise(0.1) + 1
    loss[150:], norm[150:] = 0.0, np.nan
    finding = found(view({"train/loss": loss, "train/grad_norm": norm}))["nan_or_inf"]
    assert finding.step == 150
    assert "train/loss" in finding.metrics


def test_a_rare_overflow_of_the_gradient_is_a_note_unless_the_loss_suffers() -> None:
    norm = noise(0.1) + 1
    norm[30] = np.inf
    noted = found(view({"train/loss": falling(), "train/grad_norm": norm}))
    assert noted["nan_or_inf"].severity == "note"
    assert "loss_decreased" in noted  # a note takes nothing back
    broken = found(view({"train/loss": falling() + 9 * step(0.12), "train/grad_norm": norm}))
    assert broken["nan_or_inf"].severity == "ugly"


def test_nan_before_the_first_update_or_episode_is_a_note() -> None:
    loss, reward = falling(), growing()
    loss[:20], reward[::7] = np.nan, np.nan
    finding = found(view({"td_loss": loss, "charts/episodic_return": reward, "losses/entropy": growing(1, 0.7)}))
    assert finding["nan_or_inf"].severity == "note"


def test_a_metric_of_unknown_name_that_goes_nan_is_said() -> None:
    own = growing()
    own[14:] = np.nan
    alone = found(view({"tot/train": own}))["nan_or_inf"]
    assert (alone.severity, alone.step, alone.metrics) == ("ugly", 14, ("tot/train",))
    for name, severity in (("tot/train", "note"), ("aux_loss/total", "bad")):  # beside a sound loss
        assert found(view({name: own, "train/loss": falling()}))["nan_or_inf"].severity == severity
    assert found(view({"f1_class_7": [np.nan] * 40, "train/loss": falling()}))["nan_or_inf"].severity == "note"


def test_absence_and_the_variance_of_first_iterations_are_no_nan() -> None:
    variance = growing()
    variance[:4] = np.nan  # Stable-Baselines3's first iterations
    healthy = view({"train/loss": falling(), "eval/loss": falling(n=10), "train/explained_variance": variance})
    assert "nan_or_inf" not in found(healthy)
    assert "nan_or_inf" in skipped(view({}))


def test_a_crash_after_nan_is_folded_under_it() -> None:
    loss = falling()
    loss[200:] = np.nan
    findings = found(view({"train/loss": loss}, state="crashed"))
    assert findings["crashed"].consequence_of == "nan_or_inf"
    assert next(iter(findings)) == "nan_or_inf"
    assert "loss_decreased" not in findings


# ---------------------------------------------------------------------------------------------------- loss_divergence
def test_divergence_and_its_onset() -> None:
    loss = falling() + 2.5 * np.clip((PART - 0.6) / 0.2, 0, 1)
    finding = found(view({"train/loss": loss}))["loss_divergence"]
    assert finding.step == pytest.approx(0.6 * N, abs=0.03 * N)
    assert finding.evidence["thresholds"]["share"] == 0.4
    assert 0 < len(finding.evidence["sparkline"]) <= 40


@pytest.mark.parametrize(
    "loss",
    [
        falling() + 1.5 * np.exp(-(((PART - 0.04) / 0.02) ** 2)),  # warm-up bump
        falling(start=0.5, end=-5),  # a negative log-likelihood
        2 + noise(0.1),  # flat from the start
        falling() + 0.3 * PART,  # a slight rise
        falling() + np.where(np.arange(N) == N - 1, 5.0, 0.0),  # one outlier, at the very end
    ],
)
def test_no_divergence(loss: Any) -> None:
    assert troubles(view({"train/loss": loss})) == set()


def test_a_policy_loss_is_not_judged_by_its_level() -> None:
    metrics = {"train/reward": growing(), "train/kl": growing(0.01, 0.1, 0.002), "train/loss": noise(0.02) + 0.1 * PART}
    assert "policy" in skipped(view(metrics))["loss_divergence"]
    wild = view({**metrics, "train/loss": noise(0.02) * np.exp(12 * np.clip(PART - 0.5, 0, 1) * 2)})
    assert found(wild)["loss_divergence"].step == pytest.approx(0.7 * N, abs=0.1 * N)
    assert skipped(view({"train/loss": falling()[:7]}))["loss_divergence"] == "only 7 points of train/loss, needs 8"
    assert skipped(view({"train/loss": falling()[:19]}))["loss_divergence"] == "only 19 points of train/loss, needs 20"
    assert skipped(view({}))["loss_divergence"] == "no metric for the role loss"


# --------------------------------------------------------------------------------------------------------- loss_spike
def test_a_spike_that_recovers_slowly_and_three_that_recover_fast() -> None:
    after = np.arange(N) - 150
    slow = falling() + 2 * np.where(after >= 0, np.exp(-np.maximum(after, 0) / 12), 0)
    assert found(view({"train/loss": slow}))["loss_spike"].step == 150
    fast = falling()
    for at in (90, 160, 230):
        fast[at : at + 2] += 1.5
    finding = found(view({"train/loss": fast}))["loss_spike"]
    assert finding.step == 90
    assert finding.evidence["count"] == 3


def test_one_brief_spike_and_heavy_tails_are_harmless() -> None:
    one = falling()
    one[150:152] += 3
    assert "loss_spike" not in found(view({"train/loss": one}))
    tails = falling(scale=0) + 0.03 * np.random.default_rng(3).standard_t(2.5, N)
    assert "loss_spike" not in found(view({"train/loss": tails}))


# -------------------------------------------------------------------------------------------------------- overfitting
def test_overfitting_from_the_minimum_of_the_eval_loss() -> None:
    part = np.linspace(0, 1, 30)
    held_out = falling(start=3, end=1.2, scale=0.005, n=30) + 0.8 * np.clip(part - 0.4, 0, 1)
    finding = found(view({"train/loss": falling(end=0.3), "eval/loss": held_out}))["overfitting"]
    assert finding.step == pytest.approx(0.45 * N, abs=0.08 * N)
    assert "checkpoint" in finding.advice


@pytest.mark.parametrize(
    "held_out",
    [
        falling(end=1.3, n=30),  # a stable gap
        falling(end=1.0, scale=0.005, n=30) + 0.03 * (np.linspace(0, 1, 30) > 0.95),  # a last-minute rise of 3%
        falling(end=1.0, scale=0.15, n=30),  # noise alone
    ],
)
def test_no_overfitting(held_out: Any) -> None:
    assert "overfitting" not in found(view({"train/loss": falling(), "eval/loss": held_out}))


def test_both_losses_rising_is_divergence_not_overfitting() -> None:
    rise = 2.5 * np.clip((PART - 0.5) / 0.3, 0, 1)
    both = found(view({"train/loss": falling() + rise, "eval/loss": (falling() + rise)[::10]}))
    assert "loss_divergence" in both
    assert "overfitting" not in both
    few: dict[str, Any] = {"train/loss": falling(), "eval/loss": [3.0]}
    assert skipped(view(few))["overfitting"] == "only 1 point of eval/loss, needs 2"


# ------------------------------------------------------------------------------------------------- grad_norm_explosion
def test_a_gradient_that_explodes_and_stays() -> None:
    norm = np.exp(noise(0.2)) * (1 + 40 * step(0.7))
    finding = found(view({"train/grad_norm": norm}))["grad_norm_explosion"]
    assert finding.step == pytest.approx(0.7 * N, abs=3)


def test_outliers_slow_doubling_and_the_first_steps_are_no_explosion() -> None:
    outliers = np.exp(noise(0.2))
    outliers[[50, 120, 200]] *= 50
    warming = np.exp(noise(0.1)) * (0.01 + np.clip(PART / 0.02, 0, 1))
    for norm in (outliers, np.exp(noise(0.2)) * (1 + PART), warming):
        assert "grad_norm_explosion" not in found(view({"train/grad_norm": norm}))
    assert "needs 20" in skipped(view({"train/grad_norm": [1.0] * 5}))["grad_norm_explosion"]


# ------------------------------------------------------------------------------------------------ lr_schedule_mismatch
_COSINE = {"trainer": {"lr_scheduler_type": "cosine"}}


def test_a_rate_that_is_zero_too_soon_and_one_that_never_decays() -> None:
    soon = 0.5 * (1 + np.cos(np.pi * np.clip(PART / 0.5, 0, 1)))
    finding = found(view({"lr": soon, "loss": falling()}))["lr_schedule_mismatch"]
    assert finding.step == pytest.approx(0.5 * N, abs=0.02 * N)
    never = np.minimum(PART / 0.1, 1) * 1e-4
    finding = found(view({"lr": never, "loss": falling()}, config=_COSINE))["lr_schedule_mismatch"]
    assert finding.step is None
    assert "cosine" in finding.title


def test_a_rate_that_does_as_configured() -> None:
    cosine = 0.5 * (1 + np.cos(np.pi * PART))
    early_stop = 0.5 * (1 + np.cos(np.pi * PART * 0.2))
    constant = np.full(N, 1e-4)
    assert "lr_schedule_mismatch" not in found(view({"lr": cosine}, config=_COSINE))
    assert "lr_schedule_mismatch" not in found(view({"lr": early_stop}, config=_COSINE))
    assert "lr_schedule_mismatch" not in found(view({"lr": constant}, config={"lr_scheduler_type": "constant"}))
    assert "lr_schedule_mismatch" not in found(view({"lr": constant}, config=_COSINE, state="crashed"))
    assert "never above zero" in skipped(view({"lr": np.zeros(N)}))["lr_schedule_mismatch"]


# ----------------------------------------------------------------------------------------------------- throughput_drop
def test_a_drop_of_speed_that_stays() -> None:
    speed = (1000 + noise(30)) * (1 - 0.6 * step(0.6))
    assert found(view({"tokens_per_second": speed}))["throughput_drop"].step == pytest.approx(0.6 * N, abs=0.03 * N)


def test_pauses_slow_starts_and_longer_responses_are_no_drop() -> None:
    pauses = 1000 + noise(30)
    pauses[::25] = 50
    slow_start = (1000 + noise(30)) * (0.3 + 0.7 * step(0.05))
    for speed in (pauses, slow_start):
        assert "throughput_drop" not in found(view({"tokens_per_second": speed}))
    longer: dict[str, Any] = {
        "train/steps_per_second": 10 / (1 + 1.5 * step(0.5)),
        "train/completions/mean_length": 100 * (1 + 1.5 * step(0.5)),
    }
    assert "throughput_drop" not in found(view(longer))
    assert "no 20 rows of training" in skipped(view({"loss": falling()}))["throughput_drop"]


def test_running_averages_and_row_times_show_the_momentary_speed() -> None:
    seconds = np.cumsum(1 + 1.5 * step(0.7))
    fps = np.arange(N) / seconds
    for metrics in ({"time/fps": fps}, {"loss": falling(), "_runtime": seconds}):
        assert found(view(metrics))["throughput_drop"].step == pytest.approx(0.7 * N, abs=0.03 * N)


def test_seconds_per_step_are_the_inverse_of_speed() -> None:
    assert "throughput_drop" in found(view({"perf/time_per_step": 1 + 2 * step(0.5) + noise(0.02)}))
    assert "throughput_drop" not in found(view({"perf/time_per_step": 3 - 2 * step(0.5) + noise(0.02)}))


# ----------------------------------------------------------------------------------------- plateau_early, undertrained
_SIBLINGS = tuple({"eval/accuracy": growing(0.1, 0.9, seed=i)} for i in range(4))


def test_an_early_plateau_below_the_siblings() -> None:
    flat = 0.1 + 0.3 * np.minimum(PART / 0.2, 1) + noise(0.02)
    finding = found(view({"eval/accuracy": flat}, _SIBLINGS))["plateau_early"]
    assert finding.step == pytest.approx(0.2 * N, abs=0.06 * N)
    assert found(view({"eval/accuracy": growing(0.1, 0.9)}, _SIBLINGS)).keys().isdisjoint({"plateau_early"})
    assert "siblings" in skipped(view({"eval/accuracy": flat}))["plateau_early"]


def test_a_lower_loss_is_better_in_a_plateau_too() -> None:
    siblings = tuple({"eval/loss": falling(seed=i)} for i in range(3))
    assert "plateau_early" in found(view({"eval/loss": falling(end=3)}, siblings))
    assert "plateau_early" not in found(view({"eval/loss": falling(end=0.1)}, siblings))


def test_undertrained_is_for_runs_that_finished() -> None:
    rising = {"eval/accuracy": 0.1 + 0.6 * PART + noise(0.01)}
    finding = found(view(rising))["undertrained"]
    assert finding.step is None
    assert finding.evidence["share_of_gain"] == pytest.approx(0.2, abs=0.03)
    assert "undertrained" not in found(view({"eval/accuracy": growing(0.1, 0.9)}))
    assert "undertrained" not in found(view({"eval/loss": falling()}))
    assert skipped(view(rising, state="running"))["undertrained"] == "the run is running, not finished"
    assert skipped(view({"n": PART}))["undertrained"] == "no primary metric"


# --------------------------------------------------------------------------------------------------------- what is good
def test_a_healthy_run_has_good_and_nothing_else() -> None:
    healthy = view({"train/loss": falling(), "eval/loss": falling(n=30, end=1.1), "train/grad_norm": 1 + noise(0.1)})
    good = found(healthy)
    assert {finding.severity for finding in good.values()} == {"good"}
    assert {"primary_improved", "loss_decreased", "eval_follows_train", "grad_norm_stable"} == set(good)
    assert "levelled off" in good["primary_improved"].title


def test_noise_is_no_improvement() -> None:
    assert found(view({"eval/accuracy": 0.5 + noise(0.05)})) == {}


def test_little_beside_the_siblings_is_no_praise() -> None:
    little = {"eval/accuracy": growing(0.1, 0.15, 0.002)}
    assert "primary_improved" in found(view(little))
    assert "primary_improved" not in found(view(little, _SIBLINGS))


def test_a_small_bump_that_comes_back_is_a_note() -> None:
    bump = np.where((np.arange(N) >= 150) & (np.arange(N) < 163), 0.1, 0.0)
    small = found(view({"train/loss": falling(4, 0.1, 0.001) + bump}))["loss_spike"]
    large = found(view({"train/loss": falling(4, 0.1, 0.001) + 10 * bump}))["loss_spike"]
    assert (small.severity, large.severity) == ("note", "bad")


def test_a_gain_that_is_lost_again_is_worse_than_the_best() -> None:
    accuracy = np.concatenate([growing(0.6, 0.95, 0.005)[:200], 0.7 + noise(0.005, n=100)])
    finding = found(view({"eval/accuracy": accuracy}))["primary_worse"]
    assert "of its gain" in finding.title
    assert "primary_worse" not in found(view({"eval/accuracy": growing(0.6, 0.95, 0.02)}))
    # A run that its user stopped has lost it, too.
    stopped = view({"eval/accuracy": accuracy}, state="failed", log_tail=("KeyboardInterrupt",))
    assert {"interrupted", "primary_worse"} <= set(found(stopped))


def test_each_broken_metric_is_said_by_what_it_is() -> None:
    loss, norm, grown = falling(), noise(0.1) + 1, falling(seed=3)
    loss[150:], norm[140:], grown[160:] = 0.0, np.nan, np.inf
    title = found(view({"train/loss": loss, "train/grad_norm": norm, "eval/loss": grown}))["nan_or_inf"].title
    assert "train/grad_norm is NaN from step 140" in title
    assert "train/loss is logged as 0.0 in place of NaN from step 150" in title
    assert "eval/loss is infinite from step 160" in title


def test_a_run_whose_loss_became_exactly_0_is_not_the_best_by_it() -> None:
    from wandb_toolkit.comparison.entry import marks_of
    from wandb_toolkit.model import RoleMatch, RunReport

    loss = np.where(PART > 0.4, 0.0, 0.69)
    made = found(view({"train/loss": loss, "train/grad_norm": loss}))["no_signal"]
    roles = (RoleMatch("loss", "train/loss", "by name"),)
    report = RunReport(run(), "bad", (made,), roles=roles)
    assert marks_of(report, None, "train/loss") == ("nothing to learn from",)
    assert marks_of(report, None, "eval/accuracy") == ()


def test_an_explosion_before_the_nan_is_not_its_consequence() -> None:
    norm = np.exp(noise(0.1)) * (1 + 200 * step(0.6))
    norm[int(0.8 * N) :] = np.nan
    findings = found(view({"train/loss": falling(), "train/grad_norm": norm}))
    assert findings["nan_or_inf"].step == int(0.8 * N)
    assert findings["grad_norm_explosion"].consequence_of is None
