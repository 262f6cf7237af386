"""A bracket of the irreducible error from nearest neighbours: no model, no repeated labels, only the inputs.

Not here: noise from labels (`mlkit.evaluate.noise`).

Source: Cover and Hart, Nearest Neighbor Pattern Classification, IEEE Transactions on Information Theory 13 (1967).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlkit.errors import DataError
from mlkit.evaluate.outputs import Classes, Floats, Predictions, numbers
from mlkit.evaluate.terms import Term, estimated, wrapped
from mlkit.metrics.intervals import wilson_bounds
from mlkit.runtime.keys import derive_seed

# Each row's error depends on its neighbour, and a row is nearest to several others: errors are not independent. In the
# plane a row is the neighbour of at most six others, on average of one; the interval is of half as many rows.
OF_ROWS = 0.5
FEWEST_ROWS = 20


@dataclass(frozen=True)
class Bracket:
    """The error that no rule can go below lies in ``[low, high]``, as far as rows are dense.

    Args:
        low: lower bound, from the error of the nearest neighbour by Cover and Hart's inequality.
        high: upper bound: that error itself.
        widest: lower end of the interval of ``low``, upper end of that of ``high``: 95 %, rows considered.
        neighbour: error of the nearest neighbour, leave-one-out.
        rows: used.
        classes: seen.
        features: of a row.
    """

    low: float
    high: float
    widest: tuple[float, float]
    neighbour: Term
    rows: int
    classes: int
    features: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**vars(self), "neighbour": self.neighbour.to_dict(), "widest": list(self.widest)}

    def __str__(self) -> str:
        head = f"irreducible error between {self.low:.4f} and {self.high:.4f}"
        note = (
            f"1-nearest neighbour on {self.rows:,} rows of {self.features} features; with its sampling error "
            f"[{self.widest[0]:.4f}, {self.widest[1]:.4f}]. The bracket holds for many rows: in many dimensions the "
            "nearest row is far, its error is too high, and the lower bound then says too much."
        )
        return "\n".join([head, *wrapped(note, first="  ", rest="  ")])


def lower_bound(error: float, classes: int) -> float:
    """Least irreducible error that goes with an error of the nearest neighbour.

    Args:
        error: of the nearest neighbour with infinitely many rows.
        classes: 2 or more.

    >>> round(lower_bound(0.224, 2), 3)
    0.129
    """
    most = (classes - 1) / classes
    return most * (1 - math.sqrt(max(1 - error / most, 0.0)))


def neighbour_bracket(x: Predictions, y: Predictions | Sequence[int], *, most: int = 5000, seed: int = 0) -> Bracket:
    """Bracket of the irreducible error from the leave-one-out error of the nearest neighbour.

    Args:
        x: inputs ``(n, ...)``, flattened; distances are Euclidean: standardise columns of different units, or give the
            features of a trained network.
        y: ``(n,)`` classes.
        most: rows, drawn at random; the time grows with their square.
        seed: of the draw.

    Raises:
        DataError: rows that do not fit, are not finite, or are fewer than 20; one class.

    >>> x = np.random.default_rng(0).normal(size=(200, 1))
    >>> print(neighbour_bracket(x, (x[:, 0] > 0).astype(int)).high < 0.05)
    True
    """
    table, labels = numbers(x), numbers(y)
    if labels.ndim != 1 or len(table) != len(labels) or len(labels) < FEWEST_ROWS:
        raise DataError(
            "inputs and labels are not of the same rows, or too few",
            received=f"{table.shape} and {labels.shape}",
            allowed=f"as many of both, {FEWEST_ROWS} or more",
        )
    flat = table.reshape(len(table), -1).astype(np.float64)
    if not np.isfinite(flat).all():
        raise DataError("an input is not finite", received="NaN or infinity", todo="fill in or leave out such rows")
    classes = len(np.unique(labels))
    if classes < 2:
        raise DataError("a single class has no error", received="1 class", allowed="2 or more")
    if len(flat) > most:
        chosen = np.sort(np.random.default_rng(derive_seed(seed, "neighbour rows")).permutation(len(flat))[:most])
        flat, labels = flat[chosen], labels[chosen]
    wrong = labels[_nearest(flat, seed=seed)] != labels
    error, rows = float(wrong.mean()), len(flat)
    # Above the error of guessing the bound of Cover and Hart is not defined: nothing can be said but that.
    ends = wilson_bounds(error, rows * OF_ROWS)
    term = estimated("1-nearest-neighbour error", error, ends, method="wilson, of half as many rows")
    widest = (lower_bound(ends[0], classes), ends[1])
    return Bracket(lower_bound(error, classes), error, widest, term, rows, classes, flat.shape[1])


def _nearest(flat: Floats, *, seed: int) -> Classes:
    """The nearest other row of each; of several equally near ones, such as copies, one at random."""
    from sklearn.neighbors import NearestNeighbors

    # The rows in random order, so that ties are not always won by the first row of the file.
    order = np.random.default_rng(derive_seed(seed, "neighbour ties")).permutation(len(flat))
    shuffled = flat[order]
    found = NearestNeighbors(n_neighbors=2).fit(shuffled).kneighbors(shuffled, return_distance=False)
    here = np.arange(len(flat))
    other = np.where(found[:, 0] == here, found[:, 1], found[:, 0])
    nearest = np.empty(len(flat), dtype=np.int64)
    nearest[order] = order[other]
    return nearest
