"""Framing: whole logs, logs still growing, damaged ones, and files that are no logs."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import struct
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wandb_runs import BLOCK, HEADER, framed, rows, write_log
from wandb_toolkit.errors import Exit, NotFoundError, ToolkitError
from wandb_toolkit.sources.wandb_log.blocks import Damage, read_records

NAMED = [b"record %04d " % number * (number % 40 + 1) for number in range(400)]  # three blocks


def read(data: bytes | bytearray, path: Path, blocks: int = 32) -> tuple[list[bytes], Damage]:
    path.write_bytes(data)
    damage = Damage()
    return list(read_records(path, damage, blocks)), damage


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "run-x.wandb"


@pytest.mark.parametrize("blocks", [1, 2, 32])
@pytest.mark.parametrize("size", [0, 1, 200, BLOCK - 7 - 7, BLOCK - 7 - 8, BLOCK, 3 * BLOCK, 40 * BLOCK + 5])
def test_a_record_of_any_size(log: Path, size: int, blocks: int) -> None:
    payloads = [b"before", bytes(range(256)) * (size // 256) + b"x" * (size % 256), b"after"]
    found, damage = read(framed(payloads), log, blocks)
    assert found == payloads
    assert damage == Damage()


@pytest.mark.parametrize("rest", range(9))
def test_padding_at_the_end_of_a_block(log: Path, rest: int) -> None:
    payloads = [b"x" * (BLOCK - 7 - 7 - rest), b"next", b"one more"]
    data = framed(payloads)
    found, damage = read(data, log)
    assert found == payloads
    assert damage == Damage()


def test_every_prefix_of_a_growing_log_reads_as_a_prefix(log: Path) -> None:
    payloads = [b"a" * 300, b"b" * 40_000, b"c", b"d" * 10]
    data = bytes(framed(payloads))
    for end in [*range(7, 420), *range(BLOCK - 20, BLOCK + 20), *range(len(data) - 60, len(data))]:
        found, damage = read(data[:end], log)
        assert found == payloads[: len(found)]
        assert not damage.stretches
        assert not damage.records
        assert damage.cut_off == (len(framed(found)) < end)


@pytest.mark.parametrize("cut", [BLOCK, 2 * BLOCK])
def test_cut_off_at_a_block_boundary(log: Path, cut: int) -> None:
    data = bytearray(INTACT)
    found, damage = read(data[:cut], log)
    assert found == NAMED[: len(found)]
    assert damage == Damage(cut_off=True)


@pytest.mark.parametrize("zeros", [1, 6, 7, 500, 3 * BLOCK])
def test_space_laid_out_ahead_is_no_damage(log: Path, zeros: int) -> None:
    found, damage = read(bytes(framed(NAMED)) + bytes(zeros), log)
    assert found == NAMED
    assert (damage.stretches, damage.records) == (0, 0)


def test_a_file_that_grows_while_it_is_read(log: Path) -> None:
    first, second = framed(NAMED[:100]), framed(NAMED)
    log.write_bytes(first)
    damage = Damage()
    found: list[bytes] = []
    for record in read_records(log, damage):
        if not found:
            with log.open("ab") as file:
                file.write(second[len(first) :])
        found.append(record)
    assert found == NAMED[: len(found)]
    assert (damage.stretches, damage.records) == (0, 0)


def _offsets(payloads: list[bytes]) -> list[tuple[int, int]]:
    """Return where each record's chunks start and end."""
    ends = [len(framed(payloads[:count])) for count in range(len(payloads) + 1)]
    return list(itertools.pairwise(ends))


OFFSETS = _offsets(NAMED)
INTACT = bytes(framed(NAMED))


@pytest.mark.parametrize("where", ["crc", "length", "type", "payload"])
def test_one_flipped_byte_costs_one_record(log: Path, where: str) -> None:
    data = bytearray(INTACT)
    start, _ = OFFSETS[10]
    data[start + {"crc": 1, "length": 4, "type": 6, "payload": 12}[where]] ^= 0x55
    found, damage = read(data, log)
    assert found == NAMED[:10] + NAMED[11:]
    assert (damage.stretches, damage.records) == (1, 1)
    assert damage.warnings("x.wandb")[0].startswith("x.wandb: skipped 1 damaged stretch")


@pytest.mark.parametrize("filling", ["zeros", "noise"])
def test_a_destroyed_block_costs_only_what_touched_it(log: Path, filling: str) -> None:
    data = bytearray(INTACT)
    noise = random.Random(0).randbytes(BLOCK)
    data[BLOCK : 2 * BLOCK] = bytes(BLOCK) if filling == "zeros" else noise
    kept = [p for p, (start, end) in zip(NAMED, OFFSETS, strict=True) if end <= BLOCK or start >= 2 * BLOCK]
    found, damage = read(data, log)
    assert found == kept
    assert damage.stretches >= 1
    assert damage.lost_bytes >= BLOCK - 7
    assert damage.records >= 1


@pytest.mark.parametrize("filling", [bytes(BLOCK), random.Random(1).randbytes(BLOCK)], ids=["zeros", "noise"])
def test_a_record_whose_middle_is_gone_is_not_joined(log: Path, filling: bytes) -> None:
    payloads = [b"before", b"long" * BLOCK, b"after"]
    data = framed(payloads)
    data[BLOCK : 2 * BLOCK] = filling
    found, damage = read(data, log)
    assert found == [b"before", b"after"]
    assert damage.records >= 1


def test_noise_is_read_quickly(log: Path) -> None:
    noise = random.Random(2).randbytes(40 * BLOCK)
    begin = time.perf_counter()
    found, damage = read(HEADER + noise, log)
    assert time.perf_counter() - begin < 10
    assert found == []
    assert damage.lost_bytes > 39 * BLOCK


def test_a_log_made_to_be_slow_costs_a_bounded_work(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte of it starts a chunk of 257 bytes that might be valid, of 32 kB at every other one."""
    checked = 0

    def counted(data: memoryview) -> int:
        nonlocal checked
        checked += len(data)
        return 0

    monkeypatch.setattr("wandb_toolkit.sources.wandb_log.blocks.crc32", counted)
    for filling in (b"\x01", b"\x01\x7f"):
        checked = 0
        found, damage = read(HEADER + filling * (8 * BLOCK // len(filling)), log)
        assert found == []
        assert damage.lost_bytes > 7 * BLOCK
        assert checked < 9 * 9 * 1024 * 1024


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(7, len(INTACT) - 1), st.binary(min_size=1, max_size=12)), max_size=4))
def test_any_change_costs_only_the_records_it_touches(log: Path, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(INTACT)
    for at, new in changes:
        data[at : at + len(new)] = new[: len(data) - at]
    touched = {
        at + i
        for at, new in changes
        for i in range(len(new))
        if data[at + i : at + i + 1] != INTACT[at + i : at + i + 1]
    }
    hurt = {number for number, (start, end) in enumerate(OFFSETS) if any(start <= index < end for index in touched)}
    found, damage = read(data, log)
    assert set(NAMED) - {NAMED[number] for number in hurt} <= set(found) <= set(NAMED)
    assert found == [payload for payload in NAMED if payload in set(found)]
    if hurt:
        assert damage.records or damage.stretches or damage.cut_off


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.booleans())
def test_arbitrary_files_end_in_an_error_of_ours(log: Path, content: bytes, header: bool) -> None:
    with contextlib.suppress(ToolkitError):
        read(HEADER + content if header else content, log)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b":W", "cut off inside its header"),
        (HEADER[:6], "cut off inside its header"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
        (b"loss,step\n1,2\n", "is not a .wandb log"),
        (b":W&B" + struct.pack("<HB", 0x1234, 0) + b"x" * 99, "is not a .wandb log"),
    ],
)
def test_files_that_are_no_logs(log: Path, content: bytes, says: str) -> None:
    with pytest.raises(ToolkitError, match=says):
        read(content, log)


def test_missing_file(log: Path) -> None:
    with pytest.raises(NotFoundError) as caught:
        list(read_records(log, Damage()))
    assert caught.value.exit_code == Exit.NOT_FOUND


def test_no_permission(log: Path) -> None:
    log.write_bytes(framed(NAMED))
    log.chmod(0)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        with pytest.raises(ToolkitError, match="cannot be read: Permission denied"):
            list(read_records(log, Damage()))
    finally:
        if root:
            os.seteuid(0)


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(ToolkitError, match="cannot be read"):
        list(read_records(tmp_path, Damage()))


@pytest.mark.parametrize("version", [1, 7, 255])
def test_a_newer_version_is_read_as_far_as_it_goes(log: Path, version: int) -> None:
    found, damage = read(framed(NAMED, version=version), log)
    assert found == NAMED
    assert f"version {version} is newer" in damage.warnings("x.wandb")[0]


def test_an_unreadable_version_is_refused_by_its_number(log: Path) -> None:
    with pytest.raises(ToolkitError, match="format version 9") as caught:
        read(HEADER[:6] + b"\x09" + b"another framing altogether" * 50, log)
    assert "update wandb-toolkit" in caught.value.hint


def test_a_header_alone_holds_nothing(log: Path) -> None:
    assert read(HEADER, log) == ([], Damage())


def test_a_hole_in_a_log_is_passed_over_as_fast_as_it_is_read(tmp_path: Path) -> None:
    """A sparse file of 200 MB: a byte at a time it would take many seconds."""
    path = write_log(tmp_path / "run-x.wandb", rows(50))
    os.truncate(path, 200_000_000)
    damage, start = Damage(), time.process_time()
    assert len(list(read_records(path, damage))) == 50
    assert time.process_time() - start < 2
    assert not damage.warnings("x")
    with path.open("ab") as file:  # a block behind the hole: what lies between is lost, and counted
        file.write(bytes(-path.stat().st_size % BLOCK))
        file.write(framed(rows(5, first=90))[7:])
    damage = Damage()
    assert len(list(read_records(path, damage))) == 55
    assert damage.stretches == 1
    assert damage.lost_bytes > 190_000_000
