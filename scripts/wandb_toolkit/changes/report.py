"""A report on runs and their baseline → the same with what changed between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wandb_toolkit.changes.compare import changes
from wandb_toolkit.changes.records import read_records
from wandb_toolkit.errors import NotFoundError, UsageError
from wandb_toolkit.model import Run, RunReport
from wandb_toolkit.reports.build import Built, ReportOptions, build_report
from wandb_toolkit.reports.judge import key_of
from wandb_toolkit.resolve import newest_first
from wandb_toolkit.sources.base import RunQuery, Source
from wandb_toolkit.text import number, quoted

LATEST_GOOD = "latest-good"
LOOKED_AT = 20  # newest runs that ended, among which the latest good one is looked for


def apart(
    source: Source, selectors: Sequence[str], runs: Sequence[Run], options: ReportOptions, *, newest: bool
) -> tuple[list[Run], list[Run]]:
    """Return the runs in question, and those that the selectors mean, `latest-good` among them.

    `newest`: nobody named the runs in question: it is the newest one.

    Raises:
        NotFoundError: a selector means no run, or none of the newest is good.
        UsageError: the baseline is all that there is.
    """
    named = [run for one in selectors if one != LATEST_GOOD for run in source.runs(RunQuery(selectors=(one,)))]
    known = {key_of(run): run for run in named}
    asked = newest_first([run for run in runs if key_of(run) not in known])
    asked = asked[:1] if newest else asked
    if not asked:
        raise UsageError("The baseline is the same as the runs to report on.", "Name others with --runs or --baseline.")
    if LATEST_GOOD in selectors:
        found = _latest_good(source, asked, options)
        known[key_of(found)] = found
    return asked, list(known.values())


def _latest_good(source: Source, runs: Sequence[Run], options: ReportOptions) -> Run:
    chosen = {key_of(run) for run in runs}
    ended = source.runs(RunQuery(states=frozenset({"finished"}), limit=LOOKED_AT + len(runs)))
    ended = [run for run in newest_first(ended) if key_of(run) not in chosen][:LOOKED_AT]
    if ended:
        for one in build_report(source, ended, replace(options, baseline=())).report.runs:
            if one.verdict == "good":
                return one.run
    raise NotFoundError(
        f"None of the newest {len(ended)} other runs that finished is good.",
        "Name the baseline by id, tag:x or group:x.",
    )


def with_changes(source: Source, built: Built, options: ReportOptions) -> Built:
    """Return the report with what changed between its runs and the baseline."""
    good_keys = {key_of(run) for run in options.baseline}
    known = [(one.run, one.history) for one in built.readings]
    good = [both for both in known if key_of(both[0]) in good_keys]
    bad = [both for both in known if key_of(both[0]) not in good_keys]
    if not bad or not good:
        return built
    records = read_records(source, [run for run, _ in (*bad, *good)])
    found = changes(bad, good, {one.run.id: one for one in records}, built.report.roles)
    worse = tuple(_results(built, [one for one in built.report.runs if key_of(one.run) not in good_keys], len(good)))
    return replace(built, report=replace(built.report, changes=replace(found, worse=worse)))


def _results(built: Built, reports: Sequence[RunReport], good: int) -> list[str]:
    """Say how results compare with the baseline's where no finding does, and why none could."""
    report = built.report
    if report.primary is None or report.comparison is None:
        return ["No metric to compare results by was recognised: name one with --primary"]
    finals = {line.at: line.value for line in report.comparison.runs}
    places = {id(one): at for at, one in enumerate(report.runs)}
    asked = {id(one) for one in reports}
    theirs = [
        value for at, one in enumerate(report.runs) if id(one) not in asked and (value := finals.get(at)) is not None
    ]
    said = []
    for one in reports[:5]:
        value = finals.get(places[id(one)])
        if value is None or not theirs:
            continue
        what = f"{quoted(report.primary.metric)} ends at {number(value)} in {quoted(one.run.name)}"
        beside = number(theirs[0]) if len(theirs) == 1 else f"{number(min(theirs))} to {number(max(theirs))}"
        text = f"{what}, at {beside} in the baseline"
        said.append(text if good > 1 else f"{text}; one good run does not tell how far seeds alone move it")
    return said
