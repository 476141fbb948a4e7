"""A learning rate that stepped before a fault → the run with the rate as it was before the step."""

from __future__ import annotations

from collections.abc import Iterator

from wandb_toolkit.detectors.findings import num
from wandb_toolkit.detectors.phrases import told
from wandb_toolkit.experiments.from_comparison import titled
from wandb_toolkit.model import Experiment, Finding, RunReport
from wandb_toolkit.text import quoted

LARGE = 2.0  # times: smaller steps of the rate are harmless


def steady_rate(finding: Finding, report: RunReport, goal: str, who: str, runs: int) -> Iterator[Experiment]:
    """Yield the run without the step that the learning rate took upward before this or another of its findings."""
    rates = {match.metric for match in report.roles if match.role == "lr"}
    steps = [
        one
        for each in (finding, *report.findings)
        for one in each.leading_up
        if one.metric in rates and one.before and one.after and one.after >= LARGE * one.before
    ]
    if not steps:
        return
    step = steps[0]
    before, after = num(step.before or 0.0), num(step.after or 0.0)
    change = f"{quoted(step.metric)} kept near {before} from step {step.step:,} on, where it rose to {after}"
    yield Experiment(
        title=titled(who, change, runs),
        why=told(finding, report),
        change=change,
        expect=f"{goal} continues past step {step.step:,} as it did before",
        refute="the fault comes back without the step of the rate: then look for what else changed there",
        finding=finding.id,
        runs=(report.run.id,),
    )
