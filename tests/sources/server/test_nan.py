"""A metric that is NaN in all rows is a number, on a server as in a log."""

from __future__ import annotations

import math

from api_cases import Command
from wandb_server import Run, Store


def make_store() -> Store:
    store = Store()
    rows = [{"_step": n, "loss": math.nan, "acc": n / 10, "note": "x"} for n in range(30)]
    store.project("ada", "nan").add(Run("one", rows))
    return store


def test_its_values_are_counted(command: Command) -> None:
    found = command("list_metrics", "ada/nan", "one", "--json").json
    assert found["loss"]["type"] == "number"
    assert found["loss"]["nonfinite_count"] == 30
    assert found["loss"]["last"] == "NaN"
    assert found["note"]["type"] == "string"


def test_a_figure_says_that_it_is_nan(command: Command) -> None:
    for words in (("--metrics", "loss"), ("--all-metrics",)):
        found = command("generate_plots", "ada/nan", "one", *words, "--json")
        said = found.out + found.err
        assert "NaN" in said
        assert "string" not in "".join(one["reason"] for one in found.json["skipped"] if one["metric"] == "loss")


def test_a_report_calls_it_broken(command: Command) -> None:
    [run] = command("wandb_report", "ada/nan", "--json").json["runs"]
    assert "nan_or_inf" in {finding["id"] for finding in run["findings"]}
