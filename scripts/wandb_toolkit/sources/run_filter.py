"""`config.lr>=0.001 and summary.eval/accuracy>0.8 and not state==crashed`: a condition that runs meet, as text.

    either   = both ("or" both)*
    both     = one ("and" one)*
    one      = "not" one | "(" either ")" | field operator value | field "in" "(" value ("," value)* ")"
    operator = "==" | "=" | "!=" | "<" | "<=" | ">" | ">=" | "~"        ("~": a pattern with * and ?)
    field    = config.KEY | summary.KEY | name | id | state | group | job_type | sweep | tag | notes
               | created_at | duration | steps

A value that a run lacks meets no condition but "!=". Words may be quoted; numbers compare as numbers, and NaN equals
NaN.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from wandb_toolkit.errors import NotFoundError, UsageError, did_you_mean
from wandb_toolkit.model import Run
from wandb_toolkit.sources.wandb_log.records import leaves

ATTRIBUTES = ("name", "id", "state", "group", "job_type", "sweep", "tag", "notes", "created_at", "duration", "steps")
_TREES = {"config": "config", "summary": "summary", "summary_metrics": "summary"}
_TOKEN = re.compile(
    r"""\s*(?:(?P<quoted>"[^"]*"|'[^']*')|(?P<sign>==|!=|<=|>=|=|<|>|~|\(|\)|,)|(?P<word>[^\s()<>=!~,"']+))"""
)
_OPERATORS = ("==", "=", "!=", "<", "<=", ">", ">=", "~")
_DEEPEST = 50  # parentheses

Value: TypeAlias = "float | bool | str | None"


@dataclass(frozen=True)
class Compare:
    """One field beside one value, or several with "in"."""

    field: str  # "config.lr", "state", ...
    operator: str  # "==", "!=", "<", "<=", ">", ">=", "~", "in"
    values: tuple[Value, ...]

    def matches(self, run: Run) -> bool:
        """Return whether the run meets the condition."""
        found = value_of(run, self.field)
        several = found if isinstance(found, (list, tuple)) else [found]
        if self.operator == "!=":
            return not any(_equal(one, self.values[0]) for one in several)
        return any(self._holds(one) for one in several if one is not None or None in self.values)

    def _holds(self, one: object) -> bool:
        first = self.values[0]
        if self.operator in ("==", "in"):
            return any(_equal(one, value) for value in self.values)
        if self.operator == "~":
            return fnmatchcase(str(one), str(first))
        left, right = _comparable(one), _comparable(first)
        if left is None or right is None or isinstance(left, str) != isinstance(right, str):
            return False
        if self.operator in ("<", "<="):
            return left < right or (self.operator == "<=" and left == right)  # type: ignore[operator]
        return left > right or (self.operator == ">=" and left == right)  # type: ignore[operator]


@dataclass(frozen=True)
class Not:
    """The opposite of a condition."""

    part: Condition

    def matches(self, run: Run) -> bool:
        """Return whether the run does not meet the condition."""
        return not self.part.matches(run)


@dataclass(frozen=True)
class Several:
    """Conditions that all have to hold, or one of them."""

    all_of: bool
    parts: tuple[Condition, ...]

    def matches(self, run: Run) -> bool:
        """Return whether the run meets them."""
        return all(p.matches(run) for p in self.parts) if self.all_of else any(p.matches(run) for p in self.parts)


Condition: TypeAlias = Compare | Not | Several


@dataclass(frozen=True)
class RunFilter:
    """A condition with the text that it was read from."""

    text: str
    condition: Condition

    def matches(self, run: Run) -> bool:
        """Return whether the run meets the condition."""
        return self.condition.matches(run)

    @property
    def met_by_absence(self) -> bool:
        """Whether runs that lack a key may meet the condition, so that a mistyped key would go unseen."""
        return _met_by_absence(self.condition)

    def clauses(self) -> tuple[Condition, ...]:
        """Return the conditions that all have to hold."""
        both = isinstance(self.condition, Several) and self.condition.all_of
        return self.condition.parts if isinstance(self.condition, Several) and both else (self.condition,)

    def check(self, runs: Sequence[Run]) -> None:
        """Refuse a key that none of the runs has.

        Raises:
            NotFoundError: there is one; the hint has the nearest.
        """
        for field in dict.fromkeys(_fields(self.condition)):
            tree, _, key = field.partition(".")
            if tree not in _TREES or not runs:
                continue
            names = dict.fromkeys(name for run in runs for name, _ in leaves(dict(_tree(run, tree))))
            if key not in names and not any(name.startswith(f"{key}.") for name in names):
                known = [f"{tree}.{name}" for name in names if not name.startswith("_")]
                raise NotFoundError(f"--filter: no run has {field}.", did_you_mean(field, known, "key"))


def parse_filter(text: str) -> RunFilter:
    """Return the condition that a text means.

    Raises:
        UsageError: it means none; the hint shows where.
    """
    return RunFilter(text, _Parser(text).parse())


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens: list[tuple[str, str, int]] = []  # kind, text, place
        at = 0
        while at < len(text.rstrip()):
            match = _TOKEN.match(text, at)
            if not match or match.lastgroup is None:
                place = len(text) - len(text[at:].lstrip())
                quote = text[place] in "\"'"
                raise self._wrong("this quote is not closed" if quote else "cannot be read here", place)
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        self.at = 0
        self.depth = 0

    def parse(self) -> Condition:
        if not self.tokens:
            raise UsageError("--filter is blank.", "For example: --filter 'config.lr>=0.001 and state==finished'")
        found = self._either()
        if self.at < len(self.tokens):
            raise self._wrong("and, or or the end is expected", self.tokens[self.at][2])
        return found

    def _either(self) -> Condition:
        parts = [self._both()]
        while self._word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Several(False, tuple(parts))

    def _both(self) -> Condition:
        parts = [self._one()]
        while self._word("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else Several(True, tuple(parts))

    def _one(self) -> Condition:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise UsageError(f"--filter is nested deeper than {_DEEPEST}.")
        try:
            if self._word("not"):
                return Not(self._one())
            if self._sign("("):
                inner = self._either()
                if not self._sign(")"):
                    raise self._wrong("a closing parenthesis is missing", self._place())
                return inner
            return self._comparison()
        finally:
            self.depth -= 1

    def _comparison(self) -> Condition:
        place = self._place()
        kind, field = self._next("a field such as config.lr or state is expected")
        field = _checked_field(field[1:-1] if kind == "quoted" else field, self, place)
        if self._word("in"):
            if not self._sign("("):
                raise self._wrong("a list in parentheses is expected after in", self._place())
            values = [self._value(field)]
            while self._sign(","):
                values.append(self._value(field))
            if not self._sign(")"):
                raise self._wrong("a closing parenthesis is missing", self._place())
            return Compare(field, "in", tuple(values))
        place = self._place()
        kind, operator = self._next("an operator is expected: ==, !=, <, <=, >, >=, ~ or in")
        if kind != "sign" or operator not in _OPERATORS:
            raise self._wrong("an operator is expected: ==, !=, <, <=, >, >=, ~ or in", place)
        return Compare(field, "==" if operator == "=" else operator, (self._value(field),))

    def _value(self, field: str) -> Value:
        place = self._place()
        kind, text = self._next("a value is expected")
        if kind == "sign":
            raise self._wrong("a value is expected", place)
        if kind == "quoted":
            return text[1:-1]
        if field == "created_at":
            return _time(text, self, place)
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        if text.lower() in ("null", "none"):
            return None
        try:
            return float(text)
        except ValueError:
            return text

    def _next(self, expected: str) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise self._wrong(expected, len(self.text))
        kind, text, _ = self.tokens[self.at]
        self.at += 1
        return kind, text

    def _word(self, word: str) -> bool:
        return self._take("word", word)

    def _sign(self, sign: str) -> bool:
        return self._take("sign", sign)

    def _take(self, kind: str, text: str) -> bool:
        found = self.at < len(self.tokens) and self.tokens[self.at][0] == kind
        if found and self.tokens[self.at][1].lower() == text:
            self.at += 1
            return True
        return False

    def _place(self) -> int:
        return self.tokens[self.at][2] if self.at < len(self.tokens) else len(self.text)

    def _wrong(self, what: str, place: int) -> UsageError:
        return UsageError(f"--filter: {what}.", f"{self.text}\n{' ' * place}^")


def _checked_field(field: str, parser: _Parser, place: int) -> str:
    field = {"tags": "tag"}.get(field, field)
    tree, dot, key = field.partition(".")
    if tree in _TREES and dot and key:
        return f"{'summary' if tree == 'summary_metrics' else tree}.{key}"
    if field in ATTRIBUTES:
        return field
    error = parser._wrong(f"there is no field {field!r}", place)  # noqa: SLF001 - one module
    near = did_you_mean(field, [*ATTRIBUTES, "config.KEY", "summary.KEY"], "field")
    raise UsageError(error.message, f"{error.hint}\n{near}")


def _time(text: str, parser: _Parser, place: int) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise parser._wrong(f"{text!r} is no date such as 2026-01-31", place) from error  # noqa: SLF001 - one module
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def value_of(run: Run, field: str) -> Any:
    """Return what a run has for a field, None where it has none."""
    tree, _, key = field.partition(".")
    if tree in _TREES and key:
        values = _tree(run, tree)
        if key in values:
            return values[key]
        node: Any = values
        for part in key.split("."):
            node = node.get(part) if isinstance(node, Mapping) else None
        return node
    if field == "tag":
        return list(run.tags)
    if field == "created_at":
        return run.created_at.timestamp() if run.created_at else None
    return getattr(run, field)


def _tree(run: Run, tree: str) -> Mapping[str, Any]:
    return run.config if tree == "config" else run.summary


def _fields(condition: Condition) -> Iterator[str]:
    if isinstance(condition, Compare):
        yield condition.field
    else:
        for part in (condition.part,) if isinstance(condition, Not) else condition.parts:
            yield from _fields(part)


def _met_by_absence(condition: Condition) -> bool:
    if isinstance(condition, Compare):
        return condition.operator == "!="
    return isinstance(condition, Not) or any(map(_met_by_absence, condition.parts))


def _comparable(value: object) -> float | str | None:
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, (int, float)):
        return float(value)
    if not isinstance(value, str):
        return None
    try:
        return float(value)
    except ValueError:
        return value


def _equal(one: object, other: object) -> bool:
    if one is None or other is None or isinstance(one, bool) or isinstance(other, bool):
        return one is other or (isinstance(one, (bool, int)) and isinstance(other, bool) and one == other)
    left, right = _comparable(one), _comparable(other)
    if left != left and right != right:  # loss==NaN asks for the runs whose loss is no number
        return True
    return left == right and left is not None
