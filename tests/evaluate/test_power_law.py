from __future__ import annotations

import numpy as np
import pytest

from mlkit.errors import DataError
from mlkit.evaluate.power_law import fit_power_law

SIZES = np.array([50, 100, 200, 400, 800, 1600], dtype=float)


def test_an_exact_curve_is_found() -> None:
    for a, b, c in [(0.1, 2.0, 0.5), (0.0, 1.0, 0.3), (0.5, 30.0, 1.0)]:
        found = fit_power_law(SIZES, a + b * SIZES**-c, np.full(6, 1e-5))
        assert found.exponent.value == pytest.approx(c, rel=0.03)  # the grid's step is 3.5 %
        assert found.floor.value == pytest.approx(a, abs=0.004)
        assert found.at(3200) == pytest.approx(a + b * 3200**-c, abs=0.002)


def test_the_pages_curve_of_least_squares() -> None:
    """1 + p/(n-p-1) is no power law: from 25 rows on the exponent is too large, from 70 on it is nearer 1."""
    n = np.array([25, 35, 50, 70, 100, 140, 200, 280], dtype=float)
    y = 1 + 10 / (n - 11)
    whole, large = (fit_power_law(n[k:], y[k:], np.full(len(n) - k, 1e-3)) for k in (0, 3))
    assert whole.floor.value == pytest.approx(1.031, abs=0.006)
    assert whole.exponent.value == pytest.approx(1.59, abs=0.06)
    assert large.floor.value == pytest.approx(1.007, abs=0.004)
    assert large.exponent.value == pytest.approx(1.20, abs=0.05)
    assert whole.inflated > 1.5


def test_intervals_hold_the_truth() -> None:
    truth = 0.1 + 2 * 3200**-0.5
    found = []
    for seed in range(60):
        y = 0.1 + 2 * SIZES**-0.5 + 0.004 * np.random.default_rng(seed).normal(size=6)
        found.append(fit_power_law(SIZES, y, np.full(6, 0.004), seed=seed).doubled)
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.88


def test_a_curve_that_rises_is_refused() -> None:
    y = 0.1 + 2 * SIZES**-0.5
    y[3] += 0.1
    found = fit_power_law(SIZES, y, np.full(6, 0.005))
    assert found.refused is not None
    assert "not monotone: the error rises" in found.refused
    assert np.isnan(found.gain.value)
    assert not found.gain.resolved


def test_noise_alone_is_rarely_refused() -> None:
    flat = [
        fit_power_law(SIZES, 0.3 + 0.01 * np.random.default_rng(seed).normal(size=6), np.full(6, 0.01)).refused
        for seed in range(100)
    ]
    assert sum(one is not None for one in flat) <= 5  # P(more than 5 of 100 at 1 %) = 0.0005


def test_few_sizes_are_refused() -> None:
    found = fit_power_law(SIZES[:4], 1 / SIZES[:4], np.full(4, 0.01))
    assert found.refused == "4 sizes: a curve with three unknowns needs 5 or more"


def test_few_seeds_widen_the_intervals() -> None:
    y = 0.1 + 2 * SIZES**-0.5
    many, few = (fit_power_law(SIZES, y, np.full(6, 0.004), seeds=seeds).doubled for seeds in (1000, 3))
    assert few.high - few.low > 1.3 * (many.high - many.low)


@pytest.mark.parametrize(
    ("sizes", "errors"),
    [([1, 2, 3, 4, 4], [1] * 5), ([1, 2, 3, 4, 5], [1] * 4), ([1, 2, 3, 4, 5], [1, 1, 1, 1, np.nan])],
)
def test_bad_input_is_refused(sizes: list[float], errors: list[float]) -> None:
    with pytest.raises(DataError):
        fit_power_law(sizes, errors, [0.1] * len(errors))
