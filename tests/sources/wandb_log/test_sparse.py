"""Large logs, read without the rows that are only counted: what comes out is what the plain reader sees."""

from __future__ import annotations

import json
import random
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wandb_runs as w
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources.local import summaries
from wandb_toolkit.sources.local.run_dirs import find_run_dirs
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log import scan, sparse
from wandb_toolkit.sources.wandb_log.blocks import BLOCK, Damage, read_records
from wandb_toolkit.sources.wandb_log.checksums import moved, of_blocks, of_columns
from wandb_toolkit.sources.wandb_log.scan import scan_log
from wandb_toolkit.sources.wandb_log.vectors import SLACK, KeyTable, find_items


def records_of(rng: random.Random, count: int) -> list[bytes]:
    """Return a log's records, of every kind and layout, shuffled within reason."""
    names: list[Any] = [f"group/metric {'x' * rng.randrange(40)} {n}" for n in range(6)]
    names += ["a", ("a", "b"), ("a", "c"), "é", ("deep", "er", "x" * 30), "y" * 130]
    made = [w.HEADER_RECORD, w.run(name="n", config={"lr": 1}, summary={"before": 1, "a": {"b": 0}})]
    step = 0
    for _ in range(count):
        row = {name: rng.choice([rng.random(), 5, "text", float("nan")]) for name in rng.sample(names, 5)}
        if rng.random() < 0.03:
            row["long"] = "z" * rng.choice([100, 130, 3000, 20_000, 70_000])
        flat = rng.random() < 0.1
        if rng.random() < 0.9:
            stamp = {"_step": step, "_timestamp": w.START + step}
            made.append(w.history({**row, **stamp}, rng.choice([None, step]), flat=flat, num=rng.choice([0, 1, 2**20])))
            step += rng.choice([1, 1, 1, 3])
        removed = rng.sample(names, 1) if rng.random() < 0.02 else []
        made.append(w.summary({**row, "_step": step}, removed, flat=flat))
        other = rng.random()
        if other < 0.05:
            made.append(w.stats(w.START + step, {"cpu": step}))
        elif other < 0.1:
            made.append(w.output(f"line {step}\n", w.START + step, raw=rng.random() < 0.5))
        elif other < 0.12:
            made.append(w.config({"seed": step}))
        elif other < 0.125:  # rewound: W&B goes on in the same log
            made.append(w.run(name="again", summary={"a": 7}, branch=("abcd1234", step / 2)))
            step //= 2
        elif other < 0.14:
            made.append(
                rng.choice(
                    [b"", b"\x08", b"\x12\x7fxx", w.record(2, b"\x0a\x7f"), w.record(3, b"\x0a\x7fx"), b"\xff" * 9]
                )
            )
    return [*made, w.exit_(0, 9), w.FINAL, w.FOOTER][: rng.choice([None, -3, -2])]


def damaged(rng: random.Random, data: bytearray) -> bytearray:
    for _ in range(rng.choice([0, 0, 0, 1, 3])):
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at : at + rng.randrange(40)]
        elif kind == 2:
            data[at : at + 3 * BLOCK] = bytes(len(data[at : at + 3 * BLOCK]))
        elif kind == 3:
            del data[at:]
            data = data or bytearray(b"x")
        else:
            data += bytes(rng.choice([5, 600, 2 * BLOCK]))
    return data


def seen(log: Path, what: dict[str, Any]) -> Any:
    """Return all that a scan found, comparable."""
    try:
        found = scan_log(log, **what)
    except ToolkitError as error:
        return error.message
    plain = {name: value for name, value in vars(found).items() if name not in ("history", "system")}
    columns = found.history.columns if found.history else {}
    kept = {name: (list(column.rows), list(column.values), column.strings) for name, column in columns.items()}
    return repr((plain | {"summary": json.dumps(found.summary, sort_keys=True)}, sorted(kept.items())))


@pytest.mark.parametrize("seed", range(16))
def test_large_logs_give_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng = random.Random(seed)
    data = w.framed(records_of(rng, rng.choice([30, 300, 1000])), base=rng.choice([0, 0, 7]))
    log = tmp_path / "run-x.wandb"
    log.write_bytes(damaged(rng, data))
    ways: list[dict[str, Any]] = [
        {}, {"card": False, "summary": True}, {"summary": True, "console": True}, {"keys": ("a", "é")},
        {"keys": None, "system": None, "media": True},
    ]  # fmt: skip
    for what in ways:
        plain = seen(log, what)
        monkeypatch.setattr(sparse, "BATCH", rng.choice([1, 2, 3, 8, 512]))
        monkeypatch.setattr(scan, "LARGE", 0)
        assert seen(log, what) == plain, what
        monkeypatch.setattr(scan, "LARGE", 16_000_000)


def test_only_the_last_of_what_is_counted_is_read(tmp_path: Path) -> None:
    parts = [
        part for step in range(2000) for part in (*w.rows(1, first=step), w.summary({"loss": step, "_step": step}))
    ]
    log = w.write_log(tmp_path / "x.wandb", [w.run(), *parts, w.exit_()])
    found = list(sparse.read_sparsely(log, Damage(), {rec.HISTORY}, condensed=False))
    assert sum(record == parts[-2] for record, _ in found) == 1
    assert sum(count for _, count in found) > 1900
    few = list(sparse.read_sparsely(log, Damage(), {rec.HISTORY}, blocks=2, condensed=True))
    assert len(few) < len(found) / 2  # all but those of the first blocks stand together


def test_a_flipped_bit_in_a_passed_row_is_damage(tmp_path: Path) -> None:
    data = w.framed([w.run(), *w.rows(2000), w.exit_()])
    data[len(data) // 2] ^= 4
    log = tmp_path / "x.wandb"
    log.write_bytes(data)
    wanted, found = Damage(), Damage()
    rows = len(list(read_records(log, wanted)))
    counted = sum(1 + count for _, count in sparse.read_sparsely(log, found, {rec.HISTORY}, blocks=2))
    assert (counted, found) == (rows, wanted)
    assert found.stretches == 1


def test_checksums_of_parts_make_that_of_the_whole() -> None:
    rng = random.Random(1)
    pieces = [rng.randbytes(size) for size in (0, 1, 255, 256, 257, 32_768, 9_999)]
    crcs = np.array([zlib.crc32(b"one")] * len(pieces), dtype=np.uint32)
    both = moved(crcs, np.array([len(piece) for piece in pieces])) ^ np.array(
        [*map(zlib.crc32, pieces)], dtype=np.uint32
    )
    assert both.tolist() == [zlib.crc32(b"one" + piece) for piece in pieces]
    blocks = [rng.randbytes(BLOCK) for _ in range(5)]
    assert of_blocks(np.array([*map(zlib.crc32, blocks)], dtype=np.uint32), BLOCK) == zlib.crc32(b"".join(blocks))
    columns = np.frombuffer(rng.randbytes(60), dtype=np.uint8).reshape(6, 10)
    assert of_columns(columns).tolist() == [zlib.crc32(columns[:, n].tobytes()) for n in range(10)]


def test_keys_are_told_apart_by_every_byte() -> None:
    names = ["k" * size for size in range(1, 60)] + ["k" * 20 + middle + "k" * 20 for middle in "abc"] + ["K", "kk/k"]
    rows = [b"".join(w.field(1, w.item(name, 1)) for name in names)] * 2
    buffer = bytearray(b"\0" * 64 + b"".join(rows) + bytes(SLACK))
    starts = np.array([64, 64 + len(rows[0])])
    items = find_items(buffer, starts, starts + len(rows[0]), step=False)
    table = KeyTable()
    numbers = table.numbers(buffer, items)
    assert items.plain.all()
    assert sorted(numbers.tolist()) == sorted([*range(len(names))] * 2)
    assert sorted(table.keys) == sorted(w.key(name) for name in names)


WHOLE = {"_step": 1999, "loss": 999.5, "early": 1, "odd": float("nan"), "deep": {"x": [1, 2]}}


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ({}, True),
        ({"_step": 2500, "loss": 1.0}, True),  # of a later step: the process was killed before it wrote the rest
        ({"_step": 1998}, False),
        ({"loss": 1.0}, False),
        ({"loss": "999.5"}, False),
        ({"loss": None}, False),
    ],
)
def test_the_file_beside_is_taken_where_it_is_as_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], taken: bool
) -> None:
    rows = [w.summary({"_step": step, "loss": step / 2, "odd": float("nan")}) for step in range(2000)]
    file = {name: value for name, value in {**WHOLE, **change}.items() if value is not None} | {"only": "here"}
    records = [w.run(), w.summary({"early": 1, ("deep", "x"): [1, 2]}), *rows, w.exit_()]
    w.write_run(tmp_path, records, files={"wandb-summary.json": json.dumps(file)})
    [found] = find_run_dirs(tmp_path).dirs
    monkeypatch.setattr(scan, "LARGE", 0)
    answer = summaries.summary_of([found])
    assert ("only" in answer) == taken
    wanted = {**WHOLE, **change, "only": "here"} if taken else WHOLE
    assert json.dumps(answer, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def test_the_file_beside_is_not_taken_where_the_end_removes_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [w.run(), w.summary({"_step": 3, "gone": 1}), w.summary({}, ["gone"]), w.exit_()]
    w.write_run(tmp_path, records, files={"wandb-summary.json": json.dumps({"_step": 3, "gone": 1})})
    [found] = find_run_dirs(tmp_path).dirs
    monkeypatch.setattr(scan, "LARGE", 0)
    assert summaries.summary_of([found]) == {"_step": 3}
