"""Claims as a YAML list: ``- {run: base-s1, metric: eval/accuracy, statistic: best, value: 92.3%}``.

The list is the document, or stands under `claims` beside `target`. `std` is a spread, `seeds` how many runs it is over.
JSON is YAML, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wandb_toolkit.claims.claim import Claim, Number, said_statistic
from wandb_toolkit.claims.numbers import numbers_in
from wandb_toolkit.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    import yaml

_KEYS = ("run", "metric", "statistic", "stat", "value", "std", "seeds", "step", "where")
_EXAMPLE = "Write a list such as  - {run: RUN, metric: METRIC, statistic: best, value: 92.3%}"
MOST = 100_000  # characters


@dataclass(frozen=True)
class Listed:
    """What a file of claims holds."""

    target: str | None
    claims: tuple[Claim, ...]


def read_list(raw: str) -> Listed:
    """Return the claims of a YAML text.

    Raises:
        UsageError: it is not YAML, or no list of claims; the message says where.
    """
    import yaml

    if len(raw) > MOST:
        raise UsageError(f"A list of claims has at most {MOST:,} characters.")
    try:
        node = yaml.compose(raw, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise UsageError(f"The list of claims is not YAML{line}.", _EXAMPLE) from error
    target = None
    if isinstance(node, yaml.MappingNode):
        parts = {key.value: value for key, value in node.value if isinstance(key.value, str)}
        known = parts.get("target")
        target = known.value if isinstance(known, yaml.ScalarNode) else None
        node = parts.get("claims")
    if not isinstance(node, yaml.SequenceNode):
        raise UsageError("There is no list of claims.", _EXAMPLE)
    return Listed(target, tuple(_claim(item) for item in node.value))


def _claim(node: yaml.Node) -> Claim:
    line = node.start_mark.line + 1
    found = _fields(node)
    if found is None:
        raise UsageError(f"The claim at line {line} is not a mapping of words.", _EXAMPLE)
    unknown = [key for key in found if key not in _KEYS]
    missing = [key for key in ("run", "metric", "value") if not found.get(key)]
    if unknown or missing:
        what = f"no {missing[0]}" if missing else f"an unknown key {unknown[0]!r}"
        raise UsageError(f"The claim at line {line} has {what}.", did_you_mean((unknown or missing)[0], _KEYS, "key"))
    word = found.get("statistic") or found.get("stat") or ""
    statistic = said_statistic(word)
    if word and statistic is None:
        raise UsageError(f"The claim at line {line} asks for {word!r}.", "best, last, min, max or mean.")
    number = _number(found["value"], found.get("std"), line)
    return Claim(
        number=number,
        line=line,
        column=node.start_mark.column + 1,
        place=node.end_mark.index,
        how="list",
        run=found["run"],
        metrics=(found["metric"],),
        statistic=statistic,
        step=_plain(found.get("step"), "step", line),
        seeds=int(_plain(found.get("seeds"), "seeds", line) or 0) or None,
        names_run="seeds" not in found,
    )


def _fields(node: yaml.Node) -> dict[str, str] | None:
    import yaml

    if not isinstance(node, yaml.MappingNode):
        return None
    result = {}
    for key, value in node.value:
        text = _text(value)
        if not isinstance(key, yaml.ScalarNode) or text is None:
            return None
        result[key.value] = text
    return result


def _text(node: yaml.Node) -> str | None:
    """Return a scalar's text; several runs may be a list."""
    value: Any = node.value
    if isinstance(value, str):
        return value.strip()
    parts: Sequence[Any] = value if isinstance(value, list) and not isinstance(value, Mapping) else ()
    texts = [text for part in parts if isinstance(text := getattr(part, "value", None), str)]
    return ",".join(texts) if texts and len(texts) == len(parts) else None


def _number(text: str, std: str | None, line: int) -> Number:
    numbers = numbers_in(text)
    spreads = numbers_in(std) if std else []
    if len(numbers) != 1 or (std and len(spreads) != 1):
        raise UsageError(f"The claim at line {line} has the value {text!r}, which is not a number.", _EXAMPLE)
    return (
        replace(numbers[0], spread=replace(spreads[0], unit=spreads[0].unit or numbers[0].unit)) if std else numbers[0]
    )


def _plain(text: str | None, what: str, line: int) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 2**53:
        raise UsageError(f"The claim at line {line} has {what} {text!r}, which is not a count.")
    return value
