"""Findings and the comparison → the next experiments: what to change, from what to what, what should then be seen.

The rules are data: `experiments.toml` beside this module says which change follows from which finding.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wandb_toolkit.comparison.levels import level_of
from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.phrases import causes, told
from wandb_toolkit.experiments.from_comparison import from_comparison, rounded, titled
from wandb_toolkit.experiments.from_healthy import NEAR, beside_healthy, comparable
from wandb_toolkit.experiments.looks import faster, most_promising, next_looks
from wandb_toolkit.experiments.programs import programs_of
from wandb_toolkit.experiments.restart import Left, left_of, restart_words, waits
from wandb_toolkit.experiments.settings import find_setting, find_switch, rule_book
from wandb_toolkit.experiments.steady_rate import steady_rate
from wandb_toolkit.experiments.usual import is_idle, settle_doubt, unusual_settings, usual_most, with_usual
from wandb_toolkit.model import Comparison, Experiment, Finding, Primary, RunReport, Series
from wandb_toolkit.text import number, quoted, short_names

MOST = 6
_SHORTER = re.compile(
    r"(stop|end) near step|schedule shortened with it$"
)  # how a change says that a run should end earlier
_SETTINGS = re.compile(r"(`[^`]+`) (?:from \S+ to |\(now )")  # the settings that a change is of
LOOSE_CLIP = 100.0  # a higher limit on the gradient norm never clips
FEWEST = 3  # below it, second choices of the same findings are added

_ROLE_WORDS = {
    "kl": "the KL", "entropy": "the policy's entropy", "reward": "the reward", "task": "the task metric",
    "loss": "the loss", "eval_loss": "the eval loss", "grad_norm": "the gradient norm", "lr": "the learning rate",
    "clip_fraction": "the clip fraction", "reward_std": "the reward's spread", "length": "the response length",
    "throughput": "the throughput", "primary": "the main metric", "metric": "the metric", "step": "the onset",
}  # fmt: skip
_GOALS = ("task", "eval_loss", "reward", "loss")  # what a run without the primary metric should do better in
_SEEDS = "two more seeds"
_SEVERITY = {"ugly": 0, "bad": 1, "good": 2}


def propose(
    reports: Sequence[RunReport],
    comparison: Comparison | None,
    primary: Primary | None,
    series: Sequence[Series | None] = (),
) -> tuple[Experiment, ...]:
    """Return up to six experiments: the worst and most widespread findings first, then what the comparison asks.

    Each finding gives one, whatever the number of runs; consequences of another finding give none. `series` holds each
    run's primary metric, in the order of `reports`.
    """
    given = short_names([report.run for report in reports])
    names = dict(zip(map(id, reports), given, strict=True))
    first: list[Experiment] = []
    more: list[Experiment] = []
    rest: list[Experiment] = []
    late: list[Experiment] = []
    main = quoted(primary.metric) if primary else "the main metric"
    for report in reports:
        settled = settle_doubt(report, main, quoted(names[id(report)]), len(reports))
        first += [settled] if settled else []
    without = {id(report) for report, one in zip(reports, series, strict=False) if one is None}
    for case in _cases(reports):
        goal = case.reports[0].primary if id(case.reports[0]) in without else primary
        made = list(_from_finding(case, _by_rank(reports, comparison), names, goal))
        if case.waits:
            late += made[:1]
            continue
        first += made[: not case.minor]
        more += made[not case.minor :][:1]
        rest += made[not case.minor :][1:]
    projects = {(report.run.entity, report.run.project) for report in reports}
    asked = []
    if comparison and primary and len(projects) == 1:
        levels = [level_of(one, primary.direction) for one in series]
        asked = from_comparison(reports, comparison, primary, levels, given)
        if comparison.best_at is not None:
            best = reports[comparison.best_at]
            who, most = quoted(given[comparison.best_at]), usual_most(best, "learning_rate")
            more += faster(best, who, comparison, primary, len(reports), most=most)
    chosen = [*_distinct([*first, *(late if first else ())])[: MOST - bool(asked)], *asked][:MOST]
    if len(chosen) < FEWEST:
        chosen = _distinct([*chosen, *more, *rest])[:FEWEST]
    if reports and (len(chosen) < FEWEST or (late and not first)):
        at = most_promising(reports, comparison)
        usual = usual_most(reports[at], "learning_rate")
        looks = next_looks(reports, comparison, primary, given, idle=is_idle(reports[at]), most=usual)
        if late and not first:
            looks = [*([] if chosen else looks[:1]), *late, *looks]
        chosen = _distinct([*chosen, *looks])[: max(FEWEST, len(chosen))]
    return tuple(chosen)


def _by_rank(reports: Sequence[RunReport], comparison: Comparison | None) -> Sequence[RunReport]:
    """Return the reports in the order of the ranking: the best healthy run is the one to compare with."""
    return [reports[line.at] for line in comparison.runs] if comparison else reports


@dataclass(frozen=True)
class _Case:
    """One diagnosis and the runs that have it; the first stands for them."""

    finding: Finding
    reports: tuple[RunReport, ...]
    rule: Mapping[str, Any]
    order: int  # of the rule: what happened in training before what happened to the process
    minor: bool  # something worse is wrong with each of these runs
    waits: bool = False  # a restart, before which something else is to be tried


def _cases(reports: Sequence[RunReport]) -> list[_Case]:
    """Findings of one rule together: crashes for lack of memory are another case than those by a bug.

    So are runs of which other settings are unusual.
    """
    found: dict[tuple[str, int, tuple[str, ...], tuple[Left, bool] | None], list[tuple[Finding, RunReport]]] = {}
    for report in reports:
        for finding in causes(report):
            rule = next((at for at, one in enumerate(rule_book()["rule"]) if _applies(one, finding, report)), None)
            if finding.severity in ("ugly", "bad") and rule is not None:
                likely = tuple(one.setting.key for one in unusual_settings(finding, report))
                crash = (left_of(finding, report), waits(finding, report)) if finding.id == "crashed" else None
                found.setdefault((finding.id, rule, likely, crash), []).append((finding, report))
    cases = []
    for (_, rule, _, crash), hits in found.items():
        minor = all(f.severity == "bad" and _ugly_in_training(report) for f, report in hits)
        cases.append(
            _Case(
                hits[0][0], tuple(r for _, r in hits), rule_book()["rule"][rule], rule, minor, bool(crash and crash[1])
            )
        )
    return sorted(cases, key=lambda c: (_rank(c), _of_the_end(c), -len(c.reports), c.order))


def _ugly_in_training(report: RunReport) -> bool:
    """Return whether something ugly is wrong with a run besides how it ended, or how it ran."""
    ugly = [finding.id for finding in report.findings if finding.severity == "ugly"]
    return any(id_ not in DETECTORS or DETECTORS[id_].about == "training" for id_ in ugly)


def _rank(case: _Case) -> int:
    """Return the place of a case's severity: how a run ended waits for what is wrong with its training."""
    return max(_SEVERITY[case.finding.severity], _SEVERITY["bad"] if _of_the_end(case) else 0)


def _of_the_end(case: _Case) -> bool:
    """Return whether a case is of how runs ended: what is wrong with a training comes before, however many ended."""
    known = DETECTORS.get(case.finding.id)
    return known is not None and known.about == "state"


def _distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Drop experiments that propose the same change to the same run, or another value of settings changed already."""
    kept: list[Experiment] = []
    changed: set[tuple[str, tuple[str, ...]]] = set()
    for experiment in experiments:
        shorter = _SHORTER.search(experiment.change) is not None
        parts = ["its length"] if shorter else _SETTINGS.findall(experiment.change) or [experiment.change]
        parts = [_SEEDS if _SEEDS in experiment.change else part for part in parts]
        new = {(part, experiment.runs[:1]) for part in parts}
        if not new <= changed:
            changed |= new
            kept.append(experiment)
    return kept


def _from_finding(
    case: _Case, reports: Sequence[RunReport], names: Mapping[int, str], primary: Primary | None
) -> Iterator[Experiment]:
    """Yield the changes that the rule for this finding has to offer, the most promising first."""
    finding, report = case.finding, case.reports[0]
    words = _words(case, names[id(report)], primary)
    beside = sum(comparable(report, other) for other in reports)
    # Where healthy runs clear every setting, the first is still worth a try.
    for compared in (reports, ()):
        changes = [(attempt, _change(attempt, report, compared, words)) for attempt in case.rule["try"]]
        if any(change for _, change in changes):
            break
    known = DETECTORS.get(finding.id)
    if known is None or known.about == "training":
        goal = words.get("primary", "the main metric")
        yield from steady_rate(finding, report, goal, words["run"], len(reports))
        like_a_healthy_run = beside_healthy(finding, report, reports, case.rule, words["run"], goal)
        if like_a_healthy_run is not None:
            yield like_a_healthy_run
        yield from with_usual(finding, report, reports, words["run"], goal)
    for attempt, change in changes:
        if change:
            alike = _same_setting(attempt.get("setting"), case.reports)
            also = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
            yield Experiment(
                title=titled(f"{words['run']}{also}", change, len(reports)),
                why=told(finding, report),
                change=change,
                expect=_said(attempt["expect"], words, beside),
                refute=_said(attempt["refute"], words, beside),
                finding=finding.id,
                runs=tuple(one.run.id for one in alike),
            )


def _same_setting(name: str | None, reports: Sequence[RunReport]) -> Sequence[RunReport]:
    """Return the runs that have the first one's value of a setting: one new value serves them all."""
    if name is None:
        return reports
    first = find_setting(reports[0].run.config, name)
    return [report for report in reports if find_setting(report.run.config, name) == first]


def _said(text: str, words: Mapping[str, str], runs: int) -> str:
    """Return a rule's text filled in: without an onset it names no step, and a run alone has no siblings."""
    if words["step"] == _ROLE_WORDS["step"]:
        text = re.sub(r"(near |past |before |after |at )?step \{step\}", r"\1the same point", text)
        text = re.sub(r"that step's", "that", text)
    if runs == 1:
        text = re.sub(r"(than|in|towards|to) (its|the) siblings('? \w+)?", r"\1 earlier runs", text)
    return text.format_map(words)


def _applies(rule: Mapping[str, Any], finding: Finding, report: RunReport) -> bool:
    if rule["finding"] != finding.id or ("program" in rule and rule["program"] not in programs_of(report)):
        return False
    if "left" in rule and rule["left"] != left_of(finding, report):
        return False
    if rule.get("waits") and (finding.evidence.get("error") or not waits(finding, report)):
        return False
    if "metric" in rule and not any(re.search(rule["metric"], one, re.IGNORECASE) for one in finding.metrics[:1]):
        return False
    told_of = " ".join(str(finding.evidence[key]) for key in ("error", "case", "role") if finding.evidence.get(key))
    told_of += " recovered" if finding.evidence.get("recovered") else ""
    return "when" not in rule or re.search(rule["when"], told_of, re.IGNORECASE) is not None


def _words(case: _Case, name: str, primary: Primary | None) -> dict[str, str]:
    """Return what the rules' texts may use; a role that the run lacks is named in words."""
    words = dict(_ROLE_WORDS)
    own = {match.role: quoted(match.metric) for match in case.reports[0].roles}
    words.update(own)
    words["run"] = quoted(name)
    words["primary"] = next((words[role] for role in _GOALS if role in own), words["primary"])
    if primary:
        words["primary"] = quoted(primary.metric)
    if case.finding.id == "crashed":
        words.update(restart_words(left_of(case.finding, case.reports[0])))
    for key in ("epochs", "steps", "planned"):
        if isinstance(value := case.finding.evidence.get(key), (int, float)):
            words[key] = f"{value:,.0f}"
    if case.finding.metrics:
        words["metric"] = quoted(case.finding.metrics[0])
    if case.finding.step is not None:
        words["step"] = f"{case.finding.step:,}"
    return words


def _change(
    attempt: Mapping[str, Any], report: RunReport, reports: Sequence[RunReport], words: Mapping[str, str]
) -> str:
    """Return the change in words, "" where this attempt cannot be made with this config."""
    name = attempt.get("setting")
    setting = find_setting(report.run.config, name) if name else None
    if name is None or setting is None:
        switch = find_switch(report.run.config, name) if name and attempt.get("factor", 1.0) > 1 else None
        if switch:
            return f"{quoted(switch)} from false to true"
        return _otherwise(attempt, words)
    if "words" in attempt:
        present = number(setting.value) if isinstance(setting.value, float) else str(setting.value)
        known = _agreed(_healthy_settings(name, report, reports))
        beside = f", {quoted(known)} in the healthy runs" if known not in ("", present) else ""
        return f"{quoted(setting.key)} (now {quoted(present)}{beside}): {attempt['words'].format_map(words)}"
    if isinstance(setting.value, bool) or not isinstance(setting.value, (int, float)):
        return _otherwise(attempt, words)
    new, known = _new_value(attempt, float(setting.value), name, report, reports)
    if (isinstance(setting.value, int) and setting.value >= 1) or "epoch" in setting.key.lower():
        new = max(float(round(new)), 1.0)
    if name == "max_grad_norm" and setting.value > LOOSE_CLIP:
        new, known = 1.0, ""  # so large a limit clips nothing
    if name == "learning_rate" and new > max(setting.value, 1.0):
        return ""
    if not math.isfinite(new) or math.isclose(new, float(setting.value)):
        return ""
    text = f"{quoted(setting.key)} from {number(setting.value)} to {number(rounded(new))}"
    return text + known + str(attempt.get("words_after", "")).format_map(words)


def _otherwise(attempt: Mapping[str, Any], words: Mapping[str, str]) -> str:
    """Return the change in words, which names the metric where the config lacks a setting that the run logs."""
    text = str(attempt.get("otherwise", "")).format_map(words)
    if attempt.get("setting") == "learning_rate" and words["lr"] != _ROLE_WORDS["lr"]:
        text = text.replace("(the config does not record it)", f"(logged as {words['lr']})")
    return text


def _new_value(
    attempt: Mapping[str, Any], old: float, name: str, report: RunReport, reports: Sequence[RunReport]
) -> tuple[float, str]:
    """Return the proposed value, and a remark where a healthy run already marks the other side."""
    healthy = _healthy_values(name, report, reports)
    if old <= 0 and "zero" in attempt:
        above = [value for value in healthy if value > 0]
        return (min(above), " (as in the healthy runs)") if above else (float(attempt["zero"]), "")
    new = old + float(attempt["add"]) if "add" in attempt else old * float(attempt.get("factor", 1.0))
    if old <= 0 or not math.isfinite(old):
        return new, ""  # no ratio to speak of
    beyond = [value for value in healthy if value > 0 and (value < old) == (new < old) and value != old]
    if not beyond:
        return new, ""
    nearest = min(beyond, key=lambda value: abs(math.log(value / old)))
    if max(nearest / old, old / nearest) < NEAR:
        return old, ""  # a healthy run has nearly this value: it is not what is wrong
    middle = math.sqrt(nearest * old)
    return middle, f" (geometric midpoint to the healthy runs' {number(nearest)})"


def _healthy_settings(name: str, report: RunReport, reports: Sequence[RunReport]) -> list[Any]:
    """What the healthy runs of the same project have for this setting."""
    found = [
        find_setting(other.run.config, name)
        for other in reports
        if other.verdict == "good" and other.run.project == report.run.project
    ]
    return [setting.value for setting in found if setting]


def _healthy_values(name: str, report: RunReport, reports: Sequence[RunReport]) -> list[float]:
    values = _healthy_settings(name, report, reports)
    return [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]


def _agreed(values: Sequence[Any]) -> str:
    """Return the one value that all have, "" where they differ."""
    texts = {str(value) for value in values}
    return texts.pop() if len(texts) == 1 else ""
