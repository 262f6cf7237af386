from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import ConfigError, DataError
from mlkit.evaluate.judged import bootstrap_rows, class_names, probabilities_and_labels


def test_logits_and_probabilities_come_to_the_same() -> None:
    logits = np.random.default_rng(0).normal(size=(6, 3))
    table = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    first, _ = probabilities_and_labels(logits, [0, 1, 2] * 2, outputs="logits")
    assert first == pytest.approx(probabilities_and_labels(table, [0, 1, 2] * 2)[0])


def test_one_column_is_class_1() -> None:
    table, _ = probabilities_and_labels(np.array([0.2, 0.9]), [0, 1])
    assert table == pytest.approx(np.array([[0.8, 0.2], [0.1, 0.9]]))


def test_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="not of classes"):
        probabilities_and_labels(np.zeros(3), [0, 1, 0], outputs="values")


def test_names() -> None:
    assert class_names(None, 2) == ("0", "1")
    with pytest.raises(DataError, match="one name a class"):
        class_names(["a"], 2)


def test_the_bootstrap_is_not_the_users_own_stream() -> None:
    """A user who draws data with the same seed must not get rows that go with them."""
    assert (bootstrap_rows(50, times=3, seed=0) != np.random.default_rng(0).integers(0, 50, (3, 50))).any()
    assert (bootstrap_rows(50, times=3, seed=0) == bootstrap_rows(50, times=3, seed=0)).all()
