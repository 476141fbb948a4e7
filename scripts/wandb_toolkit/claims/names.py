"""Names of runs and metrics in plain text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from wandb_toolkit.configs import configurations_of, seeds_of
from wandb_toolkit.model import Run
from wandb_toolkit.roles import NO_METRIC, words_of

# Names that a sentence uses without meaning a run, and last parts of metrics that say nothing alone.
_WORDS = frozenset(
    ("run", "test", "train", "eval", "final", "best", "model", "loss", "accuracy", "debug", "seed", "baseline")
)
_VAGUE = frozenset(
    ("step", "epoch", "time", "mean", "std", "max", "min", "total", "count", "value", "size", "last", "best", "final")
)
_LETTERS = re.compile(r"[^\W_]+")
_SHORT = {"acc": "accuracy", "ppl": "perplexity", "lr": "learning rate", "val": "validation"}
_SEED_END = re.compile(r"[-_ ./]?(?:s|seed|run|rep|trial)?[-_ =]?\d+$", re.IGNORECASE)


@dataclass(frozen=True)
class Mention:
    """A name in a text: where it stands, and what it may mean."""

    start: int
    end: int
    text: str
    runs: tuple[Run, ...] = ()
    metrics: tuple[str, ...] = ()


class RunNames:
    """What runs are called: ids, names, groups, and what the names of a configuration's seeds share."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.runs = runs
        self._by: list[dict[str, list[Run]]] = [defaultdict(list) for _ in range(4)]
        for run in runs:
            self._by[0][run.id].append(run)
            self._by[1][run.name].append(run)
            if run.group:
                self._by[2][run.group].append(run)
        for members in self.families:
            stems = {_SEED_END.sub("", run.name) for run in members}
            if len(stems) == 1 and len(stem := stems.pop()) > 1:
                self._by[3][stem] += members

    @cached_property
    def families(self) -> list[list[Run]]:
        """The runs that differ in nothing but their seeds, two or more together."""
        found: dict[object, list[Run]] = defaultdict(list)
        known = configurations_of([(run.config, run.name) for run in self.runs])
        for run, same in zip(self.runs, known, strict=True):
            if same is not None and run.state != "running":
                found[run.entity, run.project, same].append(run)
        return [members for members in found.values() if len(members) > 1 and _seeded(members)]

    def siblings(self, run: Run) -> list[Run]:
        """Return the other seeds of a run's configuration."""
        family = next((members for members in self.families if any(one is run for one in members)), [])
        return [one for one in family if one is not run]

    def called(self, name: str) -> tuple[Run, ...]:
        """Return the runs that exactly this is the name of, () for none."""
        return next((tuple(names[name]) for names in self._by if name in names), ())

    def short(self, run: Run) -> str:
        """Return what a mark calls a run: its name where that means it alone, else its id."""
        return run.name if self.called(run.name) == (run,) else run.id

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        names = {name for by in self._by for name in by}
        told = [name for name in names if len(name) > 2 and not name.isdigit() and name.lower() not in _WORDS]
        return _any(told)

    def mentions(self, text: str, start: int, end: int) -> list[Mention]:
        """Return the runs that are named between two places."""
        found = self._pattern.finditer(text, start, end)
        return [Mention(one.start(), one.end(), one[0], self.called(one[0])) for one in found]


def _seeded(members: Sequence[Run]) -> bool:
    """Whether runs of one configuration were started from different seeds."""
    seeds = [seeds_of(run.config) for run in members]
    return all(seeds) and len({repr(sorted(one.items(), key=str)) for one in seeds}) == len(members)


class MetricNames:
    """What metrics are called: by their whole name, its words ("eval accuracy"), its last part ("accuracy")."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(dict.fromkeys(name for name in names if not NO_METRIC.match(name)))
        self._by_words: dict[str, list[str]] = defaultdict(list)
        for name in self.names:
            for phrase in phrases(name):
                self._by_words[phrase].append(name)

    def of_words(self, text: str) -> tuple[tuple[str, ...], bool]:
        """Return the metrics that a header or phrase may mean, and whether it is the whole name of the only one."""
        if text in self.names:
            return (text,), True
        words = words_of(re.sub(r"[()%↑↓]", " ", text))
        for spelling in dict.fromkeys((words, _long(words))):
            if spelling in self._by_words:
                found = tuple(self._by_words[spelling])
                return found, len(found) == 1 and words_of(found[0]) in (words, spelling)
        return (), False

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return _any(sorted(self._by_words, key=len, reverse=True), words=True)

    @cached_property
    def _whole(self) -> re.Pattern[str]:
        return _any(self.names)

    def mentions(self, text: str, start: int, end: int) -> list[Mention]:
        """Return the metrics that are named between two places; whole names first, then words."""
        found = [
            Mention(one.start(), one.end(), one[0], metrics=(one[0],)) for one in self._whole.finditer(text, start, end)
        ]
        spoken = re.sub(r"[/_.\-]", " ", text[start:end]).lower()
        for match in self._pattern.finditer(spoken):
            low, high = start + match.start(), start + match.end()
            if not any(one.start < high and low < one.end for one in found):
                words = " ".join(match[0].split())
                found.append(Mention(low, high, text[low:high], metrics=tuple(self._by_words[words])))
        return sorted(found, key=lambda one: one.start)


def phrases(metric: str) -> list[str]:
    """Return the words by which a text may speak of a metric: all of its name, and its last part."""
    whole = words_of(metric)
    tail = words_of(re.split(r"[/.]", metric)[-1])
    found = [whole, _long(whole)]
    if tail not in _VAGUE and len(tail) > 1:
        found += [tail, _long(tail)]
    return [phrase for phrase in dict.fromkeys(found) if phrase]


def _long(words: str) -> str:
    """Return words with abbreviations written out."""
    return " ".join(_SHORT.get(word, word) for word in words.split())


def _any(names: Sequence[str], *, words: bool = False) -> re.Pattern[str]:
    """Return a pattern of any of the names as whole words, the longest first."""
    ordered = sorted(names, key=lambda name: (-len(name), name))
    parts = [re.escape(name).replace(r"\ ", r"\s+") if words else re.escape(name) for name in ordered]
    return re.compile(rf"(?<![\w/.-])(?:{'|'.join(parts)})(?![\w/]|-\w|\.\w)" if parts else r"(?!)")


def known_in(text: str, metrics: Iterable[str], named: Mapping[str, object]) -> list[str]:
    """Return those of the metrics that a mark names or a text may speak of."""
    spoken = _bare(text)
    return [name for name in metrics if name in named or any(_bare(phrase) in spoken for phrase in phrases(name))]


def _bare(text: str) -> str:
    """Return the words and numbers of a text between single blanks."""
    return f" {' '.join(re.findall(_LETTERS, text.lower()))} "
