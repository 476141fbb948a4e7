"""How many GPUs runs had, for what stopping them saves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run
from wandb_toolkit.sources.base import Source
from wandb_toolkit.sources.threads import gather

Gpus: TypeAlias = Callable[[Sequence[Run]], "Sequence[int | None]"]

MOST = 100_000  # in one run; more is no count
_AT_ONCE = 8


def not_recorded(runs: Sequence[Run]) -> list[None]:
    """Return for each run that nobody knows how many GPUs it had."""
    return [None] * len(runs)


def gpus_of(source: Source, runs: Sequence[Run]) -> list[int | None]:
    """Return how many GPUs the machine of each run had; None where it recorded none, or cannot be read.

    On a server that is a request a run: ask for those only that matter.
    """
    calls = [partial(source.environment, run) for run in runs]
    found = gather(calls, _AT_ONCE if source.kind == "api" else 1)
    return [None if isinstance(one, ToolkitError) else _count(one.get("gpu_count")) for one in found]


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MOST else None
