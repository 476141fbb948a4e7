"""History columns: the quick paths against plain decoding, and every spelling of a row."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import wandb_runs as w
from wandb_toolkit.sources.columns import Column, Columns
from wandb_toolkit.sources.history import merge_history
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log.scan import LogScan, scan_log
from wandb_toolkit.sources.wandb_log.wire import WireError

NAN, INF = float("nan"), float("inf")


def body(record: bytes) -> tuple[bytes, int, int]:
    _, start, end = rec.record_body(record)
    return record, start, end


def columns_of(records: Sequence[bytes], wanted: Collection[str] | None = None) -> Columns:
    columns = Columns(wanted)
    for record in records:
        columns.add(*body(record))
    return columns


def plain(column: Column) -> list[tuple[int, float]]:
    return list(zip(column.rows, column.values, strict=True))


def series_of(tmp_path: Path, records: Sequence[bytes], keys: Collection[str] | None = None) -> dict[str, list[Any]]:
    """Return each metric's points, read through a log."""
    scan = scan_log(w.write_log(tmp_path / "run-x.wandb", records), keys=keys)
    series = merge_history([scan]).series
    return {
        name: list(zip(one.x.tolist(), one.value.tolist(), strict=True))
        for name, one in series.items()
        if keys is None or name != "_step"
    }


NAMES = ["loss", "train/loss", "ss", "a.loss", "é", 'q"', "_step2", "n" * 130, "", "a.", "."]
NUMBERS = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.booleans())
OTHERS = st.one_of(
    st.none(), st.text(max_size=5), st.just("NaN"), st.just("w" * 200), st.lists(st.integers(), max_size=2)
)
MEDIA = st.just({"_type": "image-file", "path": "loss"})
VALUES = st.one_of(
    NUMBERS,
    NUMBERS,
    OTHERS,
    MEDIA,
    st.dictionaries(st.sampled_from(NAMES), NUMBERS, max_size=2),
)
PATHS = st.one_of(
    st.sampled_from(NAMES),
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=3).map(tuple),
)
ROWS = st.lists(st.tuples(st.dictionaries(PATHS, VALUES, max_size=4), st.booleans()), max_size=12)


def spelt(rows: Sequence[tuple[dict[Any, Any], bool]]) -> list[bytes]:
    """Return the rows' records; of names that look alike in a row (["a", "b"] and "a.b") one is kept."""
    records = []
    for step, (row, flat) in enumerate(rows):
        kept: dict[str, Any] = {}
        names: set[str] = set()
        for name, value in row.items():
            joined = name if isinstance(name, str) else ".".join(name)
            inner = {full for full, _ in rec.leaves({joined: value})} | {joined}
            if not inner & names:
                kept[name] = value
                names |= inner
        records.append(w.history({"_step": step * 2, **kept}, flat=flat))
    return records


@settings(max_examples=200, deadline=None)
@given(ROWS, st.lists(st.sampled_from([*NAMES, "a.loss.ss", "loss.loss"]), min_size=1, max_size=3))
def test_a_choice_of_metrics_is_read_as_in_the_whole(
    rows: list[tuple[dict[Any, Any], bool]], wanted: list[str]
) -> None:
    records = spelt(rows)
    whole, part = columns_of(records).folded(), columns_of(records, wanted).folded()
    for name in wanted:
        if name not in whole:
            assert name not in part
            continue
        assert part[name].kind == whole[name].kind
        assert part[name].non_null == whole[name].non_null
        assert repr(plain(part[name])) == repr(plain(whole[name]))


SIMPLE = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["loss", "oss", "train/loss", "x"]), st.floats(), min_size=1), st.booleans()
    ),
    min_size=30,
    max_size=40,
)


@settings(max_examples=30, deadline=None)
@given(SIMPLE)
def test_rows_found_by_their_bytes(rows: list[tuple[dict[Any, Any], bool]]) -> None:
    """Mostly one spelling, so that the direct search is learned; then another in between."""
    records = spelt([(row, flat and index % 10 == 9) for index, (row, flat) in enumerate(rows)])
    part = columns_of(records, ["loss"])
    whole = columns_of(records)
    if "loss" in whole.columns:
        assert repr(plain(part.columns["loss"])) == repr(plain(whole.columns["loss"]))


def test_the_direct_search_is_learned_and_left() -> None:
    columns = columns_of(w.rows(5), ["loss"])
    assert columns._direct
    odd: list[dict[Any, Any]] = [
        {"_step": 5, "loss": NAN},
        {"_step": 6, ("train", "loss"): 9, "loss": 6},
        {"_step": 7, ("train", "loss"): 9},
        {"_step": 8, "loss": "word"},
        {"_step": 9, "loss": "NaN"},
        {"_step": 10, "text": '\x12\x04loss"', "x/loss": 1},
        {"_step": 11, "loss": {"inner": 1}},
        {"_step": 12, "loss": 12, "text": "loss" * 60},
        {"_step": 13, "loss": True},
    ]
    for row in odd:
        columns.add(*body(w.history(row)))
    columns.add(*body(w.history({"_step": 14, "loss": 14}, flat=True)))
    found = plain(columns.columns["loss"])[5:]
    assert [row for row, _ in found] == [5, 6, 9, 12, 13, 14]
    assert [value for _, value in found[1:2] + found[3:]] == [6, 12, 1, 14]
    assert math.isnan(found[0][1])
    assert math.isnan(found[2][1])
    assert columns.columns["loss"].strings == 1


def test_flat_and_nested_keys_are_one_metric(tmp_path: Path) -> None:
    records = [
        w.history({"_step": 0, ("a", "b"): 0.5}),
        w.history({"_step": 1, "a.b": 1.5}, flat=True),
        w.history({"_step": 2, "a.b": 2.5}),
        w.history({"_step": 3, "a": {"b": 3.5}}, flat=True),
    ]
    wanted = [(0, 0.5), (1, 1.5), (2, 2.5), (3, 3.5)]
    assert series_of(tmp_path, records)["a.b"] == wanted
    assert series_of(tmp_path, records, ["a.b"])["a.b"] == wanted


@pytest.mark.parametrize("name", ["métrique", 'in"ner', "back\\slash", "tab\t"])
def test_inner_names_of_an_old_dict_are_found_in_their_json_spelling(tmp_path: Path, name: str) -> None:
    records = [w.history({"_step": step, "a": {name: step + 0.5}}, flat=True) for step in range(3)]
    assert series_of(tmp_path, records, [f"a.{name}"]) == {f"a.{name}": [(0, 0.5), (1, 1.5), (2, 2.5)]}


def test_names_that_are_no_utf8_can_be_asked_for(tmp_path: Path) -> None:
    odd = w.record(2, w.field(1, w.field(2, b"l\xffss") + w.field(16, b"1")) + w.field(1, w.item("_step", 4)))
    assert series_of(tmp_path, [odd]) == {"l\ufffdss": [(4, 1)], "_step": [(4, 4)]}
    assert series_of(tmp_path, [odd, odd], ["l\ufffdss"])["l\ufffdss"] == [(4, 1)]
    assert series_of(tmp_path, [odd], ["l\udcffss"]) == {}


def test_numbers_as_they_were_written(tmp_path: Path) -> None:
    texts = [b"9007199254740992", b"-0.0", b"5e-324", b"1e999", b"NaN", b"-Infinity", b"true", b"1" + b"0" * 400]
    records = [w.history({"_step": at, "x": text}) for at, text in enumerate(texts)]
    found = [value for _, value in series_of(tmp_path, records)["x"]]
    assert repr(found) == repr([2.0**53, -0.0, 5e-324, INF, NAN, -INF, 1.0, INF])


def test_huge_integers_in_an_old_dict(tmp_path: Path) -> None:
    assert series_of(tmp_path, [w.history({"_step": 0, "a": {"b": -(10**400)}}, flat=True)])["a.b"] == [(0, -INF)]


def test_typed_values(tmp_path: Path) -> None:
    typed = [
        w.field(5, 7),
        w.field(6, 0.25),
        w.field(4, 1),
        w.field(7, "word"),
        w.field(8, "7"),
        w.field(3, 0),
    ]
    records = [
        w.record(2, w.field(1, w.key("_step") + w.field(5, at << 1)) + w.field(1, w.key("x") + value))
        for at, value in enumerate(typed)
    ]
    for keys in (None, ["x"]):
        assert series_of(tmp_path, records, keys)["x"] == [(0, -4), (1, 0.25), (2, 1), (4, 7)]


def test_images_tables_and_histograms_of_old_logs() -> None:
    values = {"im": "image-file", "ims": "images/separated", "t": "table-file", "h": "histogram", "v": "video-file"}
    row: dict[Any, Any] = {name: {"_type": kind, "path": "x", "size": 3} for name, kind in values.items()}
    for wanted in (None, list(values)):
        columns = columns_of([w.history({"_step": 0, **row, "deep": {"im": row["im"]}}, flat=True)], wanted)
        kinds = {name: column.kind for name, column in columns.folded().items() if name in values}
        assert kinds == {"im": "image", "ims": "image", "t": "table", "h": "histogram", "v": "media"}
    assert columns_of([w.history({"deep": {"im": row["im"]}}, flat=True)]).folded()["deep.im"].kind == "image"


def test_media_in_parts_is_one_metric_even_after_none() -> None:
    parts = {("im", "_type"): "image-file", ("im", "size"): 3, ("im", "path"): "x"}
    deep = {("a", "im", "_type"): "table-file", ("a", "im", "ncols"): 3, ("a", "x"): 1}
    records = [w.history({"_step": 0, "im": None}), w.history({"_step": 1, **parts, **deep})]
    folded = columns_of(records).folded()
    assert [(name, folded[name].kind, folded[name].non_null) for name in ("im", "a.im", "a.x")] == [
        ("im", "image", 1),
        ("a.im", "table", 1),
        ("a.x", "number", 1),
    ]
    assert set(folded) == {"_step", "im", "a.im", "a.x"}


def test_steps_from_the_step_field(tmp_path: Path) -> None:
    records = [w.history({"x": step, "y": 1} if step % 2 else {"y": 1}, step) for step in (0, 3, 4, 9)]
    for keys in (None, ["x"]):
        assert series_of(tmp_path, records, keys)["x"] == [(3, 3), (9, 9)]
    assert scan_log(tmp_path / "run-x.wandb").last_step == 9


def test_rows_without_any_step_follow_the_last_one(tmp_path: Path) -> None:
    rows: list[dict[Any, Any]] = [{"y": 0}, {"x": 1}, {"_step": 10, "y": 1}, {"y": 2}, {"x": 3}, {"_step": NAN, "x": 4}]
    records = [w.history(row) for row in rows]
    for keys in (None, ["x"]):
        assert series_of(tmp_path, records, keys)["x"] == [(1, 1), (12, 3), (13, 4)]


def test_a_row_with_only_the_step_field_after_others_were_learned(tmp_path: Path) -> None:
    records = [*w.rows(5), w.history({"loss": 7}, 20), w.history({"loss": 8}, 21)]
    for keys in (None, ["loss"]):
        assert series_of(tmp_path, records, keys)["loss"][-2:] == [(20, 7), (21, 8)]


def test_steps_that_go_back_keep_the_last_value(tmp_path: Path) -> None:
    records = [w.history({"_step": step, "x": value}) for step, value in [(0, 0), (2, 1), (1, 2), (2, 3)]]
    assert series_of(tmp_path, records)["x"] == [(0, 0), (1, 2), (2, 3)]


@pytest.mark.parametrize("step", [INF, NAN, 1e300, "7", None, [1], -1])
def test_odd_steps_do_not_break_the_reader(tmp_path: Path, step: Any) -> None:
    records = [w.history({"_step": step, "x": 1.0, "im": {"_type": "image-file", "path": "p"}}, flat=True)]
    log = w.write_log(tmp_path / "run-x.wandb", records)
    scan = scan_log(log, keys=["x"], media=True)
    assert len(merge_history([scan]).series["x"]) == 1
    assert len(scan.media) == 1


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_broken_rows_raise_nothing_else(data: st.DataObject) -> None:
    row: dict[Any, Any] = {"_step": 1, "loss": 0.5, ("a", "b"): 2, "long": "x" * 200}
    record = bytearray(w.history(row, 1))
    _, start, end = rec.record_body(bytes(record))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(start, end - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(start, end))
    for wanted in (None, ["loss"], ["a.b", "loss"]):
        columns = columns_of(w.rows(2), wanted)
        for stop in (end, cut):
            try:
                columns.add(bytes(record), start, stop)
            except WireError:
                continue
        columns.steps()
        columns.folded()
    assert LogScan(Path("x")).rows == 0


@pytest.mark.parametrize("depth", [*range(100, 1000, 50), 5_000, 100_000])
def test_deeply_nested_values_do_not_break_the_reader(depth: int) -> None:
    deep = b'{"a":' * depth + b"1" + b"}" * depth
    columns = columns_of([w.history({"_step": 0, "x": deep}, flat=True)])
    assert columns.count == 1
    assert len(columns.columns) == 2 or set(columns.columns) > {"_step"}


def test_memory_follows_the_metrics_asked_for(tmp_path: Path) -> None:
    count, other = 20_000, b'"' + b"x" * 700 + b'"'
    log = w.write_log(tmp_path / "x.wandb", (w.history({"_step": s, "loss": s / 3, "t": other}) for s in range(count)))
    assert log.stat().st_size > 14_000_000
    tracemalloc.start()
    scan = scan_log(log, keys=["loss"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert scan.history is not None
    assert len(scan.history.columns["loss"].values) == count
    assert peak < 6_000_000  # two columns of 16 bytes a row, and one read of the file


def test_json_of_the_tests_is_the_sdks() -> None:
    assert json.dumps({"x": NAN, "é": INF}) == '{"x": NaN, "\\u00e9": Infinity}'
