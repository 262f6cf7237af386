"""95 % intervals for a rate or a mean loss, and for the difference of two, of separate rows or of the same ones.

Not here: what the differences mean (`mlkit.evaluate.ladder`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlkit.evaluate.terms import Term, estimated
from mlkit.metrics.intervals import Z95, newcombe, student, t95, wilson

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Evidence:
    """What is known of the errors of one split.

    Args:
        mean: mean error or loss.
        count: rows; 0 where the mean is given and taken as exact.
        is_rate: every row is right or wrong.
        variance: of one row, with ``count - 1``; NaN where only one row is there.
        rows: error of every row, where known.
    """

    mean: float
    count: int
    is_rate: bool
    variance: float
    rows: Floats | None = None

    @property
    def is_exact(self) -> bool:
        """Whether the mean was given without a number of rows."""
        return self.count == 0


def level(name: str, evidence: Evidence) -> Term:
    """The mean itself with its interval: Wilson's for a rate, Student's for a loss."""
    if evidence.is_exact:
        return Term(name, evidence.mean, resolved=True, method="given, taken as exact")
    if evidence.is_rate:
        found = wilson(evidence.mean * evidence.count, evidence.count)
    else:
        found = student(evidence.mean, evidence.variance / evidence.count, evidence.count)
    ends = None if found.low is None or found.high is None else (found.low, found.high)
    return estimated(name, evidence.mean, ends, method=found.method)


def difference(name: str, later: Evidence, earlier: Evidence, *, same_rows: bool = False) -> Term:
    """``later`` minus ``earlier`` with its interval.

    Args:
        name: of the term.
        later: minuend.
        earlier: subtrahend.
        same_rows: both are known row by row, for the same rows in the same order.

    Returns:
        The difference; of separate rows by Newcombe's interval (rates) or Welch's (losses), of the same rows by Bonett
        and Price's (rates, from the rows on which only one of the two is wrong, as in McNemar's test) or Student's.
    """
    value = later.mean - earlier.mean
    if same_rows and later.rows is not None and earlier.rows is not None:
        ends, method = _paired(later.rows, earlier.rows, both_rates=later.is_rate and earlier.is_rate)
        spread = float(np.var(later.rows - earlier.rows, ddof=1)) if later.count > 1 else math.nan
        return estimated(name, value, ends, method=method, rows_to_resolve=rows_needed(value, spread))
    ends, method = _separate(later, earlier)
    spread = sum(one.variance for one in (later, earlier) if not one.is_exact)
    return estimated(name, value, ends, method=method, rows_to_resolve=rows_needed(value, spread))


def rows_needed(value: float, variance: float) -> int | None:
    """Rows in each set for an interval around ``value`` to just leave out 0; ``variance`` is of one row, summed.

    >>> rows_needed(0.02, 2 * 0.1 * 0.9)
    1729
    """
    if value == 0 or not math.isfinite(variance):
        return None
    return math.ceil(Z95**2 * variance / value**2)


def _separate(later: Evidence, earlier: Evidence) -> tuple[tuple[float, float] | None, str]:
    if later.is_exact and earlier.is_exact:
        return None, "none: both are given as exact"
    if later.is_exact or earlier.is_exact:
        return _against_exact(later, earlier)
    if later.is_rate and earlier.is_rate:
        found = newcombe((later.mean * later.count, earlier.mean * earlier.count), (later.count, earlier.count))
        return (None if found.low is None or found.high is None else (found.low, found.high)), found.method
    return _welch(later, earlier)


def _against_exact(later: Evidence, earlier: Evidence) -> tuple[tuple[float, float] | None, str]:
    """The interval of the one that was measured, moved by the one that is exact."""
    measured = level("", earlier if later.is_exact else later)
    if measured.low is None or measured.high is None:
        return None, measured.method
    if later.is_exact:
        return (later.mean - measured.high, later.mean - measured.low), f"{measured.method}, minuend exact"
    return (measured.low - earlier.mean, measured.high - earlier.mean), f"{measured.method}, subtrahend exact"


def _welch(later: Evidence, earlier: Evidence) -> tuple[tuple[float, float] | None, str]:
    """Source: Welch, Biometrika 34 (1947)."""
    if min(later.count, earlier.count) < 2:
        return None, "none: a single row"
    parts = [one.variance / one.count for one in (later, earlier)]
    total = sum(parts)
    if total == 0:
        return None, "none: no row differs from another"
    degrees = total**2 / sum(p**2 / (one.count - 1) for p, one in zip(parts, (later, earlier), strict=True))
    half = t95(max(int(degrees), 1)) * math.sqrt(total)
    value = later.mean - earlier.mean
    return (value - half, value + half), "welch"


def _paired(later: Floats, earlier: Floats, *, both_rates: bool) -> tuple[tuple[float, float] | None, str]:
    """Source: Bonett and Price, Statistics in Medicine 31 (2012), equation 10: one row is added to each kind."""
    count = len(later)
    if both_rates:
        worse, better = ((np.sum(later > earlier) + 1) / (count + 2), (np.sum(earlier > later) + 1) / (count + 2))
        half = Z95 * math.sqrt((worse + better - (worse - better) ** 2) / (count + 2))
        middle = float(worse - better)
        return (max(middle - half, -1.0), min(middle + half, 1.0)), "paired, Bonett and Price"
    if count < 2:
        return None, "none: a single row"
    found = student(float(np.mean(later - earlier)), float(np.var(later - earlier, ddof=1)) / count, count)
    return (None if found.low is None or found.high is None else (found.low, found.high)), "paired, student"
