"""Marks for the claims that were found and confirmed, put into the file."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path

from wandb_toolkit.claims.check import Checked
from wandb_toolkit.claims.claim import Judged
from wandb_toolkit.claims.document import Document
from wandb_toolkit.claims.marks import write_mark
from wandb_toolkit.claims.names import RunNames
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.output import temporary


def with_marks(document: Document, checked: Checked) -> tuple[str, int]:
    """Return the file's text with a mark behind each number that was found and confirmed, and how many these are."""
    text, names = document.text, checked.names
    if text is None or names is None:
        return document.raw, 0
    marks = [(one, mark) for one in checked.claims if (mark := _mark(one, names))]
    if text.latex:
        return _at_line_ends(document, marks)
    raw = document.raw
    for one, mark in sorted(marks, key=lambda pair: -pair[0].claim.place):
        raw = f"{raw[: one.claim.place]} <!-- {mark} -->{raw[one.claim.place :]}"
    return raw, len(marks)


def _mark(one: Judged, names: RunNames) -> str | None:
    claim = one.claim
    if claim.how not in ("prose", "table") or one.verdict != "confirmed" or one.metric is None or not one.statistic:
        return None
    run = claim.run if len(claim.runs) > 1 else names.short(claim.runs[0])
    return write_mark(run, one.metric, one.statistic)


def _at_line_ends(document: Document, marks: list[tuple[Judged, str]]) -> tuple[str, int]:
    """Return LaTeX with marks behind its lines: for lines without a comment, whose last numbers they are all about."""
    text = document.text
    assert text is not None
    lines: dict[int, list[tuple[Judged, str]]] = defaultdict(list)
    for one, mark in marks:
        lines[one.claim.line].append((one, mark))
    raw, count = document.raw, 0
    commented = {text.line_of(comment.start) for comment in text.comments}
    for line in sorted(lines, reverse=True):
        start, end = text.line_span(line)
        found = sorted(lines[line], key=lambda pair: pair[0].claim.column)
        if line in commented or not _last_on_line(document, line, [one for one, _ in found]):
            continue
        stop = end - 1 if raw[start:end].endswith("\r") else end
        raw = f"{raw[:stop]} % wandb: {'; '.join(mark.removeprefix('wandb: ') for _, mark in found)}{raw[stop:]}"
        count += len(found)
    return raw, count


def _last_on_line(document: Document, line: int, found: list[Judged]) -> bool:
    """Whether these are the last numbers of their line, so that marks at its end mean them."""
    from wandb_toolkit.claims.numbers import nearest_before, numbers_in

    text = document.text
    assert text is not None
    start, end = text.within(*text.line_span(line))
    numbers = numbers_in(text.text, start, end)
    wanted = [one.claim.number.start for one in found]
    if len(wanted) == 1:
        near = nearest_before(numbers, end, text.text)
        return near is not None and near.start == wanted[0]
    return [number.start for number in numbers[-len(wanted) :]] == wanted


def write(path: Path, document: Document, raw: str) -> None:
    """Put a new text in a file's place, whole or not at all; its permissions stay, and what a link leads to is written.

    Raises:
        ToolkitError: it was changed in the meantime, or cannot be written.
    """
    place = path.resolve()
    try:
        if place.read_bytes() != document.raw.encode():
            raise ToolkitError(f"{path} was changed in the meantime; nothing is written.", "Run it again.")
    except OSError as error:
        raise ToolkitError(f"{path} cannot be read: {error.strerror}.") from error
    with temporary(place) as new:
        new.write_bytes(raw.encode())
        shutil.copymode(place, new)
