"""Rows as a server sends them: many alike are taken a key at a time, and give what they give one by one."""

from __future__ import annotations

from typing import Any

from wandb_toolkit.sources.server.rows import RowColumns

ALIKE: list[dict[str, Any]] = [
    {"_step": n, "loss": n / 2, "count": n, "odd": value, "cfg": {"lr": n, "tag": "a"}, "text": "b"}
    for n, value in enumerate([1.0, "NaN", None, True, 10**400, [1], {"_type": "image-file"}, {"deep": 2}, -1, "x"] * 2)
]


def taken(rows: list[Any]) -> dict[str, Any]:
    columns = RowColumns()
    assert columns.add_rows(rows) == columns.count
    return {
        name: (list(one.rows), [repr(v) for v in one.values], one.strings, one.lists, one.objects, one.media_type)
        for name, one in columns.columns.items()
    }


def test_rows_alike_give_what_single_rows_give() -> None:
    mixed = [
        row for pair in zip(ALIKE, [{"_step": 100 + n, "eval": 1} for n in range(20)], strict=True) for row in pair
    ]
    together = RowColumns()
    together.add_rows(ALIKE)
    singly = RowColumns()
    for row in ALIKE:
        singly.add_rows([row])
    assert together.count == singly.count == len(ALIKE)
    assert repr(sorted(together.columns.items())) == repr(sorted(singly.columns.items()))
    assert taken(ALIKE)["cfg.lr"][0] == list(range(20))
    assert taken(mixed)["eval"][0] == list(range(1, 40, 2))


def test_an_integer_beyond_a_float_is_infinite_among_its_like() -> None:
    rows = [{"_step": n, "big": 10**400 if n == 3 else n} for n in range(20)]
    assert taken(rows)["big"][1][3] == "inf"
    assert taken(rows)["big"][1][4] == "4.0"


def test_texts_and_what_is_no_row() -> None:
    rows = [f'{{"_step": {n}, "loss": NaN}}' for n in range(10)] + ["no json", 7, '{"_step": 10}']
    assert len(taken(rows)["loss"][0]) == 10
