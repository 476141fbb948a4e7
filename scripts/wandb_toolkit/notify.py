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
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from wandb_toolkit import __version__
from wandb_toolkit.details.secrets import mask_text
from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Finding, Report, RunReport
from wandb_toolkit.text import clean, plural

MOST = 20  # messages an hour; beyond it they are counted
_HOUR, _TIMEOUT, _COMMAND_TIMEOUT = 3600.0, 10.0, 30.0
_LAST = (1.0, 2.0, 4.0)  # seconds before each of the last tries, when the watch ends
_KEPT = 200  # messages that an address that does not answer may have waiting, the newest
_KINDS = ("slack", "ntfy", "json")


@dataclass(frozen=True)
class Problem:
    """Why a message was not taken: "" where it was; `again`: later it may be."""

    why: str = ""
    again: bool = False


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
class _Outbox:
    """What one receiver has not got yet, the oldest first."""

    name: str
    send: Callable[[dict[str, Any]], Problem]
    waiting: deque[dict[str, Any]] = field(default_factory=deque)
    failed: bool = False  # the last time, which has been said

    def deliver(self) -> list[str]:
        """Send what is waiting until something fails for now, and return what is to be said."""
        said = []
        while self.waiting:
            problem = self.send(self.waiting[0])
            if problem.again:
                if not self.failed:
                    said.append(f"{self.name} was not notified: {problem.why}; it will be tried again")
                self.failed = True
                return said
            self.waiting.popleft()
            self.failed = False
            if problem.why:
                said.append(f"{self.name} was not notified: {problem.why}")
        return said


@dataclass
class Notifier:
    """Tells the findings that have not been told yet; what a receiver cannot take now it gets at a later look."""

    addresses: tuple[Address, ...] = ()
    command: tuple[str, ...] = ()
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _told: set[tuple[str | None, str | None, str, str]] = field(default_factory=set)
    _sent: deque[float] = field(default_factory=deque)
    _held: int = 0  # findings not told since the last message, there being too many

    def __post_init__(self) -> None:
        """Make a place for what each receiver has not got yet."""
        self._outboxes = [
            _Outbox(str(urlsplit(each.url).hostname), partial(_post, each), deque(maxlen=_KEPT))
            for each in self.addresses
        ]
        if self.command:
            self._outboxes.append(_Outbox(self.command[0], partial(_run, self.command)))

    def tell(self, report: Report) -> list[str]:
        """Tell what is new and what could not be told before; return what could not be told now, a sentence each."""
        for one, finding in _troubles(report):
            key = (one.run.entity, one.run.project, one.run.id, finding.id)
            if key in self._told:
                continue
            self._told.add(key)
            if not self._may(finding):
                self._held += 1
                continue
            message = _message(one, finding, self._held)
            self._held = 0
            for outbox in self._outboxes:
                outbox.waiting.append(message)
        return [said for outbox in self._outboxes for said in outbox.deliver()]

    def finish(self) -> list[str]:
        """Try what is left a few times more, and return what was never told, a sentence for each receiver."""
        for pause in _LAST:
            if not any(outbox.waiting for outbox in self._outboxes):
                return []
            self.sleep(pause)
            for outbox in self._outboxes:
                outbox.deliver()
        return [
            f"{outbox.name} never got {plural(len(outbox.waiting), 'finding')}"
            for outbox in self._outboxes
            if outbox.waiting
        ]

    def _may(self, finding: Finding) -> bool:
        """Whether there is room for a message this hour; what broke is always told."""
        now = self.clock()
        while self._sent and now - self._sent[0] > _HOUR:
            self._sent.popleft()
        if len(self._sent) >= MOST and finding.severity != "ugly":
            return False
        self._sent.append(now)
        return True


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
        "run_id": _safe(run.id),
        "entity": _safe(run.entity),
        "project": _safe(run.project),
        "url": _safe(run.url),
        "verdict": one.verdict,
        "finding": finding.id,
        "severity": finding.severity,
        "title": clean(mask_text(finding.title), 500),
        "step": finding.step,
        "held_back": held,  # findings before this one that were too many to tell
    }


def _safe(text: str | None) -> str | None:
    return None if text is None else clean(mask_text(text), 500)


def _text(message: dict[str, Any]) -> str:
    held = f" ({message['held_back']} findings before it were not sent)" if message["held_back"] else ""
    return f"{message['run']}: {message['severity']}: {message['title']}{held}"


def _for_slack(text: str) -> str:
    """Return a text that calls nobody: in Slack's markup ``<!channel>`` in a stranger's name would alert everyone."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _post(address: Address, message: dict[str, Any]) -> Problem:
    """Send a message. A receiver that is away or busy is asked again, one that refuses is not."""
    import urllib.request

    import urllib3

    from wandb_toolkit.sources.http.retry import Budget
    from wandb_toolkit.sources.http.watchdog import Watchdog, watched

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
    with Watchdog().watching(Budget(_TIMEOUT)) as watch:
        try:
            with watched(urllib3.ProxyManager(proxy) if proxy else urllib3.PoolManager()) as pool:
                reply = pool.request(
                    "POST", address.url, body=body.encode(), headers=headers, redirect=False, retries=False,
                    timeout=_TIMEOUT, preload_content=False,
                )  # fmt: skip
                reply.close()
            problem = ""
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            problem = clean(type(error).__name__)
    if watch.over:  # headers that end where its socket was shut look whole
        problem = f"no whole answer within {_TIMEOUT:g} s"
    if problem:
        return Problem(problem, again=True)
    if 200 <= reply.status < 300:
        return Problem()
    return Problem(f"HTTP {reply.status}", again=reply.status in (408, 425, 429) or reply.status >= 500)


def _run(command: tuple[str, ...], message: dict[str, Any]) -> Problem:
    try:
        done = subprocess.run(  # noqa: S603 the user's own command
            command, input=json.dumps(message).encode(), timeout=_COMMAND_TIMEOUT, check=False,
            # Not read: what it prints may be no text, and a child that it leaves behind keeps a pipe open.
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        return Problem(clean(getattr(error, "strerror", None) or "it took too long"))
    return Problem("" if done.returncode == 0 else f"it ended with {done.returncode}")  # it got the message: not again
