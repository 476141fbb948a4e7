"""New findings of a watched report → a webhook, ntfy, a Slack-compatible hook, or a command of the user's own.

Each finding is told once, and only to the address that the user gave: no redirect is followed, no key goes along.
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from wandb_toolkit import __version__
from wandb_toolkit.details.secrets import mask_text
from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Finding, Report, RunReport
from wandb_toolkit.text import clean

MOST = 20  # messages an hour; beyond it they are counted
_HOUR, _TIMEOUT, _COMMAND_TIMEOUT = 3600.0, 10.0, 30.0
_KINDS = ("slack", "ntfy", "json")


@dataclass(frozen=True)
class Address:
    """Where messages go, and in which form."""

    url: str
    kind: str  # of `_KINDS`


def address_of(text: str) -> Address:
    """Return where a --notify leads: an http(s) URL, its form told by the host or by a prefix ``slack:``, ``ntfy:``.

    Raises:
        UsageError: it is not such a URL.
    """
    kind, _, rest = text.partition(":")
    url = rest if kind in _KINDS and not rest.startswith("//") else text
    try:
        parts = urlsplit(url)
        _ = parts.port  # read here, because only reading it says that it is not a number
    except ValueError as error:  # a bracket left open, a name that turns into another, a port that cannot be
        raise UsageError(f"--notify {clean(text, 80)!r} is not an http or https address.") from error
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\\]", url):
        raise UsageError(f"--notify {clean(text, 80)!r} is not an http or https address.")
    if kind in _KINDS and url is rest:
        return Address(url, kind)
    slack = host == "hooks.slack.com" or "/services/hooks/" in parts.path
    return Address(url, "slack" if slack else "ntfy" if host.split(".")[0] == "ntfy" else "json")


@dataclass
class Notifier:
    """Tells the findings that have not been told yet."""

    addresses: tuple[Address, ...] = ()
    command: tuple[str, ...] = ()
    clock: Callable[[], float] = time.monotonic
    _told: set[tuple[str | None, str | None, str, str]] = field(default_factory=set)
    _sent: deque[float] = field(default_factory=deque)
    _held: int = 0  # findings not told since the last message, there being too many

    def tell(self, report: Report) -> list[str]:
        """Tell what is new, and return what could not be told, a sentence each."""
        failed: list[str] = []
        for one, finding in _troubles(report):
            key = (one.run.entity, one.run.project, one.run.id, finding.id)
            if key in self._told:
                continue
            self._told.add(key)
            if not self._may():
                self._held += 1
                continue
            message = _message(one, finding, self._held)
            self._held = 0
            failed += self._send(message)
        return failed

    def _may(self) -> bool:
        now = self.clock()
        while self._sent and now - self._sent[0] > _HOUR:
            self._sent.popleft()
        if len(self._sent) >= MOST:
            return False
        self._sent.append(now)
        return True

    def _send(self, message: dict[str, Any]) -> list[str]:
        failed = []
        for address in self.addresses:
            problem = _post(address, message)
            if problem:
                failed.append(f"{urlsplit(address.url).hostname} was not notified: {problem}")
        if self.command:
            problem = _run(self.command, message)
            if problem:
                failed.append(f"{self.command[0]} was not notified: {problem}")
        return failed


def split_command(text: str) -> tuple[str, ...]:
    """Return the words of a --notify-command.

    Raises:
        UsageError: there are none, or a quote is open.
    """
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise UsageError(f"--notify-command cannot be read: {error}.") from error
    if not words:
        raise UsageError("--notify-command is blank.")
    if "\0" in text:
        raise UsageError("--notify-command holds a zero byte.")
    return words


def _troubles(report: Report) -> Iterator[tuple[RunReport, Finding]]:
    for one in report.runs:
        for finding in one.findings:
            if finding.severity in ("ugly", "bad") and finding.consequence_of is None:
                yield one, finding


def _message(one: RunReport, finding: Finding, held: int) -> dict[str, Any]:
    run = one.run
    return {
        "run": clean(mask_text(run.name), 120),
        "run_id": run.id,
        "entity": run.entity,
        "project": run.project,
        "url": run.url,
        "verdict": one.verdict,
        "finding": finding.id,
        "severity": finding.severity,
        "title": clean(mask_text(finding.title), 500),
        "step": finding.step,
        "held_back": held,  # findings before this one that were too many to tell
    }


def _text(message: dict[str, Any]) -> str:
    held = f" ({message['held_back']} findings before it were not sent)" if message["held_back"] else ""
    return f"{message['run']}: {message['severity']}: {message['title']}{held}"


def _for_slack(text: str) -> str:
    """Return a text that calls nobody: in Slack's markup ``<!channel>`` in a stranger's name would alert everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(address: Address, message: dict[str, Any]) -> str:
    """Send a message; return why it was not taken, "" where it was."""
    import urllib.request

    import urllib3

    headers = {"User-Agent": f"wandb-toolkit/{__version__}", "Content-Type": "application/json"}
    if address.kind == "ntfy":
        body = _text(message)
        headers |= {
            "Content-Type": "text/plain; charset=utf-8",
            "Priority": "high" if message["severity"] == "ugly" else "default",
        }
    else:
        body = json.dumps({"text": _for_slack(_text(message))} if address.kind == "slack" else message)
    parts = urlsplit(address.url)
    proxy = None if urllib.request.proxy_bypass(parts.hostname or "") else urllib.request.getproxies().get(parts.scheme)
    try:
        with urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager() as pool:
            reply = pool.request(
                "POST", address.url, body=body.encode(), headers=headers, redirect=False, retries=False,
                timeout=_TIMEOUT, preload_content=False,
            )  # fmt: skip
            reply.close()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        return clean(type(error).__name__)
    return "" if 200 <= reply.status < 300 else f"HTTP {reply.status}"


def _run(command: tuple[str, ...], message: dict[str, Any]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 the user's own command
            command, input=json.dumps(message).encode(), timeout=_COMMAND_TIMEOUT, check=False,
            # Not read: what it prints may be no text, and a child that it leaves behind keeps a pipe open.
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return clean(getattr(error, "strerror", None) or "it took too long")
    return "" if done.returncode == 0 else f"it ended with {done.returncode}"
