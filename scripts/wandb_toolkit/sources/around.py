"""A source around another one: what a wrapper does not change is the other's answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run

if TYPE_CHECKING:
    from wandb_toolkit.sources.base import Histories


@dataclass(frozen=True)
class Around:
    """Answers as `source` does; whoever derives from it reads the histories."""

    source: Histories

    @property
    def kind(self) -> str:
        """What the other source is."""
        return self.source.kind

    @property
    def description(self) -> str:
        """What the user named, for messages."""
        return self.source.description

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be looked into, so far."""
        return self.source.warnings

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs with configs and axes as plain dicts."""
        return self.source.loaded(runs)

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield the last lines of each run's console output."""
        return self.source.consoles(runs, lines)
