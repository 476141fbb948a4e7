"""The test server by itself: its schema, filters, histories, files, faults and records."""

from __future__ import annotations

import io
import json
import math
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
import urllib3

from wandb_server import EPOCH, OLD_SERVER, Export, File, History, Run, Server, Store
from wandb_server.filters import like
from wandb_server.history import sample
from wandb_server.load import load

EXAMPLES = Path(__file__).parents[1] / "examples" / "wandb"
BROKEN = (urllib3.exceptions.HTTPError, ConnectionError)


def make_store() -> Store:
    """Return four runs that differ in everything a filter may look at, and projects of each access."""
    store = Store(teams=["lab"])
    rows = [{"_step": n, "loss": 1 / (n + 1), **({"acc": n / 100} if n % 50 == 0 else {})} for n in range(1000)]
    rows[3]["loss"] = math.nan
    base: dict[str, Any] = {"config": {"lr": 0.1, "opt": {"name": "adam"}}, "tags": ["base", "x"], "group": "g1"}
    store.project("lab", "p").add(
        Run("one", rows, display_name="First run", files=[File("a b/c%d_é.png", b"12345678")], **base),
        Run("two", [{"loss": 0.5}], state="failed", config={"lr": 0.2}, created_at=EPOCH + timedelta(days=1)),
        Run("three", [{"loss": math.nan}], state="running", job_type="eval", created_at=EPOCH + timedelta(days=2)),
        Run("four", sweep="s1", config={"lr": 0.3}, created_at=EPOCH + timedelta(days=3), display_name=None),
    )
    store.project("lab", "open", access="public").add(Run("o", rows[:5], files=[File("f.txt", b"open")]))
    store.project("lab", "shut", access="forbidden").add(Run("s"))
    return store


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    """One server for the module."""
    with Server(make_store()) as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server as it started."""
    running.reset()
    return running


POOL = urllib3.PoolManager(retries=False, maxsize=10, timeout=5)


def post(server: Server, query: str, key: str | None = "right", **variables: Any) -> urllib3.BaseHTTPResponse:
    """Send a query."""
    headers = {} if key is None else urllib3.make_headers(basic_auth=f"api:{server.key if key == 'right' else key}")
    body = {"query": query, "variables": variables}
    return POOL.request("POST", f"{server.url}/graphql", json=body, headers=headers, redirect=False)


def ask(server: Server, query: str, **variables: Any) -> Any:
    """Return what a selection of project p's fields answers. Variables: f, filters; s, specs."""
    types = {"f": "$f: JSONString", "s": "$s: [JSONString!]!"}
    declared = "(" + ", ".join(types[name] for name in variables) + ")" if variables else ""
    whole = f'query Q{declared} {{ project(name: "p", entityName: "lab") {{ {query} }} }}'
    answer = post(server, whole, **variables).json()
    assert "errors" not in answer, answer
    return answer["data"]["project"]


def ids(server: Server, filters: Any = None, order: str = "+created_at") -> list[str]:
    """Return the ids of the runs that a filter finds."""
    query = f'runCount(filters: $f) runs(filters: $f, order: "{order}") {{ edges {{ node {{ name }} }} }}'
    found = ask(server, query, f=json.dumps(filters or {}))
    names = [edge["node"]["name"] for edge in found["runs"]["edges"]]
    assert len(names) == found["runCount"]
    return names


ALL = ["one", "two", "three", "four"]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ALL),
        ({"state": "failed"}, ["two"]),
        ({"state": {"$in": ["failed", "running"]}}, ["two", "three"]),
        ({"state": {"$nin": ["failed", "running"]}}, ["one", "four"]),
        ({"$or": [{"state": "failed"}, {"name": "four"}]}, ["two", "four"]),
        ({"$and": [{"tags": "base"}, {"tags": {"$in": ["x", "y"]}}]}, ["one"]),
        ({"$not": {"tags": "base"}}, ["two", "three", "four"]),
        ({"display_name": {"$regex": "^First"}}, ["one"]),
        ({"displayName": {"$contains": "RUN"}}, ["one"]),
        ({"config.lr": {"$gt": 0.1}}, ["two", "four"]),
        ({"config.lr.value": {"$gte": 0.1, "$lt": 0.3}}, ["one", "two"]),
        ({"config.opt.name": "adam"}, ["one"]),
        ({"config.opt.value.name": {"$ne": "adam"}}, ["two", "three", "four"]),
        ({"config.lr": {"$exists": False}}, ["three"]),
        ({"summary_metrics.loss": {"$lte": 0.5}}, ["one", "two"]),
        ({"job_type": "eval"}, ["three"]),
        ({"group": {"$ne": None}}, ["one"]),
        ({"sweep": "s1"}, ["four"]),
        ({"created_at": {"$gt": "2026-01-02T12:00:00Z"}}, ["three", "four"]),
        ({"heartbeat_at": {"$lt": "2026-01-02"}}, ["one"]),
    ],
)
def test_filters(server: Server, filters: Any, expected: list[str]) -> None:
    assert ids(server, filters) == expected


def test_orders(server: Server) -> None:
    assert ids(server, order="-created_at") == ALL[::-1]
    assert ids(server, order="-config.lr.value") == ["four", "two", "one", "three"]
    assert ids(server, order="+summary_metrics.loss")[2:] == ["one", "two"]  # those without a number first
    refused = '{ project(name: "p", entityName: "lab") { runs(%s) { edges { cursor } } } }'
    for argument in ('order: "+nothing"', 'filters: "{\\"nothing\\": 1}"', 'filters: "{\\"state\\": {\\"$is\\": 1}}"'):
        assert "invalid" in post(server, refused % argument).json()["errors"][0]["message"]


def test_pages(server: Server) -> None:
    server.limits.page = 2
    query = '{ project(name: "p", entityName: "lab") { runs(first: 3%s) { edges { node { name } } pageInfo { %s } } } }'
    query = query.replace("{ %s }", "{ endCursor hasNextPage }")
    first = post(server, query % "").json()["data"]["project"]["runs"]
    assert [edge["node"]["name"] for edge in first["edges"]] == ALL[:2]
    rest = post(server, query % f', after: "{first["pageInfo"]["endCursor"]}"').json()["data"]["project"]["runs"]
    assert [edge["node"]["name"] for edge in rest["edges"]] == ALL[2:]
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)


def test_typed_schema(server: Server) -> None:
    for query, word in (
        ('{ project(name: "p") { rnus { edges { cursor } } } }', "rnus"),
        ('{ project(name: "p", owner: "lab") { id } }', "owner"),
        ("query Q($n: Int!) { models(first: $n) { edges { cursor } } }", "$n"),
        ("{ viewer", "Syntax"),
    ):
        answer = post(server, query)
        assert answer.status == 400
        assert word in answer.json()["errors"][0]["message"]


def test_parts_of_a_run(server: Server) -> None:
    query = 'run(name: "one") { config(keys: ["lr"]) summaryMetrics(keys: ["loss"]) historyKeys historyLineCount }'
    run = ask(server, query)["run"]
    assert json.loads(run["config"]) == {"lr": {"desc": None, "value": 0.1}}
    assert json.loads(run["summaryMetrics"]) == {"loss": 0.001}
    assert run["historyKeys"]["keys"]["acc"]["typeCounts"] == [{"type": "number", "count": 20}]
    assert (run["historyKeys"]["lastStep"], run["historyLineCount"]) == (999, 1000)
    assert json.loads(ask(server, 'run(name: "three") { summaryMetrics }')["run"]["summaryMetrics"])["loss"] == "NaN"
    assert ask(server, 'run(name: "nope") { id }')["run"] is None


def test_sampled_history(server: Server) -> None:
    specs = [{"keys": ["_step", "loss"], "samples": 20}, {"keys": ["_step", "acc"]}, {"keys": ["loss", "none"]}]
    specs.append({"keys": ["_step", "loss"], "minStep": 2, "maxStep": 4, "samples": 100})
    query = 'run(name: "one") { sampledHistory(specs: $s) }'
    loss, acc, none, few = ask(server, query, s=[json.dumps(spec) for spec in specs])["run"]["sampledHistory"]
    assert (len(loss), loss[0]["_step"], loss[-1]["_step"], none) == (20, 0, 999, [])
    assert [row["_step"] for row in acc] == list(range(0, 1000, 50))
    assert few == [{"_step": 2, "loss": 1 / 3}, {"_step": 3, "loss": "NaN"}, {"_step": 4, "loss": 0.2}]
    again = ask(server, query, s=[json.dumps(specs[0])])["run"]["sampledHistory"][0]
    assert again == loss


@pytest.mark.parametrize(("rows", "count"), [(0, 5), (1, 1), (5, 5), (6, 5), (7, 3), (1000, 999), (1000, 2), (9, 1)])
def test_samples_are_spread(rows: int, count: int) -> None:
    chosen = sample(np.arange(rows), count)
    assert len(chosen) == min(rows, count)
    assert (np.diff(chosen) > 0).all()
    if rows:
        assert chosen[-1] == rows - 1
    assert sample(np.arange(1000), 10)[5] > 400


def test_history_pages(server: Server) -> None:
    rows = ask(server, 'run(name: "one") { history(minStep: 2, maxStep: 4, samples: 10) }')["run"]["history"]
    assert [json.loads(row) for row in rows] == [{"_step": 2, "loss": 1 / 3}, {"_step": 3, "loss": "NaN"}]


def test_exports_and_live_tail(server: Server) -> None:
    run = server.store.projects["lab", "p"].runs["one"]
    run.export, run.parquet = Export(rows=900, files=3, row_group=50, padded=False), None
    found = ask(server, 'run(name: "one") { parquetHistory(liveKeys: ["_step"]) { parquetUrls liveData } }')
    history = found["run"]["parquetHistory"]
    assert [row["_step"] for row in history["liveData"]] == list(range(900, 1000))
    tables = [pq.read_table(io.BytesIO(POOL.request("GET", url).data)) for url in history["parquetUrls"]]
    steps = [table["_step"].to_pylist() for table in tables]
    assert sorted(step for some in steps for step in some) == list(range(900))
    first = next(table for table in tables if table["_step"][0].as_py() == 0)
    assert math.isnan(first["loss"][3].as_py())
    assert (first["acc"][0].as_py(), first["acc"][1].as_py()) == (0.0, None)
    run.export, run.parquet = Export(), None


def test_columns_given_as_arrays() -> None:
    history = History.from_arrays({"a": np.arange(100.0), "b": np.arange(10)}, {"b": 10})
    assert history.select(["_step", "b"], history.holding(["_step", "b"], 15, 40)) == [
        {"_step": 20, "b": 2},
        {"_step": 30, "b": 3},
    ]
    assert history.rows(history.between(10, 12)) == [{"_step": 10, "a": 10.0, "b": 1}, {"_step": 11, "a": 11.0}]


def test_like() -> None:
    assert like("media/%.png", "media/images/a b.png")
    assert like("a_c", "aBc")
    assert not like("a\\_c", "abc")
    assert not like("*.png", "a.png")


def test_files(server: Server) -> None:
    query = 'run(name: "one") { files(pattern: "a b/%") { edges { node { name url directUrl sizeBytes md5 } } } }'
    node = ask(server, query)["run"]["files"]["edges"][0]["node"]
    assert (node["name"], node["sizeBytes"], node["md5"]) == ("a b/c%d_é.png", 8, "JdVa0oOqQAr0ZMdtcTwHrQ==")
    key = urllib3.make_headers(basic_auth=f"api:{server.key}")
    there = POOL.request("GET", node["url"], headers=key, redirect=False)
    assert there.status == 302
    assert urlsplit(there.headers["Location"]).netloc != urlsplit(server.url).netloc
    signed = node["directUrl"]
    assert POOL.request("GET", signed).data == b"12345678"
    part = POOL.request("GET", signed, headers={"Range": "bytes=2-4"})
    assert (part.status, part.data, part.headers["Content-Range"]) == (206, b"345", "bytes 2-4/8")
    assert POOL.request("HEAD", signed).headers["Content-Length"] == "8"
    assert POOL.request("GET", signed[:-1] + "x").status == 403
    assert server.record.leaks == []
    assert POOL.request("GET", signed, headers=key).status == 400
    assert POOL.request("GET", f"{signed}&key={server.key}").status == 400
    assert len(server.record.leaks) == 2
    server.expire_urls()
    assert POOL.request("GET", signed).status == 403


def test_who_may_see_what(server: Server) -> None:
    query = 'query Q($p: String!) { viewer { username } project(name: $p, entityName: "lab") { name } }'
    public = post(server, query, key=None, p="open").json()["data"]
    assert public == {"viewer": None, "project": {"name": "open"}}
    assert post(server, query, key=None, p="p").json()["data"]["project"] is None
    assert post(server, query, p="nothing").json()["data"]["project"] is None
    assert post(server, query, p="shut").status == 403
    assert post(server, query, key="f" * 40, p="p").status == 401
    assert POOL.request("GET", f"{server.url}/files/lab/p/one/a%20b/c%25d_%C3%A9.png", redirect=False).status == 404
    there = POOL.request("GET", f"{server.url}/files/lab/open/o/f.txt", redirect=False)
    assert POOL.request("GET", there.headers["Location"]).data == b"open"
    server.require_key = True
    assert post(server, query, key=None, p="open").status == 401


def test_older_schema(server: Server) -> None:
    server.without = OLD_SERVER
    answer = post(server, '{ project(name: "p", entityName: "lab") { run(name: "one") { historyKeys } } }')
    assert (answer.status, "historyKeys" in answer.json()["errors"][0]["message"]) == (400, True)
    assert json.loads(ask(server, 'run(name: "one") { summaryMetrics }')["run"]["summaryMetrics"])["loss"] == 0.001


SMALL = '{ project(name: "p", entityName: "lab") { name } }'


def test_faults(server: Server) -> None:
    server.fault("status", 429, times=1, headers={"Retry-After": "1"})
    server.fault("html", 502, times=1)
    server.fault("html", 200, times=1)
    server.fault("truncate", times=1)
    first = post(server, SMALL)
    assert (first.status, first.headers["Retry-After"]) == (429, "1")
    assert (post(server, SMALL).status, post(server, SMALL).data[:9]) == (502, b"<!doctype")
    with pytest.raises(json.JSONDecodeError):
        post(server, SMALL).json()
    for kind in ("drop", "cut"):
        fault = server.fault(kind, times=1)
        with pytest.raises(BROKEN):
            post(server, SMALL)
        assert fault.times == 0
    server.fault("slow", times=1, seconds=0.2)
    start = time.monotonic()
    assert post(server, SMALL).json()["data"]["project"]["name"] == "p"
    assert time.monotonic() - start > 0.15
    assert [call.status for call in server.record.calls][:3] == [429, 502, 200]


def test_poisoned_run_and_many_keys(server: Server) -> None:
    server.fault("status", 502, run="two")
    query = '{ project(name: "p", entityName: "lab") { a: run(name: "%s") { id } } }'
    assert [post(server, query % run).status for run in ("one", "two", "one", "two")] == [200, 502, 200, 502]
    assert ids(server) == ALL  # a listing does not touch it
    server.limits.history_keys = 2
    wide = '{ project(name: "p", entityName: "lab") { run(name: "one") { history(samples: 5) } } }'
    assert post(server, wide).status == 502


def test_rate_limit(server: Server) -> None:
    server.rate_limit = (2, 30.0)
    answers = [post(server, SMALL) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert 1 <= float(answers[2].headers["Retry-After"]) <= 30


def test_wrong_sizes_and_bytes(server: Server) -> None:
    run = server.store.projects["lab", "open"].runs["o"]
    run.files = [File("f.txt", b"0123456789", claimed_size=4, claimed_md5="wrong")]
    query = '{ project(name: "open", entityName: "lab") { run(name: "o") { files { edges { node { %s } } } } } }'
    answer = post(server, query % "sizeBytes md5 directUrl").json()["data"]["project"]["run"]
    node = answer["files"]["edges"][0]["node"]
    assert (node["sizeBytes"], node["md5"]) == (4, "wrong")
    server.fault("garble", times=1, host="storage")
    server.fault("truncate", times=1, host="storage")
    assert [len(POOL.request("GET", node["directUrl"]).data) for _ in range(3)] == [10, 5, 10]


def test_record_and_latency(server: Server) -> None:
    server.latency = 0.1
    threads = [threading.Thread(target=post, args=(server, SMALL)) for _ in range(5)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.1 <= time.monotonic() - start < 0.4
    assert server.record.peak == 5
    assert server.record.by_operation() == {"project": 5}
    assert server.record.sent == 5 * len(json.dumps({"data": {"project": {"name": "p"}}}))
    assert all(server.carries_key(call.headers["authorization"]) for call in server.record.calls)
    assert POOL.request("GET", f"{server.url}/_stats").json()["requests"] == 5


def test_runs_from_logs() -> None:
    runs = load(EXAMPLES).projects["ada", "grpo-digits"].runs
    assert len(runs) == 8
    assert (runs["killed01"].state, runs["grpobas1"].state) == ("crashed", "finished")
    run = runs["grpobas1"]
    assert run.step_metrics["eval/*"] == "train/global_step"
    encoded = run.wrapped_config["_wandb"]["value"]["m"]
    glob = next(entry for entry in encoded if entry.get("2") == "eval/*")
    assert encoded[glob["5"] - 1]["1"] == "train/global_step"
    assert any(file.name.startswith("media/images/") for file in run.files)
    assert any(name.startswith("system.") for name in run.events[0])
