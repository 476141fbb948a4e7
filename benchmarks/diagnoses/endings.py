"""Runs that end early, or never."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from benchmarks.diagnoses.draft import Draft

_LAST_WORDS = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
    "RuntimeError: NCCL communicator was aborted on rank 3",
    "ValueError: Expected parameter logits to satisfy the constraint",
)


def cut(draft: Draft, part: float) -> None:
    """End the run early."""
    n = max(12, int(draft.n * part))
    for curves in (draft.clean, draft.base, draft.noise, draft.raw, draft.extra):
        for key in curves:
            curves[key] = curves[key][:n]
    draft.rows = {role: rows[rows < n] for role, rows in draft.rows.items()}
    draft.rows = {role: rows if len(rows) else np.array([n - 1]) for role, rows in draft.rows.items()}
    draft.seconds, draft.n = draft.seconds[:n], n


def crashed(draft: Draft) -> None:
    cut(draft, draft.rng.uniform(0.1, 0.95))
    draft.state = str(draft.rng.choice(["failed", "crashed", "killed"]))
    draft.exit_code = {"failed": 1, "killed": 137}.get(draft.state)
    if draft.state == "failed":
        last = str(draft.rng.choice(_LAST_WORDS))
        draft.log = ("Traceback (most recent call last):", '  File "train.py", line 9, in <module>', last)


def stalled(draft: Draft) -> None:
    cut(draft, draft.rng.uniform(0.2, 0.95))
    draft.state, draft.exit_code = "running", None
    usual = float(np.median(draft.seconds))
    draft.silent_for = max(60 * usual, 5400) * draft.rng.uniform(1.4, 20)
