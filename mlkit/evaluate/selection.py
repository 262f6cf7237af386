"""Validation overfitting: how much of the best score is luck of having been chosen, from the table of a search.

Not here: the step of the ladder that it shows as, nor the search.

Source: Tsamardinos, Greasidou and Borboudakis, Bootstrapping the Out-of-sample Predictions for Efficient and Accurate
Cross-Validation, Machine Learning 107 (2018): BBC.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.differences import Evidence, level
from mlkit.evaluate.evidence import Errors, evidence_of
from mlkit.evaluate.outputs import Floats, Predictions, numbers
from mlkit.evaluate.terms import Term, estimated, lines_of, wrapped
from mlkit.metrics.intervals import Z95
from mlkit.runtime.keys import derive_seed

BOOTSTRAPS = 500
RESPLITS = 999
FEWEST_ROWS = 10


def expected_maximum(looks: int) -> float:
    """Mean of the largest of ``looks`` independent standard normal numbers, by quadrature.

    Args:
        looks: how many.

    Raises:
        ConfigError: fewer than one.

    >>> round(expected_maximum(2), 4), round(expected_maximum(100), 4)
    (0.5642, 2.5076)
    """
    from scipy.special import log_ndtr

    if looks < 1:
        raise ConfigError("too few looks", received=looks, allowed="1 or more")
    # The mean is the integral of 1 - F above 0 less that of F below. Beyond 12 not even 1e12 numbers come; the step
    # is fine enough for the trapezium rule to be exact to 1e-6.
    above, below = np.linspace(0, 12, 12_001), np.linspace(-12, 0, 12_001)
    tail = -np.expm1(looks * log_ndtr(above))
    return float(np.trapezoid(tail, above) - np.trapezoid(np.exp(looks * log_ndtr(below)), below))


def selection_ceiling(looks: int, *, rows: int, rate: float | None = None, spread: float | None = None) -> float:
    """How much too good the best of ``looks`` equal models looks on ``rows`` rows: ``sigma / sqrt(n) * E[max]``.

    It is a ceiling: models that err on the same rows, or of which one is truly better, are flattered less.

    Args:
        looks: trials that saw the validation set.
        rows: of the validation set.
        rate: error rate or accuracy, for errors of 0 or 1.
        spread: standard deviation of one row's loss, for losses; give one of the two.

    Raises:
        ConfigError: both or neither of rate and spread, or numbers that cannot be.

    >>> round(selection_ceiling(100, rows=1000, rate=0.8), 4)
    0.0317
    """
    if (rate is None) == (spread is None):
        raise ConfigError("one of rate and spread is needed", received=f"rate={rate}, spread={spread}")
    if rows < 1 or (rate is not None and not 0 <= rate <= 1) or (spread is not None and spread < 0):
        raise ConfigError(
            "no such validation set", received=f"rows={rows}, rate={rate}, spread={spread}",
            allowed="rows of 1 or more, a rate from 0 to 1, a spread from 0 on",
        )  # fmt: skip
    sigma = math.sqrt(rate * (1 - rate)) if rate is not None else float(spread or 0.0)
    return sigma / math.sqrt(rows) * expected_maximum(looks)


@dataclass(frozen=True)
class Selected:
    """The best trial, as it looks and as it is.

    Args:
        best: number of the trial with the lowest mean error.
        naive: its mean error on the rows that chose it: too low.
        corrected: what such a choice has on rows that did not choose.
        optimism: corrected less naive, an estimate of a bias without an interval of its own.
        ceiling: of the optimism, were all trials equal and independent.
        trials: compared.
        rows: of the validation set.
    """

    best: int
    naive: Term
    corrected: Term
    optimism: Term
    ceiling: float
    trials: int
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        terms = {name: getattr(self, name).to_dict() for name in ("naive", "corrected", "optimism")}
        return {**vars(self), **terms}

    def __str__(self) -> str:
        head = f"trial {self.best} is the best of {self.trials:,} on {self.rows:,} rows"
        note = f"optimism is on average {self.ceiling:.4f} at most: for equal trials that err on different rows"
        body = lines_of([self.naive, self.corrected, self.optimism])
        return "\n".join([head, *body, *wrapped(note, rest="  ")])


def bias_corrected(errors: Predictions, *, times: int = BOOTSTRAPS, seed: int = 0) -> Selected:
    """The error of the best trial, corrected for its having been chosen on the same rows.

    Rows are drawn with replacement, the best trial on them is chosen anew and judged on the rows not drawn; nothing is
    trained.

    Args:
        errors: ``(trials, rows)`` error or loss of every trial on every validation row; lower is better.
        times: bootstrap samples.
        seed: of these.

    Raises:
        DataError: no such table.

    >>> table = np.random.default_rng(0).random((50, 400)) < 0.2
    >>> found = bias_corrected(table)
    >>> found.naive.value < found.corrected.value
    True
    """
    table = _table(errors, "errors")
    trials, rows = table.shape
    rng = np.random.default_rng(derive_seed(seed, "bias corrected"))
    counts = rng.multinomial(rows, np.full(rows, 1 / rows), size=times).astype(np.float64)
    outside = (counts == 0).astype(np.float64)
    counts, outside = counts[outside.sum(1) > 0], outside[outside.sum(1) > 0]
    chosen = (counts @ table.T).argmin(1)
    judged = (outside * table[chosen]).sum(1) / outside.sum(1)
    best = int(table.mean(1).argmin())
    row = table[best]
    # The bootstrap chooses from rows of which a part are copies, hence a little worse than the whole set does; what it
    # says about the mean is kept, its spread comes from the rows of the best trial.
    value = float(judged.mean())
    half = Z95 * float(row.std(ddof=1)) / math.sqrt(rows)
    naive = level("naive", Evidence(float(row.mean()), rows, bool(np.isin(row, (0, 1)).all()), float(row.var(ddof=1))))
    ends = (max(value - half, 0.0), value + half) if half > 0 else None
    ceiling = selection_ceiling(trials, rows=rows, spread=float(row.std(ddof=1)))
    return Selected(
        best,
        naive,
        estimated("corrected", value, ends, method="normal, rows" if ends else "none: no row differs from another"),
        Term("optimism", value - float(row.mean()), method="none: a bias; see its ceiling"),
        ceiling,
        trials,
        rows,
    )


@dataclass(frozen=True)
class Resplit:
    """Whether the gap from val to test survives when both are pooled and split anew.

    Args:
        gap: test less val error of the trial that val chose; resolved where ``p_value`` is at most 0.05.
        expected: mean gap over the new splits, each with its own choice: what choosing among these trials explains.
        p_value: share of new splits with a gap as large.
        trials: compared.
    """

    gap: Term
    expected: float
    p_value: float
    trials: int

    def verdict(self) -> str:
        """One sentence."""
        if self.gap.resolved:
            return (
                f"the gap does not come back in new splits (p = {self.p_value:.2g}): val was looked at too often, or "
                "test comes from elsewhere; use the new split from here on"
            )
        return f"new splits show gaps as large (p = {self.p_value:.2g}): chance and the choice of a trial explain it"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "gap": self.gap.to_dict(), "verdict": self.verdict()}

    def __str__(self) -> str:
        head = f"{self.gap}; {self.expected:+.4f} in new splits on average"
        return "\n".join([head, *wrapped(self.verdict(), first="  ", rest="  ")])


def resplit_check(
    val: Errors | Predictions, test: Errors | Predictions, *, times: int = RESPLITS, seed: int = 0
) -> Resplit:
    """Pool val and test, split them anew at random, choose again, and see whether the gap persists.

    Args:
        val: ``(n,)`` errors or losses of one model, or ``(trials, n)`` of those that val chose from.
        test: ``(m,)``, or ``(trials, m)`` of the same trials.
        times: new splits.
        seed: of these.

    Returns:
        The gap, with the p-value of a permutation test; exact for one model.

    Raises:
        DataError: errors that do not fit each other.

    >>> rng = np.random.default_rng(0)
    >>> resplit_check(rng.random(500) < 0.05, rng.random(500) < 0.15).gap.resolved
    True
    """
    first, second = (_table(np.atleast_2d(numbers(one)), name) for one, name in ((val, "val"), (test, "test")))
    if len(first) != len(second):
        raise DataError("val and test are not of the same trials", received=f"{len(first)} and {len(second)}")
    both = np.concatenate([first, second], 1)
    n, whole = first.shape[1], both.shape[1]
    best = int(first.mean(1).argmin())
    value = float(second[best].mean() - first[best].mean())
    rng = np.random.default_rng(derive_seed(seed, "new splits"))
    gaps = np.empty(times)
    total = both.sum(1)
    for k in range(times):
        sums = both[:, rng.permutation(whole)[:n]].sum(1)
        chosen = int(sums.argmin())
        gaps[k] = (total[chosen] - sums[chosen]) / (whole - n) - sums[chosen] / n
    p_value = float((1 + (gaps >= value - 1e-12).sum()) / (1 + times))
    rows = [evidence_of(one[best], "the rows").variance / one.shape[1] for one in (first, second)]
    half = Z95 * math.sqrt(sum(rows))
    term = Term(
        "test - val", value, value - half, value + half, p_value <= 0.05, None, "normal; resolved by new splits"
    )
    return Resplit(term, float(gaps.mean()), p_value, len(first))


def _table(errors: Predictions, what: str) -> Floats:
    table = numbers(errors)
    if table.dtype.kind not in "fiub" or table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < FEWEST_ROWS:
        raise DataError(
            f"{what} are not a table of trials and rows",
            received=f"shape {table.shape}, {table.dtype}",
            allowed=f"(trials, rows) numbers, {FEWEST_ROWS} rows or more",
        )
    found = table.astype(np.float64)
    if not np.isfinite(found).all():
        raise DataError(f"{what} are not all finite", received="NaN or infinity", todo="leave failed trials out")
    return found
