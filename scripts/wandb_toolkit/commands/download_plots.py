"""download_plots: the images of a run, checked, under safe names in one folder."""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from wandb_toolkit import limits
from wandb_toolkit.cli import app as cli
from wandb_toolkit.commands.chosen_runs import add_run_arguments, the_run
from wandb_toolkit.downloads.fetch import (
    LARGEST_FILE,
    LARGEST_IMAGE,
    Fetched,
    FetchOptions,
    claim,
    fetch_all,
    with_caption,
)
from wandb_toolkit.downloads.images import SUFFIXES, is_image_name
from wandb_toolkit.downloads.table_images import TableImages, images_in_tables
from wandb_toolkit.downloads.tables import SUFFIX as TABLE_SUFFIX
from wandb_toolkit.errors import Exit, NotFoundError, UsageError, did_you_mean
from wandb_toolkit.output import METADATA, Folder, check_folder, digest, output_folder, run_key, safe_stem
from wandb_toolkit.resolve import expanded, means
from wandb_toolkit.text import clean, plural, size

if TYPE_CHECKING:
    from wandb_toolkit.model import Run, RunFile
    from wandb_toolkit.sources.base import Source

SECTION = "downloads"
JOBS = 8
_KINDS = {
    "video": (".mp4", ".webm", ".mov", ".avi"),
    "table": (TABLE_SUFFIX,),
    "audio file": (".wav", ".mp3", ".ogg", ".flac"),
    "HTML file": (".html", ".htm"),
    "3D object": (".obj", ".gltf", ".glb", ".pts.json"),
}

EXAMPLES = """\
download_plots ./wandb latest
download_plots ./wandb run-a --keys 'val/*' --step last --output images
download_plots ./wandb run-a --keys samples --sheet
download_plots ./wandb run-a --pattern '*.mp4' --step 0:1000 --json"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = cli.Parser("download_plots", "Copy the images of a run into one folder.", EXAMPLES)
    add_run_arguments(parser, several=False)
    images = " ".join(sorted(suffix.lstrip(".") for suffix in SUFFIXES))
    parser.add_argument("--pattern", metavar="GLOB", help=f"files whose path or name matches (default: {images})")
    parser.add_argument("--keys", metavar="A,B", help="only what these metrics logged (names or globs)")
    parser.add_argument("--step", type=_steps, default="all", metavar="S", help="last (of each key), all, N, or A:B")
    parser.add_argument("--sheet", action="store_true", help="also one picture of each key's images, step after step")
    parser.add_argument("--output", metavar="DIR", help="folder (wandb_plots/<entity>_<project>/<run>)")
    parser.add_argument("--force", action="store_true", help="replace files that are there with other content")
    parser.add_argument("--jobs", type=cli.positive_int, default=JOBS, metavar="N", help=f"files at a time ({JOBS})")
    parser.add_argument(
        "--max-mb",
        type=cli.positive_int,
        metavar="N",
        help=f"refuse larger files ({LARGEST_IMAGE}, not images {LARGEST_FILE:,})",
    )
    cli.add_common_flags(parser)
    return parser


def _steps(text: str) -> str | tuple[int | None, int | None]:
    """Return "all", "last", or the first and last step wanted."""
    if text in ("all", "last"):
        return text
    match = re.fullmatch(r"(\d+)|(\d*):(\d*)", text.strip())
    if not match or text.strip() == ":":
        raise argparse.ArgumentTypeError(f"{text!r} is not last, all, a step N or a range A:B")
    if match[1]:
        return int(match[1]), int(match[1])
    low, high = (int(part) if part else None for part in match.group(2, 3))
    if low is not None and high is not None and low > high:
        raise argparse.ArgumentTypeError(f"{text!r}: the first step is above the last")
    return low, high


def run(args: argparse.Namespace) -> Exit:
    """Fetch the files that the arguments ask for."""
    for flag in ("output", "pattern"):
        value = getattr(args, flag)
        if value is not None and not value.strip():
            raise UsageError(f"--{flag} is blank.")
    keys = cli.comma_list(args.keys) if args.keys is not None else None
    given = expanded(args.output) if args.output is not None else None
    if given is not None:
        check_folder(given)
    source, a_run = the_run(args)
    folder = Folder(given or output_folder([a_run]))
    listed = source.files(a_run)
    asked = _keys_meant(keys, listed)
    images = images_in_tables(source, a_run, listed, asked) if args.pattern is None else TableImages()
    files = [*(with_caption(file, images.captions.get(file.name)) for file in listed), *images.files]
    wanted = _of_steps(_of_keys([file for file in files if _matches(file.name, args.pattern)], keys, files), args.step)
    folder.reserve(SECTION)
    # Named over all files of the run, so that another pattern gives the same file the same name.
    chosen = set(wanted)
    names = {file: claim(folder, a_run, file) for file in files if file in chosen or is_image_name(file.name)}
    done, warnings, sheets = Fetched(), [*a_run.warnings, *images.warnings], list[dict[str, Any]]()
    try:
        options = FetchOptions(args.jobs, args.max_mb, args.force)
        show = partial(cli.progress, what="fetching", total=len(wanted), args=args)
        fetch_all(source, wanted, names, folder, a_run, done, options, show)
        if args.sheet:
            sheets = _sheets(wanted, done, folder, a_run, warnings)
    finally:  # interrupted too: what is there is recorded
        if done.recorded:
            warnings += folder.record(SECTION, done.recorded, [a_run], source.description)
    for warning in (*warnings, *source.warnings):
        cli.warn(warning, args)
    payload = _payload(folder, source, a_run, done, warnings, _kinds(listed), args)
    payload |= {"sheets": sheets, "tables": images.tables}
    cli.emit(args, payload, lambda: _text(payload, a_run, asked))
    return Exit.PARTIAL if done.failed or images.warnings else Exit.OK


def _matches(name: str, pattern: str | None) -> bool:
    if pattern is None:
        return is_image_name(name)
    return fnmatchcase(name, pattern) or fnmatchcase(PurePosixPath(name).name, pattern)


def _of_keys(files: Sequence[RunFile], keys: Sequence[str] | None, everything: Sequence[RunFile]) -> list[RunFile]:
    """Return the files that keys or globs mean.

    Raises:
        NotFoundError: one of them means no key that logged files.
    """
    if keys is None:
        return list(files)
    known = dict.fromkeys(file.key for file in everything if file.key)
    for key in keys:
        if not _keys_meant([key], everything):
            raise NotFoundError(f"No key {key!r} has logged files.", did_you_mean(key.strip("*?[]"), known, "key"))
    meant = set(_keys_meant(keys, everything))
    return [file for file in files if file.key in meant]


def _keys_meant(keys: Sequence[str] | None, files: Sequence[RunFile]) -> list[str]:
    known = dict.fromkeys(file.key for file in files if file.key)
    return [name for name in known if means(keys or (), name)]


def _of_steps(files: Sequence[RunFile], steps: str | tuple[int | None, int | None]) -> list[RunFile]:
    """Return the files of these steps. Files that no step is known of stay only with "all"."""
    if steps == "all":
        return list(files)
    if isinstance(steps, str):
        last: dict[str | None, int] = {}
        for file in files:
            if file.step is not None:
                last[file.key] = max(file.step, last.get(file.key, file.step))
        return [file for file in files if file.step is not None and file.step == last[file.key]]
    low, high = steps
    return [
        file
        for file in files
        if file.step is not None and (low is None or file.step >= low) and (high is None or file.step <= high)
    ]


def _sheets(
    wanted: Sequence[RunFile], done: Fetched, folder: Folder, a_run: Run, warnings: list[str]
) -> list[dict[str, Any]]:
    """Draw a sheet for each key of the images that are there; return what JSON says of them."""
    from wandb_toolkit.plots.figures.contact_sheet import Picture, contact_sheet
    from wandb_toolkit.plots.figures.file import owner_of
    from wandb_toolkit.plots.figures.view import View

    by_key: dict[str, list[Picture]] = {}
    for file in wanted:
        if file.key and file in done.there and is_image_name(file.name):
            by_key.setdefault(file.key, []).append(Picture(done.there[file], file.step, file.caption, file.index))
    sheets = []
    for key, pictures in by_key.items():
        mark = digest(f"{run_key(a_run)}\nsheet\n{key}", 16)
        sheet = contact_sheet(key, a_run.name, pictures, View(), mark)
        if sheet is None or sheet.unreadable:
            count = len(sheet.unreadable) if sheet else len(pictures)
            warnings.append(
                f"{plural(count, 'image')} of {key} left out of its sheet: damaged, or above"
                f" {limits.most('sheet-pixels') / 1e6:,.3g} megapixels ({limits.raised_by('sheet-pixels')})"
            )
        if sheet is None:
            continue
        written = folder.place(
            mark, f"sheet__{safe_stem(key)}", ".png", sheet.content, lambda path, mark=mark: owner_of(path) == mark  # type: ignore[misc]
        )  # fmt: skip
        facts = {
            "key": key,
            "steps": [one.step for one in sheet.shown],
            "left_out": len(pictures) - len(sheet.shown),
            "size": written["size"],
            "sha256": written["sha256"],
            "alt": sheet.alt,
        }
        sheets.append({"file": str(folder.path / written["file"]), **facts})
        done.recorded[written["file"]] = {"owner": mark, **facts, "run": run_key(a_run)}
    if not by_key:
        warnings.append("no image with a key is there to make a sheet of")
    return sheets


def _kinds(files: Sequence[RunFile]) -> dict[str, int]:
    """Count the run's files by kind, for a run without images."""
    counts: Counter[str] = Counter()
    for name in dict.fromkeys(file.name for file in files):
        lower = name.lower()
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


def _text(payload: Mapping[str, Any], a_run: Run, asked: Sequence[str]) -> str:
    done = [payload[part] for part in ("downloaded", "skipped", "failed")]
    if not any(done):
        return "\n".join([_nothing(payload, a_run), *_table_lines(payload, asked)])
    lines = []
    for one in payload["downloaded"]:
        what = " ".join(filter(None, (one["key"] or "", _where(one))))
        caption = f", {clean(one['caption'], 60)!r}" if one["caption"] else ""
        lines.append(f"{clean(one['file'])}  {size(one['size'])}{f'  {clean(what)}' if what else ''}{caption}")
    lines += [f"skipped {clean(one['file'])}: {one['reason']}" for one in payload["skipped"][:20]]
    if len(payload["skipped"]) > 20:
        lines.append(f"and {len(payload['skipped']) - 20} more skipped (--json lists them)")
    lines += [f"failed {clean(one['source'])}: {clean(one['reason'])}" for one in payload["failed"]]
    lines += [f"{clean(one['file'])}  {one['alt']}" for one in payload["sheets"]]
    lines += _table_lines(payload, asked)
    counts = ", ".join(
        f"{len(part)} {word}" for part, word in zip(done, ("downloaded", "skipped", "failed"), strict=True)
    )
    where = f", recorded in {clean(payload['metadata'])}" if payload["metadata"] else ""
    lines.append(f"{counts}{where}")
    return "\n".join(lines)


def _where(one: Mapping[str, Any]) -> str:
    """Return the step of an image, and its place in the list that was logged there."""
    if one["step"] is None:
        return ""
    return f"step {one['step']:,}" + (f", image {one['index']}" if one["index"] is not None else "")


def _table_lines(payload: Mapping[str, Any], asked: Sequence[str]) -> list[str]:
    """Say which tables hold images that are not among the run's files, and were not fetched from their artifacts."""
    lines = []
    for one in payload["tables"]:
        away = one["images"] - one["in_files"] - one["in_artifact"]
        if away:
            step = f" (step {one['step']:,})" if one["step"] is not None else ""
            lines.append(
                f"table {clean(one['key'] or one['source'])}{step}, column {clean(one['column'])}:"
                f" {plural(away, 'image')} in the table's artifact, "
                + ("which could not be read" if one["key"] in asked else f"which --keys {clean(one['key'])} looks into")
            )
    return lines


def _nothing(payload: Mapping[str, Any], a_run: Run) -> str:
    matching = f" that match {clean(payload['pattern'])!r}" if payload["pattern"] else ""
    there = ", ".join(plural(count, kind) for kind, count in payload["files_of_run"].items())
    hint = f" It has {there}; --pattern chooses among them." if there else " It has no files at all."
    return f"No plot files found{matching} in {clean(a_run.label)}.{hint}"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    return cli.run_command(build_parser(), run, argv)
