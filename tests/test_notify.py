"""New findings reach a webhook or a command: once each, nowhere else, and nothing ends where they cannot be taken."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from loopback import document, serving, text
from report_cases import a_finding, judged
from wandb_toolkit.errors import UsageError
from wandb_toolkit.model import Report
from wandb_toolkit.notify import MOST, Address, Notifier, address_of, split_command

KEY = "hf_" + "a" * 30


def report(*findings: Any, name: str = "one") -> Report:
    from datetime import UTC, datetime

    run = judged(name, *findings, verdict="ugly")
    return Report(
        "ugly", "local", "x", None, {}, (run,), (), (), (), None, (), (), datetime(2026, 1, 1, tzinfo=UTC), "0"
    )


UGLY = a_finding("nan_or_inf", "ugly", f"loss is NaN from step 3 on, with {KEY}", step=3)
BAD = a_finding("overfitting", "bad", "eval/loss rises")


def test_each_finding_is_sent_once_without_keys() -> None:
    with serving(document({})) as server:
        notifier = Notifier((Address(f"{server.url}/hook", "json"),))
        good = a_finding("primary_improved", "good", "better")
        folded = replace(BAD, id="plateau_early", consequence_of="nan_or_inf")
        assert notifier.tell(report(UGLY, good, folded)) == []
        assert notifier.tell(report(UGLY, BAD)) == []
        assert notifier.tell(report(UGLY, BAD)) == []
    bodies = [json.loads(request.body) for request in server.requests]
    assert [one["finding"] for one in bodies] == ["nan_or_inf", "overfitting"]
    assert (bodies[0]["severity"], bodies[0]["step"], bodies[0]["run"]) == ("ugly", 3, "one")
    assert KEY not in json.dumps(bodies)
    assert "Authorization" not in server.requests[0].headers


def test_slack_and_ntfy_get_their_own_form() -> None:
    with serving(text("ok")) as server:
        Notifier((Address(server.url, "slack"), Address(server.url, "ntfy"))).tell(report(BAD))
    slack, ntfy = server.requests
    assert json.loads(slack.body) == {"text": "one: bad: eval/loss rises"}
    assert ntfy.body.decode() == "one: bad: eval/loss rises"
    assert address_of("https://hooks.slack.com/services/x").kind == "slack"
    assert address_of("https://ntfy.sh/topic").kind == "ntfy"
    assert address_of("ntfy:https://push.example/topic") == Address("https://push.example/topic", "ntfy")
    assert address_of("https://example.org/hook").kind == "json"


def test_names_from_strangers_call_nobody_in_slack() -> None:
    title = "`<!channel>` rises & <https://elsewhere.example|the docs>"
    with serving(text("ok")) as server:
        Notifier((Address(server.url, "slack"), Address(server.url, "json"))).tell(report(replace(BAD, title=title)))
    slack, plain = (json.loads(request.body) for request in server.requests)
    assert slack["text"] == ("one: bad: `&lt;!channel&gt;` rises &amp; &lt;https://elsewhere.example|the docs&gt;")
    assert plain["title"] == title


def test_a_redirect_is_not_followed_and_failures_are_said() -> None:
    with serving(document({})) as other, serving(text("", 302, Location=other.url)) as server:
        failed = Notifier((Address(server.url, "json"),)).tell(report(UGLY))
        assert failed == ["127.0.0.1 was not notified: HTTP 302"]
    assert other.requests == []
    gone = Notifier((Address(server.url, "json"),), ("no-such-command-at-all",)).tell(report(UGLY))
    assert len(gone) == 2
    assert "no-such-command-at-all was not notified" in gone[1]


def test_a_command_gets_the_finding_on_its_stdin(tmp_path: Path) -> None:
    place = tmp_path / "a folder" / "told.json"
    place.parent.mkdir()
    code = f"import sys; open({str(place)!r}, 'w').write(sys.stdin.read())"
    assert Notifier(command=(sys.executable, "-c", code)).tell(report(BAD)) == []
    assert json.loads(place.read_text())["title"] == "eval/loss rises"
    assert Notifier(command=(sys.executable, "-c", "raise SystemExit(3)")).tell(report(BAD)) == [
        f"{sys.executable} was not notified: it ended with 3"
    ]


def test_a_command_may_print_anything_and_leave_a_child_behind() -> None:
    noise = "import sys; sys.stdout.buffer.write(bytes([255, 254])); sys.stderr.buffer.write(bytes([255]))"
    assert Notifier(command=(sys.executable, "-c", noise)).tell(report(BAD)) == []
    began = time.monotonic()
    assert Notifier(command=("sh", "-c", "sleep 20 & exit 0")).tell(report(BAD)) == []
    assert time.monotonic() - began < 10


def test_too_many_are_counted_and_said_with_the_next() -> None:
    now = [0.0]
    with serving(document({})) as server:
        notifier = Notifier((Address(server.url, "json"),), clock=lambda: now[0])
        for n in range(MOST + 5):
            notifier.tell(report(BAD, name=f"run{n}"))
        assert len(server.requests) == MOST
        now[0] = 3601.0
        notifier.tell(report(BAD, name="later"))
    assert json.loads(server.requests[-1].body)["held_back"] == 5


@pytest.mark.parametrize(
    "bad", ["ftp://x/y", "no address", "http://", "http://a b/c", "http://[::1", "http://x:port/", "http://x:99999/"]
)
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(UsageError):
        address_of(bad)
    with pytest.raises(UsageError):
        split_command("'open")
    with pytest.raises(UsageError):
        split_command("a\0b")


def test_what_a_receiver_cannot_take_now_it_gets_later() -> None:
    with serving(text("", 503), text("", 429), text("ok")) as server:
        notifier = Notifier((Address(server.url, "json"),))
        assert notifier.tell(report(BAD)) == ["127.0.0.1 was not notified: HTTP 503; it will be tried again"]
        assert notifier.tell(report(BAD)) == []  # still away, which was said
        assert notifier.tell(report(BAD, UGLY)) == []
    titles = [json.loads(request.body)["finding"] for request in server.requests]
    assert titles == ["overfitting"] * 3 + ["nan_or_inf"]


def test_at_the_end_it_is_tried_a_few_times_more() -> None:
    waited: list[float] = []
    with serving(text("", 503)) as server:
        notifier = Notifier((Address(server.url, "json"),), sleep=waited.append)
        notifier.tell(report(BAD))
        assert notifier.finish() == ["127.0.0.1 never got 1 finding"]
    assert waited == [1.0, 2.0, 4.0]
    assert Notifier().finish() == []


def test_what_broke_is_told_whatever_was_told_before() -> None:
    with serving(document({})) as server:
        notifier = Notifier((Address(server.url, "json"),), clock=lambda: 0.0)
        for n in range(MOST + 3):
            notifier.tell(report(UGLY, name=f"run{n}"))
    assert len(server.requests) == MOST + 3


def test_a_receiver_that_drips_has_as_long_as_any(monkeypatch: pytest.MonkeyPatch) -> None:
    def drip(handler: Any, _: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-A: ")
        for _ in range(40):
            handler.wfile.write(b"a")
            handler.wfile.flush()
            time.sleep(0.1)

    monkeypatch.setattr("wandb_toolkit.notify._TIMEOUT", 0.5)
    began = time.monotonic()
    with serving(drip) as server:
        said = Notifier((Address(server.url, "json"),)).tell(report(BAD))
    assert said == ["127.0.0.1 was not notified: no whole answer within 0.5 s; it will be tried again"]
    assert time.monotonic() - began < 3
