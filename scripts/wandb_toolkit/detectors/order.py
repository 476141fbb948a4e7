"""Data that come in the same order in every epoch: the training loss then follows the place within the epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.detectors.base import NotApplicable, RunView, detector
from wandb_toolkit.detectors.findings import finding, num
from wandb_toolkit.detectors.generalisation import epoch_of
from wandb_toolkit.detectors.loss import proper_loss
from wandb_toolkit.model import Finding

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

PLACES = 8  # parts of an epoch that are compared
ROWS = 6  # fewest in an epoch


@detector(
    "data_order",
    "The training loss follows the place within the epoch",
    "bad",
    ("loss",),
    label="the order of the data",
    needs="an epoch counter, and six rows or more in each of four epochs",
    explains=("loss_spike",),
    takes_back=("loss_decreased", "grad_norm_stable"),
)
def data_order(
    view: RunView, epochs: float = 4.0, share: float = 0.15, sure: float = 5.0, swing: float = 0.3
) -> Finding | None:
    """The loss is high and low at the same places of every epoch: the data are not drawn in another order each time.

    `share` of its variance within epochs (level and slope of each taken out, the first left out) lies between eighths
    of the epoch, with an F of at least `sure`. Bad where these differ by `swing` (30%) of the loss's level or more, as
    sorted data make it; less is a note.
    """
    loss = proper_loss(view, 30)
    epoch = epoch_of(view, loss)
    whole = np.floor(epoch + 1e-9)
    kept = [e for e in np.unique(whole)[1:] if (whole == e).sum() >= ROWS]
    if epoch[-1] - epoch[0] < epochs or len(kept) < epochs - 1:
        raise NotApplicable(f"fewer than {epochs:g} epochs with {ROWS} rows each")
    place: list[FloatArray] = []
    rest: list[FloatArray] = []
    for each in kept:
        x, y = epoch[whole == each] - each, loss.y[whole == each]
        bent = y - np.polyval(np.polyfit(x, y, 1), x)
        place.append(x)
        rest.append(bent)
    at, away = np.concatenate(place), np.concatenate(rest)
    part = np.minimum((at * PLACES).astype(int), PLACES - 1)
    means = {p: float(np.mean(away[part == p])) for p in np.unique(part) if (part == p).sum() >= 2}
    usable = np.isin(part, list(means))
    between = np.array([means[p] for p in part[usable]])
    total = float(np.sum(away[usable] ** 2))
    within = float(np.sum((away[usable] - between) ** 2))
    spread = total - within
    free = int(usable.sum()) - len(means)
    if total <= 0 or len(means) < 4 or free < len(means):
        return None
    ratio = spread / (len(means) - 1) / max(within / free, 1e-300)
    if spread < share * total or ratio < sure:
        return None
    level = float(np.median(loss.y[np.isin(whole, kept)]))
    range_ = max(means.values()) - min(means.values())
    high = max(means, key=lambda p: means[p])
    return finding(
        "data_order",
        f"{loss.metric} rises and falls with the place within the epoch, by {num(range_)} about {num(level)}, highest "
        f"{(high + 0.5) / PLACES:.0%} into each: the data come in the same order every time",
        loss,
        evidence={
            "share": spread / total, "F": ratio, "range": range_, "level": level, "epochs": len(kept),
            "thresholds": {"share": share, "sure": sure, "swing": swing},
        },
        advice="Shuffle the training data anew in every epoch (shuffle=True); look whether they are sorted.",
        severity=None if range_ >= swing * abs(level) else "note",
        margin=min(spread / (share * total), ratio / sure),
    )  # fmt: skip
