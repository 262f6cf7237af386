from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from mlkit.errors import DataError
from mlkit.evaluate.confusion import confusion
from mlkit.metrics.intervals import wilson


def planted(seed: int, *, rows: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Class 3 is taken for 5 in three rows of ten; other errors are rare and spread."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, rows)
    guesses = np.where(rng.random(rows) < 0.05, rng.integers(0, 6, rows), labels)
    return np.where((labels == 3) & (rng.random(rows) < 0.3), 5, guesses), labels


def test_the_planted_pair_comes_first() -> None:
    for seed in range(20):
        first = confusion(*planted(seed)).pairs[0]
        assert (first.true, first.predicted) == ("3", "5")
        assert not first.by_chance


def test_counts_are_those_of_scikit_learn() -> None:
    guesses, labels = planted(0)
    assert (confusion(guesses, labels).counts == confusion_matrix(labels, guesses)).all()


def test_intervals_and_shares() -> None:
    guesses, labels = planted(1)
    found = confusion(guesses, labels)
    for pair in found.pairs:
        expected = wilson(pair.count, int((labels == int(pair.true)).sum()))
        assert (pair.low, pair.high) == pytest.approx((expected.low, expected.high))
        assert pair.share == pytest.approx(pair.count / (guesses != labels).sum())


def test_errors_that_are_spread_evenly_are_said_to_be_chance() -> None:
    labels = np.repeat(np.arange(4), 300)
    rng = np.random.default_rng(0)
    wrong = rng.random(1200) < 0.3
    guesses = np.where(wrong, (labels + rng.integers(1, 4, 1200)) % 4, labels)
    assert sum(pair.by_chance for pair in confusion(guesses, labels).pairs) >= 4


def test_scores_count_by_their_largest() -> None:
    scores = np.eye(3)[[0, 2, 1]]
    assert confusion(scores, [0, 2, 2]).errors == 1
    assert confusion(scores, [0, 0, 0]).counts.shape == (3, 3)


def test_a_model_without_errors() -> None:
    found = confusion([0, 1], [0, 1])
    assert found.pairs == ()
    assert found.errors == 0
    assert found.figure().axes


@pytest.mark.parametrize("predicted", [[0.5, 1.0], [0, 1, 1], [-1, 0], [[[0]], [[1]]]])
def test_bad_input_is_refused(predicted: list[float]) -> None:
    with pytest.raises(DataError, match="not classes of the same rows"):
        confusion(predicted, [0, 1])


def test_form() -> None:
    found = confusion(*planted(2), names=["aeroplane", "bird", "automobile", "cat", "deer", "dog"])
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["errors"] == found.errors
