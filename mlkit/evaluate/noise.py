"""Irreducible error from labels: several a row, soft ones, or noisy ones whose clean ones are known.

Not here: bounds from the inputs alone (`mlkit.evaluate.neighbours`), and likely label errors of single rows
(`mlkit.evaluate.label_errors`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlkit.errors import DataError
from mlkit.evaluate.differences import Evidence, level, rows_needed
from mlkit.evaluate.judged import class_names
from mlkit.evaluate.ladder import IRREDUCIBLE
from mlkit.evaluate.outputs import SUM_TOLERANCE, Floats, Predictions, numbers
from mlkit.evaluate.terms import Term, estimated, lines_of, wrapped
from mlkit.metrics.intervals import student, wilson

BIASED_SHARE = 0.05  # of the value: a low bias from few votes that is worth a warning


@dataclass(frozen=True)
class Noise:
    """What no model can remove, for each loss, as far as labels tell.

    Args:
        zero_one: error rate of the best rule.
        brier: Brier score of the best probabilities: ``1 - sum of squares``, mean over rows.
        cross_entropy: of the best probabilities: the entropy; nats.
        votes: labels a row; None where labels are given as probabilities.
        expected: what ``zero_one`` would be on average of as few votes, were the shares that were found the truth:
            lower by the bias of few votes; None without votes.
        notes: what the reader has to know.
    """

    zero_one: Term
    brier: Term
    cross_entropy: Term
    votes: float | None
    expected: dict[str, float] | None
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "zero_one": self.zero_one.to_dict(),
            "brier": self.brier.to_dict(),
            "cross_entropy": self.cross_entropy.to_dict(),
            "votes": self.votes,
            "expected": self.expected,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        head = "irreducible error" + ("" if self.votes is None else f" from {self.votes:.3g} labels a row")
        lines = [head, *lines_of([self.zero_one, self.brier, self.cross_entropy])]
        return "\n".join([*lines, *(line for note in self.notes for line in wrapped(note, rest="  "))])


def noise_of_soft_labels(soft: Predictions) -> Noise:
    """Irreducible error when the probabilities of the classes are known for a sample of rows.

    Args:
        soft: ``(n, C)``; for two classes also ``(n,)``, of class 1. They have to be the true probabilities, not a
            model's: a model that is too sure gives a value that is too low.

    Raises:
        DataError: they are no probabilities.

    Source: Ishida et al., Is the Performance of My Deep Network Too Good to Be True?, ICLR 2023: mean of
    ``1 - max_c``, for two classes ``min(c, 1 - c)``.

    >>> print(noise_of_soft_labels(np.array([0.1, 0.3, 0.5, 0.9])).zero_one.value)
    0.25
    """
    table = _soft(soft)
    notes = ("the soft labels are taken as the true probabilities",)
    return Noise(
        _mean("0-1 loss", 1 - table.max(1)),
        _mean("Brier score", 1 - (table**2).sum(1)),
        _mean("cross-entropy", _entropy(table)),
        None,
        None,
        notes,
    )


def noise_of_votes(counts: Predictions) -> Noise:
    """Irreducible error from several labels a row, as of several people.

    The Brier part is unbiased (``r/(r-1)`` as of a sample variance; for two classes half of it is the noise
    ``p(1-p)`` of one column). The 0-1 part and the entropy of few votes are too low, since votes agree by chance: the
    entropy is corrected to first order (Miller and Madow), the 0-1 part cannot be without assumptions, and a note says
    how low it may be.

    Args:
        counts: ``(n, C)`` votes of each row for each class.

    Raises:
        DataError: they are no counts, or no row has two votes.

    >>> noise_of_votes(np.array([[1, 1], [2, 0]])).brier.value
    0.5
    """
    votes = numbers(counts).astype(np.float64)
    if votes.ndim != 2 or votes.shape[1] < 2 or not np.isfinite(votes).all() or (votes < 0).any() or (votes % 1).any():
        raise DataError("votes are not counts", received=f"shape {votes.shape}", allowed="(n, C) whole numbers from 0")
    totals = votes.sum(1)
    used = totals >= 2
    if used.sum() < 2:
        raise DataError(
            "too few rows with two votes", received=int(used.sum()), allowed="2 or more rows of 2 or more votes"
        )
    votes, totals = votes[used], totals[used]
    shares = votes / totals[:, None]
    # A class seen at least once is one more parameter of the row: entropy is low by (classes - 1) / (2 votes).
    entropy = _entropy(shares) + ((votes > 0).sum(1) - 1) / (2 * totals)
    zero_one = _mean("0-1 loss", 1 - shares.max(1))
    expected = {"zero_one": _again(shares, totals)}
    low = zero_one.value - expected["zero_one"]
    notes = []
    if len(votes) < len(used):
        notes.append(f"{len(used) - len(votes):,} rows with fewer than two votes say nothing and are left out")
    if zero_one.value > 0 and low > BIASED_SHARE * zero_one.value:
        notes.append(
            f"the 0-1 value is too low: with {_shown(totals)} votes a row a truth of {zero_one.value:.4f} would show "
            f"as {expected['zero_one']:.4f} on average"
        )
    return Noise(
        zero_one,
        _mean("Brier score", (1 - (shares**2).sum(1)) * totals / (totals - 1)),
        _mean("cross-entropy", entropy),
        float(totals.mean()),
        expected,
        tuple(notes),
    )


def binomial_expectation(soft: Predictions, votes: int) -> float:
    """What the mean of ``min(k/r, 1 - k/r)`` is on average for ``r`` votes of the probabilities ``soft``: too low.

    Args:
        soft: ``(n,)`` probability of class 1 of each row.
        votes: a row.

    Raises:
        DataError: no probabilities, or no votes.

    >>> round(binomial_expectation(np.array([0.3]), 1), 12), round(binomial_expectation(np.array([0.3]), 2), 12)
    (0.0, 0.21)
    """
    from scipy.stats import binom

    table = _soft(soft)
    if votes < 1 or table.shape[1] != 2:
        raise DataError("not votes for two classes", received=f"{votes} votes, {table.shape[1]} classes")
    k = np.arange(votes + 1)
    small = np.minimum(k, votes - k) / votes
    return float((binom.pmf(k, votes, table[:, 1:]) * small).sum(1).mean())


@dataclass(frozen=True, eq=False)
class NoisyLabels:
    """How labels differ from the clean ones.

    Args:
        rate: share of wrong labels.
        transition: ``(C, C)`` share of the rows of clean class i that are labelled j.
        worst: clean class with the most wrong labels, and its share.
        names: of the classes.
    """

    rate: Term
    transition: Floats
    worst: tuple[str, float]
    names: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"rate": self.rate.to_dict(), "transition": self.transition.tolist(), "worst": list(self.worst)}

    def __str__(self) -> str:
        return f"{self.rate}\n  most in class {self.worst[0]}: {self.worst[1]:.1%} of its labels"


def noisy_against_clean(
    noisy: Predictions | Sequence[int], clean: Predictions | Sequence[int], *, names: Sequence[str] | None = None
) -> NoisyLabels:
    """The irreducible error of noisy labels whose clean ones are known.

    A model that gives the clean class errs at this rate when it is judged by noisy labels.

    Args:
        noisy: ``(n,)``.
        clean: ``(n,)`` of the same rows.
        names: of the classes.

    Raises:
        DataError: they are not classes of the same rows.

    >>> print(noisy_against_clean([0, 1, 1, 1], [0, 0, 1, 1]).rate.value)
    0.25
    """
    from mlkit.evaluate.confusion import confusion

    found = confusion(noisy, clean, names=names)
    rows = int(found.counts.sum())
    wilson_found = wilson(found.errors, rows)
    assert wilson_found.low is not None
    assert wilson_found.high is not None
    known = class_names(names, len(found.counts))
    transition = found.counts / np.maximum(found.counts.sum(1, keepdims=True), 1)
    off = np.where(found.counts.sum(1) > 0, 1 - np.diag(transition), 0.0)
    ends = (wilson_found.low, wilson_found.high)
    term = estimated(IRREDUCIBLE, found.errors / rows, ends, method="wilson")
    return NoisyLabels(term, transition, (known[int(off.argmax())], float(off.max())), known)


def noise_of_repeats(values: Predictions) -> Term:
    """Noise variance of numbers measured several times a row.

    Args:
        values: ``(n, r)``; NaN where a row has fewer measurements.

    Returns:
        The mean of the rows' sample variances, weighted by their degrees of freedom.

    Raises:
        DataError: no row has two measurements.

    >>> print(noise_of_repeats(np.array([[1.0, 3.0], [2.0, 2.0]])).value)
    1.0
    """
    table = numbers(values).astype(np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        raise DataError("no repeated measurements", received=f"shape {table.shape}", allowed="(n, r), r of 2 or more")
    counts = np.isfinite(table).sum(1)
    used = counts >= 2
    if used.sum() < 2:
        raise DataError("too few rows measured twice", received=int(used.sum()), allowed="2 or more")
    variances = np.nanvar(table[used], axis=1, ddof=1)
    weights = counts[used] - 1.0
    value = float((weights * variances).sum() / weights.sum())
    # Of a ratio of sums over rows, which holds whatever the distribution of the noise.
    scores = weights * (variances - value)
    error = math.sqrt(float((scores**2).sum())) / float(weights.sum())
    found = student(value, error**2, int(used.sum()))
    ends = None if found.low is None or found.high is None else (max(found.low, 0.0), found.high)
    return estimated("noise", value, ends, method="student over rows")


def _again(shares: Floats, totals: Floats) -> float:
    """Mean of ``1 - max`` were the shares the truth and as many votes cast once more: simulated, 20 times."""
    rng = np.random.default_rng(0)
    found = [rng.multinomial(totals.astype(np.int64), shares).max(1) / totals for _ in range(20)]
    return float(1 - np.mean(found))


def _shown(totals: Floats) -> str:
    low, high = int(totals.min()), int(totals.max())
    return str(low) if low == high else f"{low} to {high}"


def _entropy(table: Floats) -> Floats:
    return np.asarray(-(table * np.log(np.maximum(table, 1e-300))).sum(1), dtype=np.float64)


def _soft(soft: Predictions) -> Floats:
    table = numbers(soft).astype(np.float64)
    table = np.stack([1 - table, table], 1) if table.ndim == 1 else table
    good = table.ndim == 2 and table.size > 0 and table.shape[1] >= 2 and np.isfinite(table).all() and table.min() >= 0
    if not good or np.abs(table.sum(1) - 1).max() > SUM_TOLERANCE:
        raise DataError(
            "soft labels are not probabilities",
            received=f"shape {table.shape}",
            allowed="(n, C) numbers from 0 on that sum to 1, or (n,) of class 1",
        )
    return table


def _mean(name: str, rows: Floats) -> Term:
    if np.ptp(rows) == 0:
        return Term(name, float(rows[0]), method="none: no row differs from another")
    spread = float(rows.var(ddof=1))
    found = level(name, Evidence(float(rows.mean()), len(rows), False, spread, rows))
    if found.low is None or found.high is None:
        return found
    # Noise is never below 0; the skewed rows of small noise would let the symmetric interval say so.
    low = max(found.low, 0.0)
    needed = rows_needed(found.value, spread) if low <= 0 else None
    return Term(name, found.value, low, found.high, low > 0, needed, found.method)
