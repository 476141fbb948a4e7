"""What follows from what: beside the cause, its consequence is no wrong finding. Read from the registry."""

from __future__ import annotations

from wandb_toolkit.detectors import DETECTORS
from wandb_toolkit.detectors.folding import consequences_of

FOLLOWS: dict[str, frozenset[str]] = {id_: frozenset(consequences_of(id_)) for id_ in DETECTORS}
