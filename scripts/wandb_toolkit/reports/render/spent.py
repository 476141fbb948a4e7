"""What the section on cost says, for Markdown and HTML alike."""

from __future__ import annotations

from wandb_toolkit.model import Report, RunSpent
from wandb_toolkit.reports.render.comparison import NAME_WIDTH, Table
from wandb_toolkit.text import duration, number, plural, quoted, sentence

MOST = 5  # configurations that are named


def spent_lines(report: Report, *, full: bool = False) -> list[str]:
    """Return the sum, then the configurations that cost most; [] where no run had a GPU."""
    found = report.spent
    if found is None or not found.gpu_hours:
        return []
    had = [one for one in found.runs if one.gpu_hours]
    whose = "" if len(found.runs) == 1 else f" of {plural(len(had), 'run')}"
    said = [
        f"{hours(found.gpu_hours)} GPU hours in all: {duration(found.hours * 3600)} of run time{whose}{_machines(had)}"
    ]
    if len(found.configurations) > 1:
        shown = [one for one in found.configurations if one.gpu_hours]
        for one in shown if full else shown[:MOST]:
            names = quoted(one.names[0], NAME_WIDTH)
            names += f" and {plural(len(one.names) - 1, 'more run')} of its configuration" if len(one.names) > 1 else ""
            share = f" ({one.share:.0%})" if one.share is not None else ""
            said.append(f"{names}: {hours(one.gpu_hours)} GPU hours{share}")
        left = len(shown) - MOST
        said += [f"{plural(left, 'more configuration')} cost less"] if left > 0 and not full else []
    return [sentence(text) for text in [*said, *([f"Not counted: {found.note}"] if found.note else [])]]


def spent_table(report: Report) -> Table | None:
    """Return what each run cost, the dearest first; None where no run had a GPU."""
    found = report.spent
    if found is None or not found.gpu_hours or len(found.runs) < 2:
        return None
    rows = [
        [quoted(one.name, NAME_WIDTH), one.state, hours(one.hours), _gpus(one), hours(one.gpu_hours)]
        for one in sorted(found.runs, key=lambda one: -(one.gpu_hours or 0.0))
    ]
    return Table(["run", "state", "hours", "GPUs", "GPU hours"], rows, frozenset({2, 4}))


def hours(value: float | None) -> str:
    """Return hours as people write them, "–" where they are not known."""
    return "–" if value is None else f"{value:,.1f}" if value >= 10 else number(value, 2)


def _gpus(one: RunSpent) -> str:
    if one.gpus is None:
        return "–"
    of = f" of {one.machine_gpus}" if one.machine_gpus and one.machine_gpus > one.gpus else ""
    return f"{one.gpus}{of}" + (f" x {quoted(one.gpu, 40)}" if one.gpu and one.gpus else "")


def _machines(had: list[RunSpent]) -> str:
    told = list(dict.fromkeys(_gpus(one) for one in had))
    unnamed = not had[0].gpu
    return f" on {told[0]}{' GPU' + 's' * (had[0].gpus != 1) if unnamed else ''}" if len(told) == 1 else ""
