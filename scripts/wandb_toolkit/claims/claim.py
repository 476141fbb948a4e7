"""What a text claims, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from wandb_toolkit.model import Run

Statistic = Literal["last", "best", "min", "max", "mean"]
STATISTICS: tuple[Statistic, ...] = get_args(Statistic)
SPELLINGS: dict[str, Statistic] = {
    **{name: name for name in STATISTICS},
    "final": "last", "end": "last", "peak": "best", "highest": "max", "maximum": "max", "lowest": "min",
    "minimum": "min", "average": "mean", "avg": "mean",
}  # fmt: skip
How = Literal["mark", "table", "list", "prose"]
Verdict = Literal[
    "confirmed", "rounded_too_far", "best_as_final", "one_seed", "differs", "not_in_any_run", "not_decidable"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
WRONG: frozenset[Verdict] = frozenset(VERDICTS) - {"confirmed", "not_decidable"}
TITLES: dict[Verdict, str] = {
    "confirmed": "confirmed",
    "rounded_too_far": "rounded too far",
    "best_as_final": "best given as final",
    "one_seed": "one seed given as a result",
    "differs": "the runs say otherwise",
    "not_in_any_run": "not in any run",
    "not_decidable": "not decidable",
}


@dataclass(frozen=True)
class Number:
    """A number as written. `value`, `half` are in the written unit, powers of ten and k, M, B worked out."""

    text: str
    value: float
    half: float  # half a unit of the last digit written
    digits: int  # significant ones
    start: int  # where it stands in the plain text
    end: int
    unit: str = ""  # "%", "ms", "GB", ...
    loose: float = 0.0  # the same of its last digit but zeros, where closing zeros may be no digits: 500 for 12,000
    padding: float = 0.0  # the half unit of its digits without closing zeros: "0.930" also is 0.93; 0: it has none
    bound: str = ""  # "<" or ">" where it is a bound, "~" where it is said to be about right
    spread: Number | None = None  # what follows a ±


@dataclass(frozen=True)
class Claim:
    """A number, and what it is said to be."""

    number: Number
    line: int  # 1 is the first
    column: int
    place: int  # where a mark would be put into the file: behind the number
    how: How
    run: str  # selector or name, as written
    metrics: tuple[str, ...]  # as written in a mark; otherwise the metrics that may be meant
    statistic: Statistic | None = None  # None: not said
    step: float | None = None  # the value at a training step
    seeds: int | None = None  # how many the text speaks of
    names_run: bool = True  # the text says which run it is, so that nobody takes it for more than that run
    around: str = ""  # of a mark: the sentence or row that its number stands in
    sure: bool = True  # run and metric are as named by the writer, so that another number is wrong
    strict: bool = False  # found in a sentence of one run, one metric and one number
    problem: str = ""  # why it cannot be judged: a mark that cannot be read, a run that is not there
    runs: tuple[Run, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict. `actual` is in the unit in which the run logged."""

    claim: Claim
    verdict: Verdict
    reason: str  # one sentence for people
    metric: str | None = None
    statistic: Statistic | None = None  # that which was compared
    actual: float | None = None  # what the runs say; a mean over several
    spread: float | None = None  # standard deviation (sample) over several runs
    step: float | None = None  # on `step_metric`; None: several runs, or no step
    step_metric: str | None = None
    log_step: int | None = None
    seeds: int = 0  # runs that it was compared with
    runs: Sequence[Run] = ()

    @property
    def wrong(self) -> bool:
        """Whether the runs contradict the text."""
        return self.verdict in WRONG


def said_statistic(word: str) -> Statistic | None:
    """Return the statistic that a word names."""
    return SPELLINGS.get(word.lower())
