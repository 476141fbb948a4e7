"""What follows from what: beside the cause, its consequence is no wrong finding. Read from the registry."""

from __future__ import annotations

from wandb_toolkit.detectors import DETECTORS

FOLLOWS: dict[str, frozenset[str]] = {id_: frozenset(each.explains) for id_, each in DETECTORS.items()}
