"""What servers can do: fail now and then, be slow, answer something else, ask for the key."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from loopback import Loopback, serving, text
from mutations import mutated
from reliability_calls import call, environment
from wandb_server import Call, Fault, Server
from wandb_server.faults import Host, Kind
from wandb_server_cases import make_store
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.sources.http.auth import find_credentials
from wandb_toolkit.sources.http.connection import Connection

CHANCE = 0.05
PATIENCE = 20.0  # seconds a command may take
_KINDS: tuple[Kind, ...] = ("status", "html", "truncate", "cut", "drop", "garble")
_COMMANDS = (
    ("list_runs", "lab/p"),
    ("list_metrics", "lab/p", "one"),
    ("get_history", "lab/p", "one", "--metrics", "loss"),
)


@dataclass
class _Mixed(Fault):
    """One kind of fault, at random requests to the API and to storage."""

    rng: random.Random = field(default_factory=random.Random)
    chance: float = CHANCE

    def meets(self, call: Call) -> bool:
        return self.rng.random() < self.chance / len(_KINDS)


def soak(requests: int, chance: float = CHANCE, seed: int = 1) -> dict[str, int | float]:
    """Ask a server that fails a share of its requests, in six ways, until it was asked so often.

    An answer is right (the same as without faults), named (a code that is not 0, and words), or wrong.
    """
    figures: Counter[str] = Counter()
    slowest = 0.0
    with Server(make_store()) as server, environment(server.environment()):
        expected = {words: call(words) for words in _COMMANDS}
        assert all(code == 0 for code, _, _ in expected.values()), expected
        alone = len(server.record.calls) / len(_COMMANDS)
        server.record.clear()
        for at, kind in enumerate(_KINDS):
            server.faults.append(_Mixed(kind, 502, rng=random.Random(seed * 100 + at), chance=chance))
        while len(server.record.calls) < requests:
            words = _COMMANDS[figures["commands"] % len(_COMMANDS)]
            start = time.monotonic()
            code, answer, said = call(words)
            slowest = max(slowest, time.monotonic() - start)
            figures["commands"] += 1
            right = (code, answer) == expected[words][:2]
            figures["right" if right else "named" if code and said.strip() else "wrong"] += 1
            figures["unexpected"] += "Unexpected" in said
        figures["requests"], figures["faults"] = len(server.record.calls), server.record.faults_met
        figures["keys to storage"] = len(server.record.leaks)
    keys = ("requests", "faults", "commands", "right", "named", "wrong", "unexpected", "keys to storage")
    return {
        **{name: figures[name] for name in keys},
        "requests for each without faults": round(figures["requests"] / figures["commands"] / alone, 2),
        "slowest command, s": round(slowest, 1),
        "hung": int(slowest > PATIENCE),
    }


def slow(timeout: float, commands: int = len(_COMMANDS)) -> dict[str, int | float]:
    """Ask servers that answer late or drop by drop; each command has `timeout` seconds for an operation."""
    figures: Counter[str] = Counter()
    slowest = 0.0
    kinds: tuple[tuple[Kind, Host, int | None], ...] = (
        ("wait", "api", None), ("slow", "api", None), ("wait", "api", 1), ("slow", "api", 1), ("slow", "storage", None),
    )  # fmt: skip
    with Server(make_store()) as server, environment(server.environment()):
        for words in _COMMANDS[:commands]:
            expected = call(words)
            for kind, host, times in kinds:
                server.reset()
                server.faults.append(Fault(kind, times=times, host=host, seconds=30 * timeout))
                start = time.monotonic()
                code, answer, said = call(words, "--timeout", str(timeout))
                slowest = max(slowest, time.monotonic() - start)
                right = (code, answer) == expected[:2]
                figures["commands"] += 1
                figures["right"] += right
                figures["named"] += not right and bool(code and said.strip())
                figures["wrong"] += not right and not (code and said.strip())
    counts = {name: figures[name] for name in ("commands", "right", "named", "wrong")}
    return {**counts, "slowest, in timeouts": round(slowest / timeout, 1)}


def mutations(count: int, seed: int = 1) -> dict[str, int | float]:
    """Ask a server one of whose answers has another value somewhere: a wrong type, a huge number, a text, nothing."""
    rng, figures = random.Random(seed), Counter[str]()
    answered = Server.graphql
    left = [0]

    def graphql(self: Server, body: dict[str, Any], signed_in: bool, call: Call) -> tuple[int, Any]:
        status, answer = answered(self, body, signed_in, call)
        left[0] -= 1
        return status, mutated(json.loads(json.dumps(answer)), rng) if left[0] == -1 else answer

    with (
        Server(make_store()) as server,
        environment(server.environment()),
        mock.patch.object(Server, "graphql", graphql),
    ):
        for at in range(count):
            left[0] = rng.choice((0, 0, 1, 1, 2, 3))
            start = time.monotonic()
            code, _, said = call(_COMMANDS[at % len(_COMMANDS)], "--timeout", "5")
            figures["answers"] += 1
            figures["answered in full"] += code == 0
            figures["answered in part, and said so"] += code == 6
            figures["refused with a reason"] += code in (2, 3, 4, 5) and bool(said.strip())
            figures["unexpected"] += "Unexpected" in said or code not in (0, 2, 3, 4, 5, 6)
            figures["hung"] += time.monotonic() - start > PATIENCE
    names = (
        "answers",
        "answered in full",
        "answered in part, and said so",
        "refused with a reason",
        "unexpected",
        "hung",
    )
    return {name: figures[name] for name in names}


_KEY = "0123456789abcdef" * 2 + "01234567"


def _key_sources(folder: Path, host: str) -> dict[str, dict[str, str]]:
    """Return the settings of each place that a key may come from."""
    netrc, settings = folder / "netrc", folder / "settings"
    netrc.write_text(f"machine {host} login user password {_KEY}\n")
    settings.write_text(f"[default]\napi_key = {_KEY}\n")
    nowhere = {"NETRC": "/nonexistent", "WANDB_CONFIG_DIR": "/nonexistent"}
    return {
        "WANDB_API_KEY": {**nowhere, "WANDB_API_KEY": _KEY},
        "netrc": {**nowhere, "NETRC": str(netrc)},
        "settings": {**nowhere, "WANDB_CONFIG_DIR": str(folder)},
    }


# Addresses of a file, by the host and port of the configured server and of another; the first two are the server's.
_ADDRESSES: dict[str, Callable[[str, str], str]] = {
    "the server": lambda own, other: f"http://{own}/file",
    "the server, written otherwise": lambda own, other: f"HTTP://{own}/a/../file",
    "another port": lambda own, other: f"http://{other}/file",
    "another name": lambda own, other: f"http://{other.replace('127.0.0.1', 'localhost')}/file",
    "without a scheme": lambda own, other: f"//{other}/file",
    "the server as a user": lambda own, other: f"http://{own}@{other}/file",
    "a backslash": lambda own, other: f"http://{other}\\@{own}/file",
    "another one as a user": lambda own, other: f"http://{other}@{own}/file",
    "a tab": lambda own, other: f"http://{other}/\t@{own}/file",
    "a question mark": lambda own, other: f"http://{other}?@{own}/file",
    "a hash": lambda own, other: f"http://{other}#@{own}/file",
    "https": lambda own, other: f"https://{other}/file",
}


def keys(folder: Path) -> dict[str, int | float]:
    """Ask for a file at each kind of address, at once and by a redirect, with a key from each place."""
    figures: Counter[str] = Counter()
    with serving(text("x")) as server, serving(text("x")) as other:
        own, foreign = server.url.removeprefix("http://"), other.url.removeprefix("http://")
        for settings in _key_sources(folder, own).values():
            for kind, address in _ADDRESSES.items():
                for redirected in (False, True):
                    _ask_for(address(own, foreign), server, other, settings, folder / "got", redirected=redirected)
                    theirs = [one for one in other.requests if _KEY in str(one.headers) or one.headers["Authorization"]]
                    ours = [one.headers["Authorization"] is not None for one in server.requests]
                    figures["addresses asked for"] += 1
                    figures["key at the server itself"] += any(ours)
                    figures["of these expected"] += redirected or (kind.startswith("the server") and "user" not in kind)
                    figures["key elsewhere"] += len(theirs)
    return dict(figures)


def _ask_for(
    url: str, server: Loopback, other: Loopback, settings: dict[str, str], place: Path, *, redirected: bool
) -> None:
    for one in (server, other):
        one.requests.clear()
        one.answers[:] = [text("x")]
    if redirected:
        server.answers[:] = [text("", 302, Location=url), text("x")]
    for name in ("WANDB_API_KEY", "NETRC", "WANDB_CONFIG_DIR"):
        os.environ.pop(name, None)
    with (
        environment({**settings, "WANDB_BASE_URL": server.url}),
        Connection(find_credentials(), sleep=lambda _: None) as connection,
    ):
        try:
            connection.download(f"{server.url}/start" if redirected else url, place, what="a file")
        except ToolkitError:
            return
