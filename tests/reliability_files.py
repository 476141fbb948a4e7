"""What files and processes can do: damaged logs, hostile directories, kills, two at once, a full disk."""

from __future__ import annotations

import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import wandb_runs as w
from reliability_calls import run
from repository import EXAMPLES, ROOT
from wandb_toolkit.downloads.images import problem_with
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources.wandb_log.blocks import Damage, read_records


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


def kills(count: int, names: Sequence[str] = tuple(_WRITING), seed: int = 1) -> dict[str, int | float]:
    """Kill each writing command at random moments of the time that it takes, and look at what it left."""
    rng, figures = random.Random(seed), Counter[str]()
    for name in names:
        words = _WRITING[name]
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


def two_at_once(times: int, names: Sequence[str] = tuple(_WRITING)) -> dict[str, int | float]:
    """Start each writing command twice at the same moment with one folder, and look at what both left."""
    figures: Counter[str] = Counter()
    for name in names:
        command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *_WRITING[name]]
        for _ in range(times):
            with tempfile.TemporaryDirectory() as root:
                folder = Path(root, "both")
                started = [
                    subprocess.Popen(
                        [*command, str(folder)], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                    )
                    for _ in range(2)
                ]
                said = [process.communicate()[1].decode() for process in started]
                figures["pairs"] += 1
                figures["both done"] += all(process.returncode in (0, 6) for process in started)
                figures["one refused with a reason"] += sorted(process.returncode != 0 for process in started) == [0, 1]
                figures["neither done"] += all(process.returncode not in (0, 6) for process in started)
                figures["unexpected"] += any("Unexpected" in text or "Traceback" in text for text in said)
                figures["broken files"] += len(_broken(folder))
                figures["temporary files left"] += len(list(folder.rglob(".wandb-toolkit-*")))
    keys = (
        "pairs",
        "both done",
        "one refused with a reason",
        "neither done",
        "unexpected",
        "broken files",
        "temporary files left",
    )
    return {name: figures[name] for name in keys}


def full_disk(sizes: Sequence[int], names: Sequence[str] = tuple(_WRITING)) -> dict[str, int | float]:
    """Let no file grow above a size, in bytes, as on a disk that is full."""
    figures: Counter[str] = Counter()
    for name in names:
        command = [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *_WRITING[name]]
        for size in sizes:
            with tempfile.TemporaryDirectory() as root:
                folder = Path(root, "full")
                limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (size, size))
                environment = {
                    **os.environ,
                    "MPLCONFIGDIR": os.environ.get("MPLCONFIGDIR", root),
                    "PYTHONDONTWRITEBYTECODE": "1",
                }
                done = subprocess.run(
                    [*command, str(folder)],
                    cwd=ROOT,
                    env=environment,
                    preexec_fn=limit,
                    capture_output=True,
                    text=True,
                    check=False,
                )
                figures["commands"] += 1
                figures["done: what they wrote is small enough"] += done.returncode == 0
                figures["failed with a reason"] += done.returncode in (1, 6) and bool(done.stderr.strip())
                figures["unexpected"] += "Unexpected" in done.stderr or "Traceback" in done.stderr
                figures["broken files"] += len(_broken(folder))
                figures["temporary files left"] += len(list(folder.rglob(".wandb-toolkit-*")))
    keys = (
        "commands",
        "done: what they wrote is small enough",
        "failed with a reason",
        "unexpected",
        "broken files",
        "temporary files left",
    )
    return {name: figures[name] for name in keys}


_SECRET = "s3cret-of-another-file"


def _bombs() -> dict[str, bytes]:
    """Return files that mean harm to whatever parses them, by name."""
    laughs = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n" % (at + 1, at + 1, *([at] * 9)) for at in range(97, 106)
    )
    return {
        "config.yaml: code": b"lr: !!python/object/apply:os.system ['echo pwned']\n",
        "config.yaml: a billion laughs": laughs,
        "config.yaml: wrong types": b"lr: {value: !!int ''}\nx: !!timestamp foo\n",
        "config.yaml: deep": b"[" * 50_000,
        "wandb-summary.json: deep": b"[" * 100_000,
        "wandb-summary.json: wide": b"[" + b"[]," * 2_200_000 + b"[]]",
        "wandb-summary.json: digits": b'{"_step": ' + b"9" * 5000 + b', "_timestamp": 1e400}',
        "wandb-summary.json: text": b"\xff\xfe\x00",
        "wandb-metadata.json: types": b'{"args": 3, "git": [], "startedAt": "9999-99-99", "program": {"a": 1}}',
        "output.log: escapes": b"\x1b]52;c;cHduZWQ=\x07Traceback\nValueError: \x1b[2J \xe2\x80\xae" + b"x" * 300_000,
    }


def _directories(root: Path) -> dict[str, Callable[[Path], object]]:
    """Return how to make each hostile run directory."""
    secret = root / "secret.json"
    secret.write_text(json.dumps({"stolen": _SECRET}))
    rows = [w.run("badbad11"), *w.rows(20), w.exit_()]

    def beside(name: str, content: bytes) -> Callable[[Path], object]:
        return lambda folder: w.write_run(folder, None, "badbad11", files={name.partition(":")[0]: content})

    def linked(name: str) -> Callable[[Path], object]:
        return lambda folder: (w.write_run(folder, None, "badbad11") / "files" / name).symlink_to(secret)

    def log_as(make: Callable[[Path], object]) -> Callable[[Path], object]:
        return lambda folder: make(w.write_run(folder, None, "badbad11") / "run-badbad11.wandb")

    def holes(path: Path) -> None:
        path.write_bytes(w.framed(rows))
        os.truncate(path, 50_000_000)

    def named(name: str) -> Callable[[Path], object]:
        return lambda folder: w.write_run(
            folder, [w.run("badbad11", name=name, notes=name, tags=[name]), *rows[1:]], "badbad11"
        )

    return {
        **{name: beside(name, content) for name, content in _bombs().items()},
        **{
            f"{name}: a link to another file": linked(name)
            for name in ("wandb-summary.json", "config.yaml", "output.log")
        },
        "log: a pipe": log_as(os.mkfifo),
        "log: a folder": log_as(Path.mkdir),
        "log: a device": log_as(lambda path: path.symlink_to("/dev/zero")),
        "log: a circle": log_as(lambda path: path.symlink_to(path)),
        "log: empty": log_as(Path.touch),
        "log: holes": log_as(holes),
        "log: other bytes": log_as(lambda path: path.write_bytes(os.urandom(100_000))),
        "name: escapes": named("\x1b]52;c;cHduZWQ=\x07\x1b[2J\x9b31m\u202e\U000e0041 | `x` <script>"),
        "name: a path": named("../../../../tmp/pwned"),
        "name: long": named("x" * 100_000),
        "circle of folders": lambda folder: (folder / "around").symlink_to(folder),
        "a name that is no text": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/run-\xff\xfe")).mkdir(),
    }


_OBEYED = "\x1b\x07\x9b\u202e\U000e0041"
_LOOKS = (("list_runs",), ("list_metrics", "goodgood"), ("show_run", "goodgood"), ("wandb_report",))


def hostile_directories(commands: int = len(_LOOKS)) -> dict[str, int | float]:
    """Put a sound run beside each hostile directory: it is answered all the same, nothing else comes with it."""
    figures: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as place:
        for at, make in enumerate(_directories(Path(place)).values()):
            folder = Path(place, f"case{at}")
            sound = [w.run("goodgood", name="sound"), *w.rows(60), w.exit_()]
            w.write_run(folder, sound, "goodgood", at="20240101_000000")
            make(folder)
            figures["directories"] += 1
            for (name, *words), form in itertools.product(_LOOKS[:commands], ((), ("--json",))):
                start = time.monotonic()
                code, out, said = run((name, str(folder), *words), *form)
                slowest = max(slowest, time.monotonic() - start)
                figures["commands"] += 1
                figures["sound run answered"] += code in (0, 6) and ("sound" in out or "loss" in out)
                figures["unexpected"] += "Unexpected" in said
                figures["other files shown"] += _SECRET in out + said
                figures["characters that a terminal obeys"] += any(sign in out + said for sign in _OBEYED)
    keys = (
        "directories",
        "commands",
        "sound run answered",
        "unexpected",
        "other files shown",
        "characters that a terminal obeys",
    )
    return {**{name: figures[name] for name in keys}, "slowest command, s": round(slowest, 1)}
