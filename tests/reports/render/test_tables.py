"""Every table of every Markdown report is one: GitHub's rules, as markdown-it reads them."""

from __future__ import annotations

import re

import numpy as np
import pytest
from markdown_it import MarkdownIt

from report_cases import NOW, a_run, memory_source, rising
from repository import EXAMPLES
from wandb_toolkit.model import Report
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.reports.render.markdown import markdown
from wandb_toolkit.sources.base import RunQuery
from wandb_toolkit.sources.local.source import LocalSource


def of_examples() -> Report:
    source = LocalSource(EXAMPLES)
    return build_report(source, source.runs(RunQuery()), ReportOptions(NOW, model=True)).report


def of_a_sweep() -> Report:
    rng = np.random.default_rng(3)
    content = []
    for at in range(24):
        values = rising(0.5 + 0.02 * (at // 2), 120) + rng.normal(0, 0.01, 120)
        config = {"lr": 10.0 ** -(1 + at // 2 % 4), "width|of `net`": at // 2, "seed": at % 2}
        row = {"eval/accuracy": values, "train/loss": 2 - values, "_runtime": np.arange(120) * (1 + at % 3)}
        content.append((a_run(f"run|{at}", id=f"id{at}", config=config), row))
    source = memory_source(content)
    return build_report(source, source.all, ReportOptions(NOW, goal=0.6)).report


def of_one() -> Report:
    source = memory_source([(a_run("a|b`c"), {"train/loss": 2.0 - rising(1.0, 200)})])
    return build_report(source, source.all, ReportOptions(NOW)).report


REPORTS = {"examples": of_examples, "sweep": of_a_sweep, "one": of_one}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("form", [{}, {"full": True}, {"compare": True}], ids=["short", "full", "compare"])
def test_every_table_is_read_as_one(name: str, form: dict[str, bool]) -> None:
    text = markdown(REPORTS[name](), None, **form)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    starts = {token.map[0] for token in tokens if token.type == "table_open" and token.map}
    lines = text.splitlines()
    heads = [at for at, line in enumerate(lines) if line.startswith("|") and not lines[at - 1].startswith("|")]
    assert starts == set(heads)
    for at in heads:
        delimiters = lines[at + 1].strip("| ").split("|")
        assert all(re.fullmatch(r" *:?-+:? *", cell) for cell in delimiters), lines[at + 1]
    width = 0
    for token in tokens:
        if token.type == "tr_open":
            cells = 0
        elif token.type in ("th_open", "td_open"):
            cells += 1
        elif token.type == "tr_close":
            width = width or cells
            assert cells == width
        elif token.type == "table_close":
            width = 0
    if name != "one":
        assert heads
