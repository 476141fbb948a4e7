"""Runs → what is good, what holds them back, what broke, how they compare and what to try next.

Pure on top of a source: everything is computed here once, and the renderers only write it down.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, TypeAlias

from wandb_toolkit import __version__, roles
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.errors import NotFoundError, ToolkitError, did_you_mean
from wandb_toolkit.experiments.propose import propose
from wandb_toolkit.model import Primary, Report, Run, RunReport, SummaryRanking
from wandb_toolkit.reports import read
from wandb_toolkit.reports.doubt import without_doubtful
from wandb_toolkit.reports.judge import judge_all, key_of
from wandb_toolkit.reports.read import Reading
from wandb_toolkit.reports.rl_summary import look_through
from wandb_toolkit.reports.sentences import good_sentences, trouble_sentences
from wandb_toolkit.reports.window import Windowed
from wandb_toolkit.sources.base import Histories
from wandb_toolkit.sources.fanned import fanned
from wandb_toolkit.text import among
from wandb_toolkit.workers import Elsewhere

Verdict: TypeAlias = Literal["good", "bad", "ugly", "unknown"]

METRICS_NAMED = 100


def ignore_run(_: object) -> None:
    """Take note of nothing: progress that nobody shows."""


@dataclass(frozen=True)
class ReportOptions:
    """How runs are judged and what the report says of itself."""

    now: datetime  # the moment that the report is made for
    primary: str | None = None  # the metric to rank by; None: chosen by name
    overrides: Mapping[str, str] = field(default_factory=dict)  # role → metric
    patterns: roles.RolePatterns | None = None  # which metric plays which role; None: the built-in ones
    goal: float | None = None  # a level of the primary metric that runs are to reach
    model: bool = False  # fit a model of the settings, which takes a second or two
    target: str = ""  # what the user named; "": what the source says
    left_out: int = 0  # runs that match and are not read
    by_summary: SummaryRanking | None = None  # how all that match rank by their summaries
    command: str = ""  # the command line that makes the report
    window: int | None = None  # rows of each run that are looked at; None: all
    jobs: int = 1  # processes that may judge, where there is enough to do
    elsewhere: Elsewhere | None = None  # a cluster that does it instead
    baseline: tuple[Run, ...] = ()  # runs known to be good, read and judged too; the verdict is the others'
    as_of: bool = False  # whether `now` was given by the user


@dataclass(frozen=True)
class Built:
    """A report, and the series that it rests on, in the order of its runs."""

    report: Report
    readings: tuple[Reading, ...]


def build_report(
    source: Histories, runs: Sequence[Run], options: ReportOptions, on_run: Callable[[Run], object] = ignore_run
) -> Built:
    """Return the report on `runs`; `on_run` is called after each run read, to show progress.

    Raises:
        NotFoundError: no run has the primary metric, or the metric of an override.
        ToolkitError: none of the runs could be read.
    """
    import numpy as np

    with np.errstate(
        all="ignore"
    ):  # numbers at the end of floats' range: what overflows is compared, and found wanting
        return _build(source, runs, options, on_run)


def _build(source: Histories, runs: Sequence[Run], options: ReportOptions, on_run: Callable[[Run], object]) -> Built:
    primary, overrides, patterns, now = options.primary, options.overrides, options.patterns, options.now
    source = fanned(source, options.elsewhere)
    if options.window is not None:
        source = Windowed(source, options.window)
    known = {key_of(run) for run in runs}
    runs = [*runs, *(run for run in options.baseline if key_of(run) not in known)]
    readings, errors = read.read_runs(source, source.loaded(runs), overrides, primary, on_run, patterns=patterns)
    if errors and not readings:
        raise ToolkitError(f"None of the {len(errors)} runs could be read: {errors[0]['message']}")
    _check_names(readings, primary, overrides)
    chosen = roles.choose_primary([one.names for one in readings], primary, patterns)
    if chosen:
        readings = read.fill(source, readings, chosen.metric)
    own = [_own_primary(one, chosen, options) for one in readings]
    reports = judge_all(source, readings, own, now, options.jobs, options.baseline, options.elsewhere)
    reports = without_doubtful([replace(r, verdict=verdict_of(r)) for r in reports])
    good = {key_of(run) for run in options.baseline}
    series = [one.history.get(chosen.metric) if chosen else None for one in readings]
    histories = [one.history for one in readings]
    comparison = (
        compare(
            reports,
            series,
            chosen,
            histories=histories,
            target=options.goal,
            model=options.model,
            by_result=options.by_summary is not None,
        )
        if reports
        else None
    )
    common = _common_roles(readings)
    lens = look_through(reports, histories, common, comparison.best_at if comparison else None)
    report = Report(
        verdict=overall([r.verdict for r in reports if key_of(r.run) not in good] or [r.verdict for r in reports]),
        source=source.kind,
        target=options.target or source.description,
        primary=chosen,
        roles=common,
        runs=tuple(reports),
        good=good_sentences(reports, series, chosen, comparison, _among(options, reports)),
        bad=trouble_sentences(reports, "bad"),
        ugly=trouble_sentences(reports, "ugly"),
        notes=trouble_sentences(reports, "note"),
        comparison=comparison,
        next_experiments=propose(reports, comparison, chosen, series),
        errors=tuple(errors),
        generated_at=now,
        tool_version=__version__,
        lens=lens,
        left_out=options.left_out,
        by_summary=options.by_summary,
        command=options.command,
        metrics=_metrics(readings),
        window=options.window,
        as_of=options.as_of,
    )
    return Built(report, tuple(readings))


def _own_primary(reading: Reading, chosen: Primary | None, options: ReportOptions) -> Primary | None:
    """Return what a run is judged by: where it lacks the metric that runs are ranked by, the best of its own."""
    if options.primary is not None or chosen is None or chosen.metric in reading.names:
        return chosen
    return roles.choose_primary([reading.names], None, options.patterns)


def _check_names(readings: Sequence[Reading], primary: str | None, overrides: Mapping[str, str]) -> None:
    present = dict.fromkeys(name for one in readings for name in one.names)
    for asked, metric in {"primary": primary, **overrides}.items():
        if metric is not None and metric not in present:
            flag = asked.replace("_", "-")
            raise NotFoundError(
                f"None of the {len(readings)} runs logged {metric!r} (--{flag}) as a number."
                if len(readings) > 1
                else f"The run did not log {metric!r} (--{flag}) as a number.",
                did_you_mean(metric, present, "metric"),
            )


def _among(options: ReportOptions, reports: Sequence[RunReport]) -> str:
    """Return what the best run is the best of, where not all runs were read: "" where they were."""
    if not options.left_out:
        return ""
    return among(len(reports), options.left_out, ranked=options.by_summary is not None)


def verdict_of(report: RunReport) -> Verdict:
    """Return the verdict that the findings give.

    A run is good only where something shows that it learned: the mere absence of findings says nothing of that.
    """
    causes = {finding.severity for finding in report.findings if not finding.consequence_of}
    if "ugly" in causes:
        return "ugly"
    if "bad" in causes:
        return "bad"
    learned = any(f.severity == "good" and f.id in DETECTORS and DETECTORS[f.id].learning for f in report.findings)
    return "good" if learned else "unknown"


def overall(verdicts: Sequence[str]) -> Verdict:
    """Return the worst of the runs' verdicts; runs that could not be judged do not hide those that could."""
    for verdict in ("ugly", "bad", "good"):
        if verdict in verdicts:
            return verdict
    return "unknown"


def _metrics(readings: Sequence[Reading]) -> tuple[str, ...]:
    counts = Counter(name for one in readings for name in one.names)
    return tuple(name for name, _ in counts.most_common(METRICS_NAMED))


def _common_roles(readings: Sequence[Reading]) -> dict[str, str]:
    """Return role → the metric that most runs use for it."""
    votes: dict[str, Counter[str]] = {}
    for one in readings:
        for role, match in one.roles.items():
            votes.setdefault(role, Counter())[match.metric] += 1
    return {role: votes[role].most_common(1)[0][0] for role in roles.ROLES if role in votes}
