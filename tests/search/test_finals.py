from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student_t

from mlkit.search.finals import bias_corrected, compare


def table(trials: int, seeds: int, *, spread: float, noise: float, rng: np.random.Generator) -> dict[int, list[float]]:
    """Scores of trials that are ``spread`` apart, with what all have in common by seed."""
    common = 3 * rng.standard_normal(seeds)
    return {
        number: (spread * number + common + noise * rng.standard_normal(seeds)).tolist() for number in range(trials)
    }


def test_two_trials_are_compared_as_by_the_paired_test() -> None:
    # With two trials the bound is that of a one-sided paired t test at 5 %, from the definition.
    rng = np.random.default_rng(0)
    tied = 0
    for _ in range(300):
        a, b = rng.normal(0, 1, 4) + rng.normal(0, 5, 4) * np.ones((2, 1))
        b = b + rng.normal(0.8, 1, 4)
        better, worse = sorted((a, b), key=np.mean)
        difference = worse - better
        statistic = difference.mean() / (difference.std(ddof=1) / 2)
        ties = compare({7: a.tolist(), 9: b.tolist()}, sign=1).ties
        assert (len(ties) == 2) == (statistic <= student_t.ppf(0.95, 3))
        assert ties[0] == (7 if a.mean() <= b.mean() else 9)
        tied += len(ties) == 2
    assert 0 < tied < 300


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_the_best_is_in_the_tie_set_as_often_as_it_says(seeds: int, spread: float) -> None:
    rng = np.random.default_rng(1)
    kept = [0 in compare(table(5, seeds, spread=spread, noise=1.0, rng=rng), sign=1).ties for _ in range(800)]
    # At least 0.95; two and a half standard errors below it still pass.
    assert np.mean(kept) > 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / 800)


def test_a_clearly_worse_one_is_not_in_it() -> None:
    rng = np.random.default_rng(2)
    sizes = [len(compare(table(5, 5, spread=5.0, noise=1.0, rng=rng), sign=1).ties) for _ in range(200)]
    assert np.mean(np.array(sizes) == 1) > 0.95


def test_what_the_seeds_have_in_common_does_not_blur() -> None:
    scores = {number: [number + seed * 100.0 for seed in range(4)] for number in range(3)}
    comparison = compare(scores, sign=1)
    assert comparison.ties == (0,)
    assert comparison.noise == pytest.approx(0.0, abs=1e-9)


def test_the_noise_is_that_of_a_single_run() -> None:
    rng = np.random.default_rng(3)
    squares = [compare(table(5, 4, spread=1.0, noise=0.7, rng=rng), sign=1).noise ** 2 for _ in range(400)]
    # A variance estimated with 12 degrees of freedom, 400 times: its mean has a relative standard error of 2 %.
    assert np.mean(squares) == pytest.approx(0.49, rel=0.08)


def test_large_scores_are_the_same_turned_round() -> None:
    rng = np.random.default_rng(4)
    small = table(6, 3, spread=0.4, noise=1.0, rng=rng)
    large = {number: [-value for value in values] for number, values in small.items()}
    a, b = compare(small, sign=1), compare(large, sign=-1)
    assert a.ties == b.ties
    assert a.noise == pytest.approx(b.noise)
    assert a.corrected.value == pytest.approx(-b.corrected.value)
    assert (a.corrected.low, a.corrected.high) == pytest.approx((-b.corrected.high, -b.corrected.low))  # type: ignore[operator]


def test_the_corrected_score_is_free_of_the_luck_of_the_choice() -> None:
    # k equal trials: the naive best is too good by E[max of k] / sqrt(S), the corrected one by nothing.
    rng = np.random.default_rng(5)
    naive, corrected = [], []
    for _ in range(1500):
        scores = rng.standard_normal((10, 4))
        naive.append(scores.mean(axis=1).max())
        corrected.append(compare(dict(enumerate(scores.tolist())), sign=-1).corrected.value)
    assert np.mean(naive) == pytest.approx(1.5388 / 2, abs=0.02)
    assert abs(np.mean(corrected)) < 3 * np.std(corrected) / math.sqrt(1500)


@pytest.mark.parametrize("trials", [2, 5, 10])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize(("spread", "common"), [(0.0, 0.0), (0.3, 0.0), (2.0, 0.0), (0.3, 2.0)])
def test_the_interval_holds_the_score_of_the_chosen_one(trials: int, seeds: int, spread: float, common: float) -> None:
    rng = np.random.default_rng(6)
    inside = []
    for _ in range(400):
        noise = common * rng.standard_normal(seeds) + rng.standard_normal((trials, seeds))
        scores = spread * np.arange(trials)[:, None] + noise
        comparison = compare(dict(enumerate(scores.tolist())), sign=1)
        low, high = comparison.corrected.low, comparison.corrected.high
        assert low is not None
        assert high is not None
        inside.append(low <= spread * comparison.ties[0] <= high)
    assert np.mean(inside) > 0.95 - 2.5 * math.sqrt(0.95 * 0.05 / 400)


def test_each_seed_is_scored_by_the_choice_of_the_others() -> None:
    # By hand: without seed 0 trial 1 is best (5.5 against 6), without 1 trial 0 (2 against 7), without 2 trial 0.
    comparison = compare({0: [1.0, 9.0, 3.0], 1: [10.0, 7.0, 4.0]}, sign=1)
    assert comparison.corrected.value == pytest.approx((10.0 + 9.0 + 3.0) / 3)
    assert comparison.corrected.count == 3


def test_two_seeds_still_decide_and_one_cannot() -> None:
    assert compare({0: [1.0, 2.0], 1: [5.0, 6.1]}, sign=1).ties == (0,)
    one = compare({0: [1.0], 1: [5.0]}, sign=1)
    assert one.ties == (0, 1)
    assert math.isnan(one.noise)
    assert one.corrected.low is None
    assert "fewer than two seeds" in one.corrected.method


def test_a_single_finalist_is_the_whole_set() -> None:
    comparison = compare({4: [1.0, 2.0, 3.0]}, sign=1, failed={2: "NaN with seed 1"})
    assert comparison.ties == (4,)
    assert comparison.mean(4) == comparison.corrected.value == 2.0
    assert comparison.noise == pytest.approx(1.0)
    assert comparison.to_dict()["failed"] == {"2": "NaN with seed 1"}


@pytest.mark.parametrize(("k", "optimism"), [(2, 0.5642), (10, 1.5388), (100, 2.5076)])
def test_the_score_of_the_best_of_many_equal_ones_is_unbiased(k: int, optimism: float) -> None:
    # C18: naive is too good by sqrt(p (1 - p) / n) times the mean of the largest of k normal ones.
    p, rows = 0.8, 1000
    naive, corrected = [], []
    for seed in range(60):
        right = (np.random.default_rng(seed).random((rows, k)) < p).astype(float)
        naive.append(right.mean(axis=0).max())
        corrected.append(bias_corrected(right, resamples=60, seed=seed).value)
    error = math.sqrt(p * (1 - p) / rows)
    assert np.mean(naive) - p == pytest.approx(error * optimism, abs=4 * error / math.sqrt(60))
    assert np.mean(corrected) == pytest.approx(p, abs=4 * error / math.sqrt(60))


def test_a_single_configuration_scores_its_mean() -> None:
    right = (np.random.default_rng(0).random((400, 1)) < 0.7).astype(float)
    found = bias_corrected(right, resamples=400)
    mean = right.mean()
    assert found.value == pytest.approx(mean, abs=0.005)
    assert found.low is not None
    assert found.high is not None
    # About as wide as the binomial interval.
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(mean * (1 - mean) / 400), rel=0.15)


def test_losses_are_chosen_small_and_the_seed_decides_the_rows() -> None:
    losses = np.random.default_rng(1).random((200, 5)) + np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    found = bias_corrected(losses, direction="min", resamples=100)
    assert found.value == pytest.approx(losses[:, 0].mean(), abs=0.02)
    assert bias_corrected(losses, direction="max", resamples=100).value == pytest.approx(losses[:, 4].mean(), abs=0.02)
    assert bias_corrected(losses, direction="min", resamples=100) == found
    assert bias_corrected(losses, direction="min", resamples=100, seed=1) != found
