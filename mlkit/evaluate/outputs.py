"""What a learner predicts, checked and brought into one form: log-probabilities, probabilities or values.

Not here: training (`mlkit.evaluate.learners`) and what is computed from predictions.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlkit.errors import ConfigError, DataError, ModelError

Outputs = Literal["logits", "probabilities", "values"]
LossName = Literal["squared", "brier", "cross_entropy", "zero_one"]
Predictions = Tensor | NDArray[np.generic]
Floats = NDArray[np.float64]
Classes = NDArray[np.int64]

LOSSES: tuple[LossName, ...] = ("squared", "brier", "cross_entropy", "zero_one")
SUM_TOLERANCE = 1e-3  # float32 probabilities of 1,000 classes sum to 1 within 1e-4


def numbers(values: object) -> NDArray[np.generic]:
    """Any tensor, array or list as an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def check_loss(loss: str, outputs: str | None) -> Outputs:
    """The kind of outputs that goes with the loss.

    Raises:
        ConfigError: an unknown loss, or outputs that do not go with it.
    """
    if loss not in LOSSES:
        raise ConfigError("unknown loss", received=repr(loss), allowed=", ".join(LOSSES))
    allowed: tuple[Outputs, ...] = ("values",) if loss == "squared" else ("logits", "probabilities")
    chosen = allowed[0] if outputs is None else outputs
    for known in allowed:
        if chosen == known:
            return known
    raise ConfigError(f"outputs that do not go with {loss}", received=repr(outputs), allowed=" or ".join(allowed))


def formed(raw: object, *, rows: int, loss: LossName, outputs: Outputs, who: str) -> Floats:
    """Predictions as ``(rows, columns)``: log-probabilities for cross-entropy, probabilities for Brier and 0-1, values.

    Args:
        raw: logits or probabilities ``(rows, C)``, for two classes also ``(rows,)`` or ``(rows, 1)`` for class 1; or
            values ``(rows, columns)`` or ``(rows,)``.
        rows: how many rows were asked for.
        loss: what is to be decomposed.
        outputs: what ``raw`` is.
        who: whose predictions they are, for messages.

    Raises:
        ModelError: another shape, labels instead of logits, NaN, or what cannot be probabilities.
    """
    values = numbers(raw)
    if values.dtype.kind not in "fiub" or values.ndim not in (1, 2) or len(values) != rows:
        raise _wrong_shape(values, rows, outputs, who)
    if outputs != "values" and values.dtype.kind in "iub":
        raise ModelError(
            f"{who} predicts labels, not {outputs}",
            received=f"shape {values.shape}, {values.dtype}",
            allowed=f"floats ({rows}, C)",
            todo="return scores of all classes: decision values, log-probabilities, or predict_proba with "
            'outputs="probabilities"',
        )
    table = values.astype(np.float64).reshape(rows, -1)
    if not np.isfinite(table).all():
        where = np.argwhere(~np.isfinite(table))[0]
        raise ModelError(
            f"{who} predicts what is not finite",
            received=f"{table[tuple(where)]} in row {where[0]}, column {where[1]}",
            allowed="finite numbers",
            todo="its training diverged, or the row has missing values",
        )
    if outputs == "values":
        return table
    return _classified(table, loss, outputs, who)


def targets_of(y: object, *, loss: LossName, columns: int, rows: int) -> Floats | Classes:
    """Targets of the test rows: classes ``(rows,)``, or values ``(rows, columns)``.

    Raises:
        DataError: they do not fit the predictions.
    """
    values = numbers(y)
    if loss == "squared":
        if values.dtype.kind not in "fiub" or values.size != rows * columns or len(values) != rows:
            raise DataError(
                "test targets do not fit the predictions",
                received=f"targets {values.shape}, {values.dtype}, predictions ({rows}, {columns})",
                allowed=f"({rows}, {columns}) numbers",
            )
        found = values.astype(np.float64).reshape(rows, columns)
        if not np.isfinite(found).all():
            raise DataError("a test target is not finite", received="NaN or infinity", allowed="finite numbers")
        return found
    if values.dtype.kind not in "iub" or values.reshape(len(values), -1).shape != (rows, 1):
        raise DataError(
            "test targets are not classes",
            received=f"shape {values.shape}, {values.dtype}",
            allowed=f"({rows},) whole numbers from 0",
            todo='for targets that are numbers use loss="squared"',
        )
    classes = values.astype(np.int64).ravel()
    if classes.min() < 0 or classes.max() >= columns:
        raise DataError(
            "test labels out of range",
            received=f"labels from {classes.min()} to {classes.max()}",
            allowed=f"0 to {columns - 1}, as the learner predicts {columns} classes",
            todo="number the classes from 0, and let the learner predict all of them whatever rows it was trained on",
        )
    return classes


def one_hot(classes: Classes, columns: int) -> Floats:
    """``(m, columns)``, 1 at the class."""
    return np.asarray(np.eye(columns)[classes], dtype=np.float64)


def log_sum_exp(values: Floats) -> Floats:
    """Over the last axis, without overflow."""
    top = values.max(-1, keepdims=True)
    return np.asarray(np.log(np.exp(values - top).sum(-1)) + top[..., 0], dtype=np.float64)


def _classified(table: Floats, loss: LossName, outputs: Outputs, who: str) -> Floats:
    if outputs == "logits":
        both = table if table.shape[1] > 1 else np.concatenate([np.zeros_like(table), table], 1)
        logs = both - log_sum_exp(both)[:, None]
        return np.asarray(logs if loss == "cross_entropy" else np.exp(logs), dtype=np.float64)
    both = table if table.shape[1] > 1 else np.concatenate([1 - table, table], 1)
    sums = both.sum(1)
    if both.min() < 0 or np.abs(sums - 1).max() > SUM_TOLERANCE:
        worst = int(np.abs(sums - 1).argmax()) if both.min() >= 0 else int(both.min(1).argmin())
        raise ModelError(
            f"{who} predicts what cannot be probabilities",
            received=f"{np.array2string(both[worst], precision=3, threshold=6)} in row {worst}",
            allowed="numbers from 0 on that sum to 1",
            todo='for scores that are not normalised say outputs="logits"',
        )
    both = both / sums[:, None]
    if loss != "cross_entropy":
        return np.asarray(both, dtype=np.float64)
    if both.min() == 0:
        raise ModelError(
            f"{who} predicts a probability of exactly 0, whose cross-entropy is infinite",
            received=f"0 in row {int(both.min(1).argmin())}",
            allowed="probabilities above 0",
            todo='return logits, smooth the probabilities, or use loss="brier"',
        )
    return np.asarray(np.log(both), dtype=np.float64)


def _wrong_shape(values: NDArray[np.generic], rows: int, outputs: Outputs, who: str) -> ModelError:
    columns = "columns" if outputs == "values" else "C"
    return ModelError(
        f"{who} predicts something of another shape",
        received=f"shape {values.shape}, {values.dtype}",
        allowed=f"({rows}, {columns}) {outputs}",
        todo="predict(x) gives one row of numbers for each row of x",
    )
