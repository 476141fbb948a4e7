"""The pictures of a generate_plots call: written, recorded in metadata.json, and told of."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wandb_toolkit.output import METADATA, Folder
from wandb_toolkit.text import clean, plural

if TYPE_CHECKING:
    from wandb_toolkit.model import Run
    from wandb_toolkit.plots.figures.view import View
    from wandb_toolkit.plots.kinds import Drawn
    from wandb_toolkit.plots.smoothing import Smoothing
    from wandb_toolkit.sources.base import Source

SECTION = "plots"
MOST_SENTENCES = 40  # with more figures, the sentences are left to --json
_RECORD_EVERY = 5.0  # seconds; what is lost of metadata.json when the process is killed


class PlotFiles:
    """The files of a call."""

    def __init__(self, folder: Folder, runs: Sequence[Run], source: Source, view: View, smoothing: Smoothing) -> None:
        self.folder, self.runs, self.source, self.view, self.smoothing = folder, runs, source, view, smoothing
        self.done: list[dict[str, Any]] = []  # for JSON
        self.term: dict[str, str] = {}  # file → plot for the terminal
        self._files: dict[str, dict[str, Any]] = {}  # not yet in metadata.json
        self._recorded = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to record what was written."""
        return time.monotonic() - self._recorded > _RECORD_EVERY

    def write(self, one: Drawn, kind: str, stem: str) -> None:
        """Write a picture of a kind to `stem` or, where another one has that name, beside it."""
        from wandb_toolkit.plots.figures.file import owner_of

        suffix = f".{self.view.format}"
        written = self.folder.place(one.owner, stem, suffix, one.content, lambda path: owner_of(path) == one.owner)
        name, path = written["file"], str(self.folder.path / written["file"])
        facts = {"size": written["size"], "sha256": written["sha256"], **one.facts}
        self.done.append({"kind": kind, "metric": facts.pop("metric"), "file": path, **facts})
        self._files[name] = {"owner": one.owner, **{k: v for k, v in self.done[-1].items() if k != "file"}}
        if one.term:
            self.term[path] = one.term

    def record(self) -> list[str]:
        """Add to metadata.json what was written since the last time; return warnings."""
        from wandb_toolkit.workers import held

        self._recorded = time.monotonic()
        if not self._files:
            return []
        facts = {"smoothing": self.smoothing.as_dict(), "view": self.view.as_dict()}
        with held():
            files, self._files = self._files, {}
            return self.folder.record(SECTION, files, self.runs, self.source.description, **facts)

    def payload(
        self,
        labels: Sequence[str],
        group_by: str | None,
        color_by: str | None,
        skipped: Sequence[Mapping[str, str]],
        errors: Sequence[Mapping[str, str]],
        warnings: Sequence[str],
    ) -> dict[str, Any]:
        """Return the document of --json."""
        return {
            "output_dir": str(self.folder.path),
            "source": self.source.description,
            "runs": [
                {
                    "id": run.id,
                    "name": run.name,
                    "label": label,
                    "entity": run.entity,
                    "project": run.project,
                    "state": run.state,
                }
                for run, label in zip(self.runs, labels, strict=True)
            ],
            "group_by": group_by,
            "color_by": color_by,
            "view": self.view.as_dict(),
            "plots": self.done,
            "skipped": list(skipped),
            "errors": list(errors),
            "warnings": list(warnings),
            "metadata": str(self.folder.path / METADATA) if self.done else None,
        }


def text_of(payload: Mapping[str, Any], term: Mapping[str, str]) -> str:
    """Return what people read: each file with what it shows."""
    lines = []
    plots, skipped = payload["plots"], payload["skipped"]
    for plot in plots:
        lines += [term[plot["file"]], ""] if plot["file"] in term else []
        lines.append(clean(plot["file"]))
        if len(plots) <= MOST_SENTENCES:
            lines += [f"  {panel['alt']}" for panel in plot["panels"] or [plot]]
    if len(plots) > MOST_SENTENCES:
        lines.append(f"What each of the {len(plots)} figures shows: --json, or {clean(payload['metadata'])}")
    lines += [f"skipped {clean(one['metric'])}: {clean(one['reason'])}" for one in skipped[:20]]
    if len(skipped) > 20:
        lines.append(f"and {plural(len(skipped) - 20, 'more metric')} skipped (--json lists them)")
    lines += [f"failed {clean(one['run'])}: {clean(one['message'])}" for one in payload["errors"]]
    if payload["metadata"]:
        lines.append(f"{plural(len(plots), 'figure')}, recorded in {clean(payload['metadata'])}")
    return "\n".join(lines)
