from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mlkit.errors import DataError, ModelError
from mlkit.evaluate.label_errors import label_errors
from mlkit.evaluate.unseen import unseen_predictions

Floats = np.ndarray


def gaussian_learner(x: Floats, y: Floats, seed: int) -> Callable[[Floats], Floats]:
    """Class means with common spherical spread: the right model of `clouds`."""
    means = np.stack([x[y == label].mean(0) for label in range(3)])
    return lambda rows: -((rows[:, None] - means) ** 2).sum(2) / 2


def clouds(seed: int, *, rate: float, n: int = 600) -> tuple[Floats, Floats, Floats]:
    """Three clouds 4 apart; ``rate`` of the labels moved to the next class."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    corners = 4 * np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
    x = corners[truth] + rng.normal(size=(n, 2))
    wrong = rng.random(n) < rate
    return x, np.where(wrong, (truth + 1) % 3, truth), wrong


def test_planted_label_errors_are_found() -> None:
    precision, recall, shares, covered = [], [], [], []
    for seed in range(20):
        x, labels, wrong = clouds(seed, rate=0.1)
        found = label_errors(unseen_predictions(gaussian_learner, (x, labels), seed=seed), labels)
        hits = wrong[found.rows].sum()
        precision.append(hits / len(found.rows))
        recall.append(hits / wrong.sum())
        shares.append(found.term.value)
        covered.append(found.term.low <= wrong.mean() <= found.term.high)
        assert found.term.resolved
    assert np.mean(precision) > 0.8  # measured: 0.86
    assert np.mean(recall) > 0.88  # measured: 0.93
    assert np.mean(covered) >= 0.9
    assert np.mean(shares) == pytest.approx(0.1, abs=0.03)  # measured: 0.112


def test_the_suggested_class_is_the_true_one() -> None:
    x, labels, wrong = clouds(0, rate=0.1)
    found = label_errors(unseen_predictions(gaussian_learner, (x, labels)), labels)
    right = wrong[found.rows]
    assert (found.suggested[right] == (labels[found.rows][right] + 2) % 3).mean() > 0.95
    assert {pair[:2] for pair in found.pairs(3)} == {("1", "0"), ("2", "1"), ("0", "2")}


def test_a_perfect_model_gives_the_exact_share() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 400)
    labels = truth.copy()
    labels[:30] = (truth[:30] + 1) % 4
    found = label_errors(np.eye(4)[truth] * 0.96 + 0.01, labels)
    assert sorted(found.rows.tolist()) == list(range(30))
    assert found.term.value == pytest.approx(30 / 400)
    assert found.suggested.tolist() == truth[found.rows].tolist()


def test_clean_labels_are_left_alone() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 300)
    found = label_errors(np.eye(3)[truth] * 0.9 + 0.1 / 3, truth)
    assert len(found.rows) == 0
    assert found.term.value == 0
    assert not found.term.resolved


def test_the_joint_keeps_the_label_counts() -> None:
    x, labels, _ = clouds(3, rate=0.2)
    found = label_errors(unseen_predictions(gaussian_learner, (x, labels)), labels)
    assert found.joint.sum(1) == pytest.approx(np.bincount(labels) / len(labels))


def test_the_joint_is_that_of_the_paper_by_its_definition() -> None:
    """Algorithm 1 row by row, written anew."""
    x, labels, _ = clouds(4, rate=0.15)
    p = unseen_predictions(gaussian_learner, (x, labels))
    t = [p[labels == j, j].mean() for j in range(3)]
    counts = np.zeros((3, 3))
    for row, label in zip(p, labels, strict=True):
        above = [j for j in range(3) if row[j] >= t[j]]
        if above:
            counts[label, max(above, key=lambda j: row[j])] += 1
    scaled = counts / counts.sum(1, keepdims=True) * np.bincount(labels)[:, None]
    assert label_errors(p, labels).joint == pytest.approx(scaled / scaled.sum())


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="out of range"):
        label_errors(np.full((3, 2), 0.5), [0, 1, 2])
    with pytest.raises(ModelError, match="cannot be probabilities"):
        label_errors(np.full((3, 2), 0.7), [0, 1, 1])
    with pytest.raises(DataError, match="too few rows"):
        label_errors(np.full((1, 2), 0.5), [0])
    with pytest.raises(DataError, match="one name a class"):
        label_errors(np.full((3, 2), 0.5), [0, 1, 1], names=["a"])


def test_it_fits_the_terminal_and_has_plain_values() -> None:
    x, labels, _ = clouds(5, rate=0.1)
    found = label_errors(unseen_predictions(gaussian_learner, (x, labels)), labels, names=["cat", "dog", "owl"])
    assert max(map(len, str(found).splitlines())) <= 80
    assert len(found.to_dict()["rows"]) == len(found.rows)
