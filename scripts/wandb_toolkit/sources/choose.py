"""Which source a target names."""

from __future__ import annotations

import os
from pathlib import Path

from wandb_toolkit.errors import AuthError, NotFoundError
from wandb_toolkit.resolve import Target, parse_target
from wandb_toolkit.sources.base import Source


def open_source(text: str | None, choice: str = "auto") -> tuple[Source, tuple[str, ...]]:
    """Return the source that a target names, and the selectors that the target itself holds (the run of a URL).

    None means what the folder at hand holds: ``$WANDB_DIR``, else the current folder.

    Raises:
        NotFoundError: there is no such path, or no runs of that name.
        AuthError: it can only be on a server, and there are no credentials for one.
    """
    from wandb_toolkit.sources.local import LocalSource

    if text is None:
        return LocalSource(_here()), ()
    target = parse_target(text)
    if target.path is not None:
        return LocalSource(target.path), ()
    selectors = (target.selector,) if target.selector else ()
    here = LocalSource(_here(), entity=target.entity, project=target.project)
    if here.has_runs():
        return here, selectors
    raise _no_such_project(target, choice)


def _here() -> Path:
    return Path(os.environ.get("WANDB_DIR") or ".")


def _no_such_project(target: Target, choice: str) -> Exception:
    from wandb_toolkit.sources.local import LocalSource

    here = LocalSource(_here(), entity=None, project=None)
    projects = here.projects() if here.has_runs() else []
    seen = ", ".join(f"{p.entity or 'local'}/{p.name} ({p.run_count})" for p in projects[:5]) or "none"
    where = f"Local runs below {_here().resolve()}: {seen}."
    if choice == "local":
        return NotFoundError(f"No local runs of {target.text!r}.", where)
    return AuthError(
        f"{target.text!r} is not a local path, and this version reads local runs only.",
        f"Give the path of a wandb folder, a run directory or a .wandb file. {where}",
    )
