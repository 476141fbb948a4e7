"""The folder of an export: where each run's files are, what is in it already, and what has to be read anew."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wandb_toolkit import __version__, jsontext
from wandb_toolkit.errors import UsageError
from wandb_toolkit.export.store import Store
from wandb_toolkit.export.tables import SUFFIX, Format
from wandb_toolkit.model import Run
from wandb_toolkit.output import check_folder, digest, run_key, safe_stem, temporary, utc

MANIFEST, SCHEMA, RUNS = "manifest.json", "schema.json", "runs"
VERSION = 1
SAVE_EVERY = 2.0  # seconds between two manifests: with thousands of runs, one a run would be most of the writing
_OVER = ("finished", "crashed", "failed", "killed", "preempted")


@dataclass
class Dataset:
    """An export on disk."""

    folder: Path
    form: Format
    target: str
    options: Mapping[str, Any]  # what is exported of each run; another choice makes all runs new
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)  # what is done, by key
    store: Store | None = None  # where files go from `folder`; None: they stay there
    _saved: float = 0.0  # when the manifest was written

    @classmethod
    def open(
        cls, folder: Path, form: Format, target: str, options: Mapping[str, Any], store: Store | None = None
    ) -> Dataset:
        """Return the export in a folder or store, a new one where that is empty or absent.

        With a store, `folder` is an empty one where files are written before they go there.

        Raises:
            UsageError: the folder holds something else.
            ToolkitError: it cannot be written to.
        """
        check_folder(folder)
        place = folder / MANIFEST
        dataset = cls(folder, form, target, dict(options), store=store)
        where = dataset.named(folder)
        if store is not None:
            for name in {MANIFEST, SCHEMA, dataset.table.name} & set(store.sizes):
                store.fetch(name, folder / name)
        if not place.exists():
            if store.sizes if store else folder.is_dir() and any(entry.name[:1] != "." for entry in folder.iterdir()):
                raise UsageError(f"{where} holds files, but no export.", "Give an empty or a new folder.")
            return dataset
        try:
            before = json.loads(place.read_bytes())
            runs = dict(before["runs"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UsageError(
                f"{dataset.named(place)} is not the manifest of an export: {error}", "Give another folder."
            ) from error
        if before.get("target") != target or before.get("format") != form:
            raise UsageError(
                f"{where} holds an export of {before.get('target')} as {before.get('format')}.",
                f"Give another folder for {target} as {form}.",
            )
        if before.get("options") == dict(options) and before.get("version") == VERSION:
            dataset.runs = runs
        return dataset

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
        return all(self._is_whole(file) for file in known.get("files", ()))

    def _is_whole(self, file: Mapping[str, Any]) -> bool:
        try:
            if self.store is not None:
                return bool(self.store.sizes[str(file["path"])] == file["size"])
            return bool((self.folder / str(file["path"])).stat().st_size == file["size"])
        except (OSError, KeyError):
            return False

    def note(self, run: Run, files: Sequence[Path], points: int) -> None:
        """Note a run as exported, and remove files of an earlier export that it has no longer."""
        listed = [{"path": path.relative_to(self.folder).as_posix(), "size": path.stat().st_size} for path in files]
        self._send(files, keep=False)
        self._remove_all_but({str(file["path"]) for file in listed}, self.runs.get(run_key(run), {}))
        self.runs[run_key(run)] = {
            "id": run.id, "name": run.name, "entity": run.entity, "project": run.project, "state": run.state,
            "fingerprint": fingerprint(run), "points": points, "files": listed,
        }  # fmt: skip
        if time.monotonic() - self._saved > SAVE_EVERY:
            self.save()

    def _remove_all_but(self, kept: set[str], before: Mapping[str, Any]) -> None:
        for kind in ("history", "system", "console"):
            for file in before.get("files", ()):
                path = str(file["path"])
                if path not in kept and path.startswith(f"{kind}/") and ".." not in path:
                    if self.store is not None:
                        self.store.remove(path)
                    (self.folder / path).unlink(missing_ok=True)

    def named(self, path: Path) -> str:
        """Return how the user knows the dataset's folder or a file in it."""
        if self.store is None:
            return str(path)
        return "/".join((self.store.shown, *path.relative_to(self.folder).parts))

    def send_table(self) -> None:
        """Put the table of runs, which is whole, where the dataset is."""
        self._send([self.table])

    def _send(self, files: Sequence[Path], *, keep: bool = True) -> None:
        """Put whole files into the store, if there is one; the copies here stay only with `keep`."""
        if self.store is None:
            return
        self.store.put([(path, path.relative_to(self.folder).as_posix()) for path in files])
        for path in files if not keep else ():
            path.unlink()

    def save(self) -> None:
        """Write the manifest: what it lists is whole on disk."""
        content = {
            "version": VERSION, "tool_version": __version__, "target": self.target, "format": self.form,
            "options": self.options, "runs": self.runs,
        }  # fmt: skip
        with temporary(self.folder / MANIFEST) as place:
            place.write_text(jsontext.dumps(content) + "\n", encoding="utf-8")
        self._send([self.folder / MANIFEST])
        self._saved = time.monotonic()

    @property
    def columns(self) -> dict[str, str]:
        """What the columns of the table of runs hold, as the last export wrote it; {} where there was none."""
        try:
            content = json.loads((self.folder / SCHEMA).read_bytes())
            return {str(name): str(kind) for name, kind in content["runs"]["columns"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}

    def save_schema(self, columns: Mapping[str, str]) -> None:
        """Write what the columns of the dataset are."""
        content = {
            "version": VERSION,
            "runs": {"path": self.table.name, "columns": dict(columns)},
            "history": {
                "path": f"history/project=*/run=*/points{SUFFIX[self.form]}",
                "columns": {"_step": "int", "_runtime": "float", "_timestamp": "float", "<metric>": "float"},
                "nulls": "the row lacks the metric; a logged NaN is NaN",
            },
            "system": {
                "path": f"system/project=*/run=*/points{SUFFIX[self.form]}",
                "columns": {"_runtime": "float", "system.<metric>": "float"},
            },
            "console": {"path": "console/project=*/run=*/points.txt"},
        }
        with temporary(self.folder / SCHEMA) as place:
            place.write_text(jsontext.dumps(content) + "\n", encoding="utf-8")
        self._send([self.folder / SCHEMA])


def fingerprint(run: Run) -> str:
    """Return what changes when a run goes on, is resumed or rewound."""
    parts = (run.state, run.rows, run.steps, utc(run.last_activity), run.duration, len(run.paths), run.forked_from)
    return digest(repr(parts), 16)


def _part(name: str) -> str:
    """Return a name that is safe as a folder, and tells apart what is cut or replaced."""
    stem = safe_stem(name)
    return stem if stem == name else f"{stem}-{digest(name)}"
