"""One pass over a `.wandb` log, keeping only what was asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

from wandb_toolkit.sources.columns import Column, Columns
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log.blocks import Damage, read_records
from wandb_toolkit.sources.wandb_log.environment import environment_of, git_of
from wandb_toolkit.sources.wandb_log.summary import Latest
from wandb_toolkit.sources.wandb_log.wire import WireError, fields, signed, varint

_HEAD_ROWS = 20  # history rows behind which nothing more of the run's beginning comes
_CONSOLE_BYTES = 256_000  # of raw console text kept for the tail
LARGE = 16_000_000  # bytes of a log from which on records that are only counted are not read one by one
_HISTORY_TAG = rec.HISTORY << 3 | 2


@dataclass(frozen=True)
class Media:
    """A media value of a history row: its key, step, and W&B's own dict (``_type``, ``path``, ``sha256``, ...)."""

    key: str
    step: int | None
    value: dict[str, Any]


@dataclass
class LogScan:
    """What one log holds. Times are Unix seconds, 0.0 where the log has none."""

    path: Path
    damage: Damage = field(default_factory=Damage)
    run: rec.RunFields = field(default_factory=rec.RunFields)
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    summary_beyond: bool = False  # it has more keys than the limit
    step_metrics: dict[str, str] = field(default_factory=dict)
    rows: int = 0
    last_step: int | None = None
    newest: float = 0.0
    has_exit: bool = False
    exit_code: int = 0
    runtime: float | None = None  # seconds, as the exit record says
    preempting: bool = False
    history: Columns | None = None
    system: dict[str, Column] = field(default_factory=dict)  # `rows` number `system_times`
    system_times: list[float] = field(default_factory=list)
    media: list[Media] = field(default_factory=list)
    console: deque[str] = field(default_factory=deque)


def read_head(path: Path) -> LogScan:
    """Return a scan of the records before the first history row: who the run is.

    Raises:
        ToolkitError: the file is no readable log.
    """
    scan = LogScan(path)
    for record in read_records(path, scan.damage, blocks=1):
        try:
            kind, start, end = rec.record_body(record)
            if kind == rec.RUN:
                scan.run.update(record, start, end)
                break
            if kind == rec.HISTORY:
                break
        except WireError:
            continue
    return scan


def read_environment(path: Path) -> dict[str, Any]:
    """Return what a log's beginning says of program, code and machine, named as in wandb-metadata.json.

    Raises:
        ToolkitError: the file is no readable log.
    """
    found: dict[str, Any] = {}
    run, rows = rec.RunFields(), 0
    for record in read_records(path, Damage(), blocks=1):
        try:
            kind, start, end = rec.record_body(record)
            if kind == rec.ENVIRONMENT:
                found |= environment_of(record, start, end)
            elif kind == rec.RUN:
                run.update(record, start, end)
        except WireError:
            continue
        rows += kind == rec.HISTORY
        if rows > _HEAD_ROWS:
            break
    return {"git": git_of(run.git), **found} if run.git else found


def scan_log(
    path: Path,
    *,
    keys: Collection[str] | None = (),
    system: Collection[str] | None = (),
    media: bool = False,
    console: bool = False,
    card: bool = True,
    summary: bool = False,
) -> LogScan:
    """Read a whole log.

    Args:
        path: the log.
        keys: history metrics to keep; None keeps all, () none. A log without steps is read twice for a choice of them.
        system: system metrics to keep (without the ``system.`` prefix); None keeps all.
        media: keep the media values.
        console: keep the end of the console output.
        card: keep what describes the run: config, exit, last step and time.
        summary: keep the summary. It is most of a log, so it costs as much as all metrics.

    Raises:
        ToolkitError: the file is no readable log. Damage inside is counted in `damage`, never raised.
    """
    scan = _Scanner(LogScan(path), keys, system, media, console, card, summary).run()
    if scan.history is not None and scan.history.lacks_steps:
        again = _Scanner(LogScan(path), keys, (), False, False, False, False)
        again.scan.history = Columns(keys, every_row=True)
        scan.history = again.run().history
    return scan


class _Scanner:
    def __init__(
        self,
        scan: LogScan,
        keys: Collection[str] | None,
        system: Collection[str] | None,
        media: bool,
        console: bool,
        card: bool,
        summary: bool,
    ) -> None:
        self.scan = scan
        self.card = card
        self.media = media
        self.system = system
        self.summary = Latest() if summary else None
        if keys is None or keys:
            scan.history = Columns(keys)
        self.config: list[tuple[bytes, int, int]] = []
        self.last: dict[int, tuple[bytes, int, int]] = {}  # the newest record of the kinds that carry a time
        self.console_size = 0
        self.handlers: dict[int, Callable[[bytes, int, int], None]] = {rec.HISTORY: self._history}
        if card:
            self.handlers |= {
                rec.CONFIG: self._config,
                rec.METRIC: self._metric,
                rec.EXIT: self._exit,
                rec.PREEMPTING: self._preempting,
            }
        if self.summary is not None:
            self.handlers[rec.SUMMARY] = self.summary.add
        self.handlers[rec.RUN] = self._run
        if card or system is None or system:
            self.handlers[rec.STATS] = self._stats
        if card or console:
            handler = self._console if console else self._output_seen
            self.handlers |= {rec.OUTPUT: handler, rec.OUTPUT_RAW: handler}

    def run(self) -> LogScan:
        scan, damage = self.scan, self.scan.damage
        # Tag bytes of the record types below 16, which a record starts with behind its number.
        quick = {kind << 3 | 2: self.handlers.get(kind) for kind in range(2, 15)}
        handlers = self.handlers
        for record, passed in self._read():
            try:
                pos = 0
                if record[0] == 8:  # Record.num
                    pos = 1
                    while record[pos] > 127:
                        pos += 1
                    pos += 1
                tag = record[pos]
                if tag in quick:
                    handler = quick[tag]
                    if handler is None:
                        continue
                    if tag == _HISTORY_TAG:
                        scan.rows += passed
                    size = record[pos + 1]
                    start = pos + 2
                    if size > 127:
                        if record[start] < 128:  # two bytes, as nearly always
                            size, start = size & 127 | record[start] << 7, start + 1
                        else:
                            size, start = varint(record, pos + 1)
                    if start + size > len(record):
                        raise WireError("record runs past its end")
                    handler(record, start, start + size)
                    continue
                kind, start, end = rec.record_body(record)
                if kind in handlers:
                    handlers[kind](record, start, end)
            except (WireError, IndexError):
                damage.records += 1
        self._finish()
        return scan

    def _read(self) -> Iterator[tuple[bytes, int]]:
        """Yield (record, how many of its kind before it were passed over)."""
        path, damage = self.scan.path, self.scan.damage
        try:
            large = path.stat().st_size >= LARGE
        except OSError:  # which the reader explains
            large = False
        if not large:
            return ((record, 0) for record in read_records(path, damage))
        from wandb_toolkit.sources.wandb_log.sparse import read_sparsely

        passed = {kind for kind in range(2, 15) if kind not in self.handlers}
        if self.scan.history is None and not self.media:
            passed.add(rec.HISTORY)
        if self.system is not None and not self.system:
            passed.add(rec.STATS)
        if self._console not in self.handlers.values():
            passed |= {rec.OUTPUT, rec.OUTPUT_RAW}
        return read_sparsely(path, damage, passed, condensed=self.summary is not None)

    def _history(self, data: bytes, start: int, end: int) -> None:
        scan = self.scan
        scan.rows += 1
        self.last[rec.HISTORY] = (data, start, end)
        if scan.history is not None:
            scan.history.add(data, start, end)
        if self.media and data.find(b"_type", start, end) >= 0:
            self._media(data, start, end)

    def _media(self, data: bytes, start: int, end: int) -> None:
        row: dict[str, Any] = {}
        for path, raw in rec.items(data, start, end):
            rec.put(row, path, rec.parse_json(raw))
        step = _step_of(row, data, start, end)
        for key, value in rec.leaves(row):
            if isinstance(value, dict) and "_type" in value:
                self.scan.media.append(Media(key, step, value))

    def _config(self, data: bytes, start: int, end: int) -> None:
        self.config.append((data, start, end))

    def _run(self, data: bytes, start: int, end: int) -> None:
        self.scan.run.update(data, start, end)
        if self.summary is not None:  # what a resumed run had before
            for number, value in fields(data, start, end):
                if number == 5 and isinstance(value, bytes):
                    self.summary.add(value, 0, len(value))

    def _metric(self, data: bytes, start: int, end: int) -> None:
        found = rec.metric_definition(data, start, end)
        if found:
            self.scan.step_metrics[found[0]] = found[1]

    def _exit(self, data: bytes, start: int, end: int) -> None:
        found = {number: value for number, value in fields(data, start, end) if isinstance(value, int)}
        self.scan.has_exit = True
        self.scan.exit_code = signed(found.get(1, 0))
        self.scan.runtime = float(signed(found[2])) if 2 in found else None

    def _preempting(self, data: bytes, start: int, end: int) -> None:
        self.scan.preempting = True

    def _stats(self, data: bytes, start: int, end: int) -> None:
        self.last[rec.STATS] = (data, start, end)
        if self.system is not None and not self.system:
            return
        scan = self.scan
        when, found = rec.stats_row(data, start, end)
        row = len(scan.system_times)
        scan.system_times.append(when)
        for path, raw in found:
            name = ".".join(path)
            if self.system is None or name in self.system:
                column = scan.system.setdefault(name, Column(name))
                try:
                    column.values.append(float(raw))
                    column.rows.append(row)
                except ValueError:
                    column.strings += 1

    def _output_seen(self, data: bytes, start: int, end: int) -> None:
        self.last[rec.OUTPUT] = (data, start, end)

    def _console(self, data: bytes, start: int, end: int) -> None:
        self.last[rec.OUTPUT] = (data, start, end)
        console = self.scan.console
        _, line = rec.output_line(data, start, end)
        console.append(line)
        self.console_size += len(line)
        while self.console_size > _CONSOLE_BYTES and len(console) > 1:
            self.console_size -= len(console.popleft())

    def _finish(self) -> None:
        scan = self.scan
        if self.summary is not None:
            scan.summary, scan.summary_beyond = self.summary.tree(), self.summary.beyond
        scan.step_metrics = rec.telling_axes(scan.step_metrics)
        scan.config = scan.run.config
        for data, start, end in self.config:  # behind all run records: a repeated one holds the config of the start
            try:
                rec.apply_config(scan.config, data, start, end)
            except WireError:
                scan.damage.records += 1
        for kind, (data, start, end) in self.last.items():
            try:
                if kind == rec.HISTORY:
                    row = {path[0]: rec.parse_json(raw) for path, raw in rec.items(data, start, end) if len(path) == 1}
                    step = _step_of(row, data, start, end)
                    scan.last_step = scan.rows - 1 if step is None else step
                    when = row.get("_timestamp")
                    scan.newest = max(scan.newest, float(when) if isinstance(when, (int, float)) else 0.0)
                elif kind == rec.STATS:
                    scan.newest = max(scan.newest, rec.stats_row(data, start, end)[0])
                else:
                    scan.newest = max(scan.newest, rec.output_line(data, start, end)[0])
            except WireError:
                continue


def _step_of(row: dict[str, Any], data: bytes, start: int, end: int) -> int | None:
    """Return a history row's step: its `_step`, else its HistoryStep, else None."""
    step = row.get("_step")
    if isinstance(step, (int, float)) and isfinite(step):
        return int(step)
    for number, value in fields(data, start, end):
        if number == 2 and isinstance(value, bytes):
            return next((signed(num) for field_, num in fields(value) if field_ == 1 and isinstance(num, int)), 0)
    return None
