"""Findings and levels → the sentences of Good, Bad and Ugly; the same finding in several runs is one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from wandb_toolkit.comparison.levels import level_of
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.phrases import before, causes, label, told
from wandb_toolkit.model import Comparison, Finding, Primary, RunReport, Series, Severity
from wandb_toolkit.text import listed, number, plural, quoted, sentence, short_names

FEW_POINTS = 6  # below it, a level is said to rest on that many
PEAK_WORTH_NAMING = 0.15  # of the gain, between the best point and the final level
PEAK_WORTH_NAMING_OF_LEVEL = 0.25  # or of the best point itself: of a large gain 15% may be half the level


@dataclass(frozen=True)
class Trouble:
    """A sentence, and the finding that it tells of: of several runs' the first."""

    sentence: str
    at: int  # of the run
    finding: Finding


def trouble_sentences(reports: Sequence[RunReport], severity: Severity) -> tuple[str, ...]:
    """Return one sentence for each finding of this severity, the most widespread first, consequences folded in."""
    return tuple(one.sentence for one in troubles(reports, severity))


def troubles(reports: Sequence[RunReport], severity: Severity) -> list[Trouble]:
    """Return the sentences as `trouble_sentences` does, with the finding of each."""
    names = short_names([report.run for report in reports])
    places = {id(report): at for at, report in enumerate(reports)}
    groups: dict[tuple[str, str], list[tuple[str, RunReport, Finding]]] = {}
    for name, report in zip(names, reports, strict=True):
        for finding in causes(report):
            if finding.severity == severity:
                # Runs that ended by different errors have not the same thing in common.
                same = (finding.id, str(finding.evidence.get("error") or ""))
                groups.setdefault(same, []).append((name, report, finding))
    # What happened in training before what happened to the process.
    ordered = sorted(groups.values(), key=lambda group: (-len(group), not _of_training(group[0][2].id)))
    alone = len(reports) == 1
    return [Trouble(_trouble(group, alone=alone), places[id(group[0][1])], group[0][2]) for group in ordered]


def _trouble(group: Sequence[tuple[str, RunReport, Finding]], *, alone: bool) -> str:
    name, report, finding = group[0]
    title = told(finding, report)
    if len(group) == 1:
        text = sentence(title if alone else f"{quoted(name)}: {title}")
        explained = [label(f.id) for f in report.findings if f.consequence_of == finding.id]
        text = f"{text} Likely cause of {_and(explained)}." if explained else text
        return f"{text} {before(finding)}".rstrip()
    names = [one for one, _, _ in group]
    return sentence(f"{_title(finding.id)} in {len(group)} runs ({listed(names)}). {quoted(name)}: {title}")


def _and(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def good_sentences(
    reports: Sequence[RunReport],
    series: Sequence[Series | None],
    primary: Primary | None,
    comparison: Comparison | None,
    of: str = "",
) -> tuple[str, ...]:
    """Return what goes well: how far the best run has come, which runs are free of faults, what can be praised.

    `of`: what the best run is the best of, where not all runs were read.
    """
    said: list[str] = []
    if primary and comparison and comparison.best_at is not None:
        which = f"the best of {of}" if of else "the best run"
        said += _progress(reports, comparison.best_at, series[comparison.best_at], primary, which)
    if len(reports) == 1:
        told_already = primary.metric if said and primary else None
        return tuple(said + _praise(reports[0], told_already) + _healthy(reports))
    return tuple(said + (_healthy(reports) or _praise_of_many(reports)))


def _praise(report: RunReport, told_already: str | None) -> list[str]:
    """What detectors praise in a single run; not the progress of the metric whose progress is told already."""
    praised = [
        finding
        for finding in report.findings
        if finding.severity == "good" and not (DETECTORS[finding.id].learning and told_already in finding.metrics)
    ]
    return [sentence(told(finding, report)) for finding in praised]


def _praise_of_many(reports: Sequence[RunReport]) -> list[str]:
    """What detectors praise, the most widespread first, where no run is good as a whole."""
    names = short_names([report.run for report in reports])
    praised: dict[str, list[str]] = {}
    for name, report in zip(names, reports, strict=True):
        for finding in report.findings:
            if finding.severity == "good":
                praised.setdefault(finding.id, []).append(name)
    ordered = sorted(praised.items(), key=lambda item: -len(item[1]))
    return [f"{_title(finding_id)} in {listed(who)}." for finding_id, who in ordered]


def _of_training(finding_id: str) -> bool:
    known = DETECTORS.get(finding_id)
    return known is None or known.about == "training"


def _title(finding_id: str) -> str:
    known = DETECTORS.get(finding_id)
    return known.title if known else label(finding_id).capitalize()


def _progress(reports: Sequence[RunReport], at: int, one: Series | None, primary: Primary, which: str) -> list[str]:
    """Say how far the best run has come, if it has improved by more than its noise."""
    level = level_of(one, primary.direction)
    if one is None or level is None or level.best is None or len(one) < 2:
        return []
    broke = any(f.severity == "ugly" and primary.metric in f.metrics for f in reports[at].findings)
    if broke or (primary.direction == "min" and level.end == 0.0):
        return []  # a loss of exactly 0 was not computed
    if reports[at].verdict == "unknown" or any(_no_progress(finding) for finding in reports[at].findings):
        return []  # nothing shows that it learned: what its first and last points differ by is no progress
    gain = level.end - level.start if primary.direction == "max" else level.start - level.end
    if not gain > 2 * (0 if math.isnan(level.noise) else level.noise):
        return []
    if number(level.start) == number(level.end):
        return []
    verb = "rose" if primary.direction == "max" else "fell"
    text = f"{quoted(primary.metric)} {verb} from {number(level.start)} to {number(level.end)}"
    if len(reports) > 1:
        name = short_names([report.run for report in reports])[at]
        verdict = reports[at].verdict
        text += f" in {quoted(name)}, {which}" + (f" (judged {verdict})" if verdict in ("bad", "ugly") else "")
    if abs(level.best - level.start) > 2 * gain:
        return []  # most of it was lost again, which another sentence says
    if len(one) < FEW_POINTS:
        text += f" ({len(one)} points)"
    lost, noise = abs(level.best - level.end), 0 if math.isnan(level.noise) else level.noise
    part = min(PEAK_WORTH_NAMING * gain, PEAK_WORTH_NAMING_OF_LEVEL * abs(level.best))
    # Of many points one lies that far off by chance.
    extreme = max(2.0, math.sqrt(2 * math.log(max(len(one), 2))))
    if level.best_step is not None and lost > max(part, extreme * noise):
        text += f"; its best point is {number(level.best)} at step {level.best_step:,}"
    return [sentence(text)]


def _no_progress(finding: Finding) -> bool:
    """Return whether a finding says that what the primary metric gained is no gain."""
    if finding.severity not in ("bad", "ugly") or finding.id not in DETECTORS:
        return False
    praise = [DETECTORS[id_] for id_ in DETECTORS[finding.id].takes_back]
    return any(each.learning and not each.roles for each in praise)  # what is judged without a role is the primary


def _healthy(reports: Sequence[RunReport]) -> list[str]:
    """Say which runs have no fault, by how many checks, and what they all have to be praised for."""
    names = short_names([report.run for report in reports])
    well = [(name, report) for name, report in zip(names, reports, strict=True) if report.verdict == "good"]
    if not well:
        return []
    counts = sorted(len(report.passed) for _, report in well)
    checks = plural(counts[-1], "check") if counts[0] == counts[-1] else f"{counts[0]} to {counts[-1]} checks"
    if len(reports) == 1:
        return [f"{checks} found no fault."]
    who = f"All {len(reports)} runs" if len(well) == len(reports) else listed([name for name, _ in well])
    common = set.intersection(*({f.id for f in report.findings if f.severity == "good"} for _, report in well))
    praise = [_lower(_title(f.id)) for f in well[0][1].findings if f.id in common]
    verb = "is" if len(well) == 1 else "are"
    return [f"{who} {verb} healthy: {checks} found no fault{''.join(f'; {one}' for one in praise)}."]


def _lower(text: str) -> str:
    """Return a title as it stands inside a sentence: "The reward rose" → "the reward rose", "KL ..." as it is."""
    return text[:1].lower() + text[1:] if text[1:2].islower() or text[1:2] == " " else text
