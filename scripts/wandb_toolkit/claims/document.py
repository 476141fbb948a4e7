"""A file with claims: Markdown (also plain text), LaTeX, or a YAML list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from wandb_toolkit.claims.claim import Claim
from wandb_toolkit.claims.listed import read_list
from wandb_toolkit.claims.marks import marked_claims, target_of
from wandb_toolkit.claims.plain import Plain, plain
from wandb_toolkit.errors import NotFoundError, ToolkitError, UsageError
from wandb_toolkit.resolve import nearest_path

MOST = 5_000_000  # bytes
LATEX, LISTS = frozenset((".tex", ".latex", ".ltx")), frozenset((".yaml", ".yml", ".json"))


@dataclass(frozen=True, eq=False)
class Document:
    """A file as read: the claims that it makes as such, and its text, where others may be found."""

    name: str
    raw: str
    text: Plain | None  # None: a list, which has nothing but its claims
    claims: tuple[Claim, ...]
    target: str | None = None  # where it says that its runs are


def named_target(document: Document, path: Path) -> str | None:
    """Return the target that a file names, None for none: ENTITY/PROJECT, or a path from the file's folder.

    Raises:
        UsageError: it is an address. A text from elsewhere must not choose the server that is given the key.
    """
    target = document.target
    if target is None:
        return None
    if "://" in target or target.startswith("~"):
        raise UsageError(f"{document.name} names the target {target!r}.", "Give an address as the second argument.")
    beside = path.parent / target
    try:
        return str(beside) if beside.exists() else target
    except (OSError, ValueError):  # a name too long
        return target


def read_file(path: Path) -> Document:
    """Return a file's claims.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is no text, or too large.
        ToolkitError: it cannot be read.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder; a file with claims comes first, then the target.")
        with path.open("rb") as file:
            data = file.read(MOST + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise NotFoundError(f"There is no file {path}.", nearest_path(path)) from error
    except OSError as error:
        raise ToolkitError(f"{path} cannot be read: {error.strerror}.") from error
    return document_of(str(path), data)


def document_of(name: str, data: bytes) -> Document:
    """Return the claims of a file's content; its name says what it is, and without a known one it is Markdown.

    Raises:
        UsageError: it is no UTF-8 text, too large, or no list of claims where it should be.
    """
    if len(data) > MOST:
        raise UsageError(f"{name} is larger than {MOST // 1_000_000} MB.")
    try:
        raw = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not text in UTF-8 (byte {error.start}).") from error
    suffix = Path(name).suffix.lower()
    if suffix in LISTS:
        found = read_list(raw)
        return Document(name, raw, None, found.claims, found.target)
    text = plain(raw, latex=suffix in LATEX)
    return Document(name, raw, text, tuple(marked_claims(text)), target_of(text))
