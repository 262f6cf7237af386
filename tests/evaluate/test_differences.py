from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mlkit.evaluate.differences import difference, level, rows_needed
from mlkit.evaluate.evidence import evidence_of


def test_welch_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one, two = rng.normal(0.5, 1, 30), rng.normal(0.1, 3, 45)
    found = difference("gap", evidence_of(one, "val"), evidence_of(two, "train"))
    expected = stats.ttest_ind(one, two, equal_var=False).confidence_interval(0.95)
    # Whole degrees of freedom: a little wider.
    assert found.low == pytest.approx(expected.low, abs=0.01)
    assert found.high == pytest.approx(expected.high, abs=0.01)
    assert found.method == "welch"


def test_losses_of_the_same_rows_are_paired() -> None:
    rng = np.random.default_rng(1)
    one = rng.normal(size=40)
    two = one + rng.normal(0.2, 0.1, 40)
    found = difference("gap", evidence_of(two, "val"), evidence_of(one, "train"), same_rows=True)
    expected = stats.ttest_rel(two, one).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-3)


def test_paired_rates_cover_their_difference() -> None:
    rng = np.random.default_rng(2)
    times, covered = 1000, 0
    for _ in range(times):
        kind = rng.choice(4, size=150, p=[0.8, 0.06, 0.04, 0.1])
        later, earlier = (kind == 1) | (kind == 3), (kind == 2) | (kind == 3)
        found = difference("gap", evidence_of(later, "val"), evidence_of(earlier, "train"), same_rows=True)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.02 <= found.high
    assert 0.93 <= covered / times <= 0.98


@pytest.mark.parametrize(
    ("one", "two", "why"),
    [
        (0.2, 0.1, "both are given as exact"),
        (np.array([0.4]), np.array([0.3, 0.2]), "a single row"),
        (np.array([0.4, 0.4]), np.array([0.3, 0.3]), "no row differs from another"),
    ],
    ids=["exact", "single", "constant"],
)
def test_where_there_is_no_interval_it_says_why(one: object, two: object, why: str) -> None:
    found = difference("gap", evidence_of(one, "val"), evidence_of(two, "train"))  # type: ignore[arg-type]
    assert found.low is None
    assert why in found.method
    assert not found.resolved


def test_an_exact_subtrahend_moves_the_interval_only() -> None:
    measured = evidence_of((30, 200), "train")
    alone = level("train", measured)
    moved = difference("bias", measured, evidence_of(0.05, "human"))
    turned = difference("bias", evidence_of(0.05, "human"), measured)
    assert alone.low is not None
    assert moved.low == pytest.approx(alone.low - 0.05)
    assert turned.high == pytest.approx(0.05 - alone.low)


def test_rows_needed_is_quadratic_in_the_difference() -> None:
    one, half = rows_needed(0.04, 0.2), rows_needed(0.02, 0.2)
    assert one is not None
    assert half == pytest.approx(4 * one, abs=4)
    assert rows_needed(0.0, 0.2) is None
    assert rows_needed(0.1, float("nan")) is None
