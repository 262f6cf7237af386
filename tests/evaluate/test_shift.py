from __future__ import annotations

import bz2
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional

from mlkit.errors import DataError
from mlkit.evaluate.shift import column_tests, shift


def test_false_alarms_are_at_most_one_in_twenty() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x, outputs = rng.normal(size=(200, 5)), rng.dirichlet(np.ones(4), 200)
        halves = (outputs[:100], outputs[100:])
        alarms += shift(x[:100], x[100:], outputs=halves, kinds=["logistic"], permutations=60, seed=seed).found
    assert alarms <= 18  # P(more than 18 of 200 at 5 %) = 0.006


def test_a_planted_column_is_named() -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        source, target = rng.normal(size=(300, 8)), rng.normal(size=(300, 8))
        target[:, 3] = target[:, 3] * 1.2 + 0.6
        found = shift(source, target, kinds=["logistic"])
        assert found.found
        assert found.columns[0].name == "column 3"


def test_a_shift_in_combinations_only() -> None:
    """The same columns, once with a correlation: no test of a column can see it, the trees do."""
    rng = np.random.default_rng(0)
    source = rng.normal(size=(600, 2))
    target = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 600)
    found = shift(source, target, kinds=["boosted"])
    assert found.found
    assert found.columns[0].adjusted > 0.05
    assert "in combinations" in found.verdict()


def test_outputs_alone_can_tell() -> None:
    """Label shift: the softmax outputs move, with unrelated inputs."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 2))
    outputs = (rng.dirichlet([4, 2], 200), rng.dirichlet([2, 4], 200))
    found = shift(x[:200], x[200:], outputs=outputs, kinds=[])
    assert found.found
    assert found.outputs[0].adjusted <= 0.05 / 2


def test_categories_are_compared_by_counts() -> None:
    rng = np.random.default_rng(2)
    source = rng.choice(4, size=(300, 1), p=[0.4, 0.3, 0.2, 0.1]).astype(float)
    target = rng.choice(4, size=(300, 1), p=[0.1, 0.2, 0.3, 0.4]).astype(float)
    found = column_tests(source, target)[0]
    assert found.test == "chi-square"
    assert found.p_value < 1e-6
    assert column_tests(source[:150], source[150:])[0].p_value > 0.01


def test_missing_values_count() -> None:
    rng = np.random.default_rng(3)
    source, target = rng.normal(size=(200, 1)), rng.normal(size=(200, 1))
    assert column_tests(source, target)[0].p_value > 0.05
    target[:60] = np.nan
    assert column_tests(source, target)[0].p_value < 1e-6
    assert column_tests(source, np.full((20, 1), np.nan))[0].p_value < 1e-6


def test_the_corrections_are_holms_and_bonferronis() -> None:
    rng = np.random.default_rng(4)
    source, target = rng.normal(size=(100, 4)), rng.normal([0, 0.3, 0.5, 0.4], size=(100, 4))
    holm, plain = column_tests(source, target), column_tests(source, target, bonferroni=True)
    p = sorted(one.p_value for one in holm)
    steps = [min(max(p[j] * (4 - j) for j in range(k + 1)), 1.0) for k in range(4)]
    assert [one.adjusted for one in holm] == pytest.approx(steps)
    assert [one.adjusted for one in plain] == pytest.approx([min(4 * one, 1.0) for one in p])


@pytest.fixture(scope="module")
def digits(data_root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """MNIST images and labels, and USPS images, as 16 x 16 pixels from 0 to 1."""
    mnist, usps = data_root / "MNIST/raw/t10k-images-idx3-ubyte", data_root / "USPS/usps.t.bz2"
    if not mnist.is_file() or not usps.is_file():
        pytest.skip("no MNIST or USPS")
    images = torch.from_numpy(np.frombuffer(mnist.read_bytes(), np.uint8, offset=16)[: 1800 * 784].copy())
    small = functional.interpolate(images.reshape(-1, 1, 28, 28).float() / 255, 16, mode="bilinear", antialias=True)
    labels = np.frombuffer((mnist.parent / "t10k-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)[:1800]
    lines = bz2.decompress(usps.read_bytes()).decode().splitlines()[:400]
    other = np.array([[float(one.split(":")[1]) for one in line.split()[1:]] for line in lines])
    return small.numpy().reshape(len(small), -1), labels, (other + 1) / 2


@pytest.mark.data
def test_mnist_to_usps(digits: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """Both by the pixels and by what a model of MNIST says; MNIST against itself is no shift."""
    mnist, labels, usps = digits
    model = LogisticRegression(max_iter=60, tol=0.1).fit(mnist[:1000], labels[:1000])
    said = [model.predict_proba(part) for part in (mnist[1000:1400], mnist[1400:], usps)]
    found = shift(mnist[1000:1400], usps, outputs=(said[0], said[2]), kinds=["logistic"])
    assert found.found
    assert found.domain is not None
    assert found.domain.auc.value > 0.95
    assert found.outputs[0].adjusted < 0.001
    none = shift(mnist[1000:1400], mnist[1400:], outputs=(said[0], said[1]), kinds=["logistic"])
    assert not none.found


def test_bad_input_is_refused() -> None:
    x = np.random.default_rng(0).normal(size=(40, 2))
    with pytest.raises(DataError, match="outputs are not of the same rows"):
        shift(x[:20], x[20:], outputs=(x[:15], x[20:]), kinds=[])
    with pytest.raises(DataError, match="one name a column"):
        column_tests(x[:20], x[20:], features=["a"])


def test_form() -> None:
    rng = np.random.default_rng(5)
    outputs = (rng.dirichlet(np.ones(3), 100), rng.dirichlet([3, 1, 1], 100))
    found = shift(rng.normal(size=(100, 6)), rng.normal(size=(100, 6)) + 1, outputs=outputs)
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["found"] is True
