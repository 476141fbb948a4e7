"""Tables in a terminal: links on names, where the terminal shows them and the address is safe."""

from __future__ import annotations

import pytest

from wandb_toolkit.listing.table import TableColumn, safe_link, shows_links, table

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
