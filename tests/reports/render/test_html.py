"""The page: whole, harmless, readable by machines and in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from report_cases import NOW, a_run, memory_source, rising
from wandb_toolkit.model import Report
from wandb_toolkit.plots.charts import Chart
from wandb_toolkit.plots.evidence import Evidence
from wandb_toolkit.plots.svg_chart import COLORS
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.reports.charts import FIGURES, RUNS, charts_of
from wandb_toolkit.reports.evidence import beside_sentences
from wandb_toolkit.reports.render.html import FINDINGS, page, prose
from wandb_toolkit.reports.render.html import RUNS as RUNS_APART

HOSTILE = "<img src=x onerror=alert(1)>\"'&`</style></title><script>alert(2)</script>\x1b[31m\u202e"
VOID = {"meta", "img", "source", "br"}


class Tree(HTMLParser):
    """Counts tags, collects ids, links and text, and holds the nesting to its rules."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [found for name, found in self.attributes if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.words)


def a_report(count: int = 4, name: str = "run", **facts: Any) -> tuple[Report, list[Chart], dict[str, Evidence]]:
    content = []
    for i in range(count):
        values = rising(0.9 - 0.3 * i / max(count - 1, 1), 150)
        loss = 2.0 - values
        if i == 1:
            loss = np.concatenate([loss[:100], np.full(50, np.nan)])
        run = a_run(f"{name}{i}", id=f"id{i}", config={"lr": i / 10, "seed": i}, url="javascript:alert(3)")
        content.append((run, {"eval/accuracy": values, "train/loss": loss, "_runtime": np.arange(150) * 2.0}))
    source = memory_source(content)
    built = build_report(source, source.all, ReportOptions(NOW, command="wandb_report x"))
    report = replace(built.report, **facts)
    histories = [reading.history for reading in built.readings]
    return report, charts_of(report, histories), beside_sentences(report, histories)


@pytest.fixture(scope="module")
def drawn() -> str:
    return page(*a_report())


def test_the_page_is_one_tree_with_its_landmarks(drawn: str) -> None:
    tree = Tree(drawn)
    assert drawn.startswith('<!doctype html>\n<html lang="en">')
    assert (tree.tags["h1"], tree.tags["main"], tree.tags["nav"], tree.tags["header"]) == (1, 1, 1, 1)
    ids = [found["id"] for _, found in tree.attributes if "id" in found]
    assert len(ids) == len(set(ids))
    targets = [(found.get("href") or "")[1:] for found in tree.all("a") if (found.get("href") or "").startswith("#")]
    assert set(targets) <= set(ids)
    assert targets[0] == "main"
    order = [found["id"] for found in tree.all("section")]
    assert order[:3] == ["ugly", "figure", "good"]
    assert order.index("comparison") < order.index("next") < order.index("checked") < order.index("reproduce")


def test_tables_and_figures_speak_to_those_who_do_not_see_them(drawn: str) -> None:
    tree = Tree(drawn)
    assert tree.tags["caption"] == tree.tags["table"] > 0
    assert all(found.get("scope") in ("col", "row") for found in tree.all("th"))
    scrolling = [found for found in tree.all("div") if found.get("class") == "scroll"]
    assert all(found["tabindex"] == "0" and found["role"] == "region" and found["aria-label"] for found in scrolling)
    drawings = tree.all("svg")
    assert all(found["role"] == "img" and len(found["aria-label"] or "") > 40 for found in drawings)
    assert [found["class"] for found in drawings[:2]] == ["evidence", "chart"]
    assert "`train/loss`" not in (drawings[0]["aria-label"] or "")
    assert "NaN" in (drawings[2]["aria-label"] or "")
    assert all(found["aria-hidden"] == "true" for found in tree.all("span") if found.get("class") == "spark")


def test_nothing_is_asked_of_anybody(drawn: str) -> None:
    tree = Tree(drawn)
    (policy,) = [m["content"] for m in tree.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    style = re.search(r"<style>(.*?)</style>", drawn, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert tree.tags["script"] == tree.tags["link"] == tree.tags["iframe"] == 0
    sources = [found.get("src") or found.get("srcset") for found in tree.all("img") + tree.all("source")]
    assert all((found or "").startswith("data:image/png;base64,") for found in sources)
    assert not re.search(r"url\(|@import|\son\w+=", style[1])
    assert "prefers-color-scheme: dark" in style[1]
    assert not any("style" in found for _, found in tree.attributes)  # the policy would drop it


def test_strangers_text_stays_text() -> None:
    made, charts, evidence = a_report(3, HOSTILE, target=HOSTILE, command=f"wandb_report {HOSTILE}")
    errors = ({"run": "x", "name": HOSTILE, "message": HOSTILE},)
    text = page(replace(made, errors=errors, good=(HOSTILE, f"`{HOSTILE}`")), charts, evidence)
    tree = Tree(text)
    assert tree.tags["script"] == tree.tags["img"] == 0
    assert tree.tags["svg"] == len(charts) + len(evidence) > len(charts)
    assert tree.tags["title"] == 1 + sum(len(chart.curves) for chart in charts)  # the page's, and a line's
    assert tree.tags["style"] == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "onerror=alert(1)" in tree.text
    assert not any(key.startswith("on") for _, found in tree.attributes for key in found)
    links = [found.get("href") or "" for found in tree.all("a")]
    assert all(link.startswith("#") for link in links)


def test_only_web_links_become_links() -> None:
    made, *_ = a_report(1)
    run = replace(made.runs[0].run, url='https://wandb.ai/a/b/runs/c?x="1"')
    tree = Tree(page(replace(made, runs=(replace(made.runs[0], run=run),)), []))
    (link,) = [found for found in tree.all("a") if not (found["href"] or "").startswith("#")]
    assert link["href"] == 'https://wandb.ai/a/b/runs/c?x="1"'
    assert link["rel"] == "noreferrer noopener"


def test_code_spans_become_code_and_sparklines_are_hidden() -> None:
    assert prose("`a<b` is < `c") == "<code>a&lt;b</code> is &lt; `c"
    assert prose("x `▁▂▃▄▅` y") == 'x <span class="spark" aria-hidden="true">▁▂▃▄▅</span> y'


def test_one_run_that_nothing_could_be_judged_of_has_a_page() -> None:
    source = memory_source([(a_run(), {})])
    text = page(build_report(source, source.all, ReportOptions(NOW)).report, [])
    tree = Tree(text)
    assert "UNKNOWN" in tree.text
    assert "figures" not in [found["id"] for found in tree.all("section")]


def test_compare_puts_the_comparison_first() -> None:
    made, *_ = a_report(2)
    order = [found["id"] for found in Tree(page(made, [], compare=True)).all("section")]
    assert order.index("comparison") < order.index("good")


def test_five_hundred_runs_make_a_page_quickly_and_few_figures() -> None:
    made, charts, _ = a_report(3)
    many = tuple(made.runs[i % 3] for i in range(500))
    lines = made.comparison.runs if made.comparison else ()
    runs = tuple(replace(lines[i % 3], at=i) for i in range(500))
    assert made.comparison is not None
    report = replace(made, runs=many, comparison=replace(made.comparison, runs=runs))
    text = page(report, [])
    assert len(text) < 2_000_000
    assert Tree(text).tags["details"] < RUNS_APART + 12
    assert f"{500 - RUNS_APART} more runs are in the table" in Tree(text).text
    assert 0 < len(charts) <= FIGURES


def test_a_figure_shows_the_faulty_beside_the_best() -> None:
    _, charts, _ = a_report(30)
    main = charts[0]
    assert main.metric == "eval/accuracy"
    assert len(main.curves) == RUNS
    assert main.notes[-1].startswith("12 of 30 runs")
    loss = next(chart for chart in charts if chart.metric == "train/loss")
    assert "run1" in {curve.label for curve in loss.curves}
    assert "run0" in {curve.label for curve in loss.curves}


def test_lines_are_told_apart_by_the_style_alone(drawn: str) -> None:
    tree = Tree(drawn)
    lines = [found["class"] for found in tree.all("g")]
    assert lines[:4] == ["run c0", "run c1", "run c2", "run c3"]
    keys = [found["class"] for found in tree.all("li") if found.get("tabindex") == "0"]
    assert keys[:4] == ["c0", "c1", "c2", "c3"]
    style = drawn.partition("<style>")[2].partition("</style>")[0]
    for at in range(COLORS):
        assert f".c{at} {{ color:" in style
        assert f"figure:has(.key .c{at}:is(:hover, :focus-visible)) .run:not(.c{at})" in style
    assert not re.search(r"(fill|stroke)=", drawn.partition("</style>")[2])


def test_the_key_says_what_the_table_says(drawn: str) -> None:
    key = re.findall(
        r'<li class="c\d+" tabindex="0"><span class="swatch"></span>(\S+) <span class="muted">([^<]+)', drawn
    )
    table = re.findall(r"<th scope=\"row\"><code>(\S+?)</code></th>\s*<td[^>]*>([^<]+)</td>", drawn)
    assert dict(key[:4]) == dict(table[:4])


def test_findings_stand_beside_their_figures() -> None:
    made, charts, evidence = a_report(4)
    assert set(evidence) <= {*made.bad, *made.ugly}
    many = tuple(f"`run{at}`: {made.ugly[0]}" for at in range(FINDINGS + 4))
    text = page(replace(made, ugly=many), charts, dict.fromkeys(many, evidence[made.ugly[0]]))
    first, _, folded = text.partition("<summary>4 more findings</summary>")
    assert first.count('<svg class="evidence"') == FINDINGS
    assert folded.count('<svg class="evidence"') == 4
    nothing = Tree(page(replace(made, ugly=(), bad=()), charts))
    assert "Bad and ugly" in nothing.text


CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), ""
)


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_within_its_own_policy(drawn: str, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "page.html").write_text(drawn, encoding="utf-8")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr", "--v=0"]
    flags += [
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=420,900",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    ]
    flags += [
        f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}",
        f"--screenshot={tmp_path / 'p.png'}",
    ]
    done = subprocess.run(
        [CHROMIUM, *flags, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    if not (tmp_path / "p.png").exists():
        pytest.skip(f"Chromium could not take a picture here: {done.stderr[-200:]}")
    assert not re.search(r"CONSOLE.*(Refused|Content Security Policy)", done.stderr)
    from PIL import Image

    with Image.open(tmp_path / "p.png") as picture:
        corner = picture.convert("RGB").getpixel((2, 2))
    assert corner == ((13, 17, 23) if scheme == "dark" else (255, 255, 255))
