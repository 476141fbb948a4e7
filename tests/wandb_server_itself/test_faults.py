"""What the test server does wrong when told to, and what it remembers of the requests."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator

import pytest
import urllib3

from wandb_server import File, Server
from wandb_server_cases import BROKEN, POOL, ask, make_store, post

SMALL = '{ project(name: "p", entityName: "lab") { name } }'


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
    assert len(ask(server, "runs { edges { node { name summaryMetrics } } }")["runs"]["edges"]) == 4  # listings go on
    server.limits.history_keys = 2
    wide = '{ project(name: "p", entityName: "lab") { run(name: "one") { history(samples: 5) } } }'
    assert post(server, wide).status == 502


def test_one_field_in_error(server: Server) -> None:
    run = server.store.projects["lab", "p"].runs["two"]
    run.failing["sampledHistory"] = "rate exceeded"
    both = "".join(f'{n[0]}: run(name: "{n}") {{ sampledHistory(specs: []) }} ' for n in ("one", "two"))
    answer = post(server, f'{{ project(name: "p", entityName: "lab") {{ {both} }} }}')
    run.failing.clear()
    assert (answer.status, answer.json()["data"]["project"]) == (200, {"o": {"sampledHistory": []}, "t": None})
    assert answer.json()["errors"][0]["path"] == ["project", "t", "sampledHistory"]


def test_redirects_and_proxies(server: Server) -> None:
    server.fault("status", 307, times=1, headers={"Location": f"{server.storage_url}/graphql"})
    assert post(server, SMALL).headers["Location"].startswith("http://localhost:")
    proxy = urllib3.ProxyManager(server.url, retries=False)
    assert proxy.request("POST", "http://api.example.test/graphql", json={"query": SMALL}).status == 200
    assert [call.proxied for call in server.record.calls] == [False, True]


def test_a_server_that_goes_away() -> None:
    with Server(make_store()) as server:
        assert post(server, SMALL).status == 200
    with pytest.raises(BROKEN):
        post(server, SMALL)


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
    server.latency = 0.2
    threads = [threading.Thread(target=post, args=(server, SMALL)) for _ in range(5)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.2 <= time.monotonic() - start < 0.9
    assert server.record.peak == 5
    assert server.record.by_operation() == {"project": 5}
    assert server.record.sent == 5 * len(json.dumps({"data": {"project": {"name": "p"}}}))
    assert all(server.carries_key(call.headers["authorization"]) for call in server.record.calls)
    assert POOL.request("GET", f"{server.url}/_stats").json()["requests"] == 5
