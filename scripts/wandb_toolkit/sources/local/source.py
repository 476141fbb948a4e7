"""Local W&B run directories and `.wandb` logs as a source. Needs no account, no network, and no wandb package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Protocol

from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Artifact, History, MetricInfo, Project, Run, RunFile
from wandb_toolkit.resolve import select_runs
from wandb_toolkit.sources.base import METADATA, KeyChoice, RunQuery, filter_runs, order_runs
from wandb_toolkit.sources.columns import INTERNAL
from wandb_toolkit.sources.console import last_lines, tail
from wandb_toolkit.sources.history import SYSTEM, as_history, merge_history, merge_system, metric_infos
from wandb_toolkit.sources.local.artifacts import list_artifacts, list_used
from wandb_toolkit.sources.local.columns_store import ColumnStore, Pieces
from wandb_toolkit.sources.local.files import list_files
from wandb_toolkit.sources.local.index import Logs, Texts
from wandb_toolkit.sources.local.run import build_run, started_beside
from wandb_toolkit.sources.local.run_dirs import Found, RunDir, find_run_dirs, own_file, read_json
from wandb_toolkit.sources.wandb_log.records import RunFields, leaves
from wandb_toolkit.sources.wandb_log.scan import LogScan, read_environment, read_head, scan_log

_Key = tuple[str, str, str]  # entity, project, run id


class Kept(Texts, Pieces, Protocol):
    """A cache, as sources/http/cache has it."""


class LocalSource:
    """The runs at or below a path, `entity` and `project` narrowing them where given."""

    kind = "local"

    def __init__(
        self, path: Path, entity: str | None = None, project: str | None = None, cache: Kept | None = None
    ) -> None:
        self.path = path
        self.description = str(path)
        self._entity = None if entity == "local" else entity
        self._project = project
        self._found: Found | None = None
        self._groups: dict[_Key, list[RunDir]] = {}
        self._started: dict[_Key, float] = {}  # the first start, Unix seconds
        self._names: set[str] = set()  # display names, by the first records
        self._runs: dict[_Key, Run] = {}
        self._dirs: dict[tuple[str, ...], list[RunDir]] = {}
        self._logs = Logs(cache, path)
        self._columns = ColumnStore(cache)
        self._said: list[str] = []  # what reading a run's metrics came upon

    @property
    def warnings(self) -> tuple[str, ...]:
        """What could not be looked into, and what else is worth knowing, so far."""
        return (*self._search().warnings, *self._said)

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the projects, most recently active first."""
        grouped: dict[tuple[str | None, str | None], list[Run]] = {}
        for run in self._all():
            if entity is None or entity == (run.entity or "local"):
                grouped.setdefault((run.entity, run.project), []).append(run)
        projects = []
        for (owner, name), runs in grouped.items():
            starts = [run.created_at for run in runs if run.created_at]
            ends = [run.last_activity for run in runs if run.last_activity]
            projects.append(
                Project(
                    name=name or "(no project)",
                    entity=owner,
                    created_at=min(starts, default=None),
                    run_count=len(runs),
                    last_activity=max(ends, default=None),
                )
            )
        dated = sorted(projects, key=lambda project: project.name)
        return sorted(dated, key=lambda p: p.last_activity.timestamp() if p.last_activity else 0.0, reverse=True)

    def has_runs(self) -> bool:
        """Whether there is any run at all, found without reading the logs through."""
        with suppress(NotFoundError):
            self._search()
        return bool(self._groups)

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        if query.selectors:
            chosen = self._by_head(query) or select_runs(query.selectors, self._all())
        else:
            chosen = self._all()
        chosen = filter_runs(chosen, query)
        if not query.selectors:
            chosen = order_runs(chosen, query.order)
        return chosen if query.limit is None else chosen[: query.limit]

    def count(self, query: RunQuery) -> int:
        """Return how many runs match, whatever the query's limit."""
        return len(self.runs(replace(query, limit=None)))

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs as they are: configs were read with them."""
        return list(runs)

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the flat names of all the runs' summary metrics."""
        names = list(dict.fromkeys(name for run in runs for name, _ in leaves(dict(run.summary))))
        self._logs.save()
        return names

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        flat = [dict(leaves(dict(run.summary))) for run in runs]
        self._logs.save()
        return flat if keys is None else [{key: one[key] for key in keys if key in one} for one in flat]

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's history; local logs are always read whole."""
        for run in runs:
            try:
                yield run, self._history(run, keys, system)
            except ToolkitError as error:
                yield run, error

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged, by name, system metrics last."""
        scans = self._scans(run, None, system)
        merged = merge_history(scans)
        self._said += [f"{run.label}: {line}" for line in (*merged.notes, *merged.warnings)]
        return metric_infos(merged, merge_system(scans) if system else {})

    def environment(self, run: Run) -> dict[str, Any]:
        """Return what the newest directory's metadata file or log says of program, code and machine."""
        for found in reversed(self._dirs_of(run)):
            beside = read_json(found.files / METADATA) if found.files else {}
            if not beside and found.log is not None:
                with suppress(ToolkitError):
                    beside = read_environment(found.log)
            if beside:
                return beside
        return {}

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, sorted by name."""
        return list_files(self._dirs_of(run))

    def artifacts(self, run: Run, kind: str | None = None) -> list[Artifact]:
        """Return the artifacts, of one type or all, with those files of which the SDK's copy is on this machine."""
        return list_artifacts([found.log for found in self._dirs_of(run) if found.log is not None], kind)

    def used_artifacts(self, run: Run) -> list[Artifact]:
        """Return the artifacts that the run used, as its logs name them."""
        return list_used([found.log for found in self._dirs_of(run) if found.log is not None])

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Copy the file's bytes to `destination`."""
        try:
            shutil.copyfile(file.location, destination)
        except OSError as error:
            raise ToolkitError(f"{file.name} cannot be copied: {error.strerror or error}") from error

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield the last lines of each run's console output, from the log, else from files/output.log."""
        return (self._console(run, lines) for run in runs)

    def _console(self, run: Run, lines: int) -> list[str]:
        chunks: list[str] = []
        for found in self._dirs_of(run):
            if found.log is not None:
                try:
                    chunks += scan_log(found.log, card=False, console=True).console
                except ToolkitError:
                    continue
        if not any(chunk.strip() for chunk in chunks):
            logs = [found.files / "output.log" for found in self._dirs_of(run) if found.files]
            chunks = [tail(log) for log in logs if own_file(log)]
        return last_lines(chunks, lines)

    def _search(self) -> Found:
        """Find the directories once, and group those of one run by the first records of their logs."""
        if self._found is None:
            self._found = find_run_dirs(self.path)
            if self.path.is_file():
                read_head(self.path)  # the user named this very file: say what is wrong with it
            sessions: dict[tuple[_Key, float], RunDir] = {}
            self._logs.expect([found.log for found in self._found.dirs if found.log is not None])
            for found in self._found.dirs:
                key, started, name = _identify(found, self._logs)
                if self._wants(key):
                    group = self._groups.setdefault(key, [])
                    copied = sessions.get((key, started)) if started else None
                    if copied is not None:  # one session, copied: perhaps while it was still running
                        if _log_size(found) <= _log_size(copied):
                            continue
                        group.remove(copied)
                    group.append(found)
                    sessions[key, started] = found
                    self._started[key] = min(self._started.get(key) or started, started or inf)
                    self._names.add(name)
            if not self._groups and self._entity is None and self._project is None:
                raise NotFoundError(
                    f"There are no W&B runs at or below {self.path.resolve()}.",
                    "Looked for run-* and offline-run-* folders and .wandb files. wandb writes them into ./wandb.",
                )
        return self._found

    def _wants(self, key: _Key) -> bool:
        return self._entity in (None, key[0]) and self._project in (None, key[1])

    def _all(self) -> list[Run]:
        self._search()
        runs = [self._run(key) for key in self._groups]
        self._logs.save()
        return runs

    def _run(self, key: _Key) -> Run:
        run = self._runs.get(key)
        if run is None:
            run = self._runs[key] = build_run(self._groups[key], say=self._said.append, logs=self._logs)
            self._dirs[run.paths] = sorted(self._groups[key], key=lambda found: run.paths.index(str(found.shown)))
        return run

    def _by_head(self, query: RunQuery) -> list[Run]:
        """Return the runs of selectors that the logs' first records answer, ids and ``latest``; [] for any other."""
        self._search()
        chosen: list[_Key] = []
        for selector in query.selectors:
            keys = [key for key in self._groups if key[2] == selector.strip()]
            if not keys and selector.strip() == "latest" and self._groups and "latest" not in self._names:
                keys = [max(self._groups, key=lambda key: (self._started[key], key[2]))]
            if len(keys) != 1:
                return []
            chosen += keys
        runs = [self._run(key) for key in dict.fromkeys(chosen)]
        self._logs.save()
        return runs

    def _dirs_of(self, run: Run) -> list[RunDir]:
        return self._dirs[run.paths]

    def _scans(self, run: Run, keys: Sequence[str] | None, system: bool) -> list[LogScan]:
        wanted_system = [key.removeprefix(SYSTEM) for key in keys or () if key.startswith(SYSTEM)]
        scans = []
        for found in self._dirs_of(run):
            if found.log is not None:
                try:
                    scans.append(self._columns.scan(found.log, keys, None if system else wanted_system))
                except ToolkitError:
                    if len(self._dirs_of(run)) == 1:
                        raise
        if not scans:
            raise NotFoundError(f"{run.label} has no history: its log is missing.")
        return scans

    def _history(self, run: Run, keys: KeyChoice, system: bool) -> History:
        scans = self._scans(run, None if callable(keys) else keys, system)
        merged = merge_history(scans)
        if not callable(keys):
            return as_history(merged, merge_system(scans), keys)
        kinds = {name: kind for name, kind in merged.kinds.items() if name not in INTERNAL}
        history = as_history(merged, merge_system(scans), list(keys(kinds)))
        return replace(history, kinds={**kinds, **history.kinds})


def _log_size(found: RunDir) -> int:
    try:
        return found.log.stat().st_size if found.log is not None else 0
    except OSError:
        return 0


def _identify(found: RunDir, logs: Logs) -> tuple[_Key, float, str]:
    """Return whose directory it is, when the run started (Unix seconds) and its name, by the log's first records."""
    head = RunFields()
    if found.log is not None:
        with suppress(ToolkitError):
            head = logs.head(found.log)
    return (head.entity, head.project, head.id or found.run_id), head.started or started_beside(found), head.name
