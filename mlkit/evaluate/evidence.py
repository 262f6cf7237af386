"""What a user knows of a split's errors (one value a row, counts, a rate) as `Evidence`, checked.

Not here: running a model to get them (`mlkit.evaluate.ladder_of`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral

import numpy as np
from torch import Tensor

from mlkit.errors import DataError
from mlkit.evaluate.differences import Evidence

Errors = Tensor | np.ndarray | Sequence[float] | Sequence[bool] | tuple[int, int]
"""One error or loss a row, ``(n,)``; or the counts ``(errors, n)``, a tuple of two whole numbers."""


def evidence_of(errors: Errors | float, split: str) -> Evidence:
    """The evidence of a split.

    Args:
        errors: one error (0 or 1, or True for wrong) or loss a row; or ``(errors, n)``, a tuple of two whole numbers;
            or, for the human error alone, one number, which is taken as exact.
        split: its name, for messages.

    Raises:
        DataError: no rows, values that are not finite, counts that cannot be, or several columns.

    >>> evidence_of((3, 100), "val").mean
    0.03
    """
    if isinstance(errors, float | int):
        return _exact(float(errors), split)
    if isinstance(errors, tuple) and len(errors) == 2 and all(isinstance(part, Integral) for part in errors):
        return _counts(int(errors[0]), int(errors[1]), split)
    values = errors.detach().cpu().numpy() if isinstance(errors, Tensor) else np.asarray(errors)
    if values.ndim != 1 or len(values) == 0 or values.dtype.kind not in "fiub":
        raise DataError(
            f"the errors of {split} are not one number a row",
            received=f"shape {values.shape}, {values.dtype}",
            allowed="one error (0 or 1) or loss a row, (n,); or the counts (errors, n) as a tuple",
            todo="give per-example losses, not a mean; several columns: average them first",
        )
    rows = values.astype(np.float64)
    if not np.isfinite(rows).all():
        raise DataError(
            f"an error of {split} is not finite",
            received=f"{rows[~np.isfinite(rows)][0]} in row {int(np.flatnonzero(~np.isfinite(rows))[0])}",
            allowed="finite numbers",
            todo="look at what the model gives for that row",
        )
    is_rate = bool(np.isin(rows, (0.0, 1.0)).all())
    variance = float(rows.var(ddof=1)) if len(rows) > 1 else math.nan
    return Evidence(float(rows.mean()), len(rows), is_rate, variance, rows)


def _exact(value: float, split: str) -> Evidence:
    if not math.isfinite(value) or value < 0:
        raise DataError(f"the error of {split} cannot be", received=value, allowed="a number of 0 or more")
    return Evidence(value, 0, value <= 1, 0.0)


def _counts(errors: int, count: int, split: str) -> Evidence:
    if not 0 <= errors <= count or count == 0:
        raise DataError(
            f"the counts of {split} cannot be",
            received=f"{errors} errors in {count} rows",
            allowed="(errors, n) with 0 <= errors <= n and n of at least 1",
            todo="the first is how many were wrong, not a rate",
        )
    rate = errors / count
    return Evidence(rate, count, True, rate * (1 - rate) * count / max(count - 1, 1))
