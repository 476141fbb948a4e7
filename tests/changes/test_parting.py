"""Where curves part: found near the place, in wild runs too, and not among runs of one process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from curves import history, noise, run
from wandb_toolkit.changes.parting import partings

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray, Parting

STEPS = 200


def course(seed: int, alike: float = 0.0) -> FloatArray:
    """Return a falling loss; `alike`: how much of a point's noise the next one keeps."""
    scatter = noise(0.03, seed, STEPS)
    for at in range(1, STEPS):
        scatter[at] += alike * scatter[at - 1]
    return np.asarray(0.5 + 1.5 * np.exp(-5 * np.arange(STEPS) / STEPS) + scatter)


def parting(mine: FloatArray, *good: FloatArray) -> Parting | None:
    others = [(run(name=f"good{at}"), history({"loss": one}, STEPS - 1)) for at, one in enumerate(good)]
    found = partings(run(name="bad"), history({"loss": mine}, STEPS - 1), others, ["loss"])
    return found[0] if found else None


@pytest.mark.parametrize("runs", [1, 3, 6])
def test_a_jump_is_dated(runs: int) -> None:
    for seed in range(10):
        mine = course(100 + seed)
        mine[STEPS // 2 :] += 0.5
        found = parting(mine, *(course(20 * seed + at) for at in range(runs)))
        assert found is not None
        assert abs(found.step - STEPS // 2) <= 0.06 * STEPS
        assert found.runs == runs


@pytest.mark.parametrize("runs", [1, 3])
def test_a_run_that_was_wild_and_settled_at_a_wrong_level_has_parted(runs: int) -> None:
    for seed in range(10):
        mine = course(100 + seed)
        wild = np.arange(20, 170)
        mine[wild] += 300 * np.sin(np.pi * (wild - 20) / 150) * (1 + noise(0.2, seed, 150))
        mine[20:] += 2
        found = parting(mine, *(course(20 * seed + at) for at in range(runs)))
        assert found is not None
        assert found.step <= 40


@pytest.mark.parametrize(("runs", "alike"), [(1, 0.0), (1, 0.9), (3, 0.0), (3, 0.9)])
def test_runs_of_one_process_do_not_part(runs: int, alike: float) -> None:
    parted = 0
    for seed in range(40):
        others = [course(1000 + 20 * seed + at, alike) for at in range(runs)]
        parted += parting(course(100 + seed, alike), *others) is not None
    assert parted <= 1
