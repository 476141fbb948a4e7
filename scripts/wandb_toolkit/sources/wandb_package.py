"""The wandb package, imported late and only here: its API object, its tokens, and its exceptions as ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from wandb_toolkit.errors import AuthError, NotFoundError, ServerError, ToolkitError, UsageError

LOG_IN = "Set WANDB_API_KEY, or run `wandb login`."
_DENIED = ("401", "403", "unauthorized", "permission denied", "not logged in", "api_key", "api key", "forbidden")
_ABSENT = ("404", "not found", "could not find", "couldn't find", "does not exist")


def open_api(base_url: str, key: str | None, timeout: float) -> Any:
    """Return `wandb.Api` for a server and a key; without a key, the SDK looks for one itself.

    Raises:
        UsageError: the wandb package is not installed.
        ToolkitError: it refuses the key, or the server does not answer.
    """
    os.environ.setdefault("WANDB_SILENT", "true")  # it reports to the terminal on its own
    try:
        import wandb
    except ImportError as error:
        raise UsageError("--source sdk needs the wandb package.", "Install it: pip install wandb") from error
    with translated("log in", key):
        return wandb.Api(overrides={"base_url": base_url}, timeout=max(1, round(timeout)), api_key=key)


@contextmanager
def translated(what: str, key: str | None) -> Iterator[None]:
    """Turn what the SDK raises into our errors, without the key; its exceptions have no common base."""
    try:
        yield
    except ToolkitError:
        raise
    except Exception as error:
        said = f"The wandb package could not {what}: {_said(error, key)}"
        low = said.lower()
        if type(error).__name__ in ("AuthenticationError", "UsageError") or any(word in low for word in _DENIED):
            raise AuthError(said, LOG_IN) from error
        if any(word in low for word in _ABSENT):
            raise NotFoundError(said) from error
        raise ServerError(said) from error


def access_token(base_url: str, token_file: str) -> str:
    """Return the access token that the SDK gets for an identity token.

    Raises:
        AuthError: it gets none.
    """
    problem = "the server gave no access token"
    try:
        from wandb.apis.public.service_api import ServiceApi
        from wandb.sdk.wandb_settings import Settings

        settings = Settings(base_url=base_url, identity_token_file=token_file)
        if os.environ.get("WANDB_CREDENTIALS_FILE"):
            settings.credentials_file = os.environ["WANDB_CREDENTIALS_FILE"]
        token = ServiceApi(settings, timeout=30).access_token()
        if token:
            return str(token)
    except ImportError:
        problem = "the wandb package is not installed, or is too old for it"
    except Exception as error:  # the SDK's errors here have no common base
        problem = _said(error, None)
    raise AuthError(
        f"The identity token from WANDB_IDENTITY_TOKEN_FILE could not be exchanged at {base_url}: {problem}.",
        "Check that the file exists and holds a valid token, or set WANDB_API_KEY instead.",
    )


def _said(error: Exception, key: str | None) -> str:
    text = " ".join(str(error).split())
    return (text.replace(key, "***") if key else text)[:300] or type(error).__name__
