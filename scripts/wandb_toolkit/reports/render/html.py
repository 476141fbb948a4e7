"""A report → one page that needs nothing else: figures as data, no script, no request, light and dark.

Every text passes `prose` or `attribute`; the policy in the page's head forbids whatever might have slipped through.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from wandb_toolkit.model import Report, RunReport
from wandb_toolkit.reports.render import comparison, sections
from wandb_toolkit.reports.render.escaping import SPAN
from wandb_toolkit.text import clean, number, quoted, sentence, short_names

if TYPE_CHECKING:
    from wandb_toolkit.plots.charts import Chart
    from wandb_toolkit.plots.figures.painter import Painter
    from wandb_toolkit.plots.figures.view import Theme

_HERE = Path(__file__).parent
_SPARK = re.compile(r"[▁▂▃▄▅▆▇█·]{4,}")
_WIDE = (1280, 720, 128)  # pixels and dots per inch: of the first figure, and of those that stand in two columns
_HALF = (960, 640, 150)
_NARROW = "(max-width: 44rem)"
_VERDICTS = ("good", "bad", "ugly", "unknown")


def page(report: Report, charts: Sequence[Chart], *, compare: bool = False) -> str:
    """Return the whole page; `compare` puts the comparison before what is good, bad and ugly."""
    judged = [
        _listed("good", "Good", sections.capped(report.good, None) or ["Nothing could be called good."]),
        _listed("bad", "Bad", sections.capped(report.bad, None) or ["Nothing found."]),
        _listed("ugly", "Ugly", sections.capped(report.ugly, None) or ["Nothing found."]),
        _listed("notes", "Notes", sections.capped(report.notes, None)),
        _listed("rl", "Reinforcement learning", sections.lens(report, full=True)),
    ]
    compared = [
        _listed("read", "Runs read", sections.runs_read(report)),
        _comparison(report),
        _listed("config", "Config differences", comparison.config_differences(report, full=True)),
    ]
    parts = [
        *([*compared, *judged] if compare else [*judged, *compared]),
        _next(report),
        _figures(charts),
        _listed("not-read", "Not read", sections.errors(report, full=True)),
        _listed("checked", "Checked and skipped", sections.checked(report, full=True)),
        _listed("metrics", "Metrics and their roles", sections.metrics(report)),
        _runs(report),
        _listed("reproduce", "Reproduce", sections.reproduce(report, full=True)),
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
    body = [_table(comparison.ranking(found, report.primary, full=True), "The runs, the best first", verdicts=3)]
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


def _next(report: Report) -> Part | None:
    if not report.next_experiments:
        return None
    items = [
        f"<li><p><strong>{prose(one.title)}</strong></p><p>Why: {prose(sentence(one.why))}</p>"
        f"<p>Expect: {prose(sentence(one.expect))} Wrong if {prose(sentence(one.refute))}</p></li>"
        for one in report.next_experiments
    ]
    return _section("next", "Next experiments", f'<ol class="next">{"".join(items)}</ol>')


def _figures(charts: Sequence[Chart]) -> Part | None:
    if not charts:
        return None
    from wandb_toolkit.plots.figures.alt_text import describe
    from wandb_toolkit.plots.figures.view import DARK, LIGHT

    made = []
    wide, half = ([_painter(theme, size) for theme in (LIGHT, DARK)] for size in (_WIDE, _HALF))
    for at, chart in enumerate(charts):
        light, dark = (_data(painter, chart) for painter in half)
        sources = [("(prefers-color-scheme: dark)", dark)]
        if at == 0:  # over the whole width, so that a narrow screen needs another one
            sources = [(f"{_NARROW} and (prefers-color-scheme: dark)", dark), (_NARROW, light)]
            light, dark = (_data(painter, chart) for painter in wide)
            sources.append(("(prefers-color-scheme: dark)", dark))
        width, height, _ = _HALF if at else _WIDE
        made.append(
            f"<figure><picture>{''.join(_source(*one) for one in sources)}"
            f'<img src="{light}" width="{width}" height="{height}" alt="{attribute(describe(chart))}"></picture>'
            f"<figcaption>{prose(quoted(chart.metric))}</figcaption></figure>"
        )
    return _section("figures", "Figures", f'<div class="figures">{"".join(made)}</div>')


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
    order = list(values) or range(len(report.runs))
    body = "\n".join(_run(report.runs[at], names[at], values.get(at), report) for at in order)
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
