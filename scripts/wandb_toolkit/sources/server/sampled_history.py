"""What runs logged, and samples of it, from a W&B server: many metrics and runs in one request.

A sample is asked for metric by metric (a spec each): W&B returns only rows that hold every key of a spec, so metrics
that were logged in separate calls would come back empty together. Whole histories are `api_full`'s subject.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite
from typing import Any

from wandb_toolkit.errors import ServerError, ToolkitError
from wandb_toolkit.model import MetricKind, Run
from wandb_toolkit.sources.columns import INTERNAL
from wandb_toolkit.sources.http.connection import SchemaError
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.project import Place
from wandb_toolkit.sources.server.rows import RowColumns
from wandb_toolkit.sources.wandb_log.records import MEDIA_KINDS, leaves

SAMPLES = 1500  # points of a metric that a sample asks for: what W&B's own line plots ask for
SPECS_A_REQUEST = 60
POINTS_A_REQUEST = 60_000  # some 4 MB
RUNS_A_REQUEST = 20
_MUCH = POINTS_A_REQUEST // 2  # what a server may refuse once more than this was asked for at once
MOST_FAILURES = 20  # runs that fail before any other answered: then the server is out of order

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
class Keys:
    """What `historyKeys` says a run logged. `known` False: the server could not say, `kinds` are a guess or empty."""

    counts: Mapping[str, int] = field(default_factory=dict)  # rows that hold the metric
    kinds: Mapping[str, MetricKind] = field(default_factory=dict)
    last_step: int | None = None
    known: bool = False


def parse_keys(value: Any) -> Keys:
    """Return the meaning of a `historyKeys` field."""
    found = q.decoded(value)
    counts: dict[str, int] = {}
    kinds: dict[str, MetricKind] = {}
    keys = found.get("keys")
    for name, facts in keys.items() if isinstance(keys, dict) else ():
        listed = facts.get("typeCounts") if isinstance(facts, Mapping) else None
        types = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
        sizes = {str(one.get("type")): _count(one.get("count")) for one in types}
        counts[name] = sum(size for kind, size in sizes.items() if _KINDS.get(kind) != "null")
        main = max(sizes, key=lambda kind: (_KINDS.get(kind) != "null", sizes[kind]), default="number")
        if name not in INTERNAL:
            kinds[name] = _KINDS.get(main, "media")
    last = found.get("lastStep")
    whole = int(last) if isinstance(last, (int, float)) and abs(last) < 2**63 else None
    return Keys(counts, kinds, whole, known=isinstance(keys, dict))


def _count(value: object) -> int:
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 2**63 else 0


def with_words(keys: Keys, summary: Mapping[str, Any]) -> Keys:
    """Return the keys, those that are numbers after all: W&B counts NaN and infinity as the strings that its JSON has.

    A metric that never was anything else is typed "string"; the summary's last value tells. `summary` has the words as
    floats.
    """
    number: MetricKind = "number"
    numbers = {
        name: number
        for name, kind in keys.kinds.items()
        if kind == "string" and isinstance(value := summary.get(name), float) and not isfinite(value)
    }
    return replace(keys, kinds={**keys.kinds, **numbers}) if numbers else keys


def guessed_keys(summary: Mapping[str, Any]) -> Keys:
    """Return what a run's summary lets suppose of what it logged, for servers that have no `historyKeys`."""
    kinds: dict[str, MetricKind] = {}
    for name, value in leaves(dict(summary)):
        if name.split(".")[0] in INTERNAL:
            continue
        if isinstance(value, (bool, int, float)):
            kinds[name] = "number"
        elif isinstance(value, Mapping):
            kinds[name] = MEDIA_KINDS.get(str(value.get("_type", "")), "media" if "_type" in value else "object")
        else:
            kinds[name] = "string" if isinstance(value, str) else "list" if isinstance(value, list) else "null"
    return Keys(kinds=kinds)


@dataclass
class Sample:
    """A run's sampled points by metric, and what it logged in all."""

    run: Run
    keys: Keys = field(default_factory=Keys)
    columns: dict[str, RowColumns] = field(default_factory=dict)
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


def history_keys(place: Place, runs: Sequence[Run]) -> list[Keys | ToolkitError]:
    """Return what each run logged, guessed from its summary where the server is too old to say."""
    found: list[Keys | ToolkitError] = []
    for one in sample(place, [Want(run, ()) for run in runs], keys=True):
        if one.error is None and one.keys.known and "string" in one.keys.kinds.values():
            with suppress(ToolkitError):
                one.keys = with_words(one.keys, dict(leaves(dict(one.run.summary))))
        if one.error is None and not one.keys.known:
            try:
                one.keys = guessed_keys(one.run.summary)
            except ToolkitError as error:
                one.error = error
        found.append(one.error or one.keys)
    return found


def sample(place: Place, wants: Sequence[Want], *, keys: bool) -> Iterator[Sample]:
    """Yield a `Sample` for each want, in order; a run that fails carries its error.

    Args:
        place: where the runs are.
        wants: what is wanted; those of one request are answered together.
        keys: ask for `historyKeys` as well.
    """
    requests = _packed(wants)
    results: dict[int, Sample] = {}
    asker = _Asker(place, keys)
    calls = (partial(asker.ask, [(wants[at], metrics) for at, metrics in part]) for part in requests)
    waiting = [0] * len(wants)
    for part in requests:
        for at, _ in part:
            waiting[at] += 1
    done = 0
    for part, answer in zip(requests, place.connection.gather(calls), strict=True):
        outcomes = answer if isinstance(answer, list) else [answer] * len(part)
        for (at, metrics), outcome in zip(part, outcomes, strict=True):
            _take(results.setdefault(at, Sample(wants[at].run)), metrics, outcome)
            waiting[at] -= 1
        while done < len(wants) and not waiting[done]:
            yield results.pop(done)  # not kept here as well: histories are large
            done += 1


def _packed(wants: Sequence[Want]) -> list[list[tuple[int, tuple[str, ...]]]]:
    """Return the requests: (place in `wants`, metrics) of each, within the limits of one request."""
    requests: list[list[tuple[int, list[str]]]] = []
    specs = points = 0
    for at, want in enumerate(wants):
        for metric in want.metrics or [None]:
            size = want.samples if metric is not None else 0
            last = requests[-1] if requests else []
            another = not last or last[-1][0] != at
            full = specs >= SPECS_A_REQUEST or (points and points + size > POINTS_A_REQUEST)
            if not last or full or (another and len(last) >= RUNS_A_REQUEST):
                last = []
                requests.append(last)
                another, specs, points = True, 0, 0
            if another:
                last.append((at, []))
            if metric is not None:
                last[-1][1].append(metric)
                specs, points = specs + 1, points + size
    return [[(at, tuple(metrics)) for at, metrics in part] for part in requests]


Outcome = Mapping[str, Any] | ToolkitError


class _Asker:
    """Asks for the histories of several runs together, and of each alone where that fails on the server's side."""

    def __init__(self, place: Place, keys: bool) -> None:
        self._place = place
        self._keys = keys
        self._answered = False
        self._failed = 0  # runs that failed alone

    def ask(self, part: Sequence[tuple[Want, tuple[str, ...]]]) -> list[Outcome]:
        """Return each run's node, or why there is none."""
        try:
            if not self._answered and self._failed >= MOST_FAILURES:
                raise ServerError(f"Not asked for: the histories of {self._failed} runs before could not be read.")
            found = _ask_together(self._place, part, self._keys)
        except ServerError as error:
            return self._in_pieces(part, error)
        except ToolkitError as error:
            return [error] * len(part)
        self._answered = True
        return found

    def _in_pieces(self, part: Sequence[tuple[Want, tuple[str, ...]]], error: ServerError) -> list[Outcome]:
        if isinstance(error, SchemaError) or (not self._answered and self._failed >= MOST_FAILURES):
            return [error] * len(part)
        if len(part) > 1:
            alone = self._place.connection.gather([partial(self.ask, [one]) for one in part])
            return [outcome for one in alone for outcome in (one if isinstance(one, list) else [one])]
        want, metrics = part[0]
        if len(metrics) > 1 and (len(metrics) > SPECS_A_REQUEST // 2 or len(metrics) * want.samples > _MUCH):
            # perhaps only too much at once
            return [self._halved(want, metrics)]
        self._failed += 1
        return [error]

    def _halved(self, want: Want, metrics: tuple[str, ...]) -> Outcome:
        merged: dict[str, Any] = {}
        rows: list[Any] = []
        for some in (metrics[: len(metrics) // 2], metrics[len(metrics) // 2 :]):
            [found] = self.ask([(want, some)])
            if isinstance(found, ToolkitError):
                return found
            merged |= found
            rows += found.get("sampledHistory") or []
        return {**merged, "sampledHistory": rows}


def _ask_together(place: Place, part: Sequence[tuple[Want, tuple[str, ...]]], keys: bool) -> list[Outcome]:
    labels = part[0][0].run.label if len(part) == 1 else f"{len(part)} runs"

    def document(missing: set[str]) -> tuple[str, dict[str, Any]]:
        specs: dict[str, Any] = {f"n{at}": want.run.id for at, (want, _) in enumerate(part)}
        fields, lists = [], []
        for at, (want, metrics) in enumerate(part):
            asked = ["name"] + ["historyKeys"] * (keys and "historyKeys" not in missing)
            if metrics:
                asked.append(f"sampledHistory(specs: $s{at})")
                lists.append(f"s{at}")
                specs[f"s{at}"] = [want.spec(metric) for metric in metrics]
            fields.append(" ".join(asked))
        return q.each_run_document(fields, lists), specs

    # Several runs are not asked again and again together: one that always fails would hold the others up.
    tries = None if len(part) == 1 else 2
    nodes = place.ask_each([want.run for want, _ in part], document, f"the history of {labels}", tries=tries)
    return [
        node if isinstance(node, ToolkitError) else _compact(node, metrics)
        for node, (_, metrics) in zip(nodes, part, strict=True)
    ]


def _compact(node: Mapping[str, Any], metrics: Sequence[str]) -> Mapping[str, Any]:
    """Return a run's node with its rows, many dicts, as columns."""
    found = []
    for metric, rows in zip(metrics, node.get("sampledHistory") or [], strict=False):
        columns = RowColumns([metric])
        columns.add_rows(rows or [])
        found.append(columns)
    return {**node, "sampledHistory": found}


def _take(result: Sample, metrics: Sequence[str], outcome: Outcome) -> None:
    if isinstance(outcome, ToolkitError):
        result.error = outcome
        return
    if "historyKeys" in outcome:
        result.keys = parse_keys(outcome["historyKeys"])
    result.columns |= zip(metrics, outcome.get("sampledHistory") or [], strict=False)
