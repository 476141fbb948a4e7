"""A run directory's summary: the log's, or files/wandb-summary.json where that is as new."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import isnan
from pathlib import Path
from typing import Any

from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources.history import beyond
from wandb_toolkit.sources.local.index import Logs
from wandb_toolkit.sources.local.run_dirs import RunDir, read_json
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log import scan
from wandb_toolkit.sources.wandb_log.blocks import read_end
from wandb_toolkit.sources.wandb_log.summary import Latest
from wandb_toolkit.sources.wandb_log.wire import WireError, fields

_ENDS = (32, 512)  # blocks of a log's end in which its last summary records are looked for
_NONFINITE = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def summary_of(
    parts: Sequence[RunDir], say: Callable[[str], None] | None = None, logs: Logs | None = None
) -> dict[str, Any]:
    """Return the summary of a run whose directories are in the order of their start.

    `say` is told what reading it comes upon; `logs` read the logs.
    """
    summary: dict[str, Any] = {}
    for part in parts:
        summary |= _summary_of(part, say, logs or Logs())
    summary.pop("_wandb", None)
    return summary


def beside(found: RunDir) -> dict[str, Any]:
    """Return what files/wandb-summary.json says, {} where there is none."""
    return read_json(found.files / "wandb-summary.json") if found.files else {}


def number(value: object) -> float:
    """Return a number that a file says, 0.0 where it is none."""
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0.0


def _summary_of(found: RunDir, say: Callable[[str], None] | None, logs: Logs) -> dict[str, Any]:
    summary: dict[str, Any] = {}
    file = beside(found)
    if found.log is not None:
        with suppress(ToolkitError, OSError):
            if file and found.log.stat().st_size >= scan.LARGE:
                whole = _as_new(file, found.log)
                if whole is not None:
                    return whole
            summary, more = logs.summary(found.log)
            if more and say is not None:
                say(f"{found.log.name}: {beyond('summary keys')}")
    if file and (not summary or number(file.get("_step")) > number(summary.get("_step"))):
        summary |= file  # a killed process leaves its last rows out of the log
    return summary


def _as_new(file: Mapping[str, Any], log: Path) -> dict[str, Any] | None:
    """Return the file's summary, None unless it is as new as the log.

    The SDK writes the whole summary to the file; the log's records hold what changed. Where the file agrees with all
    that the log's end says, the step included, or is of a later step and knows all its keys, it holds what earlier
    records said, too. What a clock or a file's time says does not count: copying changes it.

    Raises:
        ToolkitError: the log cannot be read.
    """
    for blocks in _ENDS:
        ending = _ending(log, blocks)
        if ending is None:
            return None
        if "_step" in ending:
            break
    else:
        return None
    known, last = dict(rec.leaves(file)), dict(rec.leaves(ending))
    if not last.keys() <= known.keys():
        return None
    if number(file.get("_step")) > number(ending["_step"]):
        return dict(file)
    if any(not _same(value, known[key]) for key, value in last.items()):
        return None
    return dict(file)


def _ending(log: Path, blocks: int) -> dict[str, Any] | None:
    """Return what the summary records of a log's last blocks say together; None where a key was removed in them."""
    latest = Latest()
    for record in read_end(log, blocks):
        try:
            kind, start, end = rec.record_body(record)
            if kind == rec.SUMMARY:
                if any(field != 1 for field, _ in fields(record, start, end)):
                    return None
                latest.add(record, start, end)
        except (WireError, IndexError):
            continue
    return latest.tree()


def _same(one: object, other: object) -> bool:
    """Whether two values of a summary are one; NaN is NaN, and the SDK's texts for such numbers are numbers."""
    one, other = (_NONFINITE.get(value, value) if isinstance(value, str) else value for value in (one, other))
    if isinstance(one, float) and isinstance(other, float) and isnan(one):
        return isnan(other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    return one == other and (type(one) is type(other) or (_number(one) and _number(other)))


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
