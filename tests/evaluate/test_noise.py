from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from mlkit.errors import DataError
from mlkit.evaluate.noise import (
    binomial_expectation,
    noise_of_repeats,
    noise_of_soft_labels,
    noise_of_votes,
    noisy_against_clean,
)
from tests.evaluate.worlds import assert_close

BAYES = norm.cdf(-1)  # C15: two normal clouds 2 apart


def two_clouds(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Position along the line through the means, and the probability of class 1."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + np.where(rng.random(n) < 0.5, 1.0, -1.0)
    return x, 1 / (1 + np.exp(-2 * x))


def test_c15_and_c16_soft_labels_give_the_bayes_error() -> None:
    assert_close([noise_of_soft_labels(two_clouds(seed, 500)[1]).zero_one.value for seed in range(40)], BAYES)


def test_c16_coverage() -> None:
    found = [noise_of_soft_labels(two_clouds(seed, 500)[1]).zero_one for seed in range(200)]
    assert 0.9 <= np.mean([one.low <= BAYES <= one.high for one in found]) <= 0.99


@pytest.mark.parametrize(("votes", "expected"), [(2, 0.11240), (5, 0.13218), (20, 0.15276)])
def test_c16_few_votes_are_too_low_by_the_binomial_sum(votes: int, expected: float) -> None:
    """The values by quadrature; of two votes it is the mean of p(1-p), known without the binomial sum."""
    x = np.linspace(-9, 9, 4001)
    weight = norm.pdf(x - 1) + norm.pdf(x + 1)
    soft = 1 / (1 + np.exp(-2 * x))
    each = np.array([binomial_expectation(np.array([one]), votes) for one in soft])
    assert (each * weight).sum() / weight.sum() == pytest.approx(expected, abs=1e-4)
    if votes == 2:
        assert (soft * (1 - soft) * weight).sum() / weight.sum() == pytest.approx(expected, abs=1e-5)
    _, sample = two_clouds(votes, 20_000)
    counts = np.random.default_rng(votes).binomial(votes, sample)
    found = noise_of_votes(np.stack([votes - counts, counts], 1))
    assert found.zero_one.value == pytest.approx(expected, abs=0.005)
    assert any("too low" in note for note in found.notes) == (votes < 20)


def test_the_brier_noise_of_votes_is_unbiased() -> None:
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.ones(4), 300)
    expected = 1 - (truth**2).sum(1).mean()
    found = [noise_of_votes(rng.multinomial(2, truth)).brier.value for _ in range(100)]
    assert_close(found, float(expected))


def test_the_brier_noise_of_two_classes_is_twice_that_of_one_column() -> None:
    """p(1-p) r/(r-1), row by row."""
    counts = np.array([[3, 1], [2, 2], [4, 0]])
    p = counts[:, 1] / 4
    assert noise_of_votes(counts).brier.value == pytest.approx((2 * p * (1 - p) * 4 / 3).mean())


def test_the_entropy_of_votes_is_nearer_the_truth_than_the_plain_one() -> None:
    rng = np.random.default_rng(1)
    truth = rng.dirichlet(3 * np.ones(3), 2000)
    expected = -(truth * np.log(truth)).sum(1).mean()
    counts = rng.multinomial(20, truth)
    shares = counts / 20
    plain = -(shares * np.log(np.maximum(shares, 1e-300))).sum(1).mean()
    found = noise_of_votes(counts).cross_entropy.value
    assert abs(found - expected) < 0.3 * abs(plain - expected)


def test_rows_with_one_vote_are_left_out_and_said_to_be() -> None:
    found = noise_of_votes(np.array([[1, 0], [1, 1], [2, 0], [0, 0]]))
    assert found.brier.value == pytest.approx(0.5)
    assert "2 rows with fewer than two votes" in found.notes[0]


@pytest.mark.parametrize("rho", [0.1, 0.3])
def test_c8_flipped_labels(rho: float) -> None:
    """Noise is rho for 0-1, rho(1-rho) for each class of Brier, H(rho) for cross-entropy."""
    rng = np.random.default_rng(2)
    clean = rng.integers(0, 2, 20_000)
    noisy = np.where(rng.random(20_000) < rho, 1 - clean, clean)
    found = noisy_against_clean(noisy, clean)
    assert found.rate.low <= rho <= found.rate.high
    assert found.transition == pytest.approx(np.array([[1 - rho, rho], [rho, 1 - rho]]), abs=0.015)
    soft = noise_of_soft_labels(np.where(clean == 1, 1 - rho, rho))
    assert soft.zero_one.value == pytest.approx(rho)
    assert soft.brier.value == pytest.approx(2 * rho * (1 - rho))
    assert soft.cross_entropy.value == pytest.approx(-rho * np.log(rho) - (1 - rho) * np.log(1 - rho))


def test_repeated_measurements_give_the_noise_variance() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(200):
        values = 10 * rng.normal(size=(100, 1)) + 2 * rng.normal(size=(100, 3))
        values[:30, 2] = np.nan
        found.append(noise_of_repeats(values))
    assert_close([one.value for one in found], 4.0)
    assert 0.9 <= np.mean([one.low <= 4 <= one.high for one in found]) <= 0.99


@pytest.mark.data
def test_people_on_cifar_10(data_root: Path) -> None:
    """CIFAR-10H: one judgement in twenty differs from the official label, the majority in one of a hundred."""
    folder = data_root / "cifar10_human"
    if not folder.is_dir():
        pytest.skip("no CIFAR-10H")
    counts = np.load(folder / "cifar10h-counts.npy")
    found = noise_of_votes(counts)
    assert 47 <= found.votes <= 63
    # Vote shares: a judgement differs from the majority about as often as from the label.
    assert found.zero_one.value == pytest.approx(0.0456, abs=0.004)
    assert found.zero_one.high - found.zero_one.low < 0.005
    noisy = np.load(folder / "cifar10n_train_labels.npz")
    worse = noisy_against_clean(noisy["worse_label"], noisy["clean_label"])
    assert worse.rate.value == pytest.approx(0.4021, abs=5e-5)


def test_bad_input_is_refused() -> None:
    with pytest.raises(DataError, match="not probabilities"):
        noise_of_soft_labels(np.array([[0.5, 0.6]]))
    with pytest.raises(DataError, match="votes are not counts"):
        noise_of_votes(np.array([[0.5, 1.5]]))
    with pytest.raises(DataError, match="too few rows with two votes"):
        noise_of_votes(np.array([[1, 0], [0, 1]]))
    with pytest.raises(DataError, match="no repeated measurements"):
        noise_of_repeats(np.zeros((3, 1)))
    with pytest.raises(DataError, match="two classes"):
        binomial_expectation(np.array([[0.2, 0.3, 0.5]]), 3)


def test_it_fits_the_terminal_and_has_plain_values() -> None:
    rng = np.random.default_rng(4)
    found = noise_of_votes(rng.multinomial(3, rng.dirichlet(np.ones(3), 50)))
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["brier"]["value"] == found.brier.value
