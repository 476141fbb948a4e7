"""Servers that fail or lie, keys that are none: each ends in its error and exit code, nothing is half-written."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from api_cases import Command
from repository import SCRIPTS
from wandb_server import KEY, Export, File, Run, Server, Store

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)
QUICK = ["--timeout", "1"]


def rows(count: int = 60) -> list[dict[str, Any]]:
    return [{"_step": n, "train/loss": 1 / (n + 1), "eval/accuracy": n / 100} for n in range(count)]


def make_store() -> Store:
    """Return sound runs, one of which tests poison, and projects that may not be seen."""
    store = Store()
    images = [File(f"media/images/img_{n}_{'0' * 20}.png", PNG + bytes([n])) for n in range(12)]
    store.project("ada", "p").add(
        *(Run(f"run{n}", rows(), files=images, config={"lr": n}, export=Export(rows=50)) for n in range(4)),
        Run("died", rows(), state="crashed", files=[File("output.log", b"step 1\rstep 2\nout of memory\n")]),
    )
    store.project("ada", "secret", access="forbidden").add(Run("s"))
    store.project("ada", "open", access="public").add(Run("o", rows()))
    return store


COMMANDS = [
    ["list_projects"],
    ["list_runs", "ada/p"],
    ["list_metrics", "ada/p", "run1"],
    ["download_plots", "ada/p", "run1"],
    ["generate_plots", "ada/p", "run1", "--metrics", "train/loss"],
    ["wandb_report", "ada/p", "--runs", "run0,run1"],
]
EACH = pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])


@EACH
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ({"kind": "status", "status": 500}, 5, "HTTP 500"),
        ({"kind": "status", "status": 429, "headers": {"Retry-After": "600"}}, 5, "600 s"),
        ({"kind": "html", "status": 200}, 5, "HTML page"),
        ({"kind": "truncate"}, 5, "broken JSON"),
        ({"kind": "drop"}, 5, "dropped the connection"),
    ],
    ids=["500", "429", "html", "truncated", "dropped"],
)
def test_a_server_out_of_order(
    command: Command, server: Server, words: list[str], fault: dict[str, Any], code: int, said: str
) -> None:
    server.fault(**fault)
    # Three tries at a broken body, and time for the last of them.
    found = command(*words, *(["--timeout", "5"] if fault["kind"] == "truncate" else QUICK), "--json")
    assert (found.code, found.error["type"]) == (code, "server")
    assert said in found.error["message"] + found.error["hint"]
    assert found.out == ""
    assert not list(Path.cwd().rglob("*.*")), "something was half-written"


@EACH
@pytest.mark.parametrize("kind", ["status", "drop", "cut"])
def test_a_server_that_recovers(command: Command, server: Server, words: list[str], kind: Any) -> None:
    server.fault(kind, 502, times=1)
    found = command(*words, "--json", "--no-cache")
    assert found.code == 0, found.err
    assert found.json


def test_retry_after_is_obeyed(command: Command, server: Server) -> None:
    server.fault("status", 429, times=2, headers={"Retry-After": "0.4"})
    start = time.monotonic()
    assert command("list_runs", "ada/p").code == 0
    assert time.monotonic() - start > 0.8


@EACH
@pytest.mark.parametrize(
    ("key", "code", "said"),
    [
        ("f" * 40, 3, "does not accept the key from WANDB_API_KEY"),
        ("short", 3, "5 characters"),
        ("a b" * 20, 3, "space"),
    ],
    ids=["wrong", "short", "blanks"],
)
def test_wrong_keys(
    command: Command, monkeypatch: pytest.MonkeyPatch, words: list[str], key: str, code: int, said: str
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", key)
    found = command(*words, "--json")
    assert (found.code, found.error["type"]) == (code, "auth")
    assert said in found.error["message"]
    assert key not in found.err


def test_no_key(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_API_KEY")
    for words in COMMANDS[1:]:
        found = command(*words, "--json")
        assert (found.code, found.error["type"]) == (3, "auth"), words
        assert "WANDB_API_KEY" in found.error["hint"]
    assert command("list_metrics", "ada/open", "o", "--json").json["train/loss"]["exact"]
    assert all("authorization" not in call.headers for call in server.record.calls)
    private = command("list_runs", "ada/p", "--source", "api", "--json")
    assert private.code in (3, 4)
    assert "key" in private.error["hint"]


def test_no_key_and_local_runs_at_hand(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    import wandb_runs

    monkeypatch.delenv("WANDB_API_KEY")
    head = wandb_runs.run("local001", entity="me", project="mine")
    wandb_runs.write_run(Path.cwd() / "wandb", [head, *wandb_runs.rows(3), wandb_runs.exit_()], "local001")
    assert [one["id"] for one in command("list_runs", "me/mine", "--json").json] == ["local001"]
    assert [one["id"] for one in command("list_runs", "--json").json] == ["local001"]
    found = command("list_runs", "ada/p", "--json")
    assert found.code == 3
    assert "me/mine (1)" in found.error["hint"]
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    assert len(command("list_runs", "ada/p", "--json").json) == 5
    found = command("list_runs", "--json")
    assert found.code == 0, found.err
    assert [one["id"] for one in found.json] == ["local001"]  # no default project is set
    assert [one["id"] for one in command("list_runs", "me/mine", "--source", "local", "--json").json] == ["local001"]
    assert command("list_runs", "wandb", "--source", "api").code == 4
    assert command("list_runs", "ada/p", "--source", "local").code == 4


def test_private_and_unknown(command: Command) -> None:
    private = command("list_runs", "ada/secret", "--json")
    assert (private.code, private.error["type"]) == (3, "auth")
    assert "no right" in private.error["message"]
    assert command("list_runs", "nobody/p").code == 4


def test_offline(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        found = command("list_runs", "ada/p", *QUICK, "--json")
        assert (found.code, found.error["type"]) == (5, "server")
        assert "no connection" in found.error["message"]
        monkeypatch.delenv("WANDB_API_KEY")
        found = command("list_runs", "ada/p", *QUICK, "--json")
        assert found.code == 3
        assert "out of reach" in found.error["message"]


def test_https_where_http_is_spoken(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.url.replace("http:", "https:"))
    found = command("list_runs", "ada/p", *QUICK, "--json")
    assert (found.code, found.error["type"]) == (5, "server")
    assert "TLS" in found.error["message"]


def test_a_proxy_from_the_environment(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@127.0.0.1:9")
    found = command("list_runs", "ada/p", *QUICK, "--json")
    assert found.code == 5
    assert "127.0.0.1:9" in found.error["message"]
    assert "http_proxy" in found.error["hint"]
    assert "secret" not in found.err
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    assert command("list_runs", "ada/p").code == 0


# ---- one bad run among good ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["502", "field"])
def test_a_poisoned_run_ends_alone(command: Command, server: Server, how: str, tmp_path: Path) -> None:
    poisoned = server.store.projects["ada", "p"].runs["run2"]
    if how == "502":
        server.fault("status", 502, run="run2")
    else:
        poisoned.failing["historyKeys"] = poisoned.failing["sampledHistory"] = "internal error"
    try:
        report = command("wandb_report", "ada/p", "--runs", "run0,run1,run2,run3", *QUICK, "--json")
        assert report.code == 6, report.err
        assert [one["id"] for one in report.json["runs"]] == ["run0", "run1", "run3"]
        assert [one["run"] for one in report.json["errors"]] == ["run2"]
        words = [
            "ada/p",
            "run0,run1,run2",
            "--metrics",
            "train/loss",
            "--output",
            str(tmp_path / "out"),
            *QUICK,
            "--json",
        ]
        plots = command("generate_plots", *words)
        assert plots.code == 6, plots.err
        assert [one["run"] for one in plots.json["errors"]] == ["run2"]
        assert [one["id"] for one in plots.json["plots"][0]["runs"]] == ["run0", "run1"]
        alone = command("list_metrics", "ada/p", "run2", *QUICK, "--json")
        assert (alone.code, alone.error["type"]) == (5, "server")
        assert command("list_metrics", "ada/p", "run1", "--json").code == 0
        assert len(command("list_runs", "ada/p", "--json").json) == 5
    finally:
        poisoned.failing.clear()


@pytest.mark.parametrize("field", ["config", "summaryMetrics"])
def test_a_run_whose_facts_fail_is_listed_without(command: Command, server: Server, field: str) -> None:
    poisoned = server.store.projects["ada", "p"].runs["run2"]
    poisoned.failing[field] = "internal error"
    try:
        found = command("list_runs", "ada/p", *QUICK, "--json")
        assert found.code == 0, found.err
        assert len(found.json) == 5
        if field == "summaryMetrics":
            assert [one["id"] for one in found.json if not one["summary_metrics"]] == ["run2"]
            assert "the summary of the run run2 could not be read" in found.err
        assert command("wandb_report", "ada/p", *QUICK, "--json").code == 0
    finally:
        poisoned.failing.clear()


def test_too_many_keys_at_once(command: Command, server: Server) -> None:
    """A server that gives up on large questions gets smaller ones."""
    many = [{f"layer/{n}": float(n) for n in range(90)} for _ in range(5)]
    server.store.project("ada", "layers").add(Run("deep", many, export=Export(rows=0)))
    server.limits.history_keys = 70
    found = command("list_metrics", "ada/layers", "deep", "--json", "--timeout", "3")
    assert found.code == 0, found.err
    assert [one["non_null_count"] for one in found.json.values()] == [5] * 90


def test_console_of_a_crashed_run(command: Command, server: Server) -> None:
    """From the log's lines, else from the file that the SDK uploads."""
    found = command("wandb_report", "ada/p", "--runs", "died", "--json")
    assert found.code == 0
    assert "out of memory" in found.out
    assert "step 1" not in found.out
    died = server.store.projects["ada", "p"].runs["died"]
    died.console = ["all fine", "RuntimeError: device-side assert"]
    try:
        assert "device-side assert" in command("wandb_report", "ada/p", "--runs", "died", "--json").out
    finally:
        died.console = []


# ---- files ----------------------------------------------------------------------------------------------------------


def test_files_come_several_at_once(command: Command, server: Server) -> None:
    server.latency = 0.05
    found = command("download_plots", "ada/p", "run1", "--output", "out", "--json")
    assert (found.code, len(found.json["downloaded"])) == (0, 12), found.err
    assert server.record.peak > 4
    assert {one["key"] for one in found.json["downloaded"]} == {"img"}
    again = command("download_plots", "ada/p", "run1", "--output", "out", "--json")
    assert [one["reason"] for one in again.json["skipped"]] == ["already there"] * 12
    assert server.record.count("storage") == 0, "the content is in the cache"


@pytest.mark.parametrize(
    ("fault", "failed"),
    [
        ({"kind": "cut", "times": 1}, 0),
        ({"kind": "status", "status": 503, "times": 2}, 0),
        ({"kind": "truncate", "path": "img_3_"}, 1),
        ({"kind": "garble", "path": "img_3_"}, 1),
        ({"kind": "status", "status": 404, "path": "img_3_"}, 1),
        ({"kind": "cut", "path": "img_3_"}, 1),
    ],
    ids=["cut once", "503 twice", "truncated", "garbled", "404", "always cut"],
)
def test_files_that_are_not_what_they_should_be(
    command: Command, server: Server, fault: dict[str, Any], failed: int
) -> None:
    server.fault(host="storage", **fault)
    found = command("download_plots", "ada/p", "run1", "--output", "out", "--json", "--no-cache", *QUICK)
    assert found.code == (6 if failed else 0), found.err
    assert (len(found.json["downloaded"]), len(found.json["failed"])) == (12 - failed, failed)
    written = [path for path in Path("out").rglob("*") if path.is_file() and path.name != "metadata.json"]
    assert len(written) == 12 - failed
    assert all(path.read_bytes().startswith(PNG) for path in written)


def test_signed_addresses_that_expired(command: Command, server: Server) -> None:
    server.fault("status", 403, host="storage", times=1, path="img_3_")
    found = command("download_plots", "ada/p", "run1", "--output", "out", "--json", "--no-cache")
    assert (found.code, len(found.json["downloaded"])) == (0, 12)


# ---- as processes ---------------------------------------------------------------------------------------------------


def test_ctrl_c(server: Server, tmp_path: Path) -> None:
    server.fault("wait", seconds=30, operation="EachRun")
    words = [sys.executable, str(SCRIPTS / "wandb_report.py"), "ada/p", "--out", str(tmp_path / "report.md"), "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=dict(os.environ)) as process:
        for _ in range(200):
            if server.record.count(operation="EachRun"):
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=10)
        finally:
            process.kill()
    assert process.returncode == 130
    assert (out, b"interrupted" in err, b"Traceback" in err) == (b"", True, False)
    assert not (tmp_path / "report.md").exists()
    for fault in server.faults:
        fault.times = 0


def test_a_server_that_echoes_the_key_does_not_make_us_print_it(command: Command, server: Server) -> None:
    coded = base64.b64encode(f"api:{server.key}".encode()).decode()
    for said in (f"bad header Authorization: Basic {coded}", f"no such key: {server.key}"):
        for status in (400, 403, 422):
            server.fault("status", status, times=1, message=said)
            outcome = command("list_runs", "ada/p", "--no-cache", "--timeout", "2")
            assert outcome.code != 0
            assert "***" in outcome.err
            assert server.key not in outcome.out + outcome.err
            assert coded not in outcome.out + outcome.err
