"""`--source sdk`: the same answers through the real wandb package, and the change to it where a server needs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api_cases import Command
from repository import EXAMPLES
from wandb_server import Server, Store
from wandb_server.load import load

ENTITY, PROJECT = "ada", "grpo-digits"
PLACE = f"{ENTITY}/{PROJECT}"


def make_store() -> Store:
    """Return the example runs."""
    return load(EXAMPLES, entity=ENTITY)


@pytest.fixture(autouse=True)
def _a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "WANDB_DIR", "WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


def test_all_commands_answer_alike(command: Command, tmp_path: Path) -> None:
    def both(name: str, *words: str) -> list[Any]:
        found = []
        for source in ("api", "sdk"):
            outcome = command(name, *words, "--source", source, "--json", "-q")
            assert outcome.code == 0, outcome.err
            found.append(outcome.json)
        return found

    own, sdk = both("list_projects", ENTITY)
    assert [one["name"] for one in sdk] == [one["name"] for one in own]
    own, sdk = both("list_runs", PLACE, "--limit", "5")
    assert sdk == own
    own, sdk = both("list_metrics", PLACE, "grpo-base-s1", "--include-system")
    assert sdk == own
    own, sdk = both("download_plots", PLACE, "grpo-base-s1", "--output", str(tmp_path / "images"))
    names = [
        [(one["source"], one["step"], one["index"]) for one in each["downloaded"] + each["skipped"]]
        for each in (own, sdk)
    ]
    assert names[0] == names[1] != []
    own, sdk = both(
        "generate_plots",
        PLACE,
        "grpo-base-s1,entropy-collapse",
        "--metrics",
        "train/loss",
        "--output",
        str(tmp_path / "p"),
    )
    assert [one["alt"] for one in sdk["plots"]] == [one["alt"] for one in own["plots"]]
    own, sdk = both("wandb_report", PLACE, "--as-of", "2030-01-01")
    for each in (own, sdk):
        for field in ("generated_at", "source"):
            each.pop(field, None)
    assert sdk["runs"] == own["runs"]
    assert sdk["comparison"] == own["comparison"]


def test_a_server_that_does_not_know_our_queries_is_read_through_the_package(server: Server, command: Command) -> None:
    message = 'Cannot query field "name" on type "Run".'
    expected = command("list_metrics", PLACE, "grpo-base-s1", "--json").json
    server.fault("status", 400, operation="EachRun", message=message)
    outcome = command("list_metrics", PLACE, "grpo-base-s1", "--json", "--no-cache")
    assert outcome.code == 0, outcome.err
    assert outcome.json == expected
    assert outcome.err.count("reading through the wandb package") == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list_runs", "ada/nosuch"], 4, "nosuch"),
        (["list_metrics", PLACE, "nosuch"], 4, "No run is called 'nosuch'"),
        (["list_runs", "./here", "--source", "sdk"], 4, "here"),
    ],
)
def test_errors_of_the_package_are_ours(command: Command, words: list[str], code: int, said: str) -> None:
    outcome = command(*words, "--source", "sdk")
    assert outcome.code == code, outcome.err
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_a_wrong_key_is_never_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = "b" * 40
    monkeypatch.setenv("WANDB_API_KEY", wrong)
    outcome = command("list_runs", PLACE, "--source", "sdk", "--timeout", "3")
    assert outcome.code in (3, 5), outcome.err
    assert wrong not in outcome.out + outcome.err
