"""Many runs by their results: what each was set to, and what came out.

The result is the last value that a run logged of a metric, as its summary holds it: that is what W&B's own scatter and
parallel coordinates plots show, and no history need be read for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from wandb_toolkit import configs
from wandb_toolkit.errors import NotFoundError, UsageError, did_you_mean
from wandb_toolkit.model import Direction, Run
from wandb_toolkit.output import digest, run_key
from wandb_toolkit.plots.group_keys import is_group_key, names_of, value_of
from wandb_toolkit.plots.scales import as_float

if TYPE_CHECKING:
    from wandb_toolkit.model import Signals
    from wandb_toolkit.plots.coloring import Coloring

SUMMARY = "summary."
FAILED = ("crashed", "failed", "killed", "preempted")
UNFINISHED = ("running", "pending")
MOST_AXES = 8  # settings in one figure of parallel coordinates
# What W&B's define_metric(summary=...) puts below a metric's name.
_KINDS = ("last", "best", "max", "min", "mean")


@dataclass(frozen=True, eq=False)
class Trial:
    """One run with its result."""

    run: Run
    label: str
    index: int  # of the run in the call
    result: float  # NaN: none that is finite
    logged: float | None  # as logged: NaN and infinities; None: never logged
    group: int | None = None  # of the call's groups

    @property
    def state(self) -> str:
        """What the figure marks it as: "failed", "running" or "finished"."""
        return "failed" if self.run.state in FAILED else "running" if self.run.state in UNFINISHED else "finished"

    @property
    def counts(self) -> bool:
        """Whether its result is one: of a run that finished."""
        return self.state == "finished" and math.isfinite(self.result)


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of one figure."""

    metric: str  # as its summary calls it
    direction: Direction
    trials: tuple[Trial, ...]
    keys: tuple[str, ...]  # what the results are drawn against, such as "config.lr"
    settings: Mapping[str, tuple[Any, ...]]  # of each key: the trials' values, None for none
    groups: tuple[str, ...] = ()  # labels; () where nothing was grouped
    group_by: str | None = None
    noun: str = "run"  # what a trial is
    coloring: Coloring | None = None
    signals: Signals | None = None  # which settings go with the result
    notes: tuple[str, ...] = ()
    seeds: tuple[tuple[int, ...], ...] = field(default=())  # places in `trials` of runs that differ in seeds only

    @property
    def best(self) -> Trial | None:
        """The run that finished with the best result."""
        sign = 1 if self.direction == "max" else -1
        return max((one for one in self.trials if one.counts), key=lambda one: sign * one.result, default=None)


def result_name(runs: Sequence[Run], wanted: str) -> tuple[str, str]:
    """Return what the summaries call a metric, and a note where that is not its plain name.

    Raises:
        NotFoundError: no summary has it; the hint has the nearest.
        UsageError: it is not a number in any of them.
    """
    flats = [configs.flatten(run.summary) for run in runs]
    name = wanted.removeprefix(SUMMARY) if not any(wanted in flat for flat in flats) else wanted
    note = ""
    if not any(name in flat for flat in flats):
        kept = next((kind for kind in _KINDS if any(f"{name}.{kind}" in flat for flat in flats)), None)
        if kept is None:
            names = {key for flat in flats for key, value in flat.items() if _result(value) is not None}
            shown = sorted(one for one in names if not one.startswith("_"))
            raise NotFoundError(f"None of the runs has a result {wanted!r}.", did_you_mean(wanted, shown, "metric"))
        name, note = f"{name}.{kept}", f"the {kept} value, which the runs keep in their summaries"
    if all(_result(flat.get(name)) is None for flat in flats):
        raise UsageError(f"{wanted} is not a number in any of the runs.", "list_metrics shows what is numeric.")
    return name, note


def setting_of(run: Run, key: str) -> Any:
    """Return what a run has under "config.KEY", "summary.KEY", "group", "job_type" or "sweep"; None for nothing."""
    if key.startswith(SUMMARY):
        return configs.flatten(run.summary).get(key.removeprefix(SUMMARY))
    return value_of(run, key)


def check_key(key: str) -> None:
    """Refuse what results cannot be drawn against.

    Raises:
        UsageError: it is no such key.
    """
    if not is_group_key(key) and not (key.startswith(SUMMARY) and len(key) > len(SUMMARY)):
        raise UsageError(
            f"Results cannot be drawn against {key!r}.",
            f"Give config.{key}, or summary.METRIC, group, job_type or sweep.",
        )


def checked_keys(runs: Sequence[Run], keys: Sequence[str]) -> None:
    """Refuse keys that no run has.

    Raises:
        NotFoundError: the hint has the nearest.
    """
    for key in keys:
        if all(setting_of(run, key) is None for run in runs):
            results = {f"{SUMMARY}{name}" for run in runs for name in configs.flatten(run.summary)}
            names = sorted(results) if key.startswith(SUMMARY) else names_of(runs)
            raise NotFoundError(f"None of the runs has {key}.", did_you_mean(key, names, "key"))


def varied_keys(runs: Sequence[Run]) -> tuple[list[str], int]:
    """Return the config keys that differ between the runs and can explain a result, and how many more there are.

    Seeds are left out, and what only names a run or says where it ran and wrote. Those set most often come first.
    """
    flats = [configs.flatten(run.config) for run in runs]
    found = [
        key
        for key in configs.differences([run.config for run in runs])
        if not configs.is_seed(key)
        and not all(configs.tells_nothing(key, flat[key]) for flat in flats if key in flat)
        and not _names_runs(key, flats)
    ]
    return [f"config.{key}" for key in found[:MOST_AXES]], max(len(found) - MOST_AXES, 0)


def sweep_of(
    runs: Sequence[Run],
    labels: Sequence[str],
    metric: str,
    direction: Direction,
    keys: Sequence[str],
    *,
    groups: Mapping[str, Sequence[int]] | None = None,
    group_by: str | None = None,
    coloring: Coloring | None = None,
    notes: Sequence[str] = (),
) -> Sweep:
    """Return what the figures are made of; `metric` as `result_name` gives it."""
    groups = groups or {}
    member = {at: place for place, members in enumerate(groups.values()) for at in members}
    trials = []
    for at, (run, label) in enumerate(zip(runs, labels, strict=True)):
        logged = _result(configs.flatten(run.summary).get(metric))
        result = logged if logged is not None and math.isfinite(logged) else math.nan
        trials.append(Trial(run, label, at, result, logged, member.get(at)))
    settings = {key: tuple(setting_of(run, key) for run in runs) for key in keys}
    together: dict[object, list[int]] = {}
    same = configs.configurations_of([(run.config, run.name) for run in runs])
    for at, name in enumerate(same):
        if name is not None:
            together.setdefault((runs[at].entity, runs[at].project, name), []).append(at)
    seeds = tuple(tuple(places) for places in together.values() if len(places) > 1)
    return Sweep(
        metric, direction, tuple(trials), tuple(keys), settings, tuple(groups), group_by, "run", coloring, None,
        tuple(notes), seeds,
    )  # fmt: skip


def by_groups(sweep: Sweep) -> Sweep:
    """Return a sweep with one trial a group: the mean result of its runs that finished.

    Settings in which the runs of a group differ are left out.

    Raises:
        UsageError: the runs of some group differ in all of them.
    """
    members = [[at for at, one in enumerate(sweep.trials) if one.group == place] for place in range(len(sweep.groups))]
    agreed = [key for key in sweep.keys if all(_agree([sweep.settings[key][at] for at in own]) for own in members)]
    dropped = [key for key in sweep.keys if key not in agreed]
    if not agreed:
        raise UsageError(
            f"The runs of a group differ in {', '.join(dropped)}.",
            "Give --group-by all-but:config.seed, or --x with keys that the runs of a group share.",
        )
    trials = []
    for place, (label, own) in enumerate(zip(sweep.groups, members, strict=True)):
        ended = [sweep.trials[at] for at in own if sweep.trials[at].counts]
        first = ended[0] if ended else sweep.trials[own[0]]
        mean = math.fsum(one.result / len(ended) for one in ended) if ended else math.nan
        known = mean if ended else None
        trials.append(replace(first, label=f"{label} (n={len(ended)})", index=place, result=mean, logged=known))
    settings = {key: tuple(sweep.settings[key][own[0]] for own in members) for key in agreed}
    notes = [*sweep.notes, f"a line is the mean of a group's finished runs ({sweep.group_by})"]
    if dropped:
        notes.append(f"not drawn, as it differs within groups: {', '.join(dropped)}")
    return replace(
        sweep, trials=tuple(trials), keys=tuple(agreed), settings=settings, groups=(), noun="group", notes=tuple(notes),
        seeds=(),
    )  # fmt: skip


def owner_of_sweep(kind: str, sweep: Sweep) -> str:
    """Return what makes a figure the same one when it is drawn again."""
    looks = [f"by {sweep.group_by}", f"colored {sweep.coloring and sweep.coloring.key}"]
    parts = [kind, sweep.metric, *sweep.keys, *looks]
    return digest("\n".join([*parts, *sorted(run_key(one.run) for one in sweep.trials)]), 16)


def _agree(values: Sequence[Any]) -> bool:
    return len({configs.token(value) for value in values}) < 2


def _names_runs(key: str, flats: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a key of text has another value in almost every one of many runs."""
    values = [flat[key] for flat in flats if flat.get(key) is not None]
    if len(values) < 10 or all(configs.is_number(value) for value in values):
        return False
    return len({configs.token(value) for value in values}) > 0.5 * len(values)


def _result(value: object) -> float | None:
    """Return a number of a summary; None for anything else."""
    return as_float(value) if isinstance(value, (bool, int, float)) else None
