"""What moved before a finding's onset: found where it is planted, silent where nothing moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pytest

from curves import PART, N, falling, found, growing, noise, step, view
from wandb_toolkit import stats
from wandb_toolkit.detectors.leading_up import with_leading_up
from wandb_toolkit.detectors.phrases import before
from wandb_toolkit.model import Finding, LeadUp

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray


def before_step(at: int, metrics: Mapping[str, FloatArray | list[float]], *own: str) -> tuple[LeadUp, ...]:
    """Return what leads up to a finding at a step."""
    return with_leading_up(view(metrics), Finding("loss_divergence", "ugly", "it broke", own, step=at)).leading_up


def healthy(seed: int) -> dict[str, FloatArray | list[float]]:
    """Return a run in which all moves as it should, with a cosine schedule and an evaluation now and then."""
    return {
        "train/loss": falling(seed=seed),
        "train/grad_norm": 1 + noise(0.15, seed + 1) + 0.3 * np.exp(-3 * PART),
        "train/learning_rate": 5e-4 * (1 + np.cos(np.pi * PART)),
        "train/entropy": 2 - PART + noise(0.05, seed + 2),
        "train/kl": 0.05 * PART + np.abs(noise(0.01, seed + 3)),
        "train/reward": growing(seed=seed + 4),
        "eval/accuracy": list(growing(seed=seed)[::10]),
    }


def test_where_nothing_moved_nothing_is_said() -> None:
    at = np.random.default_rng(0).integers(60, 290, 120)
    said = [before_step(int(step), healthy(seed)) for seed, step in enumerate(at)]
    assert sum(map(bool, said)) <= 6


@pytest.mark.parametrize("seed", range(12))
def test_a_stepped_rate_and_the_gradient_after_it_are_found_in_order(seed: int) -> None:
    rng = np.random.default_rng(seed)
    at, lag = int(rng.integers(120, 260)), int(rng.integers(6, 24))
    rate, norm = np.full(N, 1e-4), 1 + noise(0.15, seed)
    rate[at - lag :] = 4e-4
    norm[at - lag // 2 :] *= 6
    found = before_step(
        at, {"train/loss": falling(seed=seed), "train/learning_rate": rate, "train/grad_norm": norm}, "train/loss"
    )
    assert [(one.metric, one.what) for one in found] == [("train/grad_norm", "rose"), ("train/learning_rate", "rose")]
    assert (found[1].step, found[1].lag, found[1].before, found[1].after) == (at - lag, lag, 1e-4, 4e-4)
    assert abs(found[0].lag - lag // 2) <= 1


def test_a_metric_of_the_finding_itself_and_what_comes_later_are_not_told() -> None:
    norm = 1 + noise(0.15)
    norm[150:] *= 6
    metrics = {"train/loss": falling(), "train/grad_norm": norm}
    assert before_step(160, metrics, "train/grad_norm") == ()
    assert before_step(140, metrics, "train/loss") == ()
    assert before_step(290, metrics, "train/loss") == ()  # long before


def test_the_end_of_an_epoch_and_another_phase() -> None:
    epochs = {"train/loss": falling(), "train/epoch": np.arange(N) / 100}
    [found] = before_step(203, epochs, "train/loss")
    assert (found.what, found.step, found.lag) == ("epoch ended", 200, 3)
    short = {"train/loss": falling(), "train/epoch": np.arange(N) / 3}
    assert before_step(203, short, "train/loss") == ()
    finding = Finding("x", "bad", "it broke", ("train/loss",), step=203, leading_up=(found,))
    assert before(finding) == "Leading up to it: an epoch ended at step 200, 3 steps earlier."


def test_an_onset_is_placed_on_the_whole_curve() -> None:
    x = np.arange(10_000.0)
    beyond = x >= 4_321
    beyond[4_000] = True  # one point is no beginning
    assert stats.first_beyond(x, beyond, 3_900, 4_400) == 4_321
    assert stats.first_beyond(x, beyond, 0, 3_000) is None


def test_the_last_steps_of_a_schedule_that_goes_to_zero_lead_up_to_nothing() -> None:
    rate = 1e-3 * 0.5 * (1 + np.cos(np.pi * PART))
    loss = falling() + 4 * step(0.985)
    made = found(view({"train/loss": loss, "lr": rate}))
    assert not [moved for finding in made.values() for moved in finding.leading_up if moved.metric == "lr"]
