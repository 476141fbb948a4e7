"""The wire format, and W&B's field numbers against the installed wandb."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import wandb_runs as w
from wandb_toolkit.sources.wandb_log import records as rec
from wandb_toolkit.sources.wandb_log import summary, wire


@given(st.integers(0, 2**64 - 1))
def test_varints(value: int) -> None:
    data = w.varint(value)
    assert wire.varint(b"xx" + data + b"y", 2) == (value, 2 + len(data))


@given(st.integers(-(2**63), 2**63 - 1))
def test_signed(value: int) -> None:
    assert wire.signed(wire.varint(w.varint(value), 0)[0]) == value
    assert wire.zigzag((value << 1) ^ (value >> 63)) == value


@given(st.binary(max_size=60))
def test_arbitrary_bytes(data: bytes) -> None:
    for decode in (lambda: list(wire.fields(data)), lambda: rec.record_body(data), lambda: rec.item(data)):
        try:
            decode()
        except wire.WireError:
            continue


@pytest.mark.parametrize("data", [b"\x80", b"\x80" * 11, b"\x0a\x05abc", b"\x09abc", b"\x0b", b"\x0d\x00"])
def test_broken_messages(data: bytes) -> None:
    with pytest.raises(wire.WireError):
        list(wire.fields(data))


@pytest.fixture(scope="module")
def pb() -> Any:
    from wandb.proto import wandb_internal_pb2

    return wandb_internal_pb2


def test_field_numbers(pb: Any) -> None:
    def numbers(message: str, **expected: int) -> None:
        fields = getattr(pb, message).DESCRIPTOR.fields_by_name
        assert {name: fields[name].number for name in expected} == expected

    numbers(
        "Record",
        num=1,
        history=rec.HISTORY,
        summary=rec.SUMMARY,
        output=rec.OUTPUT,
        config=rec.CONFIG,
        files=rec.FILES,
        stats=rec.STATS,
        metric=rec.METRIC,
        output_raw=rec.OUTPUT_RAW,
        run=rec.RUN,
        exit=rec.EXIT,
        header=rec.HEADER,
        preempting=rec.PREEMPTING,
        control=16,
        uuid=19,
        _info=200,
    )
    numbers("HistoryRecord", item=1, step=2)
    numbers("HistoryStep", num=1)
    for message in ("HistoryItem", "SummaryItem", "ConfigItem"):
        numbers(message, key=rec.KEY, nested_key=rec.NESTED_KEY, value_json=rec.VALUE_JSON)
    numbers("StatsItem", key=rec.KEY, value_json=rec.VALUE_JSON)
    numbers("HistoryItem", none=3, boolean=4, integer=5, number=6, text=7, json=8)
    numbers("SummaryRecord", update=1, remove=2)
    numbers("ConfigRecord", update=1, remove=2)
    text = {"id": "run_id", "group": "run_group", "name": "display_name", "sweep": "sweep_id"}
    numbers("RunRecord", **{text.get(attribute, attribute): number for number, attribute in rec._RUN_TEXT.items()})
    numbers("RunRecord", config=4, summary=5, tags=10, start_time=17, resumed=18, resume=24)
    numbers("RunExitRecord", exit_code=1, runtime=2)
    numbers("MetricRecord", name=1, glob_name=2, step_metric=4)
    for message in ("OutputRecord", "OutputRawRecord"):
        numbers(message, timestamp=2, line=3)
    numbers("StatsRecord", timestamp=2, item=3)
    assert (summary.UPDATE, summary.REMOVE) == (1 << 3 | 2, 2 << 3 | 2)


def test_the_tests_own_records_are_wandbs(pb: Any) -> None:
    row = pb.Record.FromString(w.history({"_step": 3, ("a", "b"): 1.5}, 3, num=7))
    assert (row.num, row.history.step.num) == (7, 3)
    assert [(list(one.nested_key), one.value_json) for one in row.history.item] == [
        (["_step"], "3"),
        (["a", "b"], "1.5"),
    ]
    assert pb.Record.FromString(w.history({"x": 1}, flat=True)).history.item[0].key == "x"
    run = pb.Record.FromString(w.run("id1", name="shown", tags=["t"], config={"lr": 1}, sweep="s", start=1.5)).run
    assert (run.run_id, run.display_name, list(run.tags), run.sweep_id) == ("id1", "shown", ["t"], "s")
    assert (run.start_time.seconds, run.start_time.nanos) == (1, 500_000_000)
    assert run.config.update[0].value_json == "1"
    assert pb.Record.FromString(w.exit_(-1, 5)).exit.exit_code == -1
    assert pb.Record.FromString(w.stats(2.0, {"cpu": 1})).stats.item[0].key == "cpu"
    assert pb.Record.FromString(w.summary({"a": 1}, ["b"])).summary.remove[0].nested_key == ["b"]
    assert pb.Record.FromString(w.metric("loss", "epoch")).metric.step_metric == "epoch"
    assert pb.Record.FromString(w.output("hi\n")).output_raw.line == "hi\n"


def test_typed_values_as_wandb_writes_them(pb: Any) -> None:
    typed = {"integer": -3, "number": 0.1, "boolean": True, "text": "a\n", "json": "[1]"}
    row = pb.HistoryRecord()
    for name, value in typed.items():
        one = row.item.add(nested_key=[name])
        setattr(one, name, value)
    found = {path[0]: rec.parse_json(raw) for path, raw in rec.items(row.SerializeToString(), 0, row.ByteSize())}
    assert found == {**typed, "json": [1]}
