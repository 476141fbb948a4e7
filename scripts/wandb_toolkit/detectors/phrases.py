"""What findings are called inside sentences."""

from __future__ import annotations

import re

from wandb_toolkit.detectors.base import DETECTORS
from wandb_toolkit.detectors.findings import num
from wandb_toolkit.model import Finding, LeadUp, RunReport
from wandb_toolkit.text import quoted


def label(finding_id: str) -> str:
    """Return what a finding is called inside a sentence."""
    known = DETECTORS.get(finding_id)
    return known.label if known else finding_id.replace("_", " ")


def causes(report: RunReport) -> list[Finding]:
    """Return the findings of a run that no other finding explains."""
    return [finding for finding in report.findings if not finding.consequence_of]


_SPANS = re.compile(r"(`[^`]*`)")
_LOG_SAYS = re.compile(r"; its log says `([^`]*)`")


def told(finding: Finding, report: RunReport) -> str:
    """Return the finding's title with the run's metrics in it as code spans."""
    parts = _SPANS.split(finding.title)  # those at odd places are spans already: a log's own words
    metrics = {*finding.metrics, *(match.metric for match in report.roles)}
    for metric in sorted(metrics, key=len, reverse=True):
        span = quoted(metric).replace("\\", r"\\")  # a backslash is special in a replacement, too
        pattern = re.compile(rf"(?<![\w/.`-]){re.escape(metric)}(?![\w/`])")
        parts[::2] = [pattern.sub(span, part) for part in parts[::2]]
    return "".join(parts)


def without_quotation(text: str) -> tuple[str, str | None]:
    """Return a sentence on a crash without the log's own words, and these words; None where it quotes none.

    Strangers write logs: a program, or an agent, gets their words apart from what the toolkit says.
    """
    match = _LOG_SAYS.search(text)
    if match is None:
        return text, None
    return f"{text[: match.start()]}; its log names an error{text[match.end() :]}", match[1]


def before(finding: Finding) -> str:
    """Return what moved before a finding's onset, as a sentence; "" where nothing did."""
    moved = [_moved(one) for one in finding.leading_up]
    if not moved:
        return ""
    return f"Leading up to it: {'; '.join(moved)}."


def _moved(one: LeadUp) -> str:
    when = f"at step {one.step:,}" + (f", {one.lag:,} step{'' if one.lag == 1 else 's'} earlier" if one.lag else "")
    if one.what == "epoch ended":
        return f"an epoch ended {when}"
    if one.what == "began":
        return f"{quoted(one.metric)} began to be logged {when}"
    return f"{quoted(one.metric)} {one.what} from {num(one.before or 0.0)} to {num(one.after or 0.0)} {when}"
