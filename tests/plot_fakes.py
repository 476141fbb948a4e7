"""A source with hand-made runs, and what a command printed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

from fake_source import FakeSource
from wandb_toolkit.model import History, MetricKind, Run, Series

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
