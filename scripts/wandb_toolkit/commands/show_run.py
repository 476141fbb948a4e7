"""show_run: what a run is besides its curves, and how two runs differ."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from wandb_toolkit.cli import app as cli
from wandb_toolkit.cli import choosing
from wandb_toolkit.errors import Exit, NotFoundError, UsageError, did_you_mean
from wandb_toolkit.text import clean, duration, moment, number, plural, size

if TYPE_CHECKING:
    from wandb_toolkit.details.read import Details
    from wandb_toolkit.model import Run

MOST_KEYS, MOST_FILES, MOST_AXES, LOG_LINES = 60, 12, 8, 10
_WIDE = 100  # characters of a value

EXAMPLES = """\
show_run examples/wandb grpo-base-s1
show_run ./wandb latest --log 50
show_run ./wandb run-a run-b
show_run ./wandb run-a --pattern 'optimizer.*' --json | jq '.runs[0].config'"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser(
        "show_run", "Show a run's config, code, machine, files and console; or how two differ.", EXAMPLES
    )
    parser.add_argument("target", help=cli.TARGET_HELP)
    parser.add_argument("run", nargs="?", help=f"{cli.RUN_HELP} (default: the latest)")
    parser.add_argument("other", nargs="?", metavar="run", help="a second run, to compare")
    choosing.add_filter_flag(parser)
    parser.add_argument("--pattern", metavar="GLOB", help="only config and summary keys that match (a.b for nested)")
    parser.add_argument("--log", type=_lines, default=LOG_LINES, metavar="N", help=f"last console lines ({LOG_LINES})")
    parser.add_argument("--full", action="store_true", help="every key, package and file")
    cli.add_common_flags(parser)
    return parser


def _lines(text: str) -> int:
    """Return a whole number of 0 or more (an argparse type)."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def run(args: argparse.Namespace) -> Exit:
    """Show the run or runs."""
    from wandb_toolkit.details.differences import differences
    from wandb_toolkit.details.read import details_of

    source, chosen = _chosen(args)
    shown = [details_of(source, one, args.log) for one in source.loaded(chosen)]
    if args.pattern is not None:
        _check_pattern(shown, args.pattern)
    apart = differences(*shown) if len(shown) == 2 else None
    if apart is not None and args.pattern is not None:
        apart["config"] = {key: value for key, value in apart["config"].items() if fnmatchcase(key, args.pattern)}
    for one in shown:
        for line in (*one.run.warnings, *one.notes):
            cli.warn(f"{one.run.label}: {line}", args)
    for line in source.warnings:
        cli.warn(line, args)
    payload = {"runs": [_as_dict(one, args.pattern) for one in shown], "differences": apart}
    cli.emit(args, payload, lambda: _compared(shown, apart) if apart is not None else _text(shown[0], args))
    return Exit.OK


def _chosen(args: argparse.Namespace) -> tuple[Any, list[Run]]:
    """Return the source and the one or two runs.

    Raises:
        UsageError: a name means several runs, or both mean the same.
    """
    from wandb_toolkit.sources import RunQuery

    source, selectors = cli.open_source(args, args.target)
    where = choosing.where_of(args)
    if where is not None and args.run is None:
        runs = choosing.runs_of(source, RunQuery(selectors=selectors, where=where))
        if len(runs) > 2:
            raise _too_many(f"--filter {args.filter!r}", runs)
        return source, runs
    if selectors and args.run is not None and args.other is None and selectors != (args.run,):
        names = [selectors[0], args.run]
    else:
        names = [name for name in (args.run, args.other) if name is not None] or [*selectors] or ["latest"]
    runs = []
    for name in names:
        found = choosing.runs_of(source, RunQuery(selectors=(name,), where=where))
        if len(found) > 1:
            raise _too_many(repr(name), found)
        runs += found
    if len(runs) == 2 and runs[0].id == runs[1].id and runs[0].project == runs[1].project:
        raise UsageError(f"Both names mean the run {runs[0].label}.")
    return source, runs


def _too_many(what: str, runs: Sequence[Run]) -> UsageError:
    ids = ", ".join(one.id for one in runs[:8])
    return UsageError(f"{what} means {len(runs)} runs; show_run takes one, or two.", f"Name one of them: {ids}")


def _flat(values: Mapping[str, Any], pattern: str | None) -> dict[str, Any]:
    """Return the nested values by dotted key; media stay whole."""
    from wandb_toolkit.sources.wandb_log.records import leaves

    return {k: v for k, v in leaves(dict(values)) if pattern is None or fnmatchcase(k, pattern)}


def _check_pattern(shown: Sequence[Details], pattern: str) -> None:
    known = {key for one in shown for key in (*_flat(one.config, None), *_flat(one.summary, None))}
    if known and not any(fnmatchcase(key, pattern) for key in known):
        raise NotFoundError(
            f"No config or summary key matches {pattern!r}.", did_you_mean(pattern.strip("*?"), sorted(known), "key")
        )


def _as_dict(one: Details, pattern: str | None) -> dict[str, Any]:
    run = one.run
    return {
        "id": run.id,
        "name": run.name,
        "entity": run.entity,
        "project": run.project,
        "state": run.state,
        "exit_code": run.exit_code,
        "created_at": run.created_at,
        "last_activity": run.last_activity,
        "duration": run.duration,
        "steps": run.steps,
        "rows": run.rows,
        "tags": list(run.tags),
        "group": run.group,
        "job_type": run.job_type,
        "sweep": run.sweep,
        "notes": one.notes_of_run,
        "url": run.url,
        "paths": list(run.paths),
        "forked_from": {"run": run.forked_from[0], "step": run.forked_from[1]} if run.forked_from else None,
        "resumed": len(run.paths) > 1,
        "config": one.config if pattern is None else _flat(one.config, pattern),
        "summary": one.summary if pattern is None else _flat(one.summary, pattern),
        "axes": dict(run.step_metrics),
        "command": one.command or None,
        "git": {"commit": one.git.get("commit"), "remote": one.git.get("remote"), "dirty": one.dirty},
        "environment": dict(one.environment),
        "packages": dict(one.packages),
        "files": [{"name": file.name, "size": file.size} for file in one.files],
        "console": list(one.console),
    }


def _text(one: Details, args: argparse.Namespace) -> str:
    run = one.run
    took = f" after {duration(run.duration)}" if run.duration is not None else ""
    code = f", exit code {run.exit_code}" if run.exit_code is not None else ""
    lines = [f"{clean(run.label)}: {run.state}{took}{code}"]
    lines += [f"  {label:<10} {value}" for label, value in _facts(one) if value]
    if one.notes_of_run:
        lines.append(f"  {'notes':<10} {json.dumps(clean(one.notes_of_run, 300), ensure_ascii=False)}")
    lines += _keys("Config", _flat(one.config, args.pattern), args)
    summary = _flat(one.summary, args.pattern)
    lines += _keys("Summary", {key: summary[key] for key in sorted(summary, key=lambda k: (k[:1] == "_", k))}, args)
    lines += _axes(run)
    if one.packages and args.full:
        lines += ["", f"Packages ({len(one.packages)})", *(f"  {clean(n)} {clean(v)}" for n, v in one.packages.items())]
    lines += _files(one, full=args.full)
    if one.console:
        lines += ["", f"Console, its last {plural(len(one.console), 'line')} (written by the run)"]
        lines += [f"  | {clean(line, 200)}" for line in one.console]
    return "\n".join(lines)


def _facts(one: Details) -> Iterator[tuple[str, str]]:
    """Yield label and value of what a run is, where and how it ran."""
    run, machine = one.run, one.environment
    yield "project", clean("/".join(filter(None, (run.entity or "local", run.project))))
    yield "started", f"{moment(run.created_at)} UTC" if run.created_at else ""
    yield (
        "steps",
        f"{run.steps:,}" + (f" in {plural(run.rows, 'row')}" if run.rows else "") if run.steps is not None else "",
    )
    for label, value in (("group", run.group), ("job type", run.job_type), ("sweep", run.sweep)):
        yield label, clean(value or "", _WIDE)
    yield "tags", clean(", ".join(run.tags), _WIDE)
    yield "forked from", f"{clean(run.forked_from[0])} at step {run.forked_from[1]:,}" if run.forked_from else ""
    yield "parts", f"{len(run.paths)} (resumed)" if len(run.paths) > 1 else ""
    yield "command", clean(one.command, 160)
    commit, remote = one.git.get("commit"), one.git.get("remote")
    changed = {True: ", with uncommitted changes (diff.patch)", False: "", None: ""}[one.dirty]
    yield "git", clean(f"{commit or ''}{f' of {remote}' if remote else ''}{changed}", 160) if commit or remote else ""
    yield "python", clean(machine.get("python") or "")
    yield "packages", f"{len(one.packages)} (--full lists them)" if one.packages else ""
    yield "machine", clean(", ".join(filter(None, _hardware(machine))), 160)
    yield "url", clean(run.url or "")


def _hardware(machine: Mapping[str, Any]) -> Iterator[str]:
    yield str(machine.get("host") or "")
    yield str(machine.get("os") or "")
    cpus = machine.get("cpu_count_logical") or machine.get("cpu_count")
    yield f"{cpus} CPUs" if cpus else ""
    gpu, count = machine.get("gpu"), machine.get("gpu_count")
    yield f"{count or 1} x {gpu}" if gpu else ""
    memory = machine.get("memory")
    total = memory.get("total") if isinstance(memory, Mapping) else None
    try:
        yield f"{size(float(total))} memory" if total and float(total) > 1e6 else ""
    except (TypeError, ValueError):
        yield ""
    yield f"CUDA {machine['cudaVersion']}" if machine.get("cudaVersion") else ""


def _axes(run: Run) -> list[str]:
    by_axis: dict[str, list[str]] = {}
    for name, axis in run.step_metrics.items():
        by_axis.setdefault(axis, []).append(clean(name, 60))
    rest = {axis: f" and {len(names) - MOST_AXES} more" * (len(names) > MOST_AXES) for axis, names in by_axis.items()}
    lines = [f"  {clean(axis)}: {', '.join(names[:MOST_AXES])}{rest[axis]}" for axis, names in by_axis.items()]
    return ["", "Axes that it defined, and what is drawn against them", *lines] if lines else []


def _keys(title: str, values: Mapping[str, Any], args: argparse.Namespace) -> list[str]:
    if not values:
        return []
    shown = list(values.items())[: None if args.full else MOST_KEYS]
    width = min(max(len(clean(key)) for key, _ in shown), 44)
    lines = ["", f"{title} ({len(values)})", *(f"  {clean(key, 60):<{width}}  {_value(value)}" for key, value in shown)]
    left = len(values) - len(shown)
    return [*lines, f"  and {left} more: --full shows all, --pattern chooses"] if left else lines


def _value(value: Any) -> str:
    if isinstance(value, (bool, int, float)) or value is None:
        return number(value, 6) if value is not None else "null"
    if isinstance(value, Mapping) and "_type" in value:
        return f"<{clean(value['_type'], 40)}>"
    return clean(value if isinstance(value, str) else json.dumps(value, default=str), _WIDE)


def _files(one: Details, *, full: bool) -> list[str]:
    if not one.files:
        return []
    shown = one.files if full else one.files[:MOST_FILES]
    total = size(sum(file.size for file in one.files))
    lines = ["", f"Files ({len(one.files)}, {total})", *(f"  {clean(f.name, 90)}  {size(f.size)}" for f in shown)]
    left = len(one.files) - len(shown)
    return [*lines, f"  and {left} more: --full lists them"] if left else lines


def _compared(shown: Sequence[Details], apart: Mapping[str, Mapping[str, Sequence[Any]]]) -> str:
    from wandb_toolkit.listing.table import TableColumn, table, terminal_width

    first, second = (one.run.label for one in shown)
    lines = [f"{clean(first)} beside {clean(second)}"]
    for part, keys in apart.items():
        if not keys:
            continue
        columns = [TableColumn(part), TableColumn(clean(first, 40)), TableColumn(clean(second, 40))]
        rows = [[key, *("not set" if value is None else _value(value) for value in pair)] for key, pair in keys.items()]
        lines += ["", table(columns, rows, terminal_width())]
    same = [part for part, keys in apart.items() if not keys]
    if same:
        lines += ["", f"No recorded difference in: {', '.join(same)}."]
    if not all(one.packages for one in shown):
        lines.append("Packages were not recorded for both, so they are not compared.")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
