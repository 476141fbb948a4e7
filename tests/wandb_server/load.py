"""Local `.wandb` logs → runs of a store: what W&B would hold once they had been uploaded.

Reads the framing by itself and the records through the SDK's own protobuf classes, so that it shares nothing with the
reader that it is compared with.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .store import EPOCH, Artifact, Export, File, Run, Store, User

_BLOCK = 32768
_HEADER = 7  # of the file, and of each chunk: CRC-32, length, type
_STATE_PREFIX = "system."


def load(folder: Path, store: Store | None = None, *, entity: str = "ada", export: Export | None = None) -> Store:
    """Add every run at or below `folder` to `store`. `entity` stands in for runs that name none, as offline ones do.

    A run that was resumed has several logs; they become one run, and a step that was written twice has the last row.
    """
    store = store or Store()
    found: dict[tuple[str, str, str], _Log] = {}
    for path in sorted(folder.rglob("*.wandb") if folder.is_dir() else [folder], key=lambda p: (p.parent.name, p.name)):
        log = _Log()
        log.read(path)
        key = (log.head.entity or entity, log.head.project or "uncategorized", log.head.run_id or path.stem[4:])
        found[key] = found[key].then(log) if key in found else log
    for (owner, project, run_id), log in found.items():
        store.project(owner, project).add(log.run(run_id, owner, export or Export()))
    return store


class _Log:
    """What one log says, later records over earlier ones."""

    def __init__(self) -> None:
        from wandb.proto import wandb_internal_pb2

        self._records = wandb_internal_pb2
        self.head: Any = wandb_internal_pb2.RunRecord()
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.rows: dict[int, dict[str, Any]] = {}
        self.events: list[dict[str, Any]] = []
        self.console = ""
        self.step_metrics: dict[str, str] = {}
        self.exit_code: int | None = None
        self.preempting = False
        self.newest = 0.0
        self.files: dict[str, File] = {}
        self.artifacts: list[Artifact] = []
        self.used: list[Artifact] = []

    def read(self, path: Path) -> None:
        """Take the log's records and the files beside it."""
        for payload in _payloads(path.read_bytes()):
            record = self._records.Record()
            record.ParseFromString(payload)
            kind = record.WhichOneof("record_type") or ""
            take = getattr(self, f"_take_{kind}", None)
            if take is not None:
                take(getattr(record, kind))
        beside = path.parent / "files"
        for file in sorted(beside.rglob("*")) if beside.is_dir() else []:
            if file.is_file():
                name = file.relative_to(beside).as_posix()
                self.files[name] = File(name, file, datetime.fromtimestamp(int(file.stat().st_mtime), UTC))

    def then(self, later: _Log) -> _Log:
        """Return this log continued by another of the same run."""
        started = self.head.start_time
        self.head.MergeFrom(later.head)
        self.head.start_time.CopyFrom(started)
        for name in ("config", "summary", "rows", "step_metrics", "files"):
            getattr(self, name).update(getattr(later, name))
        self.events += later.events
        self.artifacts += later.artifacts
        self.used += later.used
        self.console += later.console
        self.exit_code, self.preempting = later.exit_code, later.preempting
        self.newest = max(self.newest, later.newest)
        return self

    def run(self, run_id: str, owner: str, export: Export) -> Run:
        """Return the run as W&B would show it."""
        head = self.head
        started = head.start_time.seconds + head.start_time.nanos / 1e9
        ended = {None: "crashed", 0: "finished"}.get(self.exit_code, "failed")
        start = datetime.fromtimestamp(started, UTC) if started else EPOCH
        for event in self.events:
            event["_runtime"] = event["_timestamp"] - started
        return Run(
            run_id,
            [self.rows[step] for step in sorted(self.rows)],
            display_name=head.display_name or run_id,
            state="preempted" if self.preempting and ended != "finished" else ended,
            config={key: value for key, value in self.config.items() if key != "_wandb"},
            summary=self.summary,
            events=list(self.events),
            files=list(self.files.values()),
            tags=list(head.tags),
            group=head.run_group or None,
            job_type=head.job_type or None,
            sweep=head.sweep_id or None,
            notes=head.notes or None,
            user=User(owner, owner, f"{owner}@example.test"),
            created_at=start,
            heartbeat_at=datetime.fromtimestamp(self.newest, UTC) if self.newest else start,
            console=self.console.splitlines(),
            export=export,
            step_metrics=self.step_metrics,
            exit_code=self.exit_code,
            artifacts=self.artifacts,
            used=self.used,
        )

    # One method a record type, found by its name.

    def _take_run(self, record: Any) -> None:
        started = self.head.start_time
        had_start = started.seconds
        tags = list(record.tags)
        if tags:
            del self.head.tags[:]
        kept = type(started)()
        kept.CopyFrom(started)
        self.head.MergeFrom(record)
        if had_start:
            self.head.start_time.CopyFrom(kept)
        self._take_config(record.config)

    def _take_config(self, record: Any) -> None:
        for item in record.update:
            _put(self.config, _path(item), json.loads(item.value_json))
        for item in record.remove:
            _drop(self.config, _path(item))

    def _take_summary(self, record: Any) -> None:
        for item in record.update:
            _put(self.summary, _path(item), json.loads(item.value_json))
        for item in record.remove:
            _drop(self.summary, _path(item))

    def _take_history(self, record: Any) -> None:
        row: dict[str, Any] = {}
        for item in record.item:
            _put(row, _path(item), json.loads(item.value_json))
        step = row.setdefault("_step", record.step.num if record.HasField("step") else max(self.rows, default=-1) + 1)
        self.rows[int(step)] = row
        self._seen(row.get("_timestamp"))

    def _take_stats(self, record: Any) -> None:
        moment = record.timestamp.seconds + record.timestamp.nanos / 1e9
        row: dict[str, Any] = {_STATE_PREFIX + item.key: json.loads(item.value_json) for item in record.item}
        self.events.append({**row, "_timestamp": moment, "_wandb": True})
        self._seen(moment)

    def _take_output_raw(self, record: Any) -> None:
        self.console += record.line

    def _take_output(self, record: Any) -> None:
        self.console += record.line

    def _take_metric(self, record: Any) -> None:
        if record.step_metric:
            self.step_metrics[record.glob_name or record.name] = record.step_metric

    def _take_artifact(self, record: Any) -> None:
        entries = [(entry.path, Path(entry.local_path)) for entry in record.manifest.contents if entry.local_path]
        files = [File(name, place) for name, place in entries if place.is_file()]
        version = sum(known.name == record.name for known in self.artifacts)
        self.artifacts.append(Artifact(record.name, record.type, files, version))

    def _take_use_artifact(self, record: Any) -> None:
        name, _, version = record.name.rpartition(":v")
        self.used.append(Artifact(name, record.type, [], int(version)))

    def _take_exit(self, record: Any) -> None:
        self.exit_code = record.exit_code

    def _take_preempting(self, _: Any) -> None:
        self.preempting = True

    def _seen(self, moment: Any) -> None:
        if isinstance(moment, (int, float)):
            self.newest = max(self.newest, float(moment))


def _payloads(data: bytes) -> Iterator[bytes]:
    """Yield the records of a LevelDB log whose blocks count from the file's start, up to where it is cut off."""
    pos, part = _HEADER, b""
    while pos + _HEADER <= len(data):
        left = _BLOCK - pos % _BLOCK
        if left < _HEADER:
            pos += left
            continue
        _, size, kind = struct.unpack_from("<IHB", data, pos)
        start, pos = pos + _HEADER, pos + _HEADER + size
        if pos > len(data) or kind == 0:
            return
        part = data[start:pos] if kind in (1, 2) else part + data[start:pos]
        if kind in (1, 4):
            yield part


def _path(item: Any) -> tuple[str, ...]:
    return tuple(item.nested_key) or (item.key,)


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        inner = tree.get(part)
        if not isinstance(inner, dict):
            inner = tree[part] = {}
        tree = inner
    tree[path[-1]] = value


def _drop(tree: dict[str, Any], path: tuple[str, ...]) -> None:
    for part in path[:-1]:
        inner = tree.get(part)
        if not isinstance(inner, dict):
            return
        tree = inner
    tree.pop(path[-1], None)
