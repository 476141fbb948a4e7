"""A source with hand-made runs, and what a command printed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, MetricInfo, MetricKind, Project, Run, RunFile, Series
from wandb_toolkit.resolve import select_runs
from wandb_toolkit.sources.base import KeyChoice, RunQuery

SCHEMAS = Path(__file__).parent.parent / "docs" / "schemas"


def make_run(id_: str = "abc123", name: str = "first", **more: Any) -> Run:
    facts: dict[str, Any] = {"entity": None, "project": "demo", "state": "finished"}
    start = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    return Run(id=id_, name=name, created_at=start, **{**facts, **more})


def line(name: str, value: Sequence[float], x: Sequence[float] | None = None, axis: str = "_step") -> Series:
    places = np.arange(len(value), dtype=float) if x is None else np.asarray(x, dtype=float)
    return Series(name, places, np.asarray(value, dtype=float), axis)


def make_history(*series: Series, **kinds: MetricKind) -> History:
    return History({one.name: one for one in series}, {**{one.name: "number" for one in series}, **kinds})


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

    def projects(self, entity: str | None = None) -> list[Project]:
        raise AssertionError(entity)

    def runs(self, query: RunQuery) -> list[Run]:
        runs = [run for run, _ in self.content]
        return select_runs(query.selectors, runs) if query.selectors else runs

    def count(self, query: RunQuery) -> int:
        return len(self.runs(query))

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        raise AssertionError(runs)

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        raise AssertionError(runs, keys)

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        del full
        for run in runs:
            found = next(history for known, history in self.content if known.id == run.id)
            yield run, found if isinstance(found, ToolkitError) else _narrowed(found, keys, system)

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        found = next(history for known, history in self.content if known.id == run.id)
        assert isinstance(found, History)
        names = {n: k for n, k in found.kinds.items() if system or not n.startswith("system.")}
        return {name: MetricInfo(name, kind, 1, 1) for name, kind in names.items()}

    def files(self, run: Run) -> list[RunFile]:
        del run
        return [
            RunFile(name, self.sizes.get(name, len(data)), name, **self.facts.get(name, {}))
            for name, data in sorted(self.stored.items())
        ]

    def fetch(self, file: RunFile, destination: Path) -> None:
        destination.write_bytes(self.stored[file.location])

    def console(self, run: Run, lines: int = 50) -> list[str]:
        raise AssertionError(run, lines)


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


def many(metrics: int, runs: int = 2) -> FakeSource:
    """Return a source of `runs` runs with `metrics` sines of 60 points each."""
    content: list[tuple[Any, Any]] = []
    for at in range(runs):
        series = [line(f"train/m{i:02}", [math.sin(i + at + step / 9) for step in range(60)]) for i in range(metrics)]
        content.append((make_run(f"id{at}", f"run-{at}", group="g", config={"lr": at}), make_history(*series)))
    return FakeSource(content)


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err.splitlines()[-1]) if self.err.count("\n") == 1 else json.loads(self.err)


def call(
    main: Callable[[Sequence[str]], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: FakeSource | None,
    *argv: str | Path,
) -> Outcome:
    """Run a command on a fake source (None: on what its arguments name)."""
    if source is not None:
        monkeypatch.setattr("wandb_toolkit.sources.open_source", lambda *_, **__: (source, ()))
    code = main([str(word) for word in argv])
    captured = capsys.readouterr()
    return Outcome(code, captured.out, captured.err)


def check_schema(name: str, payload: Any) -> None:
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(payload)
