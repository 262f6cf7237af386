from __future__ import annotations

import numpy as np
import pytest

from mlkit.evaluate.label_errors import label_errors
from mlkit.evaluate.sure import wrong_where_sure
from mlkit.evaluate.unseen import unseen_predictions
from tests.evaluate.test_label_errors import Floats, clouds, gaussian_learner


def test_planted_label_errors_are_measured() -> None:
    """One of ten labels wrong: the share is told, whichever rows the models are surest of."""
    found = []
    for seed in range(20):
        x, labels, wrong = clouds(seed, rate=0.1)
        term = wrong_where_sure(
            unseen_predictions(gaussian_learner, (x, labels), seed=seed), labels, outputs="probabilities"
        )
        assert term.resolved
        assert term.low is not None
        assert term.high is not None
        found.append((term.value, term.low <= wrong.mean() <= term.high))
    assert np.mean([value for value, _ in found]) == pytest.approx(0.1, abs=0.02)
    assert sum(covers for _, covers in found) >= 17


def overlapping(seed: int, n: int = 2000) -> tuple[Floats, Floats]:
    """True probabilities of two classes that overlap, and labels drawn from them: not one label is wrong."""
    rng = np.random.default_rng(seed)
    p = 1 / (1 + np.exp(-3 * rng.normal(size=n)))
    return np.stack([1 - p, p], 1), (rng.random(n) < p).astype(np.int64)


def test_classes_that_overlap_are_not_taken_for_wrong_labels() -> None:
    for seed in range(5):
        table, labels = overlapping(seed)
        # What confident learning makes of the same rows is far off, which is why the advice does not count it.
        assert label_errors(table, labels).term.value > 0.05
        assert wrong_where_sure(table, labels).value < 0.02


def test_models_that_are_nowhere_sure_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    table = rng.dirichlet([30, 30, 30], 1000)
    found = wrong_where_sure(table, np.array([rng.choice(3, p=row) for row in table]))
    assert not found.resolved
    assert "nowhere sure" in found.method


def test_few_rows_tell_nothing_and_no_error_is_not_resolved() -> None:
    table = np.tile([[0.9, 0.1], [0.1, 0.9]], (30, 1))
    assert wrong_where_sure(table, np.tile([1, 0], 30)).low is None
    many = np.tile(table, (4, 1))
    assert not wrong_where_sure(many, np.tile([0, 1], 120)).resolved
