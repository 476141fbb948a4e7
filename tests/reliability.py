"""Measure what faults, damage and kills do to the commands, and write docs/reliability.md.

    make reliability        # minutes; tests/docs/test_reliability.py does the same with little of each

Each part returns its figures. Random choices are seeded; which request meets which fault still depends on threads.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from repository import EXAMPLES, ROOT
from wandb_server import Call, Fault, Server
from wandb_server.faults import Kind
from wandb_server_cases import make_store
from wandb_toolkit.downloads.images import problem_with
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources.wandb_log.blocks import Damage, read_records

PAGE = ROOT / "docs" / "reliability.md"
CHANCE = 0.05
PATIENCE = 20.0  # seconds a command may take
_KINDS: tuple[Kind, ...] = ("status", "html", "truncate", "cut", "drop", "garble")
_COMMANDS = (
    ("list_runs", "lab/p"),
    ("list_metrics", "lab/p", "one"),
    ("get_history", "lab/p", "one", "--metrics", "loss"),
)


@dataclass
class _Mixed(Fault):
    """One kind of fault, at random requests to the API and to storage."""

    rng: random.Random = field(default_factory=random.Random)

    def meets(self, call: Call) -> bool:
        return self.rng.random() < CHANCE / len(_KINDS)


@contextlib.contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _call(words: tuple[str, ...]) -> tuple[int, Any, str]:
    out, err = io.StringIO(), io.StringIO()
    main = importlib.import_module(f"wandb_toolkit.commands.{words[0]}").main
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = int(main([*words[1:], "--json", "--no-cache", "--timeout", "10"]))
    text = out.getvalue()
    return code, json.loads(text) if text else None, err.getvalue()


def soak(requests: int, seed: int = 1) -> dict[str, int | float]:
    """Ask a server that fails 5% of its requests, in six ways, until it was asked so often.

    An answer is right (the same as without faults), named (a code that is not 0, and words), or wrong.
    """
    figures: Counter[str] = Counter()
    slowest = 0.0
    with Server(make_store()) as server, _environment(server.environment()):
        expected = {words: _call(words) for words in _COMMANDS}
        assert all(code == 0 for code, _, _ in expected.values()), expected
        alone = len(server.record.calls) / len(_COMMANDS)
        server.record.clear()
        for at, kind in enumerate(_KINDS):
            server.faults.append(_Mixed(kind, 502, rng=random.Random(seed * 100 + at)))
        while len(server.record.calls) < requests:
            words = _COMMANDS[figures["commands"] % len(_COMMANDS)]
            start = time.monotonic()
            code, answer, said = _call(words)
            slowest = max(slowest, time.monotonic() - start)
            figures["commands"] += 1
            right = (code, answer) == expected[words][:2]
            figures["right" if right else "named" if code and said.strip() else "wrong"] += 1
            figures["unexpected"] += "Unexpected" in said
        figures["requests"], figures["faults"] = len(server.record.calls), server.record.faults_met
        figures["keys to storage"] = len(server.record.leaks)
    keys = ("requests", "faults", "commands", "right", "named", "wrong", "unexpected", "keys to storage")
    return {
        **{name: figures[name] for name in keys},
        "requests for each without faults": round(figures["requests"] / figures["commands"] / alone, 2),
        "slowest command, s": round(slowest, 1),
        "hung": int(slowest > PATIENCE),
    }


def damaged_logs(count: int, seed: int = 1) -> dict[str, int | float]:
    """Flip, blank, cut or repeat bytes of the examples' logs; each record that is read must be one that was written."""
    rng, figures = random.Random(seed), Counter[str]()
    logs = [path.read_bytes() for path in sorted(EXAMPLES.glob("*/*.wandb"))]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "run-x.wandb")
        known = []
        for log in logs:
            place.write_bytes(log)
            known.append(list(read_records(place, Damage())))
        for _ in range(count):
            at = rng.randrange(len(logs))
            data = bytearray(logs[at])
            for _ in range(rng.choice((1, 1, 2, 20))):
                start, length = rng.randrange(len(data)), rng.choice((1, 1, 16, 5000))
                how = rng.randrange(4)
                if how == 0:
                    data[start] ^= 1 << rng.randrange(8)
                elif how == 1:
                    data[start : start + length] = bytes(len(data[start : start + length]))
                elif how == 2:
                    del data[start:]
                    data = data or bytearray(b":")
                else:
                    data[start:start] = data[start : start + length]
            place.write_bytes(data)
            damage, found = Damage(), []
            try:
                found = list(read_records(place, damage))
            except ToolkitError:
                figures["refused with a reason"] += 1
            written = set(known[at])
            figures["logs"] += 1
            figures["records read"] += len(found)
            figures["records written"] += len(known[at])
            figures["records that nobody wrote"] += sum(record not in written for record in found)
            if found and len(found) < len(known[at]) and not (damage.warnings("") or damage.cut_off):
                # Cut between two records, or zeros to the end: no reader can tell it from a log that was closed there.
                early = found == known[at][: len(found)]
                figures["logs that just end sooner, between records" if early else "losses without a word"] += 1
    keys = ("logs", "records written", "records read", "refused with a reason", "records that nobody wrote")
    ends = ("logs that just end sooner, between records", "losses without a word")
    return {name: figures[name] for name in (*keys, *ends)}


_WRITING = {
    "generate_plots": ("examples/wandb", "grpobas1", "--metrics", "train/reward", "--output"),
    "export_runs": ("examples/wandb", "--format", "csv", "--output"),
    "wandb_report": ("examples/wandb", "--figures"),
}


def _broken(folder: Path) -> list[str]:
    """Return the files below a folder that are not whole, the temporary ones of killed commands left out."""
    broken = []
    for path in folder.rglob("*"):
        if not path.is_file() or path.name.startswith(".wandb-toolkit-"):
            continue
        if path.suffix == ".json":
            try:
                json.loads(path.read_bytes())
            except ValueError:
                broken.append(path.name)
        elif problem_with(path, path.name) or not path.stat().st_size:
            broken.append(path.name)
    return broken


def kills(count: int, seed: int = 1) -> dict[str, int | float]:
    """Kill each writing command at random moments of the time that it takes, and look at what it left."""
    rng, figures = random.Random(seed), Counter[str]()
    for name, words in _WRITING.items():
        command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *words]
        with tempfile.TemporaryDirectory() as root:
            start = time.monotonic()
            subprocess.run([*command, str(Path(root, "whole"))], cwd=ROOT, capture_output=True, check=False)
            taken = time.monotonic() - start
            folder = Path(root, "killed")
            for _ in range(count):
                process = subprocess.Popen(
                    [*command, str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
                try:
                    process.wait(rng.uniform(0.1, 1.0) * taken)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                    figures["killed"] += 1
                figures["starts"] += 1
                figures["broken files"] += len(_broken(folder))
            after = subprocess.run([*command, str(folder)], cwd=ROOT, capture_output=True, check=False)
            figures["commands that fail afterwards"] += after.returncode not in (0, 1)
            figures["broken files"] += len(_broken(folder))
    return {name: figures[name] for name in ("starts", "killed", "broken files", "commands that fail afterwards")}


def page(parts: dict[str, dict[str, int | float]], amounts: str = "") -> str:
    """Return the page with the figures of each part; `amounts` are the flags that they were measured with."""
    lines = [
        "# Reliability, in figures",
        "",
        "Made by `make reliability`; a short form of each part runs in the suite (`tests/docs/test_reliability.py`).",
        "What is not measured here, and the tests that show it: [SECURITY.md](../SECURITY.md).",
    ]
    if amounts:
        lines += [
            "",
            f"These figures: `python tests/reliability.py {amounts}`; without flags, 10,000 requests and logs.",
        ]
    for title, figures in parts.items():
        lines += ["", f"## {title}", "", "| What | Count |", "|---|---:|"]
        lines += [f"| {name} | {value:,} |" for name, value in figures.items()]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> int:
    """Measure all parts and write the page."""
    parser = argparse.ArgumentParser(description="Measure faults, damage and kills; write docs/reliability.md.")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=100, help="starts of each writing command")
    args = parser.parse_args(argv)
    parts = {
        "A server that fails 5% of its requests (status, page, cut, dropped, garbled)": soak(args.requests),
        "Damaged logs": damaged_logs(args.logs),
        "Writing commands killed at random moments": kills(args.kills),
    }
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    parts["The measuring process"] = {"peak memory, MB": peak}
    amounts = f"--requests {args.requests} --logs {args.logs} --kills {args.kills}"
    PAGE.write_text(page(parts, amounts), encoding="utf-8")
    print(f"{PAGE}: written")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
