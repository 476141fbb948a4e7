"""A report → one page that needs nothing else: figures as data, no script, no request, light and dark.

Every text passes `prose` or `attribute`; the policy in the page's head forbids whatever might have slipped through.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from wandb_toolkit.model import Report, RunReport
from wandb_toolkit.reports.render import comparison, sections
from wandb_toolkit.reports.render.escaping import SPAN
from wandb_toolkit.reports.render.forecast import forecast_lines
from wandb_toolkit.reports.render.spent import spent_lines, spent_table
from wandb_toolkit.text import clean, number, plural, quoted, sentence, short_names

if TYPE_CHECKING:
    from wandb_toolkit.plots.charts import Chart
    from wandb_toolkit.plots.evidence import Evidence
    from wandb_toolkit.plots.figures.painter import Painter
    from wandb_toolkit.plots.figures.view import Theme

_HERE = Path(__file__).parent
_SPARK = re.compile(r"[▁▂▃▄▅▆▇█·]{4,}")
_SIZE = (960, 640, 150)  # pixels and dots per inch of a picture
_WIDE, _SMALL = (960, 330), (330, 210)  # of the figures that are lines
FINDINGS = 3  # with their figures on the first screen
RUNS = 60  # that have a part of their own
_VERDICTS = ("good", "bad", "ugly", "unknown")


def page(
    report: Report, charts: Sequence[Chart], evidence: Mapping[str, Evidence] | None = None, *, compare: bool = False
) -> str:
    """Return the whole page.

    Args:
        report: what it says.
        charts: its figures, that of the primary metric first.
        evidence: sentence of Bad or Ugly → the figure of its finding.
        compare: put the comparison before what is good, bad and ugly.
    """
    judged = [
        *_troubles(report, evidence or {}),
        _figures(
            "figure",
            "The primary metric" if report.primary else "Figure",
            [one for one in charts[:1] if not _of_machine(one)],
            _finals(report),
        ),
        _listed("good", "Good", sections.capped(report.good, None) or ["Nothing could be called good."]),
    ]
    compared = [
        _folded(_listed("read", "Runs read", sections.runs_read(report))),
        _comparison(report),
        _folded(_listed("config", "Config differences", comparison.config_differences(report, full=True))),
    ]
    parts = [
        _listed("changed", "What changed", sections.changes(report, full=True)),
        *([*compared, *judged] if compare else [*judged, *compared]),
        _listed("forecast", "Where the running runs are heading", forecast_lines(report)),
        _replayed(report),
        _next(report),
        _folded(_listed("notes", "Notes", sections.capped(report.notes, None))),
        _folded(_listed("rl", "Reinforcement learning", sections.lens(report, full=True))),
        _folded(_figures("figures", "More figures", [one for one in charts[1:] if not _of_machine(one)])),
        _machine(report, [one for one in charts if _of_machine(one)]),
        _folded(_listed("not-read", "Not read", sections.errors(report, full=True))),
        _folded(_listed("checked", "Checked and skipped", sections.checked(report, full=True))),
        _folded(_listed("metrics", "Metrics and their roles", sections.metrics(report))),
        _folded(_runs(report)),
        _folded(_listed("reproduce", "Reproduce", sections.reproduce(report, full=True))),
    ]
    kept = [part for part in parts if part]
    nav = "".join(f'<li><a href="#{key}">{title}</a></li>' for key, title, _ in kept)
    style = (_HERE / "html_style.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    verdict, _, rest = sections.headline(report).partition(" · ")
    return Template((_HERE / "html_template.html").read_text(encoding="utf-8")).substitute(
        style=style,
        style_hash=f"sha256-{digest}",
        generator=attribute(f"wandb-toolkit {report.tool_version}"),
        title=attribute(f"{verdict}: W&B report on {clean(report.target, 100)}"),
        heading=f"W&amp;B report: {attribute(clean(report.target, 100))}",
        verdict=report.verdict,
        verdict_word=attribute(verdict),
        headline=prose(rest),
        nav=nav,
        sections="\n".join(body for _, _, body in kept),
        footer=f"wandb-toolkit {attribute(report.tool_version)}. This page makes no request and runs no script.",
    )


Part = tuple[str, str, str]  # id, title, HTML


def attribute(text: object) -> str:
    """Return a stranger's text as plain text or the value of an attribute."""
    return html.escape(clean(text), quote=True)


def prose(text: str) -> str:
    """Return a describe: code spans as `<code>`, sparklines hidden from screen readers, all else plain."""
    parts = SPAN.split(clean(text))
    return "".join(_span(part[1:-1]) if at % 2 else html.escape(part, quote=True) for at, part in enumerate(parts))


def _span(text: str) -> str:
    if _SPARK.fullmatch(text):
        return f'<span class="spark" aria-hidden="true">{text}</span>'
    return f"<code>{html.escape(text, quote=True)}</code>"


def _section(key: str, title: str, body: str) -> Part:
    kind = f' class="{key}"' if key in _VERDICTS else ""
    head = f'<section id="{key}"{kind} aria-labelledby="{key}-h"><h2 id="{key}-h">{title}</h2>'
    return key, title, f"{head}\n{body}</section>"


def _folded(part: Part | None) -> Part | None:
    """Return the section with all but its title folded away."""
    if part is None:
        return None
    key, title, body = part
    head, _, rest = body.partition("</h2>")
    start, _, heading = head.partition("<h2")
    inner = rest.removesuffix("</section>")
    return key, title, f"{start}<details><summary><h2{heading}</h2></summary>{inner}</details></section>"


def _items(texts: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{prose(text)}</li>' for text in texts)}</ul>"


def _listed(key: str, title: str, texts: Sequence[str]) -> Part | None:
    return _section(key, title, _items(texts)) if texts else None


def _badge(verdict: str) -> str:
    return f'<span class="badge {verdict if verdict in _VERDICTS else "unknown"}">{attribute(verdict)}</span>'


def _comparison(report: Report) -> Part | None:
    found = report.comparison
    if found is None or len(found.runs) < 2:
        return None
    ranked = comparison.ranking(found, report.primary, full=True)
    body = [_table(ranked, "The runs, the best first", verdicts=ranked.heads.index("verdict"))]
    body += [f"<p>{prose(found.note)}</p>"] if found.note else []
    over = comparison.across(found.across)
    if over and found.across:
        body += [_table(over, comparison.ACROSS), _items([found.across.note, comparison.scales(found.across)])]
    remarks = comparison.remarks(found, report.primary, full=True)
    body += [_items(remarks)] if remarks else []
    for title, table in (
        ("Configurations", comparison.configurations(found)),
        ("At the same cost, and up to the target", comparison.costs(found)),
        ("Settings that correlate with the result (correlation, not proof)", comparison.settings(found.signals)),
    ):
        body += [_table(table, title)] if table else []
    return _section("comparison", "Comparison", "\n".join(body))


def _table(table: comparison.Table, caption: str, verdicts: int | None = None) -> str:
    """Return a table that scrolls by itself and that the keyboard reaches; `verdicts` is their column."""
    heads = "".join(
        f'<th scope="col"{_number(at, table)}>{prose(text) or "#"}</th>' for at, text in enumerate(table.heads)
    )
    rows = []
    for row in table.rows:
        cells = []
        for at, text in enumerate(row):
            inner = _badge(text) if at == verdicts else prose(text)
            name = "`" in text and not any("`" in earlier for earlier in row[:at])
            tag, scope = ("th", ' scope="row"') if name else ("td", "")
            cells.append(f"<{tag}{scope}{_number(at, table)}>{inner}</{tag}>")
        best = ' class="best"' if row and row[0].endswith(" best") else ""
        rows.append(f"<tr{best}>{''.join(cells)}</tr>")
    return (
        f'<div class="scroll" role="region" aria-label="{attribute(caption)}" tabindex="0"><table>'
        f"<caption>{attribute(caption)}</caption><thead><tr>{heads}</tr></thead>\n"
        f"<tbody>{chr(10).join(rows)}</tbody></table></div>"
    )


def _number(at: int, table: comparison.Table) -> str:
    return ' class="number"' if at in table.right else ""


def _replayed(report: Report) -> Part | None:
    from wandb_toolkit.plots.stops import stops_of
    from wandb_toolkit.plots.svg_stops import stops_svg

    if report.replay is None:
        return None
    figure = stops_of(report.replay)
    drawn = f"<figure>{stops_svg(figure)}</figure>" if figure is not None else ""
    return _section(
        "replay", "When the runs could have been stopped", drawn + _items(sections.replayed(report, full=True))
    )


def _next(report: Report) -> Part | None:
    if not report.next_experiments:
        return None
    items = [
        f"<li><p><strong>{prose(one.title)}</strong></p><p>Why: {prose(sentence(one.why))}</p>"
        f"<p>Expect: {prose(sentence(one.expect))} Wrong if {prose(sentence(one.refute))}</p></li>"
        for one in report.next_experiments
    ]
    return _section("next", "Next experiments", f'<ol class="next">{"".join(items)}</ol>')


def _troubles(report: Report, evidence: Mapping[str, Evidence]) -> list[Part]:
    """Return Ugly and Bad, the first findings with their figures, those behind them folded."""
    left = FINDINGS
    parts = []
    for key, title, found in (("ugly", "Ugly", report.ugly), ("bad", "Bad", report.bad)):
        shown, folded = found[:left], found[left:]
        left -= len(shown)
        body = f'<ul class="findings">{"".join(_finding(text, evidence) for text in shown)}</ul>' if shown else ""
        if folded:
            inner = f'<ul class="findings">{"".join(_finding(text, evidence) for text in folded)}</ul>'
            more = plural(len(folded), "more finding" if shown else "finding")
            body += f"<details><summary>{more}</summary>{inner}</details>"
        if body:
            parts.append(_section(key, title, body))
    return parts or [_section("bad", "Bad and ugly", _items(["Nothing found."]))]


def _finding(text: str, evidence: Mapping[str, Evidence]) -> str:
    from wandb_toolkit.plots.svg import evidence_svg

    figure = evidence.get(text)
    drawn = f"<figure>{evidence_svg(figure)}</figure>" if figure is not None else ""
    return f"<li><p>{prose(sentence(text))}</p>{drawn}</li>"


def _finals(report: Report) -> dict[int, float | None]:
    """Return what the table says of each run, by the run's identity."""
    lines = report.comparison.runs if report.comparison else ()
    return {id(report.runs[line.at].run): line.value for line in lines}


def _figures(
    key: str, title: str, charts: Sequence[Chart], finals: Mapping[int, float | None] | None = None
) -> Part | None:
    if not charts:
        return None
    body = "".join(_figure(chart, finals or {}, _WIDE if key == "figure" else None) for chart in charts)
    return _section(key, title, f'<div class="figures">{body}</div>')


def _of_machine(chart: Chart) -> bool:
    return chart.metric.startswith("system.")


def _machine(report: Report, charts: Sequence[Chart]) -> Part | None:
    """Return what the runs cost and how the machine was used, all but the sum folded."""
    said, table = spent_lines(report, full=True), spent_table(report)
    body = _items(said) if said else ""
    body += f"<details><summary>Each run</summary>{_table(table, 'What each run cost')}</details>" if table else ""
    if charts:
        row = f'<div class="figures row">{"".join(_figure(chart, {}, _SMALL) for chart in charts)}</div>'
        body += f"<details><summary>GPU, memory, disk and network</summary>{row}</details>"
    return _section("machine", "Cost and machine" if said else "Machine", body) if body else None


def _figure(chart: Chart, finals: Mapping[int, float | None], size: tuple[int, int] | None) -> str:
    """Return a figure: lines that the page colours, or of very many runs two pictures."""
    from wandb_toolkit.plots.svg_chart import MOST_LINES, chart_svg, is_log, key_of

    if 0 < len(chart.curves) <= MOST_LINES:
        notes = [*(["log scale"] if is_log(chart) else []), *chart.notes[-1:]]
        caption = quoted(chart.metric) + (f" ({'; '.join(notes)})" if notes else "")
        drawn = chart_svg(chart, *(size or ()))
        return f"<figure>{drawn}<figcaption>{prose(caption)}{key_of(chart.curves, finals)}</figcaption></figure>"
    return _picture(chart)


def _picture(chart: Chart) -> str:
    from wandb_toolkit.plots.figures.alt_text import describe
    from wandb_toolkit.plots.figures.view import DARK, LIGHT

    light, dark = (_data(_painter(theme, _SIZE), chart) for theme in (LIGHT, DARK))
    width, height, _ = _SIZE
    return (
        f"<figure><picture>{_source('(prefers-color-scheme: dark)', dark)}"
        f'<img src="{light}" width="{width}" height="{height}" alt="{attribute(describe(chart))}"></picture>'
        f"<figcaption>{prose(quoted(chart.metric))}</figcaption></figure>"
    )


def _painter(theme: Theme, size: tuple[int, int, int]) -> Painter:
    from wandb_toolkit.plots.figures.painter import Painter
    from wandb_toolkit.plots.figures.view import View

    width, height, dpi = size
    return Painter(View(theme=theme, width=width, height=height, dpi=dpi))


def _source(media: str, data: str) -> str:
    return f'<source media="{media}" srcset="{data}">'


def _data(painter: Painter, chart: Chart) -> str:
    picture = painter.paint(chart).png("")
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _runs(report: Report) -> Part | None:
    if not report.runs:
        return None
    values = {line.at: line.value for line in report.comparison.runs} if report.comparison else {}
    names = short_names([one.run for one in report.runs])
    order = list(values) or list(range(len(report.runs)))
    if len(order) > RUNS:  # those with something to say, in the order of the table
        order = [*(at for at in order if report.runs[at].verdict in ("bad", "ugly")), *order]
        order = sorted(list(dict.fromkeys(order))[:RUNS], key=order[::-1].index, reverse=True)
    body = "\n".join(_run(report.runs[at], names[at], values.get(at), report) for at in order)
    left = len(report.runs) - len(order)
    body += f"<p>{left:,} more runs are in the table of the comparison and in --json.</p>" if left else ""
    return _section("runs", "Each run", body)


def _run(one: RunReport, name: str, value: float | None, report: Report) -> str:
    facts: list[str] = [one.run.state]
    if value is not None and report.primary:
        facts.append(f"{quoted(report.primary.metric, 40)} {number(value)}")
    link = ""
    if one.run.url and re.match(r"https?://", one.run.url):
        link = f'<p><a href="{attribute(one.run.url)}" rel="noreferrer noopener">On the W&amp;B server</a></p>'
    return (
        f"<details><summary>{prose(quoted(name))} {_badge(one.verdict)} "
        f'<span class="muted">{prose(", ".join(facts))}</span></summary>{_items(sections.of_run(one))}{link}</details>'
    )
