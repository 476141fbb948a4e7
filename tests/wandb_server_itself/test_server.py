"""The test server by itself: its schema, filters, histories, files and logs."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pyarrow.parquet as pq
import pytest
import urllib3

from repository import EXAMPLES
from wandb_server import OLD_SERVER, Export, History, Server
from wandb_server.filters import like
from wandb_server.history import sample
from wandb_server.load import load
from wandb_server_cases import POOL, ask, make_store, post


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
    run.export = Export(rows=900, files=3, row_group=50, padded=False)
    found = ask(server, 'run(name: "one") { parquetHistory(liveKeys: ["_step"]) { parquetUrls liveData } }')
    history = found["run"]["parquetHistory"]
    assert [row["_step"] for row in history["liveData"]] == list(range(900, 1000))
    tables = [pq.read_table(io.BytesIO(POOL.request("GET", url).data)) for url in history["parquetUrls"]]
    steps = [table["_step"].to_pylist() for table in tables]
    assert sorted(step for some in steps for step in some) == list(range(900))
    first = next(table for table in tables if table["_step"][0].as_py() == 0)
    assert math.isnan(first["loss"][3].as_py())
    assert (first["acc"][0].as_py(), first["acc"][1].as_py()) == (0.0, None)
    run.export.listed_live = False
    assert ask(server, 'run(name: "one") { parquetHistory(liveKeys: ["_step"]) { liveData } }')["run"] == {
        "parquetHistory": {"liveData": []}
    }
    run.export = Export()


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
