from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from mlkit.metrics.estimate import Estimate
from mlkit.metrics.intervals import (
    Z95,
    equivalent_trials,
    exponential,
    f1_of_jaccard,
    mean_of_rates,
    newcombe,
    positive,
    student,
    t95,
    undefined,
    wilson,
    wilson_bounds,
)

Rng = np.random.Generator


def covers(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


# The two tables of examples: Newcombe, Statistics in Medicine 17 (1998), 857-872 and 873-890.
@pytest.mark.parametrize(
    ("successes", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_published_examples(successes: int, count: int, low: float, high: float) -> None:
    estimate = wilson(successes, count)
    assert estimate.value == successes / count
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-5)
    assert (estimate.count, estimate.method) == (count, "wilson")


@pytest.mark.parametrize(
    ("successes", "counts", "low", "high"),
    [
        ((56, 48), (70, 80), 0.0524, 0.3339),
        ((9, 3), (10, 10), 0.1705, 0.8090),
        ((6, 2), (7, 7), 0.0582, 0.8062),
        ((5, 0), (56, 29), -0.0381, 0.1926),
        ((0, 0), (10, 20), -0.1611, 0.2775),
        ((0, 0), (10, 10), -0.2775, 0.2775),
        ((10, 0), (10, 20), 0.6791, 1.0),
        ((10, 0), (10, 10), 0.6075, 1.0),
    ],
)
def test_newcombe_gives_the_published_examples(
    successes: tuple[int, int], counts: tuple[int, int], low: float, high: float
) -> None:
    estimate = newcombe(successes, counts)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=6e-5)
    mirrored = newcombe(successes[::-1], counts[::-1])
    assert (mirrored.low, mirrored.high) == pytest.approx((-high, -low), abs=6e-5)


def test_the_score_interval_is_the_set_of_rates_that_a_score_test_keeps() -> None:
    for successes, count in ((0, 5), (1, 7), (30, 31), (12, 12), (40, 100)):
        low, high = wilson_bounds(successes / count, count)
        for end in (low, high):
            if 0 < end < 1:
                score = (successes / count - end) / math.sqrt(end * (1 - end) / count)
                assert abs(score) == pytest.approx(Z95)


@pytest.mark.parametrize("count", [1, 3, 10, 1000])
def test_wilson_is_symmetric_and_holds_the_estimate(count: int) -> None:
    for successes in {0, 1, count // 2, count}:
        low, high = wilson_bounds(successes / count, count)
        mirrored = wilson_bounds(1 - successes / count, count)
        assert 0 <= low <= successes / count <= high <= 1
        assert (1 - high, 1 - low) == pytest.approx(mirrored)


def exact_coverage_of_wilson(rate: float, count: int) -> float:
    """The probability of all outcomes whose interval holds ``rate``; no simulation."""
    outcomes = [k for k in range(count + 1) if covers(wilson(k, count), rate)]
    return float(stats.binom.pmf(outcomes, count, rate).sum())


@pytest.mark.parametrize("count", [5, 10, 30, 100])
def test_wilson_covers_95_percent_on_average_over_rates(count: int) -> None:
    rates = np.linspace(0.002, 0.998, 499)
    coverage = [exact_coverage_of_wilson(rate, count) for rate in rates]
    assert 0.945 < np.mean(coverage) < 0.965
    # It dips near the ends: Brown, Cai and DasGupta (2001), section 4.1.1, give 0.83 there.
    assert min(coverage) > 0.83


@pytest.mark.parametrize("rate", [0.95, 0.99, 0.05, 0.01])
def test_wilson_covers_extreme_rates_of_a_test_set(rate: float) -> None:
    assert np.mean([exact_coverage_of_wilson(rate, count) for count in range(300, 341)]) == pytest.approx(
        0.95, abs=0.02
    )


def test_newcombe_covers_95_percent(rng: Rng) -> None:
    for rates, counts in (((0.9, 0.8), (50, 40)), ((0.99, 0.97), (200, 200)), ((0.5, 0.5), (10, 10))):
        draws = rng.binomial(counts, rates, (1500, 2))
        hits = [covers(newcombe((int(a), int(b)), counts), rates[0] - rates[1]) for a, b in draws]
        assert np.mean(hits) == pytest.approx(0.955, abs=0.025)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 10, 30, 100, 10_000])
def test_students_quantile(degrees: int) -> None:
    exact = stats.t.ppf(0.975, degrees)
    assert t95(degrees) == pytest.approx(exact, abs=1e-9 if degrees <= 2 else 0.004)
    assert t95(degrees) > Z95


@pytest.mark.parametrize("count", [2, 3, 10, 100])
def test_students_interval_covers_95_percent_of_normal_means(count: int, rng: Rng) -> None:
    values = rng.normal(3.0, 2.0, (4000, count))
    means, variances = values.mean(1), values.var(1, ddof=1) / count
    hits = [covers(student(m, v, count), 3.0) for m, v in zip(means, variances, strict=True)]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.012)


def test_students_interval_covers_skewed_means_where_there_are_many(rng: Rng) -> None:
    values = rng.exponential(1.0, (2000, 200))
    means, variances = values.mean(1), values.var(1, ddof=1) / 200
    hits = [covers(student(m, v, 200), 1.0) for m, v in zip(means, variances, strict=True)]
    assert np.mean(hits) == pytest.approx(0.945, abs=0.02)


def test_a_mean_without_interval_says_why() -> None:
    assert student(1.5, 0.0, 1) == Estimate(1.5, count=1, method="none: a single example")
    assert student(math.inf, math.nan, 9) == Estimate(math.inf, count=9, method="none: some values are not finite")
    assert math.isnan(student(0.0, 0.0, 0).value)


def test_as_many_trials_as_have_the_variance() -> None:
    assert equivalent_trials(0.8, 0.8 * 0.2 / 50) == pytest.approx(50)


@pytest.mark.parametrize(
    ("rates", "counts"),
    [
        ([0.9, 0.9, 0.9], [17, 17, 17]),
        ([0.97, 0.8], [100, 10]),
        ([0.5, 0.99], [20, 1000]),
        ([0.4, 0.7, 0.95], [5, 50, 500]),
        ([0.97] * 10, [50] * 10),
        (list(np.linspace(0.5, 1.0, 20)), [3] * 20),
    ],
)
def test_the_mean_of_rates_covers_95_percent_within_4(rates: list[float], counts: list[int], rng: Rng) -> None:
    draws = rng.binomial(counts, rates, (1500, len(rates)))
    hits = [covers(mean_of_rates(draw.tolist(), counts), float(np.mean(rates))) for draw in draws]
    assert 0.91 < np.mean(hits) < 0.99


def test_the_mean_of_one_rate_is_close_to_wilson() -> None:
    ours, reference = mean_of_rates([180], [200]), wilson(180, 200)
    assert ours.value == reference.value
    assert (ours.low, ours.high) == pytest.approx((reference.low, reference.high), abs=0.005)


def test_rates_of_one_in_few_trials_are_not_certain() -> None:
    estimate = mean_of_rates([2, 1000], [2, 1000])
    assert estimate.value == 1.0
    assert estimate.low is not None
    assert estimate.low < 0.85
    assert estimate.high == 1.0


def test_a_positive_number_keeps_a_positive_interval() -> None:
    estimate = positive(2.0, 9.0, count=50)
    assert estimate.low is not None
    assert estimate.high is not None
    assert 0 < estimate.low < 2.0 < estimate.high
    assert estimate.low * estimate.high == pytest.approx(4.0)
    assert positive(1e-300, 1.0, count=50).high == pytest.approx(1e-300 * math.exp(700))


def test_a_positive_number_without_interval_says_why() -> None:
    assert positive(0.0, 0.0, count=9) == Estimate(0.0, count=9, method="none: no error was seen")
    assert positive(3.0, 0.0, count=1) == Estimate(3.0, count=1, method="none: a single example")
    for value in (math.nan, math.inf):
        estimate = positive(value, 1.0, count=9)
        assert (estimate.low, estimate.count, estimate.method) == (None, 9, "none: some values are not finite")


def test_mapped_intervals_keep_their_ends() -> None:
    mean = student(1.0, 0.04, 30)
    mapped = exponential(mean)
    assert mean.low is not None
    assert mean.high is not None
    assert (mapped.value, mapped.low, mapped.high) == pytest.approx((math.e, math.exp(mean.low), math.exp(mean.high)))
    assert exponential(student(1.0, 0.04, 1)).method == "none: a single example"
    assert exponential(student(2000.0, 0.04, 30)).value == math.inf


@pytest.mark.parametrize(("hit", "false_positive", "missed"), [(8, 1, 1), (0, 3, 2), (5, 0, 0)])
def test_f1_from_jaccard(hit: int, false_positive: int, missed: int) -> None:
    mapped = f1_of_jaccard(wilson(hit, hit + false_positive + missed))
    assert mapped.value == pytest.approx(2 * hit / (2 * hit + false_positive + missed))
    assert mapped.low is not None
    assert mapped.high is not None
    assert 0 <= mapped.low <= mapped.value <= mapped.high <= 1


def test_nothing_seen_is_undefined_not_zero() -> None:
    for estimate in (wilson(0, 0), newcombe((0, 0), (0, 5)), undefined("no examples")):
        assert math.isnan(estimate.value)
        assert estimate.low is None
        assert estimate.method == "undefined: no examples"


@pytest.fixture
def rng() -> Rng:
    return np.random.default_rng(20260)
