"""Which figures belong to a report, and which runs to each: enough to see what the sentences say, never all of 500."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from wandb_toolkit.detectors.phrases import causes
from wandb_toolkit.model import History, Report, Run
from wandb_toolkit.plots.charts import STEP, Chart, build_chart
from wandb_toolkit.plots.labels import run_labels
from wandb_toolkit.plots.smoothing import Smoothing
from wandb_toolkit.reports.machine_charts import machine_charts

FIGURES = 10
RUNS = 12  # of a figure: as many as can be told apart
FEW_POINTS = 100  # of a curve: drawn as they are
FAULTY = 6  # runs with the fault, beside the best ones
ROLES = ("reward", "kl", "entropy", "loss", "eval_loss", "grad_norm")  # worth a figure without a finding, too


def charts_of(report: Report, histories: Sequence[History]) -> list[Chart]:
    """Return the figures: the primary metric, those that findings are about, the common roles, then the machine."""
    runs = [one.run for one in report.runs]
    ranked = _ranked(report)
    labels = run_labels(runs)
    faulty: dict[str, list[int]] = {}
    for at, one in enumerate(report.runs):
        for finding in causes(one):
            if finding.severity != "good":
                for metric in finding.metrics:
                    faulty.setdefault(metric, []).append(at)
    counts = Counter({metric: len(set(where)) for metric, where in faulty.items()})
    wanted = [report.primary.metric] if report.primary else []
    wanted += [metric for metric, _ in counts.most_common()]
    wanted += [report.roles[role] for role in ROLES if role in report.roles]
    charts = []
    for metric in dict.fromkeys(wanted):
        there = [at for at in ranked if metric in histories[at] and len(histories[at][metric])]
        main = report.primary is not None and metric == report.primary.metric
        chosen = _chosen(there, [] if main else list(dict.fromkeys(faulty.get(metric, []))))
        if chosen:
            made = _chart(metric, runs, chosen, len(there), histories, labels)
            counted = {report.runs[at].step_metric for at in chosen}
            charts.append(replace(made, x_axis=counted.pop()) if len(counted) == 1 else made)
        if len(charts) == FIGURES:
            break
    told = [chart for chart in charts if not chart.metric.startswith("system.")]
    order = [at for at in ranked if at < len(histories)]
    machine = machine_charts([runs[at] for at in order], [histories[at] for at in order], [labels[at] for at in order])
    return [*told, *machine]


def _smoothing(points: int) -> Smoothing:
    """Return a light and centred one, so that nothing seems to come later than it did; none for few points."""
    return Smoothing("none") if points < FEW_POINTS else Smoothing("gaussian", sigma=max(2.0, points / 100))


def _ranked(report: Report) -> list[int]:
    """The places of the runs, the best first."""
    return [line.at for line in report.comparison.runs] if report.comparison else list(range(len(report.runs)))


def _chosen(there: Sequence[int], faulty: Sequence[int]) -> list[int]:
    """Return up to 12 of the runs: those with the fault, then the best ones; without a fault, the worst ones, too."""
    if len(there) <= RUNS:
        return list(there)
    sick = [at for at in there if at in faulty][:FAULTY]
    best = [at for at in there if at not in faulty]
    if sick:
        return [*best[: RUNS - len(sick)], *sick]
    return [*best[: RUNS - 2], *best[-2:]]


def _chart(
    metric: str, runs: Sequence[Run], chosen: Sequence[int], there: int, histories: Sequence[History], labels: list[str]
) -> Chart:
    shown = [runs[at] for at in chosen]
    points = sorted(len(histories[at][metric]) for at in chosen)
    # Against the step in any case: the metric that a run defined for its x axis was not read.
    made = build_chart(
        metric,
        shown,
        dict(enumerate(histories[at] for at in chosen)),
        _smoothing(points[len(points) // 2]),
        STEP,
        labels=[labels[at] for at in chosen],
    )
    left = f"{len(chosen)} of {there} runs: the best, and those that the report is about"
    return replace(made, notes=(*made.notes, left)) if len(chosen) < there else made
