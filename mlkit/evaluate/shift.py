"""Shift between two sets: are target rows drawn from where the source rows came from; if not, what differs, and where?

Not here: the classifier that tells sets apart (`mlkit.evaluate.domain`), and the error that shift costs, which is a
step of the ladder.

Source: Rabanser, Günnemann and Lipton, Failing Loudly, NeurIPS 2019 (tests of columns and of softmax outputs, with
Bonferroni's correction); Lipton, Wang and Smola, Detecting and Correcting for Label Shift, ICML 2018 (outputs).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from mlkit.errors import DataError
from mlkit.evaluate.domain import KINDS, Domain, Kind, both_sets, domain_classifier
from mlkit.evaluate.outputs import Floats, Predictions
from mlkit.evaluate.terms import lines_of, wrapped

ALPHA = 0.05
EXACT = 100  # rows up to which the exact distribution is used; beyond, the asymptotic one is as good and never fails
CATEGORIES = 10  # a column of at most so many whole numbers is compared by counts, not by ranks


@dataclass(frozen=True)
class ColumnTest:
    """Whether one column differs.

    Args:
        name: of the column.
        test: Kolmogorov and Smirnov's for numbers, chi-square for categories.
        statistic: KS: largest difference of the distribution functions; chi-square: Cramér's V. 0 to 1 both.
        p_value: of this column alone.
        adjusted: by Holm's method for all columns: at most 0.05 where it differs.
    """

    name: str
    test: Literal["ks", "chi-square"]
    statistic: float
    p_value: float
    adjusted: float


@dataclass(frozen=True, eq=False)
class Shift:
    """What was found.

    Args:
        domain: classifier of the rows; None where it was left out.
        columns: tests of the columns, the smallest p-value first.
        outputs: tests of the model's outputs likewise; empty where none were given.
        p_value: of any of the parts, corrected for their number.
        counts: rows of source and target.
    """

    domain: Domain | None
    columns: tuple[ColumnTest, ...]
    outputs: tuple[ColumnTest, ...]
    p_value: float
    counts: tuple[int, int]

    @property
    def found(self) -> bool:
        """Whether a shift is resolved: the corrected p-value is at most 0.05."""
        return self.p_value <= ALPHA

    def verdict(self) -> str:
        """One sentence."""
        if not self.found:
            return f"no shift is resolved (p = {self.p_value:.2g}); small ones need more rows"
        differing = [one.name for one in self.columns if one.adjusted <= ALPHA]
        shown = ", ".join(differing[:4]) + (f" and {len(differing) - 4:,} more" if len(differing) > 4 else "")
        where = f"; columns that differ: {shown}" if differing else "; no single column differs: it is in combinations"
        return f"the sets differ (p = {self.p_value:.2g}){where}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "found": self.found,
            "p_value": self.p_value,
            "verdict": self.verdict(),
            "counts": list(self.counts),
            "domain": None if self.domain is None else self.domain.to_dict(),
            "columns": [vars(one).copy() for one in self.columns],
            "outputs": [vars(one).copy() for one in self.outputs],
        }

    def __str__(self) -> str:
        lines = [f"shift between {self.counts[0]:,} source and {self.counts[1]:,} target rows"]
        if self.domain is not None:
            lines += lines_of([self.domain.auc])
            rows = ", ".join(map(str, self.domain.most_like_target(6)))
            text = f"by the {self.domain.by} classifier; least like the source: rows {rows}"
            lines += wrapped(text, first="  ", rest="    ")
        for title, tests in (("columns", self.columns), ("outputs", self.outputs)):
            for one in tests[:4]:
                text = f"{title}: {one.name}, {one.test} {one.statistic:.3f}, p = {one.adjusted:.2g} corrected"
                lines += wrapped(text, first="  ", rest="    ")
        return "\n".join([*lines, *wrapped(self.verdict(), rest="  ")])


def shift(
    source: Predictions,
    target: Predictions,
    *,
    outputs: tuple[Predictions, Predictions] | None = None,
    features: Sequence[str] | None = None,
    categorical: Sequence[int] = (),
    kinds: Sequence[Kind] = KINDS,
    permutations: int = 400,
    seed: int = 0,
) -> Shift:
    """Compare two sets of rows: by classifiers, column by column, and by what a model says of them.

    Args:
        source: ``(n, ...)``, such as the inputs of val; or the features of a trained network.
        target: ``(m, ...)``, such as those of target_val, or of rows met in use.
        outputs: softmax outputs ``(n, C)`` and ``(m, C)`` of a model for the same rows: black-box detection.
        features: names of the columns.
        categorical: numbers of the columns that are categories whatever their count; columns of few whole numbers are
            taken as such without being named.
        kinds: of domain classifiers; empty: none.
        permutations: of the domain classifier's p-value.
        seed: of everything random.

    Returns:
        What was found. Each part is tested at its own corrected level, and ``p_value`` is corrected for the number of
        parts (Bonferroni): a false alarm in one of twenty comparisons of equal sets at most.

    Raises:
        DataError: sets that cannot be compared.

    >>> rng = np.random.default_rng(0)
    >>> found = shift(rng.normal(size=(200, 2)), rng.normal(size=(200, 2)) + [0, 1], kinds=["logistic"])
    >>> found.found, found.columns[0].name
    (True, 'column 1')
    """
    first, second = both_sets(source, target)
    domain = None
    if kinds:
        domain = domain_classifier(source, target, kinds=kinds, features=features, permutations=permutations, seed=seed)
    columns = column_tests(first, second, features=features, categorical=categorical)
    said: tuple[ColumnTest, ...] = ()
    if outputs is not None:
        a, b = both_sets(*outputs)
        if len(a) != len(first) or len(b) != len(second):
            raise DataError(
                "outputs are not of the same rows", received=f"{len(a)} and {len(b)}",
                allowed=f"{len(first)} and {len(second)}",
            )  # fmt: skip
        names = [f"output {place}" for place in range(a.shape[1])]
        said = column_tests(a, b, features=names, bonferroni=True)
    parts = [tests[0].adjusted for tests in (columns, said) if tests]
    parts += [] if domain is None else [domain.p_value]
    return Shift(domain, columns, said, min(min(parts) * len(parts), 1.0), (len(first), len(second)))


def column_tests(
    first: Floats,
    second: Floats,
    *,
    features: Sequence[str] | None = None,
    categorical: Sequence[int] = (),
    bonferroni: bool = False,
) -> tuple[ColumnTest, ...]:
    """A test of each column, corrected for their number: Holm's method, or Bonferroni's, which is never smaller.

    Missing values are a category of their own, or in a column of numbers are left out of the ranks and compared by
    their counts; the smaller p-value counts, doubled.
    """
    width = first.shape[1]
    if features is not None and len(features) != width:
        raise DataError("not one name a column", received=f"{len(features)} names", allowed=f"{width}")
    found = [_column(first[:, k], second[:, k], is_category=k in categorical) for k in range(width)]
    p = np.array([one[2] for one in found])
    order = np.argsort(p, kind="stable")
    factors = np.full(width, width) if bonferroni else width - np.arange(width)
    adjusted = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    names = list(features) if features is not None else [f"column {k}" for k in range(width)]
    return tuple(
        ColumnTest(names[k], found[k][0], found[k][1], found[k][2], float(value))
        for k, value in zip(order, adjusted, strict=True)
    )


def _column(a: Floats, b: Floats, *, is_category: bool) -> tuple[Literal["ks", "chi-square"], float, float]:
    from scipy.stats import ks_2samp

    both = np.concatenate([a, b])
    known = both[np.isfinite(both)]
    few = len(np.unique(known)) <= CATEGORIES and bool((known % 1 == 0).all())
    if is_category or few:
        return ("chi-square", *_counts(np.nan_to_num(a, nan=np.inf), np.nan_to_num(b, nan=np.inf)))
    missing = (~np.isfinite(a), ~np.isfinite(b))
    a, b = a[~missing[0]], b[~missing[1]]
    if min(len(a), len(b)) == 0:
        return "chi-square", *_counts(missing[0].astype(float), missing[1].astype(float))
    result = ks_2samp(a, b, method="exact" if max(len(a), len(b)) <= EXACT else "asymp")
    p = float(result.pvalue)
    if missing[0].any() or missing[1].any():
        p = min(2 * min(p, _counts(missing[0].astype(float), missing[1].astype(float))[1]), 1.0)
    return "ks", float(result.statistic), p


def _counts(a: Floats, b: Floats) -> tuple[float, float]:
    """Cramér's V and p-value of the counts of each value; rare values together, so that chi-square holds."""
    from scipy.stats import chi2_contingency

    values, codes = np.unique(np.concatenate([a, b]), return_inverse=True)
    table = np.stack([np.bincount(part, minlength=len(values)) for part in (codes[: len(a)], codes[len(a) :])])
    # Expected counts of 5 in the smaller set, the usual condition (Cochran 1954).
    rare = table.sum(0) * min(len(a), len(b)) / (len(a) + len(b)) < 5
    if rare.any():
        table = np.concatenate([table[:, ~rare], table[:, rare].sum(1, keepdims=True)], 1)
    table = table[:, table.sum(0) > 0]
    if table.shape[1] < 2:
        return 0.0, 1.0
    result = chi2_contingency(table, correction=False)
    return float(np.sqrt(result.statistic / table.sum())), float(result.pvalue)
