"""Two reports on the same runs, one later → what has changed, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from wandb_toolkit.detectors.phrases import causes, label, told
from wandb_toolkit.model import Report, RunReport
from wandb_toolkit.text import number, quoted, sentence, short_names

GOING = ("running", "pending")
_WORST_FIRST = {"ugly": 0, "bad": 1, "note": 2, "good": 3}

Key: TypeAlias = tuple[str | None, str | None, str]


def still_going(report: Report) -> int:
    """Return how many of the runs have not ended."""
    return sum(one.run.state in GOING for one in report.runs)


def changes(before: Report, after: Report) -> list[str]:
    """Return what differs: runs that came or ended, verdicts, findings, and how far the running ones have come."""
    earlier = _by_key(before)
    names = {_key(one): name for one, name in zip(after.runs, short_names([r.run for r in after.runs]), strict=True)}
    values = _values(before), _values(after)
    lines = []
    for key, now in _by_key(after).items():
        # A log just begun does not yet say whose it is.
        who, then = quoted(names[key]), earlier.get(key) or earlier.get((None, None, key[2]))
        if then is None:
            lines.append(f"{who}: new, {now.run.state}, {now.verdict}")
            lines += _findings(who, None, now)
            continue
        if then.run.state != now.run.state:
            lines.append(f"{who}: {then.run.state}, now {now.run.state}")
        if then.verdict != now.verdict:
            lines.append(f"{who}: was {then.verdict}, now {now.verdict}")
        lines += _findings(who, then, now)
        lines += _progress(who, then, now, values[0].get(key), values[1].get(key), after)
    ids = {key[2] for key in names}
    gone = [
        quoted(one.run.name)
        for key, one in earlier.items()
        if key not in names and not (key[:2] == (None, None) and key[2] in ids)
    ]
    lines += [f"{who}: no longer among the runs" for who in gone]
    read = {error["run"] for error in before.errors}
    lines += [
        f"{quoted(error['name'])}: could not be read: {error['message']}"
        for error in after.errors
        if error["run"] not in read
    ]
    best = [(r.comparison.best, r.comparison.lead) if r.comparison else None for r in (before, after)]
    if len(after.runs) > 1 and best[0] and best[1] and best[0] != best[1] and after.comparison:
        lines.append(after.comparison.lead_text or f"best now: {quoted(after.comparison.best or '?')}")
    return lines


def _key(one: RunReport) -> Key:
    return one.run.entity, one.run.project, one.run.id


def _by_key(report: Report) -> dict[Key, RunReport]:
    return {_key(one): one for one in report.runs}


def _values(report: Report) -> Mapping[Key, float | None]:
    runs = report.comparison.runs if report.comparison else ()
    return {_key(report.runs[line.at]): line.value for line in runs}


def _findings(who: str, then: RunReport | None, now: RunReport) -> list[str]:
    had = {finding.id for finding in then.findings} if then else set()
    new = [f for f in causes(now) if f.id not in had and f.severity != "good"]
    new.sort(key=lambda finding: _WORST_FIRST[finding.severity])
    lines = [f"{who}: {finding.severity}: {sentence(told(finding, now))}" for finding in new]
    has = {finding.id for finding in now.findings}
    past = [f for f in (causes(then) if then else []) if f.id not in has and f.severity != "good"]
    return [*lines, *(f"{who}: no longer {finding.severity}: {label(finding.id)}" for finding in past)]


def _progress(
    who: str, then: RunReport, now: RunReport, was: float | None, value: float | None, report: Report
) -> list[str]:
    if then.run.steps == now.run.steps or now.run.steps is None:
        return []
    since = f"{then.run.steps:,}" if then.run.steps is not None else "none"
    text = f"{who}: step {since} → {now.run.steps:,}"
    if report.primary and value is not None:
        before = f"{number(was)} → " if was is not None else ""
        text += f", {quoted(report.primary.metric)} {before}{number(value)}"
    return [text]
