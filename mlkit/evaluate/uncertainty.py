"""95 % intervals for terms from retraining: test rows, partitions, and the one training set that there is.

Not here: the terms themselves. A bootstrap over test rows and partitions does not do: it leaves out that all partitions
cut one training set. Its measured coverage is 55 to 85 %; `benchmarks/decomposition.py` shows it beside these.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mlkit.evaluate.outputs import Floats
from mlkit.metrics.intervals import t95

# Relative variance of a squared influence that unequal leverage of the rows adds to that of the squared residuals. For
# least squares on p normal columns it is 6 / p (Isserlis); 50 rows and 10 columns: 3.1 measured in all, of which 2 are
# the residuals'. Without leverage, as in a histogram, it makes the intervals somewhat too wide.
OF_LEVERAGE = 1.0
MOST = 700.0  # exp overflows beyond


@dataclass(frozen=True)
class Part:
    """One source of uncertainty.

    Args:
        variance: that it adds to the estimate.
        degrees: of freedom behind this variance.
        shrinks_with_rows: more test rows make it smaller.
    """

    variance: float
    degrees: float
    shrinks_with_rows: bool = False


@dataclass(frozen=True)
class Moment:
    """How strongly two partitions of one training set move the same predictions.

    Args:
        square: expected square of the scaled inner product of two moves, ``4 tr(C²) / m²`` for predictions on the m
            test rows with covariance C over training sets of half the size.
        degrees: of freedom behind it.
        count: moves.
    """

    square: float
    degrees: float
    count: int


def moment_of(moves: Floats, rows: int) -> Moment | None:
    """From moves ``(R, D)``, whose signs are random given the training set; None for a single one.

    Inner products of different moves have mean 0 and variance ``square``, the squares of moves twice that about their
    mean: ``R (R - 1) / 2`` and ``R - 1`` degrees of freedom. Exact for normal moves, as those of learners that are
    linear in their training rows become; few partitions so give more than their own spread does.
    """
    count = len(moves)
    if count < 2:
        return None
    products = moves @ moves.T / rows
    squares = np.diag(products)
    off = products[np.triu_indices(count, 1)]
    degrees = (count - 1) * (count + 2) / 2
    total = np.square(off).sum() + 0.5 * np.square(squares - squares.mean()).sum()
    return Moment(float(total / degrees), degrees, count)


def rows_part(values: Floats, *, once: bool = True) -> Part | None:
    """What the choice of test rows adds to the mean of ``values`` ``(U, m)``; None for a single row.

    Args:
        values: of every unit (partition, model) and row.
        once: take off what single units add, which is part of another source.
    """
    units, rows = values.shape
    if rows < 2:
        return None
    mean = values.mean(0)
    variance = float(mean.var(ddof=1)) / rows
    if once and units > 1:
        rest = values - values.mean(1, keepdims=True) - mean + values.mean()
        variance -= float(np.square(rest).sum()) / ((units - 1) * (rows - 1)) / (units * rows)
    return Part(max(variance, 0.0), rows - 1, shrinks_with_rows=True)


def units_part(values: Floats) -> Part | None:
    """What the choice of independent units adds to the mean of ``values`` ``(U, m)``; None for a single unit."""
    units = len(values)
    return None if units < 2 else Part(float(values.mean(1).var(ddof=1)) / units, units - 1)


def half_square(moment: Moment, count: int, *, weight: float = 1.0) -> Part:
    """Of ``weight`` times the mean of ``count`` half squares of moves."""
    return Part(weight**2 * moment.square / 2 / count, moment.degrees)


def training_set(value: float, rows: int, residuals: Floats) -> Part:
    """Of a ``value`` that grows with the training rows' squared influences, from one set of ``rows`` rows.

    However many partitions there are, they cut the same rows. The influence of a row goes with its residual, and how
    unequal squared residuals are is seen in those of the test rows.
    """
    mean = float(residuals.mean())
    unequal = float(residuals.var()) / mean**2 if mean > 0 else 0.0
    return Part((unequal + OF_LEVERAGE) * value**2 / rows, rows)


def level_parts(halves: Floats, moment: Moment | None) -> list[Part] | None:
    """Of the mean loss of halves ``(R, 2, m)``, or of what of it is not variance, over training sets.

    The two halves' losses differ by twice what a systematic error lets the training set move them, which no number of
    partitions averages out; the full data's own squared error varies as an eighth of the moment, and is in that
    difference as a quarter. What rows alone do to the difference is taken off, since it is counted with the rows.
    """
    if moment is None:
        return None
    count, rows = len(halves), halves.shape[-1]
    differences = halves[:, 0] - halves[:, 1]
    by_rows = differences.var(-1, ddof=1).mean() / rows if rows > 1 else 0.0
    found = float(np.square(differences.mean(-1)).mean() - by_rows)
    least = moment.square / 16 * (1 + 1 / count)  # the difference is known from few partitions
    return [Part(max(found / 4 - moment.square / 8 * (1 - 1 / count), least), count)]


def spread(parts: Sequence[Part]) -> tuple[float, float]:
    """Variance of a sum of independent parts, and its degrees of freedom.

    Source: Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    total = sum(part.variance for part in parts)
    if total == 0:
        return 0.0, 1.0
    return total, total**2 / sum(part.variance**2 / part.degrees for part in parts)


Scale = Literal["linear", "logarithmic", "either"]


def ends_of(value: float, parts: Sequence[Part], *, scale: Scale = "linear") -> tuple[float, float] | None:
    """Ends of the interval; None where nothing varies.

    Args:
        value: the estimate.
        parts: what makes it uncertain.
        scale: ``"logarithmic"`` for what cannot be negative and is skewed; ``"either"`` is that where the linear
            interval lies above 0, for differences of such values.
    """
    variance, degrees = spread(parts)
    if variance == 0 or not math.isfinite(variance):
        return None
    half = t95(max(int(degrees), 1)) * math.sqrt(variance)
    if scale == "linear" or (scale == "either" and value <= half):
        return value - half, value + half
    if value <= 0:
        return None
    factor = math.exp(min(half / value, MOST))
    return value / factor, value * factor


def rows_to_resolve(value: float, parts: Sequence[Part], rows: int) -> int | None:
    """Test rows at which the interval would just leave out 0; None where other sources alone keep it unresolved."""
    _, degrees = spread(parts)
    allowed = (value / t95(max(int(degrees), 1))) ** 2
    fixed = sum(part.variance for part in parts if not part.shrinks_with_rows)
    shrinking = sum(part.variance for part in parts if part.shrinks_with_rows)
    if allowed <= fixed or shrinking == 0:
        return None
    return math.ceil(rows * shrinking / (allowed - fixed))
