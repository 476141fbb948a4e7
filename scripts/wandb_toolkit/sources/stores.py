"""Object stores and other hosts through fsspec: opening them, and their errors as the toolkit's."""

from __future__ import annotations

import contextlib
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from wandb_toolkit.errors import AuthError, NotFoundError, ServerError, ToolkitError, UsageError
from wandb_toolkit.text import clean

_PAST = {"read": "read", "write": "written"}


def is_remote(text: str) -> bool:
    """Tell whether a target names another store than this machine's files and W&B servers."""
    protocol, _, rest = text.strip().partition("://")
    return bool(rest) and protocol not in ("http", "https")


def open_store(url: str, shown: str) -> tuple[Any, str]:
    """Return the file system that serves a URL, and the path in it; `shown` names it in messages.

    Raises:
        UsageError: fsspec, or the package that it needs for this protocol, is not installed; the URL is none.
        ToolkitError: the store refuses or fails.
    """
    try:
        import fsspec
    except ImportError as error:
        raise UsageError(f"{shown} needs the package fsspec.", "pip install 'wandb-toolkit[remote]'") from error
    try:
        with explained(shown):
            files, root = fsspec.core.url_to_fs(url)
    except ImportError as error:  # fsspec names the package that the protocol needs
        raise UsageError(f"{shown} cannot be opened: {clean(str(error))}.") from error
    except ValueError as error:
        raise UsageError(f"{shown} is not a target: {clean(str(error))}.") from error
    return files, str(root).rstrip("/")


class explained(contextlib.AbstractContextManager[None]):  # noqa: N801 - reads as a function
    """Turn the errors of any file system into the toolkit's."""

    def __init__(self, what: str, doing: Literal["read", "write"] = "read") -> None:
        self._what, self._doing = what, doing

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, (ToolkitError, ImportError, ValueError)):
            return
        if isinstance(error, FileNotFoundError) and self._doing == "write":
            raise NotFoundError(f"{self._what} cannot be written: its bucket or folder does not exist.") from error
        if isinstance(error, FileNotFoundError):
            raise NotFoundError(f"There is no {self._what}.") from error
        if isinstance(error, PermissionError):
            raise AuthError(
                f"No right to {self._doing} {self._what}.", "Check the store's credentials and rights."
            ) from error
        if isinstance(error, Exception):
            why = without_secrets(clean(str(error)))[:200] or type(error).__name__
            raise ServerError(f"{self._what} could not be {_PAST[self._doing]}: {why}") from error


def without_secrets(text: str) -> str:
    """Return a URL without its user, password and query."""
    if "://" not in text or any(character.isspace() for character in text):
        return text
    with contextlib.suppress(ValueError):
        url = urlsplit(text)
        return urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path, "", ""))
    return text.partition("://")[0] + "://..."
