"""What the sections of a report say, sentence by sentence: for Markdown and HTML alike.

Names of strangers are in backquotes, as `wording.quoted` makes them; each renderer escapes the rest its own way.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.phrases import before, told
from wandb_toolkit.model import Difference, FalseAlarm, Lens, Parting, Policy, ReplayedRun, Report, RunReport
from wandb_toolkit.reports.render.comparison import NAME_WIDTH
from wandb_toolkit.text import among, duration, listed, moment, number, plural, quoted, sentence, short_names

SENTENCES = 5  # of Good, Bad and Ugly each
DIFFERENCES, PARTINGS = 12, 3
REASONS = 2  # why checks were skipped
ERRORS = 10
IDS = 8
LENS_ALWAYS = ("reward", "kl", "entropy", "clip_fraction", "grad_norm")

_ROLE_NAMES = {
    "kl": "KL", "lr": "learning rate", "eval_loss": "eval loss", "grad_norm": "gradient norm",
    "clip_fraction": "clip fraction", "reward_std": "reward spread", "policy_std": "policy's standard deviation",
    "task": "task metric",
}  # fmt: skip
_LACKING = re.compile(r"no metric for the roles? (\w+(?:, \w+)*?)(?:, and .*)?")  # as detectors say it


def headline(report: Report) -> str:
    """Return the verdict in one line, the verdict itself in front, without emphasis."""
    verdicts = Counter(one.verdict for one in report.runs)
    counts = [f"{verdicts[v]} {v}" for v in ("good", "bad", "ugly") if verdicts[v]]
    if verdicts["unknown"]:
        counts.append(f"{verdicts['unknown']} that could not be judged")
    runs = plural(len(report.runs), "run")
    text = f"{report.verdict.upper()} · {runs}"
    if len(report.runs) > 1:
        text += f": {', '.join(counts)}"
    elif report.runs:
        text += f", {report.runs[0].run.state}"
        text += f": {report.runs[0].unjudged or 'nothing could be judged'}" if report.verdict == "unknown" else ""
    if report.comparison and len(report.runs) > 1:
        at = report.comparison.best_at
        ranked = sum(one.value is not None for one in report.comparison.runs)
        at = at if ranked > 1 else None  # the only one that has the metric is not the best of them
        best = short_names([one.run for one in report.runs])[at] if at is not None else ""
        of = (
            f" of {among(len(report.runs), report.left_out, ranked=report.by_summary is not None)}:"
            if report.left_out
            else ""
        )
        text += f" · best{of} {quoted(best, NAME_WIDTH)}" if best else ""
    text += _steps(report)
    if report.window:
        text += f" · the last {report.window:,} rows only (--window)"
    if report.errors:
        text += f" · {len(report.errors)} could not be read"
    if report.left_out:
        text += f" · {report.left_out:,} {'' if report.by_summary else 'older '}runs not read (--max-runs)"
    return text


def runs_read(report: Report) -> list[str]:
    """Say how all runs that match rank by their summaries, and which were read; [] where all were read."""
    ranking = report.by_summary
    if ranking is None:
        return []
    first = ", ".join(f"{quoted(one.name, NAME_WIDTH)} {number(one.value)}" for one in ranking.best)
    newest = len(report.runs) - ranking.read_as_best
    total = len(report.runs) + report.left_out
    have = f"{ranking.ranked:,} of {total:,} runs have {quoted(ranking.metric)} in their summaries"
    read = f"Read and judged: the {ranking.read_as_best} best of these and the {newest} newest others"
    return [f"{have}; by its last value, {first} lead.", f"{read}. The rest is ranked only."]


def capped(sentences: Sequence[str], limit: int | None = SENTENCES) -> list[str]:
    """Return the first sentences, and how many more there are; None: all of them."""
    shown = [sentence(text) for text in sentences[:limit]]
    left = len(sentences) - len(shown)
    return [*shown, f"{left} more: see --full."] if left else shown


def changes(report: Report, *, full: bool) -> list[str]:
    """Return what changed since the baseline: who is suspected, the run that would tell, where the curves part."""
    found = report.changes
    if found is None:
        return []
    parted = [_parted(one) for one in found.partings]
    most = None if full else DIFFERENCES
    return [
        *map(sentence, found.worse),
        sentence(found.verdict),
        *([sentence(f"To decide: {found.deciding}")] if found.deciding else []),
        *map(sentence, parted if full else parted[:PARTINGS]),
        *capped([_difference(one) for one in found.differences], most),
        *map(sentence, found.unrecorded),
    ]


def _parted(one: Parting) -> str:
    than = f"the spread of the {one.runs} good runs" if one.runs > 1 else "what both scatter by"
    times = f"{one.times:,.0f}" if one.times < 1000 else "over 1,000"
    whose = f"{quoted(one.metric)} of {quoted(one.name, NAME_WIDTH)}"
    return f"{whose} parts from the baseline at step {one.step:,}, by {times} times {than}"


def _difference(one: Difference) -> str:
    sides = [", ".join("not recorded" if v is None else quoted(str(v)) for v in side) for side in (one.good, one.bad)]
    return f"{one.part} {quoted(one.key)}: {sides[0]} → {sides[1]}"


def replayed(report: Report, *, full: bool) -> list[str]:
    """Return what each way of stopping the runs would have saved and cost, a line each, and what changed its mind."""
    found = report.replay
    if found is None:
        return []
    said = [_policy(one) for one in found.policies]
    if full:
        said += [_stops(one) for one in found.runs]
    unsteady = [one for one in found.changed if one.gone]
    said += [f"Taken back by the end: {', '.join(_taken_back(one) for one in unsteady)}"] if unsteady else []
    return [sentence(text) for text in [*said, found.note]]


def _policy(one: Policy) -> str:
    name = {"median": "Median stopping"}.get(one.name, f"`--fail-on {one.name}`")
    if not one.stopped:
        return f"{name}: would have stopped no run"
    hours = f", {duration(3600 * one.hours_saved)}" if one.hours_saved > 0 else ""
    if one.gpu_hours_saved:
        some = "at least " if one.gpu_runs < one.stopped else ""
        hours += f", {some}{number(one.gpu_hours_saved, 3)} GPU hours"
    text = (
        f"{name}: {plural(one.stopped, 'run')} stopped, {one.steps_saved:,} steps saved ({one.share_saved:.0%}{hours})"
    )
    if not one.best_third:
        return text
    if not one.wrongly:
        return f"{text}; none of the best third ({one.best_third})"
    return f"{text}; {len(one.wrongly)} of the best third ({one.best_third}) wrongly: {listed(one.wrongly, 3)}"


def _stops(one: ReplayedRun) -> str:
    steps = [f"{policy} at {step:,}" for policy, step in one.stopped.items() if step is not None]
    return f"{quoted(one.name, NAME_WIDTH)}: {', '.join(steps) or 'never'} of {one.steps:,} steps"


def _taken_back(one: FalseAlarm) -> str:
    name = DETECTORS[one.id].label if one.id in DETECTORS else one.id
    return f"{name} in {one.gone} of {one.fired}"


def lens(report: Report, *, full: bool) -> list[str]:
    """Return the lines of the reinforcement-learning lens."""
    return [_lens(line) for line in report.lens if full or _telling(line)]


def _telling(line: Lens) -> bool:
    """Whether the line belongs into the short report: the roles everyone looks at, and any with a fault."""
    return line.role in LENS_ALWAYS or not line.text.endswith(("no fault found", "of its own", ")", "not judged"))


def _lens(line: Lens) -> str:
    name = role_name(line.role)
    levels = f"{number(line.start) or '?'} → {number(line.end) or '?'}"
    where = f" in {quoted(line.run)}" if line.run else ""
    return sentence(f"{name[:1].upper()}{name[1:]} {quoted(line.metric)}: {levels}{where}; {line.text}")


def errors(report: Report, *, full: bool) -> list[str]:
    """Return the runs that could not be read, with the reason; runs of one reason share a line."""
    reasons: dict[str, list[str]] = {}
    for one in report.errors:
        reasons.setdefault(one["message"], []).append(one.get("name", one["run"]))
    said = [f"{listed(names, len(names) if full else 4)}: {reason}" for reason, names in reasons.items()]
    return capped(said, None if full else ERRORS)


def checked(report: Report, *, full: bool) -> list[str]:
    """Return how much was checked, what was skipped and why, and what was read in part only."""
    if not report.runs:
        return []
    runs = len(report.runs)
    passed = sum(len(one.passed) for one in report.runs)
    found = sum(f.severity in ("ugly", "bad") for one in report.runs for f in one.findings)
    reasons: dict[str, Counter[str]] = {}
    for one in report.runs:
        for skip in one.skipped:
            if skip.id in DETECTORS and DETECTORS[skip.id].about == "state":  # ended or running: no news
                continue
            reasons.setdefault(skip.reason, Counter())[skip.id] += 1
    skipped = sum(len(one.skipped) for one in report.runs)
    over = "" if runs == 1 else f" over {runs} runs"
    said = [f"{plural(passed + found, 'check')} made{over}, {found} with a finding; {skipped} skipped."]
    said += _reasons(reasons, runs, None if full else REASONS)
    if report.comparison and report.comparison.signals and report.comparison.signals.refused and runs > 1:
        said.append(f"Hyperparameter correlations skipped: {report.comparison.signals.refused}.")
    said += _samples(report.runs)
    return said + _warnings(report, full=full)


def _reasons(reasons: Mapping[str, Counter[str]], runs: int, limit: int | None) -> list[str]:
    """Say why checks were skipped: the roles that nothing plays in one line, then the commonest other reasons."""
    lacking: dict[str, int] = {}  # role → runs that lack it
    others = []
    for reason, ids in sorted(reasons.items(), key=lambda item: -sum(item[1].values())):
        match = _LACKING.fullmatch(reason)
        if match is None:
            others.append(f"Skipped{_in(max(ids.values()), runs)}, {reason}: {', '.join(sorted(ids))}.")
        for role in match[1].split(", ") if match else ():
            lacking[role] = max(lacking.get(role, 0), *ids.values())
    said = []
    if lacking:
        named = ", ".join(
            role_name(role) + ("" if count == runs else _in(count, runs)) for role, count in lacking.items()
        )
        said.append(f"Not judged, because no metric plays the role: {named}.")
    shown = others[:limit]
    left = len(others) - len(shown)
    return [*said, *shown, *([f"{plural(left, 'more reason')} with --full."] if left else [])]


def _in(count: int, runs: int) -> str:
    return "" if runs == 1 else " in all runs" if count == runs else f" in {count} of {runs} runs"


def _samples(runs: Sequence[RunReport]) -> list[str]:
    """Say what was read as a sample: no extreme and no count of it is exact."""
    found = [(name, read, logged) for one in runs for name, (read, logged) in one.sampled.items()]
    if not found:
        return []
    within = sum(bool(one.sampled) for one in runs)
    name, read, logged = min(found, key=lambda item: item[1] / item[2])
    metrics = plural(len({name for name, _, _ in found}), "metric")
    where = "" if len(runs) == 1 else f" of {plural(within, 'run')}"
    thinnest = f"{quoted(name)} with {read:,} of {logged:,} points"
    return [f"Read as a sample: {metrics}{where}, the thinnest {thinnest}; a short spike may be missing in it."]


def role_name(role: str) -> str:
    """Return what people call a role."""
    return _ROLE_NAMES.get(role, role.replace("_", " "))


def _warnings(report: Report, *, full: bool) -> list[str]:
    said = [
        f"{quoted(name)}: {warning}"
        for name, one in zip(short_names([r.run for r in report.runs]), report.runs, strict=True)
        for warning in one.run.warnings
    ]
    return capped(said, None if full else 3)


def metrics(report: Report) -> list[str]:
    """Return which metric took which role, and what there is where none did."""
    lines = []
    if report.primary:
        better = "higher" if report.primary.direction == "max" else "lower"
        lines.append(f"Ranked by {quoted(report.primary.metric)}, {better} is better: {report.primary.why}.")
    else:
        lines.append("No metric to rank by was recognised: name one with --primary.")
    why = {(m.role, m.metric): m.why for one in report.runs for m in one.roles}
    named = [
        f"{role_name(role)} {quoted(metric)}" + (" (given by you)" if why.get((role, metric)) == "given by you" else "")
        for role, metric in report.roles.items()
    ]
    lines.append(f"Recognised: {', '.join(named)}. Reasons in --json." if named else "No metric has a known role.")
    if not named or not report.primary:
        lines.append(f"Logged: {listed(report.metrics, 12)}." if report.metrics else "No numeric metric was logged.")
    return lines


def _steps(report: Report) -> str:
    """Return what counts the steps that the report speaks of, "" where that is W&B's own step in every run."""
    counters = Counter(one.step_metric for one in report.runs)
    named = [quoted(metric) for metric, _ in counters.most_common() if metric != "_step"]
    rest = [f"_step in {plural(counters['_step'], 'run')}"] if counters["_step"] else []
    return f" · steps are {', '.join([*named, *rest])}" if named else ""


def reproduce(report: Report, *, full: bool) -> list[str]:
    """Return the command, the versions, the times and the runs."""
    lines = [quoted(report.command, 400)] if report.command else []
    newest = max((one.run.last_activity for one in report.runs if one.run.last_activity), default=None)
    data = f"; data up to {moment(newest)} UTC" if newest else ""
    made = "as of" if report.as_of else "generated"
    again = f"; reproduce with {quoted(f'--as-of {report.generated_at:%Y-%m-%dT%H:%M:%SZ}')}" if report.command else ""
    lines.append(
        f"wandb-toolkit {report.tool_version}, source {report.source}, {made} {moment(report.generated_at)} UTC{data}"
        f"{'' if report.as_of else again}."
    )
    ids = [one.run.id for one in report.runs]
    if ids:
        lines.append(f"Runs: {listed(ids, len(ids) if full else IDS)}.")
    return lines


def of_run(one: RunReport) -> list[str]:
    """Return all there is to say about one run: its findings with what to do, and what was not judged."""
    said = []
    for finding in one.findings:
        after = f" (after {finding.consequence_of.replace('_', ' ')})" if finding.consequence_of else ""
        advice = f" {sentence(finding.advice)}" if finding.advice and finding.severity != "good" else ""
        moved = f" {before(finding)}" if finding.leading_up else ""
        said.append(f"{finding.severity.capitalize()}{after}: {sentence(told(finding, one))}{moved}{advice}")
        curve = finding.evidence.get("sparkline")
        if isinstance(curve, str) and curve:
            said[-1] += f" {quoted(curve)}"
    if one.passed:
        said.append(f"Nothing found by: {', '.join(one.passed)}.")
    if one.skipped:
        said.append(f"Skipped: {', '.join(skip.id for skip in one.skipped)}.")
    return said or ["Nothing in it could be judged."]
