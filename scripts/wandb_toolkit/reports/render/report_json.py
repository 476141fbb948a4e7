"""A report → the JSON object of the output contract; docs/schemas/wandb_report.schema.json describes it."""

from __future__ import annotations

from typing import Any

from wandb_toolkit.detectors.phrases import without_quotation
from wandb_toolkit.jsontext import jsonable
from wandb_toolkit.model import Experiment, Finding, Report, RunReport
from wandb_toolkit.reports.render.comparison import ranks_of


def report_object(report: Report) -> dict[str, Any]:
    """Return the report built of None, bool, int, float, str, list and dict only."""
    payload: dict[str, Any] = jsonable(
        {
            "verdict": report.verdict,
            "source": report.source,
            "target": report.target,
            "primary": report.primary,
            "roles": report.roles,
            "role_reasons": _reasons(report),
            "runs": [_run(one) for one in report.runs],
            "good": report.good,
            "bad": report.bad,
            "ugly": report.ugly,
            "notes": report.notes,
            "lens": report.lens,
            "comparison": _comparison(report),
            "next_experiments": [_experiment(one) for one in report.next_experiments],
            "errors": report.errors,
            "left_out": report.left_out,
            "by_summary": report.by_summary,
            "command": report.command,
            "metrics": report.metrics,
            "window": report.window,
            "generated_at": report.generated_at,
            "as_of": report.as_of,
            "changes": report.changes,
            "replay": report.replay,
            "forecast": report.forecast,
            "cost": report.spent,
            "tool_version": report.tool_version,
        }
    )
    return payload


def _reasons(report: Report) -> dict[str, str]:
    """Return role → why its metric took it, as the first run that uses that metric says."""
    found: dict[str, str] = {}
    for one in report.runs:
        for match in one.roles:
            if report.roles.get(match.role) == match.metric:
                found.setdefault(match.role, match.why)
    return {role: found[role] for role in report.roles if role in found}


def _run(one: RunReport) -> dict[str, Any]:
    run = one.run
    return {
        "id": run.id,
        "name": run.name,
        "entity": run.entity,
        "project": run.project,
        "state": run.state,
        "created_at": run.created_at,
        "last_activity": run.last_activity,
        "url": run.url,
        "steps": run.steps,
        "step_metric": one.step_metric,
        "primary": one.primary,
        "duration": run.duration,
        "verdict": one.verdict,
        "findings": [_finding(finding) for finding in one.findings],
        "skipped": one.skipped,
        "passed": one.passed,
        "unjudged": one.unjudged if one.verdict == "unknown" else "",
        "roles": {match.role: match.metric for match in one.roles},
        "sampled": {name: {"read": read, "logged": logged} for name, (read, logged) in one.sampled.items()},
        "warnings": run.warnings,
    }


def _experiment(one: Experiment) -> dict[str, Any]:
    why, quotation = without_quotation(one.why)
    return {**jsonable(one), "why": why, "quotation": quotation}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "severity": finding.severity,
        "title": finding.title,
        "metrics": finding.metrics,
        "step": finding.step,
        "log_step": finding.log_step,
        "evidence": finding.evidence,
        "advice": finding.advice,
        "consequence_of": finding.consequence_of,
        "leading_up": finding.leading_up,
        "figure": finding.figure,
    }


def _comparison(report: Report) -> dict[str, Any] | None:
    comparison = report.comparison
    if comparison is None:
        return None
    ranked = zip(ranks_of(comparison), comparison.runs, strict=True)
    lines = [{"rank": rank, **jsonable(line)} for rank, line in ranked]
    judged = len(report.runs)
    # Beside "best", so that --fields comparison.best,comparison.of cannot be taken for the best of all.
    return {**jsonable(comparison), "of": {"judged": judged, "matching": judged + report.left_out}, "runs": lines}
