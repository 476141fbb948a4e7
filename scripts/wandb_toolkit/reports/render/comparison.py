"""The comparison of a report as Markdown: the ranking, and in full what it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wandb_toolkit.configs import is_number, is_seed, tells_nothing
from wandb_toolkit.model import AcrossTasks, Comparison, Cost, Primary, RankedRun, Report, Signal, Signals, Standing
from wandb_toolkit.reports.render.escaping import cell, escape
from wandb_toolkit.text import duration, fitting_names, listed, number, plural, quoted, spent

ROWS = 8  # of the table in the short report
MANY = 20  # of each table where the comparison is asked for
KEYS = 6  # of the config config_differences
VALUES = 4  # of one config key
FRONT = 4  # configurations on a Pareto front that are named
SIGNALS = 3
SURE = 0.05  # p of a setting that goes with the result
NAME_WIDTH = 32
TASK_WIDTH = 24
TASKS = 6  # whose scale is said
ACROSS = "Over several tasks (levels normalised per task)"
FEWEST_COLUMNS = 5  # of a table in a narrow terminal

_UNITS: dict[Cost, str] = {"step": "steps", "time": "time", "tokens": "tokens"}


@dataclass(frozen=True)
class Table:
    """A table's heads, rows (names in backquotes), and the columns that are numbers."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    right: frozenset[int]

    def lines(self, width: int | None = None) -> list[str]:
        """Return the Markdown; columns that a terminal has no room for are left out from the right."""
        heads, rows = list(self.heads), [list(row) for row in self.rows]
        made = _table(heads, rows, self.right)
        while width and len(made[0]) > width and len(heads) > FEWEST_COLUMNS:
            heads, rows = heads[:-1], [row[:-1] for row in rows]
            made = _table(heads, rows, self.right)
        return made


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: frozenset[int]) -> list[str]:
    heads, rows = [cell(one) for one in heads], [[cell(one) for one in row] for row in rows]
    # A delimiter cell is a hyphen at least, beside its colon.
    widths = [max(2, *(len(row[i]) for row in [heads, *rows])) for i in range(len(heads))]
    rule = [("-" * (w - 1) + ":") if i in right else "-" * w for i, w in enumerate(widths)]

    def line(cells: Sequence[str]) -> str:
        padded = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(cells, widths, strict=True))]
        return f"| {' | '.join(padded)} |"

    return [line(heads), line(rule), *(line(row) for row in rows)]


def comparison_lines(report: Report, width: int | None, *, full: bool, most: int | None) -> list[str]:
    """Return the section; `full` adds the configurations, the common points and the settings, in up to `most` rows."""
    comparison = report.comparison
    if comparison is None or len(comparison.runs) < 2:
        return []
    lines = ["## Comparison", "", *_ranking_lines(comparison, report.primary, width, full=full, most=most)]
    lines += ["", escape(comparison.note)] if comparison.note else []
    over = across(comparison.across)
    if over and comparison.across:
        lines += ["", f"### {ACROSS}", "", *_first(over, width, most), "", escape(comparison.across.note)]
        lines += [escape(scales(comparison.across))]
    if full:
        for title, table in (
            ("Configurations", configurations(comparison)),
            ("At the same cost, and up to the target", costs(comparison)),
            ("Settings that correlate with the result (correlation, not proof)", settings(comparison.signals)),
        ):
            lines += ["", f"### {title}", "", *_first(table, width, most)] if table else []
    said = [f"- {escape(text)}" for text in remarks(comparison, report.primary, full=full)]
    return [*lines, *([""] if said else []), *said]


def _ranking_lines(
    comparison: Comparison, primary: Primary | None, width: int | None, *, full: bool, most: int | None
) -> list[str]:
    """Return the first rows of the ranking, of each task as many as of the others."""
    table = ranking(comparison, primary, full=full)
    tasks = len({line.task for line in comparison.runs if line.task})
    if not most or tasks < 2 or len(table.rows) <= most:
        return _first(table, width, most)
    each = max(most // tasks, 1)
    ranked = zip(table.rows, comparison.runs, ranks_of(comparison), strict=True)
    shown = [row for row, line, rank in ranked if line.task and rank <= each][:most]
    return [*Table(table.heads, shown, table.right).lines(width), *_left_out(len(table.rows) - len(shown))]


def _first(table: Table, width: int | None, most: int | None) -> list[str]:
    """Return the first rows of a table, and how many more there are."""
    left = len(table.rows) - most if most else 0
    shown = Table(table.heads, table.rows[:most], table.right)
    return [*shown.lines(width), *_left_out(left)]


def _left_out(rows: int) -> list[str]:
    return ["", f"{plural(rows, 'more row')} left out here: `--full` shows them all."] if rows > 0 else []


def ranking(comparison: Comparison, primary: Primary | None, *, full: bool) -> Table:
    """Return the runs, the best first; those of different tasks each within theirs."""
    name = quoted(primary.metric, 40) if primary else "level"
    heads = ["#", "run", f"final {name}", "verdict", "state", "best (step)", "steps", "time"]
    labels, leading = labels_of(comparison), _leading(comparison)
    rows = [
        _row(rank, line, labels, leading.get(line.at, ""))
        for rank, line in zip(ranks_of(comparison), comparison.runs, strict=True)
    ]
    if full and any(line.tokens is not None for line in comparison.runs):
        heads.append("tokens")
        for row, line in zip(rows, comparison.runs, strict=True):
            row.append(_amount("tokens", line.tokens))
    right = frozenset({0, 2, 6, 8})
    if any(line.task for line in comparison.runs):
        heads.insert(2, "task")
        for row, line in zip(rows, comparison.runs, strict=True):
            row.insert(2, quoted(line.task, TASK_WIDTH) if line.task else "–")
        right = frozenset({0, 3, 7, 9})
    return Table(heads, rows, right)


def ranks_of(comparison: Comparison) -> list[int]:
    """Return each line's rank, from 1 within each task."""
    ranks: list[int] = []
    within: Counter[str | None] = Counter()
    for line in comparison.runs:
        within[line.task] += 1
        ranks.append(within[line.task])
    return ranks


def _leading(comparison: Comparison) -> dict[int, str]:
    """Return by place in the report what is written beside the ranks of leaders; alone in its task, none leads."""
    values = Counter(line.task for line in comparison.runs if line.value is not None)
    said: dict[int, str] = {}
    for line in comparison.runs:
        if line.at in comparison.leaders and values[line.task] > 1:
            above = [one for one in comparison.runs if one.task == line.task and not one.marks]
            # A seed of another configuration may end above all of the one that is best on the whole.
            said[line.at] = " best" if not above or above[0].at == line.at else " best mean"
    return said


def labels_of(comparison: Comparison) -> dict[int, str]:
    """Return by a run's place in the report what tables call it: short, and no two alike."""
    seen = Counter(line.name for line in comparison.runs)
    names = [f"{line.name} ({line.id})" if seen[line.name] > 1 else line.name for line in comparison.runs]
    return {line.at: name for line, name in zip(comparison.runs, fitting_names(names, NAME_WIDTH), strict=True)}


def _row(rank: int, line: RankedRun, labels: Mapping[int, str], leads: str) -> list[str]:
    peak = f"{number(line.best)} ({line.best_step:,})" if line.best_step is not None else number(line.best)
    state = ", ".join(dict.fromkeys([line.state, *line.marks]))
    return [
        f"{rank}{leads}" if line.value is not None else "–",
        quoted(labels[line.at]),
        number(line.value) or "–",
        line.verdict,
        state,
        peak or "–",
        f"{line.steps:,}" if line.steps is not None else "–",
        duration(line.duration) or "–",
    ]


def _amount(cost: Cost, amount: float | None) -> str:
    return spent(cost, amount).removesuffix(" tokens").removesuffix(" steps") if amount is not None else "–"


def configurations(comparison: Comparison) -> Table | None:
    """Return the configurations with their intervals, the best first; None where that would repeat the ranking."""
    shown = comparison.configurations
    if not any(len(one.runs) > 1 for one in shown):
        return None
    heads = ["#", "configuration", "runs", "level", "95%", "behind the first (95%)", "apart", "from"]
    labels = labels_of(comparison)  # a configuration is called after its best run, as in the ranking
    within: Counter[str | None] = Counter()
    rows = []
    for one in shown:
        within[one.task] += 1
        rows.append(_standing(within[one.task], one, labels[one.at[0]]))
    right = frozenset({0, 2, 3})
    if any(one.task for one in shown):
        heads.insert(2, "task")
        for row, one in zip(rows, shown, strict=True):
            row.insert(2, quoted(one.task, TASK_WIDTH))
        right = frozenset({0, 3, 4})
    return Table(heads, rows, right)


def _standing(rank: int, one: Standing, label: str) -> list[str]:
    low, high = one.low, one.high
    behind = "–" if one.gap is None else number(one.gap, 3)
    if one.gap_low is not None:
        behind += f" ({number(one.gap_low, 3)} to {number(one.gap_high, 3)})"
    return [
        str(rank),
        quoted(label),
        str(len(one.runs)),
        number(one.value),
        f"{number(low)} to {number(high)}" if low is not None else "?",
        behind,
        "–" if one.gap is None else {True: "yes", False: "no", None: "?"}[one.apart],
        one.how,
    ]


def across(found: AcrossTasks | None) -> Table | None:
    """Return the configurations over the tasks that they share, the best first."""
    if found is None:
        return None
    shown = found.configurations
    heads = ["#", "configuration", "runs", "IQM", "95%", "behind the first (95%)", "apart", "first beats it (95%)"]
    heads += [f"runs > {level:g}" for level in found.levels]
    labels = fitting_names([one.label for one in shown], NAME_WIDTH)
    rows = [
        [
            str(rank),
            quoted(label),
            str(sum(one.seeds)),
            number(one.iqm, 3),
            _between(one.low, one.high) or "?",
            "–" if one.gap is None else _with(one.gap, one.gap_low, one.gap_high),
            "–" if one.gap is None else {True: "yes", False: "no", None: "?"}[one.apart],
            "–" if one.beaten is None else _with(one.beaten, one.beaten_low, one.beaten_high),
            *(f"{share:.0%}" for share in one.profile),
        ]
        for rank, (one, label) in enumerate(zip(shown, labels, strict=True), 1)
    ]
    return Table(heads, rows, frozenset({0, 2, 3, *range(8, len(heads))}))


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None else f"{number(low, 3)} to {number(high, 3)}"


def _with(value: float, low: float | None, high: float | None) -> str:
    return number(value, 3) + ("" if low is None else f" ({_between(low, high)})")


def scales(found: AcrossTasks) -> str:
    """Return what 0 and 1 are on each task."""
    each = "; ".join(f"{quoted(one.task, 40)} {number(one.zero)} and {number(one.one)}" for one in found.tasks[:TASKS])
    more = f"; {len(found.tasks) - TASKS} more tasks in --json" if len(found.tasks) > TASKS else ""
    return f"0 is the start or the worst configuration's median, 1 the best configuration's median: {each}{more}."


def costs(comparison: Comparison) -> Table | None:
    """Return each run's level where all have spent the same, and what it took to reach the target."""
    points, goal = comparison.common, comparison.target
    reached = [c for c in _UNITS if any(c in line.reached for line in comparison.runs)] if goal else []
    shown = [line for line in comparison.runs if line.same or line.reached]
    if not shown or not (points or reached):
        return None
    heads = ["run", *(f"after {spent(point.cost, point.amount)}" for point in points)]
    heads += [f"{_UNITS[cost]} to {number(goal.value)}" for cost in reached] if goal else []
    labels = labels_of(comparison)
    rows = [
        [
            quoted(labels[line.at]),
            *(number(line.same.get(point.cost)) or "–" for point in points),
            *(_amount(cost, line.reached.get(cost)) for cost in reached),
        ]
        for line in shown
    ]
    return Table(heads, rows, frozenset(range(1, len(heads))))


def settings(signals: Signals | None) -> Table | None:
    """Return the settings by how surely they go with the result."""
    if signals is None or not signals.signals:
        return None
    heads = ["setting", "strength", "p (Holm)", "configurations", "values", "importance"]
    rows = [
        [
            quoted(one.key, 40),
            f"ρ {one.strength:+.2f}" if one.kind == "order" else f"η {one.strength:.2f}",
            number(one.p, 2),
            str(one.count),
            str(one.values),
            "–" if one.importance is None else f"{max(one.importance, 0.0):.2f}",
        ]
        for one in signals.signals
    ]
    return Table(heads, rows, frozenset({1, 2, 3, 4, 5}))


def remarks(comparison: Comparison, primary: Primary | None, *, full: bool) -> list[str]:
    """Return what else the comparison says, a sentence each."""
    said = [point.note for point in comparison.common if point.note and (full or point.telling)]
    if any(one.task for one in comparison.configurations):
        return [*said, *_signals(comparison.signals, primary, full=full)]  # what follows is of all runs together
    level = [one.names[0] for one in comparison.configurations[1:] if one.apart is False]
    if len(level) > 1:
        said.append(f"Not told apart from the best by more than chance: {listed(level)}.")
    goal = comparison.target
    if goal and goal.note and len(comparison.configurations) > 1:
        why = goal.why if full or goal.why == "given by you" else "level reached by every run that made real progress"
        said.append(f"To reach {number(goal.value)} ({why}): {goal.note}.")
    for cost in ("time", "tokens", "step"):
        said += _front(comparison, cost, primary)
        if said and cost == "time" and not full:
            break
    return [*said, *_signals(comparison.signals, primary, full=full)]


def _front(comparison: Comparison, cost: Cost, primary: Primary | None) -> list[str]:
    """Say which configurations are the best for their cost; nothing where costs do not differ."""
    known = [(one, _cost(one, cost)) for one in comparison.configurations]
    amounts = [amount for _, amount in known if amount is not None]
    if len(amounts) < 3 or primary is None or min(amounts) == max(amounts):
        return []
    front = [(one, amount) for one, amount in known if amount is not None and cost in one.front]
    named = [f"{quoted(one.names[0])} {number(one.value)} for {spent(cost, amount)}" for one, amount in front]
    if len(named) == 1:
        return [f"Quality vs. {_UNITS[cost]}: {quoted(front[0][0].names[0])} is both the best and the cheapest."]
    more = len(named) - FRONT
    text = "; ".join([*named[:FRONT], f"and {more} more"] if more > 0 else named)
    return [f"Pareto front, quality vs. {_UNITS[cost]}: {text}."]


def _cost(one: Standing, cost: Cost) -> float | None:
    return {"time": one.seconds, "tokens": one.tokens, "step": one.steps}[cost]


def _signals(found: Signals | None, primary: Primary | None, *, full: bool) -> list[str]:
    if found is None or primary is None or found.refused:  # why not is said under "Checked and skipped"
        return []
    sure = [one for one in found.signals if one.p < SURE]
    said = []
    metric, over = quoted(primary.metric), f"over {plural(found.count, 'configuration')}"
    if sure:
        texts = "; ".join(_signal(one) for one in sure[:SIGNALS])
        said.append(f"Correlated with {metric} {over} (not proof of a cause): {texts}.")
    else:
        looked = plural(len(found.signals), "setting")
        said.append(f"None of {looked} correlates with {metric} {over} beyond chance (p ≥ {SURE} after Holm).")
    # A setting with its best value in the middle has no order, yet a model needs it.
    hidden = [one for one in found.signals if one.p >= SURE and (one.importance or 0) > 0.1]
    if hidden:
        said.append(f"The model needs {listed([o.key for o in hidden])}, in no order: its best may lie in the middle.")
    if full and found.model:
        said.append(f"Importance: {found.model}.")
    return said


def _signal(one: Signal) -> str:
    also = f" (with {listed(one.also, 2)}, which vary with it)" if one.also else ""
    how = f"ρ {one.strength:+.2f}" if one.kind == "order" else f"η {one.strength:.2f}, best {quoted(one.best, 40)}"
    weight = f", importance {one.importance:.2f}" if one.importance is not None else ""
    better = ""
    if one.kind == "order":
        better = ", more is better" if one.strength > 0 else ", less is better"
    return f"{quoted(one.key)}{also} {how}, p {number(one.p, 2)}{weight}{better}"


def config_differences(report: Report, *, full: bool) -> list[str]:
    """Return a sentence for each config key that differs between the runs."""
    comparison = report.comparison
    if comparison is None or len(comparison.runs) < 2:
        return []
    projects = {(one.run.entity, one.run.project) for one in report.runs}
    if len(projects) > 1:
        return [f"Not shown: the runs are of {len(projects)} projects ({len(comparison.config_keys)} keys differ)."]
    keys = [
        key
        for key in comparison.config_keys
        if full or not all(tells_nothing(key, line.config.get(key)) for line in comparison.runs)
    ]
    keys.sort(key=is_seed)
    most = len(keys) if full else KEYS
    labels = labels_of(comparison)
    shown = [f"{quoted(key)}: {_values(comparison.runs, key, labels)}" for key in keys[:most]]
    hidden = [key for key in comparison.config_keys if key not in keys[:most]]
    if hidden:
        shown.append(f"{plural(len(hidden), 'more key')} with --full: {listed(hidden, 6)}.")
    return shown


def _values(runs: Sequence[RankedRun], key: str, labels: Mapping[int, str]) -> str:
    """Say which runs have which value of a key, the most common first; single runs by name."""
    groups: dict[str, list[RankedRun]] = {}
    for line in runs:
        value = line.config.get(key)
        groups.setdefault("not set" if value is None else quoted(number(value), 40), []).append(line)
    ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
    numbers = [float(v) for v in (line.config.get(key) for line in runs) if is_number(v)]
    if len(ordered) > 2 * VALUES and len(numbers) == len(runs):
        return f"{len(ordered)} values from {number(min(numbers))} to {number(max(numbers))}"
    parts = [
        f"{value} in {f'{len(lines)} runs' if len(lines) > 1 else quoted(labels[lines[0].at])}"
        for value, lines in ordered[:VALUES]
    ]
    left = len(ordered) - VALUES
    return "; ".join([*parts, f"{plural(left, 'other value')}"] if left > 0 else parts)
