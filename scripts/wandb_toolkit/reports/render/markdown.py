"""A report → Markdown that reads well raw in a terminal and rendered. Short first: `full` holds the rest."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

from wandb_toolkit.model import Experiment, Report
from wandb_toolkit.reports.render import sections
from wandb_toolkit.reports.render.comparison import MANY, ROWS, comparison_lines, config_differences
from wandb_toolkit.reports.render.escaping import escape
from wandb_toolkit.reports.render.forecast import forecast_lines
from wandb_toolkit.reports.render.spent import spent_lines, spent_table
from wandb_toolkit.text import clean, quoted, sentence, short_names

SUMMARY = 4  # of Good, Bad and Ugly each in the summary

# Where a line starts with one of these, Markdown takes it for a list, a heading or a quotation.
_BLOCK_START = re.compile(r"(?:[-+*>]|#{1,6}|\d+[.)]|=+|-+)(?:\s|$)")


def markdown(report: Report, width: int | None = None, *, full: bool = False, compare: bool = False) -> str:
    """Return the report; `width` wraps prose for a terminal (tables stay as wide as they are).

    `full` leaves nothing out; `compare` puts the comparison first, in full.
    """
    most = None if full else sections.SENTENCES
    judged = [
        _section("Good", sections.capped(report.good, most) or ["Nothing could be called good."]),
        _section("Bad", sections.capped(report.bad, most) or ["Nothing found."]),
        _section("Ugly", sections.capped(report.ugly, most) or ["Nothing found."]),
        _section("Notes", sections.capped(report.notes, most)),
        _section("Reinforcement learning", sections.lens(report, full=full)),
    ]
    compared = [
        _section("Runs read", sections.runs_read(report)),
        comparison_lines(report, width, full=full or compare, most=None if full else MANY if compare else ROWS),
        _section("Config differences", config_differences(report, full=full or compare)),
    ]
    verdict, _, rest = sections.headline(report).partition(" ")
    blocks = [
        [f"# W&B report: {escape(clean(report.target, 100))}", "", f"**{verdict}** {rest}"],
        _section("What changed", sections.changes(report, full=full)),
        *([*compared, *judged] if compare else [*judged, *compared]),
        _section("Where the running runs are heading", forecast_lines(report)),
        _cost(report, width, full=full),
        _section("When the runs could have been stopped", sections.replayed(report, full=full)),
        _experiments(report.next_experiments, full=full or len(report.next_experiments) < 4),
        _section("Not read", sections.errors(report, full=full)),
        _section("Checked and skipped", sections.checked(report, full=full)),
        _section("Metrics and their roles", sections.metrics(report)),
        _runs(report) if full else [],
        _section("Reproduce", sections.reproduce(report, full=full)),
    ]
    lines = [line for block in blocks if block for line in [*block, ""]]
    return "\n".join(_wrap(lines, width)).rstrip()


def summary(report: Report) -> list[str]:
    """Return the report in a few plain lines: the verdict, the worst, the best, and what to do first."""
    lines = [sections.headline(report)]
    for title, sentences in (("Ugly", report.ugly), ("Bad", report.bad), ("Good", report.good)):
        lines += [f"{title}: {sentence(text)}" for text in sentences[:SUMMARY]]
        left = len(sentences) - SUMMARY
        lines += [f"{title}: {left} more."] if left > 0 else []
    if report.comparison and report.comparison.lead_text:
        lines.append(f"Lead: {report.comparison.lead_text}")
    if report.next_experiments:
        lines.append(f"Next: {sentence(report.next_experiments[0].title)}")
    return [clean(line) for line in lines]


def _section(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {escape(item)}" for item in items]
    return [f"## {title}", *lines] if lines else []


def _cost(report: Report, width: int | None, *, full: bool) -> list[str]:
    lines, table = _section("Cost", spent_lines(report, full=full)), spent_table(report) if full else None
    return [*lines, "", *table.lines(width)] if table else lines


def _experiments(experiments: Sequence[Experiment], *, full: bool) -> list[str]:
    if not experiments:
        return []
    lines = ["## Next experiments"]
    for count, one in enumerate(experiments, 1):
        lines.append(f"{count}. **{escape(one.title)}**")
        why, expect = f"Why: {escape(sentence(one.why))}", f"Expect: {escape(sentence(one.expect))}"
        rest = f"{expect} Wrong if {escape(sentence(one.refute))}"
        lines += [f"   {why}", f"   {rest}"] if full else [f"   {why} {rest}"]
    return lines


def _runs(report: Report) -> list[str]:
    lines = ["## Each run"]
    for name, one in zip(short_names([r.run for r in report.runs]), report.runs, strict=True):
        lines += ["", f"### {escape(quoted(name))}: {one.verdict}, {one.run.state}"]
        lines += [f"- {escape(text)}" for text in sections.of_run(one)]
    return lines


def _wrap(lines: Iterable[str], width: int | None) -> list[str]:
    """Wrap prose for a terminal so that no continuation line starts a Markdown block; tables stay whole."""
    wrapped: list[str] = []
    for line in lines:
        if width is None or len(line) <= width or line.startswith(("|", "#")):
            wrapped.append(line)
            continue
        start = re.match(r"\s*(?:[-*] |\d+\. )?", line)
        hang = " " * len(start[0] if start else "")
        parts = textwrap.wrap(line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
        wrapped += _safe_starts(parts, hang)
    return wrapped


def _safe_starts(parts: list[str], hang: str) -> list[str]:
    """Move a word that would start a block back to the end of the line before it."""
    for at in range(1, len(parts)):
        while _BLOCK_START.match(parts[at].strip()):
            first, _, rest = parts[at].strip().partition(" ")
            parts[at - 1] += f" {first}"
            parts[at] = hang + rest
    return [part for part in parts if part.strip()]
