"""Claims that nobody marked: in tables with runs and metrics, in sentences that name both."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from wandb_toolkit.claims.claim import SPELLINGS, Claim, Number, Statistic
from wandb_toolkit.claims.names import Mention, MetricNames, RunNames
from wandb_toolkit.claims.numbers import counts, numbers_in, seeds_said
from wandb_toolkit.claims.plain import Plain
from wandb_toolkit.claims.tables import Cell, Table

_RUN_HEADS = frozenset(("run", "runs", "run id", "run name", "wandb run", "w&b run", "run(s)"))
_LAST = re.compile(
    r"\b(?:final(?:ly)?|last|end(?:s|ed|ing)?\s+(?:at|with|up)|at the end|finish(?:es|ed)?\s+(?:at|with))\b", re.I
)
# What a sentence says that gives a number as a run's or configuration's result.
_REPORTS = re.compile(
    r"\b(?:reach(?:es)?|achieves?|attains?|obtains?|gets?(?:\s+to)?|scores?|yields?|ends?|finish(?:es)?|has|have|is|are)\b",
    re.IGNORECASE,
)
_ENDS = re.compile(r"\b(?:end(?:s|ing)?|finish(?:es|ing)?)\s+(?:up\s+)?(?:at|with)\b", re.IGNORECASE)
_BEST = re.compile(r"\b(?:best|peaks?|peaked|top|highest|up to|at most|maximum|max)\b", re.IGNORECASE)
_LEAST = re.compile(r"\b(?:lowest|minimum|min)\b", re.IGNORECASE)
LONGEST = 3000  # characters of a sentence
_SEED = re.compile(r"\b(?:seeds?|runs?)\b", re.IGNORECASE)
# What a sentence compares with, or sets, rather than reports.
_OTHER = re.compile(
    r"\b(?:target|threshold|goal|chance|baseline of|expected?|should|would|could|want|aim|hope|until|unless|if|"
    r"reported|paper|published|learning rate|lr|weight decay|dropout|clip|beta|temperature|differen\w*|gap|margin|"
    r"gain\w*|improve\w*|points?|more|less|better|worse|increase\w*|decrease\w*|drop\w*|from|between|range|not|"
    r"never|no longer|select\w*|checkpoint\w*|early|chosen|chose|pick\w*|model|example|such as|some|any|each|every|one|"
    r"first|median|worst|illustrat\w*|show\w*|fig(?:ure)?|plot\w*|previous\w*|old|earlier|was|were|had|so far)\b"
    r"|n't\b|\be\.g\.",
    re.IGNORECASE,
)


def in_tables(
    text: Plain, tables: Sequence[Table], runs: RunNames, metrics: MetricNames, skip: set[int]
) -> Iterator[Claim]:
    """Yield the claims of tables with a column of runs (or of metrics, with a run for each column)."""
    for table in tables:
        found = list(_by_rows(text, table, runs, metrics, skip))
        if not found:
            width = max(map(len, table.rows))
            turned = [tuple(row[at] for row in table.rows if at < len(row)) for at in range(width)]
            found = list(_by_rows(text, Table(tuple(turned)), runs, metrics, skip))
        yield from found


def _by_rows(text: Plain, table: Table, runs: RunNames, metrics: MetricNames, skip: set[int]) -> Iterator[Claim]:
    rows = [row for row in table.rows if row]
    if len(rows) < 2:
        return
    heads = [{at: _head(cell.text, metrics) for at, cell in enumerate(row)} for row in rows[:3]]
    head = next((at for at, known in enumerate(heads) if any(names for names, _, _ in known.values())), None)
    if head is None:
        return
    column, explicit = _run_column(rows, head, runs)
    if column is None:
        return
    above = ""
    for row in rows[head + 1 :]:
        if column >= len(row):
            continue
        name = row[column].text or above
        above = name if row[column].tall else ""
        called = runs.called(name)
        if not name or (not called and not explicit):
            continue
        for at, cell in enumerate(row):
            names, whole, statistic = heads[head].get(at, ((), False, None))
            number = _only_number(text, cell)
            if at == column or not names or number is None or cell.line in skip:
                continue
            yield _claim(
                text, number, "table", name, called, names, statistic,
                sure=whole, seeds=seeds_said(cell.text), missing=not called,
                strict=len(names) == 1 and number.digits >= 3,
            )  # fmt: skip


def _head(head: str, metrics: MetricNames) -> tuple[tuple[str, ...], bool, Statistic | None]:
    """Return the metrics that a header names, whether by its whole name, and the statistic that it asks for."""
    found, whole = metrics.of_words(head)
    if found:
        return found, whole, None
    words = re.split(r"[\s(),:]+", head)
    statistic = next((SPELLINGS[word.lower()] for word in words if word.lower() in SPELLINGS), None)
    rest = " ".join(word for word in words if word.lower() not in SPELLINGS)
    found, whole = metrics.of_words(rest.strip()) if rest.strip() else ((), False)
    return found, whole, statistic if statistic != "mean" else None


def _run_column(rows: Sequence[tuple[Cell, ...]], head: int, runs: RunNames) -> tuple[int | None, bool]:
    """Return the column of runs, and whether its header says that it is one."""
    for at, cell in enumerate(rows[head]):
        if cell.text.lower() in _RUN_HEADS:
            return at, True
    for at in range(len(rows[head])):
        cells = [row[at].text for row in rows[head + 1 :] if at < len(row)]
        if any(runs.called(cell) for cell in cells):
            return at, False
    return None, False


def _only_number(text: Plain, cell: Cell) -> Number | None:
    """Return the number of a cell that holds one and nothing else to speak of."""
    numbers = [one for one in numbers_in(text.text, cell.start, cell.end) if not counts(one, text.text)]
    if len(numbers) != 1:
        return None
    rest = text.text[cell.start : numbers[0].start] + text.text[numbers[0].end : cell.end]
    return numbers[0] if not re.search(r"[A-Za-z]{3,}", re.sub(r"\bseeds?\b", "", rest)) else None


def in_prose(
    text: Plain, tables: Sequence[Table], runs: RunNames, metrics: MetricNames, skip: set[int]
) -> Iterator[Claim]:
    """Yield the claims of sentences that name a run and a metric beside a number."""
    inside = [(row[0].start, row[-1].end) for table in tables for row in table.rows if row]
    start = 0
    for end in [*text.sentences, len(text.text)]:
        if end - start <= LONGEST and not any(low < end and start < high for low, high in inside):
            yield from _of_sentence(text, start, end, runs, metrics, skip)
        start = end


def _of_sentence(
    text: Plain, start: int, end: int, runs: RunNames, metrics: MetricNames, skip: set[int]
) -> Iterator[Claim]:
    numbers = [one for one in numbers_in(text.text, start, end) if _may_be_value(one, text.text)]
    named = runs.mentions(text.text, start, end) if numbers else []
    spoken = metrics.mentions(text.text, start, end) if named else []
    spoken = [one for one in spoken if not _meets(one, named)]
    numbers = [one for one in numbers if not any(m.start < one.end and one.start < m.end for m in (*named, *spoken))]
    if not named or not spoken:
        return
    sentence = text.text[start:end]
    alone = len(numbers) == 1 and len({m.text for m in named}) == 1 and len({m.metrics for m in spoken}) == 1
    for number in numbers:
        if text.line_of(text.at[number.start]) in skip:
            continue
        run, metric = _nearest(named, number), _nearest(spoken, number)
        statistic = _statistic(sentence) if alone else None
        strict = alone and number.digits >= 3 and not number.bound and len(metric.metrics) == 1
        strict = strict and _REPORTS.search(sentence) is not None and not _OTHER.search(sentence)
        strict = strict and (statistic != "last" or _ends(text.text, sentence, metric))
        yield _claim(
            text, number, "prose", run.text, run.runs, metric.metrics, statistic,
            sure=False, strict=strict, seeds=seeds_said(sentence),
            names_run=len(run.runs) == 1 or _SEED.search(sentence) is not None or _BEST.search(sentence) is not None,
        )  # fmt: skip


def _ends(text: str, sentence: str, metric: Mention) -> bool:
    """Whether a sentence says that this metric ends there: "ends at", "final accuracy"; a final model may be any."""
    return bool(_ENDS.search(sentence) or re.search(r"\b(?:final|last)\s+$", text[: metric.start][-12:], re.IGNORECASE))


def _may_be_value(number: Number, text: str) -> bool:
    """Whether a number may be a metric's value: written with a point, as a percentage, with a ±."""
    written = "." in number.text or "e-" in number.text or number.unit == "%" or number.spread is not None
    return written and not counts(number, text)


def _meets(mention: Mention, others: Sequence[Mention]) -> bool:
    return any(one.start < mention.end and mention.start < one.end for one in others)


def _nearest(mentions: Sequence[Mention], number: Number) -> Mention:
    """Return the last mention before the number, else the first behind it."""
    before = [one for one in mentions if one.end <= number.start]
    return before[-1] if before else mentions[0]


def _statistic(sentence: str) -> Statistic | None:
    """Return the statistic that a sentence speaks of, None for none or for several."""
    said: list[Statistic] = []
    said += ["last"] if _LAST.search(sentence) else []
    said += ["best"] if _BEST.search(sentence) else []
    said += ["min"] if _LEAST.search(sentence) else []
    return said[0] if len(said) == 1 else None


def _claim(
    text: Plain, number: Number, how: str, run: str, called: Sequence[object], names: tuple[str, ...],
    statistic: Statistic | None, *, sure: bool, seeds: int | None, missing: bool = False, strict: bool = False,
    names_run: bool = True,
) -> Claim:  # fmt: skip
    at = text.at[number.start]
    return Claim(
        number=number, line=text.line_of(at), column=text.column_of(at), place=text.behind(number.end),
        how="table" if how == "table" else "prose", run=run, metrics=names, statistic=statistic, seeds=seeds,
        sure=sure, strict=strict, names_run=names_run, runs=tuple(called),  # type: ignore[arg-type]
        problem=f"no run is called {run!r}." if missing else "",
    )  # fmt: skip
