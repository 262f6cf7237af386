from __future__ import annotations

import numpy as np
import pytest

import mlkit.evaluate as ev
from mlkit.evaluate import brier
from mlkit.evaluate.outputs import one_hot
from tests.evaluate.worlds import assert_close


@pytest.mark.parametrize(("eta", "labels"), [(0.7, 5), (0.6, 11)])
def test_c9_a_histogram_classifier(eta: float, labels: int) -> None:
    rng = np.random.default_rng(9)
    rows = 200
    soft = np.tile([1 - eta, eta], (rows, 1))
    found: dict[str, list[float]] = {}
    for _ in range(40):
        table = rng.binomial(labels, eta, size=(16, rows)) / labels
        result = ev.decompose_predictions(
            table, np.zeros(rows, dtype=int), loss="brier", outputs="probabilities", soft_labels=soft
        )
        assert result.term("noise").value == pytest.approx(2 * eta * (1 - eta))
        for name in ("bias²", "variance"):
            found.setdefault(name, []).append(result.term(name).value)
    # The score is summed over both classes, so each term is twice that of one column.
    assert_close(found["variance"], 2 * eta * (1 - eta) / labels)
    assert_close(found["bias²"], 0.0)


def test_it_is_the_squared_error_of_all_classes() -> None:
    rng = np.random.default_rng(1)
    table, classes = rng.dirichlet(np.ones(4), size=(3, 2, 2, 9)), rng.integers(0, 4, 9)
    found = brier.pair_terms(table, classes, soft=None, noise=None)
    assert found.loss == pytest.approx(((table - one_hot(classes, 4)) ** 2).sum(-1).mean((1, 2)), abs=1e-12)


def test_soft_labels_give_the_mean_over_labels() -> None:
    rng = np.random.default_rng(2)
    table, soft = rng.dirichlet(np.ones(3), size=(2, 2, 1, 5)), rng.dirichlet(np.ones(3), size=5)
    found = brier.pair_terms(table, np.zeros(5, dtype=np.int64), soft=soft, noise=None)
    each = [brier.pair_terms(table, np.full(5, label), soft=None, noise=None) for label in range(3)]
    expected = sum(soft[:, label] * each[label].loss for label in range(3))
    assert found.loss == pytest.approx(expected, abs=1e-12)
    assert found.variance == pytest.approx(each[0].variance, abs=1e-12)
    assert brier.losses(table, np.zeros(5, dtype=np.int64), soft).mean((1, 2)) == pytest.approx(expected, abs=1e-12)
