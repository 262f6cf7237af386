from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from mlkit.errors import DataError
from mlkit.evaluate.neighbours import lower_bound, neighbour_bracket


def clouds(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    x = rng.normal(size=(n, 2))
    x[:, 0] += 2 * y
    return x, y


def test_c17_the_bracket_holds_the_bayes_error() -> None:
    truth = norm.cdf(-1)
    found = [neighbour_bracket(*clouds(seed, 1000)) for seed in range(20)]
    assert all(one.low <= truth <= one.high for one in found)
    assert np.mean([one.low for one in found]) == pytest.approx(0.128, abs=0.006)
    assert np.mean([one.high for one in found]) == pytest.approx(0.224, abs=0.008)


def test_the_bound_is_an_equality_where_cover_and_hart_say_so() -> None:
    """Equal posteriors everywhere: the neighbour errs with 1 - sum of squares, the best rule with 1 - max."""
    for classes in (2, 5):
        best = 0.3
        rest = best / (classes - 1)
        neighbour = 1 - (1 - best) ** 2 - (classes - 1) * rest**2
        assert lower_bound(neighbour, classes) == pytest.approx(best)
    assert lower_bound(0.0, 3) == 0.0
    assert lower_bound(0.9, 2) == 0.5


def test_coverage_of_the_neighbours_error() -> None:
    found = [neighbour_bracket(*clouds(seed, 300)).neighbour for seed in range(200)]
    truth = np.mean([one.value for one in found])
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.95


def test_copies_do_not_find_themselves() -> None:
    x = np.repeat(np.arange(30.0), 2)[:, None]
    assert neighbour_bracket(x, np.repeat(np.arange(30) % 3, 2)).high == 0.0
    assert neighbour_bracket(x, np.tile([0, 1], 30)).high == 1.0


def test_a_sample_of_many_rows() -> None:
    assert neighbour_bracket(*clouds(0, 500), most=100).rows == 100


def test_bad_input_is_refused() -> None:
    x, y = clouds(0, 30)
    with pytest.raises(DataError, match="too few"):
        neighbour_bracket(x[:10], y[:10])
    with pytest.raises(DataError, match="single class"):
        neighbour_bracket(x, np.zeros(30, dtype=int))
    with pytest.raises(DataError, match="not finite"):
        neighbour_bracket(np.where(x > 0, np.nan, x), y)


def test_form() -> None:
    found = neighbour_bracket(*clouds(0, 100))
    assert max(map(len, str(found).splitlines())) <= 80
    assert found.to_dict()["neighbour"]["value"] == found.high
