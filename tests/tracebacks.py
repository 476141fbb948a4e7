"""All that any handler of an error could print."""

from __future__ import annotations

import traceback
from pathlib import Path

from repository import TESTS


def everything_about(error: BaseException) -> str:
    """Return message, hint, traceback, and the locals of every frame that is not a test's."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    pending, parts = [shown], [repr(error), str(error), repr(getattr(error, "hint", ""))]
    parts += traceback.format_exception(error)
    while pending:
        link = pending.pop()
        parts += [f"{frame.name} {frame.locals}" for frame in link.stack if TESTS not in Path(frame.filename).parents]
        pending += [other for other in (link.__cause__, link.__context__) if other is not None]
    return "\n".join(parts)
