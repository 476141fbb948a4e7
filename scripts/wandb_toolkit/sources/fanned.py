"""A folder's runs read by the workers of a cluster that see the same folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, Run
from wandb_toolkit.sources.around import Around
from wandb_toolkit.workers import Elsewhere

if TYPE_CHECKING:
    from wandb_toolkit.sources.base import Histories, KeyChoice


@dataclass(frozen=True)
class Fanned(Around):
    """A local source whose histories are read elsewhere."""

    elsewhere: Elsewhere

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history in the order of `runs`.

        What a worker could not read is read here again: it may see another folder under the same path.
        """
        ask = _Ask(self.source, keys, system, full)
        found = self.elsewhere.spread(_same, ask, _read, iter(runs), "reads")
        for run, history in zip(runs, found, strict=True):
            if isinstance(history, ToolkitError):
                yield from self.source.histories([run], keys, system=system, full=full)
            else:
                yield run, history


@dataclass(frozen=True)
class _Ask:
    source: Histories
    keys: KeyChoice
    system: bool
    full: bool


def _same(ask: _Ask) -> _Ask:
    return ask


def _read(ask: _Ask, run: Run) -> History | ToolkitError:
    [(_, history)] = ask.source.histories([run], ask.keys, system=ask.system, full=ask.full)
    return history


def fanned(source: Histories, elsewhere: Elsewhere | None) -> Histories:
    """Return the source, read by the cluster, if there is one, where that is possible: a folder that all see.

    A server's and a store's runs are read by this process, which has the key or the copies.
    """
    from wandb_toolkit.sources.local.source import LocalSource

    if type(source) is LocalSource and elsewhere is not None:
        return Fanned(source, elsewhere)
    return source
