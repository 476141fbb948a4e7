"""How sentences name things: strangers' names as code spans, lists cut short, one full stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from wandb_toolkit.model import Run
from wandb_toolkit.render.text import clean


def quoted(name: object, limit: int = 60) -> str:
    """Return a stranger's name as a code span, so that nothing in it is taken for Markdown."""
    return f"`{clean(name, limit).replace('`', chr(39)) or '?'}`"


def listed(names: Sequence[str], limit: int = 4) -> str:
    """Return "`a`, `b` and `c`", or the first `limit` names and how many more there are."""
    shown = [quoted(name) for name in names[:limit]]
    left = len(names) - len(shown)
    if left:
        return f"{', '.join(shown)} and {left} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def short_names(runs: Sequence[Run]) -> list[str]:
    """Return a name for each run that tells it from the others: display name, with the id where names repeat."""
    seen = Counter(run.name for run in runs)
    return [run.label if seen[run.name] > 1 else run.name for run in runs]


def sentence(text: str) -> str:
    """Return the text ending in one full stop, unless it already ends a sentence."""
    text = text.rstrip()
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
