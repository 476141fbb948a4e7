"""A small store for the test server's own tests, and how they ask it."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import urllib3

from wandb_server import EPOCH, File, Run, Server, Store

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
