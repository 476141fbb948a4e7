"""Names that look like lists, globs or blanks, and words that a shell took apart."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import wandb_runs
from repository import EXAMPLES as EXAMPLES_PATH
from wandb_toolkit.commands import generate_plots, list_metrics, list_runs
from wandb_toolkit.errors import Exit, did_you_mean

Capture = pytest.CaptureFixture[str]
EXAMPLES = str(EXAMPLES_PATH)


def run_json(capsys: Capture, name: str, *words: str) -> Any:
    command = {"list_runs": list_runs, "list_metrics": list_metrics}[name]
    assert command.main([*words, "--json", "-q"]) == 0
    return json.loads(capsys.readouterr().out)


ODD = {"f1(micro,macro)": 0.5, "val/acc[0]": 0.25, "val/acc0": 5.0, "loss ": 3.0, "loss": 1.0, "train/loss": 2.0}


@pytest.fixture
def odd(tmp_path: Path) -> str:
    """A run whose metrics have names with commas, brackets, and blanks at the end."""
    rows = [wandb_runs.history({name: value * (n + 1) for name, value in ODD.items()}, n) for n in range(4)]
    wandb_runs.write_run(tmp_path / "runs", [wandb_runs.run("odd"), *rows, wandb_runs.exit_()], "odd")
    return str(tmp_path / "runs")


@pytest.mark.parametrize(
    ("metrics", "drawn"),
    [
        ("f1(micro,macro),loss", ["f1(micro,macro)", "loss"]),
        ("loss ", ["loss "]),
        ("val/acc[0]", ["val/acc[0]"]),
        (r"f1(micro\,macro)", ["f1(micro,macro)"]),
        ("val/acc*", ["val/acc[0]", "val/acc0"]),
    ],
)
def test_an_exact_name_wins_over_splits_globs_and_blanks(
    odd: str, tmp_path: Path, metrics: str, drawn: list[str], capsys: Capture
) -> None:
    words = [odd, "odd", "--metrics", metrics, "--output", str(tmp_path / "out"), "--json", "-q"]
    assert generate_plots.main(words) == 0
    assert sorted(p["metric"] for p in json.loads(capsys.readouterr().out)["plots"]) == sorted(drawn)


def test_all_metrics_draws_the_named_ones_first(odd: str, tmp_path: Path, capsys: Capture) -> None:
    words = [odd, "odd", "--metrics", "val/acc0", "--all-metrics", "--output", str(tmp_path / "out"), "--json", "-q"]
    assert generate_plots.main(words) == 0
    names = [plot["metric"] for plot in json.loads(capsys.readouterr().out)["plots"]]
    assert names[0] == "val/acc0"
    assert sorted(names) == sorted(ODD)


def test_a_pattern_that_is_a_name_means_that_name(odd: str, capsys: Capture) -> None:
    assert list(run_json(capsys, "list_metrics", odd, "odd", "--pattern", "val/acc[0]")) == ["val/acc[0]"]


def test_summary_metrics_are_chosen_by_globs_too(capsys: Capture) -> None:
    assert list_runs.main([EXAMPLES, "--metrics", "eval/acc*,train/k?", "-q"]) == 0
    head = capsys.readouterr().out.splitlines()[0]
    assert head.endswith(("eval/accuracy  train/kl", "train/kl"))
    assert "eval/accuracy" in head


def test_an_order_without_a_sign_ascends(capsys: Capture) -> None:
    up = [run["id"] for run in run_json(capsys, "list_runs", EXAMPLES, "--order", "name")]
    assert up == [run["id"] for run in run_json(capsys, "list_runs", EXAMPLES, "--order", "+name")]
    assert up != [run["id"] for run in run_json(capsys, "list_runs", EXAMPLES, "--order", "-name")]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["grpo-base-s1", EXAMPLES], f"list_metrics {shlex.quote(EXAMPLES)} grpo-base-s1"),
        ([EXAMPLES, "my", "best", "run"], f"list_metrics {shlex.quote(EXAMPLES)} 'my best run'"),
        ([EXAMPLES, "seed-1.log", "seed-2.log"], f"list_metrics {shlex.quote(EXAMPLES)} 'seed-*'"),
    ],
)
def test_what_a_shell_did_to_the_words_is_shown(words: list[str], said: str, capsys: Capture) -> None:
    assert list_metrics.main(words) == Exit.USAGE
    assert said in capsys.readouterr().err


def test_nothing_near_lists_what_there_is(capsys: Capture) -> None:
    assert list_metrics.main([EXAMPLES, "nosuch"]) == Exit.NOT_FOUND
    assert "Available runs: killed, " in capsys.readouterr().err
    assert did_you_mean("nosuch", ["epoch", "loss\nx"], "key") == r"Available keys: epoch, loss\nx"
