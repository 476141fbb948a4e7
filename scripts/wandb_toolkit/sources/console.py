"""Console output as a terminal would have left it: the last lines, without escapes and overwritten progress bars."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from wandb_toolkit.text import clean

_TAIL_BYTES = 256_000
LONGEST_LINE = 4_000  # characters: what looks for patterns in lines need not bear more


def last_lines(chunks: Iterable[str], count: int) -> list[str]:
    """Return the last `count` lines that are not blank; of a line redrawn with carriage returns, its final form."""
    lines: list[str] = []
    for line in "".join(chunks).split("\n"):
        drawn = [part for part in line.split("\r") if part.strip()]
        shown = clean(drawn[-1][:LONGEST_LINE]) if drawn else ""
        if shown:
            lines.append(shown)
    return lines[-count:] if count > 0 else []


def tail(path: Path) -> str:
    """Return the end of a text file, "" where it cannot be read."""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _TAIL_BYTES, 0))
            return file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
