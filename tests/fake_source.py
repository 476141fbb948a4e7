"""A source from memory, for tests of what is made of runs; how runs are read is tested on real logs and servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Artifact, History, MetricInfo, Project, Run, RunFile
from wandb_toolkit.resolve import select_runs
from wandb_toolkit.sources.base import KeyChoice, RunQuery


@dataclass
class FakeSource:
    """Runs with their histories by id (an error where it cannot be read), and their files by name."""

    content: list[tuple[Run, History | ToolkitError]]
    stored: Mapping[str, bytes] = field(default_factory=dict)
    facts: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)  # declared, where it is not the true one
    kind: str = "fake"
    description: str = "a fake"
    warnings: tuple[str, ...] = ()
    log: Sequence[str] = ("Traceback (most recent call last):", "ValueError: no such column")
    asked: list[tuple[str, Sequence[str] | None]] = field(default_factory=list)  # run id, and the keys or "console"

    @property
    def all(self) -> list[Run]:
        """The runs, in their order."""
        return [run for run, _ in self.content]

    def projects(self, entity: str | None = None) -> list[Project]:
        return [Project("demo", entity)]

    def runs(self, query: RunQuery) -> list[Run]:
        chosen = select_runs(query.selectors, self.all) if query.selectors else self.all
        return [run for run in chosen if not query.states or run.state in query.states]

    def artifacts(self, run: Run, kind: str | None = None) -> list[Artifact]:
        return []

    def used_artifacts(self, run: Run) -> list[Artifact]:
        return []

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        return list(runs)

    def count(self, query: RunQuery) -> int:
        return len(self.runs(query))

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        return list(dict.fromkeys(name for run in runs for name in run.summary))

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        raise AssertionError(runs, keys)

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        del full
        for run in runs:
            found = next(history for known, history in self.content if known.id == run.id)
            self.asked.append((run.id, None if callable(keys) else keys))
            yield run, found if isinstance(found, ToolkitError) else _narrowed(found, keys, system)

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        found = next(history for known, history in self.content if known.id == run.id)
        assert isinstance(found, History)
        names = {n: k for n, k in found.kinds.items() if system or not n.startswith("system.")}
        return {name: MetricInfo(name, kind, 1, 1) for name, kind in names.items()}

    def environment(self, run: Run) -> dict[str, Any]:
        del run
        return {}

    def files(self, run: Run) -> list[RunFile]:
        del run
        return [
            RunFile(name, self.sizes.get(name, len(data)), name, **self.facts.get(name, {}))
            for name, data in sorted(self.stored.items())
        ]

    def fetch(self, file: RunFile, destination: Path) -> None:
        destination.write_bytes(self.stored[file.location])

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        for run in runs:
            self.asked.append((run.id, ["console"]))
            yield list(self.log[-lines:])


def _narrowed(history: History, keys: KeyChoice, system: bool) -> History:
    """What a source answers: without keys no axis of W&B's own, and system metrics only when asked for."""

    def public(name: str) -> bool:
        return not name.startswith("_") and (system or not name.startswith("system."))

    kinds = {name: kind for name, kind in history.kinds.items() if public(name)}
    if callable(keys):
        chosen = {*keys(kinds), *(name for name in kinds if name.startswith("system."))}
    else:
        chosen = set(kinds) if keys is None else set(keys)
        kinds = {}
    kinds |= {name: kind for name, kind in history.kinds.items() if name in chosen}
    return History({n: s for n, s in history.series.items() if n in chosen}, kinds, 10)
