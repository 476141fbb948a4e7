"""Lists of runs and projects: what the server does, what it costs, and every way to name a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from api_cases import Command
from wandb_server import EPOCH, OLD_SERVER, Run, Server, Store, User

ODD = ["a/b c", "ünï 日本", "two\nlines", "comma, name", "quo\"te's", "star*[x]", "tag:trick", "latest:x", " padded"]
MANY = 1_200
WIDE_KEYS = 40_000


def at(number: int) -> dict[str, Any]:
    return {"created_at": EPOCH + timedelta(minutes=number)}


def make_store() -> Store:
    """Return projects of odd names, of many runs, of wide summaries."""
    store = Store(viewer=User("ada"), teams=["lab"])
    home = store.project("ada", "p")
    home.add(
        *(Run(f"odd{n}", [{"loss": n / 10, "acc": 1.0}], display_name=name, **at(n)) for n, name in enumerate(ODD))
    )
    home.add(
        Run("tw1", [{"loss": 1.0}], display_name="twin", tags=["x"], **at(20)),
        Run("tw2", [{"loss": 2.0}], display_name="twin", tags=["x", "y"], group="g/1", state="failed", **at(21)),
        Run("swept", [{"loss": 3.0}], display_name="base-1", sweep="sw1", group="g/1", state="running", **at(22)),
        Run("nolog", [], display_name=None, state="pending", config={"lr": 0.5}, **at(23)),
    )
    store.project("ada", "many").add(
        *(
            Run(f"r{n:05}", [{"loss": n, "acc": -n}], state="failed" if n % 100 == 0 else "finished", **at(n))
            for n in range(MANY)
        )
    )
    wide = {f"layer/{n}": n * 0.5 for n in range(WIDE_KEYS)}
    store.project("ada", "wide").add(
        *(Run(f"w{n:03}", [], summary={**wide, "loss": n, "_step": 9}, **at(n)) for n in range(30))
    )
    store.project("lab", "digits").add(Run("d1", [{"loss": 1.0}]))
    store.project("lab", "digitz").add(Run("d2", [{"loss": 1.0}]))
    store.project("lab", "void")
    return store


def names(found: Any) -> list[str]:
    return [one["id"] for one in found.json]


@pytest.mark.parametrize("words", [[], ["--json"], ["--metrics", "loss"], ["--metrics", "loss", "--json"]], ids=str)
def test_a_hundred_runs_are_two_requests(command: Command, server: Server, words: list[str]) -> None:
    found = command("list_runs", "ada/many", *words)
    assert found.code == 0, found.err
    assert server.record.count() <= 2
    assert "r01199" in found.out
    assert "r01099" not in found.out
    assert "100 of 1,200 runs shown" in found.err.replace("1200", "1,200")
    assert server.record.sent < 60_000


@pytest.mark.parametrize("words", [[], ["--metrics", "loss"]], ids=str)
def test_wide_summaries_stay_where_they_are(command: Command, server: Server, words: list[str]) -> None:
    """40,000 summary keys a run: the names are those of two runs, the values those shown."""
    found = command("list_runs", "ada/wide", "--limit", "20", *words)
    assert found.code == 0, found.err
    assert server.record.count() <= 2
    one = len(str([(f"layer/{n}", n * 0.5) for n in range(WIDE_KEYS)]))
    assert server.record.sent < (2 * one if not words else 20_000)


def test_everything_as_json_comes_in_pieces(command: Command, server: Server) -> None:
    found = command("list_runs", "ada/wide", "--limit", "3", "--json")
    assert [len(one["summary_metrics"]) for one in found.json] == [WIDE_KEYS + 2] * 3
    assert max(call.sent for call in server.record.calls) < 3_000_000


def test_the_server_filters_and_orders(command: Command, server: Server) -> None:
    found = command("list_runs", "ada/many", "--state", "failed", "--order", "+summary_metrics.acc", "--json")
    assert names(found) == [f"r{n:05}" for n in range(MANY - 100, -1, -100)]
    assert server.record.sent < 10_000
    found = command("list_runs", "ada/p", "--tags", "y,none", "--json")
    assert names(found) == ["tw2"]
    assert names(command("list_runs", "ada/p", "--group", "g/1", "--json")) == ["swept", "tw2"]
    found = command("list_runs", "ada/many", "--order", "+created_at", "--limit", "2", "--json")
    assert names(found) == ["r00000", "r00001"]


@pytest.mark.parametrize("sign", "+-")
def test_runs_without_the_value_come_last(command: Command, sign: str) -> None:
    found = names(command("list_runs", "ada/p", "--order", f"{sign}config.lr", "--json"))
    assert found[0] == "nolog"
    assert len(found) == 13
    found = names(command("list_runs", "ada/p", "--order", f"{sign}summary_metrics.loss", "--json"))
    assert found[-1] == "nolog"


def test_order_that_only_we_know(command: Command) -> None:
    found = command("list_runs", "ada/p", "--order", "+name", "--limit", "3", "--json")
    shown = [one["name"] for one in found.json]
    assert shown == sorted([*ODD, "twin", "twin", "base-1", "nolog"])[:3]
    assert command("list_runs", "ada/p", "--order", "+nonsense").code == 2


def test_small_pages_of_a_server_are_followed(command: Command, server: Server) -> None:
    server.limits.page = 40
    found = command("list_runs", "ada/many", "--limit", "100", "--json")
    assert names(found) == [f"r{n:05}" for n in range(MANY - 1, MANY - 101, -1)]
    assert all(one["summary_metrics"]["loss"] == int(one["id"][1:]) for one in found.json)


@pytest.mark.parametrize("number", range(len(ODD)))
def test_display_names_are_found_on_the_server(command: Command, server: Server, number: int) -> None:
    name = ODD[number]
    found = command("list_metrics", "ada/p", name.strip(), "--json")
    if name.startswith(" "):  # what a shell user types; the run's own name has a space before it
        assert found.code == 4
        assert "padded" in found.error["hint"]
        return
    assert found.code == 0, found.err
    assert found.json["loss"]["last"] == number / 10
    assert server.record.by_operation()["Runs"] == 1
    assert server.record.sent < 20_000


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("odd1", ["odd1"]),
        ("base-*", ["swept"]),
        ("ünï*", ["odd1"]),
        ("a/[a-c] ?", ["odd0"]),
        ("*日本", ["odd1"]),
        ("latest", ["nolog"]),
        ("latest:3", ["nolog", "swept", "tw2"]),
        ("tag:x", ["tw2", "tw1"]),
        ("group:g/1", ["swept", "tw2"]),
        ("sweep:sw1", ["swept"]),
        ("tw1,odd2", ["tw1", "odd2"]),
        ("latest,tag:y", ["nolog", "tw2"]),
    ],
)
def test_selectors(command: Command, server: Server, selector: str, expected: list[str]) -> None:
    if "/" in selector:
        found = command("generate_plots", "ada/p", selector, "--metrics", "loss", "--json")
        shown = [one["id"] for one in found.json["runs"]] if found.out else []
    else:
        found = command("list_runs", f"ada/p/{selector}", "--json")
        shown = names(found) if found.out else []
    assert shown == expected, found.err
    assert server.record.by_operation()["Runs"] <= 2


def test_a_shared_name_lists_its_runs(command: Command) -> None:
    found = command("list_metrics", "ada/p", "twin", "--json")
    assert (found.code, found.error["type"]) == (2, "usage")
    assert "tw1" in found.error["hint"]
    assert "tw2  failed" in found.error["hint"]


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (["list_metrics", "ada/p", "base1"], "base-1"),
        (["list_metrics", "ada/p", "tag:xx"], "x"),
        (["list_metrics", "ada/p", "sweep:sw"], "sw1"),
        (["list_runs", "lab/digit"], "digits, digitz"),
        (["wandb_report", "labb/digits"], "lab"),
        (["list_projects", "--entity", "laab"], "lab"),
        (["list_runs", "ada/p", "--metrics", "los"], "loss"),
        (["list_runs", "ada/p", "--state", "crashed"], "10 finished"),
        (["generate_plots", "ada/p", "odd1", "--metrics", "lozz"], "loss"),
    ],
)
def test_nearest_names(command: Command, words: list[str], near: str) -> None:
    found = command(*words, "--json")
    assert (found.code, found.error["type"]) == (4, "not_found"), found.err
    assert near in found.error["hint"]


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("ada/p/runs/odd1", ["odd1"]),
        ("ada/p/runs/odd1/overview?nw=x&y=%20", ["odd1"]),
        ("ada/p/sweeps/sw1", ["swept"]),
        ("ada/p/groups/" + quote("g/1", safe="") + "/workspace", ["swept", "tw2"]),
    ],
)
def test_addresses_of_pages(command: Command, server: Server, page: str, expected: list[str]) -> None:
    assert names(command("list_runs", f"{server.url}/{page}", "--json")) == expected


@pytest.mark.parametrize(
    "page", ["lab/digits", "lab/digits/workspace?nw=nwuserada", "lab/digits/table#x", "lab/digits/"]
)
def test_addresses_of_projects(command: Command, server: Server, page: str) -> None:
    assert names(command("list_runs", f"{server.url}/{page}", "--json")) == ["d1"]


def test_the_address_given_is_the_address_read(command: Command, server: Server) -> None:
    [one] = command("list_runs", "ada/p", "--tags", "y", "--json").json
    assert one["url"] == f"{server.url}/ada/p/runs/tw2"
    assert names(command("list_runs", one["url"], "--json")) == ["tw2"]


def test_defaults(command: Command, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(command("list_runs", "p", "--tags", "y", "--json")) == ["tw2"]  # the viewer's own entity
    assert {one["entity"] for one in command("list_projects", "--json").json} == {"ada"}
    monkeypatch.setenv("WANDB_ENTITY", "lab")
    assert names(command("list_runs", "digits", "--json")) == ["d1"]
    assert server.record.count(operation="Viewer") == 0
    monkeypatch.setenv("WANDB_PROJECT", "digitz")
    assert names(command("list_runs", "--json")) == ["d2"]
    monkeypatch.delenv("WANDB_PROJECT")
    nothing = command("list_runs", "--json")
    assert nothing.code == 4
    assert "WANDB_PROJECT" in nothing.error["hint"]


def test_projects(command: Command, server: Server) -> None:
    found = command("list_projects", "lab", "--json")
    assert [one["name"] for one in found.json] == ["digits", "digitz", "void"]
    assert found.json[0]["run_count"] == 1
    assert found.json[0]["last_activity"].startswith("2026-01-01")
    assert found.json[2]["last_activity"] is None
    assert server.record.count() == 1
    assert command("list_projects", "--entity", "lab", "--limit", "1").err.strip().startswith("1 of 3 projects shown")
    assert command("list_runs", "lab/void").code == 4


def test_an_older_server(command: Command, server: Server) -> None:
    server.without = OLD_SERVER
    found = command("list_runs", "ada/many", "--limit", "5", "--json")
    assert names(found) == [f"r{n:05}" for n in range(MANY - 1, MANY - 6, -1)]
    assert found.json[0]["steps"] == 0
    assert found.json[0]["summary_metrics"]["loss"] == MANY - 1
    assert "how many rows a run has" in found.err
    assert "5 of 1,200 runs" in found.err.replace("1200", "1,200")
    found = command("list_runs", "ada/many", "--state", "failed", "--limit", "5", "--metrics", "loss,acc")
    assert found.code == 0
    assert "5 of 12 runs" in found.err
    assert command("list_projects", "lab").code == 0
    assert command("generate_plots", "ada/p", "odd1", "--all-metrics", "--json").code == 0
    assert command("wandb_report", "ada/p", "--runs", "tw1,tw2").code == 0


def test_names_never_steer_a_terminal(command: Command, server: Server) -> None:
    evil = Run(
        "evil", [{"loss": 1.0}], display_name="\x1b[31mred\x07", tags=["\x1b]0;x\x07"], notes="\x1b[2J", **at(40)
    )
    server.store.project("ada", "evil").add(evil)
    for words in (["list_runs", "ada/evil"], ["list_metrics", "ada/evil", "evil"], ["wandb_report", "ada/evil"]):
        found = command(*words)
        assert "\x1b" not in found.out + found.err
        assert "\x07" not in found.out + found.err
