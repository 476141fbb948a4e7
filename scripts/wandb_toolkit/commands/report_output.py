"""Where a report goes: stdout, a file, a page."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wandb_toolkit import jsontext
from wandb_toolkit.cli import app as cli
from wandb_toolkit.errors import ToolkitError, UsageError
from wandb_toolkit.resolve import expanded
from wandb_toolkit.text import plural

if TYPE_CHECKING:
    from wandb_toolkit.model import Report
    from wandb_toolkit.reports.build import Built

WIDEST = 120  # columns of prose in a terminal
PAGES = (".html", ".htm")


@dataclass(frozen=True)
class Outputs:
    """The files asked for; None: not asked for."""

    out: Path | None = None
    html: Path | None = None
    figures: Path | None = None  # a folder

    def __bool__(self) -> bool:
        return self.out is not None or self.html is not None or self.figures is not None


def check_outputs(args: argparse.Namespace) -> Outputs:
    """Return where the report goes, having made sure before the work that it can go there.

    Raises:
        UsageError: a path is a folder, lies below a file, or asks for a format that there is not.
        ToolkitError: a folder cannot be made or written to.
    """
    out = _check(args.out, "--out") if args.out is not None else None
    html = _check(args.html, "--html") if args.html is not None else None
    if out and out.suffix.lower() in (*PAGES, ".pdf"):
        hint = "--html FILE writes a page." if out.suffix.lower() in PAGES else "Give a name in .md or .json."
        raise UsageError(f"--out: a report cannot be written as {out.suffix}.", hint)
    if html and html.suffix.lower() not in PAGES:
        raise UsageError(f"--html {str(html)!r} is not an HTML file name.", "Give a name that ends in .html.")
    return Outputs(out, html, _check_figures(args.figures) if args.figures is not None else None)


def _check_figures(text: str) -> Path:
    from wandb_toolkit.output import check_folder

    if not text.strip():
        raise UsageError("--figures is blank.", "Give it a folder, existing or new.")
    folder = expanded(text)
    try:
        check_folder(folder)
    except ToolkitError as error:
        raise type(error)(error.message, error.hint.replace("--output", "--figures")) from error
    return folder


def _check(text: str, flag: str) -> Path:
    from wandb_toolkit.output import check_folder

    path = expanded(text)
    if not text.strip() or path.is_dir() or text.endswith("/"):
        raise UsageError(f"{flag} {text!r} is a folder, not a file.", "Give a file name such as report.md.")
    try:
        check_folder(path.parent)
        path.parent.mkdir(parents=True, exist_ok=True)
    except ToolkitError as error:
        raise type(error)(error.message, error.hint.replace("--output", flag)) from error
    except OSError as error:
        raise ToolkitError(f"The folder {path.parent} cannot be made: {error.strerror}.") from error
    return path


def deliver(built: Built, outputs: Outputs, args: argparse.Namespace) -> None:
    """Write the files asked for; then print what was written and the gist, or, without files, the report."""
    report = write_files(built, outputs, args)
    cli.emit(args, document(report, outputs), lambda: text(report, outputs, args))


def document(report: Report, outputs: Outputs) -> dict[str, Any]:
    """Return the report's JSON, with the paths of the files written."""
    from wandb_toolkit.reports.render.report_json import report_object

    payload = report_object(report)
    payload.update({"path": str(outputs.out)} if outputs.out else {})
    payload.update({"html": str(outputs.html)} if outputs.html else {})
    return payload


def text(report: Report, outputs: Outputs, args: argparse.Namespace) -> str:
    """Return what people read on stdout."""
    from wandb_toolkit.reports.render.markdown import markdown, summary

    if outputs:
        wrote = [f"Wrote {path}" for path in (outputs.out, outputs.html) if path]
        count = sum(finding.figure is not None for one in report.runs for finding in one.findings)
        count += report.replay is not None and report.replay.figure is not None
        wrote += [f"Wrote {plural(count, 'figure')} in {outputs.figures}"] if outputs.figures else []
        return "\n".join([*wrote, *summary(report)])
    width = min(shutil.get_terminal_size().columns, WIDEST) if sys.stdout.isatty() else None
    return markdown(report, width, full=args.full, compare=args.compare)


def write_files(built: Built, outputs: Outputs, args: argparse.Namespace) -> Report:
    """Write the files asked for, each whole or not at all; return the report with the names of its figures."""
    report = _with_figures(built, outputs.figures, args) if outputs.figures else built.report
    if outputs.out:
        suffix = outputs.out.suffix.lower()
        if suffix == ".json" or (args.json and suffix not in (".md", ".markdown")):
            content = jsontext.dumps(document(report, Outputs()))
        else:
            from wandb_toolkit.reports.render.markdown import markdown

            content = markdown(report, full=args.full, compare=args.compare)
        _write(outputs.out, content + "\n", "--out")
    if outputs.html:
        from wandb_toolkit.reports.charts import charts_of
        from wandb_toolkit.reports.evidence import beside_sentences
        from wandb_toolkit.reports.render.html import page

        histories = [reading.history for reading in built.readings]
        figures = beside_sentences(report, histories)
        _write(outputs.html, page(report, charts_of(report, histories), figures, compare=args.compare), "--html")
    return report


def _with_figures(built: Built, path: Path, args: argparse.Namespace) -> Report:
    """Write a picture of each bad or ugly finding; return the report with their names."""
    from wandb_toolkit.output import Folder, digest, run_key, safe_stem
    from wandb_toolkit.plots.figures.evidence import evidence_png
    from wandb_toolkit.plots.figures.stops import stops_png
    from wandb_toolkit.plots.stops import stops_of
    from wandb_toolkit.reports.evidence import figures_of

    folder, report, files = Folder(path), built.report, dict[tuple[int, int], str]()
    made = list(figures_of(report, [reading.history for reading in built.readings]))
    for at, place, figure in cli.progress(made, "drawing", len(made), args):
        run, finding = report.runs[at].run, report.runs[at].findings[place]
        owner = digest("\n".join((run_key(run), finding.id)), 16)
        content = evidence_png(figure, f"{figure.run}: {figure.sentence}", owner)
        stem = safe_stem(f"{run.name}/{finding.id}")
        written = folder.place(owner, stem, ".png", content, partial(_is_of, owner))
        files[at, place] = str(folder.path / written["file"])
    runs = [
        replace(
            one,
            findings=tuple(
                replace(finding, figure=files.get((at, place))) for place, finding in enumerate(one.findings)
            ),
        )
        for at, one in enumerate(report.runs)
    ]
    report = replace(report, runs=tuple(runs))
    stops = stops_of(report.replay) if report.replay is not None else None
    if report.replay is None or stops is None:
        return report
    owner = digest("\n".join(("replay", *(one.run for one in report.replay.runs))), 16)
    written = folder.place(owner, "replay", ".png", stops_png(stops, owner), partial(_is_of, owner))
    return replace(report, replay=replace(report.replay, figure=str(folder.path / written["file"])))


def _is_of(owner: str, path: Path) -> bool:
    from wandb_toolkit.plots.figures.file import owner_of

    return owner_of(path) == owner


def _write(out: Path, content: str, flag: str) -> None:
    from wandb_toolkit.output import Folder

    data = content.encode("utf-8", "replace")
    write: Callable[[Path], object] = lambda temporary: temporary.write_bytes(data)  # noqa: E731
    try:
        if out.exists() and not out.is_file():  # a pipe, /dev/null
            out.write_bytes(data)
            return
        Folder(out.parent).write(out.name, write)
    except ToolkitError as error:
        raise type(error)(error.message, error.hint.replace("--output", flag)) from error
    except OSError as error:
        raise ToolkitError(f"{out} could not be written: {error.strerror}.") from error
