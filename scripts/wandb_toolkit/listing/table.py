"""Tables: fitted to a terminal, plain and uncut in a pipe; as CSV, Markdown and LaTeX for other programs."""

from __future__ import annotations

import csv
import json
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from itertools import zip_longest
from typing import Any, Literal

from wandb_toolkit.text import clean, number

TableFormat = Literal["table", "csv", "markdown", "latex"]
_GAP = 2  # blanks between columns
_USUAL, _LEAST = 24, 8  # characters of a column that may be cut: before others go, and at the least
_NAMED = 4  # columns that had no room, by name
_NAME_LIMIT = 60  # characters of a cell in a pipe; a terminal's width decides there
STATE_STYLES = {
    "running": "cyan",
    "finished": "green",
    "crashed": "red",
    "failed": "red",
    "killed": "yellow",
    "preempted": "yellow",
    "pending": "dim",
}


def cell_text(value: object) -> str:
    """Return a value as a table for people shows it: texts as they are, numbers short, "" for None."""
    return value if isinstance(value, str) else json.dumps(value, default=str) if _nested(value) else number(value)


def _nested(value: object) -> bool:
    return isinstance(value, (list, tuple, dict))


@dataclass(frozen=True)
class TableColumn:
    """A column of a table.

    `fixed` columns are never cut. Where space is short, the column with the highest `rank` goes first, and of equal
    ones the last; rank 0 stays. `text` makes what people read of a value; CSV has the value itself.
    """

    title: str
    align: Literal["left", "right"] = "left"
    fixed: bool = False
    rank: int = 0
    missed: bool = True  # where it does not fit, the line below the table names it
    text: Callable[[Any], str] = cell_text


def terminal_width() -> int | None:
    """Return the columns of the terminal that stdout is, None in a pipe or file."""
    return shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else None


def formatted(
    kind: TableFormat,
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[Any]],
    width: int | None = None,
    links: Sequence[str | None] = (),
) -> str:
    """Return rows of values as a table of a kind; `width` and `links` as for `table`, which alone needs them."""
    if kind == "csv":
        return csv_table([column.title for column in columns], rows)
    texts = texts_of(columns, rows)
    if kind == "markdown":
        return markdown_table(columns, texts)
    return latex_table(columns, texts) if kind == "latex" else table(columns, texts, width, links)


def texts_of(columns: Sequence[TableColumn], rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    """Return what people read of rows of values."""
    return [[column.text(value) for column, value in zip(columns, row, strict=True)] for row in rows]


def fitting(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]], width: int) -> dict[int, int]:
    """Return the widths of the columns to show in `width`, by index; what does not fit is not shown."""
    natural = [max([len(column.title), *(len(row[at]) for row in rows)]) for at, column in enumerate(columns)]
    sizes = {at: natural[at] if column.fixed else min(natural[at], _USUAL) for at, column in enumerate(columns)}
    while sum(sizes.values()) + _GAP * (len(sizes) - 1) > width:
        goes = max(sizes, key=lambda at: (columns[at].rank, at))
        if not columns[goes].rank:
            break
        del sizes[goes]
    spare = width - sum(sizes.values()) - _GAP * (len(sizes) - 1)
    for at in [at for at in sizes if not columns[at].fixed]:
        size = max(min(natural[at], sizes[at] + spare), min(_LEAST, natural[at]))
        spare -= size - sizes[at]
        sizes[at] = size
    return sizes


def shows_links(environ: Mapping[str, str]) -> bool:
    """Whether a terminal is likely to show links (OSC 8): those that would print the raw address are left out.

    FORCE_HYPERLINK=1 or 0 decides, as in other programs.
    """
    forced = environ.get("FORCE_HYPERLINK")
    if forced:
        return forced != "0"
    return environ.get("TERM", "dumb") not in ("dumb", "linux") and environ.get("TERM_PROGRAM") != "Apple_Terminal"


def safe_link(url: str | None) -> str | None:
    """Return an address that may go into a terminal's escape sequence, None for one that may not."""
    return url if url is not None and re.fullmatch(r"https?://[!-~]{1,2000}", url) else None


def table(
    columns: Sequence[TableColumn],
    rows: Sequence[Sequence[str]],
    width: int | None,
    links: Sequence[str | None] = (),
) -> str:
    """Return the rows under their titles. Cells are strangers' text and are made safe here.

    Args:
        columns: what the cells are; a column titled "state" is coloured by state.
        rows: one string a column each.
        width: columns of the terminal; None: a pipe, where nothing is fitted, coloured or linked.
        links: for each row where its first cell leads to; safe addresses are kept, where the terminal shows them.
    """
    from rich.console import Console
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    columns = [replace(column, title=clean(column.title, None if width else _NAME_LIMIT)) for column in columns]
    cells = [[clean(cell, None if width else _NAME_LIMIT) for cell in row] for row in rows]
    if width is None:
        return _plain(columns, cells)
    kept = fitting(columns, cells, width)
    grid = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold", collapse_padding=True)
    for at, size in kept.items():
        column = columns[at]
        grid.add_column(
            Text(column.title), justify=column.align, no_wrap=True, overflow="ellipsis", min_width=size, max_width=size
        )
    targets = [safe_link(url) for url in links] if shows_links(os.environ) else []
    for row, target in zip_longest(cells, targets[: len(cells)]):
        texts = [Text(row[at], style=_style(columns[at], row[at])) for at in kept]
        if target:
            texts[0].stylize(Style(link=target))
        grid.add_row(*texts)
    out = StringIO()
    needed = sum(kept.values()) + _GAP * len(kept)  # a terminal too narrow for what must be shown wraps it
    plain = bool(os.environ.get("NO_COLOR"))
    Console(file=out, width=max(width, needed), force_terminal=not plain, highlight=False).print(grid)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    return "\n".join([*lines, *_left_out(columns, kept, width)])


def _left_out(columns: Sequence[TableColumn], kept: Mapping[int, int], width: int) -> list[str]:
    """Return the line that names the columns for which there was no room."""
    names = [column.title for at, column in enumerate(columns) if at not in kept and column.missed]
    if not names:
        return []
    for count in range(min(len(names), _NAMED), 0, -1):
        shown = ", ".join(clean(name, 24) for name in names[:count])
        more = f" and {len(names) - count} more" if len(names) > count else ""
        line = f"no room at {width} columns: {shown}{more} (--json has all)"
        if len(line) <= width:
            return [line]
    return [f"no room: {len(names)} columns (--json has all)"]


def _style(column: TableColumn, cell: str) -> str:
    return STATE_STYLES.get(cell, "") if column.title == "state" else ""


def _plain(columns: Sequence[TableColumn], cells: Sequence[Sequence[str]]) -> str:
    lines = [[column.title for column in columns], *cells]
    sizes = [max(len(line[at]) for line in lines) for at in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(size) if column.align == "right" else cell.ljust(size)
            for cell, size, column in zip(line, sizes, columns, strict=True)
        ).rstrip()
        for line in lines
    )


def markdown_table(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a table of GitHub-flavoured Markdown."""
    lines = [[column.title for column in columns], *rows]
    cells = [[clean(cell).replace("\\", "\\\\").replace("|", "\\|") for cell in line] for line in lines]
    rule = ["-:" if column.align == "right" else "--" for column in columns]
    return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))


def csv_table(titles: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return the values in full as CSV: times in ISO 8601, nothing for None, words for numbers that are not finite."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([clean(title) for title in titles])
    writer.writerows([csv_cell(value) for value in row] for row in rows)
    return out.getvalue().rstrip("\n")


def csv_cell(value: Any) -> str:
    """Return a value as CSV has it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, float):
        return str(value) if math.isfinite(value) else number(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, bool):
        return number(value)
    if _nested(value):
        return clean(json.dumps(value, default=str))
    return "" if value is None else clean(value)


_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "…": r"\ldots{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"}, "<": "$<$", ">": "$>$", "|": r"\textbar{}",
}  # fmt: skip


def latex_table(columns: Sequence[TableColumn], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a LaTeX tabular, with the rules of the package booktabs."""

    def line(cells: Sequence[str]) -> str:
        return " & ".join("".join(_LATEX.get(sign, sign) for sign in clean(cell)) for cell in cells) + r" \\"

    return "\n".join(
        [
            f"\\begin{{tabular}}{{{''.join('r' if column.align == 'right' else 'l' for column in columns)}}}",
            r"\toprule",
            line([column.title for column in columns]),
            r"\midrule",
            *map(line, rows),
            r"\bottomrule",
            r"\end{tabular}",
        ]
    )
