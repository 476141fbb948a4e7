"""Whole processes, measured: wall time, processor time and peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
PYTHON = sys.executable


@dataclass(frozen=True)
class Cost:
    """What one process took."""

    wall: float  # seconds
    cpu: float  # seconds of all its threads
    memory: float  # peak resident, megabytes

    @staticmethod
    def median(costs: Sequence[Cost]) -> Cost:
        """Return the medians, one by one."""
        return Cost(*(median(getattr(one, name) for one in costs) for name in ("wall", "cpu", "memory")))


def measure(words: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run a process, its output thrown away, and return what it took.

    Raises:
        RuntimeError: it failed.
    """
    begin = time.perf_counter()
    null = subprocess.DEVNULL
    process = subprocess.Popen(words, stdout=null, stderr=null, env={**os.environ, **(env or {})})  # noqa: S603 ours
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}")
    unit = 1e6 if sys.platform == "darwin" else 1e3  # ru_maxrss is in bytes there, in kilobytes here
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = rows
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
