"""The whole Markdown of three reports, so that a change of wording is seen and chosen.

`python -m pytest tests/reports/render/test_golden.py --golden` writes them anew.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from report_cases import NOW, a_run, memory_source, rising
from repository import EXAMPLES
from wandb_toolkit.model import Report
from wandb_toolkit.reports.build import ReportOptions, build_report
from wandb_toolkit.reports.render.markdown import markdown
from wandb_toolkit.sources.base import RunQuery
from wandb_toolkit.sources.local.source import LocalSource

GOLDEN = Path(__file__).parent / "golden"


def one_run() -> Report:
    """A fine-tuning run that overfits, alone."""
    part = np.linspace(0, 1, 200)
    held_out = 1.2 + 0.8 * np.exp(-8 * part) + 0.5 * np.clip(part - 0.3, 0, None)
    content = {
        "train/loss": 0.3 + 1.7 * np.exp(-4 * part),
        "eval/loss": held_out,
        "train/learning_rate": 3e-4 * (1 - part),
    }
    config = {"learning_rate": 3e-4, "weight_decay": 0.01, "num_train_epochs": 3}
    source = memory_source([(a_run("sft-7b", config=config), content)])
    options = ReportOptions(NOW, target="team/sft", command="wandb_report team/sft --latest 1")
    return build_report(source, source.all, options).report


def eight_runs() -> Report:
    """The eight example runs: a good configuration with three seeds, four faults, one killed."""
    source = LocalSource(EXAMPLES)
    options = ReportOptions(NOW, target="examples/wandb", command="wandb_report examples/wandb")
    return build_report(source, source.runs(RunQuery()), options).report


def a_sweep() -> Report:
    """Twelve configurations of two seeds each; the learning rate decides, the width does not."""
    rng = np.random.default_rng(5)
    content = []
    for at in range(24):
        rate, width = 10.0 ** -(1 + at // 2 % 4), 64 * 2 ** (at // 8)
        values = rising(0.9 - 0.15 * abs(np.log10(rate) + 3), 120) + rng.normal(0, 0.004, 120)
        config = {"learning_rate": rate, "width": width, "seed": at % 2}
        name = f"lr{rate:g}-w{width}-s{at % 2}"
        row = {"eval/accuracy": values, "train/loss": 1 - 0.8 * values, "_runtime": np.arange(120) * (1.0 + at // 8)}
        content.append((a_run(name, id=f"id{at:02}", config=config), row))
    source = memory_source(content)
    return build_report(source, source.all, ReportOptions(NOW, target="team/sweep")).report


REPORTS = {"one_run": one_run, "eight_runs": eight_runs, "a_sweep": a_sweep}


@pytest.mark.parametrize("name", REPORTS)
def test_every_word_of_a_report_is_chosen(name: str, request: pytest.FixtureRequest) -> None:
    text = re.sub(r"wandb-toolkit \d[\w.]*", "wandb-toolkit VERSION", markdown(REPORTS[name]())) + "\n"
    path = GOLDEN / f"{name}.md"
    if request.config.getoption("--golden"):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), "look at the change; --golden accepts it"
