"""Text for people: strangers' names made safe to show, numbers and times as people write them, parts of sentences."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import takewhile

from wandb_toolkit.model import Run

# ANSI escapes first (CSI, OSC, and two-byte ones), so that their printable tails go with them.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_UNSAFE_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def clean(text: object, limit: int | None = None) -> str:
    """Return `text` on one line without control, bidirectional and zero-width characters, cut to `limit` with "…"."""
    plain = _ESCAPES.sub("", str(text))
    if not plain.isascii() or not plain.isprintable():
        plain = "".join(
            " " if char in "\n\r\t" else "" if unicodedata.category(char) in _UNSAFE_CATEGORIES else char
            for char in plain
        )
    plain = plain.strip()
    if limit is not None and len(plain) > limit:
        return plain[: max(limit - 1, 0)] + "…"
    return plain


def number(value: object, digits: int = 4) -> str:
    """Return a value for a table: 4 significant digits, thousands kept readable, NaN and infinities named."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else f"{value:.{digits - 1}e}"
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        if value.is_integer() and abs(value) < 10**6:
            return str(int(value))
        return f"{value:.{digits}g}"
    return clean(value, 40)


def duration(seconds: float | None) -> str:
    """Return a duration in its two largest units: "3d 4h", "5m 12s"."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return ""
    if seconds < 10:
        return f"{seconds:.1f}s"
    left = round(seconds)
    parts = [(left // 86400, "d"), (left // 3600 % 24, "h"), (left // 60 % 60, "m"), (left % 60, "s")]
    while len(parts) > 1 and parts[0][0] == 0:
        parts.pop(0)
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count or unit == parts[0][1])


def moment(when: datetime | None) -> str:
    """Return a UTC time to the minute, "" where there is none."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M}" if when else ""


def size(count: float) -> str:
    """Return a number of bytes as people write it: "1.2 MB"."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def plural(count: int, noun: str) -> str:
    """Return "1 run", "2 runs"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def spent(cost: str, amount: float) -> str:
    """Return what a run spent ("step", "time" or "tokens") in words: "1,200 steps", "5m 12s", "1.2M tokens"."""
    if cost == "time":
        return duration(amount)
    if cost == "tokens":
        large, unit = next(((s, u) for s, u in ((1e9, "B"), (1e6, "M"), (1e3, "k")) if amount >= s), (1.0, ""))
        return f"{number(amount / large, 3)}{unit} tokens"
    return f"{amount:,.0f} steps"


def quoted(name: object, limit: int = 60) -> str:
    """Return a stranger's name as a code span, so that nothing in it is taken for Markdown."""
    return f"`{clean(name, limit).replace('`', chr(39)) or '?'}`"


def listed(names: Sequence[str], limit: int = 4) -> str:
    """Return "`a`, `b` and `c`", or the first `limit` names and how many more there are."""
    shown = [quoted(name) for name in names[:limit]]
    left = len(names) - len(shown)
    if left:
        return f"{', '.join(shown)} and {left} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def short_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run that tells it from the others: display name, with the id where names repeat.

    And with the project where ids repeat, too.
    """
    seen = Counter(run.name for run in runs)
    names = [run.label if seen[run.name] > 1 else run.name for run in runs]
    again = Counter(names)
    return [f"{name} of {run.project}" if again[name] > 1 else name for name, run in zip(names, runs, strict=True)]


def fitting_names(names: Sequence[str], width: int) -> list[str]:
    """Return the names, cut in the middle to `width` characters where they are longer, and still told apart.

    What long names share at their start is left out first, then at their end; equal ones get a number.
    """
    long = [name for name in names if len(name) > width]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*long, strict=False))
    lead = sum(1 for _ in same) if len(long) > 1 else 0
    shown = [f"…{name[lead:]}" if len(name) > width and lead > 8 else name for name in names]
    half = width // 2
    shown = [name if len(name) <= width else f"{name[:half]}…{name[half + 1 - width :]}" for name in shown]
    seen = Counter(shown)
    numbers: Counter[str] = Counter()
    result = []
    for name in shown:
        numbers[name] += 1
        result.append(f"{name} #{numbers[name]}" if seen[name] > 1 else name)
    return result


def sentence(text: str) -> str:
    """Return the text ending in one full stop, unless it already ends a sentence."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."


def among(judged: int, left_out: int, *, ranked: bool) -> str:
    """Return which runs were read, where some were left out: the newest, or some of all that were `ranked`."""
    return f"the {judged} runs read of {judged + left_out:,}" if ranked else f"the newest {judged} runs"
