"""Histories and statistics of runs on a server: samples of many runs together, or each run whole and from the cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import History, MetricInfo, MetricKind, Run, Series
from wandb_toolkit.sources.base import KeyChoice
from wandb_toolkit.sources.columns import INTERNAL
from wandb_toolkit.sources.history import SYSTEM, Merged, as_history, merge_columns, metric_infos, natural
from wandb_toolkit.sources.http.cache import Cache
from wandb_toolkit.sources.memory import give_back_large
from wandb_toolkit.sources.server import queries as q
from wandb_toolkit.sources.server.exports import Exports, exports_of, exports_together
from wandb_toolkit.sources.server.full_history import last_step, read_full
from wandb_toolkit.sources.server.project import Place
from wandb_toolkit.sources.server.sampled_history import SAMPLES, Keys, Sample, Want, history_keys, sample
from wandb_toolkit.sources.server.system_metrics import system_series
from wandb_toolkit.sources.threads import gather

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

BUDGET = 20_000_000  # points of a run that are read whole for its statistics; above, samples
ENDED = frozenset({"finished", "crashed", "failed", "killed"})
RUNS_TOGETHER = 100  # what they logged is in memory at once
WHOLE_TOGETHER = 3  # runs read whole at once, and as many again wait to be taken
POINTS_TOGETHER = 3_000_000  # of a run's statistics: about 100 bytes each while they are read
SMALL = 50_000  # points of a run up to which more are read at once, and kept in one entry of the cache
SMALL_TOGETHER = 12

System: TypeAlias = "dict[str, Series] | ToolkitError"


@dataclass(frozen=True)
class Options:
    """How much is read."""

    budget: int = BUDGET
    samples: int = SAMPLES


class Reader:
    """Reads the histories of runs of one place."""

    def __init__(self, place: Place, cache: Cache, options: Options) -> None:
        self._place = place
        self._cache = cache
        self._options = options

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice, *, system: bool, full: bool
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history; `full` False: samples, many metrics and runs in a request."""
        for some in q.chunks(runs, RUNS_TOGETHER):
            yield from self._some(some, keys, system, full)

    def _some(
        self, runs: Sequence[Run], keys: KeyChoice, system: bool, full: bool
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        names: Sequence[Sequence[str] | None]
        if keys is None or callable(keys):
            events = self._events(runs, None, full) if system else [{}] * len(runs)
            shown = history_keys(self._place, runs)
            names = [
                None if isinstance(one, ToolkitError) else list(keys(one.kinds)) if callable(keys) else numeric(one)
                for one in shown
            ]
        else:
            wanted = [key for key in keys if key.startswith(SYSTEM)]
            plain = [key for key in keys if not key.startswith(SYSTEM)]
            which = None if system else wanted
            events = self._events(runs, which, full) if system or wanted else [{}] * len(runs)
            if wanted and not plain:  # nothing else is asked for
                for run, own in zip(runs, events, strict=True):
                    yield run, own if isinstance(own, ToolkitError) else _with(own, History({}, rows=run.rows or 0))
                return
            names = [plain] * len(runs)
            shown = history_keys(self._place, runs) if full else [Keys()] * len(runs)
        read = self._whole(runs, names, shown) if full else self._sampled(runs, names, shown)
        for extra, (run, history) in zip(events, read, strict=True):
            yield run, history if isinstance(history, ToolkitError) else _with(extra, history)

    def _events(self, runs: Sequence[Run], wanted: Sequence[str] | None, full: bool) -> list[System]:
        """Return each run's system metrics, those of `wanted` (None: all)."""
        return [
            found
            if isinstance(found, ToolkitError) or wanted is None
            else {name: one for name, one in found.items() if name in wanted}
            for found in system_series(self._place, runs, full=full)
        ]

    def _sampled(
        self, runs: Sequence[Run], names: Sequence[Sequence[str] | None], shown: Sequence[Keys | ToolkitError]
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        known = [one for one in shown if isinstance(one, Keys)]
        asked = not any(one.kinds or one.known for one in known)  # nobody has asked yet what there is
        wants = [Want(run, tuple(wanted or ()), self._options.samples) for run, wanted in zip(runs, names, strict=True)]
        kept = [
            self._kept(want, keys) if isinstance(keys, Keys) else None for want, keys in zip(wants, shown, strict=True)
        ]
        unread = [
            want
            for want, keys, history in zip(wants, shown, kept, strict=True)
            if history is None and isinstance(keys, Keys)
        ]
        answers = sample(self._place, unread, keys=asked)
        for want, keys, history in zip(wants, shown, kept, strict=True):
            if isinstance(keys, ToolkitError):
                yield want.run, keys
            elif history is not None:
                yield want.run, history
            else:
                yield want.run, self._taken(next(answers), want, None if asked else keys)

    def _taken(self, answer: Sample, want: Want, keys: Keys | None) -> History | ToolkitError:
        """Return what came; `keys`: what the run logged, None where the answer says it."""
        if answer.error is not None:
            return answer.error
        keys = keys or answer.keys
        history = _sampled_history(answer, keys, want.metrics, want.samples)
        self._keep_sample(want, keys, history)
        return history

    def _sample_key(self, want: Want, keys: Keys) -> list[object] | None:
        counted = [[name, keys.counts.get(name)] for name in want.metrics]
        return self._key(want.run, keys, ["sample", want.samples, counted])

    def _kept(self, want: Want, keys: Keys) -> History | None:
        """Return the sample that was taken of an ended run before, None where there is none."""
        key = self._sample_key(want, keys)
        arrays = self._cache.get(key) if key and want.metrics else None
        if arrays is None:
            return None
        series = {}
        for at, name in enumerate(want.metrics):
            x, value = arrays.get(f"x{at}"), arrays.get(f"value{at}")
            if x is None or value is None:
                continue
            if len(x) != len(value):
                return None
            total = _sampled_of(keys.counts.get(name), len(x), want.samples)
            series[name] = Series(name, x, value, total=total)
        kinds: dict[str, MetricKind] = {**keys.kinds, **dict.fromkeys(series, "number")}
        return History(series, kinds=kinds, rows=want.run.rows or 0)

    def _keep_sample(self, want: Want, keys: Keys, history: History) -> None:
        key = self._sample_key(want, keys)
        if key and want.metrics:
            arrays: dict[str, FloatArray] = {}
            for at, name in enumerate(want.metrics):
                if name in history.series:
                    arrays |= {f"x{at}": history.series[name].x, f"value{at}": history.series[name].value}
            self._cache.put(key, arrays)

    def _whole(
        self, runs: Sequence[Run], names: Sequence[Sequence[str] | None], shown: Sequence[Keys | ToolkitError]
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield the whole histories; where all runs are small, what they have in the cache is looked up beforehand."""
        if all(isinstance(keys, ToolkitError) or _is_small(keys) for keys in shown):
            cached = [
                {} if isinstance(keys, ToolkitError) else self._cached(run, wanted or (), keys)
                for run, wanted, keys in zip(runs, names, shown, strict=True)
            ]
            unread = [
                run
                for run, wanted, keys, had in zip(runs, names, shown, cached, strict=True)
                if isinstance(keys, Keys) and _unread(wanted or (), keys, had)
            ]
            exports = exports_together(self._place, unread) if len(unread) > 1 else {}
            small = (
                partial(self._read, run, wanted, keys, had, exports.get(run.id))
                for run, wanted, keys, had in zip(runs, names, shown, cached, strict=True)
            )
            yield from zip(runs, gather(small, SMALL_TOGETHER), strict=True)
            return
        calls = (partial(self._read, *of) for of in zip(runs, names, shown, strict=True))
        yield from zip(runs, gather(calls, WHOLE_TOGETHER), strict=True)

    def _read(
        self,
        run: Run,
        wanted: Sequence[str] | None,
        keys: Keys | ToolkitError,
        cached: Mapping[str, Series] | None = None,
        exports: Exports | None = None,
    ) -> History:
        """Return the whole of the wanted metrics: from the cache what an ended run had, the rest from the server."""
        if isinstance(keys, ToolkitError):
            raise keys
        names = list(wanted or ())
        cached = self._cached(run, names, keys) if cached is None else cached
        unread = _unread(names, keys, cached)
        merged = Merged({}, {}, {}, 0)
        if unread:
            merged = merge_columns(read_full(self._place, run, unread, keys, exports))
            self._keep(run, keys, {name: merged.series[name] for name in unread if name in merged.series})
        series = {**cached, **merged.series}
        kinds: dict[str, MetricKind] = {**dict.fromkeys(cached, "number"), **merged.kinds}
        both = Merged({name: series[name] for name in names if name in series}, kinds, merged.non_null, merged.rows)
        history = as_history(both, {}, names)
        return replace(history, kinds={**keys.kinds, **history.kinds}, rows=run.rows or merged.rows)

    # What an ended run logged does not change. Were it resumed or rewound, its times, rows or counts would be others.

    def _key(self, run: Run, keys: Keys, what: Sequence[object]) -> list[object] | None:
        if run.state not in ENDED or run.last_activity is None or not keys.known:
            return None
        host = self._place.connection.credentials.base_url
        place = [host, self._place.entity, self._place.project, run.id]
        return [*place, run.created_at, run.last_activity, run.rows, run.steps, keys.last_step, *what]

    def _cached(self, run: Run, names: Sequence[str], keys: Keys) -> dict[str, Series]:
        """Return those of the metrics that are in the cache: a small run's in one entry, a large one's one by one."""
        found: dict[str, Series] = {}
        if _is_small(keys):
            key = self._key(run, keys, ["small", sorted(keys.counts.items())])
            arrays = (self._cache.get(key) if key and names else None) or {}
            entries = {name: _entry(arrays, _part(name)) for name in names}
        else:
            entries = {name: self._alone(run, name, keys) for name in names}
        for name, pair in entries.items():
            if pair is not None:
                found[name] = Series(name, *pair)
        return found

    def _alone(self, run: Run, name: str, keys: Keys) -> tuple[FloatArray, FloatArray] | None:
        key = self._key(run, keys, ["series", name, keys.counts.get(name)])
        arrays = self._cache.get(key) if key else None
        return _entry(arrays, "") if arrays else None

    def _keep(self, run: Run, keys: Keys, series: Mapping[str, Series]) -> None:
        if _is_small(keys):
            key = self._key(run, keys, ["small", sorted(keys.counts.items())])
            if key and series:
                arrays = dict(self._cache.get(key) or {})
                for name, one in series.items():
                    arrays |= {f"x{_part(name)}": one.x, f"value{_part(name)}": one.value}
                self._cache.put(key, arrays)
            return
        for name, one in series.items():
            key = self._key(run, keys, ["series", name, keys.counts.get(name)])
            if key:
                self._cache.put(key, {"x": one.x, "value": one.value})

    def metrics(self, run: Run, *, system: bool) -> Mapping[str, MetricInfo]:
        """Return what the run logged, exact from its whole history, or from samples where that is over the budget."""
        [keys] = history_keys(self._place, [run])
        if isinstance(keys, ToolkitError):
            raise keys
        whole = self._points(run, keys) <= self._options.budget
        infos = self._statistics(run, keys) if whole else self._estimates(run, keys)
        if not system:
            return infos
        [events] = system_series(self._place, [run])
        if isinstance(events, ToolkitError):
            raise events
        extra = metric_infos(Merged({}, {}, {}, 0), events)
        return {**infos, **{name: replace(one, exact=not events[name].sampled) for name, one in extra.items()}}

    def _points(self, run: Run, keys: Keys) -> int:
        """Return how many points the run's numeric metrics have, at most so many where the server cannot say."""
        if keys.known:
            return sum(keys.counts.get(name, 0) for name in numeric(keys))
        return (last_step(self._place, run, keys) + 1) * max(len(keys.kinds), 1)

    def _statistics(self, run: Run, keys: Keys) -> dict[str, MetricInfo]:
        key = self._key(run, keys, ["statistics", sorted(keys.counts.items())])
        text = self._cache.get_text(key) if key else None
        if text is not None:
            return {one["name"]: MetricInfo(**one) for one in json.loads(text)}
        infos: dict[str, MetricInfo] = {}
        exports = exports_of(self._place, run)
        parts = self._portions(run, keys, exports)
        if len(parts) > 1:
            give_back_large()
        for names in parts:
            columns = merge_columns(read_full(self._place, run, names, keys, exports))
            rest = _not_in(columns.series, keys)
            if len(parts) > 1:
                rest = {name: kind for name, kind in rest.items() if name in (names or ())}
            kinds = {**columns.kinds, **rest}
            infos |= _infos(run, keys, columns, kinds)
            del columns  # before the next is read
        if len(parts) > 1:
            infos |= _infos(run, keys, Merged({}, {}, {}, 0), _not_in(infos, keys))
            infos = dict(sorted(infos.items(), key=lambda pair: natural(pair[0])))
        if key:
            self._cache.put_text(key, json.dumps([asdict(one) for one in infos.values()]))
        return infos

    def _portions(self, run: Run, keys: Keys, exports: Exports) -> list[list[str] | None]:
        """Return the metrics, a part at a time: those of which as many points as may be are in memory together."""
        if not keys.known:
            return [None]
        names = numeric(keys)
        if not exports.urls or not run.rows:
            return [names]
        parts: list[list[str] | None] = []
        part: list[str] = []
        points = 0
        for name in names:
            points += keys.counts.get(name, 0)
            if part and points > POINTS_TOGETHER:
                parts.append(part)
                part, points = [], keys.counts.get(name, 0)
            part.append(name)
        return [*parts, part]

    def _estimates(self, run: Run, keys: Keys) -> dict[str, MetricInfo]:
        [found] = sample(self._place, [Want(run, tuple(numeric(keys)), self._options.samples)], keys=False)
        if found.error is not None:
            raise found.error
        columns = merge_columns(list(found.columns.values()))
        kinds = {**columns.kinds, **keys.kinds}
        counted = {name: keys.counts.get(name, columns.non_null.get(name, 0)) for name in kinds}
        infos = metric_infos(Merged(columns.series, kinds, counted, run.rows or columns.rows), {})
        numbers = {name: len(one) for name, one in columns.series.items()}
        return {  # a metric of few points comes whole
            name: replace(one, exact=one.kind != "number" or numbers.get(name, 0) >= keys.counts.get(name, math.inf))
            for name, one in infos.items()
        }


def _not_in(there: Collection[str], keys: Keys) -> dict[str, MetricKind]:
    return {name: kind for name, kind in keys.kinds.items() if name not in there}


def _infos(run: Run, keys: Keys, columns: Merged, kinds: Mapping[str, MetricKind]) -> dict[str, MetricInfo]:
    """Return the statistics of the metrics in `kinds`, of which the columns hold the numeric ones' points."""
    non_null = {**keys.counts, **{name: len(one) for name, one in columns.series.items()}}
    counted = {name: non_null.get(name, columns.non_null.get(name, 0)) for name in kinds}
    return metric_infos(Merged(columns.series, kinds, counted, run.rows or columns.rows), {})


def _is_small(keys: Keys) -> bool:
    return keys.known and sum(keys.counts.get(name, 0) for name in numeric(keys)) <= SMALL


def _unread(names: Sequence[str], keys: Keys, cached: Mapping[str, Series]) -> list[str]:
    return [name for name in names if name not in cached and (not keys.known or keys.counts.get(name))]


def _part(name: str) -> str:
    """Return what a metric's arrays are called in an entry of several: names may hold anything."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def _entry(arrays: Mapping[str, FloatArray], part: str) -> tuple[FloatArray, FloatArray] | None:
    x, value = arrays.get(f"x{part}"), arrays.get(f"value{part}")
    return (x, value) if x is not None and value is not None and len(x) == len(value) else None


def numeric(keys: Keys) -> list[str]:
    """Return the metrics that are numbers."""
    return [name for name, kind in keys.kinds.items() if kind == "number" and name not in INTERNAL]


def _with(system: System, history: History) -> History:
    if isinstance(system, ToolkitError):
        return replace(history, warnings=(*history.warnings, system.message))
    return replace(
        history, series={**history.series, **system}, kinds={**history.kinds, **dict.fromkeys(system, "number")}
    )


def _sampled_of(total: int | None, numbers: int, size: int) -> int | None:
    """Return how many points were logged where a sample of `size` leaves some out, None where it is complete.

    The server's count is of all values: fewer numbers than that may be because the others are strings.
    """
    return total if total is not None and total > max(numbers, size) else None


def _sampled_history(found: Sample, keys: Keys, names: Sequence[str], size: int) -> History:
    merged = merge_columns(list(found.columns.values()))
    history = as_history(merged, {}, names)
    series = {}
    for name, one in history.series.items():
        total = keys.counts.get(name)
        if total is None and len(one) >= size:  # an older server: as many as there were steps, at most
            total = found.run.rows or max((found.run.steps or 0) + 1, len(one) + 1)
        series[name] = replace(one, total=_sampled_of(total, len(one), size))
    return replace(history, series=series, kinds={**keys.kinds, **history.kinds}, rows=found.run.rows or merged.rows)
