"""download_plots: the images of a run, checked, under safe names in one folder."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from wandb_toolkit import cli
from wandb_toolkit.artifacts import (
    METADATA,
    Folder,
    check_folder,
    describe,
    digest,
    output_folder,
    run_key,
    safe_stem,
    slug,
)
from wandb_toolkit.commands.chosen_runs import add_run_arguments, the_run
from wandb_toolkit.errors import Exit, ToolkitError, UsageError
from wandb_toolkit.image_files import SUFFIXES, is_image_name, problem_with
from wandb_toolkit.render.text import clean, plural, size

if TYPE_CHECKING:
    from wandb_toolkit.model import Run, RunFile
    from wandb_toolkit.sources.base import Source

SECTION = "downloads"
_IMAGES = "media/images/"  # where the SDK puts logged images; says nothing in a name
_KINDS = {
    "video": (".mp4", ".webm", ".mov", ".avi"),
    "table": (".table.json",),
    "audio file": (".wav", ".mp3", ".ogg", ".flac"),
    "HTML file": (".html", ".htm"),
    "3D object": (".obj", ".gltf", ".glb", ".pts.json"),
}

EXAMPLES = """\
download_plots ./wandb latest
download_plots ./wandb run-a --pattern 'media/images/samples_*' --output images
download_plots ./wandb run-a --pattern '*.mp4' --json"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("download_plots", "Copy the images of a run into one folder.", EXAMPLES)
    add_run_arguments(parser, several=False)
    images = " ".join(sorted(suffix.lstrip(".") for suffix in SUFFIXES))
    parser.add_argument("--pattern", metavar="GLOB", help=f"files whose path or name matches (default: {images})")
    parser.add_argument("--output", metavar="DIR", help="folder (wandb_plots/<entity>_<project>/<run>)")
    parser.add_argument("--force", action="store_true", help="replace files that are there with other content")
    cli.add_common_flags(parser)
    return parser


@dataclass
class Fetched:
    """What became of each file."""

    downloaded: list[dict[str, Any]] = field(default_factory=list)
    skipped: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)
    recorded: dict[str, dict[str, Any]] = field(default_factory=dict)  # for metadata.json


def run(args: argparse.Namespace) -> Exit:
    """Fetch the files that the arguments ask for."""
    for flag in ("output", "pattern"):
        value = getattr(args, flag)
        if value is not None and not value.strip():
            raise UsageError(f"--{flag} is blank.")
    given = Path(args.output).expanduser() if args.output is not None else None
    if given is not None:
        check_folder(given)
    source, a_run = the_run(args)
    folder = Folder(given or output_folder([a_run]))
    files = source.files(a_run)
    wanted = [file for file in files if _matches(file.name, args.pattern)]
    folder.reserve(SECTION)
    # Named over all files of the run, so that another pattern gives the same file the same name.
    names = {file.name: _claim(folder, a_run, file) for file in files if file in wanted or is_image_name(file.name)}
    done, warnings = Fetched(), list(a_run.warnings)
    try:
        for file in cli.progress(wanted, "fetching", len(wanted), args):
            _fetch(source, file, names[file.name], folder, a_run, done, force=args.force)
    finally:  # interrupted too: what is there is recorded
        if done.recorded:
            warnings += folder.record(SECTION, done.recorded, [a_run], source.description)
    for warning in warnings:
        cli.warn(warning, args)
    payload = _payload(folder, source, a_run, done, warnings, _kinds(files), args)
    cli.emit(args, payload, lambda: _text(payload, a_run))
    return Exit.PARTIAL if done.failed else Exit.OK


def _matches(name: str, pattern: str | None) -> bool:
    if pattern is None:
        return is_image_name(name)
    return fnmatchcase(name, pattern) or fnmatchcase(PurePosixPath(name).name, pattern)


def _claim(folder: Folder, a_run: Run, file: RunFile) -> str:
    """Return the flat name of a run's file: its path without the folder that all images have."""
    path = PurePosixPath(file.name.removeprefix(_IMAGES))
    suffix = path.suffix if path.suffix and slug(path.suffix) == path.suffix.lstrip(".") else ""
    stem = str(path)[: len(str(path)) - len(suffix)]
    return folder.claim(_owner(a_run, file), safe_stem(stem), f".{slug(suffix)}" if suffix else "")


def _owner(a_run: Run, file: RunFile) -> str:
    return digest(f"{run_key(a_run)}\n{file.name}", 16)


def _fetch(source: Source, file: RunFile, name: str, folder: Folder, a_run: Run, done: Fetched, *, force: bool) -> None:
    """Fetch one file and note what became of it. One bad file leaves the rest."""
    target = folder.path / name
    about = {"source": file.name, "key": file.key, "step": file.step, "caption": file.caption}
    existing = describe(target) if target.is_file() else None

    def produce(temporary: Path) -> None:
        source.fetch(file, temporary)
        got = describe(temporary)
        if reason := _refusal(temporary, file, got):
            raise _RefusedError(reason)
        if existing and got["sha256"] == existing["sha256"]:
            raise _KeptError("already there")
        if existing and not force:
            raise _KeptError("a file with other content is there; --force replaces it")

    try:
        written = folder.write(name, produce)
    except _KeptError as kept:
        done.skipped.append({"file": str(target), **about, "reason": kept.message})
        if kept.message == "already there" and existing:
            written = existing
        else:
            return
    except ToolkitError as error:
        done.failed.append({**about, "reason": error.message})
        return
    else:
        done.downloaded.append({"file": str(target), **about, **_size_and_sum(written)})
    done.recorded[name] = {
        "owner": _owner(a_run, file),
        **about,
        **_size_and_sum(written),
        "run": run_key(a_run),
    }


def _size_and_sum(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {"size": facts["size"], "sha256": facts["sha256"]}


class _RefusedError(ToolkitError):
    """A file that is not what its name says."""


class _KeptError(ToolkitError):
    """A file that stays as it is."""


def _refusal(path: Path, file: RunFile, got: Mapping[str, Any]) -> str:
    if file.sha256 and file.sha256 != got["sha256"]:
        return "the content does not match the sha256 that the run logged"
    return problem_with(path, file.name)


def _kinds(files: Sequence[RunFile]) -> dict[str, int]:
    """Count the run's files by kind, for a run without images."""
    counts: Counter[str] = Counter()
    for file in files:
        lower = file.name.lower()
        known = next((kind for kind, ends in _KINDS.items() if lower.endswith(ends)), "other file")
        counts["image" if is_image_name(lower) else known] += 1
    return dict(counts)


def _payload(
    folder: Folder,
    source: Source,
    a_run: Run,
    done: Fetched,
    warnings: list[str],
    kinds: dict[str, int],
    args: argparse.Namespace,
) -> dict[str, Any]:
    return {
        "run": {"id": a_run.id, "name": a_run.name, "entity": a_run.entity, "project": a_run.project},
        "source": source.description,
        "pattern": args.pattern,
        "output_dir": str(folder.path),
        "downloaded": done.downloaded,
        "skipped": done.skipped,
        "failed": done.failed,
        "files_of_run": kinds,
        "warnings": warnings,
        "metadata": str(folder.path / METADATA) if done.recorded else None,
    }


def _text(payload: Mapping[str, Any], a_run: Run) -> str:
    done = [payload[part] for part in ("downloaded", "skipped", "failed")]
    if not any(done):
        return _nothing(payload, a_run)
    lines = []
    for one in payload["downloaded"]:
        what = " ".join(filter(None, (one["key"] or "", f"step {one['step']:,}" if one["step"] is not None else "")))
        caption = f", {clean(one['caption'], 60)!r}" if one["caption"] else ""
        lines.append(f"{clean(one['file'])}  {size(one['size'])}{f'  {clean(what)}' if what else ''}{caption}")
    lines += [f"skipped {clean(one['file'])}: {one['reason']}" for one in payload["skipped"][:20]]
    if len(payload["skipped"]) > 20:
        lines.append(f"and {len(payload['skipped']) - 20} more skipped (--json lists them)")
    lines += [f"failed {clean(one['source'])}: {clean(one['reason'])}" for one in payload["failed"]]
    counts = ", ".join(
        f"{len(part)} {word}" for part, word in zip(done, ("downloaded", "skipped", "failed"), strict=True)
    )
    where = f", recorded in {clean(payload['metadata'])}" if payload["metadata"] else ""
    lines.append(f"{counts}{where}")
    return "\n".join(lines)


def _nothing(payload: Mapping[str, Any], a_run: Run) -> str:
    matching = f" that match {clean(payload['pattern'])!r}" if payload["pattern"] else ""
    there = ", ".join(plural(count, kind) for kind, count in payload["files_of_run"].items())
    hint = f" It has {there}; --pattern chooses among them." if there else " It has no files at all."
    return f"No plot files found{matching} in {clean(a_run.label)}.{hint}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
