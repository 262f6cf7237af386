"""Noise that the user knows: one number, one a row, or soft labels, checked.

Not here: estimating the noise from repeated labels or neighbours.
"""

from __future__ import annotations

import numpy as np

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.outputs import SUM_TOLERANCE, Floats, LossName, Predictions, numbers


def checked_soft(soft: Predictions | None, *, rows: int, columns: int, loss: LossName) -> Floats | None:
    """Soft labels as probabilities ``(rows, columns)``.

    Raises:
        ConfigError: the loss is not one of classes.
        DataError: they are not probabilities of these rows and classes.
    """
    if soft is None:
        return None
    if loss == "squared":
        raise ConfigError("soft labels are of classes", received='loss="squared"', allowed="noise= for numbers")
    values = numbers(soft).astype(np.float64)
    good = values.shape == (rows, columns) and np.isfinite(values).all() and values.min() >= 0
    if not good or np.abs(values.sum(1) - 1).max() > SUM_TOLERANCE:
        raise DataError(
            "soft labels are not probabilities of the test rows",
            received=f"shape {values.shape}" if values.shape != (rows, columns) else "rows that do not sum to 1",
            allowed=f"({rows}, {columns}), each row from 0 on with sum 1",
            todo="divide votes by their number",
        )
    return np.asarray(values / values.sum(1, keepdims=True), dtype=np.float64)


def checked_noise(noise: float | Predictions | None, *, rows: int, soft: Floats | None) -> Floats | None:
    """Known noise as one number a row.

    Raises:
        ConfigError: given beside soft labels.
        DataError: negative, not finite, or of another length.
    """
    if noise is None:
        return None
    if soft is not None:
        raise ConfigError("the noise is given twice", received="noise and soft_labels", allowed="one of them")
    values = numbers(noise).astype(np.float64)
    if values.shape not in ((), (rows,)) or not np.isfinite(values).all() or values.min() < 0:
        raise DataError(
            "the noise cannot be",
            received=f"shape {values.shape}" if values.shape not in ((), (rows,)) else f"{values.min()}",
            allowed=f"one number of 0 or more, or ({rows},) of them",
            todo="it is the expected loss of the best prediction: a variance, an entropy, or sum p (1 - p)",
        )
    return np.broadcast_to(values, (rows,)).copy()
