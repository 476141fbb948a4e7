"""Tables of Markdown and LaTeX, as cells with their places in the file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from wandb_toolkit.claims.plain import Plain

_DELIMITER = re.compile(r"^[ >\t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_PIPE = re.compile(r"(?<!\\)\|")
_TABULAR = re.compile(
    r"\\begin\{(?P<env>tabular[*x]?|tabulary|longtable|array)\}(?P<body>.*?)\\end\{(?P=env)\}", re.DOTALL
)
_ARGUMENTS = re.compile(r"\s*(?:\[[^\]]*\]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})")
_ROW_END = re.compile(r"\\\\\*?(?:\[[^\]\n]*\])?|\\tabularnewline\b")
_AMPERSAND = re.compile(r"(?<!\\)&")
_SPANNED = re.compile(r"\\multicolumn\{(?P<count>\d{1,2})\}")
_TALL = re.compile(r"\\multirow\b")
MOST_COLUMNS = 200


@dataclass(frozen=True)
class Cell:
    """A cell: where it stands in the plain text, and what is read there."""

    start: int
    end: int
    text: str
    line: int
    tall: bool = False  # it also stands for the empty cells below


@dataclass(frozen=True)
class Table:
    """Rows of cells, the header first."""

    rows: tuple[tuple[Cell, ...], ...]


def tables_of(text: Plain) -> list[Table]:
    """Return the tables in their order."""
    return list(_latex(text) if text.latex else _markdown(text))


def _cell(text: Plain, start: int, end: int) -> Cell:
    begin, stop = text.within(start, end)
    tall = _TALL.search(text.raw, start, end) is not None
    return Cell(begin, stop, " ".join(text.text[begin:stop].split()), text.line_of(start), tall)


def _markdown(text: Plain) -> Iterator[Table]:
    raw = _blanked(text.raw, text)
    lines = raw.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    at = 1
    while at < len(lines):
        if "|" not in lines[at - 1] or "|" not in lines[at] or not _DELIMITER.match(lines[at]):
            at += 1
            continue
        rows = [_cells(text, lines[at - 1], starts[at - 1])]
        at += 1
        while at < len(lines) and "|" in lines[at] and lines[at].strip():
            rows.append(_cells(text, lines[at], starts[at]))
            at += 1
        yield Table(tuple(rows))


def _blanked(raw: str, text: Plain) -> str:
    """Return the file with blanks for comments, so that a pipe in one divides nothing."""
    parts, done = [], 0
    for comment in text.comments:
        parts += [raw[done : comment.start], re.sub(r"[^\n]", " ", raw[comment.start : comment.end])]
        done = comment.end
    return "".join([*parts, raw[done:]])


def _cells(text: Plain, line: str, start: int) -> tuple[Cell, ...]:
    edges = [match.start() for match in _PIPE.finditer(line)]
    head = line[: edges[0]].strip(" >\t") if edges else line
    parts = [-1, *edges, len(line)] if head else [*edges, len(line)]
    if len(parts) > 2 and not line[parts[-2] + 1 :].strip():
        parts.pop()
    pairs = list(pairwise(parts))[:MOST_COLUMNS]
    return tuple(_cell(text, start + low + 1, start + high) for low, high in pairs)


def _latex(text: Plain) -> Iterator[Table]:
    raw = _blanked(text.raw, text)
    for match in _TABULAR.finditer(raw):
        start = match.start("body")
        while found := _ARGUMENTS.match(raw, start, match.end("body")):
            start = found.end()
        ends = [found.span() for found in _ROW_END.finditer(raw, start, match.end("body"))]
        rows = []
        for low, high in [*ends, (match.end("body"), match.end("body"))]:
            rows.append(tuple(_row(text, raw, start, low)))
            start = high
        rows = [row for row in rows if any(cell.text for cell in row)]
        if rows:
            yield Table(tuple(rows))


def _row(text: Plain, raw: str, start: int, end: int) -> Iterator[Cell]:
    edges = [found.start() for found in _AMPERSAND.finditer(raw, start, end)]
    pairs = list(zip([start - 1, *edges], [*edges, end], strict=True))[:MOST_COLUMNS]
    for low, high in pairs:
        begin = low + 1
        cell = _cell(text, begin, high)
        spanned = _SPANNED.search(raw, begin, high)
        for _ in range(int(spanned["count"]) if spanned else 1):
            yield cell
