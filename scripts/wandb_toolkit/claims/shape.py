"""What `check_claims` prints: its JSON object, and its text for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wandb_toolkit import __version__
from wandb_toolkit.claims.check import Checked
from wandb_toolkit.claims.claim import TITLES, VERDICTS, Judged
from wandb_toolkit.text import clean, plural

SHOWN = 40  # claims of a kind that the text shows


def checked_object(name: str, target: str, source: str, checked: Checked, written: int | None) -> dict[str, Any]:
    """Return the document of `check_claims --json`."""
    counts = checked.counts
    return {
        "file": name,
        "target": target,
        "source": source,
        "verdict": checked.verdict,
        "counts": {verdict: counts.get(verdict, 0) for verdict in VERDICTS},
        "claims": [claim_object(one) for one in checked.claims],
        "failed": [{"run": run.id, "name": run.name, "message": error.message} for run, error in checked.failed],
        "marks_written": written,
        "warnings": list(checked.warnings),
        "tool_version": __version__,
    }


def claim_object(one: Judged) -> dict[str, Any]:
    """Return an element of `claims`."""
    claim = one.claim
    return {
        "line": claim.line,
        "column": claim.column,
        "text": claim.number.text,
        "found_by": claim.how,
        "verdict": one.verdict,
        "reason": one.reason,
        "run": claim.run,
        "run_ids": [run.id for run in claim.runs],
        "metric": one.metric,
        "statistic": one.statistic,
        "claimed": claim.number.value if claim.number.text else None,
        "unit": claim.number.unit or None,
        "actual": one.actual,
        "spread": one.spread,
        "step": one.step,
        "step_metric": one.step_metric,
        "log_step": one.log_step,
        "seeds": one.seeds,
    }


def text_of(name: str, checked: Checked, written: int | None, *, full: bool = False) -> str:
    """Return the text: the wrong claims first, then what could not be decided, then what is confirmed."""
    counts = checked.counts
    parts = [f"{counts[verdict]} {TITLES[verdict]}" for verdict in VERDICTS if counts.get(verdict)]
    head = f"{clean(name)}: {plural(len(checked.claims), 'claim')}" + (f": {', '.join(parts)}" if parts else "")
    lines = [head]
    if not checked.claims:
        lines.append("No number stands beside a run's and a metric's name, and none is marked.")
    groups: list[tuple[str, Sequence[Judged]]] = [
        ("Wrong", [one for one in checked.claims if one.wrong]),
        ("Not decidable", [one for one in checked.claims if one.verdict == "not_decidable"]),
        ("Confirmed", [one for one in checked.claims if one.verdict == "confirmed"]),
    ]
    for title, members in groups:
        if members:
            shown = members if full else members[:SHOWN]
            lines += ["", f"{title}:", *map(_line, shown)]
            if len(members) > len(shown):
                lines.append(f"  {len(members) - len(shown)} more: --full shows them")
    if written is not None:
        lines += ["", f"{plural(written, 'mark')} written to {clean(name)}" if written else "No mark to write"]
    return "\n".join(lines)


def _line(one: Judged) -> str:
    claim = one.claim
    title = f"{TITLES[one.verdict]}: " if one.wrong else ""
    return f"  line {claim.line}: {clean(claim.number.text, 40) or '(no number)'}  {title}{clean(one.reason, 400)}"
