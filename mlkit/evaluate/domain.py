"""The domain classifier: can a model tell the rows of two sets apart, by what, and which rows most?

Not here: tests of single columns and of a model's outputs (`mlkit.evaluate.shift`), weights (`mlkit.evaluate.weights`).

Source: Lopez-Paz and Oquab, Revisiting Classifier Two-Sample Tests, ICLR 2017; Rabanser, Günnemann and Lipton, Failing
Loudly, NeurIPS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.outputs import Floats, Predictions, numbers
from mlkit.evaluate.terms import Term
from mlkit.metrics.intervals import Z95
from mlkit.runtime.keys import derive_seed

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

Kind = Literal["logistic", "boosted"]
KINDS: tuple[Kind, ...] = ("logistic", "boosted")
FOLDS = 5
FEWEST_ROWS = 10  # of each set: two a fold
FEWEST_PERMUTATIONS = 39  # p-values of two halves down to 2 / 40
MOST_ROWS = 2000  # of each set: the out-of-fold AUC is then known within 0.02, and boosting takes seconds
MOST_FEATURES = 10  # that are named


@dataclass(frozen=True, eq=False)
class Domain:
    """How well the two sets can be told apart.

    Args:
        auc: out-of-fold area under the ROC curve, of the better classifier: 0.5 is not at all, 1 is always. Resolved
            where ``p_value`` is at most 0.05.
        by: which classifier that is.
        aucs: of each classifier.
        p_value: of an AUC as high by chance, both classifiers looked at.
        features: columns that tell the sets apart, the most telling first, with the AUC of the column alone (0.5 to 1).
        probabilities: ``(n_source + n_target,)`` out-of-fold probability of being a target row; source rows first.
        source_rows: rows of the source that were used.
        target_rows: likewise.
    """

    auc: Term
    by: Kind
    aucs: dict[Kind, float]
    p_value: float
    features: tuple[tuple[str, float], ...]
    probabilities: Floats = field(repr=False)
    source_rows: NDArray[np.int64] = field(repr=False)
    target_rows: NDArray[np.int64] = field(repr=False)

    def most_like_target(self, most: int = 8) -> list[int]:
        """Target rows that are least like the source, the clearest first: look at these."""
        of_target = self.probabilities[len(self.source_rows) :]
        return [int(row) for row in self.target_rows[np.argsort(-of_target, kind="stable")][:most]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "auc": self.auc.to_dict(),
            "by": self.by,
            "aucs": dict(self.aucs),
            "p_value": self.p_value,
            "features": [{"name": name, "auc": auc} for name, auc in self.features],
            "most_like_target": self.most_like_target(),
        }


def domain_classifier(
    source: Predictions,
    target: Predictions,
    *,
    kinds: Sequence[Kind] = KINDS,
    features: Sequence[str] | None = None,
    permutations: int = 400,
    most_rows: int = MOST_ROWS,
    seed: int = 0,
) -> Domain:
    """Train classifiers to tell the rows of two sets apart, and judge them on rows they did not see.

    Args:
        source: ``(n, ...)`` rows of one set, flattened; numbers, missing ones as NaN.
        target: ``(m, ...)`` rows of the other.
        kinds: of classifiers: ``"logistic"`` sees shifts of means, ``"boosted"`` (trees) others too.
        features: names of the columns.
        permutations: of the labels of each half, for the p-value; at least 39.
        most_rows: of each set, drawn at random.
        seed: of the draw, the folds and the permutations.

    Returns:
        The better AUC, from five folds. The p-value is exact and comes from two halves: classifiers trained on one are
        judged on the other, whose set labels are exchanged; the smaller of the two halves' p-values, doubled. (Out of
        fold scores of all rows together cannot be used for it: each row's score depends on the other rows' labels, and
        exchanging labels without retraining gave false alarms in 14 % of 200 comparisons of equal sets.)

    Raises:
        ConfigError: no classifier, or too few permutations.
        DataError: sets of different columns, or too few rows.

    >>> rng = np.random.default_rng(0)
    >>> domain_classifier(rng.normal(size=(100, 2)), 3 + rng.normal(size=(100, 2)), kinds=["logistic"]).auc.value > 0.95
    True
    """
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise ConfigError("no such classifier", received=list(kinds), allowed=", ".join(KINDS))
    if permutations < FEWEST_PERMUTATIONS:
        raise ConfigError("too few permutations", received=permutations, allowed=f"{FEWEST_PERMUTATIONS} or more")
    first, second = both_sets(source, target)
    rng = np.random.default_rng(derive_seed(seed, "domain"))
    source_rows, target_rows = (np.sort(rng.permutation(len(one))[:most_rows]) for one in (first, second))
    x = np.concatenate([first[source_rows], second[target_rows]])
    y = np.concatenate([np.zeros(len(source_rows), dtype=np.int64), np.ones(len(target_rows), dtype=np.int64)])
    folds = _folds(y, FOLDS, rng)
    scores = {kind: _unseen(x, y, folds, kind) for kind in kinds}
    aucs: dict[Kind, float] = {kind: _auc_within(scores[kind], y, folds) for kind in kinds}
    best = max(kinds, key=lambda kind: aucs[kind])
    p_value = _p_value(x, y, kinds, permutations, rng)
    return Domain(
        _term(aucs[best], y, p_value),
        best,
        aucs,
        p_value,
        _features(x, y, features),
        scores[best],
        source_rows,
        target_rows,
    )


def both_sets(source: Predictions, target: Predictions) -> tuple[Floats, Floats]:
    """Both as ``(n, columns)``.

    Raises:
        DataError: different columns, too few rows, or what are no numbers.
    """
    first, second = numbers(source), numbers(target)
    wrong = any(one.dtype.kind not in "fiub" or one.ndim == 0 for one in (first, second))
    if wrong or first.shape[1:] != second.shape[1:] or min(len(first), len(second)) < FEWEST_ROWS:
        raise DataError(
            "the two sets cannot be compared",
            received=f"{first.shape}, {first.dtype} and {second.shape}, {second.dtype}",
            allowed=f"numbers, {FEWEST_ROWS} or more rows of the same columns",
            todo="code categories as whole numbers; missing values may stay NaN",
        )
    return tuple(one.reshape(len(one), -1).astype(np.float64) for one in (first, second))  # type: ignore[return-value]


def _folds(y: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Fold of each row, both sets shared equally."""
    folds = np.empty(len(y), dtype=np.int64)
    for label in (0, 1):
        rows = np.flatnonzero(y == label)
        folds[rng.permutation(rows)] = np.arange(len(rows)) % count
    return folds


def classifier(kind: Kind) -> ClassifierMixin:
    """A fresh classifier that takes NaN."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if kind == "boosted":
        return HistGradientBoostingClassifier(max_iter=50, min_samples_leaf=10, early_stopping=False, random_state=0)
    impute = SimpleImputer(add_indicator=True, keep_empty_features=True)
    return make_pipeline(impute, StandardScaler(), LogisticRegression(C=0.1, max_iter=300))


def _unseen(x: Floats, y: NDArray[np.int64], folds: NDArray[np.int64], kind: Kind) -> Floats:
    scores = np.empty(len(y))
    for fold in range(folds.max() + 1):
        here = folds == fold
        scores[here] = classifier(kind).fit(x[~here], y[~here]).predict_proba(x[here])[:, 1]
    return scores


def _auc_within(scores: Floats, y: NDArray[np.int64], folds: NDArray[np.int64]) -> float:
    """Mean AUC of the folds, weighted by pairs: scores of different models are not compared."""
    won, pairs = 0.0, 0
    for fold in range(FOLDS):
        one = y[folds == fold]
        count = int(one.sum()) * int(len(one) - one.sum())
        won += auc(scores[folds == fold], one) * count
        pairs += count
    return won / pairs


def auc(scores: Floats, y: NDArray[np.int64]) -> float:
    """Share of pairs in which the row of class 1 has the higher score; ties count half.

    >>> auc(np.array([0.1, 0.4, 0.4]), np.array([0, 0, 1]))
    0.75
    """
    from scipy.stats import rankdata

    ones = int(y.sum())
    ranks = rankdata(scores)[y == 1].sum()
    return float((ranks - ones * (ones + 1) / 2) / (ones * (len(y) - ones)))


def _p_value(x: Floats, y: NDArray[np.int64], kinds: Sequence[Kind], times: int, rng: np.random.Generator) -> float:
    """Exact, for no label of a half has gone into the classifier that scores it."""
    halves = _folds(y, 2, rng)
    scores = [_unseen(x, y, halves, kind) for kind in kinds]
    found = []
    for half in (0, 1):
        here = halves == half
        found.append(_p_of_scores([one[here] for one in scores], y[here], times, rng))
    return min(2 * min(found), 1.0)


def _p_of_scores(scores: list[Floats], y: NDArray[np.int64], times: int, rng: np.random.Generator) -> float:
    """Of the largest AUC. It depends on the labels through a sum of ranks alone, so ranks are made once."""
    from scipy.stats import rankdata

    ranks = np.stack([rankdata(one) for one in scores])
    shuffled = np.stack([rng.permutation(y) for _ in range(times)])
    sums = (shuffled @ ranks.T).max(1)
    return float((1 + (sums >= (ranks @ y).max() - 1e-9).sum()) / (1 + times))


def _term(value: float, y: NDArray[np.int64], p_value: float) -> Term:
    """Source of the interval: Hanley and McNeil, Radiology 143 (1982)."""
    ones, zeros = int(y.sum()), int(len(y) - y.sum())
    q1, q2 = value / (2 - value), 2 * value**2 / (1 + value)
    variance = (value * (1 - value) + (ones - 1) * (q1 - value**2) + (zeros - 1) * (q2 - value**2)) / (ones * zeros)
    half = Z95 * math.sqrt(max(variance, 0.0))
    ends = (max(value - half, 0.0), min(value + half, 1.0))
    needed = None
    if p_value > 0.05 and value > 0.5:
        needed = math.ceil(min(ones, zeros) * (half / (value - 0.5)) ** 2)
    return Term("domain AUC", value, *ends, p_value <= 0.05, needed, "Hanley and McNeil; resolved by permutation")


def _features(x: Floats, y: NDArray[np.int64], names: Sequence[str] | None) -> tuple[tuple[str, float], ...]:
    """Columns by the AUC of the column alone; direction does not matter, and a missing value ranks lowest."""
    if names is not None and len(names) != x.shape[1]:
        raise DataError("not one name a column", received=f"{len(names)} names", allowed=f"{x.shape[1]}")
    known = list(names) if names is not None else [f"column {place}" for place in range(x.shape[1])]
    each = np.array([auc(np.nan_to_num(column, nan=-np.inf, neginf=-np.inf), y) for column in x.T])
    each = np.maximum(each, 1 - each)
    order = np.argsort(-each, kind="stable")[:MOST_FEATURES]
    return tuple((known[place], float(each[place])) for place in order)
