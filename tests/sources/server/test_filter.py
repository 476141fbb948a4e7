"""--filter on a server: the server's own work where it can tell, ours where it cannot, one answer."""

from __future__ import annotations

import math

import pytest

from api_cases import Command
from wandb_server import Run, Server, Store

LOSSES = (1.0, math.nan, math.inf, -math.inf)
CONDITIONS = {
    "summary.loss==NaN": {"r1"},
    "summary.loss>0.5": {"r0", "r2"},
    "summary.loss<=5 and config.lr<=0.01": {"r3"},
    "summary.loss!=nan and summary.loss<Infinity": {"r0", "r3"},
    "summary.loss in (nan, 1)": {"r0", "r1"},
    "config.lr<=0.01": {"r2", "r3"},
    "config.lr<=0.01 and summary.acc>0.25": {"r3"},
    "config.opt.name==adam": {"r1", "r3"},
    "config.lr<=0.01 and config.opt.name==adam": {"r3"},
    "state!=crashed and tag in (even, none)": {"r2"},
    "not config.opt.name==adam or state==crashed": {"r0", "r2"},
}


def make_store() -> Store:
    store = Store()
    for n in range(4):
        config = {"lr": 10.0**-n, "opt": {"name": "adam" if n % 2 else "sgd"}}
        state, tags = "finished" if n else "crashed", ["odd" if n % 2 else "even"]
        store.project("ada", "p").add(
            Run(f"r{n}", [{"_step": 0, "acc": n / 10, "loss": LOSSES[n]}], config=config, tags=tags, state=state)
        )
    return store


@pytest.mark.parametrize("where", CONDITIONS)
def test_one_answer(command: Command, where: str) -> None:
    found = command("list_runs", "ada/p", "--filter", where, "--json").json
    assert {run["id"] for run in found} == CONDITIONS[where]
    assert len(command("list_runs", "ada/p", "--filter", where, "--limit", "1", "--json").json) == 1


def test_what_the_server_can_tell_costs_no_more_requests(server: Server, command: Command) -> None:
    command("list_runs", "ada/p", "--json")
    usual = len(server.record.calls)
    command("list_runs", "ada/p", "--filter", "config.lr<=0.01 and summary.acc>0.1", "--json")
    assert len(server.record.calls) <= usual
