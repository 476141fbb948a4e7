"""JSON in and out: what strangers write into it stays harmless, and comes back as it was."""

from __future__ import annotations

import json
import math

import pytest

from wandb_toolkit import jsontext

HOSTILE = "a\x1b]52;c;x\x07\x7f\x9b31m\u202e\u2066\u200b\ufeff\U000e0041z"


@pytest.mark.parametrize("write", [jsontext.dumps, jsontext.line, jsontext.rows])
def test_what_a_terminal_obeys_is_escaped(write: object) -> None:
    text = write({HOSTILE: [HOSTILE]})  # type: ignore[operator]
    assert all(char.isprintable() or char == "\n" for char in text)
    assert json.loads(text) == {HOSTILE: [HOSTILE]}
    assert jsontext.line("日本 😀 é") == '"日本 😀 é"'


def test_numbers_that_no_float_holds_are_infinite() -> None:
    assert jsontext.parse(f'{{"a": {"9" * 400}, "b": -{"9" * 400}, "c": {10**300}}}'.encode()) == {
        "a": math.inf, "b": -math.inf, "c": 10**300,
    }  # fmt: skip
    assert jsontext.in_float_range({"a": [10**400, 3, True]}) == {"a": [math.inf, 3, True]}


@pytest.mark.parametrize("levels", [jsontext.DEEPEST + 1, 600, 5_000, 200_000])
def test_what_is_nested_too_deep_is_refused(levels: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        with pytest.raises(ValueError, match="nested deeper"):
            jsontext.parse(opening * levels + "1" + closing * levels)
    assert jsontext.parse(json.dumps(["[" * levels])) == ["[" * levels]
    assert jsontext.depth(jsontext.parse("[" * jsontext.DEEPEST + "]" * jsontext.DEEPEST)) == jsontext.DEEPEST


def test_what_holds_too_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_TOOLKIT_MAX_JSON_VALUES", "1000")
    assert jsontext.parse(b"[" + b"0," * 900 + b"0]")[-1] == 0
    assert jsontext.parse(b'["' + b"x" * 5000 + b'"]')
    for many in (b"[" + b"{}," * 700 + b"{}]", b"[" * 1001):
        with pytest.raises(ValueError, match="more than 1,000 values"):
            jsontext.parse(many)
