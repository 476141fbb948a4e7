"""Tables: in a terminal, with links where it shows them and the address is safe; as CSV, Markdown and LaTeX."""

from __future__ import annotations

import csv
from datetime import UTC, datetime

import pytest

from wandb_toolkit.listing.table import TableColumn, formatted, safe_link, shows_links, table
from wandb_toolkit.text import moment

URL = "https://wandb.ai/ada/digits/runs/abc"
COLUMNS = [TableColumn("name"), TableColumn("state")]
ROWS = [["one", "finished"], ["two", "failed"]]


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_HYPERLINK", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def test_names_link_to_their_page() -> None:
    text = table(COLUMNS, ROWS, 80, [URL, None])
    assert text.count(f";{URL}\x1b\\one\x1b]8;;\x1b\\") == 1
    assert "two\x1b]" not in text


def test_never_in_a_pipe_or_without_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "\x1b" not in table(COLUMNS, ROWS, None, [URL, URL])
    monkeypatch.setenv("NO_COLOR", "1")
    assert URL not in table(COLUMNS, ROWS, 80, [URL, URL])


@pytest.mark.parametrize(
    "url",
    [
        "https://wandb.ai/a\x1b]8;;https://evil.test\x1b\\b",
        "https://wandb.ai/a\x07b",
        "https://wandb.ai/a b",
        "https://wandb.ai/a\nb",
        "javascript:alert(1)",
        "file:///etc/passwd",
        "https://wandb.ai/\u202eb",
        "https://" + "a" * 3000,
        "",
    ],
)
def test_addresses_that_are_not_plain_are_no_links(url: str) -> None:
    assert safe_link(url) is None
    assert "\x1b]8" not in table(COLUMNS, ROWS, 80, [url, None])


@pytest.mark.parametrize(
    ("environ", "shown"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "linux"}, False),
        ({}, False),
        ({"TERM": "xterm", "TERM_PROGRAM": "Apple_Terminal"}, False),
        ({"TERM": "dumb", "FORCE_HYPERLINK": "1"}, True),
        ({"TERM": "xterm", "FORCE_HYPERLINK": "0"}, False),
    ],
)
def test_which_terminals_show_links(environ: dict[str, str], shown: bool) -> None:
    assert shows_links(environ) is shown


def test_states_are_coloured() -> None:
    text = table(COLUMNS, ROWS, 80)
    assert "\x1b[32mfinished" in text
    assert "\x1b[31mfailed" in text


VALUES_OF = [TableColumn("run_name"), TableColumn("made", text=moment), TableColumn("lr", "right")]
VALUES: list[list[object]] = [
    ['a, "b" | \\c_1 & 50%\x1b[31m', datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), 0.000123456789],
    ["d", None, float("nan")],
]


def test_csv_has_the_values_in_full() -> None:
    assert list(csv.reader(formatted("csv", VALUES_OF, VALUES).splitlines())) == [
        ["run_name", "made", "lr"],
        ['a, "b" | \\c_1 & 50%', "2026-01-02T03:04:05Z", "0.000123456789"],
        ["d", "", "NaN"],
    ]


def test_markdown_and_latex_escape_what_is_their_own() -> None:
    assert formatted("markdown", VALUES_OF, VALUES).splitlines() == [
        "| run_name | made | lr |",
        "| -- | -- | -: |",
        '| a, "b" \\| \\\\c_1 & 50% | 2026-01-02 03:04 | 0.0001235 |',
        "| d |  | NaN |",
    ]
    assert formatted("latex", VALUES_OF, VALUES).splitlines() == [
        r"\begin{tabular}{llr}",
        r"\toprule",
        r"run\_name & made & lr \\",
        r"\midrule",
        r'a, "b" \textbar{} \textbackslash{}c\_1 \& 50\% & 2026-01-02 03:04 & 0.0001235 \\',
        r"d &  & NaN \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]
