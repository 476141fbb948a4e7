"""Findings and the comparison → the next experiments: what to change, from what to what, what should then be seen.

The rules are data: `experiments.toml` beside this module says which change follows from which finding.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from wandb_toolkit import configs
from wandb_toolkit.model import Comparison, Experiment, Finding, Primary, RankedRun, RunReport
from wandb_toolkit.render.text import number
from wandb_toolkit.sentences import causes
from wandb_toolkit.wording import quoted, short_names

MOST = 6
FEWEST = 3  # below it, second choices of the same findings are added

_FILE = Path(__file__).with_name("experiments.toml")
_ROLE_WORDS = {
    "kl": "the KL", "entropy": "the policy's entropy", "reward": "the reward", "task": "the task metric",
    "loss": "the loss", "eval_loss": "the eval loss", "grad_norm": "the gradient norm", "lr": "the learning rate",
    "clip_fraction": "the clip fraction", "reward_std": "the reward's spread", "length": "the response length",
    "throughput": "the throughput", "primary": "the main metric", "metric": "the metric", "step": "the onset",
}  # fmt: skip
_SEVERITY = {"ugly": 0, "bad": 1, "good": 2}


@dataclass(frozen=True)
class Setting:
    """A setting as a run's config has it."""

    key: str
    value: Any


@cache
def _book() -> Mapping[str, Any]:
    return tomllib.loads(_FILE.read_text(encoding="utf-8"))


def find_setting(config: Mapping[str, Any], name: str) -> Setting | None:
    """Return the config's key and value for one of the named settings, None where it has none that can be changed."""
    flat = configs.flatten(config)
    for ending in _book()["settings"][name]:
        pattern = re.compile(rf"(^|[./]){re.escape(ending)}$", re.IGNORECASE)
        hits = [key for key, value in flat.items() if pattern.search(key) and value is not None]
        if hits:
            key = min(hits, key=lambda k: ("critic" in k, "ref" in k.split("."), len(k), k))
            return Setting(key, flat[key])
    return None


def propose(
    reports: Sequence[RunReport], comparison: Comparison | None, primary: Primary | None
) -> tuple[Experiment, ...]:
    """Return up to six experiments: the worst and most widespread findings first, then what the comparison asks.

    Each finding gives one, whatever the number of runs; consequences of another finding give none.
    """
    names = dict(zip(map(id, reports), short_names([report.run for report in reports]), strict=True))
    cases = _cases(reports)
    first: list[Experiment] = []
    more: list[Experiment] = []
    for case in cases:
        made = list(_from_finding(case, reports, names, primary))
        first += made[:1]
        more += made[1:2]
    asked = _from_comparison(comparison, primary) if comparison and primary else []
    chosen = [*_distinct(first)[: MOST - bool(asked)], *asked][:MOST]
    if len(chosen) < FEWEST:
        chosen = _distinct([*chosen, *more])[:FEWEST]
    return tuple(chosen)


@dataclass(frozen=True)
class _Case:
    """One diagnosis and the runs that have it; the first stands for them."""

    finding: Finding
    reports: tuple[RunReport, ...]


def _cases(reports: Sequence[RunReport]) -> list[_Case]:
    found: dict[str, list[tuple[Finding, RunReport]]] = {}
    for report in reports:
        for finding in causes(report):
            if finding.severity != "good":
                found.setdefault(finding.id, []).append((finding, report))
    cases = [_Case(hits[0][0], tuple(report for _, report in hits)) for hits in found.values()]
    return sorted(cases, key=lambda case: (_SEVERITY[case.finding.severity], -len(case.reports)))


def _distinct(experiments: Sequence[Experiment]) -> list[Experiment]:
    """Drop experiments that propose the same change to the same run."""
    kept: dict[tuple[object, ...], Experiment] = {}
    for one in experiments:
        kept.setdefault((one.change, one.runs[:1]), one)
    return list(kept.values())


def _from_finding(
    case: _Case, reports: Sequence[RunReport], names: Mapping[int, str], primary: Primary | None
) -> Iterator[Experiment]:
    """Yield the changes that the rule for this finding has to offer, the most promising first."""
    finding, report = case.finding, case.reports[0]
    rule = next((r for r in _book()["rule"] if _applies(r, finding)), None)
    if rule is None:
        return
    words = _words(case, names[id(report)], primary)
    for attempt in rule["try"]:
        change = _change(attempt, report, reports, words)
        if change:
            also = f" (and {len(case.reports) - 1} more)" if len(case.reports) > 1 else ""
            yield Experiment(
                title=f"{words['run']}{also}: {change}",
                why=finding.title,
                change=change,
                expect=attempt["expect"].format_map(words),
                refute=attempt["refute"].format_map(words),
                finding=finding.id,
                runs=tuple(one.run.id for one in case.reports),
            )


def _applies(rule: Mapping[str, Any], finding: Finding) -> bool:
    return rule["finding"] == finding.id and bool(re.search(rule.get("when", ""), finding.title, re.IGNORECASE))


def _words(case: _Case, name: str, primary: Primary | None) -> dict[str, str]:
    """Return what the rules' texts may use; a role that the run lacks is named in words."""
    words = dict(_ROLE_WORDS)
    words.update({match.role: quoted(match.metric) for match in case.reports[0].roles})
    words["run"] = quoted(name)
    if primary:
        words["primary"] = quoted(primary.metric)
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
        return str(attempt["otherwise"]).format_map(words)
    if "words" in attempt:
        present = number(setting.value) if isinstance(setting.value, float) else str(setting.value)
        return f"{quoted(setting.key)} (now {quoted(present)}): {attempt['words'].format_map(words)}"
    if isinstance(setting.value, bool) or not isinstance(setting.value, (int, float)):
        return str(attempt["otherwise"]).format_map(words)
    new, known = _new_value(attempt, float(setting.value), name, report, reports)
    if isinstance(setting.value, int) and setting.value >= 1:
        new = max(float(round(new)), 1.0)
    if math.isclose(new, float(setting.value)):
        return ""
    text = f"{quoted(setting.key)} from {number(setting.value)} to {number(_round(new))}"
    return text + known + str(attempt.get("words_after", ""))


def _new_value(
    attempt: Mapping[str, Any], old: float, name: str, report: RunReport, reports: Sequence[RunReport]
) -> tuple[float, str]:
    """Return the proposed value, and a remark where a healthy run already marks the other side."""
    if old <= 0 and "zero" in attempt:
        return float(attempt["zero"]), ""
    new = old + float(attempt.get("add", 0.0)) if "add" in attempt else old * float(attempt.get("factor", 1.0))
    healthy = _healthy_values(name, report, reports)
    beyond = [value for value in healthy if value > 0 and (value < old) == (new < old) and value != old]
    if not beyond:
        return new, ""
    nearest = min(beyond, key=lambda value: abs(math.log(value / old)))
    middle = math.sqrt(nearest * old)
    return middle, f" (half way, in ratio, to the {number(nearest)} of the healthy runs)"


def _healthy_values(name: str, report: RunReport, reports: Sequence[RunReport]) -> list[float]:
    """What the healthy runs of the same project have for this setting."""
    values = []
    for other in reports:
        if other.verdict != "good" or other.run.project != report.run.project:
            continue
        setting = find_setting(other.run.config, name)
        if setting and isinstance(setting.value, (int, float)) and not isinstance(setting.value, bool):
            values.append(float(setting.value))
    return values


def _round(value: float) -> float:
    """Two significant digits: nobody tries a learning rate of 3.333e-06."""
    return float(f"{value:.2g}") if abs(value) < 1000 else float(round(value))


def _from_comparison(comparison: Comparison, primary: Primary) -> list[Experiment]:
    """Return what the ranking leaves open: is the lead real, and does the best setting lie at the edge?"""
    sound = [line for line in comparison.runs if line.value is not None and not line.marks and line.value == line.value]
    best = next((line for line in sound if line.id == comparison.best), None)
    if best is None:
        return []
    return [*_seeds(comparison, best, sound, primary), *_edge(comparison, best, sound, primary)]


def _seeds(comparison: Comparison, best: RankedRun, sound: Sequence[RankedRun], primary: Primary) -> list[Experiment]:
    """More seeds, where the best configuration has one only, or its seeds do not tell it from the next one."""
    group = next((g for g in comparison.seed_groups if best.id in g.runs), None)
    unproven = "No evidence of a difference" in comparison.note
    if group and not unproven:
        return []
    mine = group.runs if group else (best.id,)
    rival = next((line for line in sound if line.id not in mine), None)
    metric, who = quoted(primary.metric), quoted(best.name)
    if rival is None or rival.value is None or best.value is None:
        why = f"{who} is a single run: how far seeds alone move {metric} is not known"
        expect = f"three values of {metric} whose spread is the yardstick for every later change"
        refute = f"one of them fails or ends far off {number(best.value)}: then the result is luck"
        change = "the same config with two more seeds"
    else:
        lead = abs(best.value - rival.value)
        why = f"{who} leads {quoted(rival.name)} by {number(lead, 2)} in {metric}, and that may be chance"
        change = f"two more seeds of {who} and of {quoted(rival.name)}"
        expect = f"{who} stays ahead in the mean, by more than the seeds of either differ"
        refute = f"the seeds of one differ by more than {number(lead, 2)}"
    return [
        Experiment(f"{who}: {change}", why, change, expect, refute, None, (best.id, *([rival.id] if rival else [])))
    ]


def _edge(comparison: Comparison, best: RankedRun, sound: Sequence[RankedRun], primary: Primary) -> list[Experiment]:
    """One step further, where the best run has the largest or smallest value tried of a setting."""
    found = []
    for key in comparison.config_keys:
        if configs.is_seed(key) or configs.is_bookkeeping(key):
            continue
        raw = [line.config.get(key) for line in sound]
        tried = sorted({float(v) for v in raw if isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0})
        mine = best.config.get(key)
        if len(tried) < 3 or mine not in (tried[0], tried[-1]):
            continue
        beside = tried[1] if mine == tried[0] else tried[-2]
        new = _round(mine * mine / beside)
        side = "smallest" if mine == tried[0] else "largest"
        change = f"{quoted(key)} from {number(mine)} to {number(new)}"
        found.append(
            Experiment(
                title=f"{quoted(best.name)}: {change}",
                why=f"the best run has the {side} of the {len(tried)} values of {quoted(key)} tried",
                change=change,
                expect=f"{quoted(primary.metric)} ends better than {number(best.value)}",
                refute="it ends worse: then the best value lies between those tried",
                runs=(best.id,),
            )
        )
    return found[:2]
