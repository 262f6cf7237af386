"""Likely label errors: rows whose label a model that did not see them is confident against (confident learning).

Not here: noise that labels have by nature (`mlkit.evaluate.noise`), nor training the models that judge the rows
(`mlkit.evaluate.unseen`).

Source: Northcutt, Jiang and Chuang, Confident Learning, JAIR 70 (2021), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlkit.evaluate.actions import LABEL_ERRORS
from mlkit.evaluate.judged import bootstrap_rows, class_names, probabilities_and_labels
from mlkit.evaluate.outputs import Classes, Floats, Outputs, Predictions
from mlkit.evaluate.terms import Term, estimated, wrapped

BOOTSTRAPS = 200


@dataclass(frozen=True, eq=False)
class LabelErrors:
    """The rows whose label is likely wrong.

    Args:
        term: estimated share of wrong labels, with its interval.
        rows: that are likely mislabelled, the likeliest first.
        suggested: ``(len(rows),)`` class that the model gives each instead.
        given: ``(len(rows),)`` class that each has.
        margins: ``(len(rows),)`` probability of the suggested class less that of the given one.
        joint: ``(C, C)`` estimated share of rows with given label i and true label j.
        thresholds: ``(C,)`` mean probability of class j over the rows that have label j.
        names: of the classes.
        count: rows judged.
    """

    term: Term
    rows: NDArray[np.int64]
    suggested: Classes
    given: Classes
    margins: Floats
    joint: Floats = field(repr=False)
    thresholds: Floats = field(repr=False)
    names: tuple[str, ...]
    count: int

    def pairs(self, most: int = 5) -> list[tuple[str, str, float]]:
        """Given class, likely true class, and estimated share of all rows: the largest first."""
        off = self.joint - np.diag(np.diag(self.joint))
        order = np.argsort(-off, axis=None, kind="stable")[:most]
        places = [divmod(int(place), len(self.names)) for place in order]
        return [(self.names[i], self.names[j], float(off[i, j])) for i, j in places if off[i, j] > 0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "term": self.term.to_dict(),
            "count": self.count,
            "rows": self.rows.tolist(),
            "given": [self.names[one] for one in self.given],
            "suggested": [self.names[one] for one in self.suggested],
            "margins": self.margins.tolist(),
            "pairs": [{"given": given, "true": true, "share": share} for given, true, share in self.pairs()],
        }

    def __str__(self) -> str:
        lines = [f"{len(self.rows):,} of {self.count:,} labels are likely wrong", f"  {self.term}"]
        for place, row in enumerate(self.rows[:8]):
            given, other = self.names[self.given[place]], self.names[self.suggested[place]]
            lines += wrapped(
                f"row {row}: labelled {given}, looks like {other} ({self.margins[place]:+.2f})", first="  "
            )
        note = "each row is judged by models that did not train on it, else they would have learnt the wrong label"
        return "\n".join([*lines, *wrapped(note, rest="  ")])


def label_errors(
    predictions: Predictions,
    labels: Predictions | Sequence[int],
    *,
    outputs: Outputs = "probabilities",
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> LabelErrors:
    """Rows whose label is likely wrong, and the share of such rows.

    A row counts for true class j where its probability of j reaches the mean that rows labelled j have; among several
    such classes the likeliest one. The counts, scaled to the label counts, estimate the joint distribution of given and
    true labels. As many rows as it has off its diagonal are named, by class pair, the largest margins first.

    Args:
        predictions: ``(n, C)`` of models that did not train on the row; see `unseen_predictions`.
        labels: ``(n,)`` as given.
        outputs: what ``predictions`` are.
        names: of the classes.
        seed: of the bootstrap of the interval.

    Returns:
        The rows. The interval is over rows, for these models: where the model itself confuses classes, a part of that
        passes for label errors, which the interval does not know.

    Raises:
        DataError: labels that do not fit.
        ModelError: predictions that are none.

    >>> predictions = np.tile([[0.9, 0.1], [0.1, 0.9]], (10, 1))
    >>> labels = np.tile([0, 1], 10)
    >>> labels[3] = 0
    >>> label_errors(predictions, labels).rows.tolist()
    [3]
    """
    table, given = probabilities_and_labels(predictions, labels, outputs=outputs)
    known = class_names(names, table.shape[1])
    joint, thresholds = _joint(table, given)
    draws = bootstrap_rows(len(given), times=BOOTSTRAPS, seed=seed)
    shares = np.array([_share(_joint(table[draw], given[draw])[0]) for draw in draws])
    low, high = np.percentile(shares, [2.5, 97.5])
    share = _share(joint)
    # A bootstrap of no errors has no spread: then nothing is claimed beyond the rows.
    ends = None if low == high else (float(low), float(high))
    method = "bootstrap over rows" if ends is not None else "none: no bootstrap sample differs from another"
    term = estimated(LABEL_ERRORS, share, ends, method=method)
    rows, suggested, margins = _rows(table, given, joint)
    return LabelErrors(term, rows, suggested, given[rows], margins, joint, thresholds, known, len(given))


def _joint(table: Floats, given: Classes) -> tuple[Floats, Floats]:
    """Calibrated confident joint ``(C, C)``, and the thresholds; equations 1 to 3 of the paper."""
    n, classes = table.shape
    labelled = np.bincount(given, minlength=classes)
    # A class without labels has no threshold that could be reached.
    sums = np.bincount(given, weights=table[np.arange(n), given], minlength=classes)
    thresholds = np.where(labelled > 0, sums / np.maximum(labelled, 1), np.inf)
    confident = np.where(table >= thresholds - 1e-12, table, -1.0)
    true = confident.argmax(1)
    counted = confident.max(1) >= 0
    counts = np.zeros((classes, classes))
    np.add.at(counts, (given[counted], true[counted]), 1.0)
    empty = (counts.sum(1) == 0) & (labelled > 0)
    counts[empty, empty] = 1.0  # no confident row of this label: its labels are taken as they are
    counts = counts / np.maximum(counts.sum(1, keepdims=True), 1e-300) * labelled[:, None]
    return counts / counts.sum(), thresholds


def _share(joint: Floats) -> float:
    return float(max(1.0 - np.trace(joint), 0.0))


def _rows(table: Floats, given: Classes, joint: Floats) -> tuple[NDArray[np.int64], Classes, Floats]:
    """Prune by noise rate: of each pair of classes as many rows as the joint has, by margin; section 4 of the paper."""
    n, classes = table.shape
    own = table[np.arange(n), given]
    chosen: dict[int, int] = {}
    for i in range(classes):
        members = np.flatnonzero(given == i)
        for j in range(classes):
            count = round(float(joint[i, j]) * n) if i != j else 0
            if count == 0:
                continue
            margins = table[members, j] - own[members]
            for place in np.argsort(-margins, kind="stable")[:count]:
                row = int(members[place])
                # A label is not doubted that the model itself finds likelier.
                if margins[place] > 0 and (row not in chosen or table[row, j] > table[row, chosen[row]]):
                    chosen[row] = j
    rows = np.fromiter(chosen, dtype=np.int64, count=len(chosen))
    other = np.fromiter(chosen.values(), dtype=np.int64, count=len(chosen))
    margins = table[rows, other] - own[rows]
    order = np.argsort(-margins, kind="stable")
    return rows[order], other[order], margins[order]
