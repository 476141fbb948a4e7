"""The scans of one run's directories → a `Run`: which word counts where they disagree."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.model import Run, State
from wandb_toolkit.sources.console import last_lines
from wandb_toolkit.sources.history import Place, placed
from wandb_toolkit.sources.lazy import Later
from wandb_toolkit.sources.local.index import Logs
from wandb_toolkit.sources.local.run_dirs import RunDir, read_config, read_json
from wandb_toolkit.sources.local.summaries import beside, number, summary_of
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log.blocks import BLOCK
from wandb_toolkit.sources.wandb_log.scan import LogScan, scan_log

_STAMP = re.compile(r"run-(\d{8}_\d{6})-")
_RUNNING_SECONDS = 300.0  # a log silent for longer has no writer, unless it was slower than that all along
_RUNNING_FACTOR = 3.0  # silent for so many of its own intervals between writes
_RUNNING_MOST = 6 * 3600.0


@dataclass(frozen=True)
class _Part:
    """One directory of a run, read."""

    source: RunDir
    scan: LogScan | None  # None: no readable log
    problem: str  # why not
    config: Mapping[str, Any]
    started: float
    newest: float


def build_run(
    dirs: Sequence[RunDir],
    now: float | None = None,
    say: Callable[[str], None] | None = None,
    logs: Logs | None = None,
) -> Run:
    """Return the run that lies in these directories (several: it was resumed). `now` is Unix seconds.

    `say` is told what reading the summary, later, comes upon; `logs` read the logs.
    """
    now = time.time() if now is None else now
    logs = logs or Logs()
    parts = sorted((_read(found, logs) for found in dirs), key=lambda part: part.started)
    scans = [part.scan for part in parts if part.scan is not None]
    final = parts[-1]
    state = _state(final, now)
    run_id = next((scan.run.id for scan in reversed(scans) if scan.run.id), final.source.run_id)
    config: dict[str, Any] = {}
    step_metrics: dict[str, str] = {}
    for part in parts:
        config |= part.config
        step_metrics |= part.scan.step_metrics if part.scan else {}
    places = placed(scans)
    steps = [
        min(scan.last_step + place.offset, place.until - 1)
        for scan, place in zip(scans, places, strict=True)
        if scan.last_step is not None
    ]
    return Run(
        id=run_id,
        name=_word(scans, "name") or run_id,
        entity=_word(scans, "entity"),
        project=_word(scans, "project"),
        state=state,
        created_at=rec.utc(next((part.started for part in parts if part.started), None)),
        last_activity=rec.utc(final.newest),
        tags=next((scan.run.tags for scan in reversed(scans) if scan.run.tags), ()),
        group=_word(scans, "group"),
        job_type=_word(scans, "job_type"),
        sweep=_word(scans, "sweep") or next((part.source.sweep for part in parts if part.source.sweep), None),
        notes=_word(scans, "notes"),
        config={key: value for key, value in config.items() if key != "_wandb"},
        summary=Later(partial(summary_of, [part.source for part in parts], say, logs)),
        step_metrics=step_metrics,
        duration=sum(_duration(part) for part in parts),
        steps=int(max(steps)) if steps else None,
        forked_from=_origin(scans, run_id),
        rows=sum(scan.rows for scan in scans),
        exit_code=final.scan.exit_code if final.scan and final.scan.has_exit else None,
        paths=tuple(str(part.source.shown) for part in parts),
        warnings=(*_warnings(parts, state), *_of_parts(parts, places)),
    )


def _read(found: RunDir, logs: Logs) -> _Part:
    scan, problem = None, "the run directory has no .wandb log"
    if found.log is not None:
        try:
            scan = logs.card(found.log)
        except ToolkitError as error:
            problem = f"{error.message} {error.hint}".strip()
    config = dict(scan.config) if scan else {}
    if not {key for key in config if key != "_wandb"} and found.files:
        config = read_config(found.files / "config.yaml")
    started = scan.run.started if scan else 0.0
    started = started or started_beside(found)
    written = _modified(found)
    newest = scan.newest if scan and scan.newest else number(beside(found).get("_timestamp")) or started
    return _Part(found, scan, problem, config, started, min(newest, written) if newest > 0 else written)


def started_beside(found: RunDir) -> float:
    """Return the start that the metadata file names, else the folder's name, in Unix seconds; 0.0 where none does."""
    named = _iso_seconds(read_json(found.files / "wandb-metadata.json").get("startedAt")) if found.files else 0.0
    return named or _start_by_name(found.folder.name)


def _start_by_name(name: str) -> float:
    """Return the start in a folder's name, which is in the time zone of the machine that wrote it; 0.0 without one."""
    match = _STAMP.search(name)
    if match is None:
        return 0.0
    try:
        return datetime.strptime(match[1], "%Y%m%d_%H%M%S").astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0


def _iso_seconds(value: object) -> float:
    """Return Unix seconds of wandb-metadata.json's startedAt (UTC, with or without saying so)."""
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        return 0.0
    if moment.tzinfo is None:
        moment = datetime.fromisoformat(f"{moment.isoformat()}+00:00")
    return moment.timestamp()


def _modified(found: RunDir) -> float:
    try:
        return (found.log or found.folder).stat().st_mtime
    except OSError:
        return 0.0


def _state(part: _Part, now: float) -> State:
    scan = part.scan
    if scan is None:
        return "finished" if beside(part.source) else "crashed"
    if scan.has_exit:
        if scan.exit_code == 0:
            return "finished"
        return "preempted" if scan.preempting else "failed"
    if now - part.newest < _patience(part, scan):
        return "running"
    return "preempted" if scan.preempting else "crashed"


def _patience(part: _Part, scan: LogScan) -> float:
    """Return how long a living run may have been silent, in seconds.

    The Go core writes whole blocks, so a run that logs little shows nothing for as long as it takes to fill one.
    """
    lived = max(part.newest - part.started, 0.0)
    try:
        blocks = scan.path.stat().st_size / BLOCK
    except OSError:
        blocks = 1.0
    interval = max(lived / max(scan.rows, 1), lived / max(blocks, 1.0))
    return min(max(_RUNNING_SECONDS, _RUNNING_FACTOR * interval), _RUNNING_MOST)


def _word(scans: Sequence[LogScan], name: str) -> str | None:
    return next((value for scan in reversed(scans) if (value := getattr(scan.run, name))), None)


def _duration(part: _Part) -> float:
    lived = max(part.newest - part.started, 0.0) if part.started else 0.0
    if part.scan is None or part.scan.runtime is None:
        return max(lived, number(beside(part.source).get("_runtime")) if part.scan is None else 0.0)
    return lived if abs(lived - part.scan.runtime) < 2 else part.scan.runtime  # the record counts whole seconds


def _origin(scans: Sequence[LogScan], run_id: str) -> tuple[str, int] | None:
    """Return the run and step that this run was forked from, None where it was not."""
    for scan in scans:
        if scan.run.branch is not None and scan.run.branch[0] not in ("", run_id):
            return scan.run.branch[0], int(scan.run.branch[1])
    return None


def _of_parts(parts: Sequence[_Part], places: Sequence[Place]) -> list[str]:
    """Say of a run with several logs how they were put together, what that hides, and which of them ended badly."""
    read = [part for part in parts if part.scan is not None]
    if len(read) < 2:
        return []
    lines = []
    appended = sum(place.offset > 0 for place in places)
    if appended:
        counted = "1 counted its steps" if appended == 1 else f"{appended} counted their steps"
        verb = "was" if appended == 1 else "were"
        lines.append(f"{len(read)} directories of this run; {counted} from 0 and {verb} appended")
    for name, (hidden, rows) in _hidden(read, places).items():
        lines.append(
            f"{name}: {hidden:,} of its {rows:,} rows are replaced or made void by later directories of this run"
        )
    for part in read[:-1]:
        scan = part.scan
        if scan is not None and not (scan.has_exit and scan.exit_code == 0):
            how = f"exit code {scan.exit_code}" if scan.has_exit else "no exit record"
            said = last_lines(scan_log(scan.path, card=False, console=True).console, 1)
            last = f', last console line "{said[0][:120]}"' if said else ""
            lines.append(f"an earlier part did not end well: {part.source.folder.name}, {how}{last}")
    return lines


def _hidden(parts: Sequence[_Part], places: Sequence[Place]) -> dict[str, tuple[int, int]]:
    """Return by folder how many rows later parts replace or a rewind made void, where any are, of how many."""
    import numpy as np

    found: dict[str, tuple[int, int]] = {}
    later = np.empty(0)
    for part, place in reversed([*zip(parts, places, strict=True)]):
        assert part.scan is not None
        columns = scan_log(part.scan.path, keys=("_step",), card=False).history
        if columns is None:
            continue
        steps = columns.steps() + place.offset
        hidden = int((np.isin(steps, later) | (steps >= place.until)).sum())
        if hidden:
            found[part.source.folder.name] = hidden, len(steps)
        later = np.union1d(later, steps)
    return dict(reversed(found.items()))


def _warnings(parts: Sequence[_Part], state: State) -> list[str]:
    lines: list[str] = []
    for part in parts:
        name = part.source.log.name if part.source.log else part.source.folder.name
        if part.scan is None:
            lines.append(f"{name}: {part.problem} Read from the files beside it; there is no history.")
            continue
        lines += part.scan.damage.warnings(name)
    final = parts[-1].scan
    if state == "running":
        lines.append("still being written: what is there was read")
    elif final is not None and final.damage.cut_off:
        lines.append("the log ends inside a record: the process was killed before it could write the rest")
    return lines
