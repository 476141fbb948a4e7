"""The protocol that every source of runs keeps, and the query it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from wandb_toolkit.errors import NotFoundError, ToolkitError, UsageError, did_you_mean
from wandb_toolkit.model import Artifact, History, MetricInfo, MetricKind, Project, Run, RunFile
from wandb_toolkit.sources.run_filter import RunFilter
from wandb_toolkit.sources.wandb_log.records import leaves


@dataclass(frozen=True)
class RunQuery:
    """Which runs to list. Conditions hold together; within one, any of its values will do."""

    states: frozenset[str] = frozenset()  # empty: any
    tags: frozenset[str] = frozenset()  # any of these tags
    group: str | None = None
    sweep: str | None = None
    where: RunFilter | None = None  # --filter
    selectors: tuple[str, ...] = ()  # run ids, display names, globs, latest, latest:N, tag:x, group:x, sweep:x
    order: str = (
        "-created_at"  # "+" or "-" (default) before created_at, heartbeat_at, name, summary_metrics.X, config.X
    )
    limit: int | None = None
    names: bool = False  # `summary_names` of the result will be asked for


METADATA = "wandb-metadata.json"  # among a run's files: what it ran, where, and on what
MOST_METADATA = 1_000_000  # bytes of it that are read

# Which metrics to read: names, all (None), or a function that chooses once it is known what kind each logged key is.
KeyChoice: TypeAlias = "Sequence[str] | Callable[[Mapping[str, MetricKind]], Sequence[str]] | None"


class Histories(Protocol):
    """What a report needs of a source: what chosen runs logged. Foreign errors leave it as `ToolkitError`s."""

    @property
    def kind(self) -> str:
        """ "local" or "api": ask this, not what a run's fields look like."""
        ...

    @property
    def description(self) -> str:
        """What the user named, for messages."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be looked into, so far."""
        ...

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs with their configs and axes as plain dicts, fetched now for all of them together.

        What computes is given such runs: looking at an attribute then costs nothing and cannot fail.
        """
        ...

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history in the order of `runs`; an error concerns that run only.

        `keys` None reads every numeric metric; with a function, `History.kinds` holds what it was shown. `system` adds
        the system metrics (``system.cpu`` ...); a key that starts with ``system.`` is read in any case. `full` False
        allows a sample where the whole is costly.
        """
        ...

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield the last lines of each run's console output, in the order of `runs`; an error concerns that run only.

        [] where nothing was kept. Control characters are removed.
        """
        ...


class Source(Histories, Protocol):
    """A place that holds runs."""

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the projects, most recently active first."""
        ...

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order.

        Raises:
            NotFoundError: a selector matches nothing (the nearest names are in the hint).
            UsageError: a display name stands for several runs (the candidates are in the hint).
        """
        ...

    def count(self, query: RunQuery) -> int:
        """Return how many runs match, whatever the query's limit. Costs nothing behind `runs` with the same query."""
        ...

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the flat names of the summary metrics that the runs are likely to have."""
        ...

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it (None: all); an absent key is absent."""
        ...

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged, by name."""
        ...

    def environment(self, run: Run) -> dict[str, Any]:
        """Return program, arguments, git, Python and hardware, named as in wandb-metadata.json; {} where unknown."""
        ...

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, sorted by name."""
        ...

    def artifacts(self, run: Run, kind: str | None = None) -> list[Artifact]:
        """Return the artifacts that the run logged, of one type or all, in their order: on a server the newest 100."""
        ...

    def used_artifacts(self, run: Run) -> list[Artifact]:
        """Return the artifacts that the run used, with their versions and without files; [] where none is recorded."""
        ...

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Write the file's bytes to `destination` (which the caller makes temporary)."""
        ...


def console_of(source: Histories, run: Run, lines: int = 50) -> list[str]:
    """Return the last lines of one run's console output.

    Raises:
        ToolkitError: it cannot be read.
    """
    [found] = source.consoles([run], lines)
    if isinstance(found, ToolkitError):
        raise found
    return found


def history_of(source: Source, run: Run, keys: Sequence[str] | None = None, *, system: bool = False) -> History:
    """Return one run's complete history.

    Raises:
        ToolkitError: it could not be read.
    """
    for _, history in source.histories([run], keys, system=system):
        if isinstance(history, ToolkitError):
            raise history
        return history
    raise AssertionError("histories() yields once for each run")


def filter_runs(runs: Sequence[Run], query: RunQuery) -> list[Run]:
    """Return the runs that meet the query's conditions (selectors, order and limit are not looked at)."""
    return [
        run
        for run in runs
        if (not query.states or run.state in query.states)
        and (not query.tags or query.tags & set(run.tags))
        and query.group in (None, run.group)
        and query.sweep in (None, run.sweep)
        and (query.where is None or query.where.matches(run))
    ]


def order_runs(runs: Sequence[Run], order: str) -> list[Run]:
    """Return the runs in order; those without the value come last, whatever the direction.

    Raises:
        UsageError: nobody can order by that.
        NotFoundError: no run has the summary metric or config key.
    """
    descending = not order.startswith("+")
    key = order.lstrip("+-")
    values = [(_order_value(run, key), run) for run in runs]
    prefix, _, name = key.partition(".")
    if runs and name and all(value is None for value, _ in values):
        trees = [run.summary if prefix == "summary_metrics" else run.config for run in runs]
        names = dict.fromkeys(found for tree in trees for found, _ in leaves(dict(tree)) if not found.startswith("_"))
        what = "summary metric" if prefix == "summary_metrics" else "config key"
        raise NotFoundError(f"No run has the {what} {name!r} to order by.", did_you_mean(name, names, what))
    kinds = {isinstance(value, str) for value, _ in values if value is not None}
    known = [(str(value) if len(kinds) > 1 else value, run) for value, run in values if value is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].id), reverse=descending)
    return [run for _, run in known] + [run for value, run in values if value is None]


def _order_value(run: Run, key: str) -> float | str | None:
    moments = {"created_at": run.created_at, "heartbeat_at": run.last_activity}
    if key in moments:
        moment = moments[key]
        return moment.timestamp() if moment else None
    if key in ("name", "duration", "steps", "state"):
        value: object = getattr(run, key)
        return value if isinstance(value, (int, float, str)) else None
    for prefix, tree in (("summary_metrics.", run.summary), ("config.", run.config)):
        if key.startswith(prefix):
            return _leaf(tree, key.removeprefix(prefix).removesuffix(".value"))
    raise UsageError(
        f"Cannot order by {key!r}.",
        "Order by created_at, heartbeat_at, name, duration, steps, summary_metrics.X or config.X, after + or -; "
        "list_runs also by best.X, min.X, max.X, mean.X and last.X of whole histories.",
    )


def _leaf(tree: Mapping[str, object], key: str) -> float | str | None:
    """Return the number or text under a dotted key, None where there is none (NaN counts as none)."""
    node: object = tree.get(key)
    if node is None:
        node = tree
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
    if isinstance(node, (int, float)):
        return None if node != node else float(node)
    return node if isinstance(node, str) else None
