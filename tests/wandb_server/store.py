"""What a server holds: entities, projects, runs, sweeps and files, described in plain Python."""

from __future__ import annotations

import base64
import hashlib
import mimetypes
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from .history import History

Access = Literal["private", "public", "forbidden"]  # forbidden: the project exists, this key may not see it
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class User:
    """An account."""

    username: str = "ada"
    name: str = "Ada L."
    email: str = "ada@example.test"


@dataclass
class File:
    """A file of a run. `claimed_size` and `claimed_md5` let the listing say something wrong.

    `direct`: `url` leads to storage at once, as for reference files, rather than through the API host.
    """

    name: str
    content: bytes | Path
    updated_at: datetime = EPOCH
    claimed_size: int | None = None
    claimed_md5: str | None = None
    direct: bool = False

    @property
    def data(self) -> bytes:
        """The bytes that storage sends."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content

    @property
    def size(self) -> int:
        """What the listing says."""
        if self.claimed_size is not None:
            return self.claimed_size
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content)

    @property
    def md5(self) -> str:
        """What the listing says: base64, as W&B and storage services have it."""
        digest = hashlib.md5(self.data, usedforsecurity=False).digest()
        return self.claimed_md5 if self.claimed_md5 is not None else base64.b64encode(digest).decode()

    @property
    def mimetype(self) -> str:
        """By the name's ending."""
        return mimetypes.guess_type(self.name)[0] or "application/octet-stream"


@dataclass
class Artifact:
    """A version of an artifact that a run logged."""

    name: str
    kind: str
    files: list[File]
    version: int = 0


@dataclass
class Export:
    """How much of a run's history is in Parquet files, and how they are cut."""

    rows: int | None = None  # the first n rows; None: all; 0: no export, everything is live
    files: int = 1
    row_group: int = 1000
    shuffled: bool = True  # several URLs come in an order that is not that of the steps
    padded: bool = True  # each file has a column for every key of the run, null throughout where nothing was logged
    flat: bool = False  # True: a nested dict has a column for each key, "a.b"; False: one struct column, "a"
    listed_live: bool = True  # False: what is not exported is not announced either; only `history` has it


@dataclass
class Run:
    """One run. `history` is given as rows, as logged, or as a `History`; a summary not given is its last values."""

    id: str
    history: History | Iterable[Mapping[str, Any]] = ()
    display_name: str | None = "as id"
    state: str = "finished"
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: Mapping[str, Any] | None = None
    events: Sequence[Mapping[str, Any]] = ()  # system metric rows
    files: list[File] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    group: str | None = None
    job_type: str | None = None
    sweep: str | None = None
    notes: str | None = None
    description: str | None = None
    user: User = field(default_factory=User)
    created_at: datetime = EPOCH
    heartbeat_at: datetime | None = None
    console: list[str] = field(default_factory=list)
    export: Export = field(default_factory=Export)
    step_metrics: Mapping[str, str] = field(default_factory=dict)  # metric or glob → its x axis (define_metric)
    exit_code: int | None = None
    artifacts: list[Artifact] = field(default_factory=list)
    used: list[Artifact] = field(default_factory=list)
    failing: dict[str, str] = field(default_factory=dict)  # GraphQL fields that end in an error, with its message

    def __post_init__(self) -> None:
        if self.display_name == "as id":
            self.display_name = self.id
        if self.heartbeat_at is None:
            self.heartbeat_at = self.created_at + timedelta(minutes=5)
        self.parquet: tuple[Any, list[bytes]] | None = None  # made when first asked for, and what of
        self.home = Project("uncategorized", self.user.username)  # until it is added to one
        self.set_history(self.history)

    def set_history(self, history: History | Iterable[Mapping[str, Any]]) -> None:
        """Replace the history, as when a run goes on; the summary follows unless one was given."""
        self.rows = history if isinstance(history, History) else History.from_rows(history)
        self.history = self.rows

    @property
    def shown_summary(self) -> Mapping[str, Any]:
        """The summary that was given, else the last values."""
        return self.rows.last_values if self.summary is None else self.summary

    @property
    def wandb_config(self) -> dict[str, Any]:
        """The config's `_wandb`, where definitions of metrics are kept with protobuf field numbers for names."""
        encoded: list[dict[str, Any]] = []
        places: dict[str, int] = {}
        for axis in dict.fromkeys(self.step_metrics.values()):
            encoded.append({"1": axis, "6": [3], "7": []})
            places[axis] = len(encoded)
        for name, axis in self.step_metrics.items():
            encoded.append({"2" if "*" in name else "1": name, "5": places[axis], "6": [1, 3], "7": []})
        return {"cli_version": "0.31.0", "m": encoded, "python_version": "3.11.7"}

    @property
    def wrapped_config(self) -> dict[str, Any]:
        """The config as W&B stores it, each value in a dict."""
        wrapped = {key: {"desc": None, "value": value} for key, value in self.config.items()}
        return {**wrapped, "_wandb": {"desc": None, "value": self.wandb_config}}

    @property
    def exported_rows(self) -> int:
        """Rows that are in Parquet files."""
        rows = len(self.rows)
        return rows if self.export.rows is None else min(self.export.rows, rows)


@dataclass
class Sweep:
    """A sweep; its runs are those that name it."""

    id: str
    config: str = "method: random\nmetric:\n  goal: minimize\n  name: loss\n"
    display_name: str | None = None
    state: str = "FINISHED"
    method: str = "random"
    description: str | None = None
    best_loss: float | None = None
    created_at: datetime = EPOCH


@dataclass
class Project:
    """A project of an entity."""

    name: str
    entity: str
    runs: dict[str, Run] = field(default_factory=dict)
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    access: Access = "private"
    description: str | None = None
    created_at: datetime = EPOCH

    def add(self, *runs: Run) -> Project:
        """Add runs, and the sweeps that they name."""
        for run in runs:
            self.runs[run.id] = run
            run.home = self
            if run.sweep is not None:
                self.sweeps.setdefault(run.sweep, Sweep(run.sweep))
        return self

    @property
    def number(self) -> int:
        """W&B's internal number, stable from name to name."""
        digest = hashlib.sha256(f"{self.entity}/{self.name}".encode()).digest()
        return int.from_bytes(digest[:4], "big")


@dataclass
class Store:
    """All that a server holds. `viewer` is the account that the key belongs to."""

    projects: dict[tuple[str, str], Project] = field(default_factory=dict)
    viewer: User = field(default_factory=User)
    teams: list[str] = field(default_factory=list)
    entities: list[str] = field(default_factory=list)  # those without a project

    def project(self, entity: str, name: str, access: Access = "private") -> Project:
        """Return the project, made where there is none."""
        return self.projects.setdefault((entity, name), Project(name, entity, access=access))

    def knows(self, entity: str) -> bool:
        """Whether there is such an entity."""
        names = {self.viewer.username, *self.teams, *self.entities, *(owner for owner, _ in self.projects)}
        return entity in names
