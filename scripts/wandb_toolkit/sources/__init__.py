"""Where runs are read from; `open_source` is the only place that chooses."""

from __future__ import annotations

from wandb_toolkit.sources.base import RunQuery, Source, console_of, history_of
from wandb_toolkit.sources.choose import ReadOptions, open_source

__all__ = ["ReadOptions", "RunQuery", "Source", "console_of", "history_of", "open_source"]
