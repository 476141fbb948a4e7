"""What the section on running runs says, for Markdown and HTML alike."""

from __future__ import annotations

from wandb_toolkit.model import Report, RunForecast
from wandb_toolkit.reports.render.comparison import NAME_WIDTH
from wandb_toolkit.text import duration, moment, number, plural, quoted, sentence, short_names

FEW, MOST = 0.05, 0.95  # chances beyond which no number is given


def forecast_lines(report: Report) -> list[str]:
    """Return a line or two for each running run, or that none is running; [] where it was not asked."""
    found = report.forecast
    if found is None:
        return []
    names = dict(zip([one.run.id for one in report.runs], short_names([one.run for one in report.runs]), strict=True))
    said = []
    for one in found.runs:
        said.append(f"{quoted(names.get(one.run, one.name), NAME_WIDTH)}, {_where(one)}: {_level(one, found.coverage)}")
        if one.chance is not None:
            said[-1] += f"; {_chance(one)}"
    return [sentence(text) for text in [*said, *([found.note] if found.note else [])]]


def _where(one: RunForecast) -> str:
    if one.end is None:
        return f"at step {one.step:,}"
    text = f"at step {one.step:,} of {one.end:,}"
    if one.end and not one.end_from.startswith("its config"):
        text += f" (by {one.end_from})"
    if one.seconds_left is None or one.step >= one.end:
        return text
    left = duration(one.seconds_left)
    if one.silent:
        return f"{text}, {left} from its last row if it still runs"
    return f"{text}, {left} to go" + (f" (until {moment(one.finish)} UTC)" if one.finish else "")


def _level(one: RunForecast, coverage: float) -> str:
    if one.value is None:
        return f"no forecast, because {one.why_not}"
    how = (
        f"as {plural(one.siblings, 'finished run')} went on from there"
        if one.method == "siblings"
        else "from its own course alone"
    )
    band = f"{number(one.low)} to {number(one.high)}"
    return (
        f"{quoted(one.metric)} {number(one.level)} now, {number(one.value)} at the end ({coverage:.0%}: {band}), {how}"
    )


def _chance(one: RunForecast) -> str:
    chance = one.chance or 0.0
    said = f"under {FEW:.0%}" if chance < FEW else f"over {MOST:.0%}" if chance > MOST else f"{chance:.0%}"
    return f"chance to end better than {quoted(one.best_run, NAME_WIDTH)} ({number(one.best)}): {said}"
