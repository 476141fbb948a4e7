"""A report → Markdown that reads well raw in a terminal and rendered. Short first: the JSON holds the rest."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from wandb_toolkit.configs import is_bookkeeping, is_seed
from wandb_toolkit.model import Comparison, Experiment, Lens, Primary, RankedRun, Report
from wandb_toolkit.render.text import clean, duration, moment, number, plural
from wandb_toolkit.wording import listed, quoted, sentence, short_names

ROWS = 12  # of the comparison table
SUMMARY = 4  # of Good, Bad and Ugly each in the summary
SENTENCES = 6  # of Good, Bad and Ugly each
KEYS = 8  # of the config differences
VALUES = 4  # of one config key
REASONS = 3  # why checks were skipped
IDS = 8
LENS_ALWAYS = ("reward", "kl", "entropy", "clip_fraction", "grad_norm")
OF_THE_STATE = ("crashed", "stalled")  # skipped because a run is finished or running, which is no news
NAME_WIDTH = 32
FEWEST_COLUMNS = 5  # of the comparison table in a narrow terminal

# A code span as `quoted` makes it. Runs of several backquotes pair by rules of their own: they are escaped instead.
_SPAN = re.compile(r"((?<!`)`(?!`)[^`]*`(?!`))")
_ROLE_NAMES = {
    "kl": "KL", "lr": "learning rate", "eval_loss": "eval loss", "grad_norm": "gradient norm",
    "clip_fraction": "clip fraction", "reward_std": "reward spread", "policy_std": "policy's standard deviation",
    "task": "task metric",
}  # fmt: skip
_LACKING = re.compile(r"no metric for the roles? (\w+(?:, \w+)*?)(?:, and .*)?")  # as detectors say it
# Where a line starts with one of these, Markdown takes it for a list, a heading or a quotation.
_BLOCK_START = re.compile(r"(?:[-+*>]|#{1,6}|\d+[.)]|=+|-+)(?:\s|$)")


def markdown(report: Report, width: int | None = None) -> str:
    """Return the report; `width` wraps prose for a terminal (tables stay as wide as they are)."""
    blocks = [
        [f"# W&B report: {escape(clean(report.target, 100))}", "", headline(report)],
        _section("Good", _capped(report.good) or ["Nothing could be called good."]),
        _section("Bad", _capped(report.bad) or ["Nothing found."]),
        _section("Ugly", _capped(report.ugly) or ["Nothing found."]),
        _section("Reinforcement learning", [_lens(line) for line in report.lens if _telling(line)]),
        _comparison(report.comparison, report.primary, width),
        _section("Config differences", _differences(report)),
        _experiments(report.next_experiments),
        _section("Not read", _errors(report.errors)),
        _section("Checked and skipped", _checked(report)),
        _section("Metrics and their roles", _roles(report)),
        _section("Reproduce", _reproduce(report)),
    ]
    lines = [line for block in blocks if block for line in [*block, ""]]
    return "\n".join(_wrap(lines, width)).rstrip()


def headline(report: Report) -> str:
    """Return the verdict in one line."""
    verdicts = Counter(one.verdict for one in report.runs)
    counts = [f"{verdicts[v]} {v}" for v in ("good", "bad", "ugly") if verdicts[v]]
    if verdicts["unknown"]:
        counts.append(f"{verdicts['unknown']} that could not be judged")
    runs = plural(len(report.runs), "run")
    text = f"**{report.verdict.upper()}** · {runs}"
    if len(report.runs) > 1:
        text += f": {', '.join(counts)}"
    elif report.runs:
        text += f", {report.runs[0].run.state}"
        text += ": nothing in it could be judged" if report.verdict == "unknown" else ""
    if report.comparison and len(report.runs) > 1:
        best = [line.name for line in report.comparison.runs if line.id == report.comparison.best]
        text += f" · best {quoted(best[0], NAME_WIDTH)}" if best else ""
    if report.errors:
        text += f" · {len(report.errors)} could not be read"
    if report.left_out:
        text += f" · {report.left_out} older not read (--max-runs)"
    return text


def summary(report: Report) -> list[str]:
    """Return the report in a few plain lines: the verdict, the worst, the best, and what to do first."""
    lines = [headline(report).replace("**", "")]
    for title, sentences in (("Ugly", report.ugly), ("Bad", report.bad), ("Good", report.good)):
        lines += [f"{title}: {sentence(text)}" for text in sentences[:SUMMARY]]
        left = len(sentences) - SUMMARY
        lines += [f"{title}: {left} more."] if left > 0 else []
    if report.next_experiments:
        lines.append(f"Next: {sentence(report.next_experiments[0].title)}")
    return [clean(line) for line in lines]


def escape(text: str) -> str:
    """Return prose with everything outside code spans made plain text: no HTML, links, emphasis or tables."""
    parts = _SPAN.split(clean(text))
    return "".join(part if at % 2 else _plain(part) for at, part in enumerate(parts))


def _plain(text: str) -> str:
    text = re.sub(r"([\\`*|])", r"\\\1", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)
    text = re.sub(r"(?<!\w)(_+)(?=\S)|(?<=\S)(_+)(?!\w)", lambda m: "\\_" * len(m[0]), text)
    text = re.sub(r"~~", r"\\~\\~", text)
    return re.sub(r"(?i)\b(https?|ftp)://", r"\1\\://", re.sub(r"(?i)\bwww\.", r"www\\.", text))


def _cell(text: object) -> str:
    return str(text).replace("|", "\\|")


def _section(title: str, items: Iterable[str]) -> list[str]:
    lines = [f"- {escape(item)}" for item in items]
    return [f"## {title}", *lines] if lines else []


def _capped(sentences: Sequence[str], limit: int = SENTENCES) -> list[str]:
    shown = [sentence(text) for text in sentences[:limit]]
    left = len(sentences) - len(shown)
    return [*shown, f"{left} more: see --json."] if left else shown


def _telling(line: Lens) -> bool:
    """Whether the line belongs into the short report: the roles everyone looks at, and any with a fault."""
    return line.role in LENS_ALWAYS or not line.text.endswith(("no fault found", "of its own", ")", "not judged"))


def _lens(line: Lens) -> str:
    name = _role_name(line.role)
    levels = f"{number(line.start) or '?'} → {number(line.end) or '?'}"
    where = f" in {quoted(line.run)}" if line.run else ""
    return sentence(f"{name[:1].upper()}{name[1:]} {quoted(line.metric)}: {levels}{where}; {line.text}")


def _comparison(comparison: Comparison | None, primary: Primary | None, width: int | None) -> list[str]:
    if comparison is None or len(comparison.runs) < 2:
        return []
    name = _cell(quoted(primary.metric, 40)) if primary else "level"
    heads = ["#", "run", f"final {name}", "verdict", "state", "best (step)", "steps", "time"]
    rows = [_row(rank, line, comparison.best) for rank, line in enumerate(comparison.runs[:ROWS], 1)]
    table = _table(heads, rows, right={0, 2, 6})
    while width and len(table[0]) > width and len(heads) > FEWEST_COLUMNS:
        heads, rows = heads[:-1], [row[:-1] for row in rows]
        table = _table(heads, rows, right={0, 2, 6})
    left = len(comparison.runs) - ROWS
    if left > 0:
        table += ["", f"{plural(left, 'more run')} left out here: `--json` has them all."]
    note = ["", escape(comparison.note)] if comparison.note else []
    return ["## Comparison", "", *table, *note]


def _row(rank: int, line: RankedRun, best: str | None) -> list[str]:
    peak = f"{number(line.best)} ({line.best_step:,})" if line.best_step is not None else number(line.best)
    state = ", ".join(dict.fromkeys([line.state, *line.marks]))
    return [
        f"{rank}{' best' if line.id == best else ''}" if line.value is not None else "–",
        _cell(quoted(line.name, NAME_WIDTH)),
        number(line.value) or "–",
        line.verdict,
        state,
        peak or "–",
        f"{line.steps:,}" if line.steps is not None else "–",
        duration(line.duration) or "–",
    ]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> list[str]:
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    rule = [("-" * (w - 1) + ":") if i in right else "-" * w for i, w in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    return [line(heads), line(rule), *(line(row) for row in rows)]


def _differences(report: Report) -> list[str]:
    comparison = report.comparison
    if comparison is None or len(comparison.runs) < 2:
        return []
    projects = {(one.run.entity, one.run.project) for one in report.runs}
    if len(projects) > 1:
        return [f"Not shown: the runs are of {len(projects)} projects ({len(comparison.config_keys)} keys differ)."]
    keys = [key for key in comparison.config_keys if not is_bookkeeping(key)]
    keys.sort(key=is_seed)
    shown = [f"{quoted(key)}: {_values(comparison.runs, key)}" for key in keys[:KEYS]]
    hidden = [key for key in comparison.config_keys if key not in keys[:KEYS]]
    if hidden:
        shown.append(f"{plural(len(hidden), 'more key')} in --json: {listed(hidden, 6)}.")
    return shown


def _values(runs: Sequence[RankedRun], key: str) -> str:
    """Say which runs have which value of a key, the most common first; single runs by name."""
    groups: dict[str, list[RankedRun]] = {}
    for line in runs:
        value = line.config.get(key)
        groups.setdefault("not set" if value is None else quoted(number(value), 40), []).append(line)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    numbers = [float(v) for v in (line.config.get(key) for line in runs) if _is_number(v)]
    if len(ordered) > 2 * VALUES and len(numbers) == len(runs):
        return f"{len(ordered)} values from {number(min(numbers))} to {number(max(numbers))}"
    parts = [
        f"{value} in {f'{len(lines)} runs' if len(lines) > 1 else quoted(lines[0].name, NAME_WIDTH)}"
        for value, lines in ordered[:VALUES]
    ]
    left = len(ordered) - VALUES
    return "; ".join([*parts, f"{plural(left, 'other value')}"] if left > 0 else parts)


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _experiments(experiments: Sequence[Experiment]) -> list[str]:
    if not experiments:
        return []
    lines = ["## Next experiments"]
    for count, one in enumerate(experiments, 1):
        lines.append(f"{count}. **{escape(one.title)}**")
        lines.append(f"   Why: {escape(sentence(one.why))}")
        lines.append(f"   Expect: {escape(sentence(one.expect))} Wrong if {escape(sentence(one.refute))}")
    return lines


def _errors(errors: Sequence[Mapping[str, str]]) -> list[str]:
    return _capped([f"{quoted(one.get('name', one['run']))}: {one['message']}" for one in errors], 10)


def _checked(report: Report) -> list[str]:
    if not report.runs:
        return []
    runs = len(report.runs)
    passed = sum(len(one.passed) for one in report.runs)
    found = sum(f.severity != "good" for one in report.runs for f in one.findings)
    reasons: dict[str, Counter[str]] = {}
    for one in report.runs:
        for skip in one.skipped:
            if skip.id in OF_THE_STATE:
                continue
            reasons.setdefault(skip.reason, Counter())[skip.id] += 1
    skipped = sum(len(one.skipped) for one in report.runs)
    over = "" if runs == 1 else f" over {runs} runs"
    said = [f"{plural(passed + found, 'check')} made{over}, {found} with a finding; {skipped} skipped."]
    said += _reasons(reasons, runs)
    return said + _warnings(report)


def _reasons(reasons: Mapping[str, Counter[str]], runs: int) -> list[str]:
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
            _role_name(role) + ("" if count == runs else _in(count, runs)) for role, count in lacking.items()
        )
        said.append(f"Not judged, because no metric plays the role: {named}.")
    left = len(others) - REASONS
    return [*said, *others[:REASONS], *([f"{plural(left, 'more reason')} in --json."] if left > 0 else [])]


def _in(count: int, runs: int) -> str:
    return "" if runs == 1 else " in all runs" if count == runs else f" in {count} of {runs} runs"


def _role_name(role: str) -> str:
    return _ROLE_NAMES.get(role, role.replace("_", " "))


def _warnings(report: Report) -> list[str]:
    said = [
        f"{quoted(name)}: {warning}"
        for name, one in zip(short_names([r.run for r in report.runs]), report.runs, strict=True)
        for warning in one.run.warnings
    ]
    return _capped(said, 3)


def _roles(report: Report) -> list[str]:
    lines = []
    if report.primary:
        better = "higher" if report.primary.direction == "max" else "lower"
        lines.append(f"Ranked by {quoted(report.primary.metric)}, {better} is better: {report.primary.why}.")
    else:
        lines.append("No metric to rank by was recognised: name one with --primary.")
    why = {(m.role, m.metric): m.why for one in report.runs for m in one.roles}
    named = [
        f"{_role_name(role)} {quoted(metric)}"
        + (" (given by you)" if why.get((role, metric)) == "given by you" else "")
        for role, metric in report.roles.items()
    ]
    lines.append(f"Recognised: {', '.join(named)}. Reasons in --json." if named else "No metric has a known role.")
    if not named or not report.primary:
        lines.append(f"Logged: {listed(report.metrics, 12)}." if report.metrics else "No numeric metric was logged.")
    return lines


def _reproduce(report: Report) -> list[str]:
    lines = [quoted(report.command, 400)] if report.command else []
    newest = max((one.run.last_activity for one in report.runs if one.run.last_activity), default=None)
    data = f"; data up to {moment(newest)} UTC" if newest else ""
    lines.append(
        f"wandb-toolkit {report.tool_version}, source {report.source}, made {moment(report.generated_at)} UTC{data}."
    )
    ids = [one.run.id for one in report.runs]
    if ids:
        lines.append(f"Runs: {listed(ids, IDS)}.")
    return lines


def _wrap(lines: Iterable[str], width: int | None) -> list[str]:
    """Wrap prose for a terminal so that no continuation line starts a Markdown block; tables stay whole."""
    wrapped: list[str] = []
    for line in lines:
        if width is None or len(line) <= width or line.startswith(("|", "#")):
            wrapped.append(line)
            continue
        start = re.match(r"\s*(?:[-*] |\d+\. )?", line)
        hang = " " * len(start[0] if start else "")
        parts = textwrap.wrap(line, width, subsequent_indent=hang, break_long_words=False, break_on_hyphens=False)
        wrapped += _safe_starts(parts, hang)
    return wrapped


def _safe_starts(parts: list[str], hang: str) -> list[str]:
    """Move a word that would start a block back to the end of the line before it."""
    for at in range(1, len(parts)):
        while _BLOCK_START.match(parts[at].strip()):
            first, _, rest = parts[at].strip().partition(" ")
            parts[at - 1] += f" {first}"
            parts[at] = hang + rest
    return [part for part in parts if part.strip()]
