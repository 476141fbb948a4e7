"""A little of what docs/reliability.md measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from reliability import PAGE, damaged_logs, kills, page, soak


def test_faults_give_the_right_answer_or_a_named_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path))
    figures = soak(60)
    assert figures["faults"] > 0
    assert figures["right"] > 0
    assert (figures["wrong"], figures["unexpected"], figures["keys to storage"], figures["hung"]) == (0, 0, 0, 0)


def test_of_damaged_logs_nothing_is_made_up() -> None:
    figures = damaged_logs(100)
    assert 0 < figures["records read"] < figures["records written"]
    assert (figures["records that nobody wrote"], figures["losses without a word"]) == (0, 0)


@pytest.mark.slow
def test_what_is_killed_leaves_whole_files() -> None:
    figures = kills(2)
    assert figures["starts"] == 6
    assert (figures["broken files"], figures["commands that fail afterwards"]) == (0, 0)


def test_the_page_is_the_measured_form() -> None:
    assert PAGE.read_text(encoding="utf-8").startswith(page({}))
