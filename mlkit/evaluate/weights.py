"""Importance weights: how much each source row counts so that the source looks like the target, and the error then.

Not here: whether there is a shift at all (`mlkit.evaluate.shift`).

Source: Shimodaira, Journal of Statistical Planning and Inference 90 (2000); weights from a classifier's odds: Bickel,
Brückner and Scheffer, JMLR 10 (2009); effective sample size: Kish, Survey Sampling (1965).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlkit.errors import DataError
from mlkit.evaluate.domain import Domain, Kind, domain_classifier
from mlkit.evaluate.evidence import Errors, evidence_of
from mlkit.evaluate.outputs import Floats, Predictions
from mlkit.evaluate.terms import Term, estimated, wrapped
from mlkit.metrics.intervals import t95

MOST = 20.0  # of a mean of 1: a row with more than twenty rows' weight makes the estimate that row's
FEWEST_EFFECTIVE = 30.0  # rows below which the normal interval of a weighted mean is not to be trusted


@dataclass(frozen=True, eq=False)
class Weighted:
    """Source rows weighed to look like the target.

    Args:
        error: what the error on target rows would be, were only the inputs shifted and not what they mean.
        unweighted: error on source rows.
        effective: rows that as many unweighted rows would be worth.
        clipped: share of rows whose weight was cut.
        weights: ``(n,)`` of the source rows, mean 1.
        notes: what the reader has to know.
    """

    error: Term
    unweighted: float
    effective: float
    clipped: float
    weights: Floats = field(repr=False)
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; without the weights."""
        found = {name: value for name, value in vars(self).items() if name != "weights"}
        return {**found, "error": self.error.to_dict(), "notes": list(self.notes)}

    def __str__(self) -> str:
        head = f"{self.error}; unweighted {self.unweighted:.4f}"
        size = f"{len(self.weights):,} rows weigh as {self.effective:,.0f}"
        return "\n".join([head, f"  {size}", *(line for note in self.notes for line in wrapped(note, first="  "))])


def importance_weights(
    source: Predictions, target: Predictions, *, kind: Kind = "logistic", seed: int = 0
) -> tuple[Floats, Domain]:
    """Weights ``(n,)`` of the source rows, mean 1, and the classifier whose out-of-fold odds they are.

    Args:
        source: ``(n, ...)``.
        target: ``(m, ...)``.
        kind: of classifier. Logistic odds are exact where two normal clouds differ in their mean.
        seed: of the folds.

    Raises:
        DataError: sets that cannot be compared.

    >>> rng = np.random.default_rng(0)
    >>> weights, _ = importance_weights(rng.normal(size=(200, 1)), rng.normal(size=(100, 1)) + 1)
    >>> round(float(weights.mean()), 6)
    1.0
    """
    most = max(len(source), len(target))
    domain = domain_classifier(source, target, kinds=(kind,), most_rows=most, permutations=39, seed=seed)
    p = np.clip(domain.probabilities[: len(domain.source_rows)], 1e-6, 1 - 1e-6)
    odds = p / (1 - p)
    return np.asarray(odds / odds.mean(), dtype=np.float64), domain


def weighted_error(errors: Errors, weights: Predictions, *, most: float = MOST) -> Weighted:
    """The error of rows that are weighed, with its interval and the rows that it is worth.

    Args:
        errors: ``(n,)`` error (0 or 1) or loss of each source row.
        weights: ``(n,)`` of these rows.
        most: of a mean weight of 1; larger ones are cut, which trades bias for variance.

    Returns:
        The self-normalised mean. Its interval is of a ratio of means (delta method), over rows: it does not know the
        error of the weights themselves, nor labels that mean another thing in the target.

    Raises:
        DataError: weights that do not fit.

    >>> weighted_error([1.0, 0.0, 0.0, 1.0], np.array([1.0, 1.0, 1.0, 3.0])).error.value
    0.6666666666666666
    """
    rows = evidence_of(errors, "the source").rows
    given = np.asarray(weights, dtype=np.float64)
    good = rows is not None and given.shape == rows.shape and np.isfinite(given).all() and given.min() >= 0
    if not good or given.sum() == 0 or rows is None:
        raise DataError(
            "weights do not fit the errors",
            received=f"weights {given.shape}",
            allowed="(n,) numbers from 0 on, not all 0, one for each row's error",
        )
    scaled = given / given.mean()
    cut = np.minimum(scaled, most)
    total = float(cut.sum())
    value = float((cut * rows).sum()) / total
    effective = total**2 / float((cut**2).sum())
    ends = _ends(rows, cut, value, effective)
    clipped = float((scaled > most).mean())
    notes = ["only shifted inputs are weighed for: labels that mean another thing in the target are not seen"]
    if clipped:
        notes.append(f"{clipped:.1%} of the weights were cut at {most:g}")
    if effective < FEWEST_EFFECTIVE:
        notes.append(f"worth {effective:.0f} rows only: the sets hardly overlap, and no interval is given")
    method = "ratio of means, delta" if ends is not None else f"none: worth fewer than {FEWEST_EFFECTIVE:.0f} rows"
    term = estimated("weighted error", value, ends, method=method)
    return Weighted(term, float(rows.mean()), effective, clipped, cut / cut.mean(), tuple(notes))


def _ends(rows: Floats, weights: Floats, value: float, effective: float) -> tuple[float, float] | None:
    if effective < FEWEST_EFFECTIVE:
        return None
    error = math.sqrt(float((weights**2 * (rows - value) ** 2).sum())) / float(weights.sum())
    half = t95(max(int(effective) - 1, 1)) * error
    return (value - half, value + half) if half > 0 else None
