"""A little of what docs/reliability.md measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from reliability import PAGE, page
from reliability_files import damaged_logs, full_disk, hostile_directories, kills, two_at_once
from reliability_servers import keys, mutations, slow, soak


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_TOOLKIT_CACHE", str(tmp_path / "cache"))


def test_faults_give_the_right_answer_or_a_named_failure() -> None:
    figures = soak(20, chance=0.3)
    assert figures["faults"] > 0
    assert figures["right"] + figures["named"] == figures["commands"]
    assert (figures["wrong"], figures["unexpected"], figures["keys to storage"], figures["hung"]) == (0, 0, 0, 0)


def test_slow_servers_end_with_the_time_limit() -> None:
    figures = slow(0.25, 1)
    assert figures["commands"] == figures["right"] + figures["named"] == 5
    assert figures["slowest, in timeouts"] < 6


def test_a_wrong_value_is_answered_around_or_named() -> None:
    figures = mutations(15)
    assert figures["answers"] == 15
    assert (figures["unexpected"], figures["hung"]) == (0, 0)


def test_the_key_goes_to_the_server_and_to_nobody_else(tmp_path: Path) -> None:
    figures = keys(tmp_path)
    assert figures["key at the server itself"] == figures["of these expected"] > 0
    assert figures["key elsewhere"] == 0


def test_of_damaged_logs_nothing_is_made_up() -> None:
    figures = damaged_logs(40)
    assert 0 < figures["records read"] < figures["records written"]
    assert (figures["records that nobody wrote"], figures["losses without a word"]) == (0, 0)


def test_a_sound_run_is_answered_whatever_lies_beside_it() -> None:
    figures = hostile_directories(1)
    assert figures["sound run answered"] == figures["commands"] == 2 * figures["directories"]
    assert figures["unexpected"] == figures["other files shown"] == figures["characters that a terminal obeys"] == 0


@pytest.mark.slow
def test_what_is_killed_or_finds_no_room_leaves_whole_files() -> None:
    killed, full = kills(1, ["export_runs"]), full_disk((1000,), ["export_runs"])
    assert killed["starts"] == full["commands"] == full["failed with a reason"] == 1
    assert killed["broken files"] == full["broken files"] == full["unexpected"] == full["temporary files left"] == 0
    assert killed["commands that fail afterwards"] == 0


@pytest.mark.slow
def test_two_at_once_leave_whole_files() -> None:
    figures = two_at_once(1, ["export_runs"])
    assert figures["both done"] + figures["one refused with a reason"] == figures["pairs"] == 1  # who came first
    assert (figures["broken files"], figures["unexpected"]) == (0, 0)


def test_the_page_is_the_measured_form() -> None:
    assert PAGE.read_text(encoding="utf-8").startswith(page({}))
