"""Predicted classes and their labels, checked and brought into one form for the error analysis.

Not here: predictions of many models (`mlkit.evaluate.outputs` is shared by both).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.outputs import Classes, Floats, Outputs, Predictions, formed, numbers, targets_of
from mlkit.runtime.keys import derive_seed

FEWEST_ROWS = 2


def probabilities_and_labels(
    predictions: Predictions, labels: Predictions | Sequence[int], *, outputs: Outputs = "probabilities"
) -> tuple[Floats, Classes]:
    """``(n, C)`` probabilities and ``(n,)`` labels.

    Args:
        predictions: ``(n, C)``; for two classes also ``(n,)``, of class 1.
        labels: ``(n,)`` whole numbers from 0.
        outputs: ``"probabilities"`` or ``"logits"``: what ``predictions`` are.

    Raises:
        ConfigError: outputs that are not of classes.
        ModelError: predictions that are none.
        DataError: labels that do not fit, or fewer than two rows.
    """
    if outputs not in ("probabilities", "logits"):
        raise ConfigError("outputs that are not of classes", received=repr(outputs), allowed="probabilities, logits")
    rows = len(numbers(labels))
    if rows < FEWEST_ROWS:
        raise DataError("too few rows", received=f"{rows}", allowed=f"{FEWEST_ROWS} or more")
    table = formed(predictions, rows=rows, loss="brier", outputs=outputs, who="the model")
    classes = targets_of(numbers(labels), loss="brier", columns=table.shape[1], rows=rows)
    return table, np.asarray(classes, dtype=np.int64)


def class_names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    """Names of the classes; their numbers where none are given.

    Raises:
        DataError: not one name a class.
    """
    if names is None:
        return tuple(map(str, range(count)))
    if len(names) != count:
        raise DataError("not one name a class", received=f"{len(names)} names", allowed=f"{count}, one a class")
    return tuple(map(str, names))


def bootstrap_rows(rows: int, *, times: int, seed: int) -> NDArray[np.int64]:
    """Row numbers ``(times, rows)``, drawn with replacement."""
    return np.random.default_rng(derive_seed(seed, "bootstrap rows")).integers(0, rows, size=(times, rows))
