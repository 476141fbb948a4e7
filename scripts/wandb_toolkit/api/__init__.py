"""What Python users import: `import wandb_toolkit as wt`.

Nothing is printed; errors are those of `wandb_toolkit.errors`. A target is what the scripts take: a local path,
`entity/project`, a W&B URL. `runs` is a run id, display name, glob, `latest:3`, `tag:x`, several of these, or a frame
that `wt.runs` returned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from wandb_toolkit.api.notebook import Report as Report
from wandb_toolkit.errors import NotFoundError, UsageError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from wandb_toolkit.model import Run
    from wandb_toolkit.plots.figures.view import View
    from wandb_toolkit.sources.base import Source

From: TypeAlias = Literal["auto", "local", "api", "sdk"]
Chosen: TypeAlias = "str | Sequence[str] | pd.DataFrame | None"

TIMEOUT = 60.0  # seconds of one operation on a server


def projects(entity: str | None = None, *, source: From = "auto", timeout: float = TIMEOUT) -> pd.DataFrame:
    """Return the projects of an entity, or of a local folder: one row each, the most recently active first.

    Args:
        entity: an entity, or a local path; None: your default entity, or the local runs at hand.
        source: where to read.
        timeout: seconds of one operation on a server.

    Raises:
        ToolkitError: as the scripts.
    """
    from wandb_toolkit.frames import projects_frame

    opened, _ = _open(entity, source, timeout, of_entity=True)
    return projects_frame(opened.projects())


def runs(
    target: str | Path | None = None,
    runs: Chosen = None,
    *,
    filter: str | None = None,  # noqa: A002 - as the scripts call it
    state: str | Sequence[str] = (),
    tags: str | Sequence[str] = (),
    order: str = "-created_at",
    limit: int | None = None,
    source: From = "auto",
    timeout: float = TIMEOUT,
) -> pd.DataFrame:
    """Return one row a run, by id: its facts, and its whole config and summary as columns `config.KEY`, `summary.KEY`.

    Whole numbers, floats, booleans and times have their types; lists and dicts stay what they are. `filter` is a
    condition such as ``"config.lr>=0.001 and not state==crashed"``. `order` is as in list_runs: ``"-created_at"``,
    ``"-summary_metrics.X"``, or by whole histories ``"best.X"`` (the best first), ``"min.X"``, ``"max.X"``,
    ``"mean.X"``, ``"last.X"``, which is a column of that name, too.

    Raises:
        NotFoundError: no run matches, or has the metric to order by.
        ToolkitError: as the scripts.
    """
    from wandb_toolkit.frames import runs_frame
    from wandb_toolkit.listing.statistics import ordering_of, read_statistics

    ordering = ordering_of(order)
    opened, chosen = _chosen(
        target, runs, filter, source, timeout, states=_several(state), tags=_several(tags),
        order="-created_at" if ordering else order, limit=None if ordering else limit,
    )  # fmt: skip
    if ordering is None:
        return runs_frame(opened.loaded(chosen))
    read = read_statistics(opened, chosen, ordering=ordering)
    places = read.places(ordering)[:limit]
    frame = runs_frame(opened.loaded([chosen[at] for at in places]))
    frame[ordering.title] = [read.values[at].get(ordering.title, float("nan")) for at in places]
    return frame


def history(
    target: str | Path | None = None,
    runs: Chosen = None,
    metrics: str | Sequence[str] | None = None,
    *,
    long: bool = False,
    filter: str | None = None,  # noqa: A002 - as the scripts call it
    x_axis: str | None = None,
    samples: int | None = None,
    smoothed: bool = False,
    last: int | None = None,
    source: From = "auto",
    timeout: float = TIMEOUT,
) -> pd.DataFrame:
    """Return the points of metrics, run after run: `run`, `name`, the training's own step, `_step`, the metrics.

    Metrics that were logged in separate calls are joined on their steps: a row lacks what was not logged in it. Every
    logged point is there, unless `samples` asks for about so many rows a run.

    Args:
        target: where to look.
        runs: which runs; None: all of them.
        metrics: names and globs; None: every number but system metrics.
        long: one row a point, with columns `metric` and `value`: tells a logged NaN from what was not logged.
        filter: a condition that the runs meet.
        x_axis: what counts steps; None: the axis that the runs defined, else a framework's counter, else `_step`.
        samples: about so many rows a run.
        smoothed: also what figures draw, as `METRIC (smoothed)`.
        last: only the last rows of each run.
        source: where to read.
        timeout: seconds of one operation on a server.

    Raises:
        NotFoundError: no such run or metric.
        ToolkitError: as the scripts.
    """
    from wandb_toolkit.frames import points_frame
    from wandb_toolkit.points.read import Wanted, read_points

    opened, chosen = _chosen(target, runs, filter, source, timeout)
    names = None if metrics is None else tuple(_several(metrics))
    found = read_points(opened, chosen, Wanted(names, x_axis, samples, smoothed, last=last))
    return points_frame(found.rows, long=long)


def table(
    target: str | Path, run: str, key: str, step: int | Literal["last", "all"] = "last", *, source: From = "auto",
    timeout: float = TIMEOUT,
) -> pd.DataFrame:  # fmt: skip
    """Return a W&B table that a run logged under a key: the last one, that of a step, or all, with a column `_step`.

    Raises:
        NotFoundError: the run logged no such table, or not at that step.
        ToolkitError: as the scripts, or the table cannot be read.
    """
    from wandb_toolkit.downloads.tables import tables_of
    from wandb_toolkit.frames import table_frame

    opened, chosen = _chosen(target, run, None, source, timeout)
    return table_frame(tables_of(opened, chosen[0], key, step), steps=step == "all")


def report(
    target: str | Path | None = None,
    runs: Chosen = None,
    *,
    filter: str | None = None,  # noqa: A002 - as the scripts call it
    primary: str | None = None,
    goal: float | None = None,
    roles: Mapping[str, str] | None = None,
    baseline: str | Sequence[str] | None = None,
    replay: bool = False,
    forecast: bool = False,
    max_runs: int = 80,
    window: int | None = None,
    now: datetime | None = None,
    source: From = "auto",
    timeout: float = TIMEOUT,
) -> Report:
    """Judge runs: what is good, what holds them back, what broke, how they compare, what to try next.

    Args:
        target: where to look.
        runs: which runs; None: the newest `max_runs`.
        filter: a condition that the runs meet.
        primary: the metric to rank by; None: chosen by name.
        goal: a level of it that runs are to reach.
        roles: role → metric, such as ``{"reward": "my/return"}``.
        baseline: runs known to be good (selectors, or ``latest-good``): what changed since, and is it worse? Without
            `runs`, the newest run is asked about.
        replay: look at ended runs prefix by prefix: when they could have been stopped.
        forecast: where running runs are heading: final level with an 80% band, end, chance to become the best.
        max_runs: at most so many runs are read.
        window: only the last so many rows of each run.
        now: the moment that the report is made for; None: this one.
        source: where to read.
        timeout: seconds of one operation on a server.

    Raises:
        ToolkitError: as the scripts.
    """
    from wandb_toolkit.reports.build import ReportOptions, build_report
    from wandb_toolkit.reports.spent import with_spent

    opened, chosen = _chosen(target, runs, filter, source, timeout, limit=max_runs if runs is None else None)
    options = ReportOptions(
        now=now or datetime.now(UTC), primary=primary, goal=goal, overrides=dict(roles or {}), window=window,
        as_of=now is not None,
    )  # fmt: skip
    if baseline is not None:
        from wandb_toolkit.changes.report import apart, with_changes

        named = [baseline] if isinstance(baseline, str) else list(baseline)
        chosen, known = apart(opened, named, chosen, options, newest=runs is None)
        options = replace(options, baseline=tuple(known))
        built = with_changes(opened, build_report(opened, chosen, options), options)
    else:
        built = build_report(opened, chosen, options)
    if replay:
        from wandb_toolkit.replay.gpus import gpus_of
        from wandb_toolkit.replay.replay import replay as replayed

        found = replayed(built, options, gpus=partial(gpus_of, opened))
        built = replace(built, report=replace(built.report, replay=found))
    if forecast:
        from wandb_toolkit.forecast.forecast import forecast as foreseen

        built = replace(built, report=replace(built.report, forecast=foreseen(built)))
    built = with_spent(opened, built)
    return Report(built.report.verdict, built.report, built.readings)


def check_claims(
    file: str | Path, target: str | Path | None = None, *, source: From = "auto", timeout: float = TIMEOUT
) -> pd.DataFrame:
    """Check the numbers that a text claims against the runs: one row a claim, in the order of the file.

    Columns: line, text, verdict (``confirmed``, ``best_as_final``, ...), reason, run, metric, statistic, claimed,
    actual, step, seeds. Nothing is written.

    Args:
        file: Markdown, LaTeX (.tex), or a YAML list of claims.
        target: where the runs are; None: what the file names with ``wandb-target``, else the runs at hand.
        source: where to read.
        timeout: seconds of one operation on a server.

    Raises:
        ToolkitError: as the script.
    """
    import pandas as pd

    from wandb_toolkit.claims.check import check
    from wandb_toolkit.claims.document import named_target, read_file
    from wandb_toolkit.claims.shape import claim_object

    path = Path(file)
    document = read_file(path)
    opened, selectors = _open(target if target is not None else named_target(document, path), source, timeout)
    columns = ["line", "text", "verdict", "reason", "run", "metric", "statistic", "claimed", "actual", "step", "seeds"]
    rows = [claim_object(one) for one in check(document, opened, selectors).claims]
    return pd.DataFrame(rows, columns=columns)


def plot(
    target: str | Path,
    runs: Chosen = None,
    metric: str = "",
    *,
    kind: Literal["lines", "scatter", "parallel", "bars"] = "lines",
    x: str | Sequence[str] | None = None,
    group_by: str | None = None,
    color_by: str | None = None,
    filter: str | None = None,  # noqa: A002 - as the scripts call it
    x_axis: str | None = None,
    ema_weight: float | None = 0.99,
    full_res: bool = False,
    theme: Literal["light", "dark"] = "light",
    source: From = "auto",
    timeout: float = TIMEOUT,
) -> Figure:
    """Return one figure.

    Args:
        target: where to look.
        runs: which runs; None: all of them.
        metric: what is drawn; for results ("" is the metric that a report would rank by) its last value.
        kind: "lines": the metric over the steps, a line for each run; "scatter": a setting against the result;
            "parallel": settings beside the result; "bars": importance of the settings.
        x: of scatter the key, such as ``"config.lr"``; of parallel the keys (None: those that differ).
        group_by: of scatter and parallel: means of runs that share a key, such as ``"all-but:config.seed"``.
        color_by: of scatter and parallel: the key that colors mean.
        filter: a condition that the runs meet.
        x_axis: of lines: what the metric is drawn against; None: as the runs defined.
        ema_weight: of lines: W&B's smoothing; None draws none.
        full_res: of lines: every point.
        theme: colors.
        source: where to read.
        timeout: seconds of one operation on a server.

    Raises:
        NotFoundError: no such run, metric or key.
        UsageError: arguments that do not fit the kind.
        ToolkitError: as the scripts.
    """
    from wandb_toolkit.plots.figures.view import THEMES, View
    from wandb_toolkit.plots.kinds import KINDS, ResultKind
    from wandb_toolkit.reports.settings import one_sweep

    view = View(theme=THEMES[theme], full=full_res)
    known = KINDS.get(kind)
    if known is None or getattr(known, "pages", False):
        raise UsageError(f"There is no kind {kind!r}.", "Give lines, scatter, parallel or bars.")
    if not isinstance(known, ResultKind):
        if x is not None or group_by or color_by:
            raise UsageError(
                "x, group_by and color_by are for results, not for lines.", "Give x_axis, or another kind."
            )
        return _lines(target, runs, metric, view, filter, x_axis, ema_weight, source, timeout)
    opened, chosen = _chosen(target, runs, filter, source, timeout)
    painter = known.painter(view)
    painter.draw(one_sweep(known, opened, opened.loaded(chosen), metric, _several(x or ()), group_by, color_by))
    return painter.figure


def _lines(
    target: str | Path, runs: Chosen, metric: str, view: View, where: str | None, x_axis: str | None,
    ema_weight: float | None, source: From, timeout: float,
) -> Figure:  # fmt: skip
    from wandb_toolkit.plots.charts import AXIS_NAMES, build_chart
    from wandb_toolkit.plots.figures.painter import Painter
    from wandb_toolkit.plots.smoothing import Smoothing

    if not metric:
        raise UsageError("Which metric?", "wt.plot(target, runs, 'train/loss')")
    opened, chosen = _chosen(target, runs, where, source, timeout)
    axis = AXIS_NAMES.get(x_axis, x_axis) if x_axis else None
    axes = {found for run in chosen for found in run.step_metrics.values()} | ({axis} if axis else set())
    keys = [metric, *sorted(axes - {"_step"})]
    found = list(opened.histories(chosen, keys, full=view.full))
    histories = {at: h for at, (_, h) in enumerate(found) if not isinstance(h, Exception)}
    if not any(metric in history for history in histories.values()):
        names = dict.fromkeys(name for run in chosen[:20] for name in opened.metrics(run))
        raise NotFoundError(f"No metric called {metric!r}.", did_you_mean(metric, names, "metric"))
    smoothing = Smoothing(weight=ema_weight, exact=True) if ema_weight is not None else Smoothing("none")
    painter = Painter(view)
    painter.draw(build_chart(metric, chosen, histories, smoothing, axis))
    return painter.figure


def _several(words: str | Sequence[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def _open(
    target: str | Path | None, source: From, timeout: float, *, of_entity: bool = False
) -> tuple[Source, tuple[str, ...]]:
    from wandb_toolkit import sources

    reading = sources.ReadOptions(timeout=timeout)
    text = str(target) if target is not None else None
    return sources.open_source(text, source, of_entity=of_entity, reading=reading)


def _chosen(
    target: str | Path | None,
    runs: Chosen,
    where: str | None,
    source: From,
    timeout: float,
    *,
    states: Sequence[str] = (),
    tags: Sequence[str] = (),
    order: str = "-created_at",
    limit: int | None = None,
) -> tuple[Source, list[Run]]:
    """Return the source and the runs that are meant.

    Raises:
        NotFoundError: there are none.
    """
    from wandb_toolkit.sources.base import RunQuery
    from wandb_toolkit.sources.run_filter import parse_filter

    opened, selectors = _open(target, source, timeout)
    if runs is not None:
        frame = hasattr(runs, "iloc")
        selectors = tuple(runs.index) if frame else tuple(_several(runs))  # type: ignore[arg-type]
    query = RunQuery(
        states=frozenset(states),
        tags=frozenset(tags),
        selectors=selectors,
        order=order,
        limit=limit,
        where=parse_filter(where) if where is not None else None,
    )
    found = opened.runs(query)
    if not found:
        raise NotFoundError(f"No run of {opened.description} matches.")
    return opened, found
