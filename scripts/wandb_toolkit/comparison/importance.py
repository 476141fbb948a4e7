"""How much of the result a model needs each setting for: permutation importance of a random forest.

scikit-learn is optional (the extra `analysis`); without it the reason is told. The forest predicts the rank of a
configuration that it has not seen; where it cannot, no importance is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wandb_toolkit.comparison.hyperparameters import Varied
from wandb_toolkit.model import Signals

if TYPE_CHECKING:
    from wandb_toolkit.model import FloatArray

FEWEST = 20  # configurations
PREDICTS = 0.2  # R² on configurations held out: below, the model knows nothing worth attributing
FOLDS = 5
TREES = 200
SHUFFLES = 10
SEED = 0


def with_importance(signals: Signals, columns: Sequence[Varied], levels: Sequence[float]) -> Signals:
    """Return the signals with each setting's importance, or with the reason why there is none."""
    if signals.refused:
        return signals
    if len(levels) < FEWEST:
        return replace(signals, model=f"none: a model needs {FEWEST} configurations, there are {len(levels)}")
    try:
        drops, score = _drops(np.column_stack([_filled(column) for column in columns]), np.asarray(levels, dtype=float))
    except ImportError:
        return replace(signals, model="none: it needs scikit-learn, which the extra `analysis` installs")
    if score < PREDICTS:
        why = f"none: a random forest predicts the rank of configurations held out with R² {score:.2f} only"
        return replace(signals, model=why)
    of = {column.key: float(drop) for column, drop in zip(columns, drops, strict=True)}
    return replace(
        signals,
        signals=tuple(replace(one, importance=of.get(one.key)) for one in signals.signals),
        model=f"a random forest that predicts the rank of configurations held out with R² {score:.2f}",
    )


def _filled(column: Varied) -> FloatArray:
    """Return the codes with those not set below all others, where a tree can split them off."""
    known = column.codes[np.isfinite(column.codes)]
    return np.where(np.isfinite(column.codes), column.codes, known.min() - 1)


def _drops(table: FloatArray, levels: FloatArray) -> tuple[FloatArray, float]:
    """Return the mean drop of R² when a column is shuffled, and R² itself, both over configurations held out."""
    from sklearn.ensemble import RandomForestRegressor  # optional: the extra `analysis`

    ranks = np.argsort(np.argsort(levels)).astype(float)
    rng = np.random.default_rng(SEED)
    folds = np.array_split(rng.permutation(len(ranks)), FOLDS)
    predicted = np.empty(len(ranks))
    shuffled = np.empty((table.shape[1], SHUFFLES, len(ranks)))
    for held in folds:
        kept = np.setdiff1d(np.arange(len(ranks)), held)
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=SEED).fit(table[kept], ranks[kept])
        blocks = [table[held]]
        for column in range(table.shape[1]):
            for _ in range(SHUFFLES):
                block = table[held].copy()
                # Values from any configuration, not only from the few held out.
                block[:, column] = rng.choice(table[:, column], len(held))
                blocks.append(block)
        answers = np.asarray(forest.predict(np.concatenate(blocks))).reshape(len(blocks), len(held))
        predicted[held] = answers[0]
        shuffled[:, :, held] = answers[1:].reshape(table.shape[1], SHUFFLES, len(held))
    whole = float(((ranks - ranks.mean()) ** 2).sum()) or 1.0
    score = 1 - float(((ranks - predicted) ** 2).sum()) / whole
    lost = 1 - ((ranks - shuffled) ** 2).sum(axis=2).mean(axis=1) / whole
    return score - lost, score
