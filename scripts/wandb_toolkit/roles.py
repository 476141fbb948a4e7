"""Which metric plays which role, which way is better, and which metric runs are ranked by.

The knowledge is data: `roles.toml` beside this module holds the patterns, with the framework each comes from, and
explains their language. A user's own file of the same form is tried before it.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from wandb_toolkit.errors import NotFoundError, UsageError, did_you_mean
from wandb_toolkit.model import OBJECTIVES, Direction, Primary, RoleMatch

_BUILT_IN = Path(__file__).with_name("roles.toml")
_SECTIONS = ("direction", "primary")
# W&B's own keys, and what `watch()` logs, play no role.
NO_METRIC = re.compile(r"^(_|system[./]|gradients/|parameters/|graph_)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z][a-z])")
# What trainers call their own groups of metrics, which stay groups behind a wrapper's prefix.
_GROUPS = frozenset(
    ("rollout", "objective", "loss", "losses", "policy", "val", "charts", "env", "critic", "actor", "optim", "time")
)
_SEPARATORS = re.compile(r"[\s/_.\-:()\[\]]+")


_ASSUMED = "assumed: its name does not tell"


@dataclass(frozen=True)
class RolePattern:
    """One pattern of a role."""

    match: str  # as written in the file
    regex: re.Pattern[str]
    source: str  # framework
    sign: int = 1
    kind: str = ""
    given: tuple[re.Pattern[str], ...] = ()  # some metric of the run has to match one of these


@dataclass(frozen=True)
class DirectionRule:
    """One rule of which way is better."""

    regex: re.Pattern[str]
    direction: Direction
    why: str


@dataclass(frozen=True)
class Tier:
    """Metrics of one rank in the choice of the primary metric."""

    name: str
    patterns: tuple[str, ...]  # "[role]" stands for the role's patterns


@dataclass(frozen=True)
class RolePatterns:
    """All that a roles file says."""

    roles: Mapping[str, tuple[RolePattern, ...]]
    never: Mapping[str, tuple[re.Pattern[str], ...]]
    barred: Mapping[str, tuple[RolePattern, ...]] = field(default_factory=dict)
    rules: tuple[DirectionRule, ...] = ()
    words: Mapping[str, Direction] = field(default_factory=dict)
    tiers: tuple[Tier, ...] = ()
    _known: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict, repr=False, compare=False)

    def hits(self, words: str) -> tuple[tuple[str, int], ...]:
        """Return (role, place of the pattern) of all patterns that a key matches and no exception bars, in order.

        Kept, because the runs of a project share their keys.
        """
        if words not in self._known:
            # Most of a project's keys play no role (tens of thousands of layers'): one look for all patterns.
            known = (tuple(self._find(key)) for key in spellings(words) if _matches(self._any, key))
            self._known[words] = next((hits for hits in known if hits), ())
        return self._known[words]

    @cached_property
    def _any(self) -> re.Pattern[str]:
        """What matches a key that some pattern of some role matches."""
        return re.compile("|".join(one.regex.pattern for of in self.roles.values() for one in of) or r"(?!)")

    def _find(self, words: str) -> Iterator[tuple[str, int]]:
        for role, patterns in self.roles.items():
            barred: bool | None = None
            for place, pattern in enumerate(patterns):
                if not _matches(pattern.regex, words):
                    continue
                if "*" in pattern.match:  # a key spelt out is meant, whatever the exceptions say
                    if barred is None:
                        barred = any(_matches(regex, words) for regex in self.never.get(role, ()))
                    if barred:
                        continue
                yield role, place


def words_of(metric: str) -> str:
    """Return a key as the words that patterns are compared with: "train/gradNorm" is "train grad norm"."""
    return " ".join(_SEPARATORS.sub(" ", _CAMEL.sub(" ", metric)).lower().split())


def spellings(words: str) -> list[str]:
    """Return a key's words, and then without what wrappers add: a "train" in front, the index of the first agent.

    The Hugging Face Trainer and several TensorBoard folders put "train/" before a trainer's own groups; multi-agent
    trainers append the agent's number ("losses/entropy_0") or put it in the middle ("losses/0/entropy").
    """
    found = [words]
    parts = words.split()
    if len(parts) > 2 and parts[0] == "train" and parts[1] in _GROUPS:
        found.append(" ".join(parts[1:]))
    if len(parts) > 1 and "0" in parts[1:] and not any(part.isdigit() and part != "0" for part in parts):
        found.append(" ".join(part for part in parts if part != "0"))
    return found


@cache
def _compile(pattern: str) -> re.Pattern[str]:
    parts = []
    for token in pattern.split():
        if token == "**":  # noqa: S105 - a pattern's token
            parts.append(r"(?:\S+ )*")
            continue
        optional = token.endswith("?")
        choices = (re.escape(word).replace(r"\*", r"\S*") for word in token.removesuffix("?").lower().split("|"))
        parts.append(f"(?:(?:{'|'.join(choices)}) ){'?' if optional else ''}")
    return re.compile("".join(parts))


def _matches(regex: re.Pattern[str], words: str) -> bool:
    return regex.fullmatch(words + " ") is not None


def load_patterns(path: Path | None = None) -> RolePatterns:
    """Return the built-in patterns; those of a user's TOML file are tried before them.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is no roles file; the message says where.
    """
    built_in = _built_in()
    if path is None:
        return built_in
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"There is no roles file {path}") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"The roles file {path} cannot be read: {error}") from error
    known = [*built_in.roles, *_SECTIONS]
    unknown = [name for name in data if name not in known]
    if unknown:
        raise UsageError(
            f"The roles file {path} names no role: {unknown[0]!r}", did_you_mean(unknown[0], known, "role")
        )
    try:
        own = _parse(data)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        hint = 'A role is written as  [loss]  patterns = [{ match = "my loss", from = "my trainer" }]'
        raise UsageError(f"The roles file {path} is not in the form of roles.toml: {error!r}", hint) from error
    return RolePatterns(
        roles={role: (*own.roles.get(role, ()), *built_in.roles[role]) for role in built_in.roles},
        # What the user names outright must not fall to a built-in exception.
        never={
            r: own.never.get(r, ()) if own.roles.get(r) and r in own.never else built_in.never[r]
            for r in built_in.never
        },
        barred={role: (*own.barred.get(role, ()), *built_in.barred[role]) for role in built_in.roles},
        rules=(*own.rules, *built_in.rules),
        words={**built_in.words, **own.words},
        tiers=(*own.tiers, *built_in.tiers),
    )


@cache
def _built_in() -> RolePatterns:
    return _parse(tomllib.loads(_BUILT_IN.read_text(encoding="utf-8")))


def _parse(data: Mapping[str, Any]) -> RolePatterns:
    directions = data.get("direction", {})
    words: dict[str, Direction] = dict.fromkeys(directions.get("min", ()), "min")
    words.update(dict.fromkeys(directions.get("max", ()), "max"))
    roles = {name: section for name, section in data.items() if name not in _SECTIONS}
    never = {name: tuple(map(_compile, section.get("never", ()))) for name, section in roles.items()}
    if "primary" in data:
        never["primary"] = tuple(map(_compile, data["primary"].get("never", ())))
    return RolePatterns(
        roles={name: tuple(map(_pattern, section.get("patterns", ()))) for name, section in roles.items()},
        never=never,
        barred={name: tuple(map(_pattern, section.get("barred", ()))) for name, section in roles.items()},
        rules=tuple(
            DirectionRule(_compile(rule["match"]), rule["direction"], rule["why"])
            for rule in directions.get("rules", ())
        ),
        words=words,
        tiers=tuple(Tier(tier["name"], tuple(tier["patterns"])) for tier in data.get("primary", {}).get("tiers", ())),
    )


def _pattern(entry: Mapping[str, Any]) -> RolePattern:
    return RolePattern(
        match=entry["match"],
        regex=_compile(entry["match"]),
        source=entry.get("from", "your roles file"),
        sign=int(entry.get("sign", 1)),
        kind=entry.get("kind", ""),
        given=tuple(_compile(given) for given in entry.get("with", ())),
    )


ROLES: tuple[str, ...] = tuple(_built_in().roles)


def assign_roles(
    metrics: Iterable[str], overrides: Mapping[str, str] | None = None, patterns: RolePatterns | None = None
) -> dict[str, RoleMatch]:
    """Return which of a run's numeric metrics plays each role, and why; a role that none plays is absent.

    `overrides` maps roles to keys. An override that the run did not log leaves its role empty: a guess in its place
    would not be what was asked for.

    Raises:
        UsageError: an override for a role that does not exist.
    """
    book = patterns or _built_in()
    names = list(dict.fromkeys(metrics))
    words = {name: words_of(name) for name in names if not NO_METRIC.match(name)}
    by_place: dict[str, dict[int, list[str]]] = {}
    for name, key in words.items():
        for role, place in book.hits(key):
            by_place.setdefault(role, {}).setdefault(place, []).append(name)
    found: dict[str, RoleMatch] = {}
    for role in book.roles:
        match = _best(role, by_place.get(role, {}), words, book)
        if match:
            found[role] = match
    for role, metric in (overrides or {}).items():
        if role not in book.roles:
            raise UsageError(f"There is no role {role!r}.", did_you_mean(role, book.roles, "role"))
        found.pop(role, None)
        if metric in names:
            found[role] = _override(role, metric, words, book)
    return found


def _override(role: str, metric: str, words: Mapping[str, str], book: RolePatterns) -> RoleMatch:
    """Return the match that the user asked for, with the sign and kind that the patterns know for that very key."""
    for pattern in book.roles[role]:
        if _matches(pattern.regex, words_of(metric)) and _given(pattern, words):
            return RoleMatch(role, metric, "given by you", pattern.sign, pattern.kind)
    return RoleMatch(role, metric, "given by you")


def _given(pattern: RolePattern, words: Mapping[str, str]) -> bool:
    """Return whether the run logs what the pattern asks for beside its key."""
    return not pattern.given or any(
        _matches(regex, spelling) for regex in pattern.given for key in words.values() for spelling in spellings(key)
    )


def _best(role: str, places: Mapping[int, list[str]], words: Mapping[str, str], book: RolePatterns) -> RoleMatch | None:
    """Return the match of the first pattern that some metric matches; of several metrics, the shortest."""
    for place in sorted(places):
        pattern, names = book.roles[role][place], places[place]
        for barred in book.barred.get(role, ()):
            if _given(barred, words):
                names = [name for name in names if not _matches(barred.regex, words[name])]
        if names and _given(pattern, words):
            chosen = min(names, key=lambda name: (len(words[name]), name))
            others = f", of {len(names)} that match" if len(names) > 1 else ""
            return RoleMatch(role, chosen, f'"{pattern.match}" ({pattern.source}){others}', pattern.sign, pattern.kind)
    return None


def direction_of(metric: str, patterns: RolePatterns | None = None) -> tuple[Direction, str]:
    """Return whether more ("max") or less ("min") of a metric is better, and the rule that decided it."""
    book = patterns or _built_in()
    key = words_of(metric)
    for rule in book.rules:
        if _matches(rule.regex, key):
            return rule.direction, f"{metric} names {rule.why}"
    for word in reversed(key.split()):
        stem = word.partition("@")[0]
        if stem in book.words:
            direction = book.words[stem]
            return direction, f'"{stem}": {"higher" if direction == "max" else "lower"} is better'
    return "max", _ASSUMED


def choose_primary(
    runs: Sequence[Collection[str]], override: str | None = None, patterns: RolePatterns | None = None
) -> Primary | None:
    """Return the metric to rank runs by, given each run's numeric metrics; None where nothing is fit for it.

    The best tier (see `roles.toml`) that more than half of the runs share decides; where none is shared so widely, the
    metric that most of them have.
    """
    book = patterns or _built_in()
    if override:
        direction, rule = direction_of(override, book)
        return Primary(override, direction, f"given by you; {rule}")
    counts = Counter(name for metrics in runs for name in set(metrics) if not NO_METRIC.match(name))
    ranked = _candidates(counts, book)
    if not ranked:
        return None
    total = sum(1 for metrics in runs if metrics)
    shared = [c for c in ranked if counts[c[1]] * 2 > total]
    pool = shared or [c for c in ranked if counts[c[1]] == max(counts[other[1]] for other in ranked)]
    best = min(pool, key=lambda c: (c[0][0], -counts[c[1]], c[0][1], len(c[1]), c[1]))
    direction, rule = direction_of(best[1], book)
    if rule == _ASSUMED and any(role in ("loss", "eval_loss") for role, _ in book.hits(words_of(best[1]))):
        direction, rule = "min", "a loss: lower is better"
    have = "all runs have it" if counts[best[1]] == total else f"{counts[best[1]]} of {total} runs have it"
    why = book.tiers[best[0][0]].name + (f", {have}" if total > 1 else "")
    return Primary(best[1], direction, f"{why}; {rule}")


def _candidates(counts: Mapping[str, int], book: RolePatterns) -> list[tuple[tuple[int, int], str]]:
    """Return (tier, place within the tier) of every metric that has one."""
    found = []
    words = {name: words_of(name) for name in counts}
    for name, key in words.items():
        barred = any(_matches(regex, key) for regex in book.never.get("primary", ()))
        rank = None if barred or _is_objective(key, words, book) else _rank(key, book)
        if rank:
            found.append((rank, name))
    return found


def _is_objective(key: str, words: Mapping[str, str], book: RolePatterns) -> bool:
    """Return whether the key is a policy's objective, whose level says nothing of how good the policy is."""
    places = sorted(place for role, place in book.hits(key) if role == "loss")
    fitting = (book.roles["loss"][place] for place in places)
    first = next((pattern for pattern in fitting if _given(pattern, words)), None)
    return first is not None and first.kind in OBJECTIVES


def _rank(key: str, book: RolePatterns) -> tuple[int, int] | None:
    """Return the first tier, and the place within it, that has a pattern for the key."""
    by_role = dict(reversed(book.hits(key)))  # the first place of each role
    for rank, tier in enumerate(book.tiers):
        for place, pattern in enumerate(tier.patterns):
            role = pattern[1:-1] if pattern.startswith("[") else None
            if role in by_role:
                return rank, place * 1000 + by_role[role]
            if role is None and _matches(_compile(pattern), key):
                return rank, place * 1000
    return None
