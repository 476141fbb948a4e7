"""The locked test environment: every pin has hashes, and the two files say the same."""

from __future__ import annotations

import re

import pin
from repository import ROOT


def test_the_lock_is_the_constraints_with_hashes() -> None:
    pins = re.findall(r"^([\w.-]+==\S+)$", (ROOT / "tests" / "constraints.txt").read_text(), re.MULTILINE)
    entries = re.split(r"\n(?=\w)", (ROOT / "tests" / "lock.txt").read_text())[1:]
    locked = {entry.split()[0]: re.findall(r"--hash=sha256:[0-9a-f]{64}\b", entry) for entry in entries}
    assert list(locked) == pins
    assert all(locked.values())
    assert "://" not in "".join(entries)  # no index of whoever wrote it


def test_every_requirement_is_pinned() -> None:
    pins = set(re.findall(r"^([\w.-]+)==", (ROOT / "tests" / "constraints.txt").read_text(), re.MULTILINE))
    assert set(pin.needed()) <= pins, "make constraints"
