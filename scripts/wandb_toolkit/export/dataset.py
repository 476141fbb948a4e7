"""The folder of an export: where each run's files are, what is in it already, and what has to be read anew."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb_toolkit import __version__, jsontext
from wandb_toolkit.errors import ToolkitError, UsageError
from wandb_toolkit.export.tables import SUFFIX, Format
from wandb_toolkit.model import Run
from wandb_toolkit.output import check_folder, digest, run_key, safe_stem, temporary, utc

MANIFEST, SCHEMA, RUNS = "manifest.json", "schema.json", "runs"
VERSION = 1
_OVER = ("finished", "crashed", "failed", "killed", "preempted")


@dataclass
class Dataset:
    """An export on disk."""

    folder: Path
    form: Format
    target: str
    options: Mapping[str, Any]  # what is exported of each run; another choice makes all runs new
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # what is done, by key

    @classmethod
    def open(cls, folder: Path, form: Format, target: str, options: Mapping[str, Any]) -> Dataset:
        """Return the export in a folder, a new one where the folder is empty or absent.

        Raises:
            UsageError: the folder holds something else.
            ToolkitError: it cannot be written.
        """
        check_folder(folder)
        place = folder / MANIFEST
        made = cls(folder, form, target, dict(options))
        if not place.exists():
            if folder.is_dir() and any(one.name[:1] != "." for one in folder.iterdir()):
                raise UsageError(f"{folder} holds files, and no export.", "Give an empty or a new folder.")
            return made
        try:
            found = json.loads(place.read_bytes())
            runs = dict(found["runs"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(f"{place} is no manifest of an export: {error}", "Give another folder.") from error
        if found.get("target") != target or found.get("format") != form:
            raise UsageError(
                f"{folder} holds an export of {found.get('target')} as {found.get('format')}.",
                f"Give another folder for {target} as {form}.",
            )
        if found.get("options") == dict(options) and found.get("version") == VERSION:
            made.runs = runs
        return made

    def part_of(self, kind: str, run: Run, name: str = "points") -> Path:
        """Return where a run's file of a kind ("history", "system", "console") is."""
        place = self.folder / kind / f"project={_part(run.project or 'none')}" / f"run={_part(run.id)}"
        return place / (f"{name}.txt" if kind == "console" else f"{name}{SUFFIX[self.form]}")

    @property
    def table(self) -> Path:
        """The table of runs."""
        return self.folder / f"{RUNS}{SUFFIX[self.form]}"

    def is_done(self, run: Run) -> bool:
        """Whether a run has ended, is exported, and has not changed since."""
        known = self.runs.get(run_key(run))
        if known is None or run.state not in _OVER or known.get("fingerprint") != fingerprint(run):
            return False
        return all(self._whole(file) for file in known.get("files", ()))

    def _whole(self, file: Mapping[str, Any]) -> bool:
        try:
            return (self.folder / str(file["path"])).stat().st_size == file["size"]
        except (OSError, KeyError):
            return False

    def note(self, run: Run, files: Sequence[Path], points: int) -> None:
        """Note a run as exported."""
        listed = [{"path": path.relative_to(self.folder).as_posix(), "size": path.stat().st_size} for path in files]
        self.runs[run_key(run)] = {
            "id": run.id, "name": run.name, "entity": run.entity, "project": run.project, "state": run.state,
            "fingerprint": fingerprint(run), "points": points, "files": listed,
        }  # fmt: skip

    def save(self) -> None:
        """Write the manifest: what it lists is whole on disk."""
        found = {
            "version": VERSION, "tool_version": __version__, "target": self.target, "format": self.form,
            "options": self.options, "runs": self.runs,
        }  # fmt: skip
        with temporary(self.folder / MANIFEST) as place:
            place.write_text(jsontext.dumps(found) + "\n", encoding="utf-8")

    def save_schema(self, columns: Mapping[str, str]) -> None:
        """Write what the columns of the dataset are."""
        found = {
            "version": VERSION,
            "runs": {"path": self.table.name, "columns": dict(columns)},
            "history": {
                "path": f"history/project=*/run=*/points{SUFFIX[self.form]}",
                "columns": {
                    "run": "text",
                    "_step": "int",
                    "_runtime": "float",
                    "_timestamp": "float",
                    "<metric>": "float",
                },
                "nulls": "the row lacks the metric; a logged NaN is NaN",
            },
            "system": {
                "path": f"system/project=*/run=*/points{SUFFIX[self.form]}",
                "columns": {"_runtime": "float", "system.<metric>": "float"},
            },
            "console": {"path": "console/project=*/run=*/points.txt"},
        }
        with temporary(self.folder / SCHEMA) as place:
            place.write_text(jsontext.dumps(found) + "\n", encoding="utf-8")


def fingerprint(run: Run) -> str:
    """Return what changes when a run goes on, is resumed or rewound."""
    parts = (run.state, run.rows, run.steps, utc(run.last_activity), run.duration, len(run.paths), run.forked_from)
    return digest(repr(parts), 16)


def _part(name: str) -> str:
    """Return a name that is safe as a folder, and tells apart what is cut or replaced."""
    stem = safe_stem(name)
    return stem if stem == name else f"{stem}-{digest(name)}"


def failed(run: Run, error: ToolkitError) -> dict[str, Any]:
    """Return what is said of a run that could not be exported."""
    return {"id": run.id, "name": run.name, "message": error.message}
