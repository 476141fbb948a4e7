"""What a command gave back, for the tests that run it against the loopback server."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest


@dataclass(frozen=True)
class Outcome:
    """What a command gave back."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The document on stdout."""
        return json.loads(self.out, parse_constant=lambda token: pytest.fail(f"not strict: {token}"))

    @property
    def error(self) -> Any:
        """The error object on stderr."""
        return json.loads(self.err)


Command = Callable[..., Outcome]
