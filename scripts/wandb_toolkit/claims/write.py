"""Marks for the claims that were found and confirmed, put into the file."""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wandb_toolkit.claims.check import Checked
from wandb_toolkit.claims.claim import Claim, Judged
from wandb_toolkit.claims.document import Document
from wandb_toolkit.claims.marks import marked_claims, read_mark, write_mark
from wandb_toolkit.claims.names import RunNames
from wandb_toolkit.claims.plain import plain
from wandb_toolkit.errors import ToolkitError
from wandb_toolkit.output import temporary

MOST_TRIED = 100  # marks that are tried one by one, where all together do not say what they should


@dataclass(frozen=True)
class _Edit:
    """Text to put at a place of the file, and the claims that it marks, each with what its mark says."""

    place: int
    text: str
    claims: tuple[tuple[Judged, str], ...]


def with_marks(document: Document, checked: Checked) -> tuple[str, int]:
    """Return the file's text with a mark behind each number that was found and confirmed, and how many these are.

    A mark that would be read as another number's, within markup that is not understood, is left out.
    """
    text, names = document.text, checked.names
    if text is None or names is None:
        return document.raw, 0
    marks = [(one, mark) for one in checked.claims if (mark := _mark(one, names))]
    if text.latex:
        edits = list(_at_line_ends(document, marks))
    else:
        edits = [_Edit(one.claim.place, f" <!-- {mark} -->", ((one, mark),)) for one, mark in marks]
    raw = _edited(document.raw, edits)
    if not _says(document, raw, edits):
        kept: list[_Edit] = []
        for edit in edits[:MOST_TRIED]:
            if _says(document, _edited(document.raw, [*kept, edit]), [*kept, edit]):
                kept.append(edit)
        edits, raw = kept, _edited(document.raw, kept)
    return raw, sum(len(edit.claims) for edit in edits)


def _edited(raw: str, edits: Sequence[_Edit]) -> str:
    parts, done = [], 0
    for edit in sorted(edits, key=lambda edit: edit.place):
        parts += [raw[done : edit.place], edit.text]
        done = edit.place
    return "".join([*parts, raw[done:]])


def _says(document: Document, raw: str, edits: Sequence[_Edit]) -> bool:
    """Whether a text with marks makes the claims that the file made, and those of the marks, and no other."""
    assert document.text is not None
    made = marked_claims(plain(raw, latex=document.text.latex))
    wanted = Counter(map(_key, document.claims))
    for edit in edits:
        for one, mark in edit.claims:
            said = read_mark(mark.removeprefix("wandb: "))
            claim = one.claim
            wanted[said.run, (said.metric,), said.statistic, claim.number.value, claim.number.text] += 1
    return Counter(map(_key, made)) == wanted


def _key(claim: Claim) -> tuple[object, ...]:
    return claim.run, claim.metrics, claim.statistic, claim.number.value, claim.number.text


def _mark(one: Judged, names: RunNames) -> str | None:
    claim = one.claim
    if claim.how not in ("prose", "table") or one.verdict != "confirmed" or one.metric is None or not one.statistic:
        return None
    run = claim.run if len(claim.runs) > 1 else names.short(claim.runs[0])
    return write_mark(run, one.metric, one.statistic)


def _at_line_ends(document: Document, marks: list[tuple[Judged, str]]) -> Iterator[_Edit]:
    """Yield the marks behind LaTeX's lines: of lines without a comment, whose last numbers they are all about."""
    text = document.text
    assert text is not None
    lines: dict[int, list[tuple[Judged, str]]] = defaultdict(list)
    for one, mark in marks:
        lines[one.claim.line].append((one, mark))
    raw = document.raw
    commented = {text.line_of(comment.start) for comment in text.comments}
    for line in sorted(lines):
        start, end = text.line_span(line)
        found = sorted(lines[line], key=lambda pair: pair[0].claim.column)
        if line in commented or not _last_on_line(document, line, [one for one, _ in found]):
            continue
        stop = end - 1 if raw[start:end].endswith("\r") else end
        parts = "; ".join(mark.removeprefix("wandb: ") for _, mark in found)
        yield _Edit(stop, f" % wandb: {parts}", tuple(found))


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
