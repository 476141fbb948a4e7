"""wandb-toolkit: read Weights & Biases runs, draw them, judge them.

`import wandb_toolkit as wt`: `wt.projects`, `wt.runs`, `wt.history`, `wt.table`, `wt.report`, `wt.plot`,
`wt.check_claims`.
"""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Report",
    "ToolkitError",
    "__version__",
    "check_claims",
    "history",
    "plot",
    "projects",
    "report",
    "runs",
    "table",
]

if TYPE_CHECKING:
    from wandb_toolkit.api import Report, check_claims, history, plot, projects, report, runs, table
    from wandb_toolkit.errors import ToolkitError


def __getattr__(name: str) -> object:
    """Import what Python users ask for when they ask: the scripts start without it."""
    if name == "ToolkitError":
        from wandb_toolkit.errors import ToolkitError

        return ToolkitError
    if name in __all__:
        from wandb_toolkit import api

        return getattr(api, name)
    raise AttributeError(f"module 'wandb_toolkit' has no attribute {name!r}")
