"""The registry of diagnoses, and the examination of one run by all of them.

A new detector is a function in one of the family modules (or a new module imported here), decorated with
`@detector(id, title, severity, roles)`; nothing else needs to know of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

# The order of import is the order of the registry, and of causes that are equally severe.
# isort: off
from wandb_toolkit.detectors import (
    state,
    nonfinite,
    signal,
    loss,
    generalisation,
    order,
    progress,
    unfinished,
    chance,
    siblings,
    baseline,
    kl,
    policy,
    reward,
    preference,
    gradient,
    length,
    schedule,
    throughput,
    frozen,
    system,
    strengths,
)

# isort: on
from wandb_toolkit.detectors.base import (
    DETECTORS,
    Curve,
    Detector,
    NotApplicable,
    NotAsked,
    RunView,
    Sibling,
    sibling_of,
)
from wandb_toolkit.detectors.folding import fold, without_contradictions
from wandb_toolkit.detectors.leading_up import with_leading_up
from wandb_toolkit.model import Finding, Skipped

__all__ = [
    "DETECTORS", "Curve", "Detector", "Examination", "NotApplicable", "RunView", "Sibling", "examine", "sibling_of",
]  # fmt: skip

_FAMILIES = (
    state, nonfinite, signal, loss, generalisation, order, progress, unfinished, chance, siblings, baseline, kl, policy,
    reward, preference, gradient, length, schedule, throughput, frozen, system, strengths,
)  # fmt: skip


@dataclass(frozen=True)
class Examination:
    """What the detectors say of one run."""

    findings: tuple[Finding, ...]  # ugly, bad, good; consequences behind their causes
    skipped: tuple[Skipped, ...]
    passed: tuple[str, ...]  # looked and found nothing wrong


def examine(view: RunView, detectors: Iterable[Detector] | None = None, *, strict: bool = False) -> Examination:
    """Return what every detector says of the run.

    A detector that fails unexpectedly is skipped with the failure as its reason; `strict` (tests) lets it through.
    """
    found: list[Finding] = []
    skipped: list[Skipped] = []
    passed: list[str] = []
    for each in DETECTORS.values() if detectors is None else detectors:
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                # What overflows, is NaN or has no points is compared, and found wanting.
                warnings.simplefilter("ignore", RuntimeWarning)
                result = each(view)
        except NotAsked:
            continue
        except NotApplicable as reason:
            skipped.append(Skipped(each.id, str(reason)))
        except Exception as error:
            if strict:
                raise
            skipped.append(Skipped(each.id, f"the detector failed: {type(error).__name__}: {error}"))
        else:
            if result is not None:
                found.append(result)
            elif each.severity != "good":
                passed.append(each.id)
    with np.errstate(all="ignore"):
        findings = tuple(with_leading_up(view, one) for one in fold(without_contradictions(found)))
    return Examination(findings, tuple(skipped), tuple(passed))
