"""A file's claims: read, looked up in a source of runs, judged."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import numpy as np

from wandb_toolkit.claims.claim import Claim, Judged, Verdict
from wandb_toolkit.claims.document import Document
from wandb_toolkit.claims.found import in_prose, in_tables
from wandb_toolkit.claims.judge import judge
from wandb_toolkit.claims.marks import ignored_lines, says
from wandb_toolkit.claims.names import MetricNames, RunNames, known_in
from wandb_toolkit.claims.tables import tables_of
from wandb_toolkit.claims.values import Logged
from wandb_toolkit.configs import flatten, is_number
from wandb_toolkit.errors import NotFoundError, ToolkitError, UsageError, nearest
from wandb_toolkit.model import History, MetricKind, RoleMatch, Run, Series
from wandb_toolkit.reports.read import STEPS
from wandb_toolkit.reports.steps import step_axis
from wandb_toolkit.sources.base import RunQuery, Source

MOST_RUNS = 1000  # of the newest, whose names are looked for in a text
MOST_SEEDS = 20  # of a configuration, that are read beside a run
MOST_OTHERS = 50  # runs in which a number is looked for that its own run does not have
Reading: TypeAlias = "Iterable[tuple[Run, History | ToolkitError]]"


@dataclass(frozen=True, eq=False)
class Checked:
    """The claims of a file in its order, each judged."""

    claims: tuple[Judged, ...]
    failed: tuple[tuple[Run, ToolkitError], ...] = ()
    warnings: tuple[str, ...] = ()
    names: RunNames | None = None

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many claims have each verdict."""
        return Counter(one.verdict for one in self.claims)

    @property
    def verdict(self) -> str:
        """ "wrong", "undecided" (a mark or a list says so much), "none" (nothing to check), "confirmed"."""
        if any(one.wrong for one in self.claims):
            return "wrong"
        if any(one.verdict == "not_decidable" and one.claim.how in ("mark", "list") for one in self.claims):
            return "undecided"
        return "confirmed" if any(one.verdict == "confirmed" for one in self.claims) else "none"


@dataclass(eq=False)
class _Library:
    """What was read of runs, by their ids."""

    source: Source
    shown: Callable[[Reading, int], Reading]
    histories: dict[int, History] = field(default_factory=dict)
    failed: dict[int, tuple[Run, ToolkitError]] = field(default_factory=dict)

    def read(self, runs: Sequence[Run], choose: Callable[[Mapping[str, MetricKind]], Sequence[str]]) -> None:
        wanted = [run for run in _once(runs) if id(run) not in self.histories and id(run) not in self.failed]
        found = self.shown(self.source.histories(wanted, choose), len(wanted)) if wanted else ()
        for run, (_, history) in zip(wanted, found, strict=False):
            if isinstance(history, ToolkitError):
                self.failed[id(run)] = run, history
            else:
                self.histories[id(run)] = history

    def logged(self, run: Run, metric: str) -> Logged | None:
        """Return a run's metric, from its history, else from its summary."""
        history = self.histories.get(id(run))
        if history is None:
            return None
        series = history.get(metric)
        if series is not None and len(series):
            return Logged(run, series, step_axis(run, history, {metric: RoleMatch(metric, metric, "")}))
        value = flatten(run.summary).get(metric)
        if isinstance(value, (int, float)):
            return Logged(run, Series(metric, np.zeros(1), np.array([float(value)])), in_summary=True)
        return None


def _once(runs: Iterable[Run]) -> list[Run]:
    """Return the runs without repeats."""
    return list({id(run): run for run in runs}.values())


def check(
    document: Document,
    source: Source,
    selectors: Sequence[str] = (),
    shown: Callable[[Reading, int], Reading] | None = None,
) -> Checked:
    """Return a file's claims, judged by the runs of a source.

    Args:
        document: the file.
        source: where the runs are.
        selectors: which of its runs may be meant; (): all.
        shown: passes on what is read of so many runs, and may show how far reading is.

    Raises:
        ToolkitError: the runs cannot be listed.
    """
    query = RunQuery(selectors=tuple(selectors), limit=None if selectors else MOST_RUNS)
    runs = source.loaded(source.runs(query))
    names = RunNames(runs)
    warnings = []
    if not selectors and (total := source.count(query)) > len(runs):
        warnings.append(f"names of runs are looked for among the newest {len(runs):,} of {total:,}")
    given = [_with_runs(claim, names, source) for claim in document.claims]
    meant = _mentioned(document, names)
    siblings = {id(run): names.siblings(run)[:MOST_SEEDS] for claim in given for run in claim.runs}
    first = [
        *(run for claim in given for run in claim.runs),
        *meant,
        *(one for some in siblings.values() for one in some),
    ]
    chooser = _Chooser(document, frozenset(m for claim in given for m in claim.metrics), _axes(runs))
    library = _Library(source, shown or (lambda found, _: found))
    library.read(first, chooser)
    found = _unmarked(document, names, library, meant)
    claims = sorted([*given, *found], key=lambda claim: (claim.line, claim.column))
    judged = [_judged(claim, library, siblings) for claim in claims]
    if others := [at for at, one in enumerate(judged) if one.verdict == "not_in_any_run"]:
        library.read(runs[:MOST_OTHERS], chooser)
        rest = runs[:MOST_OTHERS]
        for at in others:
            judged[at] = _judged(claims[at], library, siblings, rest)
    return Checked(tuple(judged), tuple(library.failed.values()), tuple(warnings), names)


def _axes(runs: Sequence[Run]) -> frozenset[str]:
    return frozenset({*STEPS, *(axis for run in runs for axis in run.step_metrics.values())} - {"_step"})


@dataclass(frozen=True)
class _Chooser:
    """Chooses which metrics to read of a run: those that claims name, and those that the text may speak of."""

    document: Document
    named: frozenset[str]
    axes: frozenset[str]
    known: dict[tuple[str, ...], list[str]] = field(default_factory=dict)

    def __call__(self, kinds: Mapping[str, MetricKind]) -> list[str]:
        names = tuple(name for name, kind in kinds.items() if kind == "number")
        if names not in self.known:
            text = self.document.text.text if self.document.text else ""
            chosen = known_in(text, names, dict.fromkeys(self.named))
            self.known[names] = [*chosen, *(name for name in names if name in self.axes and name not in chosen)]
        return self.known[names]


def _with_runs(claim: Claim, names: RunNames, source: Source) -> Claim:
    """Return a claim with the runs that it names, or with the reason why there are none."""
    if claim.problem:
        return claim
    called = names.called(claim.run)
    if called and (len(called) == 1 or len({run.id for run in called}) > 1):
        return _meaning(claim, called)
    try:
        found = source.runs(RunQuery(selectors=(claim.run,)))
    except (NotFoundError, UsageError) as error:
        hint = error.hint.partition("\n")[0]
        return replace(claim, problem=f"{error.message} {hint}".strip())
    known = {(run.entity, run.project, run.id): run for run in names.runs}
    return _meaning(claim, tuple(known.get((run.entity, run.project, run.id), run) for run in found))


def _meaning(claim: Claim, runs: tuple[Run, ...]) -> Claim:
    """Return a claim with its runs; the text may call by its name a run that the mark calls by its id."""
    named = any(says(claim.around, name) for run in runs for name in (run.name, run.id))
    seeds = None if named and len(runs) == 1 else claim.seeds  # "of 3 seeds, base-s1 ends at ..."
    return replace(claim, runs=runs, names_run=claim.names_run or named, seeds=seeds)


def _mentioned(document: Document, names: RunNames) -> list[Run]:
    """Return the runs that a text names anywhere."""
    if document.text is None:
        return []
    text = document.text.text
    found = [run for mention in names.mentions(text, 0, len(text)) for run in mention.runs]
    words = set(re.split(r"[\s|&]+", text))
    cells = [cell.text for table in tables_of(document.text) for row in table.rows for cell in row]
    found += [run for cell in cells if cell and (cell in words or " " in cell) for run in names.called(cell)]
    return _once(found)


def _unmarked(document: Document, names: RunNames, library: _Library, meant: Sequence[Run]) -> list[Claim]:
    """Return the claims that tables and sentences make, where no mark stands for the same number."""
    text = document.text
    if text is None or not meant:
        return []
    logged = dict.fromkeys(name for run in meant if (h := library.histories.get(id(run))) for name in h.series)
    summaries = dict.fromkeys(name for run in meant for name, value in flatten(run.summary).items() if is_number(value))
    metrics = MetricNames(known_in(text.text, [*logged, *summaries], {}))
    tables, skip = tables_of(text), ignored_lines(text)
    marked = {claim.number.start for claim in document.claims if claim.number.text}
    made = [*in_tables(text, tables, names, metrics, skip), *in_prose(text, tables, names, metrics, skip)]
    return [claim for claim in made if claim.number.start not in marked]


def _judged(claim: Claim, library: _Library, siblings: Mapping[int, Sequence[Run]], rest: Sequence[Run] = ()) -> Judged:
    failed = [run for run in claim.runs if id(run) in library.failed]
    if failed and not claim.problem:
        claim = replace(claim, problem=f"{failed[0].name} could not be read.")
    logged = [(metric, [one for run in claim.runs if (one := library.logged(run, metric))]) for metric in claim.metrics]
    mine = {id(run) for run in claim.runs}
    beside = [run for run in claim.runs[:1] for run in siblings.get(id(run), ())] if len(claim.runs) == 1 else []
    others = [run for run in rest if id(run) not in mine]
    made = judge(claim, logged, _all(library, beside, claim.metrics), _all(library, others, claim.metrics))
    if made.metric is None and not claim.problem and claim.runs:
        return replace(made, reason=f"{made.reason} {_near_metrics(claim, library)}".strip())
    return made


def _all(library: _Library, runs: Sequence[Run], metrics: Sequence[str]) -> list[Logged]:
    return [one for run in runs for metric in metrics if (one := library.logged(run, metric))]


def _near_metrics(claim: Claim, library: _Library) -> str:
    """Return the metrics of the claim's run whose names are nearest to what it asks for."""
    history = library.histories.get(id(claim.runs[0]))
    names = [name for name, kind in history.kinds.items() if kind == "number"] if history else []
    near = nearest(claim.metrics[0], names, 3) if claim.metrics else []
    return f"Nearest metrics: {', '.join(near)}" if near else ""
