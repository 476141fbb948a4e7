"""What runs logged, and samples of it, from a W&B server: many metrics and runs in one request.

A sample is asked for metric by metric (a spec each): W&B returns only rows that hold every key of a spec, so metrics
that were logged in separate calls would come back empty together. Whole histories are `api_full`'s subject.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from wandb_toolkit.errors import NotFoundError, ServerError, ToolkitError
from wandb_toolkit.model import MetricKind, Run
from wandb_toolkit.sources import api_queries as q
from wandb_toolkit.sources.columns import INTERNAL
from wandb_toolkit.sources.records import MEDIA_KINDS
from wandb_toolkit.sources.transport import Connection, SchemaError

SAMPLES = 1500  # points of a metric that a sample asks for: what W&B's own line plots ask for
SPECS_A_REQUEST = 60
RUNS_A_REQUEST = 20

_KINDS: Mapping[str, MetricKind] = {
    "number": "number",
    "bool": "number",
    "boolean": "number",
    "string": "string",
    "list": "list",
    "array": "list",
    "map": "object",
    "object": "object",
    "nil": "null",
    "null": "null",
    **MEDIA_KINDS,
}


@dataclass(frozen=True)
class Place:
    """The project that is asked."""

    connection: Connection
    entity: str
    project: str

    def ask(self, query: str, what: str, **variables: Any) -> dict[str, Any]:
        """Return the answer's project node.

        Raises:
            NotFoundError: there is none, or the key may not see it.
            ToolkitError: what else the connection raises.
        """
        data = self.connection.graphql(query, {"entity": self.entity, "project": self.project, **variables}, what)
        project = data.get("project")
        if project is None:
            raise NotFoundError(f"There is no project {self.entity}/{self.project}, or it is not yours to see.")
        return dict(project)


@dataclass(frozen=True)
class Keys:
    """What `historyKeys` says a run logged. `known` False: the server could not say."""

    counts: Mapping[str, int] = field(default_factory=dict)  # rows that hold the metric
    kinds: Mapping[str, MetricKind] = field(default_factory=dict)
    last_step: int | None = None
    known: bool = False


def parse_keys(value: Any) -> Keys:
    """Return the meaning of a `historyKeys` field."""
    found = q.decoded(value)
    counts: dict[str, int] = {}
    kinds: dict[str, MetricKind] = {}
    for name, facts in (found.get("keys") or {}).items():
        types = [one for one in (facts or {}).get("typeCounts") or () if isinstance(one, Mapping)]
        sizes = {str(one.get("type")): int(one.get("count") or 0) for one in types}
        main = max(sizes, key=lambda kind: sizes[kind], default="number")
        counts[name] = sum(sizes.values())
        if name not in INTERNAL:
            kinds[name] = _KINDS.get(main, "media")
    last = found.get("lastStep")
    return Keys(counts, kinds, int(last) if isinstance(last, (int, float)) else None, known="keys" in found)


@dataclass
class Sample:
    """A run's sampled rows by metric, and what it logged in all."""

    run: Run
    keys: Keys = field(default_factory=Keys)
    rows: dict[str, list[Any]] = field(default_factory=dict)
    error: ToolkitError | None = None


@dataclass(frozen=True)
class Want:
    """Metrics of one run, and the steps they are wanted from."""

    run: Run
    metrics: tuple[str, ...]
    samples: int = SAMPLES
    min_step: int | None = None
    max_step: int | None = None  # inclusive, as W&B has it

    def spec(self, metric: str) -> str:
        """Return the spec of one metric."""
        spec: dict[str, Any] = {"keys": list(dict.fromkeys(["_step", metric])), "samples": self.samples}
        if self.min_step is not None:
            spec["minStep"] = self.min_step
        if self.max_step is not None:
            spec["maxStep"] = self.max_step
        return json.dumps(spec)


def history_keys(place: Place, runs: Sequence[Run]) -> dict[str, Keys]:
    """Return what each run logged, by run id; a run that cannot be asked has `Keys()`."""
    return {one.run.id: one.keys for one in sample(place, [Want(run, ()) for run in runs])}


def sample(place: Place, wants: Sequence[Want], *, keys: bool = True) -> Iterator[Sample]:
    """Yield a `Sample` for each want, in order; a run that fails carries its error.

    Args:
        place: where the runs are.
        wants: what is wanted; those of one request are answered together.
        keys: ask for `historyKeys` as well.
    """
    requests = _packed(wants)
    results = [Sample(want.run) for want in wants]
    calls = [partial(_ask, place, [(wants[at], metrics) for at, metrics in part], keys) for part in requests]
    waiting = [sum(1 for part in requests for at, _ in part if at == place_) for place_ in range(len(wants))]
    done = 0
    for part, answer in zip(requests, place.connection.gather(calls), strict=True):
        for (at, metrics), outcome in zip(
            part, answer if isinstance(answer, list) else [answer] * len(part), strict=True
        ):
            _take(results[at], metrics, outcome)
            waiting[at] -= 1
        while done < len(wants) and not waiting[done]:
            yield results[done]
            done += 1
    yield from results[done:]


def _packed(wants: Sequence[Want]) -> list[list[tuple[int, tuple[str, ...]]]]:
    """Return the requests: (place in `wants`, metrics) of each, within the limits of one request."""
    requests: list[list[tuple[int, tuple[str, ...]]]] = []
    room = specs = 0
    for at, want in enumerate(wants):
        for metrics in q.chunks(want.metrics, SPECS_A_REQUEST) or [()]:
            if not room or specs + len(metrics) > SPECS_A_REQUEST:
                requests.append([])
                room, specs = RUNS_A_REQUEST, 0
            requests[-1].append((at, tuple(metrics)))
            room, specs = room - 1, specs + len(metrics)
    return requests


Outcome = Mapping[str, Any] | ToolkitError


def _ask(place: Place, part: Sequence[tuple[Want, tuple[str, ...]]], keys: bool) -> list[Outcome]:
    """Return each run's node. Where the request as a whole fails on the server's side, each run is asked alone."""
    try:
        return _ask_together(place, part, keys)
    except SchemaError as error:
        if not keys:
            return [error] * len(part)
        return _ask(place, part, keys=False)  # an older server
    except ServerError as error:
        if len(part) == 1:
            return [error]
        return [outcome for one in part for outcome in _ask(place, [one], keys)]
    except ToolkitError as error:
        return [error] * len(part)


def _ask_together(place: Place, part: Sequence[tuple[Want, tuple[str, ...]]], keys: bool) -> list[Outcome]:
    specs: dict[str, Any] = {}
    fields = []
    for at, (want, metrics) in enumerate(part):
        asked = ["name"] + ["historyKeys"] * keys
        if metrics:
            asked.append(f"sampledHistory(specs: $s{at})")
            specs[f"s{at}"] = [want.spec(metric) for metric in metrics]
        fields.append(" ".join(asked))
    project = place.ask(
        q.each_run_document(fields, list(specs)),
        f"histories of {len(part)} runs",
        **{f"n{at}": want.run.id for at, (want, _) in enumerate(part)},
        **specs,
    )
    missing = NotFoundError("The run is not there any more.")
    return [project.get(f"r{at}") or missing for at in range(len(part))]


def _take(result: Sample, metrics: Sequence[str], outcome: Outcome) -> None:
    if isinstance(outcome, ToolkitError):
        result.error = outcome
        return
    if "historyKeys" in outcome:
        result.keys = parse_keys(outcome["historyKeys"])
    answers = outcome.get("sampledHistory") or []
    for metric, rows in zip(metrics, answers, strict=False):
        result.rows[metric] = list(rows or [])
