"""One pass over a log: summary, config, exit, times, media and console, with every version's habits."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import wandb_runs as w
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources.wandb_log.scan import LogScan, read_head, scan_log


def scan_of(tmp_path: Path, records: Sequence[bytes], **what: Any) -> LogScan:
    return scan_log(w.write_log(tmp_path / "run-x.wandb", records), **what)


def summary_of(tmp_path: Path, *records: bytes) -> dict[str, Any]:
    return scan_of(tmp_path, records, summary=True).summary


def test_summary_updates_and_removals_in_order(tmp_path: Path) -> None:
    found = summary_of(
        tmp_path,
        w.summary({"a": 1, "b": 1, ("deep", "x"): 1}),
        w.summary({"a": 2, ("deep", "y"): float("nan")}, ["b", ("deep", "x")]),
        w.summary({"c": 3}, ["a"]),
        w.summary({"a": 4}, ["nothing", ("c", "inner")]),
    )
    assert repr(found) == "{'deep': {'y': nan}, 'c': 3, 'a': 4}"


def test_summary_of_one_key_in_two_spellings_is_the_newest(tmp_path: Path) -> None:
    flat, nested = w.summary({"_runtime": 5}, flat=True), w.summary({"_runtime": 5.5})
    assert summary_of(tmp_path, flat, nested, flat) == {"_runtime": 5}
    assert summary_of(tmp_path, nested, flat, nested) == {"_runtime": 5.5}


def test_summary_of_a_dict_as_a_whole_and_in_parts(tmp_path: Path) -> None:
    whole, part, number = w.summary({"a": {"x": 1, "y": 1}}), w.summary({("a", "x"): 2}), w.summary({"a": 7})
    assert summary_of(tmp_path, whole, part) == {"a": {"x": 2, "y": 1}}
    assert summary_of(tmp_path, part, whole) == {"a": {"x": 1, "y": 1}}
    assert summary_of(tmp_path, whole, part, number) == {"a": 7}
    assert summary_of(tmp_path, number, w.summary({"b": 1}), part, part) == {"a": {"x": 2}, "b": 1}


PATHS = st.one_of(st.sampled_from("ab"), st.lists(st.sampled_from("ab"), min_size=2, max_size=3).map(tuple))
Change = tuple[dict[Any, Any], list[Any], bool]
CHANGES = st.lists(
    st.tuples(st.dictionaries(PATHS, st.integers(0, 9), max_size=3), st.lists(PATHS, max_size=1), st.booleans()),
    max_size=6,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES)
def test_summary_against_plain_application(
    tmp_path: Path, changes: list[tuple[dict[Any, Any], list[Any], bool]]
) -> None:
    wanted: dict[str, Any] = {}
    records = []
    for change, paths, flat in changes:
        update = {k: v for k, v in change.items() if isinstance(k, str)} if flat else change
        removed = [] if flat else paths
        records.append(w.summary(update, removed, flat=flat))
        for name, value in update.items():
            *parents, last = [name] if isinstance(name, str) else name
            tree = wanted
            for parent in parents:
                if not isinstance(tree.get(parent), dict):
                    tree[parent] = {}
                tree = tree[parent]
            tree[last] = value
        for name in removed:
            *parents, last = [name] if isinstance(name, str) else name
            place: Any = wanted
            for parent in parents:
                place = place.get(parent) if isinstance(place, dict) else None
            if isinstance(place, dict):
                place.pop(last, None)
    assert summary_of(tmp_path, *records) == wanted


def test_summary_of_thousands_of_keys(tmp_path: Path) -> None:
    records = [w.summary({f"group/metric {number}": number + again for number in range(5000)}) for again in range(3)]
    found = summary_of(tmp_path, *records)
    assert len(found) == 5000
    assert found["group/metric 4999"] == 5001


def test_summary_that_a_resumed_run_starts_with(tmp_path: Path) -> None:
    assert summary_of(tmp_path, w.run(summary={"best": 1, "loss": 2}), w.summary({"loss": 1})) == {"best": 1, "loss": 1}


def test_later_run_records_win_where_they_say_something(tmp_path: Path) -> None:
    records = [
        w.run(name="first", project="p", tags=["a"], config={"lr": 1, "seed": 0}),
        w.run(name="second", notes="n", start=0),
        w.config({"lr": 2, ("model", "depth"): 3}, ["seed"]),
        w.run(group="g", tags=["b", "b"], start=0),
    ]
    scan = scan_of(tmp_path, records)
    assert (scan.run.name, scan.run.project, scan.run.notes, scan.run.group) == ("second", "p", "n", "g")
    assert (scan.run.tags, scan.run.started) == (("b",), w.START)
    assert scan.config == {"lr": 2, "model": {"depth": 3}}


@pytest.mark.parametrize("flat", [True, False])
def test_config_flat_nested_and_whole(tmp_path: Path, flat: bool) -> None:
    nested: dict[Any, Any] = {} if flat else {("m", "x"): 2}
    records = [w.run(config={"m": {"x": 1, "y": 1}, "nan": float("nan")}), w.config({"lr": 0.1, **nested}, flat=flat)]
    found = scan_of(tmp_path, records).config
    assert repr(found) == repr({"m": {"x": 1 if flat else 2, "y": 1}, "nan": float("nan"), "lr": 0.1})


def test_rows_behind_the_exit_record(tmp_path: Path) -> None:
    scan = scan_of(tmp_path, [w.run(), *w.rows(3), w.exit_(0, 9), *w.rows(4, first=3), w.FINAL, w.FOOTER], keys=None)
    assert (scan.has_exit, scan.exit_code, scan.runtime) == (True, 0, 9)
    assert (scan.rows, scan.last_step) == (7, 6)
    assert scan.history is not None
    assert list(scan.history.columns["loss"].values) == [0, 0.5, 1, 1.5, 2, 2.5, 3]


def test_records_without_numbers(tmp_path: Path) -> None:
    records = [w.record(2, w.field(1, w.item("_step", step)), num=0) for step in range(3)]
    assert scan_of(tmp_path, [*records, w.record(18, w.field(1, 1), num=0)]).exit_code == 1
    assert scan_of(tmp_path, [w.history({"_step": 1}, num=2**40), w.exit_(-9)]).exit_code == -9


def test_records_with_their_envelope_first(tmp_path: Path) -> None:
    control = w.field(16, w.field(1, 1)) + w.field(19, "uuid") + w.field(200, b"")
    [row] = w.rows(1, first=5)
    assert scan_of(tmp_path, [control + row, control, w.FOOTER + control]).last_step == 5


@pytest.mark.parametrize(
    ("times", "newest"), [([1, 2, 3], 3), ([w.START, w.START + 0.5], w.START + 0.5), ([9, 4], 4), ([5, None], 0.0)]
)
def test_newest_sign_of_life(tmp_path: Path, times: list[float | None], newest: float) -> None:
    records = [w.history({"_step": at, "_timestamp": when}) for at, when in enumerate(times)]
    assert scan_of(tmp_path, records).newest == newest
    later = [*records, w.stats(w.START + 7, {"cpu": 1}), w.output("x", w.START + 6)]
    assert scan_of(tmp_path, later).newest == w.START + 7


def test_system_metrics(tmp_path: Path) -> None:
    records = [w.stats(w.START + at, {"cpu": at, "gpu.0.temp": 50, "_wandb": True}) for at in range(3)]
    scan = scan_of(tmp_path, [w.run(), *records], system=None)
    assert list(scan.system["cpu"].values) == [0, 1, 2]
    assert scan.system_times == [w.START, w.START + 1, w.START + 2]
    assert set(scan_of(tmp_path, records, system=["cpu"]).system) == {"cpu"}
    assert not scan_of(tmp_path, records).system


def test_defined_axes(tmp_path: Path) -> None:
    records = [w.metric("loss", "epoch"), w.metric("train/*", "step", glob=True), w.metric("hidden"), w.metric("epoch")]
    assert scan_of(tmp_path, records).step_metrics == {"loss": "epoch", "train/*": "step"}


def test_media_of_old_and_new_logs(tmp_path: Path) -> None:
    old = w.history({"_step": 1, "im": {"_type": "image-file", "path": "a.png"}, "loss": 1}, flat=True)
    parts = {("x", "im", "_type"): "image-file", ("x", "im", "path"): "b.png"}
    found = scan_of(tmp_path, [old, w.history({"_step": 2, **parts}), *w.rows(2, first=3)], media=True).media
    assert [(one.key, one.step, one.value["path"]) for one in found] == [("im", 1, "a.png"), ("x.im", 2, "b.png")]


def test_console_keeps_the_end_only(tmp_path: Path) -> None:
    records = [w.output(f"line {number} {'x' * 1000}\n", raw=number % 2 == 0) for number in range(2000)]
    console = scan_of(tmp_path, records, console=True).console
    assert 100 < len(console) < 300
    assert console[-1].startswith("line 1999")


def test_broken_records_are_counted_and_the_rest_kept(tmp_path: Path) -> None:
    broken = [
        b"",
        b"\x08",
        b"\x12\x7fxx",
        w.record(2, b"\x0a\x7f"),
        w.record(17, b"\x0a\x7f"),
        b"\x0b\x0c",
        b"\xff" * 20,
    ]
    scan = scan_of(tmp_path, [*w.rows(2), *broken, *w.rows(2, first=2)], keys=None, summary=True)
    assert scan.damage.records == len(broken)
    assert scan.last_step == 3
    assert f"at least {len(broken)} records lost" in scan.damage.warnings("x")[0]


def test_invalid_utf8_and_json(tmp_path: Path) -> None:
    records = [
        w.record(17, w.field(1, b"id\xff") + w.field(8, b"na\xc3me") + w.field(10, b"\xfe")),
        w.config({"broken": b"{not json", "bytes": b'"\xff"', "digits": b"9" * 5000}),
        w.output("ok"),
        w.record(13, w.field(3, b"\xff\xfe line\n")),
    ]
    scan = scan_of(tmp_path, records, console=True)
    assert (scan.run.id, scan.run.name, scan.run.tags) == ("id\ufffd", "na\ufffdme", ("\ufffd",))
    assert scan.config["broken"] == "{not json"
    assert scan.config["digits"] == "9" * 5000
    json.dumps(scan.config).encode()
    "".join(scan.console).encode()


def test_the_head_alone_says_who_it_is(tmp_path: Path) -> None:
    log = w.write_log(
        tmp_path / "x.wandb", [w.HEADER_RECORD, b"\xff", w.run("id1", name="n"), *w.rows(9), w.run(name="later")]
    )
    assert (read_head(log).run.id, read_head(log).run.name, read_head(log).rows) == ("id1", "n", 0)
    assert read_head(w.write_log(tmp_path / "y.wandb", [*w.rows(2), w.run("id2")])).run.id == ""


def whole(log: Path) -> LogScan:
    return scan_log(log, keys=None, system=None, media=True, console=True, summary=True)


def sample_records() -> list[bytes]:
    parts = {("im", "_type"): "image-file", ("im", "path"): "b.png"}
    return [
        w.HEADER_RECORD,
        w.run(name="n", tags=["t"], config={"a": {"b": 1}}),
        w.metric("loss", "epoch"),
        *w.rows(20),
        w.history({"_step": 20, **parts, "d": {"x": 1}}),
        w.summary({"a": 1, ("b", "c"): 2}, ["x"]),
        w.stats(w.START, {"cpu": 1}),
        w.output("hello\n"),
        *w.rows(20, first=21, flat=True),
        w.exit_(1, 3),
    ]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_records_broken_inside_intact_chunks(tmp_path: Path, data: st.DataObject) -> None:
    """The checksum holds, the protobuf does not: a faulty writer, or an unknown one."""
    records = [bytearray(record) for record in sample_records()]
    for _ in range(data.draw(st.integers(1, 4))):
        record = data.draw(st.sampled_from(records))
        if record:
            record[data.draw(st.integers(0, len(record) - 1))] = data.draw(st.integers(0, 255))
    whole(w.write_log(tmp_path / "x.wandb", map(bytes, records)))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32), st.integers(1, 30))
def test_any_damage_to_the_file(tmp_path: Path, seed: int, changes: int) -> None:
    rng = random.Random(seed)
    data = w.framed(sample_records())
    for _ in range(changes):
        at = rng.randrange(len(data))
        kind = rng.randrange(3)
        if kind == 0:
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at : at + rng.randrange(40)]
        else:
            data[at:at] = rng.randbytes(rng.randrange(40))
        data = data or bytearray(b"x")
    log = tmp_path / "x.wandb"
    log.write_bytes(data)
    try:
        assert whole(log).rows <= 41
    except ToolkitError as error:
        assert error.message.startswith(str(log))  # noqa: PT017 damage that is no error is fine, too


def test_every_prefix_reads_as_a_prefix_of_the_history(tmp_path: Path) -> None:
    data = bytes(w.framed([w.run(), *w.rows(40), w.exit_()]))
    log = tmp_path / "x.wandb"
    before = -1
    for end in range(7, len(data), 13):
        log.write_bytes(data[:end])
        scan = scan_log(log, keys=["loss"])
        assert scan.history is not None
        values = list(scan.history.columns["loss"].values) if "loss" in scan.history.columns else []
        assert values == [step / 2 for step in range(scan.rows)]
        assert scan.rows >= before
        assert not scan.has_exit
        before = scan.rows
    assert before >= 39
