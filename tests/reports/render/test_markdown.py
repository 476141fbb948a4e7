"""The Markdown report: order, caps, and nothing of a stranger's text that Markdown or a terminal would obey."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from typing import Any

import pytest

from report_cases import ACCURACY, NOW, a_finding, curve, judged, rising
from wandb_toolkit.comparison.ranking import compare
from wandb_toolkit.experiments.propose import propose
from wandb_toolkit.model import Lens, Primary, Report, RunReport, Skipped
from wandb_toolkit.reports.build import overall
from wandb_toolkit.reports.render.escaping import escape
from wandb_toolkit.reports.render.markdown import markdown, summary
from wandb_toolkit.reports.render.report_json import report_object
from wandb_toolkit.reports.sentences import good_sentences, trouble_sentences

HOSTILE = "a|b`c`<img src=x onerror=alert(1)>[x](http://evil)\n# head\x1b[31m\u202e"


def report_on(*reports: RunReport, primary: Primary | None = ACCURACY, **facts: Any) -> Report:
    series = [curve(rising(0.9 - 0.01 * i)) for i in range(len(reports))]
    comparison = compare(reports, series, primary)
    made = Report(
        verdict=overall([one.verdict for one in reports]),
        source="local",
        target="wandb",
        primary=primary,
        roles={"kl": "train/kl"},
        runs=reports,
        good=good_sentences(reports, series, primary, comparison),
        bad=trouble_sentences(reports, "bad"),
        ugly=trouble_sentences(reports, "ugly"),
        comparison=comparison,
        next_experiments=propose(reports, comparison, primary, series),
        errors=(),
        generated_at=NOW,
        tool_version="1.2.3",
        command="wandb_report wandb",
    )
    return replace(made, **facts)


def headings(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, re.MULTILINE)


def test_the_sections_come_in_order() -> None:
    lens = (Lens("kl", "train/kl", 0.001, 0.2, "no fault found"),)
    errors = ({"run": "x9", "name": "lost", "message": "no history"},)
    sick = judged("b", a_finding("nan_or_inf", "ugly"), verdict="ugly", config={"lr": 2})
    text = markdown(report_on(judged("a", config={"lr": 1}), sick, lens=lens, errors=errors))
    assert headings(text) == [
        "Good", "Bad", "Ugly", "Reinforcement learning", "Comparison", "Config differences", "Next experiments",
        "Not read", "Checked and skipped", "Metrics and their roles", "Reproduce",
    ]  # fmt: skip
    assert text.startswith("# W&B report: wandb\n\n**UGLY** · 2 runs: 1 good, 1 ugly · best `a` · 1 could not be read")
    assert "- KL `train/kl`: 0.001 → 0.2; no fault found." in text
    assert "- `lost`: no history." in text
    assert "`wandb_report wandb`" in text
    assert "data up to 2025-02-01 01:00 UTC" in text


def test_one_run_has_no_comparison_and_its_name_is_not_repeated() -> None:
    text = markdown(report_on(judged("only", a_finding("overfitting", title="eval/loss rises"), verdict="bad")))
    assert "Comparison" not in headings(text)
    assert "- eval/loss rises." in text
    assert text.splitlines()[2] == "**BAD** · 1 run, finished"


def test_a_report_that_judged_nothing_says_so() -> None:
    text = markdown(report_on(judged("x", verdict="unknown", passed=()), primary=None, roles={}, metrics=("a", "b c")))
    assert "**UNKNOWN** · 1 run, finished: nothing could be judged" in text
    assert "Logged: `a` and `b c`." in text
    assert "Nothing could be called good." in text


def test_the_table_marks_the_best_and_the_broken() -> None:
    text = markdown(report_on(judged("dead", state="crashed"), judged("fine")))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(row) for row in rows}) == 1
    assert re.search(r"\|\s+1 \| `dead`.*\| crashed", rows[2])
    assert re.search(r"\| 2 best \| `fine`", rows[3])


def test_config_differences_name_the_odd_one_out() -> None:
    reports = [judged(f"r{i}", config={"lr": 0.1, "seed": i, "run_name": f"r{i}"}) for i in range(4)]
    reports.append(judged("odd", config={"lr": 0.5, "seed": 0, "run_name": "odd"}))
    text = markdown(report_on(*reports))
    assert "- `lr`: `0.1` in 4 runs; `0.5` in `odd`" in text
    assert "1 more key with --full: `run_name`." in text


def test_eighty_runs_stay_short_and_say_what_is_left_out() -> None:
    ids = ["loss_spike", "kl_spike", "undertrained", "overfitting", "nan_or_inf", "entropy_collapse", "reward_hacking"]
    reports = []
    for i in range(80):
        id_ = ids[i % 9] if i % 9 < 7 else None
        severity = "ugly" if i % 9 > 3 else "bad"
        found = [a_finding(id_, severity)] if id_ else []
        skipped = (Skipped("overfitting", f"reason {i}"),)
        one = judged(f"run-{i}", *found, verdict=severity if id_ else "good", config={"lr": i / 80, "seed": i})
        reports.append(replace(one, skipped=skipped))
    text = markdown(report_on(*reports, left_out=12))
    assert len(text.splitlines()) <= 72
    assert "72 more rows left out here: `--full` shows them all." in text
    assert "12 older runs not read (--max-runs)" in text
    assert "`lr`: 80 values from 0 to 0.9875" in text
    assert "78 more reasons with --full." in text


def test_roles_that_nothing_plays_are_one_line() -> None:
    skipped = (
        Skipped("kl_spike", "no metric for the role kl"),
        Skipped("kl_runaway", "no metric for the role kl"),
        Skipped("nan_or_inf", "no metric for the roles loss, grad_norm"),
        Skipped("throughput_drop", "no metric for the role throughput, and no times of 20 rows"),
        Skipped("stalled", "the run is finished, not running"),
        Skipped("overfitting", "only 3 points of eval/loss, needs 20"),
    )
    text = markdown(report_on(replace(judged("only"), skipped=skipped)))
    assert "- Not judged, because no metric plays the role: KL, loss, gradient norm, throughput." in text
    assert "- Skipped, only 3 points of eval/loss, needs 20: overfitting." in text
    assert "6 skipped" in text
    assert "not running" not in text


def test_strangers_text_is_plain_text() -> None:
    run = judged(
        HOSTILE, a_finding("crashed", "ugly", f"ended: {HOSTILE}"), verdict="ugly", id=HOSTILE, config={HOSTILE: 1}
    )
    other = judged("b", config={HOSTILE: HOSTILE})
    errors = ({"run": HOSTILE, "name": HOSTILE, "message": HOSTILE},)
    primary = Primary(HOSTILE, "max", HOSTILE)
    made = report_on(run, other, primary=primary, target=HOSTILE, errors=errors, metrics=(HOSTILE,), command=HOSTILE)
    text = markdown(made)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", text)
    prose = re.sub(r"`[^`\n]*`", "", text.replace("\\`", ""))
    assert "<img" not in prose
    assert "](" not in prose.replace("\\]", "")
    assert "http://" not in prose
    assert "\n# head" not in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table}) == 1


def test_random_scraps_of_markdown_render_as_text_and_keep_the_table_whole() -> None:
    markdown_it = pytest.importorskip("markdown_it")
    renderer = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    scraps = [
        "`", "``", "```", "|", "<img>", "<b>", "[a](b)", "![a](b)", "*", "**", "_", "__", "\\", "~~", "&lt;", "<!--",
        "](", "[", "]", "<http://e.x>", "http://e.x", "#", "-", "1.", "a", "'", "$", " ", "\n",
    ]  # fmt: skip
    ours = {"h1", "h2", "p", "strong", "ul", "ol", "li", "code", "table", "thead", "tbody", "tr", "th", "td"}
    rng = random.Random(5)
    for _ in range(150):
        text = "".join(rng.choices(scraps, k=8))
        sick = judged(text, a_finding("crashed", "ugly", f"it {text}"), verdict="ugly", config={text: text})
        made = report_on(sick, judged("b", config={text: 1}), primary=Primary(text, "max", text), target=text)
        html = renderer.render(markdown(made))
        assert set(re.findall(r"<(\w+|!)", html)) <= ours, text
        assert [len(re.findall(r"<t[dh]", row)) for row in re.findall(r"<tr>.*?</tr>", html, re.DOTALL)] == [8, 8, 8], (
            text
        )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("loss < 0.1 & rising", "loss < 0.1 & rising"),
        ("train_loss_avg 3*4", "train_loss_avg 3\\*4"),
        ("<b>x</b>", "&lt;b>x&lt;/b>"),
        ("[a](b)", "[a\\](b)"),
        ("_emphasis_ __strong__", "\\_emphasis\\_ \\_\\_strong\\_\\_"),
        ("`a|b*c` | *", "`a|b*c` \\| \\*"),
        ("&lt; &#60;", "&amp;lt; &amp;#60;"),
        ("see https://x.y and www.z", "see https\\://x.y and www\\.z"),
        ("one ` tick", "one \\` tick"),
        ("`` a ``` <img> `", "\\`\\` a \\`\\`\\` &lt;img> \\`"),
    ],
)
def test_escaping_keeps_ordinary_prose_readable(text: str, plain: str) -> None:
    assert escape(text) == plain


def test_prose_is_wrapped_for_a_terminal_and_no_line_starts_a_block() -> None:
    title = "a - b " * 30 + "# c " * 20 + "1. d " * 20
    made = report_on(judged("only", a_finding("overfitting", title=title), verdict="bad"), judged("b"))
    text = markdown(made, width=60)
    body = [line for line in text.splitlines() if not line.startswith(("|", "#"))]
    assert max(map(len, body)) <= 70
    for line in body:
        if line.startswith(" "):
            assert not re.match(r"\s+([-+*>#]|\d+\.)(\s|$)", line), line
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table[0]) < len(next(line for line in markdown(made).splitlines() if line.startswith("|")))


def test_the_summary_is_short_and_plain() -> None:
    reports = [judged(f"r{i}", a_finding(f"fault_{i}", "ugly"), verdict="ugly") for i in range(9)]
    lines = summary(report_on(*reports, judged("well")))
    assert lines[0] == "UGLY · 10 runs: 1 good, 9 ugly · best `r0`"
    assert "Ugly: 5 more." in lines
    assert len(lines) < 12
    assert not any("\n" in line for line in lines)


def test_the_whole_comparison_is_capped_and_full_is_not() -> None:
    reports = [judged(f"run-{i}", config={"lr": i, "seed": 0}) for i in range(40)]
    made = report_on(*reports)
    short, compared, full = markdown(made), markdown(made, compare=True), markdown(made, full=True)
    assert headings(compared)[:3] == ["Comparison", "Config differences", "Good"]
    assert compared.count("20 more rows left out here") == 2
    assert "left out here" not in full
    assert "### Settings that correlate with the result (correlation, not proof)" in compared
    assert "| `lr` " in compared
    assert len(short.splitlines()) < len(compared.splitlines()) < len(full.splitlines())
    assert full.count("### `run-") == 40


def test_samples_are_named_where_it_says_what_was_checked() -> None:
    part = replace(judged("a"), sampled={"train/loss": (500, 20_000), "train/kl": (500, 1000)})
    text = markdown(report_on(part, judged("b")))
    assert "- Read as a sample: 2 metrics of 1 run, the thinnest `train/loss` with 500 of 20,000 points;" in text
    assert "Read as a sample" not in markdown(report_on(judged("a")))
    assert report_object(report_on(part))["runs"][0]["sampled"]["train/loss"] == {"read": 500, "logged": 20_000}


def test_a_window_and_a_fixed_now_are_named() -> None:
    text = markdown(report_on(judged("a"), window=200, as_of=True))
    assert "the last 200 rows only (--window)" in text.splitlines()[2]
    assert "as of 2025-03-01 12:00 UTC" in text
    assert "--as-of" not in text
    assert "`--as-of 2025-03-01T12:00:00Z`" in markdown(report_on(judged("a")))
