"""Projects of labelled runs: siblings of one family, some healthy, some each in one trouble."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.diagnoses.definitions import Truth, judge
from benchmarks.diagnoses.families import FAMILIES, Family
from benchmarks.diagnoses.hard import HARD
from benchmarks.diagnoses.troubles import TROUBLES, applicable
from benchmarks.diagnoses.world import Setting, draw_setting, healthy

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft
    from numpy.random import Generator

HEALTHY_LEAST, HEALTHY_MOST = 0.4, 0.6  # of a project's runs
HARD_OFTEN = 0.8  # of the healthy runs look sick in some way
SHORT_OFTEN = 0.1  # of the projects log little
TRIES = 40
# How much likelier a trouble is that only few families can have, so that each comes up often enough to be measured.
RARE = {
    "reward_std_collapse": 8.0, "reward_hacking": 3.0, "length_explosion": 3.0, "kl_too_low": 3.0, "overfitting": 1.5,
    "clipfrac_high": 1.5, "kl_spike": 1.5, "kl_runaway": 1.5, "entropy_collapse": 1.5, "loss_spike": 1.5,
    "reward_collapse": 1.5,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class LabelledRun:
    """A run, and what is wrong with it."""

    id: str
    draft: Draft
    truth: Truth


@dataclass(frozen=True, eq=False)
class LabelledProject:
    """Sibling runs."""

    name: str
    family: Family
    runs: tuple[LabelledRun, ...]


def make_project(seed: int, families: tuple[Family, ...] = FAMILIES) -> LabelledProject:
    """Return the project of a seed; the same seed and families give the same project."""
    rng = np.random.default_rng([20, seed])
    family = families[int(rng.integers(len(families)))]
    setting = draw_setting(family, rng)
    if rng.random() < SHORT_OFTEN:
        setting = replace(setting, n=int(rng.integers(28, 60)))
    count = int(rng.integers(5, 9))
    sound = int(np.ceil(count * rng.uniform(HEALTHY_LEAST, HEALTHY_MOST)))
    drafts = [_sound(setting, rng) for _ in range(sound)]
    sick = [_sick(setting, rng, drafts) for _ in range(count - sound)]
    drafts += [one for one in sick if one]
    order = rng.permutation(len(drafts))
    drafts = [drafts[i] for i in order]
    runs = []
    for at, draft in enumerate(drafts):
        truth = judge(draft, [other for other in drafts if other is not draft])
        runs.append(LabelledRun(f"s{seed}r{at}", draft, truth))
    return LabelledProject(f"{family.name}-{seed}", family, tuple(runs))


def _sound(setting: Setting, rng: Generator) -> Draft:
    for _ in range(TRIES):
        draft = healthy(setting, rng)
        if rng.random() < HARD_OFTEN:
            fitting = [name for name, (_, needs) in HARD.items() if set(needs) <= set(draft.clean)]
            count = min(len(fitting), int(rng.integers(1, 4)))
            chosen = [str(name) for name in rng.choice(fitting, count, replace=False)]
            # What ends the run comes last: the others are placed along the whole of it.
            chosen.sort(key=lambda name: name in ("stopped_early", "still_going"))
            for name in chosen:
                HARD[name][0](draft)
            draft.hard = tuple(chosen)
        truth = judge(draft, [])
        if not truth.labels and not truth.unclear:
            return draft
    return replace(healthy(setting, rng), hard=())


def _sick(setting: Setting, rng: Generator, others: list[Draft]) -> Draft | None:
    probe = healthy(setting, rng)
    fitting = [trouble for trouble in TROUBLES if applicable(probe, trouble)]
    for _ in range(TRIES):
        # Those few families can have are not to be rare.
        weights = np.array([RARE.get(trouble, 1.0) for trouble in fitting])
        trouble = str(rng.choice(fitting, p=weights / weights.sum()))
        for _ in range(TRIES // 4):
            draft = healthy(setting, rng)
            draft.kind = trouble
            TROUBLES[trouble][0](draft)
            if trouble in judge(draft, others).labels:
                return draft
    return None
