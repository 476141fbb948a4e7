"""Findings → their figures: which curves belong to each, and where in the run to look."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from wandb_toolkit.detectors.phrases import told
from wandb_toolkit.model import Finding, History, Report, RunReport, Series, Severity
from wandb_toolkit.plots.charts import STEP
from wandb_toolkit.plots.evidence import Evidence, evidence
from wandb_toolkit.reports.sentences import troubles
from wandb_toolkit.text import number, short_names

STRIPS = 2  # curves below the metric
# Where a finding has no metric (a run that crashed): the first of these shows what was going on.
_ROLES = ("loss", "reward", "eval_loss", "task")


def figures_of(report: Report, histories: Sequence[History]) -> Iterator[tuple[int, int, Evidence]]:
    """Yield the places of run and finding, and the figure, of each bad or ugly finding that has a curve to show."""
    names = short_names([one.run for one in report.runs])
    for at, one in enumerate(report.runs):
        for place, finding in enumerate(one.findings):
            if finding.severity in ("bad", "ugly"):
                figure = figure_of(finding, one, names[at], histories[at], report)
                if figure is not None:
                    yield at, place, figure


def beside_sentences(report: Report, histories: Sequence[History]) -> dict[str, Evidence]:
    """Return the figure of the finding that each sentence of Bad and Ugly tells of, where it has a curve to show."""
    names = short_names([one.run for one in report.runs])
    figures: dict[str, Evidence] = {}
    severities: tuple[Severity, ...] = ("ugly", "bad")
    for severity in severities:
        for trouble in troubles(report.runs, severity):
            at = trouble.at
            figure = figure_of(trouble.finding, report.runs[at], names[at], histories[at], report)
            if figure is not None:
                figures[trouble.sentence] = figure
    return figures


def figure_of(finding: Finding, run: RunReport, name: str, history: History, report: Report) -> Evidence | None:
    """Return the figure of a run's finding, None where there is no curve to show."""
    curves = _curves(finding, run, history, report)
    if not curves:
        return None
    axis = run.step_metric if curves[0].axis == STEP else curves[0].axis
    onset = float(finding.step) if finding.step is not None and curves[0].axis == STEP else None
    strips = [*curves[1:], *_before(finding, history, curves)][:STRIPS]
    events = [
        (float(moved.step), f"{moved.metric} {moved.what}")
        for moved in finding.leading_up
        if moved.what in ("epoch ended", "began")
    ]
    return evidence(
        told(finding, run).replace("`", ""),
        name,
        [curves[0], *strips],
        x_axis=axis,
        onset=onset,
        shown=finding.evidence,
        events=events,
    )


def _curves(finding: Finding, run: RunReport, history: History, report: Report) -> list[Series]:
    """Return the curves that the finding rests on, as the detector saw them, else as they were logged."""
    if finding.curves:
        # The history has the points that are not finite, too, and what else the metric is by.
        return [_as_logged(series, history) for series in finding.curves]
    logged = [history[metric] for metric in finding.metrics if metric in history and len(history[metric])]
    if logged:
        return logged[: 1 + STRIPS]
    roles = {match.role: match.metric for match in run.roles}
    wanted = [report.primary.metric] if report.primary else []
    wanted += [roles[role] for role in _ROLES if role in roles]
    wanted += [name for name, series in history.series.items() if series.axis == STEP and not name.startswith("_")]
    found = next((name for name in wanted if name in history and len(history[name])), None)
    return [history[found]] if found else []


def _as_logged(series: Series, history: History) -> Series:
    own = history.get(series.name)
    if own is None or not len(own):
        return series
    return own if len(own) >= len(series) else Series(series.name, series.x, series.value, own.axis)


def _before(finding: Finding, history: History, curves: Sequence[Series]) -> list[Series]:
    """Return the curves of what moved before the onset."""
    shown = {series.name for series in curves}
    names = dict.fromkeys(moved.metric for moved in finding.leading_up if moved.what not in ("epoch ended", "began"))
    axis = curves[0].axis
    return [history[name] for name in names if name in history and name not in shown and history[name].axis == axis]


def words_of(figure: Evidence) -> str:
    """Return what a figure shows besides its sentence, for readers who do not see it."""
    main = figure.panels[0]
    levels = ", ".join(f"{name} {number(level)}" for name, level in (*main.levels, *main.far))
    band = f"; shaded: {main.band_runs} other runs" if main.band is not None else ""
    return f"{main.metric}{f' against {levels}' if levels else ''}{band}"
