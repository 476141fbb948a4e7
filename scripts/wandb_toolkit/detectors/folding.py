"""Which findings follow from others, so that a report leads with the cause. What explains what, detectors declare."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wandb_toolkit.detectors.base import DETECTORS, Detector
from wandb_toolkit.model import Finding

_ORDER = {"ugly": 0, "bad": 1, "note": 2, "good": 4}


def without_contradictions(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings without praise that another finding takes back: of the same metric, or by declaration."""
    faulty = {metric for finding in findings if finding.severity in ("ugly", "bad") for metric in finding.metrics}
    spoilt = {
        good
        for finding in findings
        if (known := _known(finding)) and finding.severity != "note"
        for good in known.takes_back
    }
    return [f for f in findings if f.severity != "good" or (f.id not in spoilt and not faulty.intersection(f.metrics))]


def fold(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings with `consequence_of` set: causes by severity, then consequences, then what is good.

    A finding is folded only under a cause at least as severe: nothing ugly hides behind what is merely bad. Of several
    causes it is the most severe, then the first in the registry that is no consequence itself.
    """
    rank = {id_: at for at, id_ in enumerate(DETECTORS)}
    causes = sorted(findings, key=lambda finding: (_ORDER[finding.severity], rank.get(finding.id, len(rank))))
    cause_of: dict[str, str] = {}
    for effect in findings:
        explaining = [
            cause.id
            for cause in causes
            if effect.id in consequences_of(cause.id)
            if _ORDER[cause.severity] <= _ORDER[effect.severity] and not _came_before(effect, cause)
        ]
        roots = [id_ for id_ in explaining if not any(id_ in consequences_of(other) for other in explaining)]
        if explaining:
            cause_of[effect.id] = (roots or explaining)[0]
    marked = [replace(finding, consequence_of=cause_of.get(finding.id)) for finding in findings]
    return tuple(sorted(marked, key=_place))


def _came_before(effect: Finding, cause: Finding) -> bool:
    """Return whether what is declared to explain only what came after it came after the effect."""
    known = _known(cause)
    if known is None or effect.id not in known.if_first:
        return False
    return effect.step is not None and cause.step is not None and effect.step < cause.step


def _known(finding: Finding) -> Detector | None:
    return DETECTORS.get(finding.id)


def consequences_of(cause: str) -> tuple[str, ...]:
    """Return the ids of the diagnoses that follow from one, whichever side declares it."""
    own = DETECTORS[cause].explains if cause in DETECTORS else ()
    return (*own, *(id_ for id_, each in DETECTORS.items() if cause in each.follows and id_ not in own))


def _place(finding: Finding) -> float:
    return _ORDER[finding.severity] + (1.5 if finding.consequence_of else 0)
