"""Answers in which one value is something else: the rest is answered, or an error says what is wrong."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from api_cases import Command
from mutations import mutated
from wandb_server import Export, File, Run, Server, Store
from wandb_server.faults import Call
from wandb_toolkit.errors import Exit

ROWS = [
    {"_step": n, "loss": 1 / (n + 1), "_runtime": 1.0 * n, "_timestamp": 1.7e9 + n, **({"acc": n / 9} if n % 9 else {})}
    for n in range(40)
]
EVENTS = [{"system.cpu": n, "_runtime": 1.0 * n, "_timestamp": 1.7e9 + n} for n in range(20)]
COMMANDS = [
    "list_projects ada", "list_runs ada/p", "list_runs ada/p --json", "list_metrics ada/p r0",
    "show_run ada/p r0 --json", "get_history ada/p r0,r1,r2 --json", "wandb_report ada/p",
    "download_plots ada/p r0 --output OUT",
    "generate_plots ada/p r0,r2 --metrics loss --output OUT", "export_runs ada/p --format csv --output OUT",
    "list_runs ada/p --order best.loss --spark", "get_history ada/p r0 --metrics system.cpu",
]  # fmt: skip
TRIES = int(os.environ.get("WANDB_TOOLKIT_MUTATIONS", "60"))


def make_store() -> Store:
    store = Store()
    metadata = b'{"program": "train.py", "args": ["-x"], "git": {"commit": "abc"}, "gpu": "H100"}'
    files = [File("wandb-metadata.json", metadata), File("media/images/a_1_0123456789abcdefabcd.png", b"no picture")]
    for at in range(3):
        run = Run(f"r{at}", ROWS, config={"lr": 0.1 * at}, events=EVENTS, files=files, tags=["a"], console=["x"])
        run.export = Export(rows=0 if at == 2 else None)
        store.project("ada", "p").add(run)
    return store


@pytest.mark.parametrize("command_line", COMMANDS)
def test_one_wrong_value(
    command_line: str, command: Command, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rng = random.Random(command_line)
    answered = Server.graphql
    left: list[int] = []

    def graphql(self: Server, body: dict[str, Any], signed_in: bool, call: Call) -> tuple[int, Any]:
        status, answer = answered(self, body, signed_in, call)
        left[0] -= 1
        return status, mutated(json.loads(json.dumps(answer)), rng) if left[0] == -1 else answer

    monkeypatch.setattr(Server, "graphql", graphql)
    for number in range(max(TRIES // len(COMMANDS), 1)):
        left[:] = [rng.choice((0, 0, 1, 1, 2, 3))]
        name, *words = command_line.replace("OUT", str(tmp_path / str(number))).split()
        outcome = command(name, *words, "--no-cache", "--timeout", "5")
        assert "Unexpected" not in outcome.err
        assert outcome.code in (Exit.OK, Exit.AUTH, Exit.NOT_FOUND, Exit.SERVER, Exit.PARTIAL), outcome.err


def test_what_is_left_out_is_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = Server.graphql

    def graphql(self: Server, body: dict[str, Any], signed_in: bool, call: Call) -> tuple[int, Any]:
        status, answer = answered(self, body, signed_in, call)
        if call.operation == "Runs":
            edges = answer["data"]["project"]["runs"]["edges"]
            edges[0] = "no run"
            edges[1] = {"node": {**edges[1]["node"], "tags": 3}}
        return status, answer

    monkeypatch.setattr(Server, "graphql", graphql)
    outcome = command("list_runs", "ada/p", "--json")
    assert outcome.code == Exit.PARTIAL
    assert [run["tags"] for run in outcome.json] == [[], ["a"]]
    assert "project.runs.edges.0 is 'no run', not an object" in outcome.err
    assert "tags is 3, not a list of texts" in outcome.err


@pytest.mark.parametrize("how", ["new cursors, the same runs", "one cursor", "two cursors in turn", "empty pages"])
def test_pages_without_end_have_one(
    how: str, command: Command, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = Server.graphql
    count = iter(range(10**6))

    def graphql(self: Server, body: dict[str, Any], signed_in: bool, call: Call) -> tuple[int, Any]:
        variables = {**body.get("variables", {}), "cursor": None}
        status, answer = answered(self, {**body, "variables": variables}, signed_in, call)
        turn = next(count)
        cursor = {"one cursor": "c", "two cursors in turn": f"c{turn % 2}"}.get(how, f"c{turn}")
        for part in answer["data"].values():
            for page in (part, *(part.get("run") or {}).values(), *part.values()):
                if isinstance(page, dict) and "pageInfo" in page:
                    page["pageInfo"] = {"endCursor": cursor, "hasNextPage": True}
                    page["edges"] = [] if how == "empty pages" else page["edges"]
        return status, answer

    monkeypatch.setattr(Server, "graphql", graphql)
    for words in ("list_projects ada", "list_runs ada/p", "show_run ada/p r0", "wandb_report ada/p"):
        outcome = command(*words.split(), "--no-cache")
        assert outcome.code in (Exit.PARTIAL, Exit.NOT_FOUND), (words, outcome.err)
        assert len(server.record.calls) < 60, words
        if outcome.code == Exit.PARTIAL:
            assert "gives no end of pages" in outcome.err


def test_a_config_that_is_a_number_is_left_out_and_said(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = Server.graphql

    def graphql(self: Server, body: dict[str, Any], signed_in: bool, call: Call) -> tuple[int, Any]:
        status, answer = answered(self, body, signed_in, call)
        for edge in ((answer["data"].get("project") or {}).get("runs") or {}).get("edges") or ():
            for field in ("asked", "config", "summaryMetrics"):
                if edge["node"].get(field) is not None:
                    edge["node"][field] = 2**70
        return status, answer

    monkeypatch.setattr(Server, "graphql", graphql)
    for words in ("list_runs ada/p", "list_runs ada/p --json"):
        outcome = command(*words.split(), "--no-cache")
        assert outcome.code == Exit.PARTIAL, outcome.err
        assert "not a text or an object" in outcome.err
