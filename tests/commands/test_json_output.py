"""`--json`, `--jsonl`, `--fields` and errors as JSON, for every command; the schemas, and the types behind them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from repository import ROOT
from wandb_toolkit import jsontext
from wandb_toolkit.cli.fields import pick
from wandb_toolkit.commands import NAMES
from wandb_toolkit.errors import Exit, UsageError
from wandb_toolkit.listing.shapes import FIELDS

SCHEMAS = ROOT / "docs" / "schemas"
EXAMPLES = str(ROOT / "examples" / "wandb")
Capture = pytest.CaptureFixture[str]

# Command → its words, and fields whose projection is looked at.
CASES = {
    "list_projects": ("EXAMPLES", "name,run_count"),
    "list_runs": ("EXAMPLES", "id,summary_metrics.eval/accuracy"),
    "list_metrics": ("EXAMPLES grpo-base-s1 --include-system", "last,best_step"),
    "show_run": ("EXAMPLES grpo-base-s1", "runs.id,runs.git.commit"),
    "get_history": ("EXAMPLES grpo-base-s1 --metrics train/loss --last 3", "step,values.train/loss"),
    "export_runs": ("EXAMPLES --output OUT", "runs,format"),
    "download_plots": ("EXAMPLES grpo-base-s1 --output OUT", "output_dir,downloaded.file"),
    "generate_plots": (
        "EXAMPLES lr-too-high --metrics train/loss,eval/accuracy --output OUT",
        "plots.metric,plots.alt",
    ),
    "check_claims": ("RESULTS EXAMPLES", "verdict,claims.verdict,claims.actual"),
    "wandb_report": ("EXAMPLES --runs grpobas1,lrhigh01", "verdict,runs.name,runs.findings.id"),
}


def words_of(name: str, tmp_path: Path) -> list[str]:
    return [
        {"EXAMPLES": EXAMPLES, "RESULTS": str(ROOT / "examples" / "results.md"), "OUT": str(tmp_path)}.get(word, word)
        for word in shlex.split(CASES[name][0])
    ]


def call(name: str, *words: str) -> int:
    return int(importlib.import_module(f"wandb_toolkit.commands.{name}").main(list(words)))


def strict(text: str) -> Any:
    return json.loads(text, parse_constant=lambda token: pytest.fail(f"{token} is no strict JSON"))


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


# ---- the schemas -------------------------------------------------------------------------------------------------


def test_there_is_a_schema_for_each_document() -> None:
    assert {path.name for path in SCHEMAS.iterdir()} == {f"{name}.schema.json" for name in (*NAMES, "error")}
    assert set(CASES) == set(NAMES)


def test_generated_schemas_are_fresh() -> None:
    spec = importlib.util.spec_from_file_location("make_schemas", ROOT / "docs" / "make_schemas.py")
    assert spec
    assert spec.loader
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    for name, made in maker.schemas().items():
        written = (SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8")
        assert written == maker.text(made), "run: .venv/bin/python docs/make_schemas.py"


@pytest.mark.parametrize("name", [*NAMES, "error"])
def test_schemas_are_versioned_and_closed(name: str) -> None:
    found = schema(name)
    jsonschema.Draft202012Validator.check_schema(found)
    assert re.fullmatch(rf"urn:wandb-toolkit:{name}:[1-9]\d*", found["$id"])
    assert found["description"]
    for part in parts(found):
        if part.get("type") == "object" and "properties" in part:
            assert part.get("additionalProperties") is False, part


def parts(node: Any) -> list[dict[str, Any]]:
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [*([node] if isinstance(node, dict) else []), *(part for item in below for part in parts(item))]


@pytest.mark.parametrize("name", NAMES)
def test_json_keeps_to_its_schema_and_order(name: str, tmp_path: Path, capsys: Capture) -> None:
    texts = []
    for folder in ("one", "two"):
        assert call(name, *words_of(name, tmp_path / folder), "--json") == 0
        texts.append(capsys.readouterr().out)
    documents = [strict(text) for text in texts]
    jsonschema.validate(documents[0], schema(name), format_checker=jsonschema.FormatChecker())
    assert order(documents[0]) == order(documents[1])


def order(node: Any) -> Any:
    """Return the keys at every level, in their order."""
    if isinstance(node, dict):
        return [(key, order(value)) for key, value in node.items()]
    return [order(item) for item in node] if isinstance(node, list) else None


# ---- a part of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_fields_are_a_part_of_the_document(name: str, tmp_path: Path, capsys: Capture) -> None:
    words = words_of(name, tmp_path)
    assert call(name, *words, "--fields", CASES[name][1]) == 0
    part = strict(capsys.readouterr().out)
    assert part
    assert call(name, *words, "--json") == 0
    whole = strict(capsys.readouterr().out)
    if name == "download_plots":  # what is there already is skipped
        whole = {**whole, "downloaded": [{"file": one["file"]} for one in part["downloaded"]]}
    fields = CASES[name][1].split(",")
    assert part == pick(whole, fields, by_name=name == "list_metrics")
    assert len(json.dumps(part)) < len(json.dumps(whole)) / 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["--fields=", "--fields "])
def test_unknown_fields_name_the_nearest(name: str, flag: str, tmp_path: Path, capsys: Capture) -> None:
    first = CASES[name][1].split(",")[0].split(".")[0]
    typo = first[:-1] + "x"
    assert call(name, *words_of(name, tmp_path), *f"{flag}{typo}".split()) == Exit.USAGE
    out, err = capsys.readouterr()
    assert out == ""
    error = strict(err.splitlines()[-1])
    jsonschema.validate(error, schema("error"))
    assert repr(typo) in error["message"]
    assert first in error["hint"]


def test_a_summary_metric_that_no_run_has(capsys: Capture) -> None:
    assert call("list_runs", EXAMPLES, "--fields", "id,summary_metrics.eval/acuracy") == Exit.USAGE
    assert "summary_metrics.eval/accuracy" in capsys.readouterr().err


def test_jsonl_is_one_element_a_line(capsys: Capture) -> None:
    assert call("list_runs", EXAMPLES, "--jsonl", "--quiet") == 0
    lines = [strict(line) for line in capsys.readouterr().out.splitlines()]
    assert call("list_runs", EXAMPLES, "--json", "--quiet") == 0
    assert lines == strict(capsys.readouterr().out)
    assert call("list_projects", EXAMPLES, "--jsonl", "--fields", "name") == 0
    assert capsys.readouterr().out == '{"name": "grpo-digits"}\n'
    assert call("wandb_report", EXAMPLES, "--jsonl") == Exit.USAGE
    assert "--json" in strict(capsys.readouterr().err)["hint"]


@pytest.mark.parametrize("flag", ["--json", "--jsonl", "--fields=id"])
def test_errors_are_json_whichever_way_json_is_asked_for(flag: str, capsys: Capture) -> None:
    for words, code in (([EXAMPLES, "--state", "running"], Exit.NOT_FOUND), (["--limt", "3"], Exit.USAGE)):
        assert call("list_runs", *words, flag) == code
        out, err = capsys.readouterr()
        assert out == ""
        jsonschema.validate(strict(err), schema("error"))


DOCUMENT = {
    "a": {"b.c": 1, "b": {"c": 2, "d": 3}},
    "rows": [{"x": 1, "y": 2}, {"y": 3}],
    "none": [],
    "null": None,
}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        (["a.b.c"], {"a": {"b.c": 1}}),
        (["a.b.d"], {"a": {"b": {"d": 3}}}),
        (["rows.x"], {"rows": [{"x": 1}, {}]}),
        (["rows.y", "a"], {"rows": [{"y": 2}, {"y": 3}], "a": DOCUMENT["a"]}),
        (["rows", "rows.x"], {"rows": DOCUMENT["rows"]}),
        (["none.x", "null.y"], {"none": [], "null": None}),
    ],
)
def test_pick(fields: list[str], found: Any) -> None:
    assert pick(DOCUMENT, fields) == found
    assert list(pick(DOCUMENT, fields)) == list(found)


@pytest.mark.parametrize(
    ("field", "near"), [("roes", "rows"), ("rows.z", "rows.x"), ("a.b.e", "a.b.c"), ("rows.x.y", "rows.x")]
)
def test_pick_of_what_is_not_there(field: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no field '{field}'") as caught:
        pick(DOCUMENT, [field])
    assert near in caught.value.hint
    assert pick([], ["anything"]) == []
    assert pick({}, ["anything"], by_name=True) == {}


@pytest.mark.parametrize("name", NAMES)
def test_fields_known_beforehand_are_the_schemas(name: str) -> None:
    found = schema(name)
    element = found.get("items") or found.get("additionalProperties") or found
    kinds = element.get("anyOf", [element])
    for kind, key in zip(kinds, (name, f"{name} --group-by"), strict=False):
        assert set(kind["properties"]) == set(FIELDS[key]), "shapes.FIELDS lists what --fields may begin with"


def test_an_unknown_field_is_refused_before_anything_is_drawn(tmp_path: Path) -> None:
    assert call("generate_plots", *words_of("generate_plots", tmp_path / "out"), "--fields", "plotz") == Exit.USAGE
    assert not (tmp_path / "out").exists()


def test_rows_have_a_line_each_and_lose_nothing() -> None:
    for document in ([], {}, [1, {"a": [1]}], {"k": [{"a": 1}, {"b": "\ud800"}], "n": float("nan"), "e": []}):
        assert json.loads(jsontext.rows(document)) == json.loads(jsontext.dumps(document))
    assert jsontext.rows([{"a": 1}, {"a": 2}]).count("\n") == 3
