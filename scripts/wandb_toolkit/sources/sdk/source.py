"""The runs of one project through `wandb.Api()`: every row of a run is read by the SDK's `scan_history`.

For servers that our own queries do not reach, and to check our answers against the SDK's. A run's rows come once, all
of them: asked for with several keys, the SDK returns only rows that hold every key.
"""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from wandb_toolkit import jsontext
from wandb_toolkit.errors import NotFoundError, ToolkitError
from wandb_toolkit.model import Artifact, History, MetricInfo, Project, Run, RunFile, Series
from wandb_toolkit.sources.base import KeyChoice, RunQuery
from wandb_toolkit.sources.columns import INTERNAL
from wandb_toolkit.sources.console import last_lines
from wandb_toolkit.sources.history import SYSTEM, Merged, as_history, merge_columns, metric_infos
from wandb_toolkit.sources.http.auth import Credentials
from wandb_toolkit.sources.media import MediaFact, as_logged, facts_by_path, in_logged_order
from wandb_toolkit.sources.server.files import media_name
from wandb_toolkit.sources.server.listing import Listing
from wandb_toolkit.sources.server.queries import finite_words, unwrapped
from wandb_toolkit.sources.server.rows import RowColumns
from wandb_toolkit.sources.server.run import build_run, page_address, parse_time, step_metrics_of
from wandb_toolkit.sources.server.system_metrics import EVENT_SAMPLES, as_series
from wandb_toolkit.sources.wandb_log.records import leaves
from wandb_toolkit.sources.wandb_package import open_api, translated

T = TypeVar("T")

PAGE = 1000
MOST_ARTIFACTS = 100  # whose lists of files are read, a request each
_LOG = "output.log"
_NODE = {
    "displayName": "name", "state": "state", "tags": "tags", "group": "group", "jobType": "job_type",
    "sweepName": "sweep_name", "createdAt": "created_at", "heartbeatAt": "heartbeat_at", "notes": "notes",
    "historyLineCount": "history_line_count",
}  # fmt: skip


class SdkSource:
    """The runs of one project on a server; without a project, only its entity's list of projects."""

    kind = "api"

    def __init__(
        self, credentials: Credentials, entity: str | None, project: str | None, *, timeout: float, why: str = ""
    ) -> None:
        self._credentials = credentials
        self._entity, self._project = entity, project
        self._timeout = timeout
        self._opened: Any = None
        self._known: dict[str, Any] = {}  # the SDK's runs by id
        self._files: dict[str, Any] = {}  # the SDK's files by our location
        self.warnings: tuple[str, ...] = (why,) if why else ()

    @property
    def description(self) -> str:
        """What the user named, for messages."""
        return "/".join(filter(None, (self._entity, self._project))) or self._credentials.app_url

    @property
    def _api(self) -> Any:
        if self._opened is None:
            self._opened = open_api(self._credentials.base_url, self._key, self._timeout)
        return self._opened

    @property
    def _key(self) -> str | None:
        known = self._credentials
        return known.key.reveal() if known.key is not None and not known.bearer else None

    def _asked(self, what: str, ask: Callable[[], T]) -> T:
        try:
            with translated(what, self._key):
                return ask()
        except ToolkitError as error:
            error.hint = error.hint or (f"Read so because {self.warnings[0]}." if self.warnings else "")
            raise

    def _owner(self) -> str:
        if self._entity is None:
            found = self._asked("tell the default entity", lambda: self._api.default_entity)
            if not found:
                raise NotFoundError("No entity is named.", "Give entity/project, or set WANDB_ENTITY.")
            self._entity = str(found)
        return self._entity

    @property
    def _path(self) -> str:
        if self._project is None:
            raise NotFoundError(
                "No project is named.", "Give entity/project, or set WANDB_PROJECT; list_projects shows what there is."
            )
        return f"{self._owner()}/{self._project}"

    def projects(self, entity: str | None = None) -> list[Project]:
        """Return the entity's projects, most recently active first."""
        owner = entity or self._owner()
        found = self._asked(f"list the projects of {owner}", lambda: list(self._api.projects(owner, per_page=PAGE)))
        made = []
        for one in found:
            url = page_address(self._credentials.app_url, owner, one.name)
            made.append(Project(one.name, owner, None, parse_time(getattr(one, "created_at", None)), url))
        return made

    @property
    def _runs(self) -> _Pages:
        return _Pages(self._pages)

    def _pages(self, filters: Mapping[str, Any], order: str, limit: int | None) -> list[Run]:
        path = self._path
        how = {"lazy": False} if "lazy" in inspect.signature(self._api.runs).parameters else {}

        def read() -> list[Any]:
            per_page = PAGE if limit is None else min(PAGE, max(limit, 1))
            return list(
                islice(self._api.runs(path, filters=dict(filters), order=order, per_page=per_page, **how), limit)
            )

        found = self._asked(f"list the runs of {path}", read)
        return [self._built(one) for one in found]

    def _built(self, run: Any) -> Run:
        self._known[run.id] = run
        node = {name: _attribute(run, attribute) for name, attribute in _NODE.items()}
        summary = dict(run.summary_metrics or {})
        light = {key: summary[key] for key in ("_step", "_runtime", "_wandb") if key in summary}
        raw = unwrapped(dict(run.rawconfig or {}))
        return build_run(
            {**node, "name": run.id, "light": light},
            self._owner(),
            self._project or "",
            self._credentials.app_url,
            summary=_public(finite_words(summary)),
            config=_public(raw),
            step_metrics=step_metrics_of(raw),
        )

    def runs(self, query: RunQuery) -> list[Run]:
        """Return the runs that match, in the query's order."""
        return self._runs.runs(query)

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        return self._runs.count(query)

    def loaded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs; theirs came with the listing."""
        return list(runs)

    def summary_names(self, runs: Sequence[Run]) -> list[str]:
        """Return the names in the runs' summaries."""
        return list(dict.fromkeys(name for run in runs for name, _ in leaves(dict(run.summary))))

    def summaries(self, runs: Sequence[Run], keys: Sequence[str] | None) -> list[dict[str, Any]]:
        """Return each run's flat summary, only `keys` of it."""
        flat = [dict(leaves(dict(run.summary))) for run in runs]
        return flat if keys is None else [{key: one[key] for key in keys if key in one} for one in flat]

    def _run(self, run: Run) -> Any:
        if run.id not in self._known:
            path = f"{self._path}/{run.id}"
            self._known[run.id] = self._asked(f"read the run {run.label}", lambda: self._api.run(path))
        return self._known[run.id]

    def _rows(self, run: Run, wanted: Sequence[str] | None = None) -> RowColumns:
        columns = RowColumns(wanted)
        what = f"read the history of {run.label}"
        self._asked(what, lambda: columns.add_rows(self._run(run).scan_history(page_size=PAGE)))
        return columns

    def histories(
        self, runs: Sequence[Run], keys: KeyChoice = None, *, system: bool = False, full: bool = True
    ) -> Iterator[tuple[Run, History | ToolkitError]]:
        """Yield each run's whole history, one run after another."""
        del full
        for run in runs:
            try:
                merged = merge_columns([self._rows(run)])
                kinds = {name: kind for name, kind in merged.kinds.items() if name not in INTERNAL}
                names = list(keys(kinds)) if callable(keys) else keys
                wants_system = system or any(name.startswith(SYSTEM) for name in names or ())
                events = self._events(run) if wants_system else {}
                chosen = events if system else {name: one for name, one in events.items() if name in (names or ())}
                history = as_history(merged, chosen, names)
                yield run, replace(history, kinds={**kinds, **history.kinds}) if callable(keys) else history
            except ToolkitError as error:
                yield run, error

    def _events(self, run: Run) -> dict[str, Series]:
        columns = RowColumns()

        def read() -> Iterable[Any]:
            rows: Iterable[Any] = self._run(run).history(stream="system", samples=EVENT_SAMPLES, pandas=False)
            return rows

        columns.add_rows(self._asked(f"read the system metrics of {run.label}", read))
        return as_series(columns, run)

    def metrics(self, run: Run, *, system: bool = False) -> Mapping[str, MetricInfo]:
        """Return what the run logged, from its whole history."""
        merged: Merged = merge_columns([self._rows(run)])
        return metric_infos(merged, self._events(run) if system else {})

    def environment(self, run: Run) -> dict[str, Any]:
        """Return what the run's metadata file says of program, code and machine."""
        return dict(self._asked(f"read the metadata of {run.label}", lambda: self._run(run).metadata) or {})

    def files(self, run: Run) -> list[RunFile]:
        """Return the files saved with the run, media in logged order."""
        found = self._asked(f"list the files of {run.label}", lambda: list(self._run(run).files(per_page=PAGE)))
        listed = []
        for one in found:
            location = f"{run.id}/{one.name}"
            self._files[location] = one
            key, step = media_name(one.name)
            size = _attribute(one, "size") or _attribute(one, "size_bytes") or 0
            listed.append(
                RunFile(one.name, int(size), location, key=key, step=step, md5=_attribute(one, "md5") or None)
            )
        facts = self._facts(run) if any(file.key for file in listed) else {}
        return in_logged_order(file for one in listed for file in as_logged(one, facts.get(one.name, ())))

    def _facts(self, run: Run) -> dict[str, list[MediaFact]]:
        media: list[tuple[str, int | None, Mapping[str, Any]]] = []
        with suppress(ToolkitError):
            rows = self._asked("read media", lambda: list(self._run(run).scan_history(page_size=PAGE)))
            for row in rows:
                step = row.get("_step")
                whole = {key: _parsed(value) for key, value in row.items()}
                for key, value in leaves(whole):
                    if isinstance(value, Mapping) and "_type" in value:
                        media.append((key, int(step) if isinstance(step, (int, float)) else None, value))
        return facts_by_path(media)

    def artifacts(self, run: Run, kind: str | None = None) -> list[Artifact]:
        """Return the newest artifacts that the run logged, of one type or all."""

        def read() -> list[Any]:
            return [one for one in self._run(run).logged_artifacts(per_page=PAGE) if kind in (None, one.type)]

        found = self._asked(f"list the artifacts of {run.label}", read)
        return [self._artifact(one) for one in found[-MOST_ARTIFACTS:]]

    def used_artifacts(self, run: Run) -> list[Artifact]:
        """Return the artifacts that the run used."""
        asked = f"list the artifacts that {run.label} used"
        found = self._asked(asked, lambda: list(self._run(run).used_artifacts(per_page=PAGE)))
        return [Artifact(str(one.name), str(one.type), ()) for one in found]

    def _artifact(self, artifact: Any) -> Artifact:
        entries = self._asked(f"list the files of {artifact.name}", lambda: artifact.manifest.entries)
        files = []
        for path in entries:
            entry = artifact.get_entry(path)
            location = f"{artifact.qualified_name}/{path}"
            self._files[location] = entry
            files.append(RunFile(str(path), int(entry.size or 0), location, md5=_md5_of(entry)))
        return Artifact(artifact.name, str(artifact.type), tuple(files))

    def fetch(self, file: RunFile, destination: Path) -> None:
        """Write the file's bytes to `destination`."""
        known = self._files[file.location]
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".wandb-toolkit-") as folder:
            what = f"download {file.name}"
            if hasattr(known, "parent_artifact"):
                written = self._asked(what, lambda: known.download(root=folder, skip_cache=True))
            else:
                self._asked(what, lambda: known.download(root=folder, replace=True).close())
                written = Path(folder, file.name)
            Path(written).replace(destination)

    def consoles(self, runs: Sequence[Run], lines: int) -> Iterator[list[str] | ToolkitError]:
        """Yield the last lines of each run's console output, [] where there is none."""
        return (self._console(run, lines) for run in runs)

    def _console(self, run: Run, lines: int) -> list[str]:
        with tempfile.TemporaryDirectory() as folder, suppress(ToolkitError, OSError):
            what = f"read the console of {run.label}"
            self._asked(what, lambda: self._run(run).file(_LOG).download(root=folder, replace=True).close())
            return last_lines([Path(folder, _LOG).read_text(encoding="utf-8", errors="replace")], lines)
        return []


class _Pages(Listing):
    """Selection and order of runs as on a server, over pages that the SDK reads."""

    def __init__(self, pages: Callable[[Mapping[str, Any], str, int | None], list[Run]]) -> None:
        self._pages = pages

    def _page_through(self, filters: Mapping[str, Any], order: str, limit: int | None, names: bool) -> list[Run]:
        del names
        return self._pages(filters, order, limit)

    def count(self, query: RunQuery) -> int:
        """Return how many runs match."""
        return len(self.runs(replace(query, limit=None)))


def _attribute(thing: Any, name: str) -> Any:
    try:
        return getattr(thing, name)
    except (AttributeError, KeyError):
        return None


def _md5_of(entry: Any) -> str | None:
    """Return the digest of an artifact's file where it is an MD5; newer artifacts may have others, references none."""
    digest = str(entry.digest or "")
    return digest if entry.ref is None and len(digest) == 24 and "xxh" not in str(entry.extra).lower() else None


def _parsed(value: Any) -> Any:
    """Return a value of a row; exported rows have dicts as JSON text."""
    if isinstance(value, str) and value.startswith("{"):
        with suppress(ValueError, RecursionError):
            return jsontext.parse(value)
    return value


def _public(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in ("_wandb", "wandb_version")}
