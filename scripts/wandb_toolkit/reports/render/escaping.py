"""Strangers' text inside Markdown: plain outside code spans, harmless inside tables."""

from __future__ import annotations

import re

from wandb_toolkit.text import clean

# A code span as `quoted` makes it. Runs of several backquotes pair by rules of their own: they are escaped instead.
SPAN = re.compile(r"((?<!`)`(?!`)[^`]*`(?!`))")


def escape(text: str) -> str:
    """Return prose with everything outside code spans made plain text: no HTML, links, emphasis or tables."""
    parts = SPAN.split(clean(text))
    return "".join(part if at % 2 else _plain(part) for at, part in enumerate(parts))


def _plain(text: str) -> str:
    text = re.sub(r"([\\`*|])", r"\\\1", text)
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text)
    text = re.sub(r"<(?=[A-Za-z/!?])", "&lt;", text)
    text = re.sub(r"\](?=[(\[:])", r"\\]", text)
    text = re.sub(r"(?<!\w)(_+)(?=\S)|(?<=\S)(_+)(?!\w)", lambda m: "\\_" * len(m[0]), text)
    text = re.sub(r"~~", r"\\~\\~", text)
    return re.sub(r"(?i)\b(https?|ftp)://", r"\1\\://", re.sub(r"(?i)\bwww\.", r"www\\.", text))


def cell(text: object) -> str:
    """Return a table cell whose bars are no borders."""
    return str(text).replace("|", "\\|")
