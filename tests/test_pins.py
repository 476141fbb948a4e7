"""What CI installs is pinned: every requirement of the tests, in both files alike."""

from __future__ import annotations

import re

import pin
from repository import ROOT

PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def pinned(name: str) -> dict[str, str]:
    return dict(PINNED.findall((ROOT / "tests" / name).read_text()))


def test_the_lock_has_what_the_constraints_have() -> None:
    assert pinned("lock.txt") == pinned("constraints.txt")


def test_every_requirement_is_pinned() -> None:
    assert set(pin.needed()) <= set(pinned("constraints.txt")), "make constraints"
