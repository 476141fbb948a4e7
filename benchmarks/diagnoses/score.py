"""Scores: precision, recall and F1 of each diagnosis, false alarms, and how far onsets are off."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, TypeAlias

from benchmarks.diagnoses.definitions import RULES
from benchmarks.diagnoses.follows import FOLLOWS
from benchmarks.diagnoses.peers import MEANS, by_peer, looks_for
from benchmarks.diagnoses.source import NOW, MemorySource

from wandb_toolkit.reports.build import ReportOptions, build_report

if TYPE_CHECKING:
    from benchmarks.diagnoses.project import LabelledProject, LabelledRun

Found: TypeAlias = Mapping[str, "int | None"]  # id → onset
Judge: TypeAlias = "Callable[[LabelledProject], Sequence[Found]]"


def by_report(project: LabelledProject) -> list[Found]:
    """Judge by this repository's report. A note is right where it is labelled, and nowhere a false alarm."""
    source = MemorySource(project)
    report = build_report(source, source.all, ReportOptions(NOW)).report
    return [
        {
            f.id: f.step
            for f in one.findings
            if f.severity in ("ugly", "bad") or (f.severity == "note" and f.id in run.truth.labels)
        }
        for one, run in zip(report.runs, project.runs, strict=True)
    ]


def judges(python: str | None = None) -> dict[str, Judge]:
    """Return this report and, where `python` is an interpreter that has them, the other tools."""
    others: dict[str, Judge] = {name: partial(by_peer, name, python) for name in MEANS} if python else {}
    return {"this report": by_report, **others}


@dataclass
class Score:
    """Counts over all runs seen."""

    right: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    onsets: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # errors, parts of the run
    healthy: int = 0
    alarms: int = 0  # wrong findings in healthy runs
    runs: int = 0
    errors: list[tuple[str, str, str, str]] = field(default_factory=list)  # project, run, what, id

    def add(self, project: LabelledProject, run: LabelledRun, found: Found) -> None:
        """Count one run."""
        labels, draft = run.truth.labels, run.draft
        allowed = run.truth.unclear | {each for label in labels for each in FOLLOWS.get(label, ())}
        wrong = set(found) - set(labels) - allowed
        self.runs += 1
        if not labels:
            self.healthy += 1
            self.alarms += len(wrong)
        for id_, step in labels.items():
            if id_ not in found:
                # What a cause that was found explains need not be said again.
                if not any(id_ in FOLLOWS.get(cause, ()) for cause in set(labels) & set(found)):
                    self.missed[id_] += 1
                    self.errors.append((project.name, run.id, "missed", id_))
                continue
            self.right[id_] += 1
            if step is not None:
                said = found[id_]
                length = max(1, int(draft.steps[-1] - draft.steps[0]))
                self.onsets[id_].append(1.0 if said is None else min(1.0, abs(said - step) / length))
        for id_ in wrong:
            self.wrong[id_] += 1
            self.errors.append((project.name, run.id, f"wrong ({draft.kind}: {','.join(draft.hard)})", id_))

    def precision(self, id_: str) -> float:
        said = self.right[id_] + self.wrong[id_]
        return self.right[id_] / said if said else 0.0

    def recall(self, id_: str) -> float:
        there = self.right[id_] + self.missed[id_]
        return self.right[id_] / there if there else 0.0

    def f1(self, id_: str) -> float:
        both = 2 * self.right[id_] + self.wrong[id_] + self.missed[id_]
        return 2 * self.right[id_] / both if both else 0.0

    @property
    def judged(self) -> list[str]:
        """The diagnoses that some run has."""
        return [id_ for id_ in RULES if self.right[id_] + self.missed[id_]]

    @property
    def macro_f1(self) -> float:
        return self.macro_f1_of(self.judged)

    def macro_f1_of(self, ids: Collection[str]) -> float:
        """The mean F1 of those of some diagnoses that a run has."""
        judged = [id_ for id_ in self.judged if id_ in ids]
        return sum(map(self.f1, judged)) / max(1, len(judged))

    @property
    def onset_error(self) -> float:
        """The median over all onsets."""
        all_ = [error for errors in self.onsets.values() for error in errors]
        return median(all_) if all_ else float("nan")

    @property
    def alarms_each(self) -> float:
        return self.alarms / max(1, self.healthy)


def score(projects: Iterable[LabelledProject], by: Mapping[str, Judge]) -> dict[str, Score]:
    """Return each judge's score over the projects."""
    scores = {name: Score() for name in by}
    for project in projects:
        for name, judge in by.items():
            for run, found in zip(project.runs, judge(project), strict=True):
                scores[name].add(project, run, found)
    return scores


def diagnoses_table(of: Score) -> list[list[str]]:
    """Return precision, recall, F1 and median onset error of each diagnosis."""
    rows = [["diagnosis", "runs", "precision", "recall", "F1", "onset error"]]
    for id_ in of.judged:
        onset = f"{median(of.onsets[id_]):.1%}" if of.onsets[id_] else "–"
        runs = str(of.right[id_] + of.missed[id_])
        rows.append([f"`{id_}`", runs, *(f"{n(id_):.2f}" for n in (of.precision, of.recall, of.f1)), onset])
    return rows


def overall_table(scores: Mapping[str, Score]) -> list[list[str]]:
    """Return what each judge reaches over all diagnoses, and over those that it looks for."""
    rows = [["judge", "macro-F1", "of those it looks for", "false alarms per healthy run", "median onset error"]]
    for name, of in scores.items():
        asked = looks_for(name) if name in MEANS else of.judged
        own = f"{of.macro_f1_of(asked):.3f} ({len(set(asked) & set(of.judged))})"
        rows.append([name, f"{of.macro_f1:.3f}", own, f"{of.alarms_each:.3f}", f"{of.onset_error:.1%}"])
    return rows
